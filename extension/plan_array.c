/*
 * plan_array.c
 *		Arrays as arguments of a FlowPlan: many rows through one statement.
 */
#include "postgres.h"

#include "utils/array.h"

#include "plan_array.h"

FlowArg
flow_text_column(const void *first, size_t stride, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));
	bool	   *nulls = palloc(sizeof(bool) * (count + 1));
	int			lower_bound = 1;

	for (int i = 0; i < count; i++)
	{
		const char *text = *(char *const *) ((const char *) first + i * stride);

		nulls[i] = text == NULL;
		values[i] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
	}
	return (FlowArg) {PointerGetDatum(construct_md_array(values, nulls, 1, &count, &lower_bound, TEXTOID, -1, false, TYPALIGN_INT)), false};
}

FlowArg
flow_int64_column(const void *first, size_t stride, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(*(const int64 *) ((const char *) first + i * stride));
	return (FlowArg) {PointerGetDatum(construct_array(values, count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)), false};
}

FlowArg
flow_text_array(char **texts, int count)
{
	return flow_text_column(texts, sizeof(char *), count);
}

FlowArg
flow_int64_array(const int64 *numbers, int count)
{
	return flow_int64_column(numbers, sizeof(int64), count);
}
