/*
 * plan_array.h
 *		Arrays as arguments of a FlowPlan: many rows through one statement.
 */
#ifndef HDMS_EXT_PLAN_ARRAY_H
#define HDMS_EXT_PLAN_ARRAY_H

#include "flow_plan.h"

extern FlowArg flow_text_array(char **texts, int count);
extern FlowArg flow_int64_array(const int64 *numbers, int count);

static inline FlowArg
flow_bool(bool value)
{
	return (FlowArg) {BoolGetDatum(value), false};
}

#endif
