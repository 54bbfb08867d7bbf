/*
 * jose_header.c
 *		What the headers of JWS and JWE have in common.
 *
 * A header is read before anything is verified, so it is held small and what it
 * may say is on a short list (RFC 8725, 3).
 */
#include "jose_header.h"

#include <string.h>

#define HEADER_MAX	16384		/* characters of base64url */

HdmsStatus
hdms_compact_split(const char *compact, size_t len, HdmsSpan *parts, size_t count)
{
	const char *at = compact;
	const char *end = compact + len;

	if (len == 0)
		return HDMS_BAD_FORMAT;
	for (size_t i = 0; i < count; i++)
	{
		const char *dot = memchr(at, '.', (size_t) (end - at));

		if ((dot == NULL) != (i == count - 1))
			return HDMS_BAD_FORMAT;
		if (dot == NULL)
			dot = end;
		parts[i] = (HdmsSpan) {at, (size_t) (dot - at)};
		at = dot + 1;
	}
	return HDMS_OK;
}

HdmsStatus
hdms_jose_header_parse(HdmsSpan text, json_t **header, const char **alg)
{
	static const char *const refused[] = {"crit", "b64", "jku", "x5u"};
	HdmsBytes	json = {0};
	json_t	   *object = NULL;
	HdmsStatus	status;

	if (text.len > HEADER_MAX)
		return HDMS_TOO_LARGE;
	status = hdms_base64url_decode(text.data, text.len, &json);
	if (status == HDMS_OK)
		status = hdms_claims_parse((const char *) json.data, json.len, &object);
	hdms_bytes_free(&json);
	if (status != HDMS_OK)
		return status;
	if (hdms_claims_string(object, "alg", alg) != HDMS_OK || json_object_get(object, "zip") != NULL)
		status = HDMS_BAD_ALGORITHM;
	for (size_t i = 0; status == HDMS_OK && i < sizeof(refused) / sizeof(refused[0]); i++)
	{
		if (json_object_get(object, refused[i]) != NULL)
			status = HDMS_BAD_FORMAT;
	}
	if (status != HDMS_OK)
	{
		json_decref(object);
		return status;
	}
	*header = object;
	return HDMS_OK;
}

HdmsStatus
hdms_jose_header_check_typ(const json_t *header, const char *typ)
{
	return hdms_claims_equal(header, "typ", typ) == HDMS_OK ? HDMS_OK : HDMS_BAD_TYPE;
}

HdmsStatus
hdms_jose_header_kid(const json_t *header, char kid[HDMS_DIGEST_TEXT + 1])
{
	const json_t *member = json_object_get(header, "kid");

	if (member == NULL)
		kid[0] = '\0';
	else if (!json_is_string(member) || !hdms_is_digest_text(json_string_value(member), json_string_length(member)))
		return HDMS_BAD_FORMAT;
	else
		memcpy(kid, json_string_value(member), HDMS_DIGEST_TEXT + 1);
	return HDMS_OK;
}
