/*
 * flow_repair.h
 *		Repairs and recoveries: what the two halves, asking and being answered, share. Worker only.
 */
#ifndef HDMS_EXT_FLOW_REPAIR_H
#define HDMS_EXT_FLOW_REPAIR_H

#include "postgres.h"

#include "fn_evidence_keys.h"

/*
 * Why a record is not as it should be, palloc'ed; NULL when it is: every check passes, and as many versions are here as were
 * once committed. Sees what this transaction has written.
 */
extern char *repair_problem(EvidenceKeys *keys, const char *record);

/* Ends a repair: status, event, reason. */
extern void repair_end(int64 id, const char *record, const char *status, const char *reason);

/* The repair goes on with everything that the node has. */
extern void repair_widen(int64 id, const char *node);

/* Asks a node for what comes after a place (NULL: from the beginning), and notes that. */
extern void recovery_ask(const char *node, const char *place);

/* A node has given all that it has: ends the repairs that waited for it, or begins anew for those that came later. */
extern void recovery_end(EvidenceKeys *keys, const char *node);

#endif
