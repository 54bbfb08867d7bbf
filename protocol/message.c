/*
 * message.c
 *		Messages between nodes: signed, then encrypted.
 *
 * The inner JWS names sender and receiver, so an envelope that is taken out of
 * one mailbox and put into another, or resealed by its receiver for somebody
 * else, is refused there.
 */
#include "message.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define INNER_JWS_MAX 16384		/* bytes: the claims are few and short */

static bool
is_message_type(const char *type)
{
	size_t		len = strlen(type);

	if (len == 0 || len >= HDMS_MESSAGE_TYPE_MAX)
		return false;
	for (; *type != '\0'; type++)
	{
		if (!((*type >= 'a' && *type <= 'z') || (*type >= '0' && *type <= '9') || *type == '_'))
			return false;
	}
	return true;
}

static bool
head_is_complete(const HdmsMessageHead *head)
{
	return hdms_is_digest_text(head->iss, strlen(head->iss)) &&
		hdms_is_digest_text(head->aud, strlen(head->aud)) &&
		hdms_is_uuid(head->jti, strlen(head->jti)) &&
		(head->re[0] == '\0' || hdms_is_uuid(head->re, strlen(head->re))) &&
		is_message_type(head->type) && head->iat >= 0 && head->exp > head->iat;
}

/* The claims of a head; NULL when there is no memory. */
static json_t *
head_claims(const HdmsMessageHead *head, const char *body_digest)
{
	json_t	   *claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}",
								   "iss", head->iss, "aud", head->aud, "jti", head->jti,
								   "iat", (json_int_t) head->iat, "exp", (json_int_t) head->exp, "type", head->type);

	if (claims == NULL ||
		(head->re[0] != '\0' && json_object_set_new(claims, "re", json_string(head->re)) != 0) ||
		json_object_set_new(claims, "body", json_string(body_digest)) != 0)
	{
		json_decref(claims);
		return NULL;
	}
	return claims;
}

/* Copies a required string claim that fits and passes the test. */
static HdmsStatus
read_text(const json_t *claims, const char *name, bool (*is_good) (const char *text, size_t len), char *out, size_t size)
{
	const char *value;
	HdmsStatus	status = hdms_claims_string(claims, name, &value);

	if (status != HDMS_OK)
		return status;
	if (strlen(value) >= size || !is_good(value, strlen(value)))
		return HDMS_BAD_CLAIM;
	memcpy(out, value, strlen(value) + 1);
	return HDMS_OK;
}

static HdmsStatus
read_head(const json_t *claims, HdmsMessageHead *head)
{
	const char *type;
	HdmsStatus	status;

	status = read_text(claims, "iss", hdms_is_digest_text, head->iss, sizeof(head->iss));
	if (status == HDMS_OK)
		status = read_text(claims, "aud", hdms_is_digest_text, head->aud, sizeof(head->aud));
	if (status == HDMS_OK)
		status = read_text(claims, "jti", hdms_is_uuid, head->jti, sizeof(head->jti));
	if (status == HDMS_OK && json_object_get(claims, "re") != NULL)
		status = read_text(claims, "re", hdms_is_uuid, head->re, sizeof(head->re));
	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "iat", &head->iat);
	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "exp", &head->exp);
	if (status == HDMS_OK)
		status = hdms_claims_string(claims, "type", &type);
	if (status != HDMS_OK)
		return status;
	if (!is_message_type(type) || head->exp <= head->iat)
		return HDMS_BAD_CLAIM;
	memcpy(head->type, type, strlen(type) + 1);
	return HDMS_OK;
}

HdmsStatus
hdms_message_seal(const HdmsMessageHead *head, const void *body, size_t len,
				  const HdmsKey *signer, const HdmsKey *recipient, char **envelope)
{
	char		body_digest[HDMS_DIGEST_TEXT + 1];
	unsigned char *plaintext = NULL;
	size_t		plaintext_len = 0;
	size_t		jws_len;
	json_t	   *claims = NULL;
	char	   *jws = NULL;
	HdmsStatus	status;

	if (!head_is_complete(head))
		return HDMS_BAD_ARGUMENT;
	if (len > HDMS_ENVELOPE_MAX)
		return HDMS_TOO_LARGE;
	status = hdms_sha256_text(body, len, body_digest);
	if (status != HDMS_OK)
		return status;
	claims = head_claims(head, body_digest);
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_jws_sign_claims(signer, HDMS_TYP_MESSAGE, false, claims, &jws);
	if (status != HDMS_OK)
		goto cleanup;
	jws_len = strlen(jws);
	plaintext_len = jws_len + 1 + len;
	plaintext = malloc(plaintext_len);
	if (plaintext == NULL)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	memcpy(plaintext, jws, jws_len);
	plaintext[jws_len] = '\n';
	if (len > 0)
		memcpy(plaintext + jws_len + 1, body, len);
	status = hdms_jwe_seal(recipient, HDMS_TYP_ENVELOPE, plaintext, plaintext_len, envelope);

cleanup:
	if (plaintext != NULL)
		OPENSSL_cleanse(plaintext, plaintext_len);
	free(plaintext);
	free(jws);
	json_decref(claims);
	return status;
}

/* Everything about the head but the signature. */
static HdmsStatus
check_head(const HdmsMessageHead *head, const char *my_id, int64_t now)
{
	if (strcmp(head->aud, my_id) != 0)
		return HDMS_WRONG_RECEIVER;
	if (now == 0)
		return HDMS_OK;
	if (head->exp <= now - HDMS_CLOCK_SKEW)
		return HDMS_EXPIRED;
	if (head->iat > now + HDMS_CLOCK_SKEW)
		return HDMS_NOT_YET_VALID;
	return HDMS_OK;
}

/* Reads the claims of the inner JWS into the head, and compares the body with its digest. */
static HdmsStatus
read_inner(const char *jws, size_t jws_len, const unsigned char *body, size_t body_len, HdmsMessageHead *head)
{
	HdmsJwsHeader header = {0};
	HdmsBytes	payload = {0};
	json_t	   *claims = NULL;
	unsigned char claimed[HDMS_DIGEST_SIZE];
	unsigned char actual[HDMS_DIGEST_SIZE];
	HdmsStatus	status;

	if (jws_len > INNER_JWS_MAX)
		return HDMS_TOO_LARGE;
	status = hdms_jws_peek(jws, jws_len, &header);
	if (status == HDMS_OK && strcmp(header.typ, HDMS_TYP_MESSAGE) != 0)
		status = HDMS_BAD_TYPE;
	if (status == HDMS_OK)
		status = hdms_jws_peek_payload(jws, jws_len, &payload);
	if (status == HDMS_OK)
		status = hdms_claims_parse((const char *) payload.data, payload.len, &claims);
	if (status == HDMS_OK)
		status = read_head(claims, head);
	if (status == HDMS_OK)
		status = hdms_claims_digest(claims, "body", claimed, NULL);
	if (status == HDMS_OK)
		status = hdms_sha256(body, body_len, actual);
	if (status == HDMS_OK && !hdms_equal(claimed, actual, sizeof(actual)))
		status = HDMS_DIGEST_MISMATCH;
	json_decref(claims);
	hdms_bytes_free(&payload);
	hdms_jws_header_free(&header);
	return status;
}

HdmsStatus
hdms_message_open(const char *envelope, size_t len, const HdmsKey *key, const char *my_id,
				  int64_t now, HdmsMessage *message)
{
	HdmsMessage result = {0};
	HdmsBytes	plaintext = {0};
	const char *inner;
	const char *line_end;
	size_t		jws_len;
	HdmsStatus	status;

	status = hdms_jwe_open(envelope, len, key, HDMS_TYP_ENVELOPE, &plaintext);
	if (status != HDMS_OK)
		return status;
	inner = (const char *) plaintext.data;
	line_end = memchr(inner, '\n', plaintext.len);
	if (line_end == NULL)
	{
		status = HDMS_BAD_FORMAT;
		goto cleanup;
	}
	jws_len = (size_t) (line_end - inner);
	result.body.len = plaintext.len - jws_len - 1;
	status = read_inner(inner, jws_len, (const unsigned char *) line_end + 1, result.body.len, &result.head);
	if (status == HDMS_OK)
		status = check_head(&result.head, my_id, now);
	if (status != HDMS_OK)
		goto cleanup;

	result.jws = malloc(jws_len + 1);
	result.body.data = malloc(result.body.len + 1);
	if (result.jws == NULL || result.body.data == NULL)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	memcpy(result.jws, inner, jws_len);
	result.jws[jws_len] = '\0';
	memcpy(result.body.data, line_end + 1, result.body.len);
	result.body.data[result.body.len] = '\0';
	*message = result;
	result = (HdmsMessage) {0};

cleanup:
	free(result.jws);
	free(result.body.data);
	hdms_bytes_wipe(&plaintext);
	return status;
}

HdmsStatus
hdms_message_verify(const HdmsMessage *message, const HdmsKey *sender)
{
	HdmsBytes	payload = {0};
	HdmsStatus	status;

	if (message->jws == NULL)
		return HDMS_BAD_ARGUMENT;
	status = hdms_jws_verify(message->jws, strlen(message->jws), sender, HDMS_TYP_MESSAGE, &payload);
	hdms_bytes_free(&payload);
	return status;
}

HdmsStatus
hdms_message_kid(const HdmsMessage *message, char kid[HDMS_DIGEST_TEXT + 1])
{
	HdmsJwsHeader header = {0};
	HdmsStatus	status;

	if (message->jws == NULL)
		return HDMS_BAD_ARGUMENT;
	status = hdms_jws_peek(message->jws, strlen(message->jws), &header);
	if (status != HDMS_OK)
		return status;
	memcpy(kid, header.kid, sizeof(header.kid));
	hdms_jws_header_free(&header);
	return HDMS_OK;
}

void
hdms_message_free(HdmsMessage *message)
{
	free(message->jws);
	hdms_bytes_wipe(&message->body);
	*message = (HdmsMessage) {0};
}

HdmsStatus
hdms_envelope_id(const char *envelope, size_t len, char id[HDMS_DIGEST_TEXT + 1])
{
	return hdms_sha256_text(envelope, len, id);
}
