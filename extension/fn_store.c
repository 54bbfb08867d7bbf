/*
 * fn_store.c
 *		Writing records and versions in the caller's transaction: what issue, amend and the imports have in common.
 *
 * A new record is what an EMR's every transaction pays for: its rows go past the planner and the executor,
 * all but the one that may collide. Two callers who store the same source_id at once meet at its
 * unique index, two who amend one record at (record, ordinal): the second waits for the first
 * and then looks again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "fn_insert.h"
#include "fn_store.h"
#include "node.h"
#include "settings.h"

/* How often to look again when somebody else stored the same at the same moment. */
#define MAX_TRIES	10

/* A statement that is prepared once for each backend. */
typedef struct Statement
{
	const char *sql;
	int			arg_count;
	Oid			arg_types[8];
	SPIPlanPtr	plan;
} Statement;

static Statement find_source = {
	"SELECT record, patient_ref FROM hdms_internal.records WHERE source_id = $1",
	1, {TEXTOID}, NULL
};

static Statement insert_source = {
	"INSERT INTO hdms_internal.records (record, patient_ref, source_id, type, retain_until)"
	" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source_id) DO NOTHING",
	5, {UUIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}, NULL
};

static Statement keep_longer = {
	"UPDATE hdms_internal.records SET retain_until = $2 WHERE record = $1 AND (retain_until < $2 OR retain_until IS NULL)",
	2, {UUIDOID, TIMESTAMPTZOID}, NULL
};

static Statement find_newest = {
	"SELECT v.ordinal, v.content_digest, v.status, r.patient_ref, p.status,"
	" EXISTS (SELECT FROM hdms_internal.erasures e WHERE e.record = r.record),"
	" EXISTS (SELECT FROM hdms_internal.records c WHERE c.replaces = r.record)"
	" FROM hdms_internal.records r JOIN hdms_internal.patients p ON p.patient_ref = r.patient_ref,"
	" LATERAL (SELECT * FROM hdms_internal.versions w WHERE w.record = r.record ORDER BY w.ordinal DESC LIMIT 1) v"
	" WHERE r.record = $1",
	1, {UUIDOID}, NULL
};

static Statement insert_version = {
	"WITH v AS (INSERT INTO hdms_internal.versions (record, ordinal, content_digest, status, accept_within)"
	"  VALUES ($1, $2, $3, $4, $5) ON CONFLICT (record, ordinal) DO NOTHING RETURNING id),"
	" q AS (INSERT INTO hdms_internal.issue_queue (version_id) SELECT v.id FROM v WHERE $4 = 'queued')"
	" INSERT INTO hdms_internal.payloads (id, content) SELECT v.id, $6 FROM v",
	6, {UUIDOID, INT4OID, BYTEAOID, TEXTOID, INTERVALOID, JSONOID}, NULL
};

/* The rows of a new record that cannot collide with anybody's. */
static InsertTarget records = {"records", 6, {"record", "patient_ref", "type", "committed", "created_at", "retain_until"}, InvalidOid, {0}};
static InsertTarget versions = {"versions", 8, {"id", "record", "ordinal", "content_digest", "status", "accept_within", "created_by", "created_at"}, InvalidOid, {0}};
static InsertTarget payloads = {"payloads", 2, {"id", "content"}, InvalidOid, {0}};
static InsertTarget issue_queue = {"issue_queue", 2, {"id", "version_id"}, InvalidOid, {0}};

/* The newest version of a record, as found. */
typedef struct Newest
{
	int32		ordinal;
	bool		same_content;
	bool		same_patient;
	bool		patient_paired;
	bool		is_to_go;		/* somebody asked to erase the record */
	bool		is_continued;	/* by another record, on another node of the patient */
	char	   *status;			/* palloc'ed */
} Newest;

static uint64
run(Statement *statement, Datum *values, const char *nulls)
{
	int			result;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare_cursor(statement->sql, statement->arg_count, statement->arg_types,
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", statement->sql, SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql, SPI_result_code_string(result));
	return SPI_processed;
}

static char *
result_text(int column)
{
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column);
}

static Datum
result_datum(int column)
{
	bool		isnull;

	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);
}

static bool
text_equal(text *a, Datum b)
{
	return DatumGetBool(DirectFunctionCall2Coll(texteq, DEFAULT_COLLATION_OID, PointerGetDatum(a), b));
}

static bytea *
bytea_from(const void *data, size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

Interval *
store_default_acceptance(void)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = setting_accept_within * USECS_PER_SEC;
	return interval;
}

static void
new_record_id(pg_uuid_t *record)
{
	char		id[37];
	HdmsStatus	status = hdms_uuid7(node_now_ms(), id);

	if (status != HDMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not make a record's id: %s", hdms_status_sentence(status))));
	*record = *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(id)));
}

static bool
look_up_source(text *source_id, pg_uuid_t *record)
{
	Datum		values[1] = {PointerGetDatum(source_id)};
	bool		known = run(&find_source, values, NULL) > 0;

	if (known)
		*record = *DatumGetUUIDP(result_datum(1));
	SPI_freetuptable(SPI_tuptable);
	return known;
}

static bool
look_up_newest(const pg_uuid_t *record, text *patient_ref, const Content *content, Newest *newest)
{
	Datum		values[1] = {UUIDPGetDatum(record)};
	bool		known = run(&find_newest, values, NULL) > 0;

	if (known)
	{
		bytea	   *digest = DatumGetByteaPP(result_datum(2));
		char	   *patient_status = result_text(5);

		newest->ordinal = DatumGetInt32(result_datum(1));
		newest->same_content = VARSIZE_ANY_EXHDR(digest) == HDMS_DIGEST_SIZE &&
			memcmp(VARDATA_ANY(digest), content->digest, HDMS_DIGEST_SIZE) == 0;
		newest->status = result_text(3);
		newest->same_patient = patient_ref == NULL || text_equal(patient_ref, result_datum(4));
		newest->patient_paired = strcmp(patient_status, "paired") == 0;
		newest->is_to_go = DatumGetBool(result_datum(6));
		newest->is_continued = DatumGetBool(result_datum(7));
		pfree(patient_status);
	}
	SPI_freetuptable(SPI_tuptable);
	return known;
}

/* What a version has to wait for that comes after the newest one. */
static const char *
status_of_next(const Newest *newest)
{
	static const char *const ended[] = {"committed", "rejected", "expired", "superseded"};

	for (size_t i = 0; i < lengthof(ended); i++)
	{
		if (strcmp(newest->status, ended[i]) == 0)
			return newest->patient_paired ? "queued" : "waiting_for_patient";
	}
	return "waiting_for_previous";
}

StoreOutcome
store_version(const pg_uuid_t *record, text *patient_ref, const Content *content,
			  Interval *accept_within, bool again, int32 *ordinal)
{
	for (int try = 0; try < MAX_TRIES; try++)
	{
		Newest		newest;
		Datum		values[6];

		if (!look_up_newest(record, patient_ref, content, &newest))
			return STORE_UNKNOWN_RECORD;
		if (!newest.same_patient)
			return STORE_OTHER_PATIENT;
		if (newest.is_to_go || strcmp(newest.status, "erased") == 0)
			return STORE_ERASED;
		if (newest.is_continued)
			return STORE_CONTINUED;
		if (newest.same_content && !again)
		{
			*ordinal = newest.ordinal;
			return STORED_BEFORE;
		}
		values[0] = UUIDPGetDatum(record);
		values[1] = Int32GetDatum(newest.ordinal + 1);
		values[2] = PointerGetDatum(bytea_from(content->digest, HDMS_DIGEST_SIZE));
		values[3] = CStringGetTextDatum(status_of_next(&newest));
		values[4] = PointerGetDatum(accept_within != NULL ? accept_within : store_default_acceptance());
		values[5] = PointerGetDatum(cstring_to_text_with_len(content->data, content->len));
		if (run(&insert_version, values, NULL) > 0)
		{
			*ordinal = newest.ordinal + 1;
			return STORED_VERSION;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not amend the record: it is being amended by others all the time"),
			 errhint("Try again.")));
}

/* Writes the record's own row. False when its source_id is taken. */
static bool
write_record(const pg_uuid_t *record, text *patient_ref, text *source_id, const Content *content, const TimestampTz *retain_until)
{
	Datum		values[6];
	bool		nulls[6] = {0};

	values[0] = UUIDPGetDatum(record);
	values[1] = PointerGetDatum(patient_ref);
	if (source_id != NULL)
	{
		values[2] = PointerGetDatum(source_id);
		values[3] = CStringGetTextDatum(content->type);
		values[4] = retain_until != NULL ? TimestampTzGetDatum(*retain_until) : (Datum) 0;
		return run(&insert_source, values, retain_until != NULL ? NULL : "    n") > 0;
	}
	values[2] = CStringGetTextDatum(content->type);
	values[3] = Int32GetDatum(0);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[5] = retain_until != NULL ? TimestampTzGetDatum(*retain_until) : (Datum) 0;
	nulls[5] = retain_until == NULL;
	insert_row(&records, values, nulls);
	return true;
}

/* Who asked for a version: as the column's default has it. */
static Datum
creator(void)
{
	return CStringGetTextDatum(setting_actor != NULL && setting_actor[0] != '\0' ? setting_actor :
							   GetUserNameFromId(GetSessionUserId(), false));
}

/* Writes the first version of a record that was written just now. */
static void
write_first_version(const pg_uuid_t *record, const Content *content, Interval *accept_within, bool patient_paired)
{
	Datum		id = Int64GetDatum(insert_next_id("versions_id_seq"));
	Datum		values[8];

	values[0] = id;
	values[1] = UUIDPGetDatum(record);
	values[2] = Int32GetDatum(1);
	values[3] = PointerGetDatum(bytea_from(content->digest, HDMS_DIGEST_SIZE));
	values[4] = CStringGetTextDatum(patient_paired ? "queued" : "waiting_for_patient");
	values[5] = IntervalPGetDatum(accept_within != NULL ? accept_within : store_default_acceptance());
	values[6] = creator();
	values[7] = TimestampTzGetDatum(GetCurrentTimestamp());
	insert_row(&versions, values, NULL);

	values[1] = PointerGetDatum(cstring_to_text_with_len(content->data, content->len));
	insert_row(&payloads, values, NULL);
	if (patient_paired)
	{
		values[0] = Int64GetDatum(insert_next_id("issue_queue_id_seq"));
		values[1] = id;
		insert_row(&issue_queue, values, NULL);
	}
	CommandCounterIncrement();
}

StoreOutcome
store_record(text *patient_ref, text *source_id, const Content *content,
			 Interval *accept_within, const TimestampTz *retain_until, pg_uuid_t *record)
{
	char	   *patient_status = find_patient_status(patient_ref);

	if (patient_status == NULL)
		return STORE_UNKNOWN_PATIENT;
	for (int try = 0; try < MAX_TRIES; try++)
	{
		pg_uuid_t	id;
		int32		ordinal;

		new_record_id(&id);
		if (write_record(&id, patient_ref, source_id, content, retain_until))
		{
			write_first_version(&id, content, accept_within, strcmp(patient_status, "paired") == 0);
			*record = id;
			return STORED_NEW;
		}

		/* The source_id may be gone again, if its transaction took it back. */
		if (look_up_source(source_id, &id))
		{
			StoreOutcome outcome = store_version(&id, patient_ref, content, accept_within, false, &ordinal);

			*record = id;
			if (retain_until != NULL && (outcome == STORED_VERSION || outcome == STORED_BEFORE))
				(void) run(&keep_longer, (Datum[]) {UUIDPGetDatum(&id), TimestampTzGetDatum(*retain_until)}, NULL);
			return outcome;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not store the record: its source_id comes and goes"),
			 errhint("Try again.")));
}
