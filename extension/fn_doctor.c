/*
 * fn_doctor.c
 *		What hdms.doctor() cannot see in SQL: the running library and the settings that only superusers may read.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "settings.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_library_version);
PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_has_key_directory);

/* hdms_internal.library_version(): after an upgrade of the package it is not the script's until the server restarts. */
Datum
hdms_fn_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(HDMS_VERSION));
}

/* hdms_internal.has_key_directory(): that it is set, not what to. */
Datum
hdms_fn_has_key_directory(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(setting_key_directory != NULL && setting_key_directory[0] != '\0');
}
