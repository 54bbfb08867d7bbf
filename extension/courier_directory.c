/*
 * courier_directory.c
 *		Asking the server about nodes and lists of notaries.
 *
 * What somebody wants to know is in hdms_internal.lookups until it is answered. The newest list
 * of notaries is asked for without being wanted: records are signed against one that is not old.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "wire.h"

#include "courier.h"
#include "directory.h"
#include "directory_watch.h"
#include "inbox.h"
#include "malloc_guard.h"
#include "node.h"
#include "plan_array.h"
#include "settings.h"
#include "transaction.h"

#define LOOKUPS_AT_ONCE		8
#define SUBJECT_SIZE		(5 + HDMS_DIGEST_TEXT + 1)
#define NETWORK_EVERY_S		3600
#define NETWORK_STALE_S		30	/* when the list is not what it should be */
#define NETWORK_NOBODY_S	5	/* when it has nobody who could be drawn: records wait for that */

static char under_way[LOOKUPS_AT_ONCE][SUBJECT_SIZE];	/* "": a free place */
static bool due = true;
static TimestampTz look_at;		/* when to look into the table without being told */
static TimestampTz network_at;	/* when to ask for the newest list */
static bool network_under_way;

void
lookups_reset(void)
{
	memset(under_way, 0, sizeof(under_way));
	network_under_way = false;
	due = true;
}

void
lookups_are_due(void)
{
	due = true;
}

static void
lookup_over(const char *subject)
{
	for (int i = 0; i < LOOKUPS_AT_ONCE; i++)
	{
		if (strcmp(under_way[i], subject) == 0)
			under_way[i][0] = '\0';
	}
	due = true;
}

/* Checks a node's entry and pins it. NULL, or what is wrong with it. */
static const char *
node_take(const char *json, size_t len, const char *node_id)
{
	static FlowPlan find = FLOW_PLAN("SELECT attempts FROM hdms_internal.lookups WHERE subject = 'node:' || $1", TEXTOID);
	char	  **checkpoint = guard_text();
	char	  **proof = guard_text();
	HdmsNodeEntry entry = {0};
	HdmsHistory **history = guard_history();
	HdmsAdmission admission;
	int64		index;
	int			proof_count;
	HdmsStatus	status = hdms_wire_node_parse(json, len, &entry);
	const char *problem = NULL;

	if (status == HDMS_OK)
		status = hdms_history_parse(entry.history, strlen(entry.history), history);
	if (status == HDMS_OK && strcmp(hdms_history_node_id(*history), node_id) != 0)
	{
		directory_refuse(node_id);
		problem = "false-key";
	}
	else if (status == HDMS_OK && strcmp(entry.status, "active") != 0)
		problem = strcmp(entry.status, "frozen") == 0 ? "frozen" : "unknown-node";
	else if (status == HDMS_OK && hdms_history_kind(*history) == HDMS_INSTITUTION)
		status = entry.admission == NULL || own_node.network == NULL ? HDMS_NOT_ADMITTED :
			hdms_admission_verify(entry.admission, strlen(entry.admission), own_node.network, *history, &admission);
	*checkpoint = entry.checkpoint;
	*proof = (char *) entry.proof;
	index = entry.log_index;
	proof_count = entry.proof_count;
	entry.checkpoint = NULL;
	entry.proof = NULL;
	hdms_wire_node_free(&entry);
	if (status != HDMS_OK)
		return hdms_status_word(status);
	if (problem == NULL)
	{
		int64		attempts = flow_run(&find, flow_text(node_id)) > 0 ? row_int64(0, 1) : 0;

		flow_rows_free();
		problem = watch_answer(*history, *checkpoint, index, (const HdmsHash *) *proof, proof_count, attempts);
	}
	if (problem == NULL && !directory_pin(history))
		problem = "false-key";
	return problem;
}

static void
lookup_done(const char *subject)
{
	static FlowPlan done = FLOW_PLAN("DELETE FROM hdms_internal.lookups WHERE subject = $1", TEXTOID);

	flow_run(&done, flow_text(subject));
	inbox_waiting_is_due();
}

/* A question that nobody could answer for days is dropped; who still wants to know asks again. */
static void
lookup_failed(const char *subject, const char *problem)
{
	static FlowPlan fail = FLOW_PLAN(
		"UPDATE hdms_internal.lookups SET attempts = attempts + 1, last_error = $2,"
		" next_try = clock_timestamp() + make_interval(secs => least(2 * 2.0 ^ least(attempts, 12), 3600) * (0.8 + 0.4 * random()))"
		" WHERE subject = $1", TEXTOID, TEXTOID);
	static FlowPlan drop = FLOW_PLAN("DELETE FROM hdms_internal.lookups WHERE subject = $1 AND attempts > 60", TEXTOID);

	flow_run(&fail, flow_text(subject), flow_text(problem));
	flow_run(&drop, flow_text(subject));
	inbox_waiting_is_due();
}

static void
lookup_answered(HttpExchange *exchange)
{
	const char *subject = exchange->subject;
	const char *wanted = subject + 5;
	const char *problem = NULL;
	char		text[COURIER_TEXT];
	char		word[48];

	transaction_begin("noting an answer of the directory");
	if (exchange->status != 200)
	{
		courier_describe(exchange, text, word);
		problem = exchange->status == 404 && strncmp(subject, "node:", 5) == 0 ? "unknown-node" : text;
	}
	else if (strncmp(subject, "node:", 5) == 0)
		problem = node_take(exchange->reply, exchange->reply_len, wanted);
	else if (!directory_keep_list(exchange->reply, exchange->reply_len, wanted))
		problem = "unknown-list";

	if (problem == NULL)
		lookup_done(subject);
	else
		lookup_failed(subject, problem);
	transaction_commit();
	directory_forget();
	lookup_over(subject);
}

static void
lookup_begin(int place, const char *subject)
{
	char	   *path = psprintf(strncmp(subject, "node:", 5) == 0 ? "/v1/nodes/%s" : "/v1/notaries/%s", subject + 5);
	HttpExchange *exchange = http_exchange("GET", path, NULL, NULL);

	if (exchange == NULL || (exchange->subject = strdup(subject)) == NULL)
	{
		http_exchange_free(exchange);
		return;
	}
	exchange->signer = strncmp(subject, "node:", 5) == 0 ? HTTP_BY_SESSION : HTTP_UNSIGNED;
	exchange->finished = lookup_answered;
	if (courier_send(exchange))
		strlcpy(under_way[place], subject, SUBJECT_SIZE);
}

/* Reads subjects that are due and not under way. */
static int
lookups_claim(char subjects[LOOKUPS_AT_ONCE][SUBJECT_SIZE], int wanted)
{
	static FlowPlan claim = FLOW_PLAN(
		"SELECT subject FROM hdms_internal.lookups WHERE next_try <= clock_timestamp() AND NOT subject = ANY ($1)"
		" AND subject ~ '^(node|list):[A-Za-z0-9_-]{43}$' ORDER BY next_try LIMIT $2", TEXTARRAYOID, INT8OID);
	char	   *busy[LOOKUPS_AT_ONCE];
	int			count;

	for (int i = 0; i < LOOKUPS_AT_ONCE; i++)
		busy[i] = under_way[i];
	transaction_begin("looking for questions to the directory");
	count = (int) flow_run(&claim, flow_text_array(busy, LOOKUPS_AT_ONCE), flow_int64(wanted));
	for (int i = 0; i < count; i++)
		row_copy(i, 1, subjects[i], SUBJECT_SIZE);
	flow_rows_free();
	transaction_commit();
	return count;
}

static void
network_answered(HttpExchange *exchange)
{
	char	   *jwk = NULL;
	char	   *notaries = NULL;
	HdmsStatus	status;
	bool		kept;
	bool		fresh;
	bool		of_use;
	const HdmsNotaryList *newest;

	network_under_way = false;
	network_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NETWORK_STALE_S * 1000);
	if (exchange->status != 200)
		return;
	status = hdms_wire_network_parse(exchange->reply, exchange->reply_len, &jwk, &notaries);
	if (status != HDMS_OK)
	{
		courier_misunderstood(exchange, status);
		return;
	}
	transaction_begin("keeping the list of notaries");
	kept = directory_keep_list(notaries, strlen(notaries), NULL);
	newest = kept ? directory_newest_list(node_now()) : NULL;
	fresh = newest != NULL && newest->iat + newest->max_age / 2 > node_now();
	of_use = newest != NULL && newest->count > (hdms_notaries_find(newest, own_node.id) != NULL ? 1 : 0);
	transaction_commit();
	directory_forget();
	free(jwk);
	free(notaries);
	if (newest != NULL && !of_use)
		network_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NETWORK_NOBODY_S * 1000);
	else if (fresh)
		network_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), NETWORK_EVERY_S * INT64CONST(1000));
	else if (!kept)
		courier_misunderstood(exchange, HDMS_BAD_SIGNATURE);
}

static void
network_begin(void)
{
	HttpExchange *exchange = http_exchange("GET", "/v1/network", NULL, NULL);

	if (exchange == NULL)
		return;
	exchange->finished = network_answered;
	network_under_way = courier_send(exchange);
}

void
lookups_move(void)
{
	TimestampTz now = GetCurrentTimestamp();
	char		subjects[LOOKUPS_AT_ONCE][SUBJECT_SIZE];
	int			free_places = 0;
	int			count;

	if (!courier_may_talk_much())
		return;
	if (!network_under_way && now >= network_at)
		network_begin();
	if (!due && now < look_at)
		return;
	for (int i = 0; i < LOOKUPS_AT_ONCE; i++)
		free_places += under_way[i][0] == '\0';
	if (free_places == 0)
		return;
	count = lookups_claim(subjects, free_places);
	if (count < free_places)
	{
		due = false;
		look_at = TimestampTzPlusMilliseconds(now, Min(setting_poll_interval, 2) * INT64CONST(1000));
	}
	for (int i = 0; i < LOOKUPS_AT_ONCE && count > 0; i++)
	{
		if (under_way[i][0] == '\0')
			lookup_begin(i, subjects[--count]);
	}
}
