/*
 * home_replaced.c
 *		Accepting in one step what continues older records: after a device was lost without its kit, everything comes again.
 *
 * Only what the institution signed as the continuation of another record counts, and only what waits for the person. Each is accepted and
 * notarised by itself, like any record.
 */
#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "engine.h"
#include "flow.h"
#include "home_json.h"

#define AT_ONCE	64				/* acceptances in one transaction */

HdmsStatus
version_replaces(HdmsHome *home, int64_t version, char replaces[37])
{
	HdmsBytes	text = {0};
	HdmsState	state;
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (part_get(home, version, PART_STATE, &text) && text.data != NULL)
		status = hdms_state_parse((const char *) text.data, text.len, true, &state);
	if (status == HDMS_OK)
		strcpy(replaces, state.replaces);
	hdms_bytes_wipe(&text);
	return status;
}

/* Ids of what waits and continues another record, of the institution (NULL: of each). malloc'ed. */
static int64_t *
waiting_find(HdmsHome *home, const char *institution, size_t *found)
{
	size_t		count;
	const CatalogueEntry *entries = catalogue_entries(home, &count);
	int64_t    *ids = calloc(count + 1, sizeof(*ids));

	*found = 0;
	for (size_t i = 0; ids != NULL && entries != NULL && i < count; i++)
	{
		const Pairing *pairing = pairing_find(home, entries[i].pairing);
		char		replaces[37];

		if (entries[i].status == VERSION_ASKED && pairing != NULL && (institution == NULL || pairing_is(pairing, institution)) &&
			entries[i].accept_until >= home_now(home) && version_replaces(home, entries[i].id, replaces) == HDMS_OK && replaces[0] != '\0')
			ids[(*found)++] = entries[i].id;
	}
	return ids;
}

/* Accepts some in one transaction. What cannot be accepted stays as it is. */
static bool
accept_some(HdmsHome *home, const int64_t *ids, size_t count, size_t *accepted)
{
	size_t		done = 0;

	if (!store_begin(home->store))
		return false;
	for (size_t i = 0; i < count; i++)
	{
		Version		version;
		bool		found;
		HdmsStatus	status;

		if (!version_load(home, ids[i], &version, &found) || !store_mark(home->store))
			return false;
		status = found ? flow_accept(pairing_find(home, version.pairing), &version, NULL) : HDMS_BAD_CHAIN;
		if (status == HDMS_BAD_ARGUMENT || status == HDMS_OUT_OF_MEMORY)
			return false;
		if (status == HDMS_OK ? !store_keep(home->store) : !store_undo(home->store))
			return false;
		if (status == HDMS_OK)
			done++;
		else
			catalogue_doubt(home);
	}
	if (!store_commit(home->store))
		return false;
	*accepted += done;
	return true;
}

HdmsNodeResult
hdms_home_accept_replaced(HdmsHome *home, const char *institution, bool only_count, char **json, HdmsNodeError *error)
{
	size_t		count;
	size_t		accepted = 0;
	int64_t    *ids = waiting_find(home, institution, &count);
	bool		good = ids != NULL;

	for (size_t i = 0; good && !only_count && i < count; i += AT_ONCE)
		good = accept_some(home, ids + i, count - i < AT_ONCE ? count - i : AT_ONCE, &accepted);
	free(ids);
	if (!good)
	{
		node_error(error, HDMS_NODE_STORAGE, "cannot write the decisions: %s", store_error(home->store));
		store_rollback(home->store);
		catalogue_doubt(home);
	}
	for (size_t i = 0; home->engine != NULL && i < home->pairing_count; i++)
		if (home->pairings[i]->put_due)
			engine_wake(home->engine, home->pairings[i]);
	if (!good)
		return HDMS_NODE_STORAGE;
	return json_result(json_pack("{s:I, s:I}", "waiting", (json_int_t) count, "accepted", (json_int_t) accepted), json, error);
}
