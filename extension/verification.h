/*
 * verification.h
 *		How far hdms.verify_ledger() came, in shared memory: for a view, and for going on after an interruption.
 */
#ifndef HDMS_EXT_VERIFICATION_H
#define HDMS_EXT_VERIFICATION_H

#include "postgres.h"

#include "utils/timestamp.h"
#include "utils/uuid.h"

typedef struct VerificationProgress
{
	pg_uuid_t	position;		/* the last record done */
	int64		records;		/* done */
	int64		states;			/* their signed versions */
	int64		failures;
	bool		is_complete;
	int			pid;			/* of who runs it; 0: nobody */
	TimestampTz started_at;		/* 0: there was none since the server started */
	TimestampTz updated_at;
} VerificationProgress;

/* No-ops where this database has no worker's slot in shared memory. */
extern void verification_begin(VerificationProgress *progress);
extern void verification_report(VerificationProgress *progress);
extern void verification_end(VerificationProgress *progress);

/* Takes over where the last one of this database was interrupted. False when it was not. */
extern bool verification_interrupted(VerificationProgress *progress);

#endif
