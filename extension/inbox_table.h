/*
 * inbox_table.h
 *		The table hdms_internal.inbox, and what leaves it.
 *
 * The three functions that give rows open a transaction of their own and return palloc'ed rows; the others run in the
 * current one.
 */
#ifndef HDMS_EXT_INBOX_TABLE_H
#define HDMS_EXT_INBOX_TABLE_H

#include "postgres.h"

#include "wire.h"

#include "inbox_open.h"

/*
 * Stores what was fetched, with one attempt counted. Gives those that were not there yet; their envelopes point into
 * parcels. What was there already is acknowledged when it waits or is quarantined.
 */
extern int	inbox_table_store(const HdmsParcel *parcels, size_t count, InboxRow **rows);

/* Rows that an earlier worker, or an error, left in the middle. Their attempts are those that ended without an outcome. */
extern int	inbox_table_leftovers(InboxRow **rows, int limit);

/* Rows whose waiting is over, with one attempt counted. */
extern int	inbox_table_claim_waiting(InboxRow **rows, int limit);

extern void inbox_table_waiting_now(void);
extern void inbox_table_count_attempt(int64 id);
extern void inbox_table_forgive(const int64 *ids, int count);
extern void inbox_table_remove(const int64 *ids, int count);

/* Waits for a time that grows with the age of the message. received_at in seconds. */
extern void inbox_table_wait(int64 id, const char *what_for, int64 received_at);
extern void inbox_table_quarantine(int64 id, const char *why);

/* Logs, counts and notes a message that is refused for good. sender and type: as claimed, "" where they could not be read. */
extern void inbox_table_refuse(const char *transport, const char *sender, const char *type, const char *reason);

/* Whether an error says more about the machine than about a message. */
extern bool inbox_error_passes(int sqlerrcode);

#endif
