/*
 * fn_audit.c
 *		The audit trail: who did or read what, when, and for what purpose.
 *
 * Three names are kept, because each alone can mislead: the login, the role in force when the function was
 * called (SET ROLE changes it, SECURITY DEFINER does not), and hdms.actor, the person whom the
 * application says that it acts for.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "fn_audit.h"
#include "settings.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_audit);

void
audit_write(const char *action, const pg_uuid_t *record, int64 version_id, text *patient_ref, text *purpose)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[8] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, INT8OID, TEXTOID, TEXTOID};
	Datum		values[8] = {0};
	char		nulls[9] = "        ";

	if (plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare("INSERT INTO hdms_internal.audit"
									   " (login, role, actor, action, record, version_id, patient_ref, purpose)"
									   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", 8, types);

		if (made == NULL || SPI_keepplan(made) != 0)
			elog(ERROR, "could not prepare the audit: %s", SPI_result_code_string(SPI_result));
		plan = made;
	}
	values[0] = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	values[1] = CStringGetTextDatum(GetUserNameFromId(GetOuterUserId(), false));
	if (setting_actor != NULL && setting_actor[0] != '\0')
		values[2] = CStringGetTextDatum(setting_actor);
	else
		nulls[2] = 'n';
	values[3] = CStringGetTextDatum(action);
	if (record != NULL)
		values[4] = UUIDPGetDatum(record);
	else
		nulls[4] = 'n';
	values[5] = Int64GetDatum(version_id);
	nulls[5] = version_id == 0 ? 'n' : ' ';
	values[6] = PointerGetDatum(patient_ref);
	nulls[6] = patient_ref == NULL ? 'n' : ' ';
	values[7] = PointerGetDatum(purpose);
	nulls[7] = purpose == NULL ? 'n' : ' ';
	if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write the audit");
}

void
audit_write_read(const char *action, const pg_uuid_t *record, int64 version_id, text *patient_ref, text *purpose)
{
	audit_write(action, record, version_id, patient_ref, purpose);
	ereport(LOG_SERVER_ONLY,
			(errmsg("hdms: %s of record %s by \"%s\"", action,
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(record))),
					GetUserNameFromId(GetSessionUserId(), false)),
			 errhidestmt(true), errhidecontext(true)));
}

/* hdms_internal.audit_write(action text, record uuid, patient_ref text, purpose text): for the functions in PL/pgSQL */
Datum
hdms_fn_audit(PG_FUNCTION_ARGS)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	audit_write(text_to_cstring(PG_GETARG_TEXT_PP(0)),
				PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1), 0,
				PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2),
				PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3));
	SPI_finish();
	PG_RETURN_VOID();
}
