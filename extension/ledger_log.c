/*
 * ledger_log.c
 *		This node's own log: a promise of every event and of every row of the audit trail.
 */
#include "postgres.h"

#include "ledger_log.h"
#include "node.h"

static void
ledger_origin(char origin[HDMS_ORIGIN_MAX])
{
	hdms_ledger_origin(own_node.id, own_node.ledger_epoch, origin);
}

static MerkleLog ledger_log = {
	.name = "this node's own log",
	.consequence = "Nothing new is signed, so that no promise is broken.",
	.origin = ledger_origin,
	MERKLE_LOG("ledger")
};

MerkleLog *
ledger_log_tree(void)
{
	return &ledger_log;
}
