/*
 * flow_erased.h
 *		Records that the institution has erased, and the person's own copies of them. Inside a transaction of the caller.
 */
#ifndef NODE_FLOW_ERASED_H
#define NODE_FLOW_ERASED_H

#include "flow.h"

/* Erases the person's copies of all versions that a tombstone names: verification key, evidence and tombstone stay. */
extern bool copies_erase(Pairing *pairing, const char *tombstone);

/* Tells the institution what became of the copies. re: the jti that it answers, or "". */
extern bool erasure_tell(Pairing *pairing, const char *tombstone, bool is_kept, const char *re);

#endif
