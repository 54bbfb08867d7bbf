/*
 * pending.h
 *		Rows that the current transaction owes: noted one by one, written together before it commits. Worker only.
 *
 * A statement costs more than the row that it writes, so rows that nothing reads before the commit are written with
 * one statement for all. What a subtransaction has noted is forgotten when it is rolled back.
 */
#ifndef HDMS_EXT_PENDING_H
#define HDMS_EXT_PENDING_H

#include "postgres.h"

typedef struct PendingList
{
	Size		entry_size;		/* of the noted struct, in bytes */
	void		(*write) (const void *entries, int count);	/* writes all; SPI connected; may raise and may note in lists after it */
	char	   *entries;		/* in the transaction's memory */
	SubTransactionId *owners;
	int			count;
	int			size;
} PendingList;

/* The lists, in the order that they are written in. */
extern PendingList pending_acks;	/* outbox.c */
extern PendingList pending_messages;	/* outbox.c */
extern PendingList pending_events;	/* event.c */
extern PendingList pending_issued;	/* flow_issue.c */
extern PendingList pending_unqueued;	/* flow_issue.c */

/* A new entry, zeroed, valid until the next one; it belongs to the current subtransaction. */
extern void *pending_add(PendingList *list);

/* A copy of a text that lives as long as entries do; NULL for NULL. */
extern char *pending_text(const char *text);

/* Writes everything noted, before the commit. */
extern void pending_write(void);

#endif
