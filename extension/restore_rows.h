/*
 * restore_rows.h
 *		The rows of a record as they lie in the tables, and how they are put right. Worker only.
 */
#ifndef HDMS_EXT_RESTORE_ROWS_H
#define HDMS_EXT_RESTORE_ROWS_H

#include "postgres.h"

#include "state.h"

/* A row of versions with its payload. Texts are NULL where the column is. */
typedef struct LedgerRow
{
	int64		id;
	char		record[37];
	int64		ordinal;
	char	   *status;
	int64		version;		/* 0: NULL */
	char	   *vk;
	char	   *prev;
	char	   *notary;
	char	   *reason;
	int64		leaf_ms;		/* 0: none */
	unsigned char digest[HDMS_DIGEST_SIZE];
	char	   *content;		/* NULL: there is no payload */
	char	   *state;
	char	   *commit;
	char	   *acceptance;
	char	   *request;
	char	   *receipt;
	bool		is_taken;		/* a version was found to be this row's */
} LedgerRow;

/* What the rows of a version must say. Borrowed. */
typedef struct RightVersion
{
	const HdmsState *state;
	const char *state_text;
	const char *status;			/* "committed", "superseded" or "delivered" */
	const char *reason;
	const char *commit;			/* of a delivered one; then what follows is NULL or 0 */
	const char *acceptance;
	const char *request;
	const char *receipt;
	const char *notary;
	int64		leaf_ms;
	int64		accept_from;	/* the commit's iat, seconds */
	int64		accept_until;	/* seconds */
	int64		payload;		/* a payload without a version that is this one's; 0: none */
	int64		ordinal_after;	/* of the version before; 0: there is none */
} RightVersion;

/* The record's versions, and those that carry one of the vks; by ordinal. */
extern LedgerRow *ledger_rows(const char *record, char **vks, int vk_count, int *count);

/* Whether a row and its payload say what they must. */
extern bool ledger_row_is_right(const LedgerRow *row, const char *record, const RightVersion *right);

/* Puts a version's rows right, or makes them (row NULL); what was there is kept as an incident. Gives the version's id. */
extern int64 ledger_row_restore(const LedgerRow *row, const char *record, const RightVersion *right);

/* Puts the record's own row right, or makes it. replaces: "" where it continues no other. committed: at least so many versions. Gives whether something was wrong. */
extern bool ledger_record_restore(const char *record, const char *node, const char *type, const char *replaces, int64 committed);

/* Numbers the rows of a record anew in the order of these version ids, the others after them. */
extern void ledger_renumber(const char *record, const int64 *ids, int count);

#endif
