/*
 * fork.c
 *		Evidence that a node's log says two things.
 *
 * The history brings the keys and is certified by itself, down to the node's id; what a reader must
 * know is only which node has that id.
 */
#include "fork.h"

#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "history_inside.h"
#include "witness.h"

#define FORK_MAX		(8 * 1024 * 1024)	/* bytes */
#define FORK_VERSION	1

/* The notes' members, by kind. */
static const char *const members[] = {"checkpoints", "receipts"};

static HdmsStatus
verify_checkpoints(const HdmsHistory *history, const char *const texts[2], HdmsFork *fork)
{
	HdmsCheckpoint checkpoints[2];
	HdmsStatus	status = hdms_checkpoint_parse(texts[0], strlen(texts[0]), &checkpoints[0]);

	if (status != HDMS_OK)
		return status;
	if (!hdms_is_log_of(checkpoints[0].origin, fork->node))
		return HDMS_BAD_CLAIM;
	memcpy(fork->origin, checkpoints[0].origin, sizeof(fork->origin));
	for (int i = 0; i < 2; i++)
	{
		status = hdms_checkpoint_verify_ever(texts[i], strlen(texts[i]), fork->origin, history, &checkpoints[i]);
		if (status != HDMS_OK)
			return status;
		memcpy(fork->roots[i], checkpoints[i].root, sizeof(HdmsHash));
	}
	fork->size = checkpoints[0].size;
	if (checkpoints[0].size != checkpoints[1].size || memcmp(fork->roots[0], fork->roots[1], sizeof(HdmsHash)) == 0)
		return HDMS_BAD_PROOF;
	return HDMS_OK;
}

/* With any key that the notary ever had for its log. */
static HdmsStatus
verify_receipt(const HdmsHistory *history, const char *text, HdmsLeaf *leaf)
{
	HdmsStatus	status = HDMS_UNKNOWN_KEY;

	for (int i = history->length - 1; i >= 0; i--)
	{
		const HdmsKey *key = history->entries[i].keys[HDMS_ROLE_LOG];

		if (key == NULL)
			continue;
		status = hdms_receipt_verify(text, strlen(text), history->node, key, leaf, NULL, NULL);
		if (status != HDMS_BAD_SIGNATURE)
			return status;
	}
	return status;
}

static HdmsStatus
verify_receipts(const HdmsHistory *history, const char *const texts[2], HdmsFork *fork)
{
	hdms_log_origin(fork->node, fork->origin);
	for (int i = 0; i < 2; i++)
	{
		HdmsStatus	status = verify_receipt(history, texts[i], &fork->leaves[i]);

		if (status != HDMS_OK)
			return status;
	}
	if (memcmp(fork->leaves[0].tag, fork->leaves[1].tag, HDMS_DIGEST_SIZE) != 0
		|| memcmp(fork->leaves[0].request, fork->leaves[1].request, HDMS_DIGEST_SIZE) == 0)
		return HDMS_BAD_PROOF;
	return HDMS_OK;
}

static HdmsStatus
verify_pair(const HdmsHistory *history, HdmsForkKind kind, const char *const texts[2], HdmsFork *fork)
{
	HdmsFork	result = {.kind = kind};
	HdmsStatus	status;

	if (history->kind != HDMS_INSTITUTION)
		return HDMS_BAD_CLAIM;
	strcpy(result.node, history->node);
	status = kind == HDMS_FORK_CHECKPOINTS ? verify_checkpoints(history, texts, &result)
		: verify_receipts(history, texts, &result);
	if (status == HDMS_OK)
		*fork = result;
	return status;
}

HdmsStatus
hdms_fork_print(const HdmsHistory *history, HdmsForkKind kind, const char *first, const char *second, char **json)
{
	const char *const texts[2] = {first, second};
	json_t	   *entries;
	json_t	   *file;
	HdmsFork	fork;
	HdmsStatus	status = verify_pair(history, kind, texts, &fork);

	if (status != HDMS_OK)
		return status;
	entries = json_array();
	for (int i = 0; i < history->length; i++)
	{
		if (json_array_append_new(entries, json_string(history->entries[i].jws)) != 0)
		{
			json_decref(entries);
			return HDMS_OUT_OF_MEMORY;
		}
	}
	file = json_pack("{s:i, s:o, s:[s, s]}", "hdms_fork", FORK_VERSION, "history", entries, members[kind], first, second);
	if (file == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_claims_print(file, json);
	json_decref(file);
	return status;
}

/* Exactly two texts under the one member that says of what kind they are. */
static HdmsStatus
read_texts(const json_t *file, HdmsForkKind *kind, const char *texts[2])
{
	for (int k = 0; k < (int) (sizeof(members) / sizeof(members[0])); k++)
	{
		const json_t *array = json_object_get(file, members[k]);

		if (array == NULL)
			continue;
		if (json_array_size(array) != 2)
			return HDMS_BAD_FORMAT;
		for (size_t i = 0; i < 2; i++)
		{
			texts[i] = json_string_value(json_array_get(array, i));
			if (texts[i] == NULL)
				return HDMS_BAD_FORMAT;
		}
		*kind = (HdmsForkKind) k;
		return HDMS_OK;
	}
	return HDMS_BAD_FORMAT;
}

HdmsStatus
hdms_fork_verify(const char *json, size_t len, HdmsFork *fork)
{
	json_t	   *file = NULL;
	char	   *entries = NULL;
	HdmsHistory *history = NULL;
	HdmsForkKind kind;
	const char *texts[2];
	int64_t		version;
	HdmsFork	found;
	HdmsStatus	status;

	if (len > FORK_MAX)
		return HDMS_TOO_LARGE;
	if ((status = hdms_claims_parse(json, len, &file)) != HDMS_OK)
		return status;
	status = hdms_claims_integer(file, "hdms_fork", &version);
	if (status == HDMS_OK && (version != FORK_VERSION || json_object_size(file) != 3
							  || !json_is_array(json_object_get(file, "history"))))
		status = HDMS_BAD_FORMAT;
	if (status == HDMS_OK)
		status = read_texts(file, &kind, texts);
	if (status == HDMS_OK)
	{
		entries = json_dumps(json_object_get(file, "history"), JSON_COMPACT);
		status = entries == NULL ? HDMS_OUT_OF_MEMORY : hdms_history_parse(entries, strlen(entries), &history);
	}
	if (status == HDMS_OK)
		status = verify_pair(history, kind, texts, &found);
	if (status == HDMS_OK && fork != NULL)
		*fork = found;
	free(entries);
	hdms_history_free(history);
	json_decref(file);
	return status;
}
