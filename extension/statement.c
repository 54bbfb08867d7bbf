/*
 * statement.c
 *		SQL statements of the worker, planned once and kept.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"

#include "statement.h"

uint64
statement_run(Statement *statement, Datum *values, const char *nulls)
{
	int			outcome;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->text, statement->count, statement->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not plan \"%s\": %s", statement->text, SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}
	outcome = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (outcome < 0)
		elog(ERROR, "could not run \"%s\": %s", statement->text, SPI_result_code_string(outcome));
	return SPI_processed;
}

static Datum
statement_value(uint64 row, int column, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, is_null);
}

char *
statement_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

int64
statement_int8(uint64 row, int column)
{
	bool		is_null;
	Datum		value = statement_value(row, column, &is_null);

	if (is_null)
		return 0;
	return SPI_gettypeid(SPI_tuptable->tupdesc, column) == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value);
}

bool
statement_bool(uint64 row, int column)
{
	bool		is_null;
	Datum		value = statement_value(row, column, &is_null);

	return !is_null && DatumGetBool(value);
}

Datum
statement_text_array(char **texts, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = CStringGetTextDatum(texts[i]);
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
statement_int8_array(const int64 *numbers, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(values, count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
