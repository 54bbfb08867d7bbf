/*
 * fn_issue.c
 *		hdms.issue(), hdms.amend() and hdms.resend(): an EMR hands over content, inside its own transaction.
 *
 * Nothing is signed here and no key is near: the worker does that after the EMR's commit. Rolled back
 * means never sent.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "fn_argument.h"
#include "fn_audit.h"
#include "fn_store.h"
#include "wake.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_issue);
PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_amend);
PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_resend);

/* The argument's bytes as content, or an ERROR. */
static void
content_argument(FunctionCallInfo fcinfo, int number, Content *content)
{
	text	   *json = PG_GETARG_TEXT_PP(number);
	ContentProblem problem;

	if (!content_prepare(VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json), content, &problem))
		content_refuse(&problem);
}

/* Raises the outcomes that are no success. */
static void
check_outcome(StoreOutcome outcome, text *patient_ref, text *source_id, const pg_uuid_t *record)
{
	switch (outcome)
	{
		case STORED_NEW:
		case STORED_VERSION:
		case STORED_BEFORE:
			break;
		case STORE_UNKNOWN_PATIENT:
			argument_unknown_patient(patient_ref);
			break;
		case STORE_UNKNOWN_RECORD:
			argument_unknown_record(record);
			break;
		case STORE_OTHER_PATIENT:
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("source_id \"%s\" belongs to a record of another patient", text_to_cstring(source_id)),
					 errhint("A source_id names one thing in the EMR, and with it one patient.")));
			break;
		case STORE_CONTINUED:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the record is continued by another one, because the patient has another device"),
					 errhint("Amend the record whose \"replaces\" in hdms.records names this one.")));
			break;
		case STORE_ERASED:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the record has been erased"),
					 errhint("Issue a new record.")));
			break;
	}
}

Datum
hdms_fn_issue(PG_FUNCTION_ARGS)
{
	text	   *patient_ref;
	text	   *source_id = NULL;
	Interval   *accept_within = NULL;
	TimestampTz retain_until = 0;
	Content		content;
	pg_uuid_t  *record = palloc(sizeof(pg_uuid_t));
	StoreOutcome outcome;

	argument_required(fcinfo, 0, "patient_ref");
	argument_required(fcinfo, 1, "content");
	patient_ref = PG_GETARG_TEXT_PP(0);
	if (!PG_ARGISNULL(2))
	{
		source_id = PG_GETARG_TEXT_PP(2);
		argument_check_text(source_id, "source_id", MAX_SOURCE_ID);
	}
	if (!PG_ARGISNULL(3))
	{
		accept_within = PG_GETARG_INTERVAL_P(3);
		argument_check_interval(accept_within, "accept_within", "1 second", "366 days");
	}
	if (!PG_ARGISNULL(4))
		retain_until = PG_GETARG_TIMESTAMPTZ(4);
	content_argument(fcinfo, 1, &content);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	outcome = store_record(patient_ref, source_id, &content, accept_within, PG_ARGISNULL(4) ? NULL : &retain_until, record);
	check_outcome(outcome, patient_ref, source_id, record);
	SPI_finish();
	if (outcome != STORED_BEFORE)
	{
		audit_write(outcome == STORED_NEW ? "issue" : "amend", record, 0, patient_ref, NULL);
		wake_worker_at_commit();
	}
	PG_RETURN_UUID_P(record);
}

Datum
hdms_fn_amend(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *record;
	Content		content;
	StoreOutcome outcome;
	int32		ordinal;

	argument_required(fcinfo, 0, "record");
	argument_required(fcinfo, 1, "content");
	record = PG_GETARG_UUID_P(0);
	content_argument(fcinfo, 1, &content);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	outcome = store_version(record, NULL, &content, NULL, false, &ordinal);
	check_outcome(outcome, NULL, NULL, record);
	SPI_finish();
	if (outcome != STORED_BEFORE)
	{
		audit_write("amend", record, 0, NULL, NULL);
		wake_worker_at_commit();
	}
	PG_RETURN_INT32(ordinal);
}

/* Asks for the same content once more, as a new version: the version before has ended without the patient. */
static int32
ask_again(const pg_uuid_t *record, char *stored)
{
	Content		content;
	ContentProblem problem;
	StoreOutcome outcome;
	int32		ordinal;

	if (!content_prepare(stored, strlen(stored), &content, &problem))
		content_refuse(&problem);
	outcome = store_version(record, NULL, &content, NULL, true, &ordinal);
	check_outcome(outcome, NULL, NULL, record);
	return ordinal;
}

/* The worker sends a version again that it finds in the queue although it was signed before. */
static void
queue_again(Datum version_id)
{
	Oid			types[1] = {INT8OID};

	if (SPI_execute_with_args("INSERT INTO hdms_internal.issue_queue (version_id) SELECT $1"
							  " WHERE NOT EXISTS (SELECT FROM hdms_internal.issue_queue WHERE version_id = $1)",
							  1, types, &version_id, NULL, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not queue the version");
}

Datum
hdms_fn_resend(PG_FUNCTION_ARGS)
{
	Oid			types[1] = {UUIDOID};
	Datum		values[1];
	bool		isnull;
	Datum		version_id;
	int32		ordinal;
	char	   *status;
	char	   *stored;

	argument_required(fcinfo, 0, "record");
	values[0] = PG_GETARG_DATUM(0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (SPI_execute_with_args("SELECT v.id, v.ordinal, v.status, pl.content FROM hdms_internal.versions v"
							  " JOIN hdms_internal.payloads pl ON pl.id = v.id WHERE v.record = $1"
							  " ORDER BY v.ordinal DESC LIMIT 1", 1, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the record");
	if (SPI_processed == 0)
		argument_unknown_record(PG_GETARG_UUID_P(0));
	version_id = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	ordinal = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	status = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3);
	stored = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4);

	if (strcmp(status, "erased") == 0)
		check_outcome(STORE_ERASED, NULL, NULL, NULL);
	else if (strcmp(status, "rejected") == 0 || strcmp(status, "expired") == 0)
		ordinal = ask_again(PG_GETARG_UUID_P(0), stored);
	else if (strcmp(status, "issued") == 0 || strcmp(status, "delivered") == 0 || strcmp(status, "committed") == 0)
		queue_again(version_id);
	audit_write("resend", PG_GETARG_UUID_P(0), 0, NULL, NULL);
	SPI_finish();
	wake_worker_at_commit();
	PG_RETURN_INT32(ordinal);
}
