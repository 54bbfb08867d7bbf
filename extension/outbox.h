/*
 * outbox.h
 *		Messages that this node owes to others, until they are answered. Worker only.
 */
#ifndef HDMS_EXT_OUTBOX_H
#define HDMS_EXT_OUTBOX_H

#include "postgres.h"
#include "utils/timestamp.h"

#include "flow_body.h"
#include "message.h"

/*
 * Signs, seals and queues a message in the current transaction (SPI connected). It is a row of the outbox when that commits:
 * the functions below do not see it before.
 * to: pinned node (its history is taken from directory.c; ERROR when it is not pinned).
 * re: jti answered, or NULL. version_id: what it is about, or 0. awaited: kept until answered.
 * expires: seconds since 1970; 0 = the default of 30 days. jti (out, may be NULL): 37 bytes.
 * Raises ERROR with a clear message when the envelope would be over 1 MiB.
 */
extern void outbox_put(const char *to, const char *type, const char *re, int64 version_id, bool awaited,
					   int64 expires, const HdmsBody *body, char *jti);

/* What an answered message was. */
typedef struct OutboxRow
{
	char		type[HDMS_MESSAGE_TYPE_MAX];
	int64		version_id;
} OutboxRow;

/*
 * Marks our message jti as answered by node "by": removes it. False (nothing done)
 * when there is none, or it was not addressed to that node. row may be NULL.
 */
extern bool outbox_answered(const char *jti, const char *by, OutboxRow *row);

/* Removes messages of that type about that version (a flow that ended). type NULL: all of that version. */
extern void outbox_drop(int64 version_id, const char *type);

/* Notes that a message of node "to" is to be answered by a bare ack; one ack message a node is made when the transaction commits. */
extern void outbox_ack(const char *to, const char *jti);

/* Makes all sent, unanswered messages due again: the server's epoch has changed. */
extern void outbox_put_again(void);

#endif
