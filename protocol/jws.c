/*
 * jws.c
 *		JSON Web Signature, compact serialisation (RFC 7515), as RFC 8725 advises.
 *
 * The algorithm is the key's, never the header's choice: the header is only
 * compared with it.  A key in the header is handed out by hdms_jws_peek() to a
 * caller who knows its thumbprint already; verifying never looks at it.
 */
#include "jws.h"

#include <stdlib.h>
#include <string.h>

#include "jose_header.h"
#include "text.h"

enum
{
	PART_HEADER, PART_PAYLOAD, PART_SIGNATURE, PART_COUNT
};

static bool
is_listed(const char *alg)
{
	return strcmp(alg, "ES256") == 0 || strcmp(alg, "PS256") == 0 || strcmp(alg, "EdDSA") == 0;
}

/* Splits, and parses the header with an "alg" of the list. */
static HdmsStatus
parse_compact(const char *compact, size_t len, HdmsSpan parts[PART_COUNT], json_t **header, const char **alg)
{
	HdmsStatus	status;

	if (len > HDMS_JWS_MAX)
		return HDMS_TOO_LARGE;
	status = hdms_compact_split(compact, len, parts, PART_COUNT);
	if (status != HDMS_OK)
		return status;
	status = hdms_jose_header_parse(parts[PART_HEADER], header, alg);
	if (status != HDMS_OK)
		return status;
	if (!is_listed(*alg))
	{
		json_decref(*header);
		*header = NULL;
		return HDMS_BAD_ALGORITHM;
	}
	return HDMS_OK;
}

HdmsStatus
hdms_jws_sign(const HdmsKey *key, const char *typ, bool header_jwk,
			  const void *payload, size_t len, char **compact)
{
	HdmsText	header = {0};
	HdmsText	text = {0};
	HdmsBytes	signature = {0};
	char	   *jwk = NULL;
	char	   *header_json = NULL;
	HdmsStatus	status = HDMS_OK;

	if (len > HDMS_JWS_MAX)
		return HDMS_TOO_LARGE;
	if (header_jwk)
		status = hdms_key_to_jwk(key, false, &jwk);
	if (status != HDMS_OK)
		return status;
	hdms_text_add(&header, "{\"alg\":\"");
	hdms_text_add(&header, hdms_key_signature_algorithm(key));
	hdms_text_add(&header, "\",\"typ\":");
	hdms_text_add_json(&header, typ);
	hdms_text_add(&header, ",\"kid\":\"");
	hdms_text_add(&header, hdms_key_thumbprint(key));
	hdms_text_add(&header, "\"");
	if (header_jwk)
	{
		hdms_text_add(&header, ",\"jwk\":");
		hdms_text_add(&header, jwk);
	}
	hdms_text_add(&header, "}");
	status = hdms_text_take(&header, &header_json);
	if (status != HDMS_OK)
		goto cleanup;

	hdms_text_reserve(&text, HDMS_BASE64URL_SIZE(strlen(header_json)) + HDMS_BASE64URL_SIZE(len) + 700);
	hdms_text_add_base64url(&text, header_json, strlen(header_json));
	hdms_text_add(&text, ".");
	hdms_text_add_base64url(&text, payload, len);
	status = text.status;
	if (status == HDMS_OK)
		status = hdms_key_sign(key, text.data, text.len, &signature);
	if (status != HDMS_OK)
		goto cleanup;
	hdms_text_add(&text, ".");
	hdms_text_add_base64url(&text, signature.data, signature.len);
	if (text.len > HDMS_JWS_MAX)
		text.status = HDMS_TOO_LARGE;
	status = hdms_text_take(&text, compact);

cleanup:
	hdms_text_wipe(&text);
	hdms_bytes_free(&signature);
	free(header_json);
	free(jwk);
	return status;
}

HdmsStatus
hdms_jws_sign_claims(const HdmsKey *key, const char *typ, bool header_jwk,
					 const json_t *claims, char **compact)
{
	char	   *payload = NULL;
	HdmsStatus	status = hdms_claims_print(claims, &payload);

	if (status == HDMS_OK)
		status = hdms_jws_sign(key, typ, header_jwk, payload, strlen(payload), compact);
	hdms_string_wipe(payload);
	return status;
}

/* The public key in a header, if there is one; a private one there is refused. */
static HdmsStatus
read_jwk(const json_t *header, HdmsKey **key)
{
	const json_t *jwk = json_object_get(header, "jwk");
	HdmsKey    *result = NULL;
	char	   *text = NULL;
	HdmsStatus	status;

	if (jwk == NULL)
		return HDMS_OK;
	if (!json_is_object(jwk) || json_object_get(jwk, "d") != NULL)
		return HDMS_BAD_KEY;
	status = hdms_claims_print(jwk, &text);
	if (status == HDMS_OK)
		status = hdms_key_from_jwk(text, strlen(text), &result);
	free(text);
	if (status == HDMS_OK)
		*key = result;
	return status;
}

HdmsStatus
hdms_jws_peek(const char *compact, size_t len, HdmsJwsHeader *header)
{
	HdmsSpan	parts[PART_COUNT];
	HdmsJwsHeader result = {0};
	json_t	   *object = NULL;
	const char *alg;
	const char *typ;
	HdmsStatus	status = parse_compact(compact, len, parts, &object, &alg);

	if (status != HDMS_OK)
		return status;
	memcpy(result.alg, alg, strlen(alg) + 1);
	if (hdms_claims_string(object, "typ", &typ) != HDMS_OK || strlen(typ) >= sizeof(result.typ))
		status = HDMS_BAD_TYPE;
	else
		memcpy(result.typ, typ, strlen(typ) + 1);
	if (status == HDMS_OK)
		status = hdms_jose_header_kid(object, result.kid);
	if (status == HDMS_OK)
		status = read_jwk(object, &result.jwk);
	json_decref(object);
	if (status == HDMS_OK)
		*header = result;
	return status;
}

void
hdms_jws_header_free(HdmsJwsHeader *header)
{
	hdms_key_free(header->jwk);
	*header = (HdmsJwsHeader) {0};
}

HdmsStatus
hdms_jws_peek_payload(const char *compact, size_t len, HdmsBytes *payload)
{
	HdmsSpan	parts[PART_COUNT];
	HdmsStatus	status;

	if (len > HDMS_JWS_MAX)
		return HDMS_TOO_LARGE;
	status = hdms_compact_split(compact, len, parts, PART_COUNT);
	if (status != HDMS_OK)
		return status;
	return hdms_base64url_decode(parts[PART_PAYLOAD].data, parts[PART_PAYLOAD].len, payload);
}

HdmsStatus
hdms_jws_verify(const char *compact, size_t len, const HdmsKey *key, const char *typ, HdmsBytes *payload)
{
	HdmsSpan	parts[PART_COUNT];
	HdmsBytes	signature = {0};
	HdmsBytes	decoded = {0};
	json_t	   *header = NULL;
	const char *alg;
	char		kid[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status = parse_compact(compact, len, parts, &header, &alg);

	if (status != HDMS_OK)
		return status;
	if (strcmp(alg, hdms_key_signature_algorithm(key)) != 0)
		status = HDMS_BAD_ALGORITHM;
	if (status == HDMS_OK && typ != NULL)
	{
		status = hdms_jose_header_check_typ(header, typ);
		if (status == HDMS_OK)
			status = hdms_jose_header_kid(header, kid);
		if (status == HDMS_OK && kid[0] != '\0' && strcmp(kid, hdms_key_thumbprint(key)) != 0)
			status = HDMS_UNKNOWN_KEY;
	}
	if (status != HDMS_OK)
		goto cleanup;

	status = hdms_base64url_decode(parts[PART_SIGNATURE].data, parts[PART_SIGNATURE].len, &signature);
	if (status == HDMS_OK)
		status = hdms_base64url_decode(parts[PART_PAYLOAD].data, parts[PART_PAYLOAD].len, &decoded);
	if (status == HDMS_OK)
		status = hdms_key_verify(key, compact, parts[PART_HEADER].len + 1 + parts[PART_PAYLOAD].len,
								 signature.data, signature.len);
	if (status == HDMS_OK)
	{
		*payload = decoded;
		decoded = (HdmsBytes) {0};
	}

cleanup:
	hdms_bytes_free(&signature);
	hdms_bytes_wipe(&decoded);
	json_decref(header);
	return status;
}

HdmsStatus
hdms_jws_verify_claims(const char *compact, size_t len, const HdmsKey *key, const char *typ, json_t **claims)
{
	HdmsBytes	payload = {0};
	HdmsStatus	status = hdms_jws_verify(compact, len, key, typ, &payload);

	if (status == HDMS_OK)
		status = hdms_claims_parse((const char *) payload.data, payload.len, claims);
	hdms_bytes_wipe(&payload);
	return status;
}
