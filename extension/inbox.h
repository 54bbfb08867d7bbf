/*
 * inbox.h
 *		Messages received: stored, opened, acted upon, acknowledged. Worker only.
 */
#ifndef HDMS_EXT_INBOX_H
#define HDMS_EXT_INBOX_H

#include "postgres.h"

#include "wire.h"

/* Takes over what was fetched. inbox_round() acts on it. */
extern void inbox_take(HdmsParcel *parcels, size_t count);

/*
 * Stores what was fetched and acts on it, on what waits and is due, and on what an earlier worker left. Opens
 * transactions. True when there is more to do at once.
 */
extern bool inbox_round(void);

/* The directory has answered: what waits for it is due. In the current transaction. */
extern void inbox_waiting_is_due(void);

/* After an error: drops what was fetched (the server has it still), and looks at the table from its beginning. */
extern void inbox_reset(void);

/* After an error, before inbox_reset(): what was being acted upon is not blamed for an error that passes. */
extern void inbox_failed(int sqlerrcode);

/* Milliseconds until inbox_round() wants to be called again. */
extern long inbox_timeout(void);

/* Messages acted upon, and refused, since the worker started. */
extern int64 inbox_received(void);
extern int64 inbox_refused(void);

#endif
