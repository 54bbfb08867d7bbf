/*
 * fuzz_commit.c
 *		The small statements: the input as a JWS, and as claims under a signature that is right.
 */
#include "../protocol/forge.h"
#include "tombstone.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Fixture fixture;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	return 0;
}

/* As somebody's bytes. */
static void
peek(const char *jws, size_t len)
{
	HdmsCommit	commit;
	HdmsSkip	skip;
	HdmsTombstone tombstone;

	hdms_commit_peek(jws, len, &commit);
	hdms_skip_peek(jws, len, &skip);
	hdms_tombstone_peek(jws, len, &tombstone);
}

/* As what a key that counts has signed, in its own node's name. */
static void
verify(const uint8_t *payload, size_t len)
{
	static const char *const types[] = {HDMS_TYP_COMMIT, HDMS_TYP_SKIP, HDMS_TYP_REJECTION, HDMS_TYP_TOMBSTONE};
	const FixtureNode *issuer = &fixture.institution[0];
	json_t	   *claims = NULL;

	if (hdms_claims_parse((const char *) payload, len, &claims) != HDMS_OK)
		return;
	json_object_set_new(claims, "iss", json_string(issuer->id));
	for (int i = 0; i < 4; i++)
	{
		char	   *jws = forge_sign(issuer->key[HDMS_ROLE_SIGN], types[i], claims);
		HdmsCommit	commit;
		HdmsSkip	skip;
		HdmsRejection rejection;
		HdmsTombstone tombstone;
		char	   *again = NULL;

		if (i == 0 && hdms_commit_verify(jws, strlen(jws), issuer->history, fixture.now, &commit) == HDMS_OK)
			FIXTURE_OK(hdms_commit_sign(&commit, issuer->key[HDMS_ROLE_SIGN], &again));
		if (i == 1 && hdms_skip_verify(jws, strlen(jws), issuer->history, fixture.now, &skip) == HDMS_OK)
			FIXTURE_OK(hdms_skip_sign(&skip, issuer->key[HDMS_ROLE_SIGN], &again));
		if (i == 2 && hdms_rejection_verify(jws, strlen(jws), issuer->history, fixture.now, &rejection) == HDMS_OK)
			FIXTURE_OK(hdms_rejection_sign(&rejection, issuer->key[HDMS_ROLE_SIGN], &again));
		if (i == 3 && hdms_tombstone_verify(jws, strlen(jws), issuer->history, fixture.now, &tombstone) == HDMS_OK)
			FIXTURE_OK(hdms_tombstone_sign(&tombstone, issuer->key[HDMS_ROLE_SIGN], &again));
		free(again);
		free(jws);
	}
	json_decref(claims);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	peek((const char *) data, size);
	verify(data, size);
	return 0;
}
