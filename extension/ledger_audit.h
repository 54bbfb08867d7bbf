/*
 * ledger_audit.h
 *		The audit trail's way from the queue that backends write to into the node's own log. Worker only.
 */
#ifndef HDMS_EXT_LEDGER_AUDIT_H
#define HDMS_EXT_LEDGER_AUDIT_H

#include "postgres.h"

/* Moves rows in a transaction of its own. True when there may be more. */
extern bool ledger_audit_move(void);

#endif
