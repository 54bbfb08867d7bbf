/*
 * test_tombstone.c
 *		Tombstones: what they say comes back, and only the institution can have said it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "forge.h"
#include "tombstone.h"

static Fixture fixture;			/* P-256 */
static Fixture rsa;

static const char record[] = "0198c1f0-0000-7000-8000-000000000001";

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

/* As many different verification keys as asked for. */
static void
fill_tombstone(const Fixture *from, size_t count, HdmsTombstone *tombstone)
{
	memset(tombstone, 0, sizeof(*tombstone));
	strcpy(tombstone->iss, from->institution[0].id);
	strcpy(tombstone->sub, from->patient.id);
	strcpy(tombstone->record, record);
	strcpy(tombstone->reason, HDMS_ERASED_RETENTION_OVER);
	tombstone->iat = from->now;
	tombstone->vk_count = count;
	for (size_t i = 0; i < count && i < HDMS_TOMBSTONE_VKS; i++)
		FIXTURE_OK(hdms_sha256_text((const char *) &i, sizeof(i), tombstone->vks[i]));
}

static void
a_tombstone_of_either_suite_says_what_was_signed(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};
	const size_t counts[] = {0, 1, HDMS_TOMBSTONE_VKS};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		for (int k = 0; k < 3; k++)
		{
			static HdmsTombstone tombstone,
						again,
						peeked;
			char	   *jws = NULL;

			fill_tombstone(both[i], counts[k], &tombstone);
			assert_int_equal(hdms_tombstone_sign(&tombstone, both[i]->institution[0].key[HDMS_ROLE_SIGN], &jws), HDMS_OK);
			assert_int_equal(hdms_tombstone_verify(jws, strlen(jws), both[i]->institution[0].history, both[i]->now, &again), HDMS_OK);
			assert_memory_equal(&tombstone, &again, sizeof(again));
			assert_int_equal(hdms_tombstone_verify(jws, strlen(jws), both[i]->institution[0].history, 0, &again), HDMS_OK);
			assert_int_equal(hdms_tombstone_peek(jws, strlen(jws), &peeked), HDMS_OK);
			assert_memory_equal(&tombstone, &peeked, sizeof(peeked));
			free(jws);
		}
	}
}

static void
a_tombstone_names_the_versions_that_it_is_for(void **unused)
{
	static HdmsTombstone tombstone;

	(void) unused;
	fill_tombstone(&fixture, 3, &tombstone);
	assert_true(hdms_tombstone_names(&tombstone, tombstone.vks[0]));
	assert_true(hdms_tombstone_names(&tombstone, tombstone.vks[2]));
	assert_false(hdms_tombstone_names(&tombstone, fixture.patient.id));
	assert_false(hdms_tombstone_names(&tombstone, ""));
}

static void
a_tombstone_is_refused_under_another_key_at_another_time_or_for_another_purpose(void **unused)
{
	static HdmsTombstone tombstone,
				again;
	const FixtureNode *issuer = &fixture.institution[0];
	FixtureVersion version;
	char	   *jws = NULL;
	char	   *forged;

	(void) unused;
	fill_tombstone(&fixture, 2, &tombstone);
	FIXTURE_OK(hdms_tombstone_sign(&tombstone, issuer->key[HDMS_ROLE_SIGN], &jws));
	again.iat = 77;
	assert_int_equal(hdms_tombstone_verify(jws, strlen(jws), fixture.institution[1].history, fixture.now, &again), HDMS_UNKNOWN_KEY);
	assert_int_equal(hdms_tombstone_verify(jws, strlen(jws), fixture.patient.history, 0, &again), HDMS_UNKNOWN_KEY);

	/* before its entry the key was nobody's */
	assert_int_equal(hdms_tombstone_verify(jws, strlen(jws), issuer->history, FIXTURE_NOW - FIXTURE_DAY, &again), HDMS_UNKNOWN_KEY);
	forged = forge_altered(jws, strlen(jws), "iat", "0", issuer->key[HDMS_ROLE_SIGN], HDMS_TYP_TOMBSTONE);
	assert_int_equal(hdms_tombstone_verify(forged, strlen(forged), issuer->history, 0, &again), HDMS_BAD_CLAIM);
	free(forged);
	jws[strlen(jws) - 10] ^= 1;
	assert_int_not_equal(hdms_tombstone_verify(jws, strlen(jws), issuer->history, fixture.now, &again), HDMS_OK);
	free(jws);

	fixture_issue(&fixture, NULL, "{}", &version);
	assert_int_equal(hdms_tombstone_verify(version.commit, strlen(version.commit), issuer->history, fixture.now, &again), HDMS_BAD_TYPE);
	assert_int_equal(again.iat, 77);
	fixture_version_free(&version);
}

static void
a_tombstone_with_a_claim_missing_wrong_or_unknown_is_refused(void **unused)
{
	static const struct
	{
		const char *name;
		const char *json;
	}			cases[] = {
		{"iss", NULL}, {"sub", NULL}, {"iat", NULL}, {"record", NULL}, {"vks", NULL}, {"reason", NULL}, {"extra", "1"},
		{"record", "\"x\""}, {"record", "7"}, {"vks", "{}"}, {"vks", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""}, {"vks", "[7]"},
		{"vks", "[\"x\"]"}, {"vks", "[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]"},
		{"reason", "\"\""}, {"reason", "\"two words\""}, {"reason", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""},
		{"iss", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""},
	};
	static HdmsTombstone tombstone,
				again;
	const FixtureNode *issuer = &fixture.institution[0];
	char	   *jws = NULL;

	(void) unused;
	fill_tombstone(&fixture, 2, &tombstone);
	FIXTURE_OK(hdms_tombstone_sign(&tombstone, issuer->key[HDMS_ROLE_SIGN], &jws));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *forged = forge_altered(jws, strlen(jws), cases[i].name, cases[i].json, issuer->key[HDMS_ROLE_SIGN], HDMS_TYP_TOMBSTONE);

		again.iat = 77;
		assert_int_not_equal(hdms_tombstone_verify(forged, strlen(forged), issuer->history, fixture.now, &again), HDMS_OK);
		assert_int_equal(again.iat, 77);
		free(forged);
	}
	free(jws);
	strcpy(tombstone.sub, issuer->id);
	FIXTURE_OK(hdms_tombstone_sign(&tombstone, issuer->key[HDMS_ROLE_SIGN], &jws));
	assert_int_equal(hdms_tombstone_peek(jws, strlen(jws), &again), HDMS_BAD_CLAIM);
	free(jws);
}

static void
what_nobody_would_accept_is_not_signed(void **unused)
{
	static HdmsTombstone tombstone;
	const HdmsKey *key = fixture.institution[0].key[HDMS_ROLE_SIGN];
	char	   *jws = NULL;

	(void) unused;
	fill_tombstone(&fixture, 1, &tombstone);
	strcpy(tombstone.reason, "HIV");
	assert_int_equal(hdms_tombstone_sign(&tombstone, key, &jws), HDMS_BAD_ARGUMENT);
	fill_tombstone(&fixture, 1, &tombstone);
	tombstone.vk_count = HDMS_TOMBSTONE_VKS + 1;
	assert_int_equal(hdms_tombstone_sign(&tombstone, key, &jws), HDMS_BAD_ARGUMENT);
	assert_null(jws);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tombstone_of_either_suite_says_what_was_signed),
		cmocka_unit_test(a_tombstone_names_the_versions_that_it_is_for),
		cmocka_unit_test(a_tombstone_is_refused_under_another_key_at_another_time_or_for_another_purpose),
		cmocka_unit_test(a_tombstone_with_a_claim_missing_wrong_or_unknown_is_refused),
		cmocka_unit_test(what_nobody_would_accept_is_not_signed),
	};

	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
