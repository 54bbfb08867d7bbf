/*
 * flow_plan.h
 *		SQL that is used again and again: each statement is prepared once for the life of the process.
 *
 * Needs a connected SPI. Rows are read from SPI_tuptable, by row number from 0 and column number from 1.
 */
#ifndef HDMS_EXT_FLOW_PLAN_H
#define HDMS_EXT_FLOW_PLAN_H

#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#define FLOW_PLAN_MAX_ARGS 12

typedef struct FlowPlan
{
	const char *sql;
	int			nargs;
	Oid			types[FLOW_PLAN_MAX_ARGS];
	SPIPlanPtr	plan;			/* NULL until it is needed first */
} FlowPlan;

#define FLOW_PLAN(sql, ...) {(sql), lengthof(((Oid[]) {__VA_ARGS__})), {__VA_ARGS__}, NULL}
#define FLOW_PLAN_WITHOUT_ARGS(sql) {(sql), 0, {InvalidOid}, NULL}

/* An argument that may be missing. */
typedef struct FlowArg
{
	Datum		value;
	bool		is_null;
} FlowArg;

/* A NULL text is an SQL NULL. */
extern FlowArg flow_text(const char *text);
extern FlowArg flow_bytes(const void *data, size_t len);

static inline FlowArg
flow_int64(int64 value)
{
	return (FlowArg) {Int64GetDatum(value), false};
}

/* Runs the statement and returns the number of rows. Raises what the statement raises. */
extern uint64 flow_run_args(FlowPlan *plan, const FlowArg *args);

#define flow_run(plan, ...) flow_run_args((plan), (FlowArg[]) {__VA_ARGS__})
#define flow_run_without_args(plan) flow_run_args((plan), NULL)

/* The same for a statement that only reads, with the snapshot that is active: what a parallel worker may do. */
extern uint64 flow_read_args(FlowPlan *plan, const FlowArg *args);

#define flow_read(plan, ...) flow_read_args((plan), (FlowArg[]) {__VA_ARGS__})
#define flow_read_without_args(plan) flow_read_args((plan), NULL)

/* Values of the last result, palloc'ed where they are not by value. text: NULL for an SQL NULL; int64: 0. */
extern char *row_text(uint64 row, int column);
extern int64 row_int64(uint64 row, int column);
extern bool row_bool(uint64 row, int column);
extern bytea *row_bytea(uint64 row, int column);

/* Copies a text of at most size - 1 bytes; "" for an SQL NULL. */
extern void row_copy(uint64 row, int column, char *out, size_t size);

/* Frees the last result. */
extern void flow_rows_free(void);

#endif
