/*
 * ledger_guard.h
 *		The newest checkpoint of the node's own log, kept beside the keys: what notices that an older database was put back. Worker only.
 */
#ifndef HDMS_EXT_LEDGER_GUARD_H
#define HDMS_EXT_LEDGER_GUARD_H

#include "postgres.h"

#include "note.h"

/* MerkleLog.before_store: makes a checkpoint durable beside the keys. Raises an ERROR where that fails. */
extern void ledger_guard_keep(const HdmsCheckpoint *checkpoint, const char *note);

/*
 * Compares the database with what lies beside the keys. NULL where it is the one that was signed; else why not, palloc'ed. In a
 * transaction with SPI. Keys must be open, and own_node.ledger_epoch be set.
 */
extern char *ledger_guard_check(void);

/*
 * A person has accepted that a part of the log is lost: begins a new epoch over what is there. In a transaction with SPI; changes
 * hdms_internal.node.
 */
extern void ledger_guard_renew(const char *reason);

#endif
