/*
 * recovery.c
 *		A new device looks for the nodes of a seed.
 *
 * A node's id follows from the seed and the pairing's number; the directory gives the history to whoever signs with the recovery key that the
 * history commits to. Numbers without a node may lie between: a pairing that was begun and never registered, or another network's. What was found
 * becomes a pairing row, with its new keys, in the same transaction that moves the search on: so a search that was interrupted goes on, and no
 * node gets two sets of new keys.
 */
#include "recovery.h"

#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "http.h"
#include "pairing_row.h"
#include "wire.h"

#define META			"recovery"
#define GAP				5		/* so many numbers in a row that nobody knows end the search */
#define MAX_GENERATIONS 64
#define ANSWER_MAX		(2 * 1024 * 1024)

struct Recovery
{
	HdmsHome   *home;
	Pairing		asker;			/* not a row: the node that is asked about, its keys and its server */
	HdmsKey    *network_key;
	uint32_t	next;			/* the number to look for */
	uint32_t	gap;			/* unknown ones before it */
	uint32_t	generation;		/* of the recovery key to sign with */
	uint32_t	found;
	HdmsKey    *key;			/* that one, while asking */
	HttpCall   *call;
	int64_t		not_before;		/* engine_clock() */
	int			failures;
	char		problem[120];	/* "" or why it cannot go on */
};

static bool
search_save(const Recovery *recovery)
{
	Store	   *store = recovery->home->store;
	json_t	   *object = json_pack("{s:s, s:s, s:I, s:I, s:I}", "server", recovery->asker.server, "network", recovery->asker.network,
								   "next", (json_int_t) recovery->next, "gap", (json_int_t) recovery->gap, "found", (json_int_t) recovery->found);
	char	   *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	HdmsBytes	sealed = {0};
	bool		good = text != NULL && vault_seal(store_vault(store), META, 0, text, strlen(text), &sealed) == HDMS_OK;

	good = good ? store_meta_set(store, META, sealed.data, sealed.len) : store_fail(store, "the search cannot be written down");
	json_decref(object);
	hdms_bytes_free(&sealed);
	free(text);
	return good;
}

static Recovery *
recovery_create(HdmsHome *home, const char *server, const char *network)
{
	Recovery   *recovery = calloc(1, sizeof(*recovery));

	if (recovery == NULL)
		return NULL;
	recovery->home = home;
	recovery->asker.home = home;
	recovery->asker.server = strdup(server);
	snprintf(recovery->asker.network, sizeof(recovery->asker.network), "%s", network);
	if (recovery->asker.server == NULL)
	{
		free(recovery);
		return NULL;
	}
	return recovery;
}

void
recovery_free(Recovery *recovery)
{
	if (recovery == NULL)
		return;
	free(recovery->asker.server);
	hdms_key_free(recovery->network_key);
	hdms_key_free(recovery->key);
	free(recovery);
}

bool
recovery_begin(HdmsHome *home, const char *server, const char *network)
{
	home->recovery = recovery_create(home, server, network);
	return home->recovery != NULL ? search_save(home->recovery) : store_fail(home->store, "out of memory");
}

bool
recovery_load(HdmsHome *home)
{
	HdmsBytes	sealed = {0};
	HdmsBytes	text = {0};
	json_t	   *object = NULL;
	const char *server;
	const char *network;
	bool		good;

	if (!store_meta_get(home->store, META, &sealed))
		return false;
	if (sealed.len == 0)
		return true;
	good = vault_open(store_vault(home->store), META, 0, sealed.data, sealed.len, &text) == HDMS_OK;
	if (good)
		object = json_loadb((const char *) text.data, text.len, 0, NULL);
	server = json_string_value(json_object_get(object, "server"));
	network = json_string_value(json_object_get(object, "network"));
	if (server != NULL && network != NULL && (home->recovery = recovery_create(home, server, network)) != NULL)
	{
		home->recovery->next = (uint32_t) json_integer_value(json_object_get(object, "next"));
		home->recovery->gap = (uint32_t) json_integer_value(json_object_get(object, "gap"));
		home->recovery->found = (uint32_t) json_integer_value(json_object_get(object, "found"));
	}
	json_decref(object);
	hdms_bytes_free(&sealed);
	hdms_bytes_free(&text);
	return home->recovery != NULL || store_fail(home->store, "the search for the nodes was altered");
}

/* It goes on later, a little later each time. */
static void
search_failed(Recovery *recovery, const HttpAnswer *answer)
{
	const NodeConfig *config = &recovery->home->config;
	int64_t		delay = backoff(config->retry_initial, config->retry_max, recovery->failures);

	if (answer->retry_after > delay)
		delay = answer->retry_after < config->retry_max ? answer->retry_after : config->retry_max;
	if (recovery->failures++ == 0)
		home_log(recovery->home, "looking for nodes failed: %s (HTTP %d)", answer->problem ? answer->problem : "no usable answer", answer->status);
	recovery->not_before = engine_clock() + delay;
}

/* The search cannot go on before the person does something. */
static void
search_stop(Recovery *recovery, const char *problem)
{
	snprintf(recovery->problem, sizeof(recovery->problem), "%s", problem);
	home_log(recovery->home, "recovery: %s", problem);
	recovery->not_before = INT64_MAX;
	home_changed(recovery->home);
}

/* The next number, or the end. Inside a transaction. */
static bool
search_next(Recovery *recovery, bool is_known)
{
	HdmsHome   *home = recovery->home;

	recovery->next++;
	recovery->gap = is_known ? 0 : recovery->gap + 1;
	recovery->generation = 0;
	recovery->failures = 0;
	if (recovery->gap < GAP)
		return search_save(recovery);
	return store_meta_set(home->store, META, "", 0) &&
		notice_add(home, "recovery", "%u pairings were found; the lost device is shut out of them", recovery->found);
}

/* What the directory says about the number that was asked for. */
static bool
node_take(Recovery *recovery, const HdmsNodeEntry *entry, Pairing **pairing)
{
	HdmsHome   *home = recovery->home;
	HdmsHistory *history = NULL;
	HdmsVoucher membership;
	LostNode	lost = {.number = recovery->next, .generation = recovery->generation, .membership = entry->admission, .institution = membership.iss,
	.server = recovery->asker.server, .network = recovery->asker.network, .network_key = recovery->network_key};
	HdmsStatus	status = hdms_history_parse(entry->history, strlen(entry->history), &history);
	bool		good = true;

	lost.history = history;
	if (status == HDMS_OK && (strcmp(hdms_history_node_id(history), recovery->asker.node) != 0 || hdms_history_kind(history) != HDMS_PERSON))
		status = HDMS_WRONG_SENDER;
	if (status == HDMS_OK && entry->admission == NULL)
	{
		/* Registered, and never paired: there is nothing to get back. */
		home_log(home, "number %u was never paired", recovery->next);
		hdms_history_free(history);
		return true;
	}
	if (status == HDMS_OK)
		status = hdms_voucher_peek(entry->admission, strlen(entry->admission), &membership);
	if (status == HDMS_OK)
		status = pairing_recover(home, &lost, pairing);
	if (status == HDMS_OK)
		recovery->found++;
	else if (status == HDMS_OUT_OF_MEMORY)
		good = false;
	else
		good = notice_add(home, "recovery", "what the server gave for node %s is not usable: %s", recovery->asker.node, hdms_status_sentence(status));
	hdms_history_free(history);
	return good;
}

/* Finishes a number: known or not, with a pairing where there is one. */
static void
number_done(Recovery *recovery, const HdmsNodeEntry *entry, bool is_known, const char *problem)
{
	HdmsHome   *home = recovery->home;
	Pairing    *pairing = NULL;
	uint32_t	next = recovery->next;
	uint32_t	gap = recovery->gap;
	uint32_t	found = recovery->found;

	if (store_begin(home->store) && (entry == NULL || node_take(recovery, entry, &pairing)) &&
		(problem == NULL || notice_add(home, "recovery", "node %s: %s", recovery->asker.node, problem)) &&
		search_next(recovery, is_known) && store_commit(home->store))
	{
		if (pairing != NULL)
			engine_wake(home->engine, pairing);
		home_changed(home);
		return;
	}
	home_log(home, "cannot write: %s", store_error(home->store));
	store_rollback(home->store);
	if (pairing != NULL)
		pairing_drop(home, pairing);
	recovery->next = next;
	recovery->gap = gap;
	recovery->found = found;
	recovery->not_before = engine_clock() + home->config.retry_max;
}

static void
node_done(void *arg, const HttpAnswer *answer)
{
	Recovery   *recovery = arg;
	HdmsNodeEntry entry = {0};
	char		word[48] = "";
	char	   *detail = NULL;
	int64_t		now = 0;

	recovery->call = NULL;
	if (answer->status == 200 && hdms_wire_node_parse(answer->body, answer->len, &entry) == HDMS_OK)
		number_done(recovery, &entry, true, NULL);
	else
	{
		(void) hdms_wire_problem_parse(answer->body ? answer->body : "", answer->len, word, &detail, &now);
		if (strcmp(word, "unknown-node") == 0)
			number_done(recovery, NULL, false, NULL);
		else if (strcmp(word, "frozen") == 0)
			number_done(recovery, NULL, true, "the server saw two histories of it and has frozen it: ask the institution for a new invitation");
		else if (strcmp(word, "bad-signature") == 0 && recovery->generation + 1 < MAX_GENERATIONS)
			recovery->generation++; /* it was recovered before */
		else if (strcmp(word, "bad-signature") == 0)
			number_done(recovery, NULL, true, "it takes none of this seed's recovery keys");
		else if (strcmp(word, "clock-skew") == 0 && now > 0 && llabs(now - home_now(recovery->home)) > 1)
			(void) home_clock_learn(recovery->home, recovery->home->clock_offset + (now * 1000 - home_now_ms(recovery->home)));
		else
			search_failed(recovery, answer);
	}
	free(detail);
	hdms_wire_node_free(&entry);
}

static void
network_done(void *arg, const HttpAnswer *answer)
{
	Recovery   *recovery = arg;
	char	   *jwk = NULL;
	char	   *notaries = NULL;
	HdmsKey    *key = NULL;

	recovery->call = NULL;
	if (answer->status != 200 || hdms_wire_network_parse(answer->body, answer->len, &jwk, &notaries) != HDMS_OK ||
		hdms_key_from_jwk(jwk, strlen(jwk), &key) != HDMS_OK)
		search_failed(recovery, answer);
	else if (strcmp(hdms_key_thumbprint(key), recovery->asker.network) != 0)
		search_stop(recovery, "the server's network is not the one of the kit");
	else
	{
		recovery->network_key = key;
		recovery->failures = 0;
		key = NULL;
	}
	hdms_key_free(key);
	free(jwk);
	free(notaries);
}

/* The keys of the number that is looked for. */
static bool
number_prepare(Recovery *recovery)
{
	const HdmsHome *home = recovery->home;
	HdmsKey    *first = NULL;
	bool		good;

	hdms_key_free(recovery->key);
	recovery->key = NULL;
	good = hdms_key_derive(home->seed, "hdms-sign", recovery->next, &first) == HDMS_OK &&
		pairing_recovery_key(home, recovery->next, recovery->generation, &recovery->key) == HDMS_OK;
	if (good)
		strcpy(recovery->asker.node, hdms_key_thumbprint(first));
	hdms_key_free(first);
	return good;
}

int64_t
recovery_run(HdmsHome *home)
{
	Recovery   *recovery = home->recovery;
	char		path[80] = "/v1/network";
	HttpRequest request = {.method = "GET", .path = path, .query = "", .max_answer = ANSWER_MAX, .timeout = home->config.request_timeout,
	.signing = HTTP_PUBLIC, .done = network_done, .arg = recovery};

	if (recovery == NULL)
		return INT64_MAX;
	if (recovery->gap >= GAP)
	{
		recovery_free(recovery);
		home->recovery = NULL;
		return INT64_MAX;
	}
	if (recovery->call != NULL)
		return INT64_MAX;
	if (engine_clock() < recovery->not_before)
		return recovery->not_before;
	request.pairing = &recovery->asker;
	if (recovery->network_key != NULL)
	{
		if (!number_prepare(recovery))
		{
			recovery->not_before = engine_clock() + home->config.retry_max;
			return recovery->not_before;
		}
		snprintf(path, sizeof(path), "/v1/nodes/%s", recovery->asker.node);
		request.signing = HTTP_KEY;
		request.recovery = recovery->key;
		request.done = node_done;
	}
	recovery->call = http_start(engine_http(home->engine), &request);
	if (recovery->call == NULL)
		recovery->not_before = engine_clock() + home->config.retry_max;
	return recovery->call ? INT64_MAX : recovery->not_before;
}

void
recovery_drop(HdmsHome *home)
{
	if (home->recovery == NULL || home->recovery->call == NULL)
		return;
	http_drop(engine_http(home->engine), home->recovery->call);
	home->recovery->call = NULL;
}

bool
recovery_is_searching(const HdmsHome *home, const char **problem)
{
	const Recovery *recovery = home->recovery;

	*problem = recovery != NULL && recovery->problem[0] != '\0' ? recovery->problem : NULL;
	return recovery != NULL && recovery->gap < GAP;
}

json_t *
recovery_json(const HdmsHome *home)
{
	const Recovery *recovery = home->recovery;

	if (recovery == NULL || recovery->gap >= GAP)
		return json_null();
	return json_pack("{s:I, s:I, s:o}", "looked", (json_int_t) recovery->next, "found", (json_int_t) recovery->found,
					 "problem", recovery->problem[0] ? json_string(recovery->problem) : json_null());
}
