/*
 * launcher.c
 *		Starts and watches one worker for each database of hdms.databases.
 *
 * Only named databases: looking into every database of a cluster for the
 * extension would take worker slots from others. The launcher is connected to no
 * database, so that none is kept from being dropped by it. A worker that
 * ended is started again after a while that doubles; one that found no
 * extension, rarely, or when CREATE EXTENSION wakes the launcher.
 */
#include "postgres.h"

#include <signal.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "launcher.h"
#include "roster.h"
#include "settings.h"

#define LAUNCHER_NAP_MS			10000
#define RESTART_LONGEST_S		60
#define WITHOUT_EXTENSION_S		60

PGDLLEXPORT void hdms_launcher_main(Datum arg);

/* A name of hdms.databases; oid is InvalidOid while there is no such database. */
typedef struct WantedDatabase
{
	char	   *name;
	Oid			oid;
} WantedDatabase;

void
launcher_register(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	strlcpy(worker.bgw_library_name, "hdms", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "hdms_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "hdms launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "hdms launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

/* Looks the names up. By reading all of pg_database: a process without a database has no index to go by. */
static void
look_up_databases(WantedDatabase *wanted, int count)
{
	Relation	databases;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	databases = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(databases, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);

		for (int i = 0; i < count; i++)
		{
			if (strcmp(NameStr(row->datname), wanted[i].name) == 0)
				wanted[i].oid = row->oid;
		}
	}
	table_endscan(scan);
	table_close(databases, AccessShareLock);
	CommitTransactionCommand();
}

/* The databases that are to have a worker. */
static WantedDatabase *
launcher_wanted(int *count)
{
	char	   *list = pstrdup(setting_databases);
	List	   *names = NIL;
	ListCell   *cell;
	WantedDatabase *wanted;
	MemoryContext context = CurrentMemoryContext;

	*count = 0;
	if (!SplitGUCList(list, ',', &names))
	{
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("hdms.databases is not a list of names: \"%s\"", setting_databases)));
		return NULL;
	}
	wanted = palloc0(sizeof(WantedDatabase) * (list_length(names) + 1));
	foreach(cell, names)
		wanted[(*count)++].name = lfirst(cell);
	if (*count > 0)
		look_up_databases(wanted, *count);
	MemoryContextSwitchTo(context);
	return wanted;
}

/* Makes the slots be those of the wanted databases; a worker that is not wanted any more is ended. */
static void
launcher_settle_slots(WantedDatabase *wanted, int count)
{
	static bool complained = false;
	bool		left_out = false;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < ROSTER_SLOTS; i++)
		roster->slots[i].wanted = false;
	for (int i = 0; i < count; i++)
	{
		RosterSlot *slot = roster_find(wanted[i].oid);

		if (!OidIsValid(wanted[i].oid))
			continue;
		for (int j = 0; slot == NULL && j < ROSTER_SLOTS; j++)
		{
			if (OidIsValid(roster->slots[j].database))
				continue;
			slot = &roster->slots[j];
			memset(slot, 0, sizeof(RosterSlot));
			slot->database = wanted[i].oid;
		}
		if (slot == NULL)
		{
			left_out = true;
			continue;
		}
		slot->wanted = true;
		namestrcpy(&slot->name, wanted[i].name);
	}
	for (int i = 0; i < ROSTER_SLOTS; i++)
	{
		RosterSlot *slot = &roster->slots[i];

		if (!OidIsValid(slot->database) || slot->wanted)
			continue;
		if (slot->pid != 0)
			kill(slot->pid, SIGTERM);
		else
			slot->database = InvalidOid;
	}
	LWLockRelease(roster->lock);
	if (left_out && !complained)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("hdms.databases names more than %d databases: some have no worker", ROSTER_SLOTS)));
	complained = left_out;
}

static bool
launcher_start_worker(Oid database, const char *name)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	strlcpy(worker.bgw_library_name, "hdms", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "hdms_worker_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "hdms worker for %s", name);
	strlcpy(worker.bgw_type, "hdms worker", BGW_MAXLEN);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* Starts one worker that is due. Returns the milliseconds until the next is, 0 when there may be more now. */
static long
launcher_start_due(void)
{
	static bool complained = false;
	TimestampTz now = GetCurrentTimestamp();
	long		nap = LAUNCHER_NAP_MS;
	Oid			due = InvalidOid;
	NameData	name;
	bool		started;

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < ROSTER_SLOTS && !OidIsValid(due); i++)
	{
		RosterSlot *slot = &roster->slots[i];

		if (!OidIsValid(slot->database) || !slot->wanted || slot->pid != 0 || roster_is_held(slot->database))
			continue;
		if (slot->next_start > now)
		{
			nap = Min(nap, TimestampDifferenceMilliseconds(now, slot->next_start) + 1);
			continue;
		}
		due = slot->database;
		name = slot->name;

		/* When it may be tried again, should this one end or not appear at all. */
		if (slot->state == WORKER_WITHOUT_EXTENSION)
			slot->next_start = TimestampTzPlusMilliseconds(now, WITHOUT_EXTENSION_S * 1000L);
		else
			slot->next_start = TimestampTzPlusMilliseconds(now, Min(1 << Min(slot->restarts, 6), RESTART_LONGEST_S) * 1000L);
		slot->restarts++;
	}
	LWLockRelease(roster->lock);
	if (!OidIsValid(due))
		return nap;

	started = launcher_start_worker(due, NameStr(name));
	if (!started && !complained)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no background worker is free for HDMS in database \"%s\"", NameStr(name)),
				 errhint("Increase max_worker_processes: HDMS takes one, and one for each database of hdms.databases.")));
	complained = !started;
	return 0;
}

void
hdms_launcher_main(Datum arg)
{
	MemoryContext round;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("hdms launcher");
	roster_attach_launcher();
	round = AllocSetContextCreate(TopMemoryContext, "hdms launcher", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		WantedDatabase *wanted;
		int			count;
		long		nap;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		MemoryContextSwitchTo(round);
		pgstat_report_activity(STATE_RUNNING, "looking after the workers");
		wanted = launcher_wanted(&count);
		launcher_settle_slots(wanted, count);
		while ((nap = launcher_start_due()) == 0)
			CHECK_FOR_INTERRUPTS();
		pgstat_report_activity(STATE_IDLE, NULL);
		MemoryContextReset(round);

		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, nap, PG_WAIT_EXTENSION);
	}
}
