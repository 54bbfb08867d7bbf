/*
 * roster.c
 *		Shared memory: which databases have a worker, and what it is doing.
 *
 * The launcher makes and removes slots; a worker attaches itself to its slot and
 * leaves it when it exits. A backend that is about to drop or copy a database
 * puts up a hold, which makes attaching impossible, and ends the worker; holds
 * fall with the backend's transaction, or with the backend.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"

#include "roster.h"

Roster	   *roster = NULL;

static shmem_request_hook_type previous_request;
static shmem_startup_hook_type previous_startup;

static RosterSlot *own_slot;	/* of a worker */
static bool holding;			/* this backend has put up a hold */
static Oid	start_at_commit = InvalidOid;

static void
roster_request_memory(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(sizeof(Roster));
	RequestNamedLWLockTranche("hdms", 1);
}

static void
roster_startup(void)
{
	bool		found;

	if (previous_startup)
		previous_startup();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	roster = ShmemInitStruct("hdms roster", sizeof(Roster), &found);
	if (!found)
	{
		memset(roster, 0, sizeof(Roster));
		roster->lock = &GetNamedLWLockTranche("hdms")->lock;
		ConditionVariableInit(&roster->changed);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
roster_request(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = roster_request_memory;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = roster_startup;
}

const char *
worker_state_word(WorkerState state)
{
	switch (state)
	{
		case WORKER_STOPPED:
			return "stopped";
		case WORKER_STARTING:
			return "starting";
		case WORKER_WITHOUT_EXTENSION:
			return "without_extension";
		case WORKER_OTHER_VERSION:
			return "other_version";
		case WORKER_WITHOUT_NETWORK:
			return "without_network";
		case WORKER_WITHOUT_KEYS:
			return "without_keys";
		case WORKER_HALTED:
			return "halted";
		case WORKER_JOINING:
			return "joining";
		case WORKER_ACTIVE:
			return "active";
	}
	return "unknown";
}

RosterSlot *
roster_find(Oid database)
{
	for (int i = 0; i < ROSTER_SLOTS; i++)
	{
		if (OidIsValid(database) && roster->slots[i].database == database)
			return &roster->slots[i];
	}
	return NULL;
}

/* A hold whose backend is gone counts no more: it may have died without leaving. */
bool
roster_is_held(Oid database)
{
	for (int i = 0; i < ROSTER_HOLDS; i++)
	{
		RosterHold *hold = &roster->holds[i];

		if (hold->pid == 0 || hold->database != database)
			continue;
		if (BackendPidGetProc(hold->pid) != NULL)
			return true;
		hold->pid = 0;
	}
	return false;
}

/* The worker leaves: the launcher is told, and whoever waits for it to be gone. */
static void
roster_detach(int code, Datum arg)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	if (own_slot != NULL && own_slot->pid == MyProcPid)
	{
		own_slot->pid = 0;
		if (own_slot->state != WORKER_WITHOUT_EXTENSION)
			own_slot->state = WORKER_STOPPED;
	}
	own_slot = NULL;
	LWLockRelease(roster->lock);
	ConditionVariableBroadcast(&roster->changed);
	roster_wake_launcher();
}

bool
roster_attach(Oid database)
{
	bool		attached = false;
	RosterSlot *slot;

	if (roster == NULL)
		return false;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	slot = roster_find(database);
	if (slot != NULL && slot->pid == 0 && !roster_is_held(database))
	{
		slot->pid = MyProcPid;
		slot->procno = MyProc - ProcGlobal->allProcs;
		slot->state = WORKER_STARTING;
		slot->started_at = GetCurrentTimestamp();
		own_slot = slot;
		attached = true;
	}
	LWLockRelease(roster->lock);
	if (attached)
		before_shmem_exit(roster_detach, (Datum) 0);
	return attached;
}

void
roster_report(WorkerState state)
{
	if (own_slot == NULL)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	own_slot->state = state;
	LWLockRelease(roster->lock);
}

void
roster_report_round(const WorkerCounters *counters)
{
	if (own_slot == NULL)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	own_slot->counters = *counters;
	own_slot->last_round = GetCurrentTimestamp();
	own_slot->restarts = 0;
	LWLockRelease(roster->lock);
}

void
roster_report_error(const char *text)
{
	if (own_slot == NULL)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	strlcpy(own_slot->last_error, text, ROSTER_TEXT);
	LWLockRelease(roster->lock);
}

void
roster_report_ledger(int64 size, const unsigned char root[HDMS_DIGEST_SIZE])
{
	if (own_slot == NULL)
		return;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	own_slot->ledger.size = size;
	memcpy(own_slot->ledger.root, root, HDMS_DIGEST_SIZE);
	own_slot->ledger.at = GetCurrentTimestamp();
	LWLockRelease(roster->lock);
}

LedgerHead
roster_ledger(Oid database)
{
	LedgerHead	head = {0};
	RosterSlot *slot;

	if (roster == NULL)
		return head;
	LWLockAcquire(roster->lock, LW_SHARED);
	slot = roster_find(database);
	if (slot != NULL)
		head = slot->ledger;
	LWLockRelease(roster->lock);
	return head;
}

bool
roster_vouchers_wanted(void)
{
	bool		wanted;

	if (own_slot == NULL)
		return false;
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	wanted = own_slot->wants_vouchers;
	own_slot->wants_vouchers = false;
	LWLockRelease(roster->lock);
	return wanted;
}

static void
roster_detach_launcher(int code, Datum arg)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	if (roster->launcher_pid == MyProcPid)
		roster->launcher_pid = 0;
	LWLockRelease(roster->lock);
}

void
roster_attach_launcher(void)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	roster->launcher_pid = MyProcPid;
	roster->launcher_procno = MyProc - ProcGlobal->allProcs;
	LWLockRelease(roster->lock);
	before_shmem_exit(roster_detach_launcher, (Datum) 0);
}

/* A latch that meanwhile belongs to another process is set in vain, which harms nobody. */
void
roster_wake_launcher(void)
{
	if (roster != NULL && roster->launcher_pid != 0)
		SetLatch(&ProcGlobal->allProcs[roster->launcher_procno].procLatch);
}

/* Takes down this backend's holds. */
static void
roster_release_holds(void)
{
	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	for (int i = 0; i < ROSTER_HOLDS; i++)
	{
		RosterSlot *slot;

		if (roster->holds[i].pid != MyProcPid)
			continue;
		roster->holds[i].pid = 0;
		slot = roster_find(roster->holds[i].database);
		if (slot != NULL)
			slot->next_start = 0;
	}
	LWLockRelease(roster->lock);
	holding = false;
	roster_wake_launcher();
}

static void
roster_release_at_exit(int code, Datum arg)
{
	if (holding)
		roster_release_holds();
}

static void
roster_at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (OidIsValid(start_at_commit))
	{
		if (event == XACT_EVENT_COMMIT)
		{
			RosterSlot *slot;

			LWLockAcquire(roster->lock, LW_EXCLUSIVE);
			slot = roster_find(start_at_commit);
			if (slot != NULL)
				slot->next_start = 0;
			LWLockRelease(roster->lock);
			roster_wake_launcher();
		}
		start_at_commit = InvalidOid;
	}
	if (holding)
		roster_release_holds();
}

/* Once for the process: the callbacks stay. */
static void
roster_register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(roster_at_transaction_end, NULL);
	before_shmem_exit(roster_release_at_exit, (Datum) 0);
	registered = true;
}

void
roster_start_at_commit(Oid database)
{
	if (roster == NULL)
		return;
	roster_register_callbacks();
	start_at_commit = database;
}

/* Puts up this backend's hold, once. False when all places are taken. */
static bool
roster_put_hold(Oid database)
{
	RosterHold *free_hold = NULL;

	for (int i = 0; i < ROSTER_HOLDS; i++)
	{
		RosterHold *hold = &roster->holds[i];

		if (hold->pid == MyProcPid && hold->database == database)
			return true;
		if (hold->pid == 0 || BackendPidGetProc(hold->pid) == NULL)
			free_hold = hold;
	}
	if (free_hold == NULL)
		return false;
	free_hold->database = database;
	free_hold->pid = MyProcPid;
	return true;
}

void
roster_hold(Oid database)
{
	bool		put;

	if (roster == NULL)
		return;
	roster_register_callbacks();

	LWLockAcquire(roster->lock, LW_EXCLUSIVE);
	put = roster_put_hold(database);
	holding = holding || put;
	LWLockRelease(roster->lock);
	if (!put)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many statements keep HDMS workers away at the same time")));

	ConditionVariablePrepareToSleep(&roster->changed);
	for (;;)
	{
		RosterSlot *slot;
		int			pid;

		LWLockAcquire(roster->lock, LW_SHARED);
		slot = roster_find(database);
		pid = slot != NULL ? slot->pid : 0;
		LWLockRelease(roster->lock);
		if (pid == 0)
			break;
		kill(pid, SIGTERM);
		ConditionVariableTimedSleep(&roster->changed, 200, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}
