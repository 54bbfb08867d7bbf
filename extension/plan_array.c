/*
 * plan_array.c
 *		Arrays as arguments of a FlowPlan: many rows through one statement.
 */
#include "postgres.h"

#include "utils/array.h"

#include "plan_array.h"

FlowArg
flow_text_array(char **texts, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = CStringGetTextDatum(texts[i]);
	return (FlowArg) {PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT)), false};
}

FlowArg
flow_int64_array(const int64 *numbers, int count)
{
	Datum	   *values = palloc(sizeof(Datum) * (count + 1));

	for (int i = 0; i < count; i++)
		values[i] = Int64GetDatum(numbers[i]);
	return (FlowArg) {PointerGetDatum(construct_array(values, count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)), false};
}
