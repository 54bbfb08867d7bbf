/*
 * fn_insert.h
 *		Rows of the extension's own tables, written and found without planning a statement.
 */
#ifndef HDMS_EXT_FN_INSERT_H
#define HDMS_EXT_FN_INSERT_H

#include "postgres.h"

#include "access/attnum.h"

#define INSERT_MAX_COLUMNS 12

/* A table of hdms_internal and the columns that a caller gives values for; the others become null. */
typedef struct InsertTarget
{
	const char *table;
	int			column_count;
	const char *columns[INSERT_MAX_COLUMNS];

	/* found out when it is used first */
	Oid			relation;
	AttrNumber	attributes[INSERT_MAX_COLUMNS];
} InsertTarget;

/*
 * Inserts a row, values in the order of the target's columns. Defaults, CHECK constraints and triggers are
 * not looked at: the tables have no triggers, and the caller's values are this library's own. NOT NULL and unique
 * indexes are.
 */
extern void insert_row(InsertTarget *target, const Datum *values, const bool *nulls);

/* The next value of a sequence of hdms_internal. */
extern int64 insert_next_id(const char *sequence);

/* A patient's status, palloc'ed; NULL when there is no such patient. */
extern char *find_patient_status(text *patient_ref);

#endif
