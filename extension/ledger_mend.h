/*
 * ledger_mend.h
 *		Puts this node's own log in order again after somebody rewrote it. Worker only.
 */
#ifndef HDMS_EXT_LEDGER_MEND_H
#define HDMS_EXT_LEDGER_MEND_H

#include "postgres.h"

/*
 * Computes the log again and keeps that if it is exactly what the newest checkpoint signed; else changes nothing and gives false.
 * In the caller's transaction.
 */
extern bool ledger_mend_now(void);

/* Records were put back: what the log says of them may be computed again. */
extern void ledger_mend_soon(void);

/* Milliseconds until it is to be done; -1: it was not asked for. */
extern long ledger_mend_timeout(void);

/* Does it, where it was asked for, in a transaction of its own. */
extern void ledger_mend(void);

#endif
