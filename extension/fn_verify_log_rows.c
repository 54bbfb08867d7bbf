/*
 * fn_verify_log_rows.c
 *		The rows that the node's own log covers, and what its events say of records.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "flow_plan.h"
#include "fn_argument.h"
#include "fn_verify_log.h"
#include "ledger_digest.h"
#include "merkle_tile.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_ledger_entry_failures);

/* An entry as it is stored. */
typedef struct StoredEntry
{
	int64		index;
	LedgerKind	kind;
	int64		first_id;
	int64		last_id;
	unsigned char salt[LEDGER_SALT_SIZE];
	unsigned char leaf[LEDGER_LEAF_SIZE];
} StoredEntry;

static FlowPlan find_entry =
FLOW_PLAN("SELECT index, kind, first_id, last_id, salt, leaf FROM hdms_internal.ledger_entries WHERE index = $1", INT8OID);

static FlowPlan find_entry_of_event =
FLOW_PLAN("SELECT index, kind, first_id, last_id, salt, leaf FROM hdms_internal.ledger_entries"
		  " WHERE kind = 'events' AND first_id <= $1 ORDER BY first_id DESC LIMIT 1", INT8OID);

/* The last result's row as an entry. False when it is none. */
static bool
read_entry(uint64 found, StoredEntry *entry)
{
	bytea	   *salt = found > 0 ? row_bytea(0, 5) : NULL;
	bytea	   *leaf = found > 0 ? row_bytea(0, 6) : NULL;
	bool		is_entry = found > 0 && VARSIZE_ANY_EXHDR(salt) == LEDGER_SALT_SIZE && VARSIZE_ANY_EXHDR(leaf) == LEDGER_LEAF_SIZE;

	if (is_entry)
	{
		entry->index = row_int64(0, 1);
		entry->kind = strcmp(row_text(0, 2), "events") == 0 ? LEDGER_EVENTS : LEDGER_AUDIT;
		entry->first_id = row_int64(0, 3);
		entry->last_id = row_int64(0, 4);
		memcpy(entry->salt, VARDATA_ANY(salt), LEDGER_SALT_SIZE);
		memcpy(entry->leaf, VARDATA_ANY(leaf), LEDGER_LEAF_SIZE);
	}
	flow_rows_free();
	return is_entry;
}

/* The rows that an entry covers, as the last result. */
static uint64
find_rows(const StoredEntry *entry)
{
	static FlowPlan find_events = FLOW_PLAN("SELECT " LEDGER_EVENT_COLUMNS " FROM hdms_internal.events"
											" WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3", INT8OID, INT8OID, INT8OID);
	static FlowPlan find_audit = FLOW_PLAN("SELECT " LEDGER_AUDIT_COLUMNS " FROM hdms_internal.audit"
										   " WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3", INT8OID, INT8OID, INT8OID);

	return flow_read(entry->kind == LEDGER_EVENTS ? &find_events : &find_audit, flow_int64(entry->first_id),
					 flow_int64(entry->last_id), flow_int64(LEDGER_ENTRY_ROWS + 1));
}

/* Whether the rows of the last result are those that the leaf promises. */
static bool
rows_are_promised(const StoredEntry *entry, uint64 count)
{
	unsigned char digest[HDMS_DIGEST_SIZE];

	if (count > LEDGER_ENTRY_ROWS)
		return false;
	ledger_digest_rows(entry->kind, entry->salt, SPI_tuptable, 0, count, digest);
	return entry->leaf[8] == entry->kind && memcmp(digest, entry->leaf + 9, sizeof(digest)) == 0;
}

static char *
leaf_time(const StoredEntry *entry)
{
	uint64		time;

	memcpy(&time, entry->leaf, sizeof(time));
	return pstrdup(timestamptz_to_str(time_t_to_timestamptz((pg_time_t) (pg_ntoh64(time) / 1000))));
}

/* What is wrong with the rows, of which there are count in the last result. */
static char *
describe_rows(const StoredEntry *entry, uint64 count)
{
	const char *table = ledger_kind_word(entry->kind);
	int64		expected = entry->first_id;

	for (uint64 row = 0; row < count && row_int64(row, 1) == expected; row++)
		expected++;
	if (expected <= entry->last_id)
		return psprintf("row " INT64_FORMAT " of %s, which was logged on %s, is missing", expected, table, leaf_time(entry));
	if (entry->first_id == entry->last_id)
		return psprintf("row " INT64_FORMAT " of %s is not the one that was logged on %s", entry->first_id, table, leaf_time(entry));
	return psprintf("rows " INT64_FORMAT " to " INT64_FORMAT " of %s are not those that were logged on %s",
					entry->first_id, entry->last_id, table, leaf_time(entry));
}

/* The record that all rows of the last result are about. False when there is no such. */
static bool
common_record(LedgerKind kind, uint64 count, pg_uuid_t *record)
{
	int			column = kind == LEDGER_EVENTS ? 4 : 7;

	for (uint64 row = 0; row < count; row++)
	{
		bool		is_null;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null);

		if (is_null || (row > 0 && memcmp(record, DatumGetUUIDP(value), sizeof(*record)) != 0))
			return false;
		*record = *DatumGetUUIDP(value);
	}
	return count > 0;
}

/*
 * hdms_internal.ledger_entry_failures(index, OUT record, OUT check_name, OUT detail): a row where an entry does not promise the rows
 * that it covers. Reads only, so that parallel workers may run it.
 */
Datum
hdms_fn_ledger_entry_failures(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StoredEntry entry;
	Datum		values[3] = {0};
	bool		nulls[3] = {true, false, false};
	pg_uuid_t	record;
	uint64		count;

	argument_required(fcinfo, 0, "index");
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (!read_entry(flow_read(&find_entry, flow_int64(PG_GETARG_INT64(0))), &entry))
	{
		values[1] = CStringGetTextDatum("log");
		values[2] = CStringGetTextDatum(psprintf("entry " INT64_FORMAT " has no salt or leaf", PG_GETARG_INT64(0)));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		SPI_finish();
		return (Datum) 0;
	}
	count = find_rows(&entry);
	if (!rows_are_promised(&entry, count))
	{
		nulls[0] = !common_record(entry.kind, count, &record);
		values[0] = UUIDPGetDatum(&record);
		values[1] = CStringGetTextDatum(entry.kind == LEDGER_EVENTS ? "event" : "audit");
		values[2] = CStringGetTextDatum(describe_rows(&entry, count));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/* What the events say of a version. */
typedef struct LoggedVersion
{
	int64		event_id;
	int64		version_id;
	char	   *status;
	char	   *reason;
	bytea	   *evidence;
} LoggedVersion;

/* The events of a record about its versions, in their order. */
static LoggedVersion *
load_events(const char *record, int *count)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT id, version_id, status, reason, evidence FROM hdms_internal.events"
		" WHERE record = CAST($1 AS uuid) AND version_id IS NOT NULL AND status IS NOT NULL ORDER BY id", TEXTOID);
	uint64		found = flow_read(&find, flow_text(record));
	LoggedVersion *events = palloc(sizeof(LoggedVersion) * Max(found, 1));

	for (uint64 row = 0; row < found; row++)
		events[row] = (LoggedVersion) {row_int64(row, 1), row_int64(row, 2), row_text(row, 3), row_text(row, 4), row_bytea(row, 5)};
	flow_rows_free();
	*count = (int) found;
	return events;
}

/* Whether this node has a log at all: a database whose rows were made by hand has none. */
static bool
log_exists(void)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS("SELECT FROM hdms_internal.ledger_entries LIMIT 1");
	bool		exists = flow_read_without_args(&find) > 0;

	flow_rows_free();
	return exists;
}

/* Ends of versions, which only the worker sets, each with an event. */
static bool
is_end(const char *status)
{
	static const char *const ends[] = {"committed", "superseded", "rejected", "expired", "erased"};

	for (size_t i = 0; i < lengthof(ends); i++)
	{
		if (strcmp(ends[i], status) == 0)
			return true;
	}
	return false;
}

static bool
is_evidence_of(const bytea *evidence, const StoredVersion *stored)
{
	unsigned char digest[HDMS_DIGEST_SIZE];

	ledger_evidence_digest(stored->vk, stored->state, stored->acceptance, stored->request, stored->receipt, digest);
	return VARSIZE_ANY_EXHDR(evidence) == HDMS_DIGEST_SIZE && memcmp(VARDATA_ANY(evidence), digest, sizeof(digest)) == 0;
}

/* NULL, or what the events of a version say against it. */
static const char *
compare_version(const StoredVersion *stored, const LoggedVersion *events, int count)
{
	const LoggedVersion *last = NULL;
	const bytea *evidence = NULL;

	for (int i = 0; i < count; i++)
	{
		if (events[i].version_id != stored->id)
			continue;
		last = &events[i];
		if (events[i].evidence != NULL)
			evidence = events[i].evidence;
	}
	if (last == NULL)
		return is_end(stored->status) ? psprintf("no event says that the version is %s", stored->status) : NULL;
	if ((is_end(stored->status) || is_end(last->status)) && strcmp(stored->status, last->status) != 0)
		return psprintf("the version is %s; event " INT64_FORMAT " says that it is %s", stored->status, last->event_id, last->status);
	if (strcmp(stored->status, "committed") != 0 && strcmp(stored->status, "superseded") != 0)
		return NULL;
	if (evidence == NULL)
		return "no event promises the bytes that the version was committed with";
	return is_evidence_of(evidence, stored) ? NULL : "the bytes are not those that the version was committed with";
}

/* Whether an event with evidence is of a version that is there, perhaps put back under another id. */
static bool
has_version(const RecordEvidence *loaded, const LoggedVersion *event)
{
	for (int i = 0; i < loaded->version_count; i++)
	{
		if (loaded->versions[i].id == event->version_id
			|| (event->evidence != NULL && is_evidence_of(event->evidence, &loaded->versions[i])))
			return true;
	}
	return false;
}

void
log_record_verify(const RecordEvidence *loaded, LogRecordCheck check, void *arg)
{
	int			count;
	LoggedVersion *events = load_events(loaded->record, &count);

	if (count == 0 && !log_exists())
		return;
	for (int i = 0; i < loaded->version_count; i++)
		check(arg, loaded->versions[i].ordinal, "event", compare_version(&loaded->versions[i], events, count));
	for (int i = 0; i < count; i++)
	{
		bool		is_first = true;

		for (int j = 0; j < i && is_first; j++)
			is_first = events[j].version_id != events[i].version_id;
		if (is_first && !has_version(loaded, &events[i]))
			check(arg, 0, "missing", psprintf("the version that event " INT64_FORMAT " is about is gone", events[i].event_id));
	}
}

/* NULL, or why an event is not in the log. */
static const char *
check_inclusion(MerkleTiles *tiles, int64 event_id, const LogCheckpoint *newest, int64 *verified_until)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	HdmsHash	hash;
	StoredEntry entry;
	uint64		count;
	int			proof_count;
	bool		is_promised;

	if (event_id <= *verified_until)
		return NULL;
	if (!read_entry(flow_read(&find_entry_of_event, flow_int64(event_id)), &entry) || entry.last_id < event_id)
		return psprintf("event " INT64_FORMAT " is in no entry of the log", event_id);
	count = find_rows(&entry);
	is_promised = rows_are_promised(&entry, count);
	if (!is_promised)
		return describe_rows(&entry, count);
	flow_rows_free();
	if (entry.index < newest->size)
	{
		tiles_fetch_path(tiles, entry.index);
		tiles_fetch_path(tiles, newest->size - 1);
		if (hdms_merkle_leaf(entry.leaf, LEDGER_LEAF_SIZE, hash) != HDMS_OK
			|| hdms_merkle_inclusion(entry.index, newest->size, tiles_fetch, tiles, proof, &proof_count) != HDMS_OK
			|| hdms_merkle_verify_inclusion(entry.index, newest->size, hash, (const HdmsHash *) proof, proof_count, newest->root) != HDMS_OK)
			return psprintf("the newest checkpoint does not contain entry " INT64_FORMAT " with event " INT64_FORMAT, entry.index, event_id);
	}
	*verified_until = entry.last_id;
	return NULL;
}

static void
note_failure(void *arg, const char *check_name, const char *detail)
{
	*(const char **) arg = detail;
}

void
log_record_inclusion(const RecordEvidence *loaded, LogRecordCheck check, void *arg)
{
	static MerkleTiles tiles = MERKLE_TILES("ledger_tiles");
	const char *problem = NULL;
	LogCheckpoint newest;
	int64		verified_until = 0;
	int			count;
	LoggedVersion *events = load_events(loaded->record, &count);

	if (count == 0)
		return;
	log_checkpoint_read(&newest, note_failure, &problem);
	tiles_forget(&tiles);
	for (int i = 0; i < count && problem == NULL; i++)
		problem = check_inclusion(&tiles, events[i].event_id, &newest, &verified_until);
	tiles_forget(&tiles);
	check(arg, 0, "log", problem);
}
