/*
 * query.h
 *		Blocking queries, for the commands of the operator and for housekeeping: never in an HTTP thread.
 */
#ifndef HDMS_SERVER_QUERY_H
#define HDMS_SERVER_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

/* The advisory locks of the server; the second argument of pg_advisory_lock(int, int) is one of these, the first QUERY_LOCK_CLASS. */
#define QUERY_LOCK_CLASS		1750363507
#define QUERY_LOCK_MIGRATE		1
#define QUERY_LOCK_NOTARIES		2
#define QUERY_LOCK_HOUSEKEEPING	3
#define QUERY_LOCK_DIRECTORY	4

/* Locks nodes ($1: array of ids) against other changes until the transaction ends, always in the same order. */
#define QUERY_LOCK_NODES \
	"SELECT pg_advisory_xact_lock(key) FROM (SELECT DISTINCT hashtextextended(id, 7) AS key" \
	" FROM unnest($1::text[]) AS n (id) ORDER BY 1) AS keys"

/* Connects with the server's session settings; NULL after logging why not. */
extern PGconn *query_connect(const char *conninfo);

/* Runs one statement with text parameters; the result, or NULL after logging its error. */
extern PGresult *query_run(PGconn *conn, const char *sql, int count, const char *const *values);

/* The same where rows do not matter. */
extern bool query_do(PGconn *conn, const char *sql, int count, const char *const *values);

/* Logs the last error of a connection without the values that it concerns. */
extern void query_log_error(PGconn *conn, const PGresult *result, const char *doing);

#endif
