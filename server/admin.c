/*
 * admin.c
 *		The operator's commands other than serve.
 *
 * They talk to the database directly, so they work whether a server runs or not; running ones learn of changes through
 * NOTIFY. Admitting is the one decision that only a person can take: whether this name and this node belong together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "directory_sequencer.h"
#include "migrate.h"
#include "network_key.h"
#include "notary_list.h"
#include "query.h"
#include "server_clock.h"

/* Connects to a database that has this program's tables; says what to do when it has not. */
static PGconn *
connect_ready(const Config *config)
{
	PGconn	   *conn = query_connect(config->database);
	int			current;

	if (conn == NULL)
		return NULL;
	current = migrate_current(conn);
	if (current == migrate_newest())
		return conn;
	if (current >= 0)
		fprintf(stderr, "hdms-server: the database is at migration %d, this program needs %d: %s\n", current, migrate_newest(),
				current > migrate_newest() ? "use the newer program" : "run \"hdms-server migrate\"");
	PQfinish(conn);
	return NULL;
}

int
admin_init(const Config *config)
{
	PGconn	   *conn;
	bool		made;
	HdmsKey    *network = network_key_make(config->network_key_file, &made);
	bool		ok;

	if (network == NULL)
		return 1;
	conn = query_connect(config->database);
	ok = conn != NULL && migrate_run(conn)
		&& notary_list_refresh(conn, network, config->notary_list_max_age, wall_seconds()) != NOTARY_LIST_FAILED;
	PQfinish(conn);
	if (ok)
	{
		if (made)
			fprintf(stderr, "hdms-server: made the network key \"%s\": keep a copy of it in a safe place\n", config->network_key_file);
		printf("%s\n", hdms_key_thumbprint(network));
	}
	hdms_key_free(network);
	return ok ? 0 : 1;
}

int
admin_migrate(const Config *config)
{
	PGconn	   *conn = query_connect(config->database);
	bool		ok = conn != NULL && migrate_run(conn);

	PQfinish(conn);
	return ok ? 0 : 1;
}

/* Terminals obey control characters; a name has been chosen by somebody else. */
static void
print_name(const char *name)
{
	for (const unsigned char *c = (const unsigned char *) name; *c != '\0'; c++)
	{
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
			putchar('?');
		else
			putchar(*c);
	}
}

static int
print_nodes(const Config *config, const char *sql)
{
	PGconn	   *conn = connect_ready(config);
	PGresult   *result = conn != NULL ? query_run(conn, sql, 0, NULL) : NULL;

	for (int row = 0; result != NULL && row < PQntuples(result); row++)
	{
		for (int column = 0; column < 4; column++)
			printf("%s\t", PQgetvalue(result, row, column));
		print_name(PQgetvalue(result, row, 4));
		putchar('\n');
	}
	PQclear(result);
	PQfinish(conn);
	return result != NULL ? 0 : 1;
}

#define NODE_COLUMNS "id, kind, status || CASE WHEN notary THEN ',notary' ELSE '' END," \
	" to_char(to_timestamp(registered) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), name"

int
admin_pending(const Config *config)
{
	return print_nodes(config, "SELECT " NODE_COLUMNS " FROM hdms_server.nodes WHERE status = 'pending' ORDER BY registered, id");
}

int
admin_nodes(const Config *config)
{
	return print_nodes(config, "SELECT " NODE_COLUMNS " FROM hdms_server.nodes ORDER BY kind, name, id");
}

/* Locks a node in a new transaction and gets its row: kind, status, history, entries. NULL after saying what is wrong. */
static PGresult *
lock_node(PGconn *conn, const char *node)
{
	char		array[HDMS_DIGEST_TEXT + 3];
	const char *values[] = {array};
	const char *ids[] = {node};
	PGresult   *result;

	snprintf(array, sizeof(array), "{%s}", node);
	if (!query_do(conn, "BEGIN", 0, NULL) || !query_do(conn, QUERY_LOCK_NODES, 1, values))
		return NULL;
	result = query_run(conn, "SELECT kind, status, history, name FROM hdms_server.nodes WHERE id = $1", 1, ids);
	if (result != NULL && PQntuples(result) == 0)
	{
		fprintf(stderr, "hdms-server: there is no node \"%s\"\n", node);
		PQclear(result);
		return NULL;
	}
	return result;
}

static bool
announce_and_commit(PGconn *conn, const char *node)
{
	const char *values[] = {node};

	return query_do(conn, "SELECT pg_notify('hdms_nodes', $1)", 1, values) && query_do(conn, "COMMIT", 0, NULL);
}

/* Signs an admission of the locked node and stores it. */
static bool
admit_locked(PGconn *conn, const HdmsKey *network, const char *node, bool notary, const PGresult *row)
{
	HdmsHistory *history = NULL;
	char	   *admission = NULL;
	char		now[24];
	const char *values[4];
	HdmsStatus	status;
	bool		ok = false;

	if (strcmp(PQgetvalue(row, 0, 0), "institution") != 0)
	{
		fprintf(stderr, "hdms-server: \"%s\" is a person's node: persons come in by a voucher of an institution\n", node);
		return false;
	}
	if (strcmp(PQgetvalue(row, 0, 1), "frozen") == 0)
	{
		fprintf(stderr, "hdms-server: \"%s\" is frozen: ask the institution what happened, then \"hdms-server thaw\"\n", node);
		return false;
	}
	status = hdms_history_parse(PQgetvalue(row, 0, 2), (size_t) PQgetlength(row, 0, 2), &history);
	if (status == HDMS_OK && notary && hdms_history_current(history, HDMS_ROLE_LOG) == NULL)
	{
		fprintf(stderr, "hdms-server: \"%s\" has no log key and cannot be a notary\n", node);
		goto cleanup;
	}
	if (status == HDMS_OK)
		status = hdms_admission_sign(network, history, notary, wall_seconds(), &admission);
	if (status != HDMS_OK)
	{
		fprintf(stderr, "hdms-server: cannot sign the admission: %s\n", hdms_status_sentence(status));
		goto cleanup;
	}
	snprintf(now, sizeof(now), "%lld", (long long) wall_seconds());
	values[0] = node;
	values[1] = admission;
	values[2] = notary ? "true" : "false";
	values[3] = now;
	ok = query_do(conn, "UPDATE hdms_server.nodes SET status = 'active', admission = $2, notary = $3::bool, changed = $4::int8, unlogged = true WHERE id = $1", 4, values)
		&& announce_and_commit(conn, node);

cleanup:
	free(admission);
	hdms_history_free(history);
	return ok;
}

int
admin_admit(const Config *config, const char *node, bool notary)
{
	HdmsKey    *network = network_key_load(config->network_key_file);
	PGconn	   *conn = network != NULL ? connect_ready(config) : NULL;
	PGresult   *row = conn != NULL ? lock_node(conn, node) : NULL;
	bool		ok = row != NULL && admit_locked(conn, network, node, notary, row)
		&& notary_list_refresh(conn, network, config->notary_list_max_age, wall_seconds()) != NOTARY_LIST_FAILED
		&& directory_sequence(conn, network, NULL, wall_seconds());

	if (ok)
	{
		printf("admitted %s%s: ", node, notary ? " as a notary" : "");
		print_name(PQgetvalue(row, 0, 3));
		putchar('\n');
	}
	PQclear(row);
	PQfinish(conn);
	hdms_key_free(network);
	return ok ? 0 : 1;
}

int
admin_thaw(const Config *config, const char *node)
{
	HdmsKey    *network = network_key_load(config->network_key_file);
	PGconn	   *conn = network != NULL ? connect_ready(config) : NULL;
	PGresult   *row = conn != NULL ? lock_node(conn, node) : NULL;
	char		now[24];
	const char *values[] = {node, now};
	bool		ok = row != NULL;

	snprintf(now, sizeof(now), "%lld", (long long) wall_seconds());
	if (ok && strcmp(PQgetvalue(row, 0, 1), "frozen") != 0)
	{
		fprintf(stderr, "hdms-server: \"%s\" is not frozen\n", node);
		ok = false;
	}
	ok = ok && query_do(conn, "UPDATE hdms_server.nodes SET status = CASE WHEN kind = 'person' OR admission IS NOT NULL THEN 'active' ELSE 'pending' END,"
						" changed = $2::int8 WHERE id = $1", 2, values)
		&& announce_and_commit(conn, node)
		&& notary_list_refresh(conn, network, config->notary_list_max_age, wall_seconds()) != NOTARY_LIST_FAILED;
	PQclear(row);
	PQfinish(conn);
	hdms_key_free(network);
	return ok ? 0 : 1;
}
