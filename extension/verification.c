/*
 * verification.c
 *		How far hdms.verify_ledger() came, in shared memory: for a view, and for going on after an interruption.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/builtins.h"

#include "roster.h"
#include "verification.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_verification_status);

static void
publish(VerificationProgress *progress)
{
	RosterSlot *slot;

	progress->updated_at = GetCurrentTimestamp();
	if (roster == NULL)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = roster_find(MyDatabaseId);
	if (slot != NULL)
		slot->verification = *progress;
	LWLockRelease(roster->lock);
}

void
verification_begin(VerificationProgress *progress)
{
	progress->pid = MyProcPid;
	progress->started_at = GetCurrentTimestamp();
	progress->is_complete = false;
	publish(progress);
}

void
verification_report(VerificationProgress *progress)
{
	publish(progress);
}

void
verification_end(VerificationProgress *progress)
{
	progress->pid = 0;
	publish(progress);
}

bool
verification_interrupted(VerificationProgress *progress)
{
	RosterSlot *slot;
	bool		found = false;

	if (roster == NULL)
		return false;
	LWLockAcquire(roster->lock, LW_SHARED);
	slot = roster_find(MyDatabaseId);
	if (slot != NULL && slot->verification.started_at != 0 && !slot->verification.is_complete)
	{
		*progress = slot->verification;
		found = true;
	}
	LWLockRelease(roster->lock);
	return found && (progress->pid == 0 || BackendPidGetProc(progress->pid) == NULL);
}

static const char *
state_word(const VerificationProgress *progress)
{
	if (progress->is_complete)
		return "complete";
	return progress->pid != 0 && BackendPidGetProc(progress->pid) != NULL ? "running" : "interrupted";
}

/* hdms_internal.verification_status() */
Datum
hdms_verification_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	VerificationProgress progress = {0};
	RosterSlot *slot;
	Datum		values[8];
	bool		nulls[8] = {0};

	InitMaterializedSRF(fcinfo, 0);
	if (roster == NULL)
		return (Datum) 0;
	LWLockAcquire(roster->lock, LW_SHARED);
	slot = roster_find(MyDatabaseId);
	if (slot != NULL)
		progress = slot->verification;
	LWLockRelease(roster->lock);
	if (progress.started_at == 0)
		return (Datum) 0;
	values[0] = CStringGetTextDatum(state_word(&progress));
	values[1] = Int32GetDatum(progress.pid);
	nulls[1] = progress.pid == 0;
	values[2] = TimestampTzGetDatum(progress.started_at);
	values[3] = TimestampTzGetDatum(progress.updated_at);
	values[4] = UUIDPGetDatum(&progress.position);
	values[5] = Int64GetDatum(progress.records);
	values[6] = Int64GetDatum(progress.states);
	values[7] = Int64GetDatum(progress.failures);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}
