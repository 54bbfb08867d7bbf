/*
 * fn_read.c
 *		hdms.read(): the exact content of a record, against a line in the audit trail.
 *
 * This is the only way to content in SQL besides the evidence: the views have none.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "fn_argument.h"
#include "fn_audit.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_read);

/* The version that counts: the committed one; where there is none yet, the newest. Or the one that was asked for. */
static const char *const find_version =
	"SELECT v.id, pl.content, r.patient_ref, v.status = 'erased' OR e.record IS NOT NULL,"
	" to_char(coalesce(e.erased_at, e.asked_at), 'YYYY-MM-DD'), pl.content IS NULL"
	" FROM hdms_internal.records r JOIN hdms_internal.versions v ON v.record = r.record"
	" JOIN hdms_internal.payloads pl ON pl.id = v.id LEFT JOIN hdms_internal.erasures e ON e.record = r.record"
	" WHERE r.record = $1 AND ($2 IS NULL OR v.ordinal = $2)"
	" ORDER BY v.status = 'committed' DESC, v.ordinal DESC LIMIT 1";

Datum
hdms_fn_read(PG_FUNCTION_ARGS)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {UUIDOID, INT4OID};
	Datum		values[2];
	char		nulls[3] = "  ";
	pg_uuid_t  *record;
	text	   *purpose;
	bool		isnull;
	HeapTuple	row;
	TupleDesc	columns;
	Datum		content;

	argument_required(fcinfo, 0, "record");
	argument_required(fcinfo, 1, "purpose");
	record = PG_GETARG_UUID_P(0);
	purpose = PG_GETARG_TEXT_PP(1);
	argument_check_text(purpose, "purpose", MAX_PURPOSE);
	values[0] = UUIDPGetDatum(record);
	values[1] = PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2);
	nulls[1] = PG_ARGISNULL(2) ? 'n' : ' ';

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare(find_version, 2, types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare reading: %s", SPI_result_code_string(SPI_result));
		plan = made;
	}
	if (SPI_execute_plan(plan, values, nulls, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the record");
	if (SPI_processed == 0)
	{
		if (PG_ARGISNULL(2))
			argument_unknown_record(record);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the record has no version %d", PG_GETARG_INT32(2)),
				 errhint("The view hdms.states has the versions of all records.")));
	}
	row = SPI_tuptable->vals[0];
	columns = SPI_tuptable->tupdesc;
	if (DatumGetBool(SPI_getbinval(row, columns, 4, &isnull)))
	{
		char	   *day = SPI_getvalue(row, columns, 5);

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 day != NULL ? errmsg("the record was erased on %s", day) : errmsg("the record was erased"),
				 errhint("hdms.erasures and hdms.verify() tell what is left of it.")));
	}
	if (DatumGetBool(SPI_getbinval(row, columns, 6, &isnull)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the record's content is missing"),
				 errdetail("It was not erased."),
				 errhint("Call hdms.verify() for the record.")));
	content = SPI_datumTransfer(SPI_getbinval(row, columns, 2, &isnull), false, -1);
	audit_write_read("read", record, DatumGetInt64(SPI_getbinval(row, columns, 1, &isnull)),
					 DatumGetTextPP(SPI_getbinval(row, columns, 3, &isnull)), purpose);
	SPI_finish();
	PG_RETURN_DATUM(content);
}
