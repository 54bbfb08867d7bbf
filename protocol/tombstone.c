/*
 * tombstone.c
 *		What stays of an erased record: the institution's signed statement that it erased these versions, and when.
 */
#include <string.h>

#include "signer.h"
#include "tombstone.h"

static const char *const tombstone_claims[] = {"iss", "sub", "iat", "record", "vks", "reason", NULL};

static bool
is_reason(const char *word)
{
	size_t		len = strnlen(word, HDMS_TOMBSTONE_REASON + 1);

	return len > 0 && len <= HDMS_TOMBSTONE_REASON && strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* The keys in their order, or NULL. */
static json_t *
print_vks(const HdmsTombstone *tombstone)
{
	json_t	   *array = json_array();

	for (size_t i = 0; i < tombstone->vk_count; i++)
	{
		if (json_array_append_new(array, json_string(tombstone->vks[i])) != 0)
		{
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

HdmsStatus
hdms_tombstone_sign(const HdmsTombstone *tombstone, const HdmsKey *issuer, char **jws)
{
	json_t	   *vks;
	json_t	   *claims;
	HdmsStatus	status;

	if (tombstone == NULL || issuer == NULL || jws == NULL || tombstone->vk_count > HDMS_TOMBSTONE_VKS || !is_reason(tombstone->reason))
		return HDMS_BAD_ARGUMENT;
	if ((vks = print_vks(tombstone)) == NULL)
		return HDMS_OUT_OF_MEMORY;
	claims = json_pack("{s:s, s:s, s:I, s:s, s:o, s:s}", "iss", tombstone->iss, "sub", tombstone->sub,
					   "iat", (json_int_t) tombstone->iat, "record", tombstone->record, "vks", vks, "reason", tombstone->reason);
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_jws_sign_claims(issuer, HDMS_TYP_TOMBSTONE, false, claims, jws);
	json_decref(claims);
	return status;
}

static HdmsStatus
read_vks(const json_t *claims, HdmsTombstone *tombstone)
{
	const json_t *vks = json_object_get(claims, "vks");
	size_t		count = json_array_size(vks);

	if (!json_is_array(vks))
		return HDMS_BAD_CLAIM;
	if (count > HDMS_TOMBSTONE_VKS)
		return HDMS_TOO_LARGE;
	for (size_t i = 0; i < count; i++)
	{
		const json_t *vk = json_array_get(vks, i);

		if (!json_is_string(vk) || !hdms_is_digest_text(json_string_value(vk), json_string_length(vk))
			|| hdms_tombstone_names(tombstone, json_string_value(vk)))
			return HDMS_BAD_CLAIM;
		memcpy(tombstone->vks[tombstone->vk_count++], json_string_value(vk), HDMS_DIGEST_TEXT + 1);
	}
	return HDMS_OK;
}

static HdmsStatus
read_tombstone(const json_t *claims, HdmsTombstone *result)
{
	HdmsTombstone tombstone;
	const char *record;
	const char *reason;
	HdmsStatus	status;

	memset(&tombstone, 0, sizeof(tombstone));
	if ((status = hdms_signer_known_claims(claims, tombstone_claims)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "iss", tombstone.iss)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "sub", tombstone.sub)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "iat", &tombstone.iat)) != HDMS_OK
		|| (status = hdms_claims_string(claims, "record", &record)) != HDMS_OK
		|| (status = hdms_claims_string(claims, "reason", &reason)) != HDMS_OK
		|| (status = read_vks(claims, &tombstone)) != HDMS_OK)
		return status;
	if (strcmp(tombstone.iss, tombstone.sub) == 0 || !hdms_is_uuid(record, strlen(record)) || !is_reason(reason))
		return HDMS_BAD_CLAIM;
	strcpy(tombstone.record, record);
	strcpy(tombstone.reason, reason);
	*result = tombstone;
	return HDMS_OK;
}

HdmsStatus
hdms_tombstone_peek(const char *jws, size_t len, HdmsTombstone *tombstone)
{
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_signer_peek(jws, len, HDMS_TYP_TOMBSTONE, &claims);

	if (status == HDMS_OK)
		status = read_tombstone(claims, tombstone);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_tombstone_verify(const char *jws, size_t len, const HdmsHistory *issuer, int64_t time, HdmsTombstone *result)
{
	HdmsTombstone tombstone;
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if ((status = hdms_tombstone_peek(jws, len, &tombstone)) != HDMS_OK)
		return status;
	if (time == 0)
		time = tombstone.iat;
	if (time == 0)
		return HDMS_BAD_CLAIM;	/* 0 would mean "now" to the key history */
	if ((status = hdms_signer_verify(jws, len, HDMS_TYP_TOMBSTONE, issuer, time, &claims)) != HDMS_OK
		|| (status = read_tombstone(claims, &tombstone)) != HDMS_OK)
		goto cleanup;
	status = HDMS_WRONG_SENDER;
	if (strcmp(tombstone.iss, hdms_history_node_id(issuer)) != 0)
		goto cleanup;
	*result = tombstone;
	status = HDMS_OK;

cleanup:
	json_decref(claims);
	return status;
}

bool
hdms_tombstone_names(const HdmsTombstone *tombstone, const char *vk)
{
	for (size_t i = 0; i < tombstone->vk_count; i++)
	{
		if (strcmp(tombstone->vks[i], vk) == 0)
			return true;
	}
	return false;
}
