/*
 * rotation.c
 *		Replacing a node's keys on a device that is not lost.
 *
 * What was signed with a key counts when the notary's leaf lies before the key's end. So a request that is with a notary would be lost if the key
 * that signed it ended meanwhile: a pairing waits until none is. The new keys are stored before anybody hears of them; then the
 * courier registers them, and then the institution is told.
 */
#include "rotation.h"

#include <string.h>

#include "catalogue.h"
#include "courier.h"
#include "home_json.h"
#include "pairing_row.h"

/* Whether a version of that pairing was signed and has no receipt yet. */
static bool
is_under_way(const Pairing *pairing, const CatalogueEntry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i].pairing == pairing->id &&
			(entries[i].status == VERSION_RECEIVED || entries[i].status == VERSION_ACCEPTED || entries[i].status == VERSION_NOTARISING))
			return true;
	return false;
}

bool
rotation_run(HdmsHome *home)
{
	for (size_t i = 0; i < home->pairing_count; i++)
	{
		Pairing    *pairing = home->pairings[i];
		const CatalogueEntry *entries;
		size_t		count;
		HdmsStatus	status;

		if (!pairing->rotate_due || pairing->status != PAIRING_PAIRED || !pairing->is_told)
			continue;
		entries = catalogue_entries(home, &count);
		if (entries == NULL && count > 0)
			return store_fail(home->store, "the catalogue cannot be read");
		if (is_under_way(pairing, entries, count))
			continue;
		status = pairing_rotate(pairing);
		if (status == HDMS_BAD_ARGUMENT)
			return false;
		if (status != HDMS_OK)
			return store_fail(home->store, hdms_status_sentence(status));
		home_log(home, "pairing %lld has new keys", (long long) pairing->id);
		courier_rotated(pairing);
		home_changed(home);
	}
	return true;
}

HdmsNodeResult
hdms_home_rotate(HdmsHome *home, const char *institution, char **json, HdmsNodeError *error)
{
	json_int_t	count = 0;

	if (!store_begin(home->store))
		return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	for (size_t i = 0; i < home->pairing_count; i++)
	{
		Pairing    *pairing = home->pairings[i];

		if (pairing->status != PAIRING_PAIRED || pairing->is_replaced || (institution != NULL && !pairing_is(pairing, institution)))
			continue;
		pairing->rotate_due = true;
		count++;
		if (pairing_save(pairing))
			continue;
		store_rollback(home->store);
		return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	}
	if (!store_commit(home->store))
		return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	if (count == 0)
		return node_error(error, HDMS_NODE_NOT_FOUND, "there is no pairing whose keys could be replaced");
	if (home->engine != NULL)
		for (size_t i = 0; i < home->pairing_count; i++)
			engine_wake(home->engine, home->pairings[i]);
	return json_result(json_pack("{s:I}", "rotating", count), json, error);
}
