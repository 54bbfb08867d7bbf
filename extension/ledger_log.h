/*
 * ledger_log.h
 *		This node's own log: a promise of every event and of every row of the audit trail. Worker only, SPI connected.
 *
 * An entry covers a run of rows of one table, those that one transaction wrote. Its leaf is their salted digest, so
 * that the log can be shown to everybody and says nothing. merkle_log.h has the tree.
 */
#ifndef HDMS_EXT_LEDGER_LOG_H
#define HDMS_EXT_LEDGER_LOG_H

#include "postgres.h"

#include "ledger_digest.h"
#include "merkle_log.h"

/* The tree, for publishing it and for witnesses. Its origin: hdms_ledger_origin(). */
extern MerkleLog *ledger_log_tree(void);

/*
 * Writes the entries for the rows of the last result, which this transaction inserted: ids without gaps, ascending, and
 * the columns of the kind. Frees the result.
 */
extern void ledger_log_rows(LedgerKind kind, uint64 count);

/*
 * Makes the log anew from all rows that there are, whatever it was before. In the current transaction; the caller
 * gives it another origin.
 */
extern void ledger_log_renew(void);

/*
 * What is done now and then, in transactions of its own: the audit trail is moved out of its queue, a checkpoint is signed where the
 * log has grown. Milliseconds until it wants to be called again.
 */
extern void ledger_move(void);
extern long ledger_timeout(void);

#endif
