/*
 * directory_sequencer.c
 *		The directory's own log: what the nodes' table has and the log lacks becomes leaves, and a checkpoint is signed.
 *
 * Registrations only mark their row; so they never wait for each other, and nothing that was accepted can be
 * forgotten: whoever sequences next finds the mark. Leaves, tiles, checkpoint and the rows' new marks are written in one
 * durable transaction, so that no checkpoint is ever served whose leaves could be lost. Processes take turns by an
 * advisory lock, and each begins with the tree that it finds: it must be the one that the stored checkpoint promises.
 *
 * A database that was put back from a backup has lost leaves that nodes have seen. Nothing can make that log consistent
 * again, so, once a node shows a checkpoint that proves it, a new generation begins, with everything
 * that the directory has now; nodes follow it from its first leaf, and report it to their people.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory_sequencer.h"
#include "history.h"
#include "log.h"
#include "metrics.h"
#include "query.h"
#include "server_clock.h"

#define ROWS_AT_ONCE	"500"
#define ROWS_MAX		500

typedef struct Sequencing
{
	PGconn	   *conn;
	const HdmsKey *network;
	int64_t		now;
	int64_t		generation;		/* 0: there is no log yet */
	HdmsCheckpoint checkpoint;
	LogGrowth	growth;
} Sequencing;

static bool
save_tile(void *context, int level, uint64_t index, int width, const unsigned char *data, size_t len)
{
	Sequencing *sequencing = context;
	static const char digits[] = "0123456789abcdef";
	char		level_text[8];
	char		index_text[24];
	char		width_text[8];
	char	   *hex = malloc(2 * len + 3);
	const char *values[] = {level_text, index_text, width_text, hex};
	bool		ok;

	if (hex == NULL)
		return false;
	memcpy(hex, "\\x", 2);
	for (size_t i = 0; i < len; i++)
	{
		hex[2 + 2 * i] = digits[data[i] >> 4];
		hex[3 + 2 * i] = digits[data[i] & 15];
	}
	hex[2 + 2 * len] = '\0';
	snprintf(level_text, sizeof(level_text), "%d", level);
	snprintf(index_text, sizeof(index_text), "%" PRIu64, index);
	snprintf(width_text, sizeof(width_text), "%d", width);
	ok = query_do(sequencing->conn, "INSERT INTO hdms_server.log_tiles (log, level, index, width, data)"
				  " VALUES ('" DIRECTORY_LOG "', $1::int2, $2::int8, $3::int2, $4::bytea)"
				  " ON CONFLICT (log, level, index) DO UPDATE SET width = EXCLUDED.width, data = EXCLUDED.data", 4, values);
	free(hex);
	return ok;
}

/* Reads a tile of at least that many bytes; exactly them are copied. *found false when there is none. */
static bool
load_tile(PGconn *conn, int level, uint64_t index, size_t wanted, unsigned char *data, bool *found)
{
	char		level_text[8];
	char		index_text[24];
	const char *values[] = {level_text, index_text};
	PGresult   *result;
	unsigned char *bytes = NULL;
	size_t		len = 0;

	snprintf(level_text, sizeof(level_text), "%d", level);
	snprintf(index_text, sizeof(index_text), "%" PRIu64, index);
	result = query_run(conn, "SELECT data FROM hdms_server.log_tiles WHERE log = '" DIRECTORY_LOG "' AND level = $1::int2 AND index = $2::int8", 2, values);
	if (result == NULL)
		return false;
	if (PQntuples(result) == 1)
		bytes = PQunescapeBytea((const unsigned char *) PQgetvalue(result, 0, 0), &len);
	*found = bytes != NULL && len >= wanted;
	if (*found)
		memcpy(data, bytes, wanted);
	PQfreemem(bytes);
	PQclear(result);
	return true;
}

/* Reads the stored checkpoint. A log without one has generation 0. *sound false when it is not what this network's key signed. */
static bool
load_checkpoint(Sequencing *sequencing, bool *sound)
{
	PGresult   *result = query_run(sequencing->conn, "SELECT note, size FROM hdms_server.log_checkpoints WHERE log = '" DIRECTORY_LOG "'", 0, NULL);

	if (result == NULL)
		return false;
	*sound = true;
	sequencing->generation = 0;
	if (PQntuples(result) == 1)
		*sound = hdms_directory_checkpoint_verify(PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0), sequencing->network,
												  &sequencing->checkpoint, &sequencing->generation) == HDMS_OK;
	PQclear(result);
	return true;
}

/* Reads the right edge of the tree. *sound false when it is not the tree of the checkpoint. */
static bool
load_growth(Sequencing *sequencing, bool *sound)
{
	LogGrowth  *growth = &sequencing->growth;
	uint64_t	size = sequencing->checkpoint.size;
	HdmsHash	root;

	memset(growth, 0, sizeof(*growth));
	growth->save = save_tile;
	growth->context = sequencing;
	for (int level = 0; level < LOG_TILE_LEVELS && *sound; level++)
	{
		LogEdge    *edge = &growth->edges[level];

		log_edge_place(size, level, &edge->index, &edge->width);
		if (edge->width > 0 && !load_tile(sequencing->conn, level, edge->index, (size_t) edge->width * sizeof(HdmsHash), edge->data, sound))
			return false;
	}
	growth->bundle_len = (size_t) growth->edges[0].width * (2 + HDMS_DIRECTORY_LEAF_SIZE);
	if (*sound && growth->bundle_len > 0
		&& !load_tile(sequencing->conn, LOG_ENTRIES, growth->edges[0].index, growth->bundle_len, growth->bundle, sound))
		return false;
	*sound = *sound && log_growth_begin(growth, size) == HDMS_OK && hdms_merkle_root(&growth->frontier, root) == HDMS_OK
		&& memcmp(root, sequencing->checkpoint.root, sizeof(root)) == 0;
	return true;
}

/* Gives complete nodes of the stored tree, for the root that it had at an earlier size. */
static HdmsStatus
fetch_stored(void *arg, int level, uint64_t index, HdmsHash hash)
{
	Sequencing *sequencing = arg;
	int			height = level % 8;
	unsigned char data[HDMS_TILE_WIDTH * HDMS_DIGEST_SIZE];
	uint64_t	tile = index >> (8 - height);
	uint64_t	after = (index << height) % HDMS_TILE_WIDTH + (UINT64_C(1) << height);
	LogTiles	tiles = {1, {{level / 8, tile, (int) after, data}}};
	bool		found = false;

	if (!load_tile(sequencing->conn, level / 8, tile, after * sizeof(HdmsHash), data, &found) || !found)
		return HDMS_BAD_PROOF;
	return log_tiles_fetch(&tiles, level, index, hash);
}

/* Whether the log is one that a checkpoint somebody showed belongs to. */
static bool
agrees_with(Sequencing *sequencing, const SeenCheckpoint *seen)
{
	HdmsHash	root;

	if (seen == NULL || seen->generation < sequencing->generation)
		return true;
	if (seen->generation > sequencing->generation || seen->size > sequencing->checkpoint.size)
		return false;
	return hdms_merkle_tree_root(seen->size, fetch_stored, sequencing, root) == HDMS_OK && memcmp(root, seen->root, sizeof(root)) == 0;
}

/* Signs a checkpoint over the tree as it has become. */
static bool
save_checkpoint(Sequencing *sequencing)
{
	HdmsCheckpoint *checkpoint = &sequencing->checkpoint;
	char	   *note = NULL;
	char		size[24];
	char		now[24];
	const char *values[3] = {size, NULL, now};
	bool		ok;

	hdms_directory_origin(hdms_key_thumbprint(sequencing->network), sequencing->generation, checkpoint->origin);
	checkpoint->size = sequencing->growth.frontier.size;
	if (hdms_merkle_root(&sequencing->growth.frontier, checkpoint->root) != HDMS_OK
		|| hdms_checkpoint_sign(checkpoint, sequencing->network, &note) != HDMS_OK)
		return false;
	snprintf(size, sizeof(size), "%" PRIu64, checkpoint->size);
	snprintf(now, sizeof(now), "%lld", (long long) sequencing->now);
	values[1] = note;
	ok = query_do(sequencing->conn, "INSERT INTO hdms_server.log_checkpoints (log, size, note, changed)"
				  " VALUES ('" DIRECTORY_LOG "', $1::int8, $2, $3::int8)"
				  " ON CONFLICT (log) DO UPDATE SET size = EXCLUDED.size, note = EXCLUDED.note, changed = EXCLUDED.changed", 3, values);
	free(note);
	return ok;
}

/* A new log from nothing, later than any that was seen. */
static bool
begin_generation(Sequencing *sequencing, const SeenCheckpoint *seen, const char *why)
{
	int64_t		generation = wall_milliseconds();
	bool		is_first = sequencing->generation == 0 && seen == NULL;

	if (generation <= sequencing->generation)
		generation = sequencing->generation + 1;
	if (seen != NULL && generation <= seen->generation)
		generation = seen->generation + 1;
	log_event(is_first ? LEVEL_INFO : LEVEL_WARNING, is_first ? "directory_log_begun" : "directory_log_restarted",
			  "generation=i", generation, "why=s", why, NULL);
	metrics_count(COUNTER_DIRECTORY_LOG_RESTARTS, !is_first);
	sequencing->generation = generation;
	memset(&sequencing->growth, 0, sizeof(sequencing->growth));
	sequencing->growth.save = save_tile;
	sequencing->growth.context = sequencing;
	return query_do(sequencing->conn, "SET LOCAL statement_timeout = 0", 0, NULL)
		&& query_do(sequencing->conn, "DELETE FROM hdms_server.log_tiles WHERE log = '" DIRECTORY_LOG "'", 0, NULL)
		&& query_do(sequencing->conn, "UPDATE hdms_server.nodes SET unlogged = true, logged_entries = 0, logged_admission = NULL, log_index = NULL"
					" WHERE log_index IS NOT NULL OR logged_entries > 0", 0, NULL);
}

static bool
append_statement(Sequencing *sequencing, HdmsDirectoryKind kind, const char *node, uint32_t seq, const char *jws)
{
	HdmsDirectoryLeaf leaf;
	unsigned char bytes[HDMS_DIRECTORY_LEAF_SIZE];

	if (hdms_directory_leaf_make(kind, node, seq, jws, &leaf) != HDMS_OK)
		return false;
	hdms_directory_leaf_write(&leaf, bytes);
	return log_growth_append(&sequencing->growth, bytes, sizeof(bytes)) == HDMS_OK;
}

/* Appends what the log lacks of one node and marks the row. */
static bool
append_node(Sequencing *sequencing, const PGresult *rows, int row)
{
	const char *node = PQgetvalue(rows, row, 0);
	const char *admission = PQgetvalue(rows, row, 3);
	int			logged = atoi(PQgetvalue(rows, row, 2));
	bool		has_news = PQgetvalue(rows, row, 4)[0] == 't';
	HdmsHistory *history = NULL;
	char		entries[16];
	char		index[24];
	const char *values[] = {node, entries, index};
	int			length;
	bool		ok = true;

	if (hdms_history_parse(PQgetvalue(rows, row, 1), (size_t) PQgetlength(rows, row, 1), &history) != HDMS_OK
		|| strcmp(hdms_history_node_id(history), node) != 0 || hdms_history_length(history) < logged)
	{
		/* the mark goes, so that this is not tried for ever: a registration of the node sets it again */
		log_event(LEVEL_ERROR, "stored_history_unusable", "node=s", node, NULL);
		hdms_history_free(history);
		return query_do(sequencing->conn, "UPDATE hdms_server.nodes SET unlogged = false WHERE id = $1", 1, values);
	}
	length = hdms_history_length(history);
	for (int seq = logged; seq < length && ok; seq++)
		ok = append_statement(sequencing, HDMS_DIRECTORY_KEYS, node, (uint32_t) seq, hdms_history_entry(history, seq));
	snprintf(entries, sizeof(entries), "%d", length);
	snprintf(index, sizeof(index), "%" PRIu64, sequencing->growth.frontier.size - 1);
	if (ok && has_news)
		ok = append_statement(sequencing, HDMS_DIRECTORY_ADMISSION, node, 0, admission);
	hdms_history_free(history);
	if (!ok)
		return false;
	if (length == logged)
		return query_do(sequencing->conn, "UPDATE hdms_server.nodes SET unlogged = false, logged_admission = admission WHERE id = $1", 1, values);
	return query_do(sequencing->conn, "UPDATE hdms_server.nodes SET unlogged = false, logged_admission = admission,"
					" logged_entries = $2::int4, log_index = $3::int8 WHERE id = $1", 3, values);
}

/* In an open transaction, under the lock. *count: rows that were looked at. */
static bool
sequence_locked(Sequencing *sequencing, const SeenCheckpoint *seen, int *count)
{
	bool		sound = true;
	bool		ok = load_checkpoint(sequencing, &sound);
	const char *why = NULL;
	PGresult   *rows;

	if (ok && sound && sequencing->generation > 0)
		ok = load_growth(sequencing, &sound);
	if (!ok)
		return false;
	if (!sound)
		why = "the stored log is not what its checkpoint promises";
	else if (sequencing->generation == 0)
		why = seen == NULL ? "there is none" : "a node has seen an earlier one";
	else if (!agrees_with(sequencing, seen))
		why = "a node has seen leaves that are gone";
	if (why != NULL && !begin_generation(sequencing, seen, why))
		return false;
	/* rows that a registration is about to change are left for the next time, so that nobody waits for anybody here */
	rows = query_run(sequencing->conn, "SELECT id, history, logged_entries, COALESCE(admission, ''),"
					 " admission IS NOT NULL AND admission IS DISTINCT FROM logged_admission FROM hdms_server.nodes"
					 " WHERE unlogged AND status <> 'pending' ORDER BY changed, id LIMIT " ROWS_AT_ONCE " FOR UPDATE SKIP LOCKED", 0, NULL);
	ok = rows != NULL;
	*count = ok ? PQntuples(rows) : 0;
	for (int row = 0; ok && row < *count; row++)
		ok = append_node(sequencing, rows, row);
	PQclear(rows);
	if (ok && (why != NULL || sequencing->growth.frontier.size != sequencing->checkpoint.size))
		ok = log_growth_save(&sequencing->growth) && save_checkpoint(sequencing);
	if (ok)
		metrics_gauge_set(GAUGE_DIRECTORY_LOG_SIZE, (int64_t) sequencing->growth.frontier.size);
	return ok;
}

/* Whether there is anything to do: looked at without the lock. */
static bool
is_wanted(PGconn *conn, bool *wanted)
{
	PGresult   *result = query_run(conn, "SELECT EXISTS (SELECT FROM hdms_server.nodes WHERE unlogged AND status <> 'pending')"
								   " OR NOT EXISTS (SELECT FROM hdms_server.log_checkpoints WHERE log = '" DIRECTORY_LOG "')", 0, NULL);

	*wanted = result != NULL && PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	return result != NULL;
}

bool
directory_sequence(PGconn *conn, const HdmsKey *network, const SeenCheckpoint *seen, int64_t now)
{
	Sequencing *sequencing;
	char		lock[96];
	int			count = ROWS_MAX;
	bool		wanted = true;
	bool		ok = true;

	if (seen != NULL && seen->generation == 0)
		seen = NULL;
	if (seen == NULL && !is_wanted(conn, &wanted))
		return false;
	if (!wanted)
		return true;
	sequencing = calloc(1, sizeof(Sequencing));
	if (sequencing == NULL)
		return false;
	sequencing->conn = conn;
	sequencing->network = network;
	sequencing->now = now;
	snprintf(lock, sizeof(lock), "SELECT pg_advisory_xact_lock(%d, %d)", QUERY_LOCK_CLASS, QUERY_LOCK_DIRECTORY);
	while (ok && count == ROWS_MAX)
	{
		memset(&sequencing->checkpoint, 0, sizeof(sequencing->checkpoint));
		ok = query_do(conn, "BEGIN", 0, NULL) && query_do(conn, lock, 0, NULL) && query_do(conn, "SET LOCAL synchronous_commit = on", 0, NULL)
			&& sequence_locked(sequencing, seen, &count);
		ok = query_do(conn, ok ? "COMMIT" : "ROLLBACK", 0, NULL) && ok;
		seen = NULL;
	}
	free(sequencing);
	return ok;
}
