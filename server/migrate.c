/*
 * migrate.c
 *		Numbered migrations of the server's database.
 *
 * One process migrates at a time, under an advisory lock. Each migration commits together with its number, so an
 * interrupted run continues where it stopped.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "log.h"
#include "migrate.h"
#include "query.h"
#include "server_clock.h"

int
migrate_newest(void)
{
	int			newest = 0;

	for (const Migration *migration = migrations; migration->number != 0; migration++)
		newest = migration->number;
	return newest;
}

int
migrate_current(PGconn *conn)
{
	PGresult   *result = query_run(conn, "SELECT to_regclass('hdms_server.migrations') IS NOT NULL", 0, NULL);
	int			number = -1;

	if (result == NULL)
		return -1;
	if (PQgetvalue(result, 0, 0)[0] != 't')
		number = 0;
	PQclear(result);
	if (number == 0)
		return 0;
	result = query_run(conn, "SELECT COALESCE(max(number), 0) FROM hdms_server.migrations", 0, NULL);
	if (result != NULL)
		number = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	return number;
}

/* The row of server_meta that a fresh database starts with. */
static bool
insert_meta(PGconn *conn)
{
	unsigned char secret[32];
	unsigned char epoch[12];
	char		epoch_text[HDMS_BASE64URL_SIZE(sizeof(epoch))];
	char		secret_hex[2 + 2 * sizeof(secret) + 1] = "\\x";
	char		now[24];
	const char *values[] = {epoch_text, secret_hex, now};

	if (hdms_random(secret, sizeof(secret)) != HDMS_OK || hdms_random(epoch, sizeof(epoch)) != HDMS_OK)
		return false;
	hdms_base64url_write(epoch, sizeof(epoch), epoch_text);
	for (size_t i = 0; i < sizeof(secret); i++)
		snprintf(secret_hex + 2 + 2 * i, 3, "%02x", secret[i]);
	snprintf(now, sizeof(now), "%lld", (long long) wall_seconds());
	return query_do(conn, "INSERT INTO hdms_server.server_meta (epoch, session_secret, created)"
					" VALUES ($1, $2::bytea, $3::int8) ON CONFLICT DO NOTHING", 3, values);
}

static bool
migration_apply(PGconn *conn, const Migration *migration)
{
	char		number[16];
	const char *values[] = {number, migration->name};
	PGresult   *result;
	bool		ok;

	snprintf(number, sizeof(number), "%d", migration->number);
	if (!query_do(conn, "BEGIN", 0, NULL))
		return false;
	result = PQexec(conn, migration->sql);
	ok = PQresultStatus(result) == PGRES_COMMAND_OK;
	if (!ok)
		query_log_error(conn, result, migration->name);
	PQclear(result);
	ok = ok && query_do(conn, "INSERT INTO hdms_server.migrations (number, name) VALUES ($1::int4, $2)", 2, values)
		&& query_do(conn, "COMMIT", 0, NULL);
	if (!ok)
		query_do(conn, "ROLLBACK", 0, NULL);
	else
		log_event(LEVEL_INFO, "migrated", "number=i", (int64_t) migration->number, "name=s", migration->name, NULL);
	return ok;
}

bool
migrate_run(PGconn *conn)
{
	char		lock[96];
	char		unlock[96];
	int			current;
	bool		ok = true;

	snprintf(lock, sizeof(lock), "SELECT pg_advisory_lock(%d, %d)", QUERY_LOCK_CLASS, QUERY_LOCK_MIGRATE);
	snprintf(unlock, sizeof(unlock), "SELECT pg_advisory_unlock(%d, %d)", QUERY_LOCK_CLASS, QUERY_LOCK_MIGRATE);
	if (!query_do(conn, "SET statement_timeout = 0", 0, NULL) || !query_do(conn, lock, 0, NULL))
		return false;
	ok = query_do(conn, "SET client_min_messages = warning", 0, NULL)
		&& query_do(conn, "CREATE SCHEMA IF NOT EXISTS hdms_server", 0, NULL)
		&& query_do(conn, "CREATE TABLE IF NOT EXISTS hdms_server.migrations"
					" (number integer PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now())", 0, NULL);
	current = ok ? migrate_current(conn) : -1;
	ok = current >= 0;
	if (current > migrate_newest())
	{
		fprintf(stderr, "hdms-server: the database was migrated to %d by a newer program; this one knows %d\n", current, migrate_newest());
		ok = false;
	}
	for (const Migration *migration = migrations; ok && migration->number != 0; migration++)
	{
		if (migration->number > current)
			ok = migration_apply(conn, migration);
	}
	ok = ok && insert_meta(conn);
	query_do(conn, unlock, 0, NULL);
	return ok;
}
