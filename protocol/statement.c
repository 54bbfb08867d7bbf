/*
 * statement.c
 *		The small signed statements of the storing flow: commit, rejection, skip.
 *
 * Each has a closed list of claims. Peeking reads a statement without its signature,
 * only to find out whom and what it concerns; nothing may rest on that.
 */
#include <string.h>

#include "signer.h"
#include "statement.h"

static const char *const commit_claims[] = {"iss", "sub", "iat", "vk", "tag", "accept_until", "notaries", "vrf", NULL};
static const char *const rejection_claims[] = {"iss", "aud", "iat", "vk", "reason", NULL};
static const char *const skip_claims[] = {"iss", "sub", "iat", "vk", "notary", NULL};

HdmsStatus
hdms_tag_first(const unsigned char seed[HDMS_SEED_SIZE], unsigned char tag[HDMS_DIGEST_SIZE])
{
	return hdms_sha256_pair("hdms-first", strlen("hdms-first"), seed, HDMS_SEED_SIZE, tag);
}

HdmsStatus
hdms_tag_next(const char *prev_vk, unsigned char tag[HDMS_DIGEST_SIZE])
{
	unsigned char vk[HDMS_DIGEST_SIZE];
	HdmsStatus	status = hdms_base64url_read(prev_vk, strlen(prev_vk), vk, sizeof(vk));

	if (status != HDMS_OK)
		return status;
	return hdms_sha256_pair("hdms-next", strlen("hdms-next"), vk, sizeof(vk), tag);
}

HdmsStatus
hdms_state_tag(const HdmsState *state, unsigned char tag[HDMS_DIGEST_SIZE])
{
	return state->version == 1 ? hdms_tag_first(state->seed, tag) : hdms_tag_next(state->prev, tag);
}

/* Signs claims that were just made (NULL when there was no memory for them), and drops them. */
static HdmsStatus
sign_and_drop(const HdmsKey *key, const char *typ, json_t *claims, char **jws)
{
	HdmsStatus	status;

	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_jws_sign_claims(key, typ, false, claims, jws);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_commit_for(const HdmsState *state, HdmsCommit *commit)
{
	unsigned char tag[HDMS_DIGEST_SIZE];
	HdmsStatus	status = hdms_state_tag(state, tag);

	if (status != HDMS_OK)
		return status;
	memcpy(commit->iss, state->iss, sizeof(commit->iss));
	memcpy(commit->sub, state->sub, sizeof(commit->sub));
	memcpy(commit->vk, state->vk, sizeof(commit->vk));
	memcpy(commit->tag, tag, sizeof(commit->tag));
	return HDMS_OK;
}

HdmsStatus
hdms_commit_sign(const HdmsCommit *commit, const HdmsKey *issuer, char **jws)
{
	char		tag[HDMS_DIGEST_TEXT + 1];

	if (commit == NULL || issuer == NULL || jws == NULL)
		return HDMS_BAD_ARGUMENT;
	hdms_base64url_write(commit->tag, HDMS_DIGEST_SIZE, tag);
	return sign_and_drop(issuer, HDMS_TYP_COMMIT,
						 json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:s, s:s}", "iss", commit->iss, "sub", commit->sub,
								   "iat", (json_int_t) commit->iat, "vk", commit->vk, "tag", tag,
								   "accept_until", (json_int_t) commit->accept_until,
								   "notaries", commit->notaries, "vrf", commit->vrf),
						 jws);
}

static HdmsStatus
read_commit(const json_t *claims, HdmsCommit *result)
{
	HdmsCommit	commit;
	HdmsStatus	status;

	memset(&commit, 0, sizeof(commit));
	if ((status = hdms_signer_known_claims(claims, commit_claims)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "iss", commit.iss)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "sub", commit.sub)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "iat", &commit.iat)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "vk", commit.vk)) != HDMS_OK
		|| (status = hdms_claims_digest(claims, "tag", commit.tag, NULL)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "accept_until", &commit.accept_until)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "notaries", commit.notaries)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "vrf", commit.vrf)) != HDMS_OK)
		return status;
	if (strcmp(commit.iss, commit.sub) == 0)
		return HDMS_BAD_CLAIM;
	*result = commit;
	return HDMS_OK;
}

HdmsStatus
hdms_commit_peek(const char *jws, size_t len, HdmsCommit *commit)
{
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_signer_peek(jws, len, HDMS_TYP_COMMIT, &claims);

	if (status == HDMS_OK)
		status = read_commit(claims, commit);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_commit_verify(const char *jws, size_t len, const HdmsHistory *issuer, int64_t time, HdmsCommit *result)
{
	HdmsCommit	commit;
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if ((status = hdms_signer_verify(jws, len, HDMS_TYP_COMMIT, issuer, time, &claims)) != HDMS_OK
		|| (status = read_commit(claims, &commit)) != HDMS_OK)
		goto cleanup;
	status = HDMS_WRONG_SENDER;
	if (strcmp(commit.iss, hdms_history_node_id(issuer)) != 0)
		goto cleanup;
	*result = commit;
	status = HDMS_OK;

cleanup:
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_commit_matches(const HdmsCommit *commit, const HdmsState *state)
{
	unsigned char tag[HDMS_DIGEST_SIZE];
	HdmsStatus	status;

	if (strcmp(commit->iss, state->iss) != 0 || strcmp(commit->sub, state->sub) != 0)
		return HDMS_BAD_CHAIN;
	if (strcmp(commit->vk, state->vk) != 0)
		return HDMS_DIGEST_MISMATCH;
	if ((status = hdms_state_tag(state, tag)) != HDMS_OK)
		return status;
	return hdms_equal(commit->tag, tag, HDMS_DIGEST_SIZE) ? HDMS_OK : HDMS_BAD_CHAIN;
}

HdmsStatus
hdms_rejection_sign(const HdmsRejection *rejection, const HdmsKey *patient, char **jws)
{
	size_t		reason_len;

	if (rejection == NULL || patient == NULL || jws == NULL)
		return HDMS_BAD_ARGUMENT;
	reason_len = strnlen(rejection->reason, sizeof(rejection->reason));
	if (reason_len > HDMS_REASON_MAX)
		return HDMS_TOO_LARGE;
	if (!hdms_is_utf8(rejection->reason, reason_len))
		return HDMS_BAD_ENCODING;
	return sign_and_drop(patient, HDMS_TYP_REJECTION,
						 json_pack("{s:s, s:s, s:I, s:s, s:s}", "iss", rejection->iss, "aud", rejection->aud,
								   "iat", (json_int_t) rejection->iat, "vk", rejection->vk, "reason", rejection->reason),
						 jws);
}

HdmsStatus
hdms_rejection_verify(const char *jws, size_t len, const HdmsHistory *patient, int64_t time, HdmsRejection *result)
{
	HdmsRejection rejection;
	json_t	   *claims = NULL;
	const json_t *reason;
	HdmsStatus	status;

	memset(&rejection, 0, sizeof(rejection));
	if ((status = hdms_signer_verify(jws, len, HDMS_TYP_REJECTION, patient, time, &claims)) != HDMS_OK
		|| (status = hdms_signer_known_claims(claims, rejection_claims)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "iss", rejection.iss)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "aud", rejection.aud)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "iat", &rejection.iat)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "vk", rejection.vk)) != HDMS_OK)
		goto cleanup;
	status = HDMS_BAD_CLAIM;
	reason = json_object_get(claims, "reason");		/* may be empty: nobody has to say why */
	if (!json_is_string(reason))
		goto cleanup;
	status = HDMS_TOO_LARGE;
	if (json_string_length(reason) > HDMS_REASON_MAX)
		goto cleanup;
	status = HDMS_WRONG_SENDER;
	if (strcmp(rejection.iss, hdms_history_node_id(patient)) != 0)
		goto cleanup;
	strcpy(rejection.reason, json_string_value(reason));
	*result = rejection;
	status = HDMS_OK;

cleanup:
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_skip_sign(const HdmsSkip *skip, const HdmsKey *issuer, char **jws)
{
	if (skip == NULL || issuer == NULL || jws == NULL)
		return HDMS_BAD_ARGUMENT;
	return sign_and_drop(issuer, HDMS_TYP_SKIP,
						 json_pack("{s:s, s:s, s:I, s:s, s:s}", "iss", skip->iss, "sub", skip->sub,
								   "iat", (json_int_t) skip->iat, "vk", skip->vk, "notary", skip->notary),
						 jws);
}

static HdmsStatus
read_skip(const json_t *claims, HdmsSkip *result)
{
	HdmsSkip	skip;
	HdmsStatus	status;

	memset(&skip, 0, sizeof(skip));
	if ((status = hdms_signer_known_claims(claims, skip_claims)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "iss", skip.iss)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "sub", skip.sub)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "iat", &skip.iat)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "vk", skip.vk)) != HDMS_OK
		|| (status = hdms_signer_read_digest(claims, "notary", skip.notary)) != HDMS_OK)
		return status;
	*result = skip;
	return HDMS_OK;
}

HdmsStatus
hdms_skip_peek(const char *jws, size_t len, HdmsSkip *skip)
{
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_signer_peek(jws, len, HDMS_TYP_SKIP, &claims);

	if (status == HDMS_OK)
		status = read_skip(claims, skip);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_skip_verify(const char *jws, size_t len, const HdmsHistory *issuer, int64_t time, HdmsSkip *result)
{
	HdmsSkip	skip;
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if ((status = hdms_signer_verify(jws, len, HDMS_TYP_SKIP, issuer, time, &claims)) != HDMS_OK
		|| (status = read_skip(claims, &skip)) != HDMS_OK)
		goto cleanup;
	status = HDMS_WRONG_SENDER;
	if (strcmp(skip.iss, hdms_history_node_id(issuer)) != 0)
		goto cleanup;
	*result = skip;
	status = HDMS_OK;

cleanup:
	json_decref(claims);
	return status;
}
