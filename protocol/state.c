/*
 * state.c
 *		States: building, parsing and verifying the issuer-signed part (RFC 9901).
 *
 * All of the content is under the one claim "content", as digests of salted
 * disclosures, so that no member's name can collide with a claim. The claims are a
 * closed list: one that is not on it is refused, never passed over.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "signer.h"
#include "state_parts.h"

#define FILES_MAX	256			/* digests in "files" */

static const char *const state_claims[] = {
	"iss", "sub", "iat", "record", "version", "prev", "type", "files", "replaces", "seed", "cnf", "_sd_alg", "content", NULL
};

static bool
is_type(const char *type)
{
	size_t		len = strlen(type);

	if (len == 0 || len > HDMS_TYPE_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (type[i] < 0x20 || type[i] > 0x7e)
			return false;
	}
	return true;
}

static HdmsStatus
read_uuid(const json_t *claims, const char *name, char out[37])
{
	const char *text;
	HdmsStatus	status = hdms_claims_string(claims, name, &text);

	if (status != HDMS_OK)
		return status;
	if (!hdms_is_uuid(text, strlen(text)))
		return HDMS_BAD_CLAIM;
	memcpy(out, text, 37);
	return HDMS_OK;
}

/* The first version has a seed and nothing before it; a later one the reverse. */
static HdmsStatus
read_place_in_chain(const json_t *claims, HdmsState *state)
{
	HdmsStatus	status;
	const char *seed;

	if ((status = hdms_claims_integer(claims, "version", &state->version)) != HDMS_OK)
		return status;
	if (state->version < 1)
		return HDMS_BAD_CLAIM;
	if (state->version > 1)
	{
		if (json_object_get(claims, "seed") != NULL)
			return HDMS_BAD_CLAIM;
		return hdms_signer_read_digest(claims, "prev", state->prev);
	}
	if (json_object_get(claims, "prev") != NULL)
		return HDMS_BAD_CLAIM;
	if ((status = hdms_claims_string(claims, "seed", &seed)) != HDMS_OK)
		return status;
	return hdms_base64url_read(seed, strlen(seed), state->seed, HDMS_SEED_SIZE);
}

static HdmsStatus
check_files(const json_t *claims)
{
	const json_t *files = json_object_get(claims, "files");
	size_t		count = json_array_size(files);

	if (files == NULL)
		return HDMS_OK;
	if (!json_is_array(files) || count == 0 || count > FILES_MAX)
		return HDMS_BAD_CLAIM;
	for (size_t i = 0; i < count; i++)
	{
		const json_t *file = json_array_get(files, i);

		if (!json_is_string(file) || !hdms_is_digest_text(json_string_value(file), json_string_length(file)))
			return HDMS_BAD_CLAIM;
	}
	return HDMS_OK;
}

/* Every claim but the digests within "content", which *digests gets, borrowed. */
static HdmsStatus
read_claims(const json_t *claims, HdmsState *state, const json_t **digests)
{
	const json_t *cnf = json_object_get(claims, "cnf");
	const json_t *content = json_object_get(claims, "content");
	const char *type;
	HdmsStatus	status;

	if ((status = hdms_signer_known_claims(claims, state_claims)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "iss", state->iss)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "sub", state->sub)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "iat", &state->iat)) != HDMS_OK
		|| (status = read_uuid(claims, "record", state->record)) != HDMS_OK
		|| (status = read_place_in_chain(claims, state)) != HDMS_OK
		|| (status = hdms_claims_string(claims, "type", &type)) != HDMS_OK
		|| (status = check_files(claims)) != HDMS_OK
		|| (status = hdms_claims_equal(claims, "_sd_alg", "sha-256")) != HDMS_OK)
		return status;
	if (strcmp(state->iss, state->sub) == 0 || state->iat < 1 || !is_type(type))
		return HDMS_BAD_CLAIM;
	strcpy(state->type, type);
	if (json_object_get(claims, "replaces") != NULL)
	{
		if ((status = read_uuid(claims, "replaces", state->replaces)) != HDMS_OK)
			return status;
		if (strcmp(state->replaces, state->record) == 0)
			return HDMS_BAD_CLAIM;
	}
	if (!json_is_object(cnf) || json_object_size(cnf) != 1 || !json_is_object(content) || json_object_size(content) != 1)
		return HDMS_BAD_CLAIM;
	if ((status = hdms_claims_equal(cnf, "kid", state->sub)) != HDMS_OK)
		return status;
	*digests = json_object_get(content, "_sd");
	return HDMS_OK;
}

static HdmsStatus
read_parts(const HdmsSdJwt *parts, const json_t *claims, bool all_disclosed, HdmsState *result)
{
	HdmsState	state;
	const json_t *digests = NULL;
	HdmsStatus	status;

	memset(&state, 0, sizeof(state));
	if ((status = read_claims(claims, &state, &digests)) != HDMS_OK
		|| (status = hdms_sd_jwt_match(parts, digests, all_disclosed)) != HDMS_OK
		|| (status = hdms_sha256_text(parts->jwt.data, parts->jwt.len, state.vk)) != HDMS_OK)
		return status;
	*result = state;
	return HDMS_OK;
}

HdmsStatus
hdms_state_read(const HdmsSdJwt *parts, bool all_disclosed, HdmsState *state)
{
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_signer_peek(parts->jwt.data, parts->jwt.len, HDMS_TYP_STATE, &claims);

	if (status == HDMS_OK)
		status = read_parts(parts, claims, all_disclosed, state);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_state_authenticate(const HdmsSdJwt *parts, bool all_disclosed, const HdmsHistory *issuer, int64_t time, HdmsState *result)
{
	HdmsState	state;
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if ((status = hdms_state_read(parts, all_disclosed, &state)) != HDMS_OK)
		return status;
	if (strcmp(state.iss, hdms_history_node_id(issuer)) != 0)
		return HDMS_WRONG_SENDER;
	status = hdms_signer_verify(parts->jwt.data, parts->jwt.len, HDMS_TYP_STATE, issuer,
								time == HDMS_AT_ITS_IAT ? state.iat : time, &claims);
	json_decref(claims);
	if (status == HDMS_OK)
		*result = state;
	return status;
}

HdmsStatus
hdms_state_parse(const char *sd_jwt, size_t len, bool all_disclosed, HdmsState *state)
{
	HdmsSdJwt	parts = {0};
	HdmsStatus	status = hdms_sd_jwt_split(sd_jwt, len, &parts);

	if (status == HDMS_OK)
		status = parts.binding.len != 0 ? HDMS_BAD_FORMAT : hdms_state_read(&parts, all_disclosed, state);
	hdms_sd_jwt_free(&parts);
	return status;
}

HdmsStatus
hdms_state_verify(const char *sd_jwt, size_t len, bool all_disclosed, const HdmsHistory *issuer, int64_t time, HdmsState *state)
{
	HdmsSdJwt	parts = {0};
	HdmsStatus	status;

	if (issuer == NULL || time < 0)
		return HDMS_BAD_ARGUMENT;
	status = hdms_sd_jwt_split(sd_jwt, len, &parts);
	if (status == HDMS_OK)
		status = parts.binding.len != 0 ? HDMS_BAD_FORMAT : hdms_state_authenticate(&parts, all_disclosed, issuer, time, state);
	hdms_sd_jwt_free(&parts);
	return status;
}

HdmsStatus
hdms_state_content(const char *sd_jwt, size_t len, HdmsBytes *content)
{
	HdmsSdJwt	parts = {0};
	HdmsStatus	status = hdms_sd_jwt_split(sd_jwt, len, &parts);

	if (status == HDMS_OK)
		status = hdms_sd_jwt_content(&parts, content);
	hdms_sd_jwt_free(&parts);
	return status;
}

static HdmsStatus
claims_for(const HdmsState *state, const char **digests, size_t count, json_t **result)
{
	char		seed[HDMS_BASE64URL_SIZE(HDMS_SEED_SIZE)];
	json_t	   *sd = json_array();
	json_t	   *claims = NULL;
	bool		is_first = state->version == 1;

	hdms_base64url_write(state->seed, HDMS_SEED_SIZE, seed);
	for (size_t i = 0; i < count; i++)
	{
		if (json_array_append_new(sd, json_string(digests[i])) != 0)
			goto cleanup;
	}
	claims = json_pack("{s:s, s:s, s:I, s:s, s:I, s:s, s:s, s:s*, s:{s:s}, s:s, s:{s:O}}",
					   "iss", state->iss, "sub", state->sub, "iat", (json_int_t) state->iat, "record", state->record,
					   "version", (json_int_t) state->version,
					   is_first ? "seed" : "prev", is_first ? seed : state->prev,
					   "type", state->type, "replaces", state->replaces[0] != '\0' ? state->replaces : NULL,
					   "cnf", "kid", state->sub, "_sd_alg", "sha-256", "content", "_sd", sd);

cleanup:
	OPENSSL_cleanse(seed, sizeof(seed));
	json_decref(sd);
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	*result = claims;
	return HDMS_OK;
}

/* JWT "~" disclosure "~" ... disclosure "~" */
static HdmsStatus
compact_form(const char *jwt, char *const *texts, size_t count, char **result)
{
	size_t		total = strlen(jwt) + 1;
	char	   *compact;
	char	   *at;

	for (size_t i = 0; i < count; i++)
		total += strlen(texts[i]) + 1;
	if (total > HDMS_SD_JWT_MAX)
		return HDMS_TOO_LARGE;
	if ((compact = malloc(total + 1)) == NULL)
		return HDMS_OUT_OF_MEMORY;
	at = stpcpy(compact, jwt);
	*at++ = '~';
	for (size_t i = 0; i < count; i++)
	{
		at = stpcpy(at, texts[i]);
		*at++ = '~';
	}
	*at = '\0';
	*result = compact;
	return HDMS_OK;
}

/* One disclosure and its digest for each member of the content, in their order. */
static HdmsStatus
disclose(const HdmsJsonItem *items, size_t count, char **texts, char (*digests)[HDMS_DIGEST_TEXT + 1])
{
	unsigned char salts[64][HDMS_SALT_SIZE];
	HdmsStatus	status = HDMS_OK;

	for (size_t i = 0; i < count && status == HDMS_OK; i++)
	{
		if (i % 64 == 0)
			status = hdms_random(salts, sizeof(salts));
		if (status == HDMS_OK)
			status = hdms_disclosure_make(salts[i % 64], items[i].name, items[i].value, &texts[i], digests[i]);
	}
	OPENSSL_cleanse(salts, sizeof(salts));
	return status;
}

HdmsStatus
hdms_state_build(HdmsState *state, const char *content, size_t len, const HdmsKey *signer, char **sd_jwt)
{
	HdmsState	built;
	HdmsState	checked;
	HdmsJsonItem *items = NULL;
	size_t		count = 0;
	char	  **texts = NULL;
	char		(*digests)[HDMS_DIGEST_TEXT + 1] = NULL;
	const char **sorted = NULL;
	const json_t *unused;
	json_t	   *claims = NULL;
	char	   *jwt = NULL;
	HdmsStatus	status;

	if (state == NULL || signer == NULL || sd_jwt == NULL)
		return HDMS_BAD_ARGUMENT;
	built = *state;
	memset(&checked, 0, sizeof(checked));
	if ((status = hdms_content_check(content, len)) != HDMS_OK
		|| (status = hdms_json_items(content, len, &items, &count)) != HDMS_OK)
		goto cleanup;
	memset(built.seed, 0, HDMS_SEED_SIZE);
	if (built.version == 1 && (status = hdms_random(built.seed, HDMS_SEED_SIZE)) != HDMS_OK)
		goto cleanup;

	status = HDMS_OUT_OF_MEMORY;
	texts = calloc(count + 1, sizeof(*texts));
	digests = calloc(count + 1, sizeof(*digests));
	sorted = calloc(count + 1, sizeof(*sorted));
	if (texts == NULL || digests == NULL || sorted == NULL)
		goto cleanup;
	if ((status = disclose(items, count, texts, digests)) != HDMS_OK)
		goto cleanup;
	for (size_t i = 0; i < count; i++)
		sorted[i] = digests[i];
	qsort(sorted, count, sizeof(*sorted), hdms_digest_compare);

	/* what a verifier would refuse is never signed */
	if ((status = claims_for(&built, sorted, count, &claims)) != HDMS_OK
		|| (status = read_claims(claims, &checked, &unused)) != HDMS_OK
		|| (status = hdms_jws_sign_claims(signer, HDMS_TYP_STATE, false, claims, &jwt)) != HDMS_OK
		|| (status = hdms_sha256_text(jwt, strlen(jwt), built.vk)) != HDMS_OK
		|| (status = compact_form(jwt, texts, count, sd_jwt)) != HDMS_OK)
		goto cleanup;
	*state = built;

cleanup:
	for (size_t i = 0; texts != NULL && i < count; i++)
		hdms_string_wipe(texts[i]);
	free(texts);
	free(digests);
	free(sorted);
	free(items);
	json_decref(claims);
	free(jwt);
	return status;
}
