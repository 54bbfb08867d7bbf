/*
 * home_status.c
 *		How the node is.
 */
#include "catalogue.h"
#include "home_json.h"
#include "inbox.h"
#include "outbox.h"
#include "recovery.h"

HdmsNodeResult
hdms_home_status(HdmsHome *home, char **json, HdmsNodeError *error)
{
	int64_t		counts[VERSION_STATUS_COUNT] = {0};
	int64_t		outbox;
	int64_t		waiting;
	int64_t		quarantined;
	size_t		count;
	const CatalogueEntry *entries = catalogue_entries(home, &count);
	json_t	   *records = json_object();
	json_t	   *notices;

	if ((entries == NULL && count > 0) || !outbox_count(home, &outbox) || !inbox_counts(home, &waiting, &quarantined) ||
		(notices = notice_list(home)) == NULL)
	{
		json_decref(records);
		return node_error(error, HDMS_NODE_STORAGE, "cannot read: %s", store_error(home->store));
	}
	for (size_t i = 0; i < count; i++)
		counts[entries[i].status]++;
	for (int i = 0; i < VERSION_STATUS_COUNT; i++)
		if (counts[i] > 0)
			json_object_set_new(records, version_status_word((VersionStatus) i), json_integer(counts[i]));
	return json_result(json_pack("{s:b, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "running", home->engine != NULL, "pairings", pairings_json(home),
								 "recovery", recovery_json(home), "records", records, "outbox", (json_int_t) outbox, "inbox", (json_int_t) waiting,
								 "quarantined", (json_int_t) quarantined, "refused_messages", (json_int_t) home->refused_messages,
								 "clock_offset_seconds", (json_int_t) (home->clock_offset / 1000), "notices", notices), json, error);
}

HdmsNodeResult
hdms_home_retry(HdmsHome *home, int64_t *count, HdmsNodeError *error)
{
	int64_t		waiting;

	if (!inbox_counts(home, &waiting, count) || !inbox_retry(home))
		return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	return HDMS_NODE_OK;
}
