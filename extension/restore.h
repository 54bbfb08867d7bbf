/*
 * restore.h
 *		Versions put back from copies that verify. Worker only.
 */
#ifndef HDMS_EXT_RESTORE_H
#define HDMS_EXT_RESTORE_H

#include "postgres.h"

#include "flow_body.h"
#include "fn_evidence_keys.h"

/* A copy that came, parsed: its state is of this institution, for the node that sent it. */
typedef struct ReceivedCopy
{
	const HdmsCopy *copy;		/* borrowed */
	HdmsState	state;
	int64		payload;		/* of a row in payloads without a version that has the same texts; 0: none */
} ReceivedCopy;

/* What came of a record's copies. */
typedef struct RestoreOutcome
{
	int			restored;		/* versions that were put back */
	int			unsound;		/* copies that did not verify */
} RestoreOutcome;

/*
 * Verifies the copies of one record, together with what is stored of it, and puts back what is missing or damaged here. What is sound
 * is not touched; what was damaged is kept as an incident. evidence: keys and lists, with the patient's history. Repeating it changes nothing.
 */
extern RestoreOutcome restore_record(const HdmsEvidence *evidence, const char *record, const char *node, const ReceivedCopy *copies, int count);

/* Whether this institution signed that it erased the record: then nothing of it is put back. */
extern bool restore_is_erased(const char *record);

#endif
