/*
 * outbox_delivery.h
 *		Which messages of the outbox are to be put now, and what became of them.
 *
 * The worker is the only one that sends for its database, and holds a lock that says so: what is being
 * put is remembered in its memory alone, and after a crash it is put again, which the server takes as done.
 */
#ifndef HDMS_EXT_OUTBOX_DELIVERY_H
#define HDMS_EXT_OUTBOX_DELIVERY_H

#include "postgres.h"

#include "wire.h"

/* A batch that is being put. One malloc'ed piece: it is the subject of an exchange. */
typedef struct OutboxBatch
{
	int			count;
	int64		ids[FLEXIBLE_ARRAY_MEMBER];
} OutboxBatch;

#define OUTBOX_BATCH		200
#define OUTBOX_BATCH_BYTES	(2 * 1024 * 1024)	/* of envelopes, unless one alone is more */

/* There may be a new message. */
extern void outbox_delivery_is_due(void);

/* Looks at everything again from the start: after an error. What was being put counts as not put. */
extern void outbox_delivery_reset(void);

/* Whether outbox_claim() could find something. */
extern bool outbox_delivery_may_be_due(void);

/*
 * Opens a transaction and takes what is due. *parcels is palloc'ed, with *batch->count entries in the order
 * of its ids. NULL: nothing.
 */
extern OutboxBatch *outbox_claim(HdmsParcel **parcels);

/* What the server said to each of a batch, in its order, or the same failure to all (results NULL). Opens a transaction. */
extern void outbox_put_ended(OutboxBatch *batch, const HdmsPutResult *results, const char *failure);

/* Drops messages that have expired, with an event each. In a transaction of its own, at most once a minute. */
extern void outbox_expire(void);

/* Milliseconds until something is due. */
extern long outbox_delivery_timeout(void);

/* Messages put, since the worker started. */
extern int64 outbox_sent(void);

#endif
