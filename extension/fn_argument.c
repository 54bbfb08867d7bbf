/*
 * fn_argument.c
 *		Checks of the SQL functions' arguments, with one wording for all.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "fn_argument.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_check_text);

/* How much of a wrong reference an error repeats. */
#define SHOWN_BYTES	100

void
argument_required(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

void
argument_check_text(text *value, const char *name, int max)
{
	const unsigned char *data = (const unsigned char *) VARDATA_ANY(value);
	int			len = VARSIZE_ANY_EXHDR(value);

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name)));
	if (len > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", name),
				 errdetail("It has %d bytes, at most %d are allowed.", len, max)));
	for (int i = 0; i < len; i++)
	{
		if (data[i] < 0x20 || data[i] == 0x7f)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must not contain control characters", name),
					 errdetail("There is one at byte %d.", i)));
	}
}

static int
compare_interval(Interval *value, const char *bound)
{
	Datum		other = DirectFunctionCall3(interval_in, CStringGetDatum(bound), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	return DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(value), other));
}

void
argument_check_interval(Interval *value, const char *name, const char *least, const char *most)
{
	if (compare_interval(value, least) < 0 || compare_interval(value, most) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between %s and %s", name, least, most)));
}

void
argument_unknown_patient(text *patient_ref)
{
	char	   *shown = text_to_cstring(patient_ref);

	shown[pg_mbcliplen(shown, strlen(shown), SHOWN_BYTES)] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("unknown patient \"%s\"", shown),
			 errhint("Call hdms.invite_patient() first, or hdms.register_patient() to load records before the patient is invited.")));
}

void
argument_unknown_record(const pg_uuid_t *record)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("unknown record %s", DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(record)))),
			 errhint("The view hdms.records has all records.")));
}

/* hdms_internal.check_text(value text, name text, most integer): for the functions in PL/pgSQL */
Datum
hdms_fn_check_text(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));

	argument_required(fcinfo, 0, name);
	argument_check_text(PG_GETARG_TEXT_PP(0), name, PG_GETARG_INT32(2));
	PG_RETURN_VOID();
}
