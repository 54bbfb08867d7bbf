/*
 * flow_repair.h
 *		Damaged versions that the institution is asked for. Inside a transaction of the caller.
 */
#ifndef NODE_FLOW_REPAIR_H
#define NODE_FLOW_REPAIR_H

#include "flow.h"

/* Notes that all versions of a record, up to the given one, are to be asked for. *count grows by those that were not noted before. */
extern bool repair_note(Pairing *pairing, const Version *end, int64_t *count);

/* Asks for what was noted, unless a question is under way already. */
extern bool repair_ask(Pairing *pairing);

/* The answer to such a question; its sender was verified. */
extern Outcome repair_answered(Arrival *arrival);

/* From flow_recover.c. Whether all lists that the copies pin are here; those that are not are asked for. */
extern Outcome copies_check_lists(Arrival *arrival);

/* Verifies a copy with evidence, and puts it in the place of what is stored of that version; stored NULL: as a new row. */
extern HdmsStatus copy_put_back(Arrival *arrival, const HdmsCopy *copy, const HdmsHistory *patient, const Version *stored);

#endif
