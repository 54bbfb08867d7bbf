/*
 * inbox.h
 *		Receiving: stored and counted first, then acted upon, then acknowledged.
 */
#ifndef NODE_INBOX_H
#define NODE_INBOX_H

#include "pairing_row.h"

/* A received envelope. */
typedef struct InboxItem
{
	int64_t		id;				/* 0: not stored: it was there already, or its id is wrong; acknowledge and forget */
	int64_t		pairing;
	char		transport[HDMS_DIGEST_TEXT + 1];
	char	   *envelope;
	size_t		len;
	int64_t		received;		/* milliseconds */
} InboxItem;

/*
 * First transaction: stores the envelopes and counts one attempt for each. Items that need no second step get id 0. After it
 * returned true the envelopes survive a crash.
 */
extern bool inbox_store(HdmsHome *home, InboxItem *items, size_t count);

/* The same inside a transaction of the caller. */
extern bool inbox_store_rows(HdmsHome *home, InboxItem *items, size_t count);

/*
 * Second transaction: acts on each, records it as processed, and writes what is to be sent. After it returned true the
 * envelopes may be acknowledged to the server. One that fails is left for later; the others are done.
 */
extern bool inbox_act(HdmsHome *home, const InboxItem *items, size_t count);

/*
 * Takes up what a crash or a failure left behind, one at a time, each with its own attempt; those that had two attempts are
 * quarantined. *more: call again.
 */
extern bool inbox_resume(HdmsHome *home, bool *more);

/* Something with that digest has come: those who waited for it are tried again. Inside a transaction. */
extern bool inbox_wake(HdmsHome *home, const char *want);

/* A person wants quarantined messages to be tried again. */
extern bool inbox_retry(HdmsHome *home);

/* After a start nobody remembers what was asked for: everything that waits is looked at again. */
extern bool inbox_wake_all(HdmsHome *home);

/* Milliseconds of the first waiting row's end; INT64_MAX when there is none. */
extern bool inbox_next_timer(HdmsHome *home, int64_t *at);

extern bool inbox_counts(HdmsHome *home, int64_t *waiting, int64_t *quarantined);

#endif
