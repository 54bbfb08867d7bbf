/*
 * directory_watch.c
 *		What this node knows of the directory's log, and whether what it is told fits.
 *
 * The directory could swap a node's key for one that the history justifies but the node never had, by a stolen key; hide a
 * rotation, so that a stolen key goes on being believed; show one node something else than another. All of these need a
 * log that differs from what is told, or two logs; and a log that was followed leaf by leaf can only be continued.
 *
 * What is found is kept with the checkpoints that prove it, signed by the network key: whoever has that key cannot deny it.
 */
#include "postgres.h"

#include "courier.h"
#include "directory.h"
#include "directory_watch.h"
#include "flow.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "malloc_guard.h"
#include "node.h"
#include "plan_array.h"

#define UNLOGGED_ATTEMPTS	5	/* questions, about a minute: a directory logs a key within seconds */
#define OWN_PATIENCE_S		600

typedef struct LeafRow
{
	int64		index;
	char	   *subject;		/* hexadecimal */
	int64		seq;
	char	   *statement;
} LeafRow;

static WatchedLog watched;
static bool is_loaded;
static int64 own_missing_since; /* seconds; 0: all own entries are in the log */

HdmsStatus
watch_target_read(const char *note, size_t len, WatchTarget *target)
{
	int64_t		generation;
	HdmsStatus	status;

	if (own_node.network == NULL || len >= sizeof(target->note) || memchr(note, '\0', len) != NULL)
		return HDMS_BAD_FORMAT;
	status = hdms_directory_checkpoint_verify(note, len, own_node.network, &target->checkpoint, &generation);
	if (status != HDMS_OK)
		return status;
	target->generation = generation;
	memcpy(target->note, note, len);
	target->note[len] = '\0';
	return HDMS_OK;
}

void
watch_log_forget(void)
{
	is_loaded = false;
}

/* The stored row, if it is what it says: peaks that come out as the root of a checkpoint of this network. */
static bool
row_to_watched(const char *note, const bytea *peaks)
{
	WatchTarget *target = palloc(sizeof(WatchTarget));
	Size		len = VARSIZE_ANY_EXHDR(peaks);
	HdmsHash	root;

	if (note == NULL || watch_target_read(note, strlen(note), target) != HDMS_OK
		|| len != sizeof(HdmsHash) * (Size) __builtin_popcountll(target->checkpoint.size))
		return false;
	watched.frontier.size = target->checkpoint.size;
	watched.frontier.count = (int) (len / sizeof(HdmsHash));
	memcpy(watched.frontier.peaks, VARDATA_ANY(peaks), len);
	if (hdms_merkle_root(&watched.frontier, root) != HDMS_OK || memcmp(root, target->checkpoint.root, sizeof(root)) != 0)
		return false;
	watched.generation = target->generation;
	memcpy(watched.note, target->note, sizeof(watched.note));
	return true;
}

const WatchedLog *
watch_log(void)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS("SELECT checkpoint, peaks FROM hdms_internal.directory_log");

	if (is_loaded)
		return &watched;
	memset(&watched, 0, sizeof(watched));
	if (flow_run_without_args(&find) > 0)
	{
		char	   *note = row_text(0, 1);
		bytea	   *peaks = row_bytea(0, 2);

		/* Of another network, or changed: followed from the beginning, which shows what is true. */
		if (!row_to_watched(note, peaks))
			memset(&watched, 0, sizeof(watched));
	}
	flow_rows_free();
	is_loaded = true;
	return &watched;
}

static void
evidence_keep(const char *kind, const char *node_id, const char *kept, const char *offered, const char *detail)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.directory_evidence (kind, node_id, kept, offered, detail) VALUES ($1, $2, $3, $4, $5)",
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);

	flow_run(&insert, flow_text(kind), flow_text(node_id), flow_text(kept), flow_text(offered), flow_text(detail));
}

/* Without followed leaves the row stays what it was until there are some: the old checkpoint is not forgotten before. */
void
watch_begin_generation(const WatchTarget *target)
{
	static FlowPlan forget = FLOW_PLAN_WITHOUT_ARGS("DELETE FROM hdms_internal.directory_leaves");
	static FlowPlan is_known = FLOW_PLAN(
		"SELECT 1 FROM hdms_internal.directory_evidence WHERE kind = 'restarted' AND kept = $1", TEXTOID);
	const WatchedLog *kept = watch_log();
	bool		was_told;

	flow_run_without_args(&forget);
	if (kept->generation == 0)
		return;
	was_told = flow_run(&is_known, flow_text(kept->note)) > 0;
	flow_rows_free();
	if (was_told)
	{
		memset(&watched, 0, sizeof(watched));
		return;
	}
	evidence_keep("restarted", NULL, kept->note, target->note, NULL);
	event_write("directory_restarted", NULL, 0, NULL, NULL, NULL, NULL);
	ereport(WARNING,
			(errmsg("the network's directory has begun a new log"),
			 errdetail("The log so far had " UINT64_FORMAT " leaves.", kept->frontier.size),
			 errhint("Its operator does so after the directory's database was lost or put back from a backup: ask whether that happened.")));
	memset(&watched, 0, sizeof(watched));
}

void
watch_leaves_drop(void)
{
	static FlowPlan drop = FLOW_PLAN("DELETE FROM hdms_internal.directory_leaves WHERE index >= $1", INT8OID);

	flow_run(&drop, flow_int64((int64) watch_log()->frontier.size));
}

static char *
hexadecimal(const unsigned char *bytes, int len)
{
	static const char digits[] = "0123456789abcdef";
	char	   *text = palloc(2 * len + 1);

	for (int i = 0; i < len; i++)
	{
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * len] = '\0';
	return text;
}

HdmsStatus
watch_leaves_add(const unsigned char *bundle, size_t len, int skip, int count, HdmsMerkleFrontier *frontier)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.directory_leaves (index, subject, seq, statement)"
		" SELECT i, decode(s, 'hex'), q, decode(t, 'hex') FROM unnest($1, $2, $3, $4) AS u (i, s, q, t)"
		" ON CONFLICT (index) DO UPDATE SET subject = excluded.subject, seq = excluded.seq, statement = excluded.statement",
		INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID);
	const unsigned char *at = bundle;
	LeafRow    *rows = palloc0(sizeof(LeafRow) * (count + 1));
	int			found = 0;

	for (int i = 0; i < count; i++)
	{
		HdmsDirectoryLeaf leaf;
		const unsigned char *entry;
		size_t		entry_len;
		HdmsHash	hash;
		HdmsStatus	status = hdms_bundle_next(&at, bundle + len, &entry, &entry_len);

		if (status == HDMS_OK)
			status = hdms_directory_leaf_read(entry, entry_len, &leaf);
		if (status == HDMS_OK)
			status = hdms_merkle_leaf(entry, entry_len, hash);
		if (status != HDMS_OK)
			return status;
		if (i < skip)
			continue;
		if (leaf.kind == HDMS_DIRECTORY_KEYS)
			rows[found++] = (LeafRow) {(int64) frontier->size, hexadecimal(leaf.subject, HDMS_DIGEST_SIZE), leaf.seq,
				hexadecimal(leaf.statement, HDMS_DIGEST_SIZE)};
		status = hdms_merkle_append(frontier, hash, NULL, NULL);
		if (status != HDMS_OK)
			return status;
	}
	if (at != bundle + len)
		return HDMS_BAD_FORMAT;
	if (found > 0)
		flow_run(&insert, FLOW_INT64_COLUMN(rows, index, found), FLOW_TEXT_COLUMN(rows, subject, found),
				 FLOW_INT64_COLUMN(rows, seq, found), FLOW_TEXT_COLUMN(rows, statement, found));
	return HDMS_OK;
}

WatchVerdict
watch_judge(const HdmsHistory *history, int64 below)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT seq, statement FROM hdms_internal.directory_leaves WHERE subject = $1 AND index < $2 ORDER BY index", BYTEAOID, INT8OID);
	const char *node_id = hdms_history_node_id(history);
	int			length = hdms_history_length(history);
	bool	   *is_logged = palloc0(sizeof(bool) * length);
	bool		is_hidden = false;
	bool		is_false = false;
	HdmsDirectoryLeaf leaf;
	uint64		count;

	flow_require(hdms_directory_leaf_make(HDMS_DIRECTORY_KEYS, node_id, 0, hdms_history_entry(history, 0), &leaf), "hashing a key history");
	count = flow_run(&find, flow_bytes(leaf.subject, sizeof(leaf.subject)), flow_int64(Min(below, (int64) watch_log()->frontier.size)));
	for (uint64 row = 0; row < count && !is_false; row++)
	{
		int64		seq = row_int64(row, 1);
		bytea	   *statement = row_bytea(row, 2);

		if (seq >= length)
		{
			is_hidden = true;
			continue;
		}
		flow_require(hdms_directory_leaf_make(HDMS_DIRECTORY_KEYS, node_id, (uint32_t) seq, hdms_history_entry(history, (int) seq), &leaf),
					 "hashing a key history");
		is_false = VARSIZE_ANY_EXHDR(statement) != sizeof(leaf.statement)
			|| memcmp(VARDATA_ANY(statement), leaf.statement, sizeof(leaf.statement)) != 0;
		is_logged[seq] = true;
	}
	flow_rows_free();
	if (is_false)
		return WATCH_FALSE;
	if (is_hidden)
		return WATCH_HIDDEN;
	for (int seq = 0; seq < length; seq++)
	{
		if (!is_logged[seq])
			return WATCH_NOT_YET;
	}
	return WATCH_AGREES;
}

void
watch_report_node(const char *kind, const char *node_id, const HdmsHistory *offered, const char *what)
{
	static FlowPlan is_known = FLOW_PLAN(
		"SELECT 1 FROM hdms_internal.directory_evidence WHERE kind = $1 AND node_id = $2", TEXTOID, TEXTOID);
	bool		was_told = flow_run(&is_known, flow_text(kind), flow_text(node_id)) > 0;

	flow_rows_free();
	if (was_told)
		return;
	evidence_keep(kind, node_id, watch_log()->note, offered != NULL ? hdms_history_json(offered) : NULL, what);
	event_write(kind, NULL, 0, NULL, NULL, NULL, node_id);
	ereport(WARNING,
			(errmsg("the network's directory and its log contradict each other about node %s: %s", node_id, what),
			 errhint("SELECT * FROM hdms.directory_evidence; tell the network's operator, and the other institutions.")));
}

/* This node's own entries: exactly its history, neither more nor less. */
static void
look_at_own_entries(void)
{
	int64		now = node_now();

	if (own_node.history == NULL)
		return;
	switch (watch_judge(own_node.history, PG_INT64_MAX))
	{
		case WATCH_AGREES:
			own_missing_since = 0;
			break;
		case WATCH_HIDDEN:
			watch_report_node("own_key_added", own_node.id, own_node.history,
							  "the log has a later key of this very node than this database: somebody else has its keys, or this database was put back from an old backup");
			break;
		case WATCH_FALSE:
			watch_report_node("own_key_swapped", own_node.id, own_node.history,
							  "the log has another key of this very node than this database: somebody else has its keys");
			break;
		case WATCH_NOT_YET:
			if (own_missing_since == 0)
				own_missing_since = now;
			else if (now - own_missing_since > OWN_PATIENCE_S)
				watch_report_node("own_key_unlogged", own_node.id, own_node.history, "a key of this node is not in the log");
			break;
	}
}

/* Pinned nodes of which the log has news. */
static void
look_at_pinned_nodes(int64 since)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT DISTINCT p.node_id, p.history FROM hdms_internal.directory_leaves l"
		" JOIN hdms_internal.peers p ON sha256(CAST(p.node_id AS bytea)) = l.subject WHERE l.index >= $1", INT8OID);
	uint64		count = flow_run(&find, flow_int64(since));
	char	  **nodes = palloc(sizeof(char *) * (count + 1));
	char	  **histories = palloc(sizeof(char *) * (count + 1));

	for (uint64 row = 0; row < count; row++)
	{
		nodes[row] = row_text(row, 1);
		histories[row] = row_text(row, 2);
	}
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
	{
		HdmsHistory **pinned = guard_history();

		/* A row that was damaged is found by whoever needs it: it must not keep the log from being followed. */
		if (hdms_history_parse(histories[i], strlen(histories[i]), pinned) != HDMS_OK)
			continue;
		switch (watch_judge(*pinned, PG_INT64_MAX))
		{
			case WATCH_FALSE:
				watch_report_node("false_key", nodes[i], *pinned, "the log has another key than the one that is pinned");
				break;
			case WATCH_HIDDEN:	/* news: the directory is asked, and has to show it */
				directory_want_node(nodes[i]);
				break;
			default:
				break;
		}
	}
}

void
watch_advance(const WatchTarget *target, const HdmsMerkleFrontier *frontier)
{
	static FlowPlan save = FLOW_PLAN(
		"INSERT INTO hdms_internal.directory_log (generation, size, peaks, checkpoint) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (singleton) DO UPDATE SET generation = excluded.generation, size = excluded.size, peaks = excluded.peaks,"
		"  checkpoint = excluded.checkpoint, followed_at = clock_timestamp(), problem = NULL, problem_since = NULL",
		INT8OID, INT8OID, BYTEAOID, TEXTOID);
	static FlowPlan ask_again = FLOW_PLAN_WITHOUT_ARGS(
		"UPDATE hdms_internal.lookups SET next_try = clock_timestamp() WHERE last_error = 'not-in-log'");
	int64		since = (int64) watch_log()->frontier.size;

	flow_run(&save, flow_int64(target->generation), flow_int64((int64) frontier->size),
			 flow_bytes(frontier->peaks, sizeof(HdmsHash) * frontier->count), flow_text(target->note));
	watched.generation = target->generation;
	watched.frontier = *frontier;
	memcpy(watched.note, target->note, sizeof(watched.note));
	look_at_own_entries();
	look_at_pinned_nodes(since);
	if (flow_run_without_args(&ask_again) > 0)
		lookups_are_due();
}

void
watch_agreed(void)
{
	static FlowPlan touch = FLOW_PLAN_WITHOUT_ARGS(
		"UPDATE hdms_internal.directory_log SET followed_at = clock_timestamp(), problem = NULL, problem_since = NULL");

	flow_run_without_args(&touch);
	look_at_own_entries();
}

void
watch_report_fork(const WatchTarget *offered, const char *what)
{
	static FlowPlan note = FLOW_PLAN(
		"UPDATE hdms_internal.directory_log SET problem = $1, problem_since = clock_timestamp() WHERE problem IS NULL", TEXTOID);

	if (flow_run(&note, flow_text(what)) == 0)
		return;
	evidence_keep("fork", NULL, watch_log()->note, offered != NULL ? offered->note : NULL, what);
	event_write("directory_fork", NULL, 0, NULL, NULL, NULL, what);
	ereport(WARNING,
			(errmsg("the network's directory shows a log that contradicts what it showed before: %s", what),
			 errhint("SELECT * FROM hdms.directory_evidence; tell the network's operator, and the other institutions.")));
}

/* Whether the answer's own proof is right, and how many leaves the log had then: 0 without a proof. */
static HdmsStatus
check_proof(const HdmsHistory *history, const char *checkpoint, int64 index, const HdmsHash *proof, int proof_count, int64 *size)
{
	WatchTarget *target = palloc(sizeof(WatchTarget));
	int			newest = hdms_history_length(history) - 1;
	HdmsDirectoryLeaf leaf;
	unsigned char bytes[HDMS_DIRECTORY_LEAF_SIZE];
	HdmsHash	hash;
	HdmsStatus	status;

	*size = 0;
	if (checkpoint == NULL)
		return HDMS_OK;
	status = watch_target_read(checkpoint, strlen(checkpoint), target);
	if (status == HDMS_OK)
		status = hdms_directory_leaf_make(HDMS_DIRECTORY_KEYS, hdms_history_node_id(history), (uint32_t) newest,
										  hdms_history_entry(history, newest), &leaf);
	if (status != HDMS_OK)
		return status;
	hdms_directory_leaf_write(&leaf, bytes);
	status = hdms_merkle_leaf(bytes, sizeof(bytes), hash);
	if (status == HDMS_OK)
		status = hdms_merkle_verify_inclusion((uint64) index, target->checkpoint.size, hash, proof, proof_count, target->checkpoint.root);
	if (status == HDMS_OK && target->generation == watch_log()->generation)
		*size = (int64) target->checkpoint.size;
	return status;
}

const char *
watch_answer(const HdmsHistory *history, const char *checkpoint, int64 index, const HdmsHash *proof, int proof_count, int64 attempts)
{
	const char *node_id = hdms_history_node_id(history);
	int64		size;
	WatchVerdict verdict;
	bool		is_proved = check_proof(history, checkpoint, index, proof, proof_count, &size) == HDMS_OK;

	/* An answer may be older than what was followed since: what it could not know it does not hide, unless it never knows. */
	verdict = watch_judge(history, size > 0 && attempts < 2 ? size : PG_INT64_MAX);
	if (verdict == WATCH_HIDDEN && size == 0 && attempts < 2)
		verdict = WATCH_NOT_YET;
	switch (verdict)
	{
		case WATCH_AGREES:
			return is_proved ? NULL : "bad-proof";
		case WATCH_FALSE:
			watch_report_node("false_key", node_id, history, "the directory shows another key than its log has");
			return "false-key";
		case WATCH_HIDDEN:
			watch_report_node("hidden_key", node_id, history, "the directory does not show a later key that its log has");
			return "hidden-key";
		default:
			if (attempts >= UNLOGGED_ATTEMPTS && watch_log()->generation > 0)
				watch_report_node("unlogged_key", node_id, history, "the directory shows a key that its log does not have");
			watch_is_wanted();
			return "not-in-log";
	}
}
