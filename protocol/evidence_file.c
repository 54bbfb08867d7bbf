/*
 * evidence_file.c
 *		The evidence of a record as one JSON file, and reading it back from nothing but a fingerprint.
 *
 * The file brings its own network key, histories and lists: the fingerprint says whether
 * the key is the trusted one, and the key whether the rest is. A member that
 * is not known is refused, so every byte of a file that verifies has a meaning.
 */
#include <stdlib.h>
#include <string.h>

#include "evidence.h"

#define EVIDENCE_MAX	(256 * 1024 * 1024)		/* bytes */

/* What a file was read into; evidence borrows from all of it. */
typedef struct EvidenceFile
{
	json_t	   *root;
	HdmsKey    *network;
	HdmsHistory *issuer;
	HdmsHistory *patient;
	HdmsNotaryList *lists;
	size_t		list_count;
	HdmsEvidenceVersion *versions;
	size_t		version_count;
	const char *record;
	const char *admission;
} EvidenceFile;

static json_t *
history_array(const HdmsHistory *history)
{
	json_t	   *array = json_array();

	for (int i = 0; i < hdms_history_length(history); i++)
	{
		if (json_array_append_new(array, json_string(hdms_history_entry(history, i))) != 0)
		{
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *
list_object(const HdmsEvidence *evidence)
{
	json_t	   *object = json_pack("{}");

	for (size_t i = 0; i < evidence->list_count; i++)
	{
		if (json_object_set_new(object, evidence->lists[i].digest, json_string(evidence->lists[i].jws)) != 0)
		{
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *
version_array(const HdmsEvidence *evidence)
{
	json_t	   *array = json_array();

	for (size_t i = 0; i < evidence->version_count; i++)
	{
		const HdmsEvidenceVersion *version = &evidence->versions[i];

		if (json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s}", version->state != NULL ? "state" : "tombstone",
												   version->state != NULL ? version->state : version->tombstone, "acceptance", version->acceptance, "request", version->request,
												   "receipt", version->receipt)) != 0)
		{
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* The record that a version is of, as it says itself. */
static HdmsStatus
record_of(const HdmsEvidenceVersion *version, char record[37])
{
	HdmsState	state;
	HdmsTombstone tombstone;
	HdmsStatus	status;

	if (version->state != NULL)
		status = hdms_state_parse(version->state, strlen(version->state), true, &state);
	else
		status = hdms_tombstone_peek(version->tombstone, strlen(version->tombstone), &tombstone);
	if (status == HDMS_OK)
		memcpy(record, version->state != NULL ? state.record : tombstone.record, 37);
	return status;
}

HdmsStatus
hdms_evidence_print(const HdmsEvidence *evidence, char **json)
{
	char		record[37];
	char	   *jwk_text = NULL;
	json_t	   *jwk = NULL;
	json_t	   *histories = NULL;
	json_t	   *lists = NULL;
	json_t	   *versions = NULL;
	json_t	   *root = NULL;
	HdmsStatus	status;

	if (evidence == NULL || json == NULL || evidence->network == NULL || evidence->issuer == NULL
		|| evidence->patient == NULL || evidence->admission == NULL || evidence->version_count == 0)
		return HDMS_BAD_ARGUMENT;
	for (size_t i = 0; i < evidence->version_count; i++)
	{
		const HdmsEvidenceVersion *version = &evidence->versions[i];

		if ((version->state == NULL && version->tombstone == NULL) || version->acceptance == NULL || version->request == NULL
			|| version->receipt == NULL)
			return HDMS_BAD_ARGUMENT;
	}
	if ((status = record_of(&evidence->versions[0], record)) != HDMS_OK
		|| (status = hdms_key_to_jwk(evidence->network, false, &jwk_text)) != HDMS_OK
		|| (status = hdms_claims_parse(jwk_text, strlen(jwk_text), &jwk)) != HDMS_OK)
		goto cleanup;
	status = HDMS_OUT_OF_MEMORY;
	if ((lists = list_object(evidence)) == NULL || (versions = version_array(evidence)) == NULL)
		goto cleanup;
	histories = json_pack("{s:o, s:o}", hdms_history_node_id(evidence->issuer), history_array(evidence->issuer),
						  hdms_history_node_id(evidence->patient), history_array(evidence->patient));
	if (histories == NULL)
		goto cleanup;
	root = json_pack("{s:i, s:O, s:s, s:O, s:s, s:O, s:O}", "hdms_evidence", 1, "network", jwk, "record", record,
					 "histories", histories, "admission", evidence->admission, "notaries", lists, "versions", versions);
	if (root != NULL)
		status = hdms_claims_print(root, json);

cleanup:
	free(jwk_text);
	json_decref(jwk);
	json_decref(histories);
	json_decref(lists);
	json_decref(versions);
	json_decref(root);
	return status;
}

/* The outline: which members there are. */
static HdmsStatus
read_outline(const char *json, size_t len, EvidenceFile *file)
{
	int64_t		format;
	HdmsStatus	status;

	if (len > EVIDENCE_MAX)
		return HDMS_TOO_LARGE;
	if ((status = hdms_claims_parse(json, len, &file->root)) != HDMS_OK)
		return status;
	if (json_object_size(file->root) != 7
		|| hdms_claims_integer(file->root, "hdms_evidence", &format) != HDMS_OK || format != 1
		|| hdms_claims_string(file->root, "record", &file->record) != HDMS_OK
		|| hdms_claims_string(file->root, "admission", &file->admission) != HDMS_OK
		|| !hdms_is_uuid(file->record, strlen(file->record)))
		return HDMS_BAD_FORMAT;
	return HDMS_OK;
}

static HdmsStatus
read_versions(EvidenceFile *file)
{
	const json_t *versions = json_object_get(file->root, "versions");
	size_t		count = json_array_size(versions);

	if (count == 0)
		return HDMS_BAD_FORMAT;
	if ((file->versions = calloc(count, sizeof(*file->versions))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	file->version_count = count;
	for (size_t i = 0; i < count; i++)
	{
		const json_t *item = json_array_get(versions, i);
		HdmsEvidenceVersion *version = &file->versions[i];

		if (json_object_size(item) != 4
			|| (hdms_claims_string(item, "state", &version->state) != HDMS_OK
				&& hdms_claims_string(item, "tombstone", &version->tombstone) != HDMS_OK)
			|| hdms_claims_string(item, "acceptance", &version->acceptance) != HDMS_OK
			|| hdms_claims_string(item, "request", &version->request) != HDMS_OK
			|| hdms_claims_string(item, "receipt", &version->receipt) != HDMS_OK)
			return HDMS_BAD_FORMAT;
	}
	return HDMS_OK;
}

/* That the file is of the record that it says. */
static HdmsStatus
check_record(const EvidenceFile *file)
{
	char		record[37];
	HdmsStatus	status = record_of(&file->versions[0], record);

	if (status != HDMS_OK)
		return status;
	return strcmp(record, file->record) == 0 ? HDMS_OK : HDMS_BAD_CHAIN;
}

static HdmsStatus
read_network(EvidenceFile *file, const char *fingerprint)
{
	const json_t *jwk = json_object_get(file->root, "network");
	char	   *text = NULL;
	HdmsStatus	status;

	if (!json_is_object(jwk) || json_object_size(jwk) != 3)
		return HDMS_BAD_FORMAT;
	if ((status = hdms_claims_print(jwk, &text)) == HDMS_OK)
		status = hdms_key_from_jwk(text, strlen(text), &file->network);
	free(text);
	if (status != HDMS_OK)
		return status;
	return strcmp(hdms_key_thumbprint(file->network), fingerprint) == 0 ? HDMS_OK : HDMS_NOT_ADMITTED;
}

/* Exactly one institution's and one person's, each under its node id. */
static HdmsStatus
read_histories(EvidenceFile *file)
{
	json_t	   *histories = json_object_get(file->root, "histories");
	const char *node;
	json_t	   *array;

	if (json_object_size(histories) != 2)
		return HDMS_BAD_FORMAT;
	json_object_foreach(histories, node, array)
	{
		HdmsHistory *history = NULL;
		HdmsHistory **place;
		char	   *text;
		HdmsStatus	status;

		if (!json_is_array(array))
			return HDMS_BAD_FORMAT;
		if ((text = json_dumps(array, JSON_COMPACT)) == NULL)
			return HDMS_OUT_OF_MEMORY;
		status = hdms_history_parse(text, strlen(text), &history);
		free(text);
		if (status != HDMS_OK)
			return status;
		place = hdms_history_kind(history) == HDMS_INSTITUTION ? &file->issuer : &file->patient;
		if (*place != NULL || strcmp(hdms_history_node_id(history), node) != 0)
		{
			hdms_history_free(history);
			return HDMS_BAD_FORMAT;
		}
		*place = history;
	}
	return HDMS_OK;
}

static HdmsStatus
read_lists(EvidenceFile *file)
{
	json_t	   *lists = json_object_get(file->root, "notaries");
	const char *digest;
	json_t	   *jws;

	if (!json_is_object(lists))
		return HDMS_BAD_FORMAT;
	if ((file->lists = calloc(json_object_size(lists) + 1, sizeof(*file->lists))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	json_object_foreach(lists, digest, jws)
	{
		HdmsNotaryList *list = &file->lists[file->list_count];
		HdmsStatus	status;

		if (!json_is_string(jws))
			return HDMS_BAD_FORMAT;
		status = hdms_notaries_parse(json_string_value(jws), json_string_length(jws), file->network, list);
		if (status != HDMS_OK)
			return status;
		file->list_count++;
		if (strcmp(list->digest, digest) != 0)
			return HDMS_DIGEST_MISMATCH;
	}
	return HDMS_OK;
}

static void
evidence_file_free(EvidenceFile *file)
{
	for (size_t i = 0; i < file->list_count; i++)
		hdms_notaries_free(&file->lists[i]);
	free(file->lists);
	free(file->versions);
	hdms_history_free(file->issuer);
	hdms_history_free(file->patient);
	hdms_key_free(file->network);
	json_decref(file->root);
}

/* Reports what the file itself is checked for. HDMS_BAD_ARGUMENT when whoever listens stops what was in order so far. */
static HdmsStatus
reported(HdmsCheckReport report, void *arg, const char *check, HdmsStatus status)
{
	bool		goes_on = report == NULL || report(arg, 0, check, status);

	return status == HDMS_OK && !goes_on ? HDMS_BAD_ARGUMENT : status;
}

HdmsStatus
hdms_evidence_verify_file(const char *json, size_t len, const char *fingerprint,
						  HdmsCheckReport report, void *arg, char record[37], HdmsBytes *content)
{
	EvidenceFile file = {0};
	HdmsEvidence evidence = {0};
	HdmsBytes	newest = {0};
	const char *state;
	HdmsStatus	status;

	if (json == NULL || fingerprint == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((status = read_outline(json, len, &file)) == HDMS_OK)
		status = read_versions(&file);
	if ((status = reported(report, arg, "file", status)) != HDMS_OK
		|| (status = reported(report, arg, "network", read_network(&file, fingerprint))) != HDMS_OK
		|| (status = reported(report, arg, "histories", read_histories(&file))) != HDMS_OK
		|| (status = reported(report, arg, "notaries", read_lists(&file))) != HDMS_OK)
		goto cleanup;

	evidence.network = file.network;
	evidence.issuer = file.issuer;
	evidence.patient = file.patient;
	evidence.admission = file.admission;
	evidence.lists = file.lists;
	evidence.list_count = file.list_count;
	evidence.versions = file.versions;
	evidence.version_count = file.version_count;
	if ((status = hdms_evidence_verify(&evidence, report, arg)) != HDMS_OK
		|| (status = reported(report, arg, "record", check_record(&file))) != HDMS_OK)
		goto cleanup;
	state = file.versions[file.version_count - 1].state;
	if (content != NULL && state != NULL && (status = hdms_state_content(state, strlen(state), &newest)) != HDMS_OK)
		goto cleanup;
	if (content != NULL && state != NULL)
		*content = newest;
	if (record != NULL)
		memcpy(record, file.record, 37);

cleanup:
	evidence_file_free(&file);
	return status;
}
