/*
 * fn_repair.c
 *		hdms_internal.state_record(): which record a stored state is of.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "state.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_state_record);

/* NULL for what is no state. Its signature is not verified. */
Datum
hdms_fn_state_record(PG_FUNCTION_ARGS)
{
	char	   *stored = text_to_cstring(PG_GETARG_TEXT_PP(0));
	HdmsState	state;

	if (hdms_state_parse(stored, strlen(stored), true, &state) != HDMS_OK)
		PG_RETURN_NULL();
	return DirectFunctionCall1(uuid_in, CStringGetDatum(state.record));
}
