/*
 * ledger_mend.h
 *		Puts this node's own log in order again after somebody rewrote it. Worker only.
 */
#ifndef HDMS_EXT_LEDGER_MEND_H
#define HDMS_EXT_LEDGER_MEND_H

#include "postgres.h"

/* Records were put back: what the log says of them may be computed again. */
extern void ledger_mend_soon(void);

/* Milliseconds until it is to be done; -1: it was not asked for. */
extern long ledger_mend_timeout(void);

/*
 * Does it, where it was asked for, in transactions of its own. Changes nothing unless the result is exactly
 * what the newest checkpoint signed.
 */
extern void ledger_mend(void);

#endif
