/*
 * statement.h
 *		SQL statements of the worker, planned once and kept.
 */
#ifndef HDMS_EXT_STATEMENT_H
#define HDMS_EXT_STATEMENT_H

#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"

#define STATEMENT_ARGUMENTS 10

/* One of these, static, for each statement: {"SELECT ...", 2, {TEXTOID, INT8OID}}. */
typedef struct Statement
{
	const char *text;
	int			count;
	Oid			types[STATEMENT_ARGUMENTS];
	SPIPlanPtr	plan;
} Statement;

/*
 * Runs it; SPI is connected. nulls: a character for each argument, 'n' for null, as SPI has it; or NULL.
 * Returns SPI_processed; the rows are in SPI_tuptable. Raises ERROR when it fails.
 */
extern uint64 statement_run(Statement *statement, Datum *values, const char *nulls);

/* Columns of the result, 1 .... Text is palloc'ed; NULL for a null. */
extern char *statement_text(uint64 row, int column);
extern int64 statement_int8(uint64 row, int column);
extern bool statement_bool(uint64 row, int column);

/* An array of text, or of int8, as an argument. */
extern Datum statement_text_array(char **texts, int count);
extern Datum statement_int8_array(const int64 *numbers, int count);

#endif
