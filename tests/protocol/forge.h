/*
 * forge.h
 *		Statements with claims that no honest signer makes, signed by a key that counts.
 *
 * A verifier must refuse them for what they say, so their signatures are right.
 */
#ifndef HDMS_TEST_FORGE_H
#define HDMS_TEST_FORGE_H

#include "fixture.h"

/* The claims of a compact JWS, to be altered and signed again. */
static inline json_t *
forge_claims(const char *jws, size_t len)
{
	HdmsBytes	payload = {0};
	json_t	   *claims = NULL;

	FIXTURE_OK(hdms_jws_peek_payload(jws, len, &payload));
	FIXTURE_OK(hdms_claims_parse((const char *) payload.data, payload.len, &claims));
	hdms_bytes_free(&payload);
	return claims;
}

static inline char *
forge_sign(const HdmsKey *key, const char *typ, const json_t *claims)
{
	char	   *jws = NULL;

	FIXTURE_OK(hdms_jws_sign_claims(key, typ, false, claims, &jws));
	return jws;
}

/* Sets the member to a JSON value, or removes it where json is NULL. */
static inline void
forge_set(json_t *claims, const char *name, const char *json)
{
	if (json == NULL)
		json_object_del(claims, name);
	else if (json_object_set_new(claims, name, json_loads(json, JSON_DECODE_ANY, NULL)) != 0)
		abort();
}

/* The same JWS with one claim altered, or removed, and signed by key. */
static inline char *
forge_altered(const char *jws, size_t len, const char *name, const char *json, const HdmsKey *key, const char *typ)
{
	json_t	   *claims = forge_claims(jws, len);
	char	   *forged;

	forge_set(claims, name, json);
	forged = forge_sign(key, typ, claims);
	json_decref(claims);
	return forged;
}

/* "text" as a JSON string, malloc'ed; for values without anything to escape. */
static inline char *
forge_quoted(const char *text)
{
	char	   *quoted = NULL;

	if (asprintf(&quoted, "\"%s\"", text) < 0)
		abort();
	return quoted;
}

/* Two strings and a separator, malloc'ed. */
static inline char *
forge_join(const char *a, const char *separator, const char *b)
{
	char	   *joined = NULL;

	if (asprintf(&joined, "%s%s%s", a, separator, b) < 0)
		abort();
	return joined;
}

#endif
