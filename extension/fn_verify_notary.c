/*
 * fn_verify_notary.c
 *		Whether the notary's log in the tables is the one that was signed.
 *
 * The tree is recomputed from the entries and compared with each checkpoint, whose signatures count: whoever can write to
 * the tables can make the rest fit. Devices hold receipts under these checkpoints, so a log that does
 * not lead to them has been altered after it promised. Memory stays flat: the open tile of each level, and a lot of rows.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "flow_plan.h"
#include "fn_verify_notary.h"
#include "history.h"
#include "notarisation.h"

#define FETCH_AT_ONCE	1000
#define TILE_LEVELS		8
#define TILE_WIDTH		256

typedef struct NotaryRun
{
	LogFailure	failure;
	void	   *arg;
	HdmsMerkleFrontier frontier;
	int64		covered;		/* entries under the newest checkpoint: the tiles have those */
	int64		last_time;		/* of the leaf before */
	int64		tile_rows;		/* that there must be */
	int			counts[TILE_LEVELS];	/* of hashes in each level's open tile */
	HdmsHash	tiles[TILE_LEVELS][TILE_WIDTH];
} NotaryRun;

static void
compare_tile(NotaryRun *run, int level, int64 index)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT hashes FROM hdms_internal.log_tiles WHERE level = CAST($1 AS smallint) AND index = $2", INT8OID, INT8OID);
	Size		len = run->counts[level] * sizeof(HdmsHash);
	bytea	   *stored = flow_read(&find, flow_int64(level), flow_int64(index)) > 0 ? row_bytea(0, 1) : NULL;

	flow_rows_free();
	if (stored == NULL || VARSIZE_ANY_EXHDR(stored) != len || memcmp(VARDATA_ANY(stored), run->tiles[level], len) != 0)
		run->failure(run->arg, "notary log", psprintf("tile " INT64_FORMAT " of level %d is not the one of the entries", index, level));
	run->tile_rows++;
}

/* HdmsMerkleStore: the lowest level of each tile. */
static HdmsStatus
note_node(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	NotaryRun  *run = arg;
	int			tile = level / TILE_LEVELS;

	if (level % TILE_LEVELS == 0)
	{
		run->counts[tile] = (int) (index % TILE_WIDTH) + 1;
		memcpy(run->tiles[tile][run->counts[tile] - 1], hash, sizeof(HdmsHash));
	}
	return HDMS_OK;
}

/* The tiles that the newest entry filled, and at the end those that are open. */
static void
compare_tiles(NotaryRun *run, bool is_end)
{
	for (int level = 0; level < TILE_LEVELS; level++)
	{
		bool		is_full = run->counts[level] == TILE_WIDTH;

		if (run->counts[level] == 0 || (!is_full && !is_end))
			continue;
		compare_tile(run, level, (int64) ((run->frontier.size >> (TILE_LEVELS * level)) - 1) / TILE_WIDTH);
		run->counts[level] = 0;
	}
}

/* One row of log_entries: index, leaf, tag, request_digest, request. False when it is not the next one. */
static bool
walk_entry(NotaryRun *run, uint64 row)
{
	int64		index = row_int64(row, 1);
	bytea	   *leaf = row_bytea(row, 2);
	bytea	   *tag = row_bytea(row, 3);
	bytea	   *digest = row_bytea(row, 4);
	char	   *request = row_text(row, 5);
	unsigned char computed[HDMS_DIGEST_SIZE];
	HdmsLeaf	parts;
	HdmsHash	hash;

	if (index != (int64) run->frontier.size)
	{
		run->failure(run->arg, "notary log", psprintf("entry " INT64_FORMAT " is missing: what comes after it cannot be checked",
													  (int64) run->frontier.size));
		return false;
	}
	if (hdms_leaf_read(VARDATA_ANY(leaf), VARSIZE_ANY_EXHDR(leaf), &parts) != HDMS_OK ||
		hdms_sha256(request, strlen(request), computed) != HDMS_OK ||
		VARSIZE_ANY_EXHDR(tag) != sizeof(parts.tag) || memcmp(VARDATA_ANY(tag), parts.tag, sizeof(parts.tag)) != 0 ||
		VARSIZE_ANY_EXHDR(digest) != sizeof(parts.request) || memcmp(VARDATA_ANY(digest), parts.request, sizeof(parts.request)) != 0 ||
		memcmp(computed, parts.request, sizeof(computed)) != 0)
		run->failure(run->arg, "notary log", psprintf("entry " INT64_FORMAT " has another tag or request than its leaf", index));
	else if (parts.time_ms < run->last_time)
		run->failure(run->arg, "notary log", psprintf("entry " INT64_FORMAT " is older than the one before", index));
	else
		run->last_time = parts.time_ms;
	if (hdms_merkle_leaf(VARDATA_ANY(leaf), VARSIZE_ANY_EXHDR(leaf), hash) != HDMS_OK ||
		hdms_merkle_append(&run->frontier, hash, index < run->covered ? note_node : NULL, run) != HDMS_OK)
		elog(ERROR, "could not recompute the notary's log");
	if (index < run->covered)
		compare_tiles(run, index + 1 == run->covered);
	return true;
}

/* The stored checkpoint of as many entries as were walked over. */
static void
check_checkpoint(NotaryRun *run, const HdmsKey *key, const char *origin)
{
	static FlowPlan find = FLOW_PLAN("SELECT note FROM hdms_internal.log_checkpoints WHERE size = $1", INT8OID);
	char	   *note = flow_read(&find, flow_int64((int64) run->frontier.size)) > 0 ? row_text(0, 1) : NULL;
	HdmsCheckpoint checkpoint;
	HdmsHash	root;

	flow_rows_free();
	if (note == NULL)
		return;
	if (key == NULL || hdms_checkpoint_verify(note, strlen(note), origin, key, &checkpoint) != HDMS_OK ||
		checkpoint.size != run->frontier.size)
		run->failure(run->arg, "notary log", psprintf("the checkpoint of size " INT64_FORMAT " was not signed by this node for its log",
													  (int64) run->frontier.size));
	else if (hdms_merkle_root(&run->frontier, root) != HDMS_OK || memcmp(root, checkpoint.root, sizeof(root)) != 0)
		run->failure(run->arg, "notary log", psprintf("the first " INT64_FORMAT " entries are not those of the checkpoint of that size",
													  (int64) run->frontier.size));
}

static void
walk_entries(NotaryRun *run, const HdmsKey *key, const char *origin)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext lot = AllocSetContextCreate(caller, "hdms notary log lot", ALLOCSET_DEFAULT_SIZES);
	Portal		entries = SPI_cursor_open_with_args(NULL, "SELECT index, leaf, tag, request_digest, request FROM hdms_internal.log_entries"
													" ORDER BY index", 0, NULL, NULL, NULL, true, CURSOR_OPT_NO_SCROLL);
	uint64		count;

	do
	{
		SPITupleTable *rows;

		SPI_cursor_fetch(entries, true, FETCH_AT_ONCE);
		rows = SPI_tuptable;
		count = SPI_processed;
		MemoryContextSwitchTo(lot);
		for (uint64 row = 0; row < count; row++)
		{
			SPI_tuptable = rows;
			if (!walk_entry(run, row))
				count = 0;
			else
				check_checkpoint(run, key, origin);
		}
		MemoryContextSwitchTo(caller);
		SPI_freetuptable(rows);
		SPI_tuptable = NULL;
		MemoryContextReset(lot);
		CHECK_FOR_INTERRUPTS();
	}
	while (count > 0);
	SPI_cursor_close(entries);
	MemoryContextDelete(lot);
}

/* The history lives until the current memory context ends. */
static void
free_history(void *history)
{
	hdms_history_free(history);
}

static HdmsHistory *
read_history(void)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS("SELECT history FROM hdms_internal.node");
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	HdmsHistory *history = NULL;
	char	   *text = flow_read_without_args(&find) > 0 ? row_text(0, 1) : NULL;

	flow_rows_free();
	if (text == NULL || hdms_history_parse(text, strlen(text), &history) != HDMS_OK)
		return NULL;
	callback->func = free_history;
	callback->arg = history;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return history;
}

void
notary_log_verify(LogFailure failure, void *arg)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS(
		"SELECT coalesce((SELECT max(size) FROM hdms_internal.log_checkpoints), 0), (SELECT count(*) FROM hdms_internal.log_tiles),"
		" (SELECT count(*) FROM hdms_internal.log_entries)");
	NotaryRun  *run = palloc0(sizeof(NotaryRun));
	HdmsHistory *history = read_history();
	char		origin[HDMS_ORIGIN_MAX] = "";
	int64		tile_rows;
	int64		entries;

	run->failure = failure;
	run->arg = arg;
	(void) flow_read_without_args(&find);
	run->covered = row_int64(0, 1);
	tile_rows = row_int64(0, 2);
	entries = row_int64(0, 3);
	flow_rows_free();
	if (run->covered == 0 && tile_rows == 0 && entries == 0)
		return;
	if (history != NULL)
		hdms_log_origin(hdms_history_node_id(history), origin);
	walk_entries(run, history == NULL ? NULL : hdms_history_current(history, HDMS_ROLE_LOG), origin);
	if (run->covered > (int64) run->frontier.size)
		failure(arg, "notary log", psprintf("the newest checkpoint is of " INT64_FORMAT " entries, there are " INT64_FORMAT,
											run->covered, (int64) run->frontier.size));
	else if (tile_rows != run->tile_rows)
		failure(arg, "notary log", psprintf("there are " INT64_FORMAT " tiles, where the entries make " INT64_FORMAT, tile_rows, run->tile_rows));
	pfree(run);
}
