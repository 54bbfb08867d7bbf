/*
 * merkle_log.c
 *		An append-only log of this node: an RFC 6962 tree over the entries in a table.
 *
 * Costs do not grow with the log: an append writes one entry; a batch rewrites the last tile of each
 * level that changed, mostly one; a proof reads the tiles on its leaf's path, one for each
 * 8 levels, and they stay cached for the batch.
 *
 * Nothing is loaded and nothing signed where the stored tree does not have the root that the newest
 * checkpoint promised: a log that has been tampered with, or was restored from an old
 * copy of some of its tables, falls silent instead of contradicting itself.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "flow_inside.h"
#include "malloc_guard.h"
#include "merkle_log.h"
#include "node.h"
#include "witness.h"

/* Entries are added to the tree in pieces of this many. */
#define CATCH_UP	1000

#define TILE_WIDTH	256
#define EM_DASH		"\xe2\x80\x94 "

void
merkle_log_forget(MerkleLog *log)
{
	log->is_loaded = false;
	tiles_forget(&log->tiles);
}

static void
forget_at_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		merkle_log_forget(arg);
}

static void
forget_at_subabort(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		merkle_log_forget(arg);
}

void
merkle_log_report_damage(const MerkleLog *log, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("%s is damaged: %s", log->name, what),
			 errdetail("%s", log->consequence),
			 errhint("Restore the database, or all of the schema hdms_internal, from one backup.")));
}

/* The peaks of the tree of that size, from the tiles. NULL, or what is wrong. */
static const char *
load_frontier(MerkleLog *log, int64 size)
{
	HdmsMerkleFrontier *frontier = &log->frontier;

	memset(frontier, 0, sizeof(*frontier));
	if (size < 0)
		return "its tiles do not fit together";
	frontier->size = size;
	for (int level = 62; level >= 0; level--)
	{
		if ((size >> level & 1) == 0)
			continue;
		if (!tiles_node(&log->tiles, level, (size >> level) - 1, frontier->peaks[frontier->count]))
			return "a tile is incomplete";
		frontier->count++;
	}
	return NULL;
}

static void
load_checkpoint(MerkleLog *log)
{
	log->signed_size = 0;
	log->note[0] = '\0';
	if (flow_run_without_args(&log->find_checkpoint) > 0)
	{
		log->signed_size = row_int64(0, 1);
		row_copy(0, 2, log->note, sizeof(log->note));
	}
	flow_rows_free();
}

/* What the newest checkpoint promises. False when it is not one of this log. */
static bool
read_checkpoint(const MerkleLog *log, HdmsCheckpoint *checkpoint)
{
	char		origin[HDMS_ORIGIN_MAX];

	log->origin(origin);

	/* By the log key, or one that it has replaced. */
	return hdms_checkpoint_verify_ever(log->note, strlen(log->note), origin, own_node.history, checkpoint) == HDMS_OK &&
		(int64) checkpoint->size == log->signed_size;
}

/* That the stored tree still has the root that was promised last. NULL, or what is wrong. */
static const char *
compare_with_checkpoint(MerkleLog *log)
{
	HdmsCheckpoint checkpoint;
	HdmsHash	root;

	if (log->signed_size == 0)
		return log->frontier.size > 0 ? "it has lost its checkpoints" : NULL;
	if (!read_checkpoint(log, &checkpoint))
		return "the newest checkpoint is not this log's";
	if (log->next_index < log->signed_size || (int64) log->frontier.size < log->signed_size)
		return "it is shorter than a checkpoint that was signed";
	flow_require(hdms_merkle_root(&log->frontier, root), "the root of a log");
	if ((int64) log->frontier.size > log->signed_size || memcmp(root, checkpoint.root, sizeof(root)) != 0)
		return "its tree is not the one of the newest checkpoint";
	return NULL;
}

static void
watch_transactions(MerkleLog *log)
{
	if (log->is_watching)
		return;
	RegisterXactCallback(forget_at_abort, log);
	RegisterSubXactCallback(forget_at_subabort, log);
	log->is_watching = true;
}

const char *
merkle_log_damage(MerkleLog *log)
{
	if (log->is_loaded)
		return log->damage;
	watch_transactions(log);
	log->next_index = flow_run_without_args(&log->find_last_entry) > 0 ? row_int64(0, 1) + 1 : 0;
	flow_rows_free();
	load_checkpoint(log);
	log->damage = load_frontier(log, tiles_load(&log->tiles));
	if (log->damage == NULL)
		log->damage = compare_with_checkpoint(log);

	/* What is damaged is looked at again each time: somebody may mend it. */
	log->is_loaded = log->damage == NULL;
	return log->damage;
}

static void
load_log(MerkleLog *log)
{
	const char *damage = merkle_log_damage(log);

	if (damage != NULL)
		merkle_log_report_damage(log, damage);
}

int64
merkle_log_next_index(MerkleLog *log)
{
	load_log(log);
	return log->next_index;
}

void
merkle_log_entry_added(MerkleLog *log)
{
	log->next_index++;
}

int64
merkle_log_promised_size(MerkleLog *log)
{
	load_checkpoint(log);
	return log->signed_size;
}

int64
merkle_log_signed_size(MerkleLog *log)
{
	load_log(log);
	return log->signed_size;
}

const char *
merkle_log_note(MerkleLog *log)
{
	load_log(log);
	return log->note;
}

/* Adds the entries from the tree's end to the entry before end, at most CATCH_UP. Returns how many; -1 when one is missing. */
static int64
add_entries(MerkleLog *log, int64 end)
{
	MemoryContext context;
	MemoryContext caller;
	int64		size = log->frontier.size;
	uint64		count = flow_run(&log->find_entries, flow_int64(size), flow_int64(Min(CATCH_UP, end - size)));
	int64		added = 0;

	context = AllocSetContextCreate(CurrentMemoryContext, "hdms log entries", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < count; i++)
	{
		bytea	   *leaf = row_bytea(i, 2);
		HdmsHash	hash;

		if (row_int64(i, 1) != (int64) log->frontier.size)
		{
			added = -1;
			break;
		}
		added++;
		tiles_make_room(&log->tiles, log->frontier.size);
		flow_require(hdms_merkle_leaf(VARDATA_ANY(leaf), VARSIZE_ANY_EXHDR(leaf), hash), "hashing a leaf");
		flow_require(hdms_merkle_append(&log->frontier, hash, tiles_store, &log->tiles), "appending to a log");
	}
	flow_rows_free();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return added;
}

static void
store_checkpoint(MerkleLog *log, int64 size, const char *note)
{
	if (strlen(note) >= sizeof(log->note))
		elog(ERROR, "a checkpoint of %zu bytes is too long", strlen(note));
	flow_run(&log->insert_checkpoint, flow_int64(size), flow_text(note));
	log->signed_size = size;
	strlcpy(log->note, note, sizeof(log->note));
}

bool
merkle_log_sign(MerkleLog *log)
{
	HdmsCheckpoint checkpoint;
	char	  **note = guard_text();
	int64		added;

	load_log(log);
	while ((added = add_entries(log, PG_INT64_MAX)) > 0)
		CHECK_FOR_INTERRUPTS();
	if (added < 0)
		merkle_log_report_damage(log, "an entry is missing");
	tiles_save(&log->tiles, log->frontier.size);

	/* The size that was signed last is looked up again: another process with these keys would be seen here. */
	load_checkpoint(log);
	if ((int64) log->frontier.size < log->signed_size)
		merkle_log_report_damage(log, "it is shorter than a checkpoint that was signed");
	if ((int64) log->frontier.size == log->signed_size)
		return false;
	log->origin(checkpoint.origin);
	checkpoint.size = log->frontier.size;
	flow_require(hdms_merkle_root(&log->frontier, checkpoint.root), "the root of a log");
	flow_require(hdms_checkpoint_sign(&checkpoint, own_node.log, note), "signing a checkpoint");
	if (log->before_store != NULL)
		log->before_store(&checkpoint, *note);
	store_checkpoint(log, checkpoint.size, *note);
	return true;
}

void
merkle_log_rebuild(MerkleLog *log)
{
	HdmsCheckpoint checkpoint;
	HdmsHash	root;

	watch_transactions(log);
	load_checkpoint(log);
	if (!read_checkpoint(log, &checkpoint))
		merkle_log_report_damage(log, "the newest checkpoint is not this log's");
	tiles_forget(&log->tiles);
	flow_run_without_args(&log->clear_tiles);
	memset(&log->frontier, 0, sizeof(log->frontier));
	while (add_entries(log, log->signed_size) > 0)
	{
		tiles_save(&log->tiles, log->frontier.size);
		CHECK_FOR_INTERRUPTS();
	}
	flow_require(hdms_merkle_root(&log->frontier, root), "the root of a log");
	if ((int64) log->frontier.size != log->signed_size || memcmp(root, checkpoint.root, sizeof(root)) != 0)
		merkle_log_report_damage(log, "its entries are not those of the newest checkpoint");
	merkle_log_forget(log);
}

const char *
merkle_log_compare(MerkleLog *log, const char *note, HdmsCheckpoint *kept)
{
	char		origin[HDMS_ORIGIN_MAX];
	HdmsHash	root;

	load_log(log);
	log->origin(origin);
	if (hdms_checkpoint_verify_ever(note, strlen(note), origin, own_node.history, kept) != HDMS_OK)
		return "the checkpoint beside the keys is not this log's";
	if ((int64) kept->size <= log->signed_size)
	{
		merkle_log_root(log, kept->size, root);
		return memcmp(root, kept->root, sizeof(root)) == 0 ? NULL : "its entries are others than those that were signed";
	}
	while (add_entries(log, (int64) kept->size) > 0)
		CHECK_FOR_INTERRUPTS();
	flow_require(hdms_merkle_root(&log->frontier, root), "the root of a log");
	if (log->frontier.size < kept->size || memcmp(root, kept->root, sizeof(root)) != 0)
	{
		bool		is_short = log->frontier.size < kept->size;

		merkle_log_forget(log);
		return is_short ? "it has fewer entries than were signed" : "its entries are others than those that were signed";
	}
	tiles_save(&log->tiles, log->frontier.size);
	store_checkpoint(log, kept->size, note);
	return NULL;
}

int
merkle_log_inclusion(MerkleLog *log, int64 index, HdmsHash proof[HDMS_MERKLE_MAX_PROOF])
{
	int			count;

	load_log(log);
	if (index < 0 || index >= log->signed_size)
		elog(ERROR, "entry " INT64_FORMAT " of %s has no checkpoint", index, log->name);
	tiles_fetch_path(&log->tiles, index);
	flow_require(hdms_merkle_inclusion(index, log->signed_size, tiles_fetch, &log->tiles, proof, &count), "an inclusion proof");
	return count;
}

int
merkle_log_consistency(MerkleLog *log, int64 size1, int64 size2, HdmsHash proof[HDMS_MERKLE_MAX_PROOF])
{
	int			count;

	load_log(log);
	if (size1 < 1 || size1 > size2 || size2 > log->signed_size)
		elog(ERROR, "%s has no consistency proof from " INT64_FORMAT " to " INT64_FORMAT, log->name, size1, size2);
	tiles_fetch_path(&log->tiles, size1 - 1);
	tiles_fetch_path(&log->tiles, size2 - 1);
	flow_require(hdms_merkle_consistency(size1, size2, tiles_fetch, &log->tiles, proof, &count), "a consistency proof");
	return count;
}

void
merkle_log_root(MerkleLog *log, int64 size, HdmsHash root)
{
	load_log(log);
	if (size < 1 || size > log->signed_size)
		elog(ERROR, "%s has no checkpoint that covers " INT64_FORMAT " entries", log->name, size);
	tiles_fetch_path(&log->tiles, size - 1);
	flow_require(hdms_merkle_tree_root(size, tiles_fetch, &log->tiles, root), "the root of a log");
}

char *
merkle_log_find_note(MerkleLog *log, int64 size)
{
	char	   *note = flow_run(&log->find_note, flow_int64(size)) > 0 ? row_text(0, 1) : NULL;

	flow_rows_free();
	return note;
}

/* Whether a note has a signature line whose beginning, dash and name, is that of another line. */
static bool
has_line_of(const char *note, const char *line, size_t name_len)
{
	for (const char *at = note; (at = strstr(at, "\n" EM_DASH)) != NULL; at++)
	{
		if (strncmp(at + 1, line, name_len) == 0)
			return true;
	}
	return false;
}

bool
merkle_log_cosign(MerkleLog *log, int64 size, const char *lines)
{
	StringInfoData note;
	char	   *stored;
	size_t		before;

	load_log(log);
	stored = merkle_log_find_note(log, size);
	if (stored == NULL)
		return false;
	initStringInfo(&note);
	appendStringInfoString(&note, stored);
	before = note.len;
	while (*lines != '\0')
	{
		size_t		len = strcspn(lines, "\n");
		const char *blob = memchr(lines + strlen(EM_DASH), ' ', len > strlen(EM_DASH) ? len - strlen(EM_DASH) : 0);

		if (lines[len] != '\n' || strncmp(lines, EM_DASH, strlen(EM_DASH)) != 0 || blob == NULL)
			elog(ERROR, "a cosignature is no signature line");
		if (!has_line_of(note.data, lines, blob - lines + 1))
			appendBinaryStringInfo(&note, lines, len + 1);
		lines += len + 1;
	}
	if ((size_t) note.len == before)
		return true;
	if ((size_t) note.len >= sizeof(log->note))
		return false;
	flow_run(&log->update_checkpoint, flow_int64(size), flow_text(note.data));
	if (size == log->signed_size)
		strlcpy(log->note, note.data, sizeof(log->note));
	return true;
}

bytea *
merkle_log_tile(MerkleLog *log, int level, int64 index, int width)
{
	load_log(log);
	if (level < 0 || level > 7 || index < 0 || width < 1 || width > TILE_WIDTH
		|| index * TILE_WIDTH + width > log->signed_size >> (8 * level))
		return NULL;
	return tiles_hashes(&log->tiles, level, index, width);
}

bytea *
merkle_log_entry_bundle(MerkleLog *log, int64 index, int width)
{
	StringInfoData bundle;
	uint64		count;

	load_log(log);
	if (index < 0 || width < 1 || width > TILE_WIDTH || index * TILE_WIDTH + width > log->signed_size)
		return NULL;
	initStringInfo(&bundle);
	appendStringInfoSpaces(&bundle, VARHDRSZ);
	count = flow_run(&log->find_entries, flow_int64(index * TILE_WIDTH), flow_int64(width));
	for (uint64 i = 0; i < count; i++)
	{
		bytea	   *leaf = row_bytea(i, 2);
		uint16		len = pg_hton16((uint16) VARSIZE_ANY_EXHDR(leaf));

		if (row_int64(i, 1) != index * TILE_WIDTH + (int64) i)
			merkle_log_report_damage(log, "an entry is missing");
		appendBinaryStringInfo(&bundle, (const char *) &len, sizeof(len));
		appendBinaryStringInfo(&bundle, VARDATA_ANY(leaf), VARSIZE_ANY_EXHDR(leaf));
	}
	flow_rows_free();
	if (count < (uint64) width)
		merkle_log_report_damage(log, "an entry is missing");
	SET_VARSIZE(bundle.data, bundle.len);
	return (bytea *) bundle.data;
}
