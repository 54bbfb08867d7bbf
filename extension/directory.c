/*
 * directory.c
 *		Pinned key histories and lists of notaries.
 *
 * A message can only be opened with its sender's history, and parsing a history costs as much
 * as a few signatures: so parsed ones are kept from round to round. Only the worker writes
 * these tables. What was written in a transaction that is not committed yet is marked as
 * fresh and forgotten with it.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "courier.h"
#include "directory.h"
#include "flow.h"
#include "flow_plan.h"
#include "malloc_guard.h"
#include "node.h"

#define HISTORIES_KEPT	2000	/* 10 kB each */
#define LISTS_KEPT		8

typedef struct CachedHistory
{
	char		node_id[HDMS_DIGEST_TEXT + 1];	/* hash key */
	HdmsHistory *history;
	bool		fresh;
	bool		used;			/* since the last sweep */
} CachedHistory;

typedef struct CachedList
{
	HdmsNotaryList list;
	bool		used;
	bool		fresh;
} CachedList;

static HTAB *histories;
static bool has_fresh_history;
static CachedList lists[LISTS_KEPT];
static int	lists_next;			/* whose place the next one takes */
static char newest_digest[HDMS_DIGEST_TEXT + 1];	/* "": to be read */

static void
histories_open(void)
{
	HASHCTL		control = {0};

	if (histories != NULL)
		return;
	control.keysize = sizeof(((CachedHistory *) 0)->node_id);
	control.entrysize = sizeof(CachedHistory);
	control.hcxt = TopMemoryContext;
	histories = hash_create("hdms histories", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static void
history_drop(CachedHistory *cached)
{
	hdms_history_free(cached->history);
	hash_search(histories, cached->node_id, HASH_REMOVE, NULL);
}

static void
list_drop(CachedList *cached)
{
	if (cached->used)
		hdms_notaries_free(&cached->list);
	memset(cached, 0, sizeof(CachedList));
}

/* Drops what was not committed and, to make room, what was not used since the last time that room was needed. */
static void
histories_sweep(bool full)
{
	HASH_SEQ_STATUS scan;
	CachedHistory *cached;

	hash_seq_init(&scan, histories);
	while ((cached = hash_seq_search(&scan)) != NULL)
	{
		if (cached->fresh || (full && !cached->used))
			history_drop(cached);
		else if (full)
			cached->used = false;
	}
	has_fresh_history = false;
}

void
directory_forget(void)
{
	bool		full;

	newest_digest[0] = '\0';
	for (int i = 0; i < LISTS_KEPT; i++)
	{
		if (lists[i].fresh)
			list_drop(&lists[i]);
	}
	if (histories == NULL)
		return;
	full = hash_get_num_entries(histories) > HISTORIES_KEPT;
	if (full || has_fresh_history)
		histories_sweep(full);
}

/* Puts a history into the cache, which owns it then. */
static const HdmsHistory *
history_keep(HdmsHistory **history, bool fresh)
{
	bool		found;
	CachedHistory *cached;

	histories_open();
	cached = hash_search(histories, hdms_history_node_id(*history), HASH_ENTER, &found);
	if (found)
		hdms_history_free(cached->history);
	cached->history = *history;
	cached->fresh = fresh;
	cached->used = true;
	has_fresh_history |= fresh;
	*history = NULL;
	return cached->history;
}

const HdmsHistory *
directory_history(const char *node_id)
{
	static FlowPlan find = FLOW_PLAN("SELECT history FROM hdms_internal.peers WHERE node_id = $1", TEXTOID);
	CachedHistory *cached;
	HdmsHistory **parsed;
	char	   *json;
	HdmsStatus	status;

	histories_open();
	cached = hash_search(histories, node_id, HASH_FIND, NULL);
	if (cached != NULL)
	{
		cached->used = true;
		return cached->history;
	}
	if (flow_run(&find, flow_text(node_id)) == 0)
	{
		flow_rows_free();
		return NULL;
	}
	json = row_text(0, 1);
	flow_rows_free();
	parsed = guard_history();
	status = hdms_history_parse(json, strlen(json), parsed);
	pfree(json);
	if (status != HDMS_OK || strcmp(hdms_history_node_id(*parsed), node_id) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the pinned key history of node %s is damaged: %s", node_id, hdms_status_sentence(status))));
	return history_keep(parsed, false);
}

static void
pin_new(HdmsHistory **history)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.peers (node_id, kind, name, history) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (node_id) DO UPDATE SET history = excluded.history, checked_at = clock_timestamp(), problem = NULL",
		TEXTOID, TEXTOID, TEXTOID, TEXTOID);
	const char *kind = hdms_history_kind(*history) == HDMS_INSTITUTION ? "institution" : "person";

	flow_run(&insert, flow_text(hdms_history_node_id(*history)), flow_text(kind),
			 flow_text(hdms_history_name(*history)), flow_text(hdms_history_json(*history)));
	history_keep(history, true);
}

void
directory_refuse(const char *node_id)
{
	static FlowPlan is_known = FLOW_PLAN(
		"SELECT 1 FROM hdms_internal.peers WHERE node_id = $1 AND problem IS NOT NULL"
		" UNION ALL SELECT 1 FROM hdms_internal.lookups WHERE subject = 'node:' || $1 AND last_error = 'false-key'", TEXTOID);
	static FlowPlan note = FLOW_PLAN(
		"UPDATE hdms_internal.peers SET checked_at = clock_timestamp(),"
		" problem = 'the directory offered a key that the node''s history does not justify' WHERE node_id = $1", TEXTOID);
	bool		was_told = flow_run(&is_known, flow_text(node_id)) > 0;

	flow_rows_free();
	if (was_told)
		return;
	flow_run(&note, flow_text(node_id));
	event_write("false_key", NULL, 0, NULL, NULL, NULL, node_id);
	ereport(WARNING,
			(errmsg("a key of node %s that its history does not justify was refused", node_id)));
}

bool
directory_pin(HdmsHistory **history)
{
	static FlowPlan touch = FLOW_PLAN("UPDATE hdms_internal.peers SET checked_at = clock_timestamp() WHERE node_id = $1", TEXTOID);
	const char *node_id = hdms_history_node_id(*history);
	const HdmsHistory *pinned = directory_history(node_id);

	if (pinned == NULL)
	{
		pin_new(history);
		return true;
	}
	switch (hdms_history_compare(pinned, *history))
	{
		case -1:
			pin_new(history);
			return true;
		case 0:
		case 1:
			flow_run(&touch, flow_text(node_id));
			return true;
		default:
			directory_refuse(node_id);
			return false;
	}
}

static void
want(const char *kind, const char *what)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.lookups (subject) VALUES ($1) ON CONFLICT (subject) DO NOTHING", TEXTOID);

	if (flow_run(&insert, flow_text(psprintf("%s:%s", kind, what))) > 0)
		lookups_are_due();
}

void
directory_want_node(const char *node_id)
{
	want("node", node_id);
}

void
directory_want_list(const char *digest)
{
	want("list", digest);
}

DirectoryAnswer
directory_answer(const char *node_id, int64 since)
{
	static FlowPlan ask = FLOW_PLAN(
		"SELECT EXISTS (SELECT FROM hdms_internal.lookups WHERE subject = 'node:' || $1 AND last_error = 'unknown-node'),"
		" EXISTS (SELECT FROM hdms_internal.peers WHERE node_id = $1 AND checked_at > to_timestamp($2))",
		TEXTOID, INT8OID);
	DirectoryAnswer answer = DIRECTORY_SILENT;

	flow_run(&ask, flow_text(node_id), flow_int64(since));
	if (row_bool(0, 1))
		answer = DIRECTORY_UNKNOWN;
	else if (row_bool(0, 2))
		answer = DIRECTORY_CHECKED;
	flow_rows_free();
	return answer;
}

/* Parses and takes a list into the cache. NULL when it is not signed by the network key. */
static const HdmsNotaryList *
list_keep(const char *jws, size_t len, bool fresh)
{
	CachedList *cached = &lists[lists_next];
	HdmsNotaryList parsed = {0};

	if (own_node.network == NULL || hdms_notaries_parse(jws, len, own_node.network, &parsed) != HDMS_OK)
		return NULL;
	lists_next = (lists_next + 1) % LISTS_KEPT;
	list_drop(cached);
	cached->list = parsed;
	cached->used = true;
	cached->fresh = fresh;
	return &cached->list;
}

static const HdmsNotaryList *
list_find(const char *digest)
{
	for (int i = 0; i < LISTS_KEPT; i++)
	{
		if (lists[i].used && strcmp(lists[i].list.digest, digest) == 0)
			return &lists[i].list;
	}
	return NULL;
}

const HdmsNotaryList *
directory_list(const char *digest)
{
	static FlowPlan find = FLOW_PLAN("SELECT jws FROM hdms_internal.notary_lists WHERE digest = $1", TEXTOID);
	const HdmsNotaryList *list = list_find(digest);
	char	   *jws;

	if (list != NULL)
		return list;
	if (flow_run(&find, flow_text(digest)) == 0)
	{
		flow_rows_free();
		return NULL;
	}
	jws = row_text(0, 1);
	flow_rows_free();
	list = list_keep(jws, strlen(jws), false);
	pfree(jws);
	if (list == NULL || strcmp(list->digest, digest) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the stored list of notaries %s is damaged", digest)));
	return list;
}

const HdmsNotaryList *
directory_newest_list(int64 now)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS(
		"SELECT digest FROM hdms_internal.notary_lists ORDER BY iat DESC, digest LIMIT 1");
	const HdmsNotaryList *list;

	if (newest_digest[0] == '\0')
	{
		if (flow_run_without_args(&find) > 0)
			row_copy(0, 1, newest_digest, sizeof(newest_digest));
		flow_rows_free();
	}
	if (newest_digest[0] == '\0')
		return NULL;
	list = directory_list(newest_digest);
	return list != NULL && list->iat + list->max_age >= now ? list : NULL;
}

bool
directory_keep_list(const char *jws, size_t len, const char *digest)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.notary_lists (digest, jws, iat, max_age) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING",
		TEXTOID, TEXTOID, INT8OID, INT8OID);
	const HdmsNotaryList *list = list_keep(jws, len, true);

	if (list == NULL || (digest != NULL && strcmp(list->digest, digest) != 0))
		return false;
	flow_run(&insert, flow_text(list->digest), flow_text(list->jws), flow_int64(list->iat), flow_int64(list->max_age));
	newest_digest[0] = '\0';
	return true;
}
