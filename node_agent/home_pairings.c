/*
 * home_pairings.c
 *		What a person asks of their pairings: begin one, look, set the standing rule.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine.h"
#include "home_json.h"
#include "pairing_row.h"

static json_t *
text_or_null(const char *text)
{
	return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *
pairing_json(const Pairing *pairing)
{
	return json_pack("{s:I, s:s, s:b, s:b, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:o}",
					 "pairing", (json_int_t) pairing->id, "status", pairing->is_replaced ? "replaced" : pairing_status_word(pairing->status),
					 "recovering", pairing->is_recovering, "rotating", pairing->rotate_due || pairing->keys_due,
					 "institution", pairing->peer, "node", pairing->node, "name", text_or_null(pairing->name),
					 "server", pairing->server, "policy", pairing->accept ? "accept" : "ask",
					 "erasures", pairing->follows_erasures ? "erase" : "keep",
					 "code", text_or_null(pairing->code), "problem", text_or_null(pairing->problem));
}

json_t *
pairings_json(const HdmsHome *home)
{
	json_t	   *array = json_array();

	for (size_t i = 0; array != NULL && i < home->pairing_count; i++)
		json_array_append_new(array, pairing_json(home->pairings[i]));
	return array;
}

HdmsNodeResult
json_result(json_t *value, char **json, HdmsNodeError *error)
{
	char	   *text = value ? json_dumps(value, JSON_COMPACT) : NULL;

	json_decref(value);
	if (text == NULL)
		return node_error(error, HDMS_NODE_FAILED, "out of memory");
	*json = text;
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_pair(HdmsHome *home, const char *uri, int64_t *id, HdmsNodeError *error)
{
	Pairing    *pairing = NULL;
	HdmsNodeResult result = pairing_create(home, uri, &pairing, error);

	if (result != HDMS_NODE_OK)
		return result;
	*id = pairing->id;
	if (home->engine != NULL)
		engine_wake(home->engine, pairing);
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_pairing(HdmsHome *home, int64_t id, char **json, HdmsNodeError *error)
{
	const Pairing *pairing = pairing_find(home, id);

	if (pairing == NULL)
		return node_error(error, HDMS_NODE_NOT_FOUND, "there is no pairing %lld", (long long) id);
	return json_result(pairing_json(pairing), json, error);
}

HdmsNodeResult
hdms_home_pairings(HdmsHome *home, char **json, HdmsNodeError *error)
{
	return json_result(pairings_json(home), json, error);
}

bool
pairing_is(const Pairing *pairing, const char *institution)
{
	char		number[24];

	snprintf(number, sizeof(number), "%lld", (long long) pairing->id);
	return strcmp(institution, number) == 0 || strcmp(institution, pairing->peer) == 0 ||
		(pairing->name != NULL && strcasecmp(institution, pairing->name) == 0);
}

/* Sets one of the rules of all pairings with an institution. */
static HdmsNodeResult
set_rule(HdmsHome *home, const char *institution, bool is_erasure, bool value, HdmsNodeError *error)
{
	const Pairing *first = NULL;

	for (size_t i = 0; i < home->pairing_count; i++)
	{
		const Pairing *pairing = home->pairings[i];

		if (!pairing_is(pairing, institution))
			continue;

		/* Two institutions of one name: the person must say which. */
		if (first != NULL && strcmp(first->peer, pairing->peer) != 0)
			return node_error(error, HDMS_NODE_REFUSED, "several institutions are called \"%.100s\": use the number of the pairing", institution);
		first = first ? first : pairing;
	}
	if (first == NULL)
		return node_error(error, HDMS_NODE_NOT_FOUND, "there is no pairing with \"%.100s\"", institution);
	if (!store_begin(home->store))
		return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	for (size_t i = 0; i < home->pairing_count; i++)
	{
		Pairing    *pairing = home->pairings[i];
		bool	   *rule = is_erasure ? &pairing->follows_erasures : &pairing->accept;
		bool		before = *rule;

		if (!pairing_is(pairing, institution))
			continue;
		*rule = value;
		if (!pairing_save(pairing))
		{
			*rule = before;
			store_rollback(home->store);
			return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
		}
	}
	if (!store_commit(home->store))
		return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_set_policy(HdmsHome *home, const char *institution, bool accept, HdmsNodeError *error)
{
	return set_rule(home, institution, false, accept, error);
}

HdmsNodeResult
hdms_home_set_erasures(HdmsHome *home, const char *institution, bool erase, HdmsNodeError *error)
{
	return set_rule(home, institution, true, erase, error);
}
