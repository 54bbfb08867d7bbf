/*
 * fn_audit.c
 *		The audit trail: who did or read what, when, and for what purpose.
 *
 * Three names are kept, because each alone can mislead: the login, the role in force when the function was
 * called (SET ROLE changes it, SECURITY DEFINER does not), and hdms.actor, the person whom the
 * application says that it acts for.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "fn_audit.h"
#include "fn_insert.h"
#include "settings.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_audit);

/* The worker moves rows from here to the trail, and promises them in the node's log. Issuing writes a row, too: past the planner, like the record itself. */
static InsertTarget audit = {"audit_queue", 10, {"id", "at", "login", "role", "actor", "action", "record", "version_id", "patient_ref", "purpose"}, InvalidOid, {0}};

void
audit_write(const char *action, const pg_uuid_t *record, int64 version_id, text *patient_ref, text *purpose)
{
	Datum		values[10] = {0};
	bool		nulls[10] = {0};

	PreventCommandIfReadOnly("INSERT");
	values[0] = Int64GetDatum(insert_next_id("audit_queue_id_seq"));
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[2] = CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false));
	values[3] = CStringGetTextDatum(GetUserNameFromId(GetOuterUserId(), false));
	nulls[4] = setting_actor == NULL || setting_actor[0] == '\0';
	if (!nulls[4])
		values[4] = CStringGetTextDatum(setting_actor);
	values[5] = CStringGetTextDatum(action);
	values[6] = UUIDPGetDatum(record);
	nulls[6] = record == NULL;
	values[7] = Int64GetDatum(version_id);
	nulls[7] = version_id == 0;
	values[8] = PointerGetDatum(patient_ref);
	nulls[8] = patient_ref == NULL;
	values[9] = PointerGetDatum(purpose);
	nulls[9] = purpose == NULL;
	insert_row(&audit, values, nulls);
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
	audit_write(text_to_cstring(PG_GETARG_TEXT_PP(0)),
				PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1), 0,
				PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2),
				PG_ARGISNULL(3) ? NULL : PG_GETARG_TEXT_PP(3));
	PG_RETURN_VOID();
}
