/*
 * plan_array.h
 *		Arrays as arguments of a FlowPlan: many rows through one statement.
 */
#ifndef HDMS_EXT_PLAN_ARRAY_H
#define HDMS_EXT_PLAN_ARRAY_H

#include "flow_plan.h"

/* A NULL text is an SQL NULL. */
extern FlowArg flow_text_array(char **texts, int count);
extern FlowArg flow_int64_array(const int64 *numbers, int count);

/* The same from one member of an array of structs: stride bytes lie between one value and the next. */
extern FlowArg flow_text_column(const void *first, size_t stride, int count);
extern FlowArg flow_int64_column(const void *first, size_t stride, int count);

#define FLOW_TEXT_COLUMN(structs, member, count) flow_text_column(&(structs)->member, sizeof(*(structs)), count)
#define FLOW_INT64_COLUMN(structs, member, count) flow_int64_column(&(structs)->member, sizeof(*(structs)), count)

static inline FlowArg
flow_bool(bool value)
{
	return (FlowArg) {BoolGetDatum(value), false};
}

#endif
