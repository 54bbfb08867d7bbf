/*
 * wake.c
 *		Backends tell their database's worker that there is work, after their commit.
 *
 * LISTEN is refused in workers, so the worker's latch is set from a callback of
 * the transaction's end. A prepared transaction is committed by somebody who knows nothing
 * of this: the worker looks on its own every hdms.poll_interval as well.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/builtins.h"

#include "roster.h"
#include "wake.h"

static bool wake_wanted = false;

static bool
wake(bool wants_vouchers)
{
	RosterSlot *slot;
	int			procno = -1;

	if (roster == NULL)
		return false;
	LWLockAcquire(roster->lock, wants_vouchers ? LW_EXCLUSIVE : LW_SHARED);
	slot = roster_find(MyDatabaseId);
	if (slot != NULL && slot->pid != 0)
	{
		procno = slot->procno;
		if (wants_vouchers)
			slot->wants_vouchers = true;
	}
	LWLockRelease(roster->lock);
	if (procno < 0)
		return false;
	SetLatch(&ProcGlobal->allProcs[procno].procLatch);
	return true;
}

bool
wake_worker_for_vouchers(void)
{
	return wake(true);
}

/* Must not raise: the transaction has been committed already. */
static void
wake_at_transaction_end(XactEvent event, void *arg)
{
	if (!wake_wanted)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			wake_wanted = false;
			wake(false);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wake_wanted = false;
			break;
		default:
			break;
	}
}

void
wake_worker_at_commit(void)
{
	static bool registered = false;

	if (roster == NULL)
		return;
	if (!registered)
	{
		RegisterXactCallback(wake_at_transaction_end, NULL);
		registered = true;
	}
	wake_wanted = true;
}

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_wake_worker);
PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_is_preloaded);
PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_worker_status);

Datum
hdms_wake_worker(PG_FUNCTION_ARGS)
{
	wake_worker_at_commit();
	PG_RETURN_VOID();
}

Datum
hdms_is_preloaded(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(roster != NULL);
}

static void
put_time(Datum *values, bool *nulls, int column, TimestampTz time)
{
	values[column] = TimestampTzGetDatum(time);
	nulls[column] = time == 0;
}

/* hdms_internal.worker_status() */
Datum
hdms_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RosterSlot *slots;

	InitMaterializedSRF(fcinfo, 0);
	if (roster == NULL)
		return (Datum) 0;

	slots = palloc(sizeof(roster->slots));
	LWLockAcquire(roster->lock, LW_SHARED);
	memcpy(slots, roster->slots, sizeof(roster->slots));
	LWLockRelease(roster->lock);

	for (int i = 0; i < ROSTER_SLOTS; i++)
	{
		RosterSlot *slot = &slots[i];
		Datum		values[11];
		bool		nulls[11] = {0};

		if (!OidIsValid(slot->database))
			continue;
		values[0] = NameGetDatum(&slot->name);
		values[1] = Int32GetDatum(slot->pid);
		nulls[1] = slot->pid == 0;
		values[2] = CStringGetTextDatum(worker_state_word(slot->state));
		put_time(values, nulls, 3, slot->started_at);
		put_time(values, nulls, 4, slot->last_round);
		values[5] = Int64GetDatum(slot->counters.rounds);
		values[6] = Int64GetDatum(slot->counters.sent);
		values[7] = Int64GetDatum(slot->counters.received);
		values[8] = Int64GetDatum(slot->counters.refused);
		values[9] = Int64GetDatum(slot->counters.failures);
		values[10] = CStringGetTextDatum(slot->last_error);
		nulls[10] = slot->last_error[0] == '\0';
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
