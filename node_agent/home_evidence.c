/*
 * home_evidence.c
 *		A record's evidence: checked here, or written as a file that others check.
 */
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "chain.h"
#include "home_json.h"
#include "notary_list.h"
#include "peer.h"

#define MAX_VERSIONS 10000

/* Everything that evidence borrows from. */
typedef struct Dossier
{
	HdmsEvidence evidence;
	HdmsHistory *patient;
	HdmsEvidenceVersion *versions;
	HdmsNotaryList *lists;		/* shallow copies */
	size_t		count;
} Dossier;

static void
dossier_free(Dossier *dossier)
{
	for (size_t i = 0; i < dossier->count; i++)
	{
		hdms_string_wipe((char *) dossier->versions[i].state);
		free((char *) dossier->versions[i].acceptance);
		free((char *) dossier->versions[i].request);
		free((char *) dossier->versions[i].receipt);
		free((char *) dossier->versions[i].tombstone);
	}
	free(dossier->versions);
	free(dossier->lists);
	hdms_history_free(dossier->patient);
}

static bool
version_parts(HdmsHome *home, int64_t id, HdmsEvidenceVersion *out)
{
	HdmsBytes	state = {0};
	HdmsBytes	tombstone = {0};
	Evidence	evidence;
	bool		good = evidence_get(home, id, &evidence) && part_get(home, id, PART_STATE, &state) &&
		(state.data != NULL || part_get(home, id, PART_TOMBSTONE, &tombstone));

	out->tombstone = (char *) tombstone.data;
	if (good && ((state.data == NULL && tombstone.data == NULL) || evidence.acceptance == NULL || evidence.request == NULL || evidence.receipt == NULL))
		good = store_fail(home->store, "evidence is missing");
	out->state = (char *) state.data;
	if (good)
	{
		out->acceptance = strdup(evidence.acceptance);
		out->request = strdup(evidence.request);
		out->receipt = strdup(evidence.receipt);
		if (out->acceptance == NULL || out->request == NULL || out->receipt == NULL)
			good = store_fail(home->store, "out of memory");
	}
	evidence_free(&evidence);
	return good;
}

/* The list that a version's commit pins, once. */
static bool
add_list(HdmsHome *home, const Pairing *pairing, Dossier *dossier, const char *request_text)
{
	HdmsRequest request;
	const HdmsNotaryList *list;

	if (hdms_request_peek(request_text, strlen(request_text), &request) != HDMS_OK)
		return store_fail(home->store, "a request cannot be read");
	for (size_t i = 0; i < dossier->evidence.list_count; i++)
		if (strcmp(dossier->lists[i].digest, request.commit.notaries) == 0)
			return true;
	if (!notary_list_find(home, pairing, request.commit.notaries, &list))
		return false;
	if (list != NULL)
		dossier->lists[dossier->evidence.list_count++] = *list;
	return true;
}

/* The chain from version 1 to the given one. */
static bool
dossier_fill(HdmsHome *home, const Pairing *pairing, const Version *newest, Dossier *dossier)
{
	Version		version = *newest;
	Peer	   *issuer;
	bool		found = true;
	bool		good;

	dossier->versions = calloc((size_t) newest->number, sizeof(*dossier->versions));
	dossier->lists = calloc((size_t) newest->number, sizeof(*dossier->lists));
	if (dossier->versions == NULL || dossier->lists == NULL)
		return store_fail(home->store, "out of memory");
	dossier->count = (size_t) newest->number;
	for (size_t i = dossier->count; i-- > 0;)
	{
		if (!version_parts(home, version.id, &dossier->versions[i]) || !add_list(home, pairing, dossier, dossier->versions[i].request))
			return false;
		if (i > 0 && (!version_by_vk(home, pairing->id, version.prev, &version, &found) || !found))
			return store_fail(home->store, "a version before this one is missing");
	}
	good = peer_find(home, pairing->peer, &issuer) && issuer != NULL &&
		hdms_history_parse(pairing->history, strlen(pairing->history), &dossier->patient) == HDMS_OK;
	if (!good)
		return store_fail(home->store, "a key history is missing");
	dossier->evidence.network = pairing->network_key;
	dossier->evidence.issuer = issuer->history;
	dossier->evidence.patient = dossier->patient;
	dossier->evidence.admission = issuer->admission ? issuer->admission : "";
	dossier->evidence.lists = dossier->lists;
	dossier->evidence.versions = dossier->versions;
	dossier->evidence.version_count = dossier->count;
	return true;
}

/* Whether a row says what its state does. */
static bool
row_is_right(const Version *version, const HdmsEvidenceVersion *texts)
{
	HdmsState	state;

	return texts->state == NULL ||
		(hdms_state_parse(texts->state, strlen(texts->state), true, &state) == HDMS_OK && strcmp(state.vk, version->vk) == 0 &&
		 strcmp(state.record, version->record) == 0 && strcmp(state.prev, version->prev) == 0 && state.version == version->number);
}

/* HdmsCheckReport: the first that fails. */
static bool
first_failure(void *arg, int64_t version, const char *check, HdmsStatus status)
{
	char	   *problem = arg;

	if (status == HDMS_OK)
		return true;
	snprintf(problem, CHAIN_PROBLEM, "version %lld, %s: %s", (long long) version, check, hdms_status_sentence(status));
	return false;
}

void
chain_problem(HdmsHome *home, const Version *end, char problem[CHAIN_PROBLEM])
{
	const Pairing *pairing = pairing_find(home, end->pairing);
	Dossier		dossier = {.count = 0};
	HdmsStatus	status;

	problem[0] = '\0';
	if (pairing == NULL)
		snprintf(problem, CHAIN_PROBLEM, "its pairing is gone");
	else if (end->number < 1 || end->number > MAX_VERSIONS)
		snprintf(problem, CHAIN_PROBLEM, "its number is not one that a version has");
	else if (!dossier_fill(home, pairing, end, &dossier))
		snprintf(problem, CHAIN_PROBLEM, "%s", store_error(home->store));
	else if ((status = hdms_evidence_verify(&dossier.evidence, first_failure, problem)) != HDMS_OK)
	{
		if (problem[0] == '\0')
			snprintf(problem, CHAIN_PROBLEM, "%s", hdms_status_sentence(status));
	}
	else if (!row_is_right(end, &dossier.versions[dossier.count - 1]))
		snprintf(problem, CHAIN_PROBLEM, "the list entry differs from what was signed");
	dossier_free(&dossier);
}

bool
chain_ends(HdmsHome *home, int64_t after, int64_t *ids, size_t limit, size_t *count)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT v.id FROM version v WHERE v.id > ?1 AND v.status BETWEEN ?2 AND ?3 AND NOT EXISTS"
											  " (SELECT 1 FROM version n WHERE n.record = v.record AND n.prev = v.vk AND n.status BETWEEN ?2 AND ?3)"
											  " ORDER BY v.id LIMIT ?4");
	int			row;

	*count = 0;
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, after);
	sqlite3_bind_int(statement, 2, VERSION_NOTARISED);
	sqlite3_bind_int(statement, 3, VERSION_SUPERSEDED);
	sqlite3_bind_int64(statement, 4, (sqlite3_int64) limit);
	while ((row = store_next(home->store, statement)) == 1)
		ids[(*count)++] = sqlite3_column_int64(statement, 0);
	return row == 0;
}

static HdmsNodeResult
dossier_make(HdmsHome *home, const char *id, Version *version, Dossier *dossier, HdmsNodeError *error)
{
	HdmsNodeResult result = version_meant(home, id, false, version, error);
	const Pairing *pairing;

	memset(dossier, 0, sizeof(*dossier));
	if (result != HDMS_NODE_OK)
		return result;
	pairing = pairing_find(home, version->pairing);
	if (pairing == NULL || (version->status != VERSION_NOTARISED && version->status != VERSION_FINAL && version->status != VERSION_SUPERSEDED &&
							version->status != VERSION_ERASED))
		return node_error(error, HDMS_NODE_REFUSED, "record %s has no evidence yet: it is %s", version->record, version_status_word(version->status));
	if (version->number < 1 || version->number > MAX_VERSIONS || !dossier_fill(home, pairing, version, dossier))
	{
		dossier_free(dossier);
		return node_error(error, HDMS_NODE_STORAGE, "cannot read the evidence: %s", store_error(home->store));
	}
	return HDMS_NODE_OK;
}

static bool
report_check(void *arg, int64_t version, const char *check, HdmsStatus status)
{
	json_t	   *object = json_pack("{s:I, s:s, s:b, s:o}", "version", (json_int_t) version, "check", check, "ok", status == HDMS_OK,
								   "problem", status == HDMS_OK ? json_null() : json_string(hdms_status_sentence(status)));

	json_array_append_new(arg, object);
	return true;
}

HdmsNodeResult
hdms_home_verify(HdmsHome *home, const char *id, char **json, HdmsNodeError *error)
{
	Version		version;
	Dossier		dossier;
	json_t	   *checks;
	HdmsStatus	status;
	HdmsNodeResult result = dossier_make(home, id, &version, &dossier, error);

	if (result != HDMS_NODE_OK)
		return result;
	checks = json_array();
	status = hdms_evidence_verify(&dossier.evidence, report_check, checks);
	dossier_free(&dossier);
	result = json_result(json_pack("{s:s, s:I, s:b, s:o}", "record", version.record, "version", (json_int_t) version.number, "ok", status == HDMS_OK,
								   "checks", checks), json, error);
	if (result == HDMS_NODE_OK && status != HDMS_OK)
		return node_error(error, HDMS_NODE_REFUSED, "record %s does not verify: %s", version.record, hdms_status_sentence(status));
	return result;
}

HdmsNodeResult
hdms_home_export(HdmsHome *home, const char *id, char **json, HdmsNodeError *error)
{
	Version		version;
	Dossier		dossier;
	HdmsStatus	status;
	HdmsNodeResult result = dossier_make(home, id, &version, &dossier, error);

	if (result != HDMS_NODE_OK)
		return result;
	status = hdms_evidence_print(&dossier.evidence, json);
	dossier_free(&dossier);
	return status == HDMS_OK ? HDMS_NODE_OK : node_error(error, HDMS_NODE_FAILED, "cannot write the evidence: %s", hdms_status_sentence(status));
}
