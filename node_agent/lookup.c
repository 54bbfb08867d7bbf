/*
 * lookup.c
 *		Asks the directory for what flows and the inbox want: histories of nodes, lists of notaries.
 */
#include "lookup.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "engine.h"
#include "flow.h"
#include "inbox.h"
#include "notary_list.h"
#include "peer.h"
#include "wire.h"

#define ANSWER_MAX	(2 * 1024 * 1024)
#define WOKEN		100
#define AT_ONCE		8			/* lookups under way */

/* A lookup under way. It names its want, because the array of wants may move. */
typedef struct Lookup
{
	HdmsHome   *home;
	WantKind	kind;
	char		id[HDMS_DIGEST_TEXT + 1];
	int64_t		pairing;
	HttpCall   *call;
	struct Lookup *next;
} Lookup;

static Want *
want_of(const Lookup *lookup)
{
	for (size_t i = 0; i < lookup->home->want_count; i++)
		if (lookup->home->wants[i].kind == lookup->kind && strcmp(lookup->home->wants[i].id, lookup->id) == 0)
			return &lookup->home->wants[i];
	return NULL;
}

static void
lookup_free(Lookup *lookup)
{
	Lookup	  **link = &lookup->home->lookups;

	while (*link != NULL && *link != lookup)
		link = &(*link)->next;
	if (*link == lookup)
		*link = lookup->next;
	free(lookup);
}

/* What waited for a node's key goes on. The node is pinned by now, so each flow leaves the set that waits. */
static bool
flows_wake(HdmsHome *home, const char *node)
{
	int64_t		ids[WOKEN];
	size_t		count;

	do
	{
		if (!versions_waiting_for(home, node, ids, WOKEN, &count))
			return false;
		for (size_t i = 0; i < count; i++)
			if (!flow_timer(home, ids[i]))
				return false;
	} while (count == WOKEN);
	return true;
}

/* Keeps what the answer says. *satisfied: nobody has to ask again. */
static bool
answer_take(const Lookup *lookup, Pairing *pairing, const HttpAnswer *answer, bool *satisfied)
{
	HdmsHome   *home = lookup->home;
	HdmsNodeEntry entry = {0};
	PeerLesson	lesson;
	HdmsStatus	status;

	*satisfied = false;
	if (lookup->kind == WANT_LIST)
	{
		if (answer->status != 200)
			return true;
		status = notary_list_learn(home, pairing, lookup->id, answer->body, answer->len);
		*satisfied = status == HDMS_OK;
		if (status == HDMS_OUT_OF_MEMORY)
			return false;
		return status == HDMS_OK ||
			notice_add(home, "false-list", "the server gave a wrong list of notaries for %s: %s", lookup->id, hdms_status_sentence(status));
	}
	if (answer->status == 404)
		return peer_asked(home, lookup->id);
	if (answer->status != 200 || hdms_wire_node_parse(answer->body, answer->len, &entry) != HDMS_OK)
		return true;

	/* A frozen node's history is disputed: nothing of it is believed. */
	if (strcmp(entry.status, "active") == 0)
		lesson = peer_learn(home, lookup->id, entry.history, entry.admission, NULL);
	else
		lesson = notice_add(home, "false-key", "the directory says that %s is %s", lookup->id, entry.status) ? PEER_FALSE : PEER_FAILED;
	hdms_wire_node_free(&entry);
	*satisfied = lesson == PEER_PINNED || lesson == PEER_SAME || lesson == PEER_CONTINUED;
	return lesson != PEER_FAILED;
}

static void
lookup_done(void *arg, const HttpAnswer *answer)
{
	Lookup	   *lookup = arg;
	HdmsHome   *home = lookup->home;
	Want	   *want = want_of(lookup);
	Pairing    *pairing = pairing_find(home, lookup->pairing);
	bool		satisfied = false;
	bool		good;

	lookup->call = NULL;
	good = pairing != NULL && store_begin(home->store) && answer_take(lookup, pairing, answer, &satisfied) &&
		inbox_wake(home, lookup->id) && (lookup->kind == WANT_LIST || !satisfied || flows_wake(home, lookup->id)) && store_commit(home->store);
	if (!good)
	{
		store_rollback(home->store);
		catalogue_doubt(home);
		satisfied = false;
	}
	if (want != NULL && satisfied)
		*want = home->wants[--home->want_count];
	else if (want != NULL)
	{
		home_log(home, "asking the directory for %s failed (HTTP %d)", lookup->id, answer->status);
		want->in_flight = false;
		want->next_try = engine_clock() + backoff(home->config.retry_initial, home->config.retry_max, want->failures++);
	}
	for (size_t i = 0; i < home->pairing_count; i++)
		if (home->pairings[i]->put_due)
			engine_wake(home->engine, home->pairings[i]);
	lookup_free(lookup);
}

static void
lookup_start(HdmsHome *home, Want *want)
{
	Pairing    *pairing = pairing_find(home, want->pairing);
	Lookup	   *lookup = calloc(1, sizeof(*lookup));
	char		path[80];
	HttpRequest request = {.pairing = pairing, .method = "GET", .path = path, .query = "", .max_answer = ANSWER_MAX, .timeout = home->config.request_timeout,
	.done = lookup_done, .arg = lookup};

	want->next_try = engine_clock() + home->config.retry_max;
	if (pairing == NULL || lookup == NULL)
	{
		free(lookup);
		return;
	}
	lookup->home = home;
	lookup->kind = want->kind;
	lookup->pairing = want->pairing;
	strcpy(lookup->id, want->id);
	snprintf(path, sizeof(path), "%s%s", want->kind == WANT_LIST ? "/v1/notaries/" : "/v1/nodes/", want->id);
	request.signing = want->kind == WANT_LIST ? HTTP_PUBLIC : HTTP_KEY;
	lookup->call = http_start(engine_http(home->engine), &request);
	if (lookup->call == NULL)
	{
		free(lookup);
		return;
	}
	lookup->next = home->lookups;
	home->lookups = lookup;
	want->in_flight = true;
}

int64_t
lookups_run(HdmsHome *home)
{
	int64_t		now = engine_clock();
	int64_t		next = INT64_MAX;
	int			under_way = 0;

	for (const Lookup *lookup = home->lookups; lookup != NULL; lookup = lookup->next)
		under_way++;
	for (size_t i = 0; i < home->want_count && under_way < AT_ONCE; i++)
	{
		Want	   *want = &home->wants[i];

		if (want->in_flight)
			continue;
		if (want->next_try <= now)
		{
			lookup_start(home, want);
			under_way += want->in_flight;
		}
		if (!want->in_flight && want->next_try < next)
			next = want->next_try;
	}
	return next;
}

void
lookups_drop(HdmsHome *home)
{
	while (home->lookups != NULL)
	{
		Lookup	   *lookup = home->lookups;

		http_drop(engine_http(home->engine), lookup->call);
		lookup_free(lookup);
	}
	for (size_t i = 0; i < home->want_count; i++)
		home->wants[i].in_flight = false;
}
