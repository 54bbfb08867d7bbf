/*
 * signer.c
 *		Verifying a statement by whichever of a node's signing keys its header names.
 *
 * The one place where a signature meets a key history, so that no statement can
 * be verified with a key that was not its signer's at the time that counts.
 */
#include <string.h>

#include "signer.h"

HdmsStatus
hdms_signer_verify(const char *jws, size_t len, const char *typ, const HdmsHistory *node, int64_t time, json_t **claims)
{
	HdmsJwsHeader header = {0};
	const HdmsKey *key;
	HdmsStatus	status;

	if (jws == NULL || node == NULL || time < 0)
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_jws_peek(jws, len, &header)) != HDMS_OK)
		goto cleanup;
	status = HDMS_BAD_TYPE;
	if (strcmp(header.typ, typ) != 0)
		goto cleanup;
	status = HDMS_UNKNOWN_KEY;
	if (header.kid[0] == '\0')
		goto cleanup;
	if ((key = hdms_history_find(node, HDMS_ROLE_SIGN, header.kid, time)) == NULL)
		goto cleanup;
	status = hdms_jws_verify_claims(jws, len, key, typ, claims);

cleanup:
	hdms_jws_header_free(&header);
	return status;
}

HdmsStatus
hdms_signer_peek(const char *jws, size_t len, const char *typ, json_t **claims)
{
	HdmsJwsHeader header = {0};
	HdmsBytes	payload = {0};
	HdmsStatus	status;

	if (jws == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_jws_peek(jws, len, &header)) != HDMS_OK)
		goto cleanup;
	status = HDMS_BAD_TYPE;
	if (strcmp(header.typ, typ) != 0)
		goto cleanup;
	if ((status = hdms_jws_peek_payload(jws, len, &payload)) != HDMS_OK)
		goto cleanup;
	status = hdms_claims_parse((const char *) payload.data, payload.len, claims);

cleanup:
	hdms_bytes_free(&payload);
	hdms_jws_header_free(&header);
	return status;
}

HdmsStatus
hdms_signer_known_claims(const json_t *claims, const char *const *names)
{
	size_t		known = 0;

	for (; *names != NULL; names++)
	{
		if (json_object_get(claims, *names) != NULL)
			known++;
	}
	return known == json_object_size(claims) ? HDMS_OK : HDMS_BAD_CLAIM;
}

HdmsStatus
hdms_signer_read_digest(const json_t *claims, const char *name, char out[HDMS_DIGEST_TEXT + 1])
{
	const char *text;
	HdmsStatus	status = hdms_claims_digest(claims, name, NULL, &text);

	if (status == HDMS_OK)
		memcpy(out, text, HDMS_DIGEST_TEXT + 1);
	return status;
}
