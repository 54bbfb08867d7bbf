/*
 * pipeline.c
 *		Prepared statements sent many at a time over one connection.
 *
 * A batch costs one or two round trips, whatever it holds. The socket is non-blocking: libpq would otherwise write a
 * large batch while the server waits for somebody to read its results. Waiting has an end, so that a database
 * behind a dead network path is noticed without help from TCP.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"
#include "query.h"
#include "server_clock.h"

#define RUN_TIMEOUT_MS	20000

static const char *const statement_texts[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN ISOLATION LEVEL READ COMMITTED",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_DURABLE] = "SELECT set_config('synchronous_commit', 'on', true)",
	[STATEMENT_META] = "SELECT epoch, COALESCE(pg_relation_filenode('hdms_server.mailbox')::int8, 0),"
	" (SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM hdms_server.mailbox_seq) FROM hdms_server.server_meta",
	[STATEMENT_SNAPSHOT] = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8",
	[STATEMENT_TAKE_ID] = "SELECT pg_current_xact_id()::text::int8",
	[STATEMENT_NONCES] = "INSERT INTO hdms_server.nonces (node, nonce, seen) SELECT node, nonce, $3::int8"
	" FROM unnest($1::text[], $2::text[]) AS n (node, nonce) ON CONFLICT (node, nonce) DO NOTHING RETURNING node, nonce",
	[STATEMENT_USAGE] = "SELECT nodes.id, held.envelopes, held.bytes FROM unnest($1::text[]) AS wanted (id)"
	" JOIN hdms_server.nodes ON nodes.id = wanted.id AND nodes.status = 'active'"
	" CROSS JOIN LATERAL (SELECT count(*) AS envelopes, COALESCE(sum(mailbox.bytes), 0)::int8 AS bytes"
	" FROM hdms_server.mailbox WHERE mailbox.recipient = wanted.id) AS held",
	[STATEMENT_PUT] = "INSERT INTO hdms_server.mailbox (recipient, id, seq, expires, bytes, data)"
	" SELECT recipient, id, nextval('hdms_server.mailbox_seq'), expires, octet_length(data), data"
	" FROM unnest($1::text[], $2::text[], $3::int8[], $4::bytea[]) AS parcel (recipient, id, expires, data)"
	" ON CONFLICT (recipient, id) DO UPDATE SET seq = EXCLUDED.seq, expires = EXCLUDED.expires, data = EXCLUDED.data"
	" WHERE mailbox.expires <= $5::int8 OR mailbox.data <> EXCLUDED.data"
	" RETURNING recipient, id",
	[STATEMENT_HELD] = "SELECT mailbox.recipient, mailbox.id FROM unnest($1::text[], $2::text[]) AS wanted (recipient, id)"
	" JOIN hdms_server.mailbox ON mailbox.recipient = wanted.recipient AND mailbox.id = wanted.id AND mailbox.expires > $3::int8",
	[STATEMENT_ACKNOWLEDGE] = "DELETE FROM hdms_server.mailbox USING unnest($1::text[], $2::text[]) AS done (recipient, id)"
	" WHERE mailbox.recipient = done.recipient AND mailbox.id = done.id RETURNING mailbox.recipient, mailbox.bytes",
	[STATEMENT_FETCH] = "SELECT wanted.number, held.id, CASE WHEN held.place <= wanted.most AND (held.total <= $4::int8 OR held.place = 1) THEN held.data END, held.seq"
	" FROM unnest($1::int4[], $2::text[], $3::int4[], $6::int8[]) AS wanted (number, recipient, most, floor) CROSS JOIN LATERAL"
	" (SELECT id, data, bytes, seq, row_number() OVER arrival AS place, sum(bytes) OVER arrival AS total FROM hdms_server.mailbox"
	" WHERE mailbox.recipient = wanted.recipient AND mailbox.seq >= wanted.floor AND mailbox.expires > $5::int8"
	" WINDOW arrival AS (ORDER BY seq ROWS UNBOUNDED PRECEDING) ORDER BY seq LIMIT wanted.most + 1) AS held"
	" WHERE held.total - held.bytes <= $4::int8 ORDER BY wanted.number, held.place",
	[STATEMENT_STREAM] = "SELECT held.id, CASE WHEN held.place <= $2::int8 AND (held.total <= $3::int8 OR held.place = 1) THEN held.data END, held.seq"
	" FROM (SELECT id, data, bytes, seq, row_number() OVER arrival AS place, sum(bytes) OVER arrival AS total FROM hdms_server.mailbox"
	" WHERE mailbox.recipient = $1::text AND mailbox.expires > $4::int8 AND mailbox.seq <> ALL ($5::int8[])"
	" WINDOW arrival AS (ORDER BY seq ROWS UNBOUNDED PRECEDING) ORDER BY seq LIMIT $2::int8 + 1) AS held"
	" WHERE held.total - held.bytes <= $3::int8 ORDER BY held.place",
	[STATEMENT_STREAM_HELD] = "SELECT mailbox.seq FROM unnest($2::int8[]) AS sent (seq)"
	" JOIN hdms_server.mailbox ON mailbox.recipient = $1::text AND mailbox.seq = sent.seq",
	[STATEMENT_NODES] = "SELECT nodes.id, kind, status, history, admission, notary, entries FROM unnest($1::text[]) AS wanted (id)"
	" JOIN hdms_server.nodes ON nodes.id = wanted.id",
	[STATEMENT_LISTS] = "SELECT lists.digest, jws, iat FROM unnest($1::text[]) AS wanted (digest)"
	" JOIN hdms_server.notary_lists AS lists ON lists.digest = wanted.digest",
	[STATEMENT_NEWEST_LIST] = "SELECT digest, jws, iat FROM hdms_server.notary_lists ORDER BY iat DESC, seq DESC LIMIT 1",
	[STATEMENT_NODE_ENTRY] = "SELECT nodes.status, nodes.history, nodes.admission, nodes.entries, nodes.logged_entries, nodes.log_index,"
	" log.note, log.size, path.level::int8, path.index, path.data"
	" FROM hdms_server.nodes LEFT JOIN hdms_server.log_checkpoints AS log ON log.log = 'directory' AND nodes.log_index < log.size"
	" LEFT JOIN LATERAL (SELECT tiles.level, tiles.index, tiles.data FROM generate_series(0, 6) AS at (level)"
	" CROSS JOIN LATERAL (VALUES (nodes.log_index >> 8 * (at.level + 1)), ((log.size - 1) >> 8 * (at.level + 1))) AS place (index)"
	" JOIN hdms_server.log_tiles AS tiles ON tiles.log = 'directory' AND tiles.level = at.level::int2 AND tiles.index = place.index) AS path ON true"
	" WHERE nodes.id = $1::text",
	[STATEMENT_LOG_CHECKPOINT] = "SELECT note, size FROM hdms_server.log_checkpoints WHERE log = $1::text",
	[STATEMENT_LOG_TILE] = "SELECT data, width::int8 FROM hdms_server.log_tiles WHERE log = $1::text AND level = $2::int8::int2 AND index = $3::int8",
	[STATEMENT_LOG_EDGE] = "SELECT tiles.level::int8, tiles.index, tiles.data FROM generate_series(0, 6) AS at (level)"
	" JOIN hdms_server.log_tiles AS tiles ON tiles.log = $1::text AND tiles.level = at.level::int2"
	" AND tiles.index = ($2::int8 - 1) >> 8 * (at.level + 1)",
	[STATEMENT_WRITE_TILE] = "WITH put AS (INSERT INTO hdms_server.log_tiles AS kept (log, level, index, width, data)"
	" SELECT $1::text, $2::int8::int2, $3::int8, $4::int8::int2, new.data FROM unnest($5::bytea[]) AS new (data)"
	" ON CONFLICT (log, level, index) DO UPDATE SET width = EXCLUDED.width, data = EXCLUDED.data"
	" WHERE kept.width < EXCLUDED.width AND substr(EXCLUDED.data, 1, octet_length(kept.data)) = kept.data RETURNING 1)"
	" SELECT CASE WHEN EXISTS (SELECT FROM put) THEN 1 WHEN EXISTS (SELECT FROM hdms_server.log_tiles AS kept, unnest($5::bytea[]) AS new (data)"
	" WHERE kept.log = $1::text AND kept.level = $2::int8::int2 AND kept.index = $3::int8"
	" AND substr(kept.data, 1, octet_length(new.data)) = new.data) THEN 2 ELSE 3 END::int8",
	[STATEMENT_WRITE_CHECKPOINT] = "WITH put AS (INSERT INTO hdms_server.log_checkpoints AS kept (log, size, note, changed)"
	" VALUES ($1::text, $2::int8, $3::text, $4::int8)"
	" ON CONFLICT (log) DO UPDATE SET size = EXCLUDED.size, note = EXCLUDED.note, changed = EXCLUDED.changed"
	" WHERE kept.size < EXCLUDED.size OR (kept.size = EXCLUDED.size AND octet_length(kept.note) < octet_length(EXCLUDED.note)"
	" AND split_part(kept.note, E'\\n\\n', 1) = split_part(EXCLUDED.note, E'\\n\\n', 1)) RETURNING 1)"
	" SELECT CASE WHEN EXISTS (SELECT FROM put) THEN 1 WHEN EXISTS (SELECT FROM hdms_server.log_checkpoints AS kept WHERE kept.log = $1::text"
	" AND (kept.size > $2::int8 OR split_part(kept.note, E'\\n\\n', 1) = split_part($3::text, E'\\n\\n', 1))) THEN 2 ELSE 3 END::int8",
	[STATEMENT_LOCK_NODES] = QUERY_LOCK_NODES,
	[STATEMENT_CLAIM_VOUCHERS] = "INSERT INTO hdms_server.vouchers_used AS used (issuer, jti, node, expires)"
	" SELECT DISTINCT ON (issuer, jti) issuer, jti, node, expires FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[])"
	" AS claim (issuer, jti, node, expires) ORDER BY issuer, jti, node"
	" ON CONFLICT (issuer, jti) DO UPDATE SET node = used.node RETURNING issuer, jti, node",
	[STATEMENT_WRITE_NODES] = "INSERT INTO hdms_server.nodes (id, kind, name, history, entries, status, admission, notary, registered, changed)"
	" SELECT id, kind, name, history, entries, status, admission, notary, $9::int8, $9::int8"
	" FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int4[], $6::text[], $7::text[], $8::bool[])"
	" AS n (id, kind, name, history, entries, status, admission, notary)"
	" ON CONFLICT (id) DO UPDATE SET history = EXCLUDED.history, entries = EXCLUDED.entries, status = EXCLUDED.status,"
	" admission = EXCLUDED.admission, notary = EXCLUDED.notary, changed = EXCLUDED.changed, unlogged = true",
	[STATEMENT_WRITE_LISTS] = "INSERT INTO hdms_server.notary_lists (digest, jws, iat) SELECT DISTINCT ON (digest) digest, jws, iat"
	" FROM unnest($1::text[], $2::text[], $3::int8[]) AS list (digest, jws, iat) ORDER BY digest ON CONFLICT (digest) DO NOTHING RETURNING digest",
	[STATEMENT_ANNOUNCE_NODES] = "SELECT pg_notify('hdms_nodes', id) FROM unnest($1::text[]) AS n (id)",
};

static void
statement_name(Statement statement, char name[16])
{
	snprintf(name, 16, "s%d", (int) statement);
}

bool
pipeline_open(Pipeline *pipeline, PGconn *conn)
{
	memset(pipeline, 0, sizeof(*pipeline));
	for (int i = 0; i < STATEMENT_COUNT; i++)
	{
		char		name[16];
		PGresult   *result;
		bool		ok;

		statement_name((Statement) i, name);
		result = PQprepare(conn, name, statement_texts[i], 0, NULL);
		ok = PQresultStatus(result) == PGRES_COMMAND_OK;
		if (!ok)
			query_log_error(conn, result, "prepare");
		PQclear(result);
		if (!ok)
			return false;
	}
	if (PQsetnonblocking(conn, 1) != 0 || PQenterPipelineMode(conn) != 1)
		return false;
	pipeline->conn = conn;
	return true;
}

static void
pipeline_clear(Pipeline *pipeline)
{
	for (int i = 0; i < pipeline->sent; i++)
	{
		PQclear(pipeline->results[i]);
		pipeline->results[i] = NULL;
	}
	pipeline->sent = 0;
}

void
pipeline_close(Pipeline *pipeline)
{
	pipeline_clear(pipeline);
	free(pipeline->results);
	PQfinish(pipeline->conn);
	memset(pipeline, 0, sizeof(*pipeline));
}

int
pipeline_send(Pipeline *pipeline, Statement statement, int count, Parameter *parameters)
{
	const char *values[10];
	int			lengths[10];
	int			formats[10];
	char		name[16];

	if (pipeline->sent > 0 && pipeline->results[0] != NULL)
		pipeline_clear(pipeline);
	if (pipeline->sent == pipeline->capacity)
	{
		int			capacity = pipeline->capacity == 0 ? 32 : pipeline->capacity * 2;
		PGresult  **grown = realloc(pipeline->results, (size_t) capacity * sizeof(PGresult *));

		if (grown == NULL)
		{
			pipeline->failed = true;
			goto cleanup;
		}
		memset(grown + pipeline->capacity, 0, (size_t) (capacity - pipeline->capacity) * sizeof(PGresult *));
		pipeline->results = grown;
		pipeline->capacity = capacity;
	}
	for (int i = 0; i < count; i++)
	{
		/* an array without elements has no dimensions */
		if (parameters[i].is_array && parameters[i].count == 0 && !parameters[i].failed)
		{
			memset(parameters[i].data, 0, 8);
			parameters[i].len = 12;
		}
		values[i] = (const char *) parameters[i].data;
		lengths[i] = (int) parameters[i].len;
		formats[i] = 1;
		if (parameters[i].failed || parameters[i].len > 512 * 1024 * 1024)
			pipeline->failed = true;
	}
	statement_name(statement, name);
	if (!pipeline->failed && PQsendQueryPrepared(pipeline->conn, name, count, values, lengths, formats, 1) != 1)
		pipeline->failed = true;
	if (!pipeline->failed)
		pipeline->results[pipeline->sent++] = NULL;

cleanup:
	for (int i = 0; i < count; i++)
		parameter_free(&parameters[i]);
	return pipeline->sent - 1;
}

static PipelineStatus
status_of_error(PGconn *conn, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (state == NULL || PQstatus(conn) != CONNECTION_OK)
		return PIPELINE_LOST;
	if (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0)
		return PIPELINE_CONFLICT;
	query_log_error(conn, result, "batch");
	if (strncmp(state, "53", 2) == 0 || strcmp(state, "57014") == 0 || strcmp(state, "55P03") == 0)
		return PIPELINE_BUSY;
	if (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0 || strcmp(state, "42703") == 0 || strncmp(state, "57P", 3) == 0
		|| strcmp(state, "26000") == 0 || strcmp(state, "25006") == 0 || strcmp(state, "42501") == 0 || strcmp(state, "0A000") == 0)
		return PIPELINE_MISSING;
	return PIPELINE_ERROR;
}

/* Waits until the socket can be used, or the time is over. */
static bool
wait_for_socket(PGconn *conn, bool want_write, int64_t deadline)
{
	for (;;)
	{
		struct pollfd descriptor = {.fd = PQsocket(conn), .events = (short) (POLLIN | (want_write ? POLLOUT : 0))};
		int64_t		left = deadline - monotonic_ms();
		int			ready;

		if (left <= 0 || descriptor.fd < 0)
			return false;
		ready = poll(&descriptor, 1, (int) left);
		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
}

PipelineStatus
pipeline_run(Pipeline *pipeline)
{
	PGconn	   *conn = pipeline->conn;
	PipelineStatus status = PIPELINE_OK;
	int64_t		deadline = monotonic_ms() + RUN_TIMEOUT_MS;
	int			received = 0;
	bool		flushed = false;
	bool		synced = false;

	if (pipeline->failed || PQpipelineSync(conn) != 1)
		return PIPELINE_LOST;
	while (!synced)
	{
		PGresult   *result;

		if (!flushed)
		{
			int			left = PQflush(conn);

			if (left < 0)
				return PIPELINE_LOST;
			flushed = (left == 0);
		}
		while (PQisBusy(conn))
		{
			if (!wait_for_socket(conn, !flushed, deadline) || PQconsumeInput(conn) != 1)
				return PIPELINE_LOST;
			if (!flushed)
			{
				int			left = PQflush(conn);

				if (left < 0)
					return PIPELINE_LOST;
				flushed = (left == 0);
			}
		}
		result = PQgetResult(conn);
		if (result == NULL)
		{
			if (PQstatus(conn) != CONNECTION_OK)
				return PIPELINE_LOST;
			continue;			/* between two statements */
		}
		switch (PQresultStatus(result))
		{
			case PGRES_PIPELINE_SYNC:
				synced = true;
				PQclear(result);
				break;
			case PGRES_TUPLES_OK:
			case PGRES_COMMAND_OK:
				if (received < pipeline->sent)
					pipeline->results[received++] = result;
				else
					PQclear(result);
				break;
			case PGRES_PIPELINE_ABORTED:
				PQclear(result);
				break;
			default:
				if (status == PIPELINE_OK)
					status = status_of_error(conn, result);
				PQclear(result);
				if (status == PIPELINE_LOST)
					return status;
				break;
		}
	}
	if (status == PIPELINE_OK && received != pipeline->sent)
		status = PIPELINE_ERROR;
	if (status != PIPELINE_OK)
		pipeline_clear(pipeline);
	return status;
}

PipelineStatus
pipeline_roll_back(Pipeline *pipeline)
{
	pipeline_clear(pipeline);
	if (PQstatus(pipeline->conn) != CONNECTION_OK)
		return PIPELINE_LOST;
	if (PQtransactionStatus(pipeline->conn) == PQTRANS_IDLE)
		return PIPELINE_OK;
	pipeline_send(pipeline, STATEMENT_ROLLBACK, 0, NULL);
	return pipeline_run(pipeline);
}

int64_t
result_int8(const PGresult *result, int row, int column)
{
	uint64_t	wire;

	memcpy(&wire, PQgetvalue(result, row, column), sizeof(wire));
	return (int64_t) be64toh(wire);
}

int32_t
result_int4(const PGresult *result, int row, int column)
{
	uint32_t	wire;

	memcpy(&wire, PQgetvalue(result, row, column), sizeof(wire));
	return (int32_t) be32toh(wire);
}

bool
result_bool(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column)[0] != 0;
}
