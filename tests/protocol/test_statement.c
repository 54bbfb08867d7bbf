/*
 * test_statement.c
 *		Commits, rejections and skips: what they say comes back, and only their signer can have said it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "forge.h"

static Fixture fixture;			/* P-256 */
static Fixture rsa;

static const char other_digest[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static int
open_fixtures(void **unused)
{
	(void) unused;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_open(&rsa, HDMS_KEY_RSA, HDMS_KEY_RSA);
	return 0;
}

static int
close_fixtures(void **unused)
{
	(void) unused;
	fixture_close(&fixture);
	fixture_close(&rsa);
	return 0;
}

static void
tags_hide_the_seed_and_name_the_version_before(void **unused)
{
	unsigned char seed[HDMS_SEED_SIZE];
	unsigned char tag[HDMS_DIGEST_SIZE];
	unsigned char expected[HDMS_DIGEST_SIZE];
	unsigned char input[9 + HDMS_DIGEST_SIZE] = "hdms-next";
	unsigned char first[10 + HDMS_SEED_SIZE] = "hdms-first";

	(void) unused;
	for (int i = 0; i < HDMS_SEED_SIZE; i++)
		seed[i] = i;
	memcpy(first + 10, seed, sizeof(seed));
	FIXTURE_OK(hdms_sha256(first, sizeof(first), expected));
	assert_int_equal(hdms_tag_first(seed, tag), HDMS_OK);
	assert_memory_equal(tag, expected, sizeof(tag));

	FIXTURE_OK(hdms_sha256(input, sizeof(input), expected));
	assert_int_equal(hdms_tag_next(other_digest, tag), HDMS_OK);
	assert_memory_equal(tag, expected, sizeof(tag));
	assert_int_equal(hdms_tag_next("AAAA", tag), HDMS_BAD_ENCODING);
	assert_int_equal(hdms_tag_next("", tag), HDMS_BAD_ENCODING);
}

static void
a_commit_of_either_suite_says_what_was_signed(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		FixtureVersion version;
		HdmsCommit	commit,
					peeked;
		const char *jws;

		fixture_issue(both[i], NULL, "{\"a\":1}", &version);
		jws = version.commit;
		assert_int_equal(hdms_commit_verify(jws, strlen(jws), both[i]->institution[0].history, both[i]->now, &commit), HDMS_OK);
		assert_int_equal(hdms_commit_peek(jws, strlen(jws), &peeked), HDMS_OK);
		assert_memory_equal(&commit, &peeked, sizeof(commit));
		assert_string_equal(commit.iss, both[i]->institution[0].id);
		assert_string_equal(commit.sub, both[i]->patient.id);
		assert_string_equal(commit.vk, version.state.vk);
		assert_int_equal(commit.iat, both[i]->now);
		assert_int_equal(commit.accept_until, both[i]->now + 30 * FIXTURE_DAY);
		assert_string_equal(commit.notaries, both[i]->list.digest);
		assert_string_equal(commit.vrf, hdms_key_thumbprint(both[i]->patient.key[HDMS_ROLE_VRF]));
		assert_int_equal(hdms_commit_matches(&commit, &version.state), HDMS_OK);
		fixture_version_free(&version);
	}
}

static void
a_commit_belongs_to_one_state(void **unused)
{
	FixtureVersion version,
				other;
	HdmsCommit	commit;
	HdmsState	state;

	(void) unused;
	fixture_issue(&fixture, NULL, "{\"a\":1}", &version);
	fixture_issue(&fixture, NULL, "{\"a\":1}", &other);
	FIXTURE_OK(hdms_commit_peek(version.commit, strlen(version.commit), &commit));
	assert_int_equal(hdms_commit_matches(&commit, &other.state), HDMS_DIGEST_MISMATCH);
	state = version.state;
	state.seed[0] ^= 1;
	assert_int_equal(hdms_commit_matches(&commit, &state), HDMS_BAD_CHAIN);
	state = version.state;
	strcpy(state.iss, fixture.institution[1].id);
	assert_int_equal(hdms_commit_matches(&commit, &state), HDMS_BAD_CHAIN);
	state = version.state;
	strcpy(state.sub, fixture.institution[1].id);
	assert_int_equal(hdms_commit_matches(&commit, &state), HDMS_BAD_CHAIN);
	fixture_version_free(&version);
	fixture_version_free(&other);
}

typedef struct ClaimCase
{
	const char *name;
	const char *json;
} ClaimCase;

static void
a_commit_with_a_claim_missing_wrong_or_unknown_is_refused(void **unused)
{
	static const ClaimCase cases[] = {
		{"iss", NULL}, {"sub", NULL}, {"iat", NULL}, {"vk", NULL}, {"tag", NULL}, {"accept_until", NULL}, {"notaries", NULL},
		{"vrf", NULL}, {"vk", "\"x\""}, {"tag", "7"}, {"accept_until", "-1"}, {"accept_until", "\"1\""}, {"notaries", "\"\""},
		{"vrf", "{}"}, {"exp", "1"}, {"iss", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
	};
	FixtureVersion version;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HdmsCommit	commit = {.iat = 77};
		char	   *forged = forge_altered(version.commit, strlen(version.commit), cases[i].name, cases[i].json,
										   fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_COMMIT);

		assert_int_not_equal(hdms_commit_verify(forged, strlen(forged), fixture.institution[0].history, fixture.now, &commit),
							 HDMS_OK);
		assert_int_equal(commit.iat, 77);
		free(forged);
	}
	fixture_version_free(&version);
}

static void
nobody_commits_to_itself(void **unused)
{
	FixtureVersion version;
	HdmsCommit	commit;
	char	   *sub = forge_quoted(fixture.institution[0].id);
	char	   *forged;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	forged = forge_altered(version.commit, strlen(version.commit), "sub", sub, fixture.institution[0].key[HDMS_ROLE_SIGN],
						   HDMS_TYP_COMMIT);
	assert_int_equal(hdms_commit_peek(forged, strlen(forged), &commit), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_commit_verify(forged, strlen(forged), fixture.institution[0].history, fixture.now, &commit),
					 HDMS_BAD_CLAIM);
	free(sub);
	free(forged);
	fixture_version_free(&version);
}

static void
a_statement_is_refused_under_another_key_or_for_another_purpose(void **unused)
{
	FixtureVersion version;
	HdmsCommit	commit;
	HdmsSkip	skip;
	HdmsRejection rejection;
	const char *jws;
	char	   *forged;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	jws = version.commit;
	assert_int_equal(hdms_commit_verify(jws, strlen(jws), fixture.institution[1].history, fixture.now, &commit), HDMS_UNKNOWN_KEY);
	assert_int_equal(hdms_skip_verify(jws, strlen(jws), fixture.institution[0].history, fixture.now, &skip), HDMS_BAD_TYPE);
	assert_int_equal(hdms_rejection_verify(jws, strlen(jws), fixture.institution[0].history, fixture.now, &rejection),
					 HDMS_BAD_TYPE);
	assert_int_equal(hdms_commit_peek(version.sd_jwt, strlen(version.sd_jwt) - 1, &commit), HDMS_BAD_TYPE);
	assert_int_equal(hdms_commit_peek("", 0, &commit), HDMS_BAD_FORMAT);

	/* before its entry the key was nobody's */
	assert_int_equal(hdms_commit_verify(jws, strlen(jws), fixture.institution[0].history, FIXTURE_NOW - FIXTURE_DAY, &commit),
					 HDMS_UNKNOWN_KEY);
	forged = forge_altered(jws, strlen(jws), "iat", "5", fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_COMMIT);
	forged[strlen(forged) - 10] ^= 1;
	assert_int_not_equal(hdms_commit_verify(forged, strlen(forged), fixture.institution[0].history, fixture.now, &commit),
						 HDMS_OK);
	free(forged);
	fixture_version_free(&version);
}

static void
fill_rejection(const Fixture *from, HdmsRejection *rejection, const char *reason)
{
	memset(rejection, 0, sizeof(*rejection));
	strcpy(rejection->iss, from->patient.id);
	strcpy(rejection->aud, from->institution[0].id);
	strcpy(rejection->vk, other_digest);
	rejection->iat = from->now;
	strcpy(rejection->reason, reason);
}

static void
a_rejection_carries_the_patients_own_words(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};
	char		longest[HDMS_REASON_MAX + 1];
	const char *reasons[] = {"Das bin ich nicht \xe2\x80\x93 \"really\"\n", "", longest};

	(void) unused;
	memset(longest, 'x', HDMS_REASON_MAX);
	longest[HDMS_REASON_MAX] = '\0';
	for (int i = 0; i < 2; i++)
	{
		for (int k = 0; k < 3; k++)
		{
			HdmsRejection rejection,
						again;
			char	   *jws = NULL;

			fill_rejection(both[i], &rejection, reasons[k]);
			assert_int_equal(hdms_rejection_sign(&rejection, both[i]->patient.key[HDMS_ROLE_SIGN], &jws), HDMS_OK);
			assert_int_equal(hdms_rejection_verify(jws, strlen(jws), both[i]->patient.history, both[i]->now, &again), HDMS_OK);
			assert_memory_equal(&rejection, &again, sizeof(again));
			free(jws);
		}
	}
}

static void
a_rejection_that_is_malformed_or_somebody_elses_is_refused(void **unused)
{
	static const ClaimCase cases[] = {
		{"iss", NULL}, {"aud", NULL}, {"iat", NULL}, {"vk", NULL}, {"reason", NULL}, {"reason", "7"}, {"extra", "1"},
		{"iss", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
	};
	HdmsRejection rejection,
				again;
	char		too_long[HDMS_REASON_MAX + 16];
	char	   *jws = NULL;
	char	   *forged;

	(void) unused;
	fill_rejection(&fixture, &rejection, "no");
	FIXTURE_OK(hdms_rejection_sign(&rejection, fixture.patient.key[HDMS_ROLE_SIGN], &jws));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		forged = forge_altered(jws, strlen(jws), cases[i].name, cases[i].json, fixture.patient.key[HDMS_ROLE_SIGN],
							   HDMS_TYP_REJECTION);
		assert_int_not_equal(hdms_rejection_verify(forged, strlen(forged), fixture.patient.history, fixture.now, &again),
							 HDMS_OK);
		free(forged);
	}
	memset(too_long, 'x', sizeof(too_long));
	too_long[0] = '"';
	strcpy(too_long + HDMS_REASON_MAX + 2, "\"");
	forged = forge_altered(jws, strlen(jws), "reason", too_long, fixture.patient.key[HDMS_ROLE_SIGN], HDMS_TYP_REJECTION);
	assert_int_equal(hdms_rejection_verify(forged, strlen(forged), fixture.patient.history, fixture.now, &again), HDMS_TOO_LARGE);
	free(forged);
	assert_int_equal(hdms_rejection_verify(jws, strlen(jws), fixture.institution[0].history, fixture.now, &again),
					 HDMS_UNKNOWN_KEY);
	free(jws);

	jws = NULL;
	strcpy(rejection.reason, "\xff");
	assert_int_equal(hdms_rejection_sign(&rejection, fixture.patient.key[HDMS_ROLE_SIGN], &jws), HDMS_BAD_ENCODING);
	memset(rejection.reason, 'x', sizeof(rejection.reason));
	assert_int_equal(hdms_rejection_sign(&rejection, fixture.patient.key[HDMS_ROLE_SIGN], &jws), HDMS_TOO_LARGE);
	assert_null(jws);
}

static void
a_skip_names_notary_and_version_and_is_the_issuers(void **unused)
{
	static const ClaimCase cases[] = {
		{"iss", NULL}, {"sub", NULL}, {"iat", NULL}, {"vk", NULL}, {"notary", NULL}, {"notary", "\"x\""}, {"extra", "1"},
		{"iss", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
	};
	Fixture    *both[] = {&fixture, &rsa};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		const FixtureNode *issuer = &both[i]->institution[0];
		HdmsSkip	skip = {.iat = both[i]->now};
		HdmsSkip	again,
					peeked;
		char	   *jws = NULL;

		strcpy(skip.iss, issuer->id);
		strcpy(skip.sub, both[i]->patient.id);
		strcpy(skip.vk, other_digest);
		strcpy(skip.notary, both[i]->institution[1].id);
		FIXTURE_OK(hdms_skip_sign(&skip, issuer->key[HDMS_ROLE_SIGN], &jws));
		assert_int_equal(hdms_skip_verify(jws, strlen(jws), issuer->history, both[i]->now, &again), HDMS_OK);
		assert_memory_equal(&skip, &again, sizeof(skip));
		assert_int_equal(hdms_skip_peek(jws, strlen(jws), &peeked), HDMS_OK);
		assert_memory_equal(&skip, &peeked, sizeof(skip));
		assert_int_equal(hdms_skip_verify(jws, strlen(jws), both[i]->patient.history, both[i]->now, &again), HDMS_UNKNOWN_KEY);
		for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++)
		{
			char	   *forged = forge_altered(jws, strlen(jws), cases[k].name, cases[k].json, issuer->key[HDMS_ROLE_SIGN],
											   HDMS_TYP_SKIP);

			assert_int_not_equal(hdms_skip_verify(forged, strlen(forged), issuer->history, both[i]->now, &again), HDMS_OK);
			free(forged);
		}
		free(jws);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_hide_the_seed_and_name_the_version_before),
		cmocka_unit_test(a_commit_of_either_suite_says_what_was_signed),
		cmocka_unit_test(a_commit_belongs_to_one_state),
		cmocka_unit_test(a_commit_with_a_claim_missing_wrong_or_unknown_is_refused),
		cmocka_unit_test(nobody_commits_to_itself),
		cmocka_unit_test(a_statement_is_refused_under_another_key_or_for_another_purpose),
		cmocka_unit_test(a_rejection_carries_the_patients_own_words),
		cmocka_unit_test(a_rejection_that_is_malformed_or_somebody_elses_is_refused),
		cmocka_unit_test(a_skip_names_notary_and_version_and_is_the_issuers),
	};

	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
