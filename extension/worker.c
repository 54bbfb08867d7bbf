/*
 * worker.c
 *		One database's worker: its rounds, its waiting.
 *
 * The worker alone holds keys and talks. It sleeps until a backend's commit sets its latch, the
 * server answers, or it is time to look. No transaction is open while it sleeps or
 * talks, so whoever wants to drop the database never waits for the network.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "courier.h"
#include "directory.h"
#include "directory_watch.h"
#include "flow.h"
#include "flow_erase.h"
#include "flow_plan.h"
#include "inbox.h"
#include "join.h"
#include "keyring.h"
#include "ledger_log.h"
#include "node.h"
#include "outbox.h"
#include "outbox_delivery.h"
#include "roster.h"
#include "settings.h"
#include "transaction.h"

#define ISSUE_BATCH			100
#define REFRESH_LEAST_MS	500 /* how often the node's row is read at most, when woken */
#define ERROR_LONGEST_S		60

PGDLLEXPORT void hdms_worker_main(Datum arg);

static MemoryContext round_context;
static bool woken = true;		/* a backend has committed something, or it is time to look */
static TimestampTz poll_at;
static TimestampTz refresh_at;	/* not before */
static bool refresh_due = true;
static TimestampTz timers_at;
static bool issue_due = true;
static int	errors_in_a_row;
static WorkerCounters counters;

static void
set_option(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/* What a role or database may have been given as defaults is not meant for this process. */
static void
settings_of_worker(void)
{
	set_option("search_path", "pg_catalog, pg_temp");
	set_option("statement_timeout", "0");
	set_option("lock_timeout", "0");
	set_option("idle_in_transaction_session_timeout", "0");
	set_option("default_transaction_isolation", "read committed");
	set_option("default_transaction_read_only", "off");
	set_option("jit", "off");

	/* Plans are made once, often while a table is empty: a walk through the whole of it would stay for good. */
	set_option("enable_seqscan", "off");
	set_option("enable_hashjoin", "off");
	set_option("enable_mergejoin", "off");
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		set_option("synchronous_commit", "on");
}

/* The installed extension's version; NULL without it. In the current memory context. */
static char *
extension_version(void)
{
	char	   *version = NULL;
	MemoryContext before = CurrentMemoryContext;

	transaction_begin("looking for the extension");
	if (OidIsValid(get_extension_oid("hdms", true)))
	{
		if (SPI_execute("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'hdms'", true, 1) == SPI_OK_SELECT &&
			SPI_processed == 1)
		{
			MemoryContextSwitchTo(before);
			version = row_text(0, 1);
		}
	}
	transaction_commit();
	return version;
}

/* From here on nothing is done with a superuser's rights. */
static void
become_worker_role(void)
{
	Oid			role;

	transaction_begin("taking on the worker's role");
	role = get_role_oid("hdms_worker", false);
	transaction_commit();
	SetUserIdAndSecContext(role, SECURITY_LOCAL_USERID_CHANGE);
}

static void
wait_for_latch(long timeout_ms)
{
	WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0), timeout_ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Ends the process where there is nothing to serve; stays, idle, where only an upgrade is missing. */
static void
check_extension(void)
{
	char	   *version = extension_version();

	if (version == NULL)
	{
		roster_report(WORKER_WITHOUT_EXTENSION);
		proc_exit(0);
	}
	if (strcmp(version, HDMS_VERSION) == 0)
		return;
	roster_report(WORKER_OTHER_VERSION);
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("HDMS is idle in this database: its extension has version %s, the running library %s", version, HDMS_VERSION),
			 errhint("Run ALTER EXTENSION hdms UPDATE, or restart the server after an upgrade of the package.")));
	for (;;)
		wait_for_latch(-1);
}

static bool
is_due(TimestampTz at)
{
	return at <= GetCurrentTimestamp();
}

static TimestampTz
after(int64 milliseconds)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
}

/* Reads the node's row again: when told of work, but not more often than makes sense. */
static void
refresh_node(void)
{
	if (!refresh_due || !is_due(refresh_at))
		return;
	refresh_due = false;
	refresh_at = after(REFRESH_LEAST_MS);
	join_refresh();
}

static bool
issue_records(void)
{
	int			count;

	if (flow_issue_is_due())
		issue_due = true;
	if (!issue_due)
		return false;
	transaction_begin("issuing records");
	count = flow_issue(ISSUE_BATCH);
	transaction_commit();
	directory_forget();
	issue_due = count >= ISSUE_BATCH;
	return count > 0;
}

static void
run_timers(void)
{
	int			seconds;

	if (!flow_timers_are_due() && !is_due(timers_at))
		return;
	transaction_begin("looking after timers");
	seconds = flow_timers();
	transaction_commit();
	directory_forget();
	timers_at = after(Max(1, Min(seconds, 60)) * INT64CONST(1000));
}

/* What was erased may be here again from a backup: it goes before anything is said or done. True when all of it has gone. */
static bool
erasures_stand(void)
{
	if (flow_erase_is_caught_up())
		return true;
	transaction_begin("comparing with the journal of erasures");
	flow_erase_catch_up();
	transaction_commit();
	directory_forget();
	return flow_erase_is_caught_up();
}

/* Everything that can be done without waiting. True when it should be done again at once. */
static bool
worker_round(void)
{
	bool		more = false;

	if (woken || is_due(poll_at))
	{
		woken = false;
		refresh_due = issue_due = true;
		timers_at = 0;			/* a backend may have confirmed a patient, or taken the last voucher */
		outbox_delivery_is_due();
		if (is_due(poll_at))
			pgstat_report_stat(true);
		poll_at = after(setting_poll_interval * INT64CONST(1000));
	}
	refresh_node();
	courier_drive();
	join_move();
	if (own_node.ready && !erasures_stand())
		more = true;
	else if (own_node.ready)
	{
		more = inbox_round();
		run_timers();
		more = issue_records() || more;
		outbox_expire();
		ledger_move();
		lookups_move();
		watch_move();
		publication_move();
		mail_move();
	}

	/* What was answered just now is acted upon at once: nothing else would wake this process for it. */
	more = courier_drive() || more;

	counters.rounds++;
	counters.sent = outbox_sent();
	counters.received = inbox_received();
	counters.refused = inbox_refused();
	counters.failures = courier_failures();
	roster_report_round(&counters);
	return more;
}

/* The worker goes on after an error, with nothing under way and everything looked at anew. */
static void
recover_from_error(void)
{
	int			seconds = Min(1 << Min(errors_in_a_row, 6), ERROR_LONGEST_S);
	int			sqlerrcode = geterrcode();

	HOLD_INTERRUPTS();
	error_context_stack = NULL;
	EmitErrorReport();
	AbortCurrentTransaction();
	LWLockReleaseAll();
	inbox_failed(sqlerrcode);
	courier_reset();
	directory_forget();
	MemoryContextSwitchTo(round_context);
	FlushErrorState();
	RESUME_INTERRUPTS();

	roster_report_error("an error was raised in the worker: see the server's log");
	errors_in_a_row++;
	refresh_due = true;
	for (TimestampTz until = after(seconds * INT64CONST(1000)); !is_due(until);)
		wait_for_latch(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until));
	woken = true;
}

static long
shorter(long a, long b)
{
	if (a < 0 || b < 0)
		return Max(a, b);
	return Min(a, b);
}

static long
nap_length(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		nap = TimestampDifferenceMilliseconds(now, poll_at);

	nap = shorter(nap, courier_timeout());
	nap = shorter(nap, join_timeout());
	if (refresh_due)
		nap = shorter(nap, TimestampDifferenceMilliseconds(now, refresh_at));
	if (own_node.ready)
	{
		nap = shorter(nap, TimestampDifferenceMilliseconds(now, timers_at));
		nap = shorter(nap, inbox_timeout());
		nap = shorter(nap, watch_timeout());
		nap = shorter(nap, publication_timeout());
		nap = shorter(nap, outbox_delivery_timeout());
		nap = shorter(nap, ledger_timeout());
	}

	/* Something that is due and cannot be done now, such as while backing off, must not make this spin. */
	return Max(nap, 10);
}

static WaitEventSet *
what_to_wait_on(void)
{
#if PG_VERSION_NUM >= 170000
	WaitEventSet *set = CreateWaitEventSet(NULL, 3);	/* of no resource owner: for the whole process */
#else
	WaitEventSet *set = CreateWaitEventSet(TopMemoryContext, 3);
#endif

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, http_descriptor(), NULL, NULL);
	return set;
}

static void
worker_loop(void)
{
	WaitEventSet *set = what_to_wait_on();

	for (;;)
	{
		WaitEvent	event;
		volatile bool more = false;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			settings_of_worker();
			woken = true;
		}
		MemoryContextReset(round_context);
		MemoryContextSwitchTo(round_context);
		PG_TRY();
		{
			more = worker_round();
			if (errors_in_a_row > 0)
				roster_report_error("");
			errors_in_a_row = 0;
		}
		PG_CATCH();
		{
			recover_from_error();
			more = true;
		}
		PG_END_TRY();

		if (WaitEventSetWait(set, more ? 0 : nap_length(), &event, 1, PG_WAIT_EXTENSION) == 1 && event.events == WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			woken = true;
		}
	}
}

void
hdms_worker_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* Attached before it is connected: who wants the database to itself finds this process, or keeps it from attaching. */
	if (!roster_attach(database))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgstat_report_appname("hdms worker");
	settings_of_worker();
	round_context = AllocSetContextCreate(TopMemoryContext, "hdms round", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round_context);

	check_extension();
	become_worker_role();
	courier_open();
	ereport(LOG, (errmsg("HDMS worker started for database %u", database)));
	worker_loop();
}
