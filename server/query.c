/*
 * query.c
 *		Blocking queries, for the commands of the operator and for housekeeping: never in an HTTP thread.
 *
 * All plans are key look-ups. The session settings keep the planner from ever choosing anything else, whatever the
 * statistics of a mailbox say that was empty a minute ago.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "query.h"

void
query_log_error(PGconn *conn, const PGresult *result, const char *doing)
{
	const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *primary = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	char		text[512];

	snprintf(text, sizeof(text), "%s", primary != NULL ? primary : PQerrorMessage(conn));
	text[strcspn(text, "\n")] = '\0';
	log_event(LEVEL_ERROR, "database_error", "doing=s", doing, "sqlstate=s", state, "message=s", text, NULL);
}

/* What PostgreSQL says by itself, such as why it closes a connection. The log has one form, so it must not reach stderr as it is. */
static void
log_notice(void *unused, const char *message)
{
	char		text[512];

	(void) unused;
	snprintf(text, sizeof(text), "%s", message);
	text[strcspn(text, "\n")] = '\0';
	log_event(LEVEL_INFO, "database_notice", "message=s", text, NULL);
}

PGconn *
query_connect(const char *conninfo)
{
	static const char *const keywords[] = {"dbname", "fallback_application_name", "connect_timeout", "client_encoding",
		"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "options", NULL};
	const char *const values[] = {conninfo, "hdms-server", "5", "UTF8", "10", "5", "3", "15000",
		"-c search_path=pg_catalog,pg_temp -c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"
		" -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_bitmapscan=off -c jit=off"
		" -c max_parallel_workers_per_gather=0 -c plan_cache_mode=force_generic_plan -c default_transaction_isolation=read\\ committed", NULL};
	PGconn	   *conn = PQconnectdbParams(keywords, values, 1);

	if (PQstatus(conn) != CONNECTION_OK)
	{
		query_log_error(conn, NULL, "connect");
		PQfinish(conn);
		return NULL;
	}
	PQsetNoticeProcessor(conn, log_notice, NULL);
	return conn;
}

PGresult *
query_run(PGconn *conn, const char *sql, int count, const char *const *values)
{
	PGresult   *result = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		query_log_error(conn, result, "query");
		PQclear(result);
		return NULL;
	}
	return result;
}

bool
query_do(PGconn *conn, const char *sql, int count, const char *const *values)
{
	PGresult   *result = query_run(conn, sql, count, values);

	PQclear(result);
	return result != NULL;
}
