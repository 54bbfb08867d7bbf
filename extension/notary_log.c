/*
 * notary_log.c
 *		This notary's log: an RFC 6962 tree over hdms_internal.log_entries.
 *
 * Costs do not grow with the log: an append writes one entry; a batch rewrites the last tile of each
 * level that changed, mostly one; a receipt reads the tiles on its leaf's path, one for each
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
#include "flow_plan.h"
#include "malloc_guard.h"
#include "node.h"
#include "notary_log.h"
#include "notary_tile.h"

static FlowPlan find_tag =
FLOW_PLAN("SELECT index, leaf, request_digest FROM hdms_internal.log_entries WHERE tag = $1", BYTEAOID);

static FlowPlan find_request =
FLOW_PLAN("SELECT index, leaf, request_digest FROM hdms_internal.log_entries WHERE request_digest = $1", BYTEAOID);

static FlowPlan insert_entry =
FLOW_PLAN("INSERT INTO hdms_internal.log_entries (index, leaf, tag, request_digest, request) VALUES ($1, $2, $3, $4, $5)",
		  INT8OID, BYTEAOID, BYTEAOID, BYTEAOID, TEXTOID);

static FlowPlan find_last_entry =
FLOW_PLAN_WITHOUT_ARGS("SELECT index FROM hdms_internal.log_entries ORDER BY index DESC LIMIT 1");

static FlowPlan find_entries =
FLOW_PLAN("SELECT index, leaf FROM hdms_internal.log_entries WHERE index >= $1 ORDER BY index LIMIT $2", INT8OID, INT8OID);

static FlowPlan find_checkpoint =
FLOW_PLAN_WITHOUT_ARGS("SELECT size, note FROM hdms_internal.log_checkpoints ORDER BY size DESC LIMIT 1");

static FlowPlan insert_checkpoint =
FLOW_PLAN("INSERT INTO hdms_internal.log_checkpoints (size, note) VALUES ($1, $2)", INT8OID, TEXTOID);

/* Entries are added to the tree in pieces of this many. */
#define CATCH_UP	1000

/* What is kept between transactions. */
static struct
{
	bool		is_loaded;
	const char *damage;			/* what is wrong with it; then nothing else counts */
	int64		next_index;		/* of the next entry */
	HdmsMerkleFrontier frontier;	/* of the tree in the tiles */
	int64		signed_size;	/* of the newest checkpoint; 0: none */
	char		note[HDMS_NOTE_MAX];	/* that checkpoint */
} notary_log;

void
notary_log_forget(void)
{
	notary_log.is_loaded = false;
	tiles_forget();
}

static void
forget_at_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		notary_log_forget();
}

static void
forget_at_subabort(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		notary_log_forget();
}

static void
report_damage(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the notary's log is damaged: %s", what),
			 errdetail("Nothing is notarised, so that no promise is broken."),
			 errhint("Restore the database, or all of the schema hdms_internal, from one backup.")));
}

/* The peaks of the tree of that size, from the tiles. NULL, or what is wrong. */
static const char *
load_frontier(int64 size)
{
	HdmsMerkleFrontier *frontier = &notary_log.frontier;

	memset(frontier, 0, sizeof(*frontier));
	if (size < 0)
		return "its tiles do not fit together";
	frontier->size = size;
	for (int level = 62; level >= 0; level--)
	{
		if ((size >> level & 1) == 0)
			continue;
		if (!tiles_node(level, (size >> level) - 1, frontier->peaks[frontier->count]))
			return "a tile is incomplete";
		frontier->count++;
	}
	return NULL;
}

static void
load_checkpoint(void)
{
	notary_log.signed_size = 0;
	notary_log.note[0] = '\0';
	if (flow_run_without_args(&find_checkpoint) > 0)
	{
		notary_log.signed_size = row_int64(0, 1);
		row_copy(0, 2, notary_log.note, sizeof(notary_log.note));
	}
	flow_rows_free();
}

/* That the stored tree still has the root that was promised last. NULL, or what is wrong. */
static const char *
compare_with_checkpoint(void)
{
	char		origin[HDMS_ORIGIN_MAX];
	HdmsCheckpoint checkpoint;
	HdmsHash	root;

	if (notary_log.signed_size == 0)
		return notary_log.frontier.size > 0 ? "it has lost its checkpoints" : NULL;
	hdms_log_origin(own_node.id, origin);
	if (hdms_checkpoint_verify(notary_log.note, strlen(notary_log.note), origin, own_node.log, &checkpoint) != HDMS_OK
		|| (int64) checkpoint.size != notary_log.signed_size)
		return "the newest checkpoint is not this log's";
	if (notary_log.next_index < notary_log.signed_size || (int64) notary_log.frontier.size < notary_log.signed_size)
		return "it is shorter than a checkpoint that was signed";
	flow_require(hdms_merkle_root(&notary_log.frontier, root), "the root of the notary's log");
	if ((int64) notary_log.frontier.size > notary_log.signed_size || memcmp(root, checkpoint.root, sizeof(root)) != 0)
		return "its tree is not the one of the newest checkpoint";
	return NULL;
}

static void
watch_transactions(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(forget_at_abort, NULL);
	RegisterSubXactCallback(forget_at_subabort, NULL);
	registered = true;
}

const char *
notary_log_damage(void)
{
	if (notary_log.is_loaded)
		return notary_log.damage;
	watch_transactions();
	notary_log.next_index = flow_run_without_args(&find_last_entry) > 0 ? row_int64(0, 1) + 1 : 0;
	flow_rows_free();
	load_checkpoint();
	notary_log.damage = load_frontier(tiles_load());
	if (notary_log.damage == NULL)
		notary_log.damage = compare_with_checkpoint();

	/* What is damaged is looked at again each time: somebody may mend it. */
	notary_log.is_loaded = notary_log.damage == NULL;
	return notary_log.damage;
}

static void
load_log(void)
{
	const char *damage = notary_log_damage();

	if (damage != NULL)
		report_damage(damage);
}

static void
read_entry(uint64 row, LogEntry *entry)
{
	bytea	   *leaf = row_bytea(row, 2);
	bytea	   *request = row_bytea(row, 3);

	if (VARSIZE_ANY_EXHDR(leaf) != HDMS_LEAF_SIZE || VARSIZE_ANY_EXHDR(request) != HDMS_DIGEST_SIZE)
		report_damage("an entry has the wrong length");
	entry->index = row_int64(row, 1);
	memcpy(entry->leaf, VARDATA_ANY(leaf), HDMS_LEAF_SIZE);
	memcpy(entry->request, VARDATA_ANY(request), HDMS_DIGEST_SIZE);
}

static bool
find_entry(FlowPlan *plan, const unsigned char *key, LogEntry *entry)
{
	bool		found = flow_run(plan, flow_bytes(key, HDMS_DIGEST_SIZE)) > 0;

	if (found)
		read_entry(0, entry);
	flow_rows_free();
	return found;
}

bool
notary_log_find_tag(const unsigned char tag[HDMS_DIGEST_SIZE], LogEntry *entry)
{
	return find_entry(&find_tag, tag, entry);
}

bool
notary_log_find_request(const unsigned char digest[HDMS_DIGEST_SIZE], LogEntry *entry)
{
	return find_entry(&find_request, digest, entry);
}

void
notary_log_append(const HdmsLeaf *leaf, const char *request, LogEntry *entry)
{
	load_log();
	entry->index = notary_log.next_index;
	hdms_leaf_write(leaf, entry->leaf);
	memcpy(entry->request, leaf->request, HDMS_DIGEST_SIZE);
	flow_run(&insert_entry, flow_int64(entry->index), flow_bytes(entry->leaf, HDMS_LEAF_SIZE),
			 flow_bytes(leaf->tag, HDMS_DIGEST_SIZE), flow_bytes(leaf->request, HDMS_DIGEST_SIZE), flow_text(request));
	notary_log.next_index++;
}

/* Adds the entries from the tree's end on, at most CATCH_UP. False when there are none. */
static bool
add_entries(void)
{
	MemoryContext context;
	MemoryContext caller;
	uint64		count = flow_run(&find_entries, flow_int64(notary_log.frontier.size), flow_int64(CATCH_UP));

	context = AllocSetContextCreate(CurrentMemoryContext, "hdms log entries", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < count; i++)
	{
		bytea	   *leaf = row_bytea(i, 2);
		HdmsHash	hash;

		if (row_int64(i, 1) != (int64) notary_log.frontier.size)
			report_damage("an entry is missing");
		if (VARSIZE_ANY_EXHDR(leaf) != HDMS_LEAF_SIZE)
			report_damage("an entry has the wrong length");
		tiles_make_room(notary_log.frontier.size);
		flow_require(hdms_merkle_leaf(VARDATA_ANY(leaf), HDMS_LEAF_SIZE, hash), "hashing a leaf");
		flow_require(hdms_merkle_append(&notary_log.frontier, hash, tiles_store, NULL), "appending to the notary's log");
	}
	flow_rows_free();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return count > 0;
}

void
notary_log_sign(void)
{
	HdmsCheckpoint checkpoint;
	char	  **note = guard_text();

	load_log();
	while (add_entries())
		CHECK_FOR_INTERRUPTS();
	tiles_save(notary_log.frontier.size);

	/* The size that was signed last is looked up again: another process with these keys would be seen here. */
	load_checkpoint();
	if ((int64) notary_log.frontier.size < notary_log.signed_size)
		report_damage("it is shorter than a checkpoint that was signed");
	if ((int64) notary_log.frontier.size == notary_log.signed_size)
		return;
	hdms_log_origin(own_node.id, checkpoint.origin);
	checkpoint.size = notary_log.frontier.size;
	flow_require(hdms_merkle_root(&notary_log.frontier, checkpoint.root), "the root of the notary's log");
	flow_require(hdms_checkpoint_sign(&checkpoint, own_node.log, note), "signing a checkpoint");
	if (strlen(*note) >= sizeof(notary_log.note))
		elog(ERROR, "a checkpoint of %zu bytes is too long", strlen(*note));
	flow_run(&insert_checkpoint, flow_int64(checkpoint.size), flow_text(*note));
	notary_log.signed_size = checkpoint.size;
	strlcpy(notary_log.note, *note, sizeof(notary_log.note));
}

bool
notary_log_is_signed(const LogEntry *entry)
{
	load_log();
	return entry->index < notary_log.signed_size;
}

char *
notary_log_receipt(const LogEntry *entry)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	char	  **receipt = guard_text();
	HdmsLeaf	leaf;
	int			count;

	load_log();
	if (entry->index >= notary_log.signed_size)
		elog(ERROR, "entry " INT64_FORMAT " of the notary's log has no checkpoint", entry->index);
	tiles_fetch_path(entry->index);
	flow_require(hdms_merkle_inclusion(entry->index, notary_log.signed_size, tiles_fetch, NULL, proof, &count),
				 "an inclusion proof");
	flow_require(hdms_leaf_read(entry->leaf, HDMS_LEAF_SIZE, &leaf), "reading a leaf");
	flow_require(hdms_receipt_build(&leaf, entry->index, (const HdmsHash *) proof, count, notary_log.note, receipt), "making a receipt");
	return *receipt;
}
