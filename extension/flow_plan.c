/*
 * flow_plan.c
 *		SQL that is used again and again: each statement is prepared once for the life of the process.
 *
 * Generic plans from the start: all statements go through a key, so a plan for
 * particular values would cost planning and bring nothing.
 */
#include "postgres.h"

#include "nodes/parsenodes.h"

#include "flow_plan.h"

FlowArg
flow_text(const char *text)
{
	if (text == NULL)
		return (FlowArg) {(Datum) 0, true};
	return (FlowArg) {CStringGetTextDatum(text), false};
}

FlowArg
flow_bytes(const void *data, size_t len)
{
	bytea	   *bytes = palloc(VARHDRSZ + len);

	SET_VARSIZE(bytes, VARHDRSZ + len);
	memcpy(VARDATA(bytes), data, len);
	return (FlowArg) {PointerGetDatum(bytes), false};
}

static void
prepare(FlowPlan *plan)
{
	SPIPlanPtr	made = SPI_prepare_cursor(plan->sql, plan->nargs, plan->types, CURSOR_OPT_GENERIC_PLAN);

	if (made == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", plan->sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(made) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", plan->sql);
	plan->plan = made;
}

static uint64
execute(FlowPlan *plan, const FlowArg *args, bool only_reads)
{
	Datum		values[FLOW_PLAN_MAX_ARGS];
	char		nulls[FLOW_PLAN_MAX_ARGS];
	MemoryContext context = CurrentMemoryContext;
	int			result;

	if (plan->plan == NULL)
		prepare(plan);
	for (int i = 0; i < plan->nargs; i++)
	{
		values[i] = args[i].value;
		nulls[i] = args[i].is_null ? 'n' : ' ';
	}
	result = SPI_execute_plan(plan->plan, values, nulls, only_reads, 0);
	MemoryContextSwitchTo(context); /* SPI leaves its own behind */
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", plan->sql, SPI_result_code_string(result));
	return SPI_processed;
}

uint64
flow_run_args(FlowPlan *plan, const FlowArg *args)
{
	return execute(plan, args, false);
}

uint64
flow_read_args(FlowPlan *plan, const FlowArg *args)
{
	return execute(plan, args, true);
}

static Datum
row_value(uint64 row, int column, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, is_null);
}

char *
row_text(uint64 row, int column)
{
	bool		is_null;
	Datum		value = row_value(row, column, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

int64
row_int64(uint64 row, int column)
{
	bool		is_null;
	Datum		value = row_value(row, column, &is_null);

	return is_null ? 0 : DatumGetInt64(value);
}

bool
row_bool(uint64 row, int column)
{
	bool		is_null;
	Datum		value = row_value(row, column, &is_null);

	return !is_null && DatumGetBool(value);
}

bytea *
row_bytea(uint64 row, int column)
{
	bool		is_null;
	Datum		value = row_value(row, column, &is_null);

	return is_null ? NULL : DatumGetByteaPCopy(value);
}

void
row_copy(uint64 row, int column, char *out, size_t size)
{
	char	   *text = row_text(row, column);

	if (text != NULL && strlen(text) >= size)
		elog(ERROR, "column %d of a stored row is too long", column);
	strlcpy(out, text == NULL ? "" : text, size);
}

void
flow_rows_free(void)
{
	SPI_freetuptable(SPI_tuptable);
	SPI_tuptable = NULL;
}
