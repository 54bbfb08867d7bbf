/*
 * home_erase.c
 *		What a person does about a record that its institution has erased.
 */
#include <string.h>

#include "catalogue.h"
#include "engine.h"
#include "flow_erased.h"
#include "home_json.h"

HdmsNodeResult
hdms_home_erase(HdmsHome *home, const char *id, HdmsNodeError *error)
{
	Version		version;
	HdmsBytes	tombstone = {0};
	Pairing    *pairing;
	HdmsNodeResult result = version_meant(home, id, false, &version, error);

	if (result != HDMS_NODE_OK)
		return result;
	pairing = pairing_find(home, version.pairing);
	if (pairing == NULL)
		return node_error(error, HDMS_NODE_NOT_FOUND, "its pairing is gone");
	if (!part_get(home, version.id, PART_TOMBSTONE, &tombstone))
		return node_error(error, HDMS_NODE_STORAGE, "cannot read: %s", store_error(home->store));
	if (tombstone.data == NULL)
		return node_error(error, HDMS_NODE_REFUSED, "the institution has not erased record %s: your copy is what could restore it there", version.record);
	if (version.status != VERSION_ERASED)
	{
		bool		good = store_begin(home->store);

		if (good && !(copies_erase(pairing, (const char *) tombstone.data) &&
					  erasure_tell(pairing, (const char *) tombstone.data, false, "") && store_commit(home->store)))
		{
			good = false;
			store_rollback(home->store);
			catalogue_doubt(home);
		}
		if (!good)
			result = node_error(error, HDMS_NODE_STORAGE, "cannot erase: %s", store_error(home->store));
		else if (home->engine != NULL)
			engine_wake(home->engine, pairing);
	}
	hdms_bytes_free(&tombstone);
	return result;
}
