/*
 * home_repair.c
 *		All records verified; those that are damaged asked for.
 */
#include <stdlib.h>

#include "chain.h"
#include "engine.h"
#include "flow_repair.h"
#include "home_json.h"

#define ENDS_AT_ONCE	200

/* What became of all records. */
typedef struct Survey
{
	HdmsHome   *home;
	bool		repairs;		/* damaged ones are noted for asking */
	int64_t		records;
	int64_t		failed;
	int64_t		noted;
	json_t	   *failures;		/* {"record", "version", "problem"} */
} Survey;

static bool
survey_version(Survey *survey, const Version *end)
{
	Pairing    *pairing = pairing_find(survey->home, end->pairing);
	char		problem[CHAIN_PROBLEM];

	survey->records++;
	chain_problem(survey->home, end, problem);
	if (problem[0] == '\0')
		return true;
	survey->failed++;
	json_array_append_new(survey->failures, json_pack("{s:s, s:I, s:s}", "record", end->record, "version", (json_int_t) end->number, "problem", problem));
	return !survey->repairs || pairing == NULL || repair_note(pairing, end, &survey->noted);
}

static bool
survey_all(Survey *survey)
{
	int64_t		ids[ENDS_AT_ONCE];
	int64_t		after = 0;
	size_t		count;

	do
	{
		if (!chain_ends(survey->home, after, ids, ENDS_AT_ONCE, &count))
			return false;
		for (size_t i = 0; i < count; i++)
		{
			Version		version;
			bool		found;

			after = ids[i];
			if (!version_load(survey->home, ids[i], &version, &found) || (found && !survey_version(survey, &version)))
				return false;
		}
	} while (count == ENDS_AT_ONCE);
	return true;
}

HdmsNodeResult
hdms_home_verify_all(HdmsHome *home, char **json, HdmsNodeError *error)
{
	Survey		survey = {.home = home, .failures = json_array()};
	HdmsNodeResult result;

	if (!survey_all(&survey))
	{
		json_decref(survey.failures);
		return node_error(error, HDMS_NODE_STORAGE, "cannot read: %s", store_error(home->store));
	}
	result = json_result(json_pack("{s:I, s:I, s:b, s:o}", "records", (json_int_t) survey.records, "failed", (json_int_t) survey.failed,
								   "ok", survey.failed == 0, "failures", survey.failures), json, error);
	if (result == HDMS_NODE_OK && survey.failed > 0)
		return node_error(error, HDMS_NODE_REFUSED, "%lld of %lld records do not verify", (long long) survey.failed, (long long) survey.records);
	return result;
}

/* One record, by whatever it is called; a version without evidence can be repaired by nothing but its own flow. */
static HdmsNodeResult
survey_one(Survey *survey, const char *id, HdmsNodeError *error)
{
	Version		version;
	HdmsNodeResult result = version_meant(survey->home, id, false, &version, error);

	if (result != HDMS_NODE_OK)
		return result;
	if (version.status != VERSION_NOTARISED && version.status != VERSION_FINAL && version.status != VERSION_SUPERSEDED)
		return node_error(error, HDMS_NODE_REFUSED, "record %s has no evidence to repair: it is %s", version.record, version_status_word(version.status));
	return survey_version(survey, &version) ? HDMS_NODE_OK :
		node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(survey->home->store));
}

static HdmsNodeResult
ask_all(HdmsHome *home, HdmsNodeError *error)
{
	for (size_t i = 0; i < home->pairing_count; i++)
		if (home->pairings[i]->status == PAIRING_PAIRED && !repair_ask(home->pairings[i]))
			return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_repair(HdmsHome *home, const char *id, char **json, HdmsNodeError *error)
{
	Survey		survey = {.home = home, .repairs = true, .failures = json_array()};
	HdmsNodeResult result = HDMS_NODE_OK;

	if (!store_begin(home->store))
		result = node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	else
	{
		if (id != NULL)
			result = survey_one(&survey, id, error);
		else if (!survey_all(&survey))
			result = node_error(error, HDMS_NODE_STORAGE, "cannot read: %s", store_error(home->store));
		if (result == HDMS_NODE_OK)
			result = ask_all(home, error);
		if (result == HDMS_NODE_OK && !store_commit(home->store))
			result = node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
		if (result != HDMS_NODE_OK)
			store_rollback(home->store);
	}
	if (result != HDMS_NODE_OK)
	{
		json_decref(survey.failures);
		return result;
	}
	for (size_t i = 0; home->engine != NULL && i < home->pairing_count; i++)
		engine_wake(home->engine, home->pairings[i]);
	return json_result(json_pack("{s:I, s:I, s:I, s:o}", "records", (json_int_t) survey.records, "failed", (json_int_t) survey.failed,
								 "asked", (json_int_t) survey.noted, "failures", survey.failures), json, error);
}
