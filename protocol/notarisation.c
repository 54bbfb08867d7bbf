/*
 * notarisation.c
 *		The notary request: made by the patient, checked by the notary and by every later verifier.
 *
 * The notary learns the seed, the tag and two signatures, never the state. What it
 * checks is everything that anybody can check later from the evidence, so an honest notary
 * never logs a request that will not verify.
 */
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "notarisation.h"
#include "signer.h"

static const char *const first_claims[] = {
	"iss", "aud", "iat", "commit", "acceptance", "seed", "vrf", "proof", "skips", NULL
};
static const char *const next_claims[] = {"iss", "aud", "iat", "commit", "acceptance", "prev", NULL};

/* The claims that both kinds of request have. NULL when there is no memory. */
static json_t *
shared_claims(const HdmsState *state, const char *notary, const char *commit, const char *acceptance_digest, int64_t now)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:s}", "iss", state->sub, "aud", notary, "iat", (json_int_t) now,
					 "commit", commit, "acceptance", acceptance_digest);
}

/* That a commit which is about to be notarised is the state's own. */
static HdmsStatus
check_own_commit(const HdmsState *state, const char *commit_jws, HdmsCommit *commit)
{
	HdmsStatus	status = hdms_commit_peek(commit_jws, strlen(commit_jws), commit);

	return status == HDMS_OK ? hdms_commit_matches(commit, state) : status;
}

/*
 * Walks the draw's order past each notary that has a skip for this version; those skips are
 * appended to used. HDMS_BAD_DRAW when nobody is left.
 */
static HdmsStatus
pass_over(const HdmsNotary *const *order, size_t count, const char *vk, const char *const *skips, size_t skip_count,
		  json_t *used, const HdmsNotary **drawn)
{
	HdmsSkip	skip;
	HdmsStatus	status;

	for (size_t i = 0; i < count; i++)
	{
		const char *found = NULL;

		for (size_t k = 0; k < skip_count && found == NULL; k++)
		{
			if ((status = hdms_skip_peek(skips[k], strlen(skips[k]), &skip)) != HDMS_OK)
				return status;
			if (strcmp(skip.notary, order[i]->node) == 0 && strcmp(skip.vk, vk) == 0)
				found = skips[k];
		}
		if (found == NULL)
		{
			*drawn = order[i];
			return HDMS_OK;
		}
		if (json_array_append_new(used, json_string(found)) != 0)
			return HDMS_OUT_OF_MEMORY;
	}
	return HDMS_BAD_DRAW;
}

/* Draws and puts what proves the draw into *proof: {seed, vrf, proof, skips}. */
static HdmsStatus
draw_and_prove(const HdmsState *state, const HdmsNotaryList *list, const char *const *skips, size_t skip_count,
			   const HdmsKey *vrf, json_t **result, const HdmsNotary **drawn)
{
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];
	char		proof_text[HDMS_BASE64URL_SIZE(HDMS_VRF_PROOF_SIZE)];
	char		seed_text[HDMS_BASE64URL_SIZE(HDMS_SEED_SIZE)];
	const HdmsNotary **order = NULL;
	size_t		count;
	json_t	   *used = json_array();
	json_t	   *jwk = NULL;
	char	   *jwk_text = NULL;
	json_t	   *claims = NULL;
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (used == NULL || (order = calloc(list->count + 1, sizeof(*order))) == NULL)
		goto cleanup;
	if ((status = hdms_vrf_prove(vrf, state->seed, HDMS_SEED_SIZE, proof, output)) != HDMS_OK
		|| (status = hdms_draw(list, output, state->iss, order, &count)) != HDMS_OK
		|| (status = pass_over(order, count, state->vk, skips, skip_count, used, drawn)) != HDMS_OK
		|| (status = hdms_key_to_jwk(vrf, false, &jwk_text)) != HDMS_OK
		|| (status = hdms_claims_parse(jwk_text, strlen(jwk_text), &jwk)) != HDMS_OK)
		goto cleanup;
	hdms_base64url_write(proof, sizeof(proof), proof_text);
	hdms_base64url_write(state->seed, HDMS_SEED_SIZE, seed_text);
	claims = json_pack("{s:s, s:O, s:s, s:O*}", "seed", seed_text, "vrf", jwk, "proof", proof_text,
					   "skips", json_array_size(used) > 0 ? used : NULL);
	status = claims == NULL ? HDMS_OUT_OF_MEMORY : HDMS_OK;
	if (status == HDMS_OK)
		*result = claims;

cleanup:
	free(order);
	free(jwk_text);
	json_decref(used);
	json_decref(jwk);
	return status;
}

HdmsStatus
hdms_request_first(const HdmsState *state, const char *commit_jws, const char *acceptance,
				   const HdmsNotaryList *list, const char *const *skips, size_t skip_count,
				   const HdmsKey *vrf, const HdmsKey *patient, int64_t now,
				   char **request, const HdmsNotary **notary)
{
	char		acceptance_digest[HDMS_DIGEST_TEXT + 1];
	HdmsCommit	commit;
	const HdmsNotary *drawn = NULL;
	json_t	   *proof = NULL;
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if (state == NULL || commit_jws == NULL || acceptance == NULL || list == NULL || vrf == NULL || patient == NULL
		|| request == NULL || state->version != 1 || (skips == NULL && skip_count > 0))
		return HDMS_BAD_ARGUMENT;
	if ((status = check_own_commit(state, commit_jws, &commit)) != HDMS_OK)
		return status;
	if (strcmp(commit.notaries, list->digest) != 0)
		return HDMS_DIGEST_MISMATCH;
	if (strcmp(commit.vrf, hdms_key_thumbprint(vrf)) != 0)
		return HDMS_UNKNOWN_KEY;
	if ((status = hdms_sha256_text(acceptance, strlen(acceptance), acceptance_digest)) != HDMS_OK
		|| (status = draw_and_prove(state, list, skips, skip_count, vrf, &proof, &drawn)) != HDMS_OK)
		return status;
	claims = shared_claims(state, drawn->node, commit_jws, acceptance_digest, now);
	if (claims == NULL || json_object_update(claims, proof) != 0)
		status = HDMS_OUT_OF_MEMORY;
	else
		status = hdms_jws_sign_claims(patient, HDMS_TYP_NOTARISE, false, claims, request);
	if (status == HDMS_OK && notary != NULL)
		*notary = drawn;
	json_decref(claims);
	json_decref(proof);
	return status;
}

HdmsStatus
hdms_request_next(const HdmsState *state, const char *commit_jws, const char *acceptance,
				  const char *prev_request, const char *notary, const HdmsKey *patient, int64_t now, char **request)
{
	char		acceptance_digest[HDMS_DIGEST_TEXT + 1];
	char		prev_digest[HDMS_DIGEST_TEXT + 1];
	HdmsCommit	commit;
	HdmsRequest prev;
	json_t	   *claims;
	HdmsStatus	status;

	if (state == NULL || commit_jws == NULL || acceptance == NULL || prev_request == NULL || notary == NULL
		|| patient == NULL || request == NULL || state->version < 2)
		return HDMS_BAD_ARGUMENT;
	if ((status = check_own_commit(state, commit_jws, &commit)) != HDMS_OK
		|| (status = hdms_request_peek(prev_request, strlen(prev_request), &prev)) != HDMS_OK)
		return status;
	if (strcmp(prev.commit.vk, state->prev) != 0)
		return HDMS_BAD_CHAIN;
	if (strcmp(prev.aud, notary) != 0)
		return HDMS_BAD_DRAW;
	if ((status = hdms_sha256_text(acceptance, strlen(acceptance), acceptance_digest)) != HDMS_OK
		|| (status = hdms_sha256_text(prev_request, strlen(prev_request), prev_digest)) != HDMS_OK)
		return status;
	claims = shared_claims(state, notary, commit_jws, acceptance_digest, now);
	if (claims == NULL || json_object_set_new(claims, "prev", json_string(prev_digest)) != 0)
		status = HDMS_OUT_OF_MEMORY;
	else
		status = hdms_jws_sign_claims(patient, HDMS_TYP_NOTARISE, false, claims, request);
	json_decref(claims);
	return status;
}

/* Everything but commit and digest; *commit is borrowed from the claims. */
static HdmsStatus
read_request(const json_t *claims, HdmsRequest *request, const char **commit)
{
	bool		is_first = json_object_get(claims, "prev") == NULL;
	HdmsStatus	status;

	memset(request, 0, sizeof(*request));
	if ((status = hdms_signer_known_claims(claims, is_first ? first_claims : next_claims)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "iss", request->iss)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "aud", request->aud)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "iat", &request->iat)) != HDMS_OK
		|| (status = hdms_claims_string(claims, "commit", commit)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "acceptance", request->acceptance)) != HDMS_OK)
		return status;
	return is_first ? HDMS_OK : hdms_signer_read_digest(claims, "prev", request->prev);
}

HdmsStatus
hdms_request_peek(const char *jws, size_t len, HdmsRequest *out)
{
	HdmsRequest request;
	const char *commit;
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if ((status = hdms_signer_peek(jws, len, HDMS_TYP_NOTARISE, &claims)) != HDMS_OK
		|| (status = read_request(claims, &request, &commit)) != HDMS_OK
		|| (status = hdms_commit_peek(commit, strlen(commit), &request.commit)) != HDMS_OK
		|| (status = hdms_sha256(jws, len, request.digest)) != HDMS_OK)
		goto cleanup;
	*out = request;

cleanup:
	json_decref(claims);
	return status;
}

static HdmsStatus
check_list(const HdmsNotaryList *list, const HdmsCommit *commit, int64_t time)
{
	if (strcmp(list->digest, commit->notaries) != 0)
		return HDMS_DIGEST_MISMATCH;
	if (list->iat > time && list->iat - time > HDMS_CLOCK_SKEW)
		return HDMS_NOT_YET_VALID;
	if (time > list->iat && time - list->iat > list->max_age)
		return HDMS_EXPIRED;
	return HDMS_OK;
}

/* The VRF's output over the seed, by the key that the commit pins; the seed is the one that the tag hides. */
static HdmsStatus
verify_output(const json_t *claims, const HdmsCommit *commit, unsigned char output[HDMS_VRF_OUTPUT_SIZE])
{
	unsigned char seed[HDMS_SEED_SIZE];
	unsigned char tag[HDMS_DIGEST_SIZE];
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	const json_t *jwk = json_object_get(claims, "vrf");
	const char *seed_text;
	const char *proof_text;
	char	   *jwk_text = NULL;
	HdmsKey    *key = NULL;
	HdmsStatus	status;

	if (!json_is_object(jwk))
		return HDMS_BAD_CLAIM;
	if ((status = hdms_claims_string(claims, "seed", &seed_text)) != HDMS_OK
		|| (status = hdms_base64url_read(seed_text, strlen(seed_text), seed, sizeof(seed))) != HDMS_OK
		|| (status = hdms_claims_string(claims, "proof", &proof_text)) != HDMS_OK
		|| (status = hdms_base64url_read(proof_text, strlen(proof_text), proof, sizeof(proof))) != HDMS_OK
		|| (status = hdms_tag_first(seed, tag)) != HDMS_OK)
		return status;
	if (!hdms_equal(tag, commit->tag, HDMS_DIGEST_SIZE))
		return HDMS_DIGEST_MISMATCH;
	if ((status = hdms_claims_print(jwk, &jwk_text)) != HDMS_OK
		|| (status = hdms_key_from_jwk(jwk_text, strlen(jwk_text), &key)) != HDMS_OK)
		goto cleanup;
	status = HDMS_BAD_KEY;
	if (hdms_key_is_private(key) || hdms_key_type(key) != HDMS_KEY_P256)
		goto cleanup;
	status = HDMS_UNKNOWN_KEY;
	if (strcmp(hdms_key_thumbprint(key), commit->vrf) != 0)
		goto cleanup;
	status = hdms_vrf_verify(key, seed, sizeof(seed), proof, output);

cleanup:
	free(jwk_text);
	hdms_key_free(key);
	return status;
}

/* That the skips are exactly the notaries ranked above the one that is addressed, in their order. */
static HdmsStatus
verify_skips(const json_t *skips, const HdmsNotary *const *order, size_t count, const HdmsRequest *request,
			 const HdmsHistory *issuer, int64_t time)
{
	size_t		skip_count = json_array_size(skips);
	HdmsSkip	skip;
	HdmsStatus	status;

	if (skips != NULL && (!json_is_array(skips) || skip_count == 0))
		return HDMS_BAD_CLAIM;
	if (skip_count >= count)
		return HDMS_BAD_DRAW;
	for (size_t i = 0; i < skip_count; i++)
	{
		const json_t *item = json_array_get(skips, i);

		if (!json_is_string(item))
			return HDMS_BAD_CLAIM;
		status = hdms_skip_verify(json_string_value(item), json_string_length(item), issuer, time, &skip);
		if (status != HDMS_OK)
			return status;
		if (strcmp(skip.vk, request->commit.vk) != 0 || strcmp(skip.sub, request->iss) != 0)
			return HDMS_BAD_CHAIN;
		if (strcmp(skip.notary, order[i]->node) != 0)
			return HDMS_BAD_DRAW;
	}
	return strcmp(request->aud, order[skip_count]->node) == 0 ? HDMS_OK : HDMS_BAD_DRAW;
}

static HdmsStatus
verify_first(const json_t *claims, const HdmsRequest *request, const HdmsHistory *issuer,
			 const HdmsNotaryList *list, int64_t time)
{
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];
	const HdmsNotary **order = NULL;
	size_t		count;
	HdmsStatus	status;

	if ((status = check_list(list, &request->commit, time != 0 ? time : request->iat)) != HDMS_OK
		|| (status = verify_output(claims, &request->commit, output)) != HDMS_OK)
		return status;
	if ((order = calloc(list->count + 1, sizeof(*order))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_draw(list, output, request->commit.iss, order, &count);
	if (status == HDMS_OK)
		status = verify_skips(json_object_get(claims, "skips"), order, count, request, issuer, time);
	free(order);
	return status;
}

static HdmsStatus
verify_next(const HdmsRequest *request, const char *prev_request)
{
	char		digest[HDMS_DIGEST_TEXT + 1];
	unsigned char tag[HDMS_DIGEST_SIZE];
	HdmsRequest prev;
	HdmsStatus	status;

	if ((status = hdms_sha256_text(prev_request, strlen(prev_request), digest)) != HDMS_OK)
		return status;
	if (strcmp(digest, request->prev) != 0)
		return HDMS_DIGEST_MISMATCH;
	if ((status = hdms_request_peek(prev_request, strlen(prev_request), &prev)) != HDMS_OK
		|| (status = hdms_tag_next(prev.commit.vk, tag)) != HDMS_OK)
		return status;
	if (strcmp(prev.iss, request->iss) != 0 || strcmp(prev.commit.iss, request->commit.iss) != 0
		|| !hdms_equal(tag, request->commit.tag, HDMS_DIGEST_SIZE))
		return HDMS_BAD_CHAIN;
	return strcmp(prev.aud, request->aud) == 0 ? HDMS_OK : HDMS_BAD_DRAW;
}

HdmsStatus
hdms_request_verify(const char *jws, size_t len, const HdmsHistory *issuer, const HdmsHistory *patient,
					const HdmsNotaryList *list, const char *prev_request, int64_t time, HdmsRequest *out)
{
	HdmsRequest request;
	const char *commit;
	json_t	   *claims = NULL;
	bool		is_first;
	HdmsStatus	status;

	if (jws == NULL || issuer == NULL || patient == NULL || time < 0)
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_signer_verify(jws, len, HDMS_TYP_NOTARISE, patient, time, &claims)) != HDMS_OK
		|| (status = read_request(claims, &request, &commit)) != HDMS_OK)
		goto cleanup;
	status = HDMS_WRONG_SENDER;
	if (strcmp(request.iss, hdms_history_node_id(patient)) != 0)
		goto cleanup;
	if ((status = hdms_commit_verify(commit, strlen(commit), issuer, time, &request.commit)) != HDMS_OK)
		goto cleanup;
	status = HDMS_BAD_CHAIN;
	if (strcmp(request.iss, request.commit.sub) != 0)
		goto cleanup;
	is_first = request.prev[0] == '\0';
	if (is_first != (prev_request == NULL))
		goto cleanup;
	status = HDMS_BAD_ARGUMENT;
	if (is_first && list == NULL)
		goto cleanup;
	status = is_first ? verify_first(claims, &request, issuer, list, time) : verify_next(&request, prev_request);
	if (status != HDMS_OK || (status = hdms_sha256(jws, len, request.digest)) != HDMS_OK)
		goto cleanup;
	if (out != NULL)
		*out = request;

cleanup:
	json_decref(claims);
	return status;
}
