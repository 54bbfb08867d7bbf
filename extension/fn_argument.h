/*
 * fn_argument.h
 *		Checks of the SQL functions' arguments, with one wording for all.
 */
#ifndef HDMS_EXT_FN_ARGUMENT_H
#define HDMS_EXT_FN_ARGUMENT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/uuid.h"

/* Bytes of UTF-8. */
#define MAX_PATIENT_REF	200
#define MAX_SOURCE_ID	500
#define MAX_PURPOSE		500

/* Each raises an ERROR that names the argument. */
extern void argument_required(FunctionCallInfo fcinfo, int number, const char *name);

/* Not empty, not over max bytes, no control characters. */
extern void argument_check_text(text *value, const char *name, int max);

/* Within bounds, both included, in PostgreSQL's spelling. */
extern void argument_check_interval(Interval *value, const char *name, const char *least, const char *most);

extern _Noreturn void argument_unknown_patient(text *patient_ref);
extern _Noreturn void argument_unknown_record(const pg_uuid_t *record);

#endif
