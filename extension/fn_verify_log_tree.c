/*
 * fn_verify_log_tree.c
 *		The tree of the node's own log, recomputed from its entries.
 *
 * Entries and checkpoints are streamed side by side, so memory stays flat however long the log is. Whoever can write to the
 * tables can make all of them fit together again, but not sign: so each checkpoint's signature counts, and
 * that the log is not shorter or another than what the worker signed last, which is kept outside the tables.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "flow_plan.h"
#include "fn_verify_log.h"
#include "history.h"
#include "ledger_digest.h"
#include "note.h"
#include "roster.h"
#include "witness.h"

#define FETCH_AT_ONCE	1000
#define TILE_LEVELS		8
#define TILE_WIDTH		256
#define WITNESS_NAME	"hdms.v1/witness/"

/* This node, as its row describes it; its id is a digest of the first of the keys. */
typedef struct LogOwner
{
	HdmsHistory *history;		/* NULL: not a node */
	char		origin[HDMS_ORIGIN_MAX];
} LogOwner;

/* A level's tile that is being filled. */
typedef struct OpenTile
{
	int64		index;
	int			count;
	HdmsHash	hashes[TILE_WIDTH];
} OpenTile;

typedef struct TreeRun
{
	LogOwner	owner;
	LogFailure	failure;
	void	   *arg;
	HdmsMerkleFrontier frontier;
	OpenTile   *tiles;			/* TILE_LEVELS of them */
	int64		covered[2];		/* last id of rows of each kind, so far */
	int64		tiles_until;	/* entries that the tiles cover */
	int64		failures;
	LedgerHead	head;
	int64		next_size;		/* of the next stored checkpoint; -1: there is none */
	char		next_note[HDMS_NOTE_MAX];
} TreeRun;

static void
owner_free(void *arg)
{
	LogOwner   *owner = arg;

	hdms_history_free(owner->history);
}

static void
owner_read(LogOwner *owner)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS("SELECT history, ledger_epoch FROM hdms_internal.node");
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	LogOwner   *kept = palloc0(sizeof(LogOwner));

	memset(owner, 0, sizeof(*owner));
	callback->func = owner_free;
	callback->arg = kept;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	if (flow_read_without_args(&find) > 0)
	{
		char	   *history = row_text(0, 1);

		if (history != NULL && hdms_history_parse(history, strlen(history), &kept->history) == HDMS_OK)
			hdms_ledger_origin(hdms_history_node_id(kept->history), row_int64(0, 2), kept->origin);
	}
	flow_rows_free();
	*owner = *kept;
}

/* By the log key, or one that it has replaced, for a log of that size. */
static bool
is_signed(const LogOwner *owner, const char *note, int64 size, HdmsCheckpoint *checkpoint)
{
	if (owner->history == NULL)
		return false;
	return hdms_checkpoint_verify_ever(note, strlen(note), owner->origin, owner->history, checkpoint) == HDMS_OK &&
		(int64) checkpoint->size == size;
}

/* Whether a witness that this node knows has cosigned. */
static bool
is_cosigned_by(const char *note, const char *node_id)
{
	static FlowPlan find = FLOW_PLAN("SELECT history FROM hdms_internal.peers WHERE node_id = $1", TEXTOID);
	HdmsHistory *history = NULL;
	char	   *text = flow_read(&find, flow_text(node_id)) > 0 ? row_text(0, 1) : NULL;
	char		name[HDMS_ORIGIN_MAX];
	bool		is_right = false;
	int64_t		time;

	flow_rows_free();
	if (text == NULL || hdms_history_parse(text, strlen(text), &history) != HDMS_OK)
		return false;
	hdms_witness_name(node_id, name);
	for (int seq = hdms_history_length(history) - 1; seq >= 0 && !is_right; seq--)
	{
		const HdmsKey *key = hdms_history_key(history, seq, HDMS_ROLE_COSIGNER);

		is_right = key != NULL && strcmp(hdms_history_node_id(history), node_id) == 0
			&& hdms_cosignature_verify(note, strlen(note), name, key, &time) == HDMS_OK;
	}
	hdms_history_free(history);
	return is_right;
}

static int
count_cosignatures(const char *note, LogFailure failure, void *arg)
{
	int			count = 0;

	for (const char *at = note; (at = strstr(at, " " WITNESS_NAME)) != NULL;)
	{
		char		node_id[HDMS_DIGEST_TEXT + 1];

		at += strlen(" " WITNESS_NAME);
		strlcpy(node_id, at, Min(sizeof(node_id), strcspn(at, " \n") + 1));
		if (is_cosigned_by(note, node_id))
			count++;
		else
			failure(arg, "log", psprintf("the newest checkpoint has a cosignature that is not by witness %s, as it says", node_id));
	}
	return count;
}

static void
checkpoint_read(const LogOwner *owner, LogCheckpoint *newest, LogFailure failure, void *arg)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS(
		"SELECT size, note FROM hdms_internal.ledger_checkpoints ORDER BY size DESC LIMIT 1");
	static FlowPlan find_leaf = FLOW_PLAN("SELECT leaf FROM hdms_internal.ledger_entries WHERE index = $1", INT8OID);
	HdmsCheckpoint checkpoint;
	char	   *note;
	int64		size;
	bytea	   *leaf;

	memset(newest, 0, sizeof(*newest));
	if (flow_read_without_args(&find) == 0)
	{
		flow_rows_free();
		return;
	}
	size = row_int64(0, 1);
	note = row_text(0, 2);
	flow_rows_free();
	if (!is_signed(owner, note, size, &checkpoint))
	{
		failure(arg, "log", "the newest checkpoint was not signed by this node for its log");
		return;
	}
	newest->size = size;
	memcpy(newest->root, checkpoint.root, sizeof(newest->root));
	newest->cosignatures = count_cosignatures(note, failure, arg);
	leaf = flow_read(&find_leaf, flow_int64(size - 1)) > 0 ? row_bytea(0, 1) : NULL;
	flow_rows_free();
	if (leaf != NULL && VARSIZE_ANY_EXHDR(leaf) == LEDGER_LEAF_SIZE)
	{
		uint64		time;

		memcpy(&time, VARDATA_ANY(leaf), sizeof(time));
		newest->time_ms = (int64) pg_ntoh64(time);
	}
}

void
log_checkpoint_read(LogCheckpoint *newest, LogFailure failure, void *arg)
{
	LogOwner	owner;

	owner_read(&owner);
	checkpoint_read(&owner, newest, failure, arg);
}

static void
tree_fails(TreeRun *run, const char *detail)
{
	run->failures++;
	run->failure(run->arg, "log", detail);
}

/* HdmsMerkleStore: the lowest level of each tile. */
static HdmsStatus
note_node(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	TreeRun    *run = arg;
	OpenTile   *tile = &run->tiles[level / TILE_LEVELS];

	if (level % TILE_LEVELS != 0)
		return HDMS_OK;
	tile->index = (int64) (index / TILE_WIDTH);
	tile->count = (int) (index % TILE_WIDTH) + 1;
	memcpy(tile->hashes[tile->count - 1], hash, sizeof(HdmsHash));
	return HDMS_OK;
}

static void
compare_tile(TreeRun *run, int level)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT hashes FROM hdms_internal.ledger_tiles WHERE level = CAST($1 AS smallint) AND index = $2", INT8OID, INT8OID);
	OpenTile   *tile = &run->tiles[level];
	Size		len = tile->count * sizeof(HdmsHash);
	bytea	   *stored;

	if (tile->count == 0)
		return;
	stored = flow_read(&find, flow_int64(level), flow_int64(tile->index)) > 0 ? row_bytea(0, 1) : NULL;
	flow_rows_free();
	if (stored == NULL || VARSIZE_ANY_EXHDR(stored) != len || memcmp(VARDATA_ANY(stored), tile->hashes, len) != 0)
		tree_fails(run, psprintf("tile " INT64_FORMAT " of level %d is not the one of the entries", tile->index, level));
	if (stored != NULL)
		pfree(stored);
	tile->count = 0;
}

/* The rows that an entry covers must follow those of the entry before. */
static void
check_range(TreeRun *run, int64 index, const char *kind, int64 first_id, int64 last_id, const bytea *leaf)
{
	bool		is_event = strcmp(kind, "events") == 0;
	int64	   *covered = &run->covered[is_event ? 0 : 1];

	if (VARSIZE_ANY_EXHDR(leaf) != LEDGER_LEAF_SIZE || VARDATA_ANY(leaf)[8] != (is_event ? LEDGER_EVENTS : LEDGER_AUDIT))
		tree_fails(run, psprintf("entry " INT64_FORMAT " is not what an entry about %s looks like", index, kind));
	if (first_id != *covered + 1 || last_id < first_id)
		tree_fails(run, psprintf("entry " INT64_FORMAT " covers %s " INT64_FORMAT " to " INT64_FORMAT " after those until " INT64_FORMAT,
								 index, kind, first_id, last_id, *covered));
	*covered = last_id;
}

static bool
is_root(TreeRun *run, const HdmsHash expected)
{
	HdmsHash	root;

	return hdms_merkle_root(&run->frontier, root) == HDMS_OK && memcmp(root, expected, sizeof(root)) == 0;
}

static void
next_checkpoint(TreeRun *run, Portal checkpoints)
{
	SPI_cursor_fetch(checkpoints, true, 1);
	run->next_size = -1;
	if (SPI_processed > 0)
	{
		run->next_size = row_int64(0, 1);
		row_copy(0, 2, run->next_note, sizeof(run->next_note));
	}
	flow_rows_free();
}

/* The stored checkpoints of as many entries as were walked over. */
static void
check_checkpoints(TreeRun *run, Portal checkpoints)
{
	while (run->next_size >= 0 && run->next_size <= (int64) run->frontier.size)
	{
		HdmsCheckpoint checkpoint;

		if (!is_signed(&run->owner, run->next_note, run->next_size, &checkpoint))
			tree_fails(run, psprintf("the checkpoint of size " INT64_FORMAT " was not signed by this node for its log", run->next_size));
		else if (!is_root(run, checkpoint.root))
			tree_fails(run, psprintf("the first " INT64_FORMAT " entries are not those of the checkpoint of that size", run->next_size));
		next_checkpoint(run, checkpoints);
	}
}

static Portal
open_cursor(const char *sql)
{
	return SPI_cursor_open_with_args(NULL, sql, 0, NULL, NULL, NULL, true, CURSOR_OPT_NO_SCROLL);
}

static void
add_entry(TreeRun *run, const bytea *leaf)
{
	HdmsHash	hash;
	bool		in_tiles = (int64) run->frontier.size < run->tiles_until;

	if (hdms_merkle_leaf(VARDATA_ANY(leaf), VARSIZE_ANY_EXHDR(leaf), hash) != HDMS_OK
		|| hdms_merkle_append(&run->frontier, hash, in_tiles ? note_node : NULL, run) != HDMS_OK)
		elog(ERROR, "could not recompute the log's tree");
	if (!in_tiles)
		return;
	for (int level = 0; level < TILE_LEVELS; level++)
	{
		if (run->tiles[level].count == TILE_WIDTH || (int64) run->frontier.size == run->tiles_until)
			compare_tile(run, level);
	}
}

/* One entry of a result. False when it is not the next one. */
static bool
walk_entry(TreeRun *run, uint64 row, SPITupleTable *rows, Portal checkpoints)
{
	bytea	   *leaf;

	SPI_tuptable = rows;
	leaf = row_bytea(row, 2);
	if (row_int64(row, 1) != (int64) run->frontier.size)
	{
		tree_fails(run, psprintf("entry " INT64_FORMAT " is missing: what comes after it cannot be checked",
								 (int64) run->frontier.size));
		return false;
	}
	check_range(run, row_int64(row, 1), row_text(row, 3), row_int64(row, 4), row_int64(row, 5), leaf);
	add_entry(run, leaf);
	if (run->head.size == (int64) run->frontier.size && !is_root(run, run->head.root))
		tree_fails(run, psprintf("the first " INT64_FORMAT " entries are not those that the worker signed last", run->head.size));
	check_checkpoints(run, checkpoints);
	return true;
}

static void
walk_entries(TreeRun *run)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext lot = AllocSetContextCreate(caller, "hdms log lot", ALLOCSET_DEFAULT_SIZES);
	Portal		entries = open_cursor("SELECT index, leaf, kind, first_id, last_id FROM hdms_internal.ledger_entries ORDER BY index");
	Portal		checkpoints = open_cursor("SELECT size, note FROM hdms_internal.ledger_checkpoints WHERE size > 0 ORDER BY size");
	uint64		count;

	next_checkpoint(run, checkpoints);
	do
	{
		SPITupleTable *rows;

		SPI_cursor_fetch(entries, true, FETCH_AT_ONCE);
		rows = SPI_tuptable;
		count = SPI_processed;
		MemoryContextSwitchTo(lot);
		for (uint64 row = 0; row < count; row++)
		{
			if (!walk_entry(run, row, rows, checkpoints))
				count = 0;
		}
		MemoryContextSwitchTo(caller);
		SPI_freetuptable(rows);
		SPI_tuptable = NULL;
		MemoryContextReset(lot);
		CHECK_FOR_INTERRUPTS();
	}
	while (count > 0);
	if (run->next_size > 0)
		tree_fails(run, psprintf("the checkpoint of size " INT64_FORMAT " is of more entries than there are, " INT64_FORMAT,
								 run->next_size, (int64) run->frontier.size));
	SPI_cursor_close(entries);
	SPI_cursor_close(checkpoints);
	MemoryContextDelete(lot);
}

void
log_tree_verify(const LedgerHead *head, LogCheckpoint *newest, int64 *entry_count, LogFailure failure, void *arg)
{
	TreeRun    *run = palloc0(sizeof(TreeRun));

	run->failure = failure;
	run->arg = arg;
	run->head = *head;
	run->tiles = palloc0(TILE_LEVELS * sizeof(OpenTile));
	owner_read(&run->owner);
	checkpoint_read(&run->owner, newest, failure, arg);
	run->tiles_until = newest->size;
	walk_entries(run);
	if ((int64) run->frontier.size < run->head.size || newest->size < run->head.size)
		tree_fails(run, psprintf("the worker signed " INT64_FORMAT " entries on %s, the newest checkpoint is of " INT64_FORMAT
								 " of " INT64_FORMAT, run->head.size, timestamptz_to_str(run->head.at), newest->size,
								 (int64) run->frontier.size));
	*entry_count = (int64) run->frontier.size;
	pfree(run->tiles);
	pfree(run);
}
