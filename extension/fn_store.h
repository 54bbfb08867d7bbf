/*
 * fn_store.h
 *		Writing records and versions in the caller's transaction: what issue, amend and the imports have in common.
 *
 * A version that can be sent is 'queued' and has a row in the issue queue. A version that waits has none:
 * the worker looks for waiting versions whose patient has paired or whose predecessor has ended, and queues them.
 * Records are never locked, so that an EMR's long transaction never makes the worker wait.
 */
#ifndef HDMS_EXT_FN_STORE_H
#define HDMS_EXT_FN_STORE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "fn_content.h"

typedef enum StoreOutcome
{
	STORED_NEW,					/* a new record */
	STORED_VERSION,				/* a new version of a record */
	STORED_BEFORE,				/* the newest version had the same content: nothing was written */
	STORE_UNKNOWN_PATIENT,
	STORE_UNKNOWN_RECORD,
	STORE_OTHER_PATIENT,		/* source_id belongs to a record of another patient */
	STORE_ERASED,
	STORE_CONTINUED				/* by another record: the patient has another node */
} StoreOutcome;

/* The default of how long a patient has to accept, by the setting. palloc'ed. */
extern Interval *store_default_acceptance(void);

/*
 * Stores content as a new record of that patient, or, where source_id (may be NULL) is known, as its newest version.
 * SPI connected. accept_within NULL: the default. retain_until NULL: as the rules say; a record's own is never made earlier.
 * record (out) where the outcome is STORED_*.
 */
extern StoreOutcome store_record(text *patient_ref, text *source_id, const Content *content,
								 Interval *accept_within, const TimestampTz *retain_until, pg_uuid_t *record);

/*
 * Stores content as the newest version of a record, unless its newest version has the same content.
 * patient_ref: NULL, or who the record must belong to. again: also where the content is the same. ordinal (out).
 */
extern StoreOutcome store_version(const pg_uuid_t *record, text *patient_ref, const Content *content,
								  Interval *accept_within, bool again, int32 *ordinal);

#endif
