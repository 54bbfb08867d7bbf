/*
 * fn_verify_ledger.c
 *		hdms.verify_ledger(): every check of every record; the failures, and a summary.
 *
 * Records are taken in the order of their ids, some thousand at a time, each lot by a query that the planner may spread
 * over parallel workers: hdms_internal.record_failures() only reads. So memory stays flat, and how far it came is
 * known at each moment: it is kept in shared memory for a view, and for going on after an interruption.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "fn_argument.h"
#include "fn_verify_log.h"
#include "fn_verify_notary.h"
#include "roster.h"
#include "verification.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_verify_ledger);

#define RECORDS_AT_ONCE	5000
#define FAILURES_LOGGED	100
#define FILTER_ARGS		6

/* Which records: $1 the last one done, $2 patient, $3 since, $4 until, $5 share of all in ten-thousandths, $6 seed of the sample. */
#define FILTER \
	" r.record > $1 AND ($2 IS NULL OR r.patient_ref = $2) AND ($3 IS NULL OR r.created_at >= $3)" \
	" AND ($4 IS NULL OR r.created_at < $4)" \
	" AND ($5 IS NULL OR pg_catalog.abs(pg_catalog.uuid_hash_extended(r.record, $6) % 10000) < $5)"

static const char *const find_end =
	"SELECT record FROM (SELECT r.record, pg_catalog.row_number() OVER (ORDER BY r.record) AS n"
	" FROM hdms_internal.records r WHERE" FILTER " ORDER BY r.record LIMIT $7) lot ORDER BY n DESC LIMIT 1";

static const char *const verify_lot =
	"SELECT r.record, f.version, f.check_name, f.detail"
	" FROM hdms_internal.records r, LATERAL hdms_internal.record_failures(r.record) f"
	" WHERE r.record <= $7 AND" FILTER;

/* Rows that belong together and are not there together. */
static const char *const find_orphans =
	"SELECT v.record, v.ordinal, 'rows', 'the version belongs to no record' FROM hdms_internal.versions v"
	" WHERE NOT EXISTS (SELECT FROM hdms_internal.records r WHERE r.record = v.record)"
	" UNION ALL SELECT v.record, v.ordinal, 'rows', 'the bytes of the version are missing' FROM hdms_internal.versions v"
	" WHERE NOT EXISTS (SELECT FROM hdms_internal.payloads p WHERE p.id = v.id)"
	" UNION ALL SELECT r.record, NULL, 'rows', 'the record has no version' FROM hdms_internal.records r"
	" WHERE NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.record = r.record)"
	" UNION ALL SELECT NULL, NULL, 'rows', 'the bytes of version ' || p.id || ' belong to no version' FROM hdms_internal.payloads p"
	" WHERE NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.id = p.id)";

/* What the node's own log covers, against the tables. */
static const char *const verify_entries =
	"SELECT f.record, NULL::integer, f.check_name, f.detail"
	" FROM hdms_internal.ledger_entries e, LATERAL hdms_internal.ledger_entry_failures(e.index) f"
	" WHERE e.index >= $1 AND e.index < $2";

/* Rows that are in no entry; records that only events remember; bindings that no event made. */
static const char *const find_unlogged =
	"SELECT e.record, NULL::integer, 'event', 'event ' || e.id || ' is in no entry of the log' FROM hdms_internal.events e"
	" WHERE e.id < 1 OR e.id > coalesce((SELECT max(l.last_id) FROM hdms_internal.ledger_entries l WHERE l.kind = 'events'), 0)"
	" UNION ALL SELECT a.record, NULL, 'audit', 'row ' || a.id || ' of the audit trail is in no entry of the log'"
	" FROM hdms_internal.audit a"
	" WHERE a.id < 1 OR a.id > coalesce((SELECT max(l.last_id) FROM hdms_internal.ledger_entries l WHERE l.kind = 'audit'), 0)"
	" UNION ALL SELECT m.record, NULL, 'missing', 'the record is gone: event ' || min(m.id) || ' is the first about it'"
	" FROM hdms_internal.events m WHERE m.record IS NOT NULL"
	" AND NOT EXISTS (SELECT FROM hdms_internal.records r WHERE r.record = m.record) GROUP BY m.record"
	" UNION ALL SELECT NULL, NULL, 'binding', 'patient ' || pg_catalog.quote_literal(p.patient_ref) || ' is ' || p.status || ' with node '"
	"  || coalesce(p.node_id, 'none') || '; ' || coalesce('event ' || b.id || ' says ' || b.status || ' with node '"
	"  || coalesce(b.node_id, 'none'), 'no event says so')"
	" FROM hdms_internal.patients p LEFT JOIN LATERAL (SELECT e.id, e.status, e.node_id FROM hdms_internal.events e"
	"  WHERE e.patient_ref = p.patient_ref AND e.record IS NULL AND e.status IS NOT NULL ORDER BY e.id DESC LIMIT 1) b ON true"
	" WHERE CASE WHEN b.id IS NULL THEN p.node_id IS NOT NULL OR p.status NOT IN ('registered', 'invited')"
	"  ELSE p.status <> b.status OR p.node_id IS DISTINCT FROM b.node_id END"
	" AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue q WHERE q.patient_ref = p.patient_ref AND q.action = 'confirm')"
	" UNION ALL SELECT NULL, NULL, 'binding', 'patient ' || pg_catalog.quote_literal(g.patient_ref) || ' is gone: event ' || min(g.id)"
	"  || ' is the first about the binding' FROM hdms_internal.events g WHERE g.record IS NULL AND g.status IS NOT NULL"
	" AND g.patient_ref IS NOT NULL AND NOT EXISTS (SELECT FROM hdms_internal.patients p WHERE p.patient_ref = g.patient_ref)"
	" GROUP BY g.patient_ref";

typedef struct LedgerRun
{
	ReturnSetInfo *result;
	VerificationProgress progress;
	Datum		filter[FILTER_ARGS + 1];
	char		nulls[FILTER_ARGS + 2];
	LogCheckpoint checkpoint;	/* the newest of the node's own log */
} LedgerRun;

static const Oid filter_types[FILTER_ARGS + 1] = {UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID};

static uint64
run(const char *sql, int nargs, const Oid *types, Datum *values, const char *nulls)
{
	int			result = SPI_execute_with_args(sql, nargs, (Oid *) types, values, nulls, true, 0);

	if (result != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
	return SPI_processed;
}

static void
put_row(LedgerRun *ledger, Datum values[4], bool nulls[4])
{
	tuplestore_putvalues(ledger->result->setResult, ledger->result->setDesc, values, nulls);
}

/* One failed check, from columns record, version, check_name, detail of the result. */
static void
put_failure(LedgerRun *ledger, uint64 row)
{
	HeapTuple	tuple = SPI_tuptable->vals[row];
	TupleDesc	columns = SPI_tuptable->tupdesc;
	Datum		values[4];
	bool		nulls[4];

	for (int i = 0; i < 4; i++)
		values[i] = SPI_getbinval(tuple, columns, i + 1, &nulls[i]);
	put_row(ledger, values, nulls);
	if (ledger->progress.failures++ < FAILURES_LOGGED)
		ereport(LOG,
				(errmsg("verification failed: record %s, version %s, check \"%s\"",
						nulls[0] ? "none" : SPI_getvalue(tuple, columns, 1), nulls[1] ? "all" : SPI_getvalue(tuple, columns, 2),
						TextDatumGetCString(values[2])),
				 ledger->progress.failures == FAILURES_LOGGED ? errdetail("Further failures are not logged.") : 0));
}

/* LogFailure: one that is about no record. */
static void
put_log_failure(void *arg, const char *check_name, const char *detail)
{
	LedgerRun  *ledger = arg;

	put_row(ledger, (Datum[]) {(Datum) 0, (Datum) 0, CStringGetTextDatum(check_name), CStringGetTextDatum(detail)},
			(bool[]) {true, true, false, false});
	if (ledger->progress.failures++ < FAILURES_LOGGED)
		ereport(LOG, (errmsg("verification failed: check \"%s\": %s", check_name, detail)));
}

static char *
describe_checkpoint(const LogCheckpoint *checkpoint)
{
	char		root[HDMS_DIGEST_TEXT + 1];

	if (checkpoint->size == 0)
		return "the node's own log has no checkpoint yet";
	hdms_base64url_write(checkpoint->root, sizeof(checkpoint->root), root);
	return psprintf("the newest checkpoint of the node's own log has " INT64_FORMAT " entries until %s, root %s, %d cosignatures",
					checkpoint->size,
					pstrdup(timestamptz_to_str(time_t_to_timestamptz((pg_time_t) (checkpoint->time_ms / 1000)))), root,
					checkpoint->cosignatures);
}

static void
put_summary(LedgerRun *ledger)
{
	const VerificationProgress *progress = &ledger->progress;
	char	   *text = psprintf("%lld records with %lld signed versions verified, %lld checks failed; %s",
								(long long) progress->records, (long long) progress->states, (long long) progress->failures,
								describe_checkpoint(&ledger->checkpoint));

	put_row(ledger, (Datum[]) {(Datum) 0, (Datum) 0, CStringGetTextDatum("summary"), CStringGetTextDatum(text)},
			(bool[]) {true, true, false, false});
}

/* The id that the next lot ends with. False when there is nothing left. */
static bool
find_lot(LedgerRun *ledger, pg_uuid_t *end)
{
	Oid			types[FILTER_ARGS + 1];
	bool		isnull;

	memcpy(types, filter_types, sizeof(types));
	types[FILTER_ARGS] = INT8OID;
	ledger->filter[FILTER_ARGS] = Int64GetDatum(RECORDS_AT_ONCE);
	if (run(find_end, FILTER_ARGS + 1, types, ledger->filter, ledger->nulls) == 0)
		return false;
	*end = *DatumGetUUIDP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* A row without a check ends each record: it has the number of its signed versions. */
static void
verify_one_lot(LedgerRun *ledger, const pg_uuid_t *end)
{
	Oid			types[FILTER_ARGS + 1];
	uint64		rows;

	memcpy(types, filter_types, sizeof(types));
	types[FILTER_ARGS] = UUIDOID;
	ledger->filter[FILTER_ARGS] = UUIDPGetDatum(end);
	rows = run(verify_lot, FILTER_ARGS + 1, types, ledger->filter, ledger->nulls);
	for (uint64 row = 0; row < rows; row++)
	{
		bool		isnull;
		bool		is_end;
		Datum		version = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 2, &isnull);

		(void) SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 3, &is_end);
		if (!is_end)
		{
			put_failure(ledger, row);
			continue;
		}
		ledger->progress.records++;
		ledger->progress.states += DatumGetInt32(version);
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
verify_all(LedgerRun *ledger)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext lot = AllocSetContextCreate(caller, "hdms verify lot", ALLOCSET_DEFAULT_SIZES);
	pg_uuid_t	end;

	while (find_lot(ledger, &end))
	{
		MemoryContextSwitchTo(lot);
		verify_one_lot(ledger, &end);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(lot);
		ledger->progress.position = end;
		verification_report(&ledger->progress);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextDelete(lot);
}

/* What belongs together, of the whole ledger: only where no part of it was asked for. */
static void
verify_rows(LedgerRun *ledger)
{
	uint64		rows = run(find_orphans, 0, NULL, NULL, NULL);

	for (uint64 row = 0; row < rows; row++)
		put_failure(ledger, row);
	SPI_freetuptable(SPI_tuptable);
}

static void
put_failures(LedgerRun *ledger, uint64 rows)
{
	for (uint64 row = 0; row < rows; row++)
		put_failure(ledger, row);
	SPI_freetuptable(SPI_tuptable);
}

/* The entries' rows, in lots as the records are. */
static void
verify_logged_rows(LedgerRun *ledger, int64 entry_count)
{
	static const Oid types[2] = {INT8OID, INT8OID};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext lot = AllocSetContextCreate(caller, "hdms verify lot", ALLOCSET_DEFAULT_SIZES);

	for (int64 first = 0; first < entry_count; first += RECORDS_AT_ONCE)
	{
		Datum		values[2] = {Int64GetDatum(first), Int64GetDatum(first + RECORDS_AT_ONCE)};

		MemoryContextSwitchTo(lot);
		put_failures(ledger, run(verify_entries, 2, types, values, NULL));
		MemoryContextSwitchTo(caller);
		MemoryContextReset(lot);
		verification_report(&ledger->progress);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextDelete(lot);
}

/*
 * The node's own log. The worker goes on signing meanwhile: what it signed last is looked up before the snapshot is taken that
 * all of this is done with, so that the snapshot has it.
 */
static void
verify_log(LedgerRun *ledger)
{
	LedgerHead	head = roster_ledger(MyDatabaseId);
	int64		entry_count;

	PushActiveSnapshot(GetLatestSnapshot());
	log_tree_verify(&head, &ledger->checkpoint, &entry_count, put_log_failure, ledger);
	if (entry_count > 0 || head.size > 0)
	{
		verify_logged_rows(ledger, entry_count);
		put_failures(ledger, run(find_unlogged, 0, NULL, NULL, NULL));
		put_failures(ledger, run("SELECT f.* FROM hdms_internal.history_failures() f", 0, NULL, NULL, NULL));
	}
	notary_log_verify(put_log_failure, ledger);
	PopActiveSnapshot();
}

/* Parallel plans even for lots that the planner thinks small: one row of the function costs a millisecond. */
static void
settings_for_parallel(void)
{
	static const char *const names[] = {
		"parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size", "min_parallel_index_scan_size"
	};

	for (size_t i = 0; i < lengthof(names); i++)
		(void) set_config_option(names[i], "0", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static void
read_arguments(FunctionCallInfo fcinfo, LedgerRun *ledger)
{
	static const pg_uuid_t first = {{0}};

	memset(ledger->nulls, ' ', FILTER_ARGS + 1);
	ledger->progress.position = first;
	if (!PG_ARGISNULL(4) && PG_GETARG_BOOL(4) && !verification_interrupted(&ledger->progress))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no verification of this database was interrupted"),
				 errhint("Call hdms.verify_ledger() without resume. Where it stopped is known until the server is restarted, "
						 "and only of databases that hdms.databases names.")));
	ledger->filter[0] = UUIDPGetDatum(&ledger->progress.position);
	for (int i = 0; i < 3; i++)
	{
		ledger->filter[i + 1] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		ledger->nulls[i + 1] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	ledger->nulls[4] = 'n';
	if (!PG_ARGISNULL(3))
	{
		double		percent = PG_GETARG_FLOAT8(3);

		if (!(percent > 0 && percent <= 100))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"sample\" must be more than 0 and at most 100"),
					 errdetail("It is the share of the records to verify, in percent.")));
		ledger->filter[4] = Int64GetDatum((int64) Max(1, percent * 100));
		ledger->nulls[4] = ' ';
	}
	ledger->filter[5] = Int64GetDatum((int64) GetCurrentTimestamp());
}

Datum
hdms_fn_verify_ledger(PG_FUNCTION_ARGS)
{
	LedgerRun	ledger = {0};
	bool		is_whole = PG_ARGISNULL(0) && PG_ARGISNULL(1) && PG_ARGISNULL(2) && PG_ARGISNULL(3);
	int			settings;

	ledger.result = (ReturnSetInfo *) fcinfo->resultinfo;
	InitMaterializedSRF(fcinfo, 0);
	read_arguments(fcinfo, &ledger);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	settings = NewGUCNestLevel();
	settings_for_parallel();
	verification_begin(&ledger.progress);
	PG_TRY();
	{
		verify_all(&ledger);
		if (is_whole)
		{
			verify_rows(&ledger);
			verify_log(&ledger);
		}
		else
			log_checkpoint_read(&ledger.checkpoint, put_log_failure, &ledger);
		ledger.progress.is_complete = true;
	}
	PG_FINALLY();
	{
		verification_end(&ledger.progress);
	}
	PG_END_TRY();
	AtEOXact_GUC(true, settings);
	put_summary(&ledger);
	SPI_finish();
	return (Datum) 0;
}
