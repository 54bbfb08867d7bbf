/*
 * test_presentation.c
 *		Acceptances and presentations: the holder's signature counts for what it was made for, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "forge.h"

static const char content[] =
	"{\"resourceType\":\"Observation\", \"value\" : 7.10,\"big\":12345678901234567890,"
	"\"a\\u0062\":[1e2, {\"x\" :null}],\"\":\"\",\"n\\u0061me\":\"J\\u00fcrgen \xc3\xbc\"}";
static const char content_again[] =
	"{\"resourceType\":\"Observation\",\"value\":7.10,\"big\":12345678901234567890,"
	"\"a\\u0062\":[1e2, {\"x\" :null}],\"\":\"\",\"n\\u0061me\":\"J\\u00fcrgen \xc3\xbc\"}";

static Fixture fixture;			/* both P-256 */
static Fixture rsa;				/* both RSA */

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
an_acceptance_of_either_suite_is_for_one_state_and_its_issuer(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		const HdmsHistory *patient = both[i]->patient.history;
		FixtureVersion version,
					other;
		size_t		len;

		fixture_issue(both[i], NULL, content, &version);
		fixture_accept(both[i], NULL, &version);
		len = strlen(version.acceptance);
		fixture_issue(both[i], NULL, content, &other);
		assert_int_equal(hdms_acceptance_verify(version.acceptance, len, version.sd_jwt, strlen(version.sd_jwt), patient,
												both[i]->now), HDMS_OK);
		assert_int_not_equal(hdms_acceptance_verify(version.acceptance, len, other.sd_jwt, strlen(other.sd_jwt), patient,
													both[i]->now), HDMS_OK);
		assert_int_equal(hdms_acceptance_verify(version.acceptance, len, version.sd_jwt, strlen(version.sd_jwt),
												both[i]->institution[0].history, both[i]->now), HDMS_WRONG_SENDER);
		fixture_version_free(&version);
		fixture_version_free(&other);
	}
}

static void
an_acceptance_with_any_other_claim_is_refused(void **unused)
{
	static const struct
	{
		const char *name;
		const char *json;
	}			cases[] = {
		{"aud", NULL}, {"aud", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""}, {"nonce", NULL}, {"nonce", "\"x\""},
		{"sd_hash", NULL}, {"sd_hash", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""}, {"use", NULL},
		{"use", "\"present\""}, {"iat", NULL}, {"iat", "-5"}, {"extra", "1"},
	};
	FixtureVersion version;

	(void) unused;
	fixture_issue(&fixture, NULL, content, &version);
	fixture_accept(&fixture, NULL, &version);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *forged = forge_altered(version.acceptance, strlen(version.acceptance), cases[i].name, cases[i].json,
										   fixture.patient.key[HDMS_ROLE_SIGN], HDMS_TYP_BINDING);

		assert_int_not_equal(hdms_acceptance_verify(forged, strlen(forged), version.sd_jwt, strlen(version.sd_jwt),
													fixture.patient.history, fixture.now), HDMS_OK);
		free(forged);
	}
	fixture_version_free(&version);
}

static const char *const released[] = {"value", "ab", "absent", NULL};

static void
a_presentation_shows_the_released_members_and_no_others(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		const char *aud = both[i]->institution[1].id;
		FixtureVersion version;
		HdmsState	state;
		HdmsBytes	shown = {0};
		char	   *presentation = NULL;

		fixture_issue(both[i], NULL, content, &version);
		FIXTURE_OK(hdms_presentation_build(version.sd_jwt, strlen(version.sd_jwt), released, aud, "request-1",
										   both[i]->patient.key[HDMS_ROLE_SIGN], both[i]->now, &presentation));
		assert_int_equal(hdms_presentation_verify(presentation, strlen(presentation), both[i]->institution[0].history,
												  both[i]->patient.history, aud, "request-1", both[i]->now, &state, &shown),
						 HDMS_OK);
		assert_string_equal((char *) shown.data, "{\"value\":7.10,\"a\\u0062\":[1e2, {\"x\" :null}]}");
		assert_string_equal(state.vk, version.state.vk);
		hdms_bytes_free(&shown);
		free(presentation);

		FIXTURE_OK(hdms_presentation_build(version.sd_jwt, strlen(version.sd_jwt), NULL, aud, "request-1",
										   both[i]->patient.key[HDMS_ROLE_SIGN], both[i]->now, &presentation));
		FIXTURE_OK(hdms_presentation_verify(presentation, strlen(presentation), both[i]->institution[0].history,
											both[i]->patient.history, aud, "request-1", both[i]->now, NULL, &shown));
		assert_string_equal((char *) shown.data, content_again);
		hdms_bytes_free(&shown);
		free(presentation);
		fixture_version_free(&version);
	}
}

static HdmsStatus
verify_presentation(const char *presentation, int receiver, const char *nonce, int64_t now)
{
	return hdms_presentation_verify(presentation, strlen(presentation), fixture.institution[0].history,
									fixture.patient.history, fixture.institution[receiver].id, nonce, now, NULL, NULL);
}

static void
a_presentation_is_for_one_receiver_one_request_and_as_it_was_made(void **unused)
{
	FixtureVersion version;
	char	   *presentation = NULL;
	char	   *binding;
	char	   *altered;

	(void) unused;
	fixture_issue(&fixture, NULL, "{\"a\":1,\"b\":2}", &version);
	FIXTURE_OK(hdms_presentation_build(version.sd_jwt, strlen(version.sd_jwt), NULL, fixture.institution[1].id, "n",
									   fixture.patient.key[HDMS_ROLE_SIGN], fixture.now, &presentation));
	assert_int_equal(verify_presentation(presentation, 1, "n", fixture.now), HDMS_OK);
	assert_int_equal(verify_presentation(presentation, 1, "n", 0), HDMS_OK);
	assert_int_equal(verify_presentation(presentation, 2, "n", fixture.now), HDMS_WRONG_RECEIVER);
	assert_int_equal(verify_presentation(presentation, 1, "m", fixture.now), HDMS_BAD_CLAIM);
	assert_int_equal(verify_presentation(presentation, 1, "n", fixture.now - FIXTURE_DAY), HDMS_NOT_YET_VALID);
	assert_int_equal(hdms_presentation_verify(presentation, strlen(presentation), fixture.institution[0].history,
											  fixture.institution[1].history, fixture.institution[1].id, "n", fixture.now,
											  NULL, NULL), HDMS_WRONG_SENDER);
	assert_int_equal(verify_presentation(version.sd_jwt, 1, "n", fixture.now), HDMS_BAD_FORMAT);

	/* fewer disclosures than were bound */
	binding = strrchr(presentation, '~') + 1;
	altered = strndup(version.sd_jwt, strchr(version.sd_jwt, '~') + 1 - version.sd_jwt);
	{
		char	   *fewer = forge_join(altered, "", binding);

		assert_int_equal(verify_presentation(fewer, 1, "n", fixture.now), HDMS_DIGEST_MISMATCH);
		free(fewer);
	}
	free(altered);

	/* an acceptance is no presentation */
	fixture_accept(&fixture, NULL, &version);
	altered = forge_join(version.sd_jwt, "", version.acceptance);
	assert_int_equal(hdms_presentation_verify(altered, strlen(altered), fixture.institution[0].history,
											  fixture.patient.history, fixture.institution[0].id, version.state.vk, fixture.now,
											  NULL, NULL), HDMS_BAD_CLAIM);
	free(altered);
	free(presentation);
	fixture_version_free(&version);
}

static void
a_presentation_is_by_the_holders_current_key_though_the_issuers_may_be_old(void **unused)
{
	Fixture		own;
	FixtureVersion version;
	const char *aud;
	char	   *presentation = NULL;
	HdmsStatus	status;

	(void) unused;
	fixture_open(&own, HDMS_KEY_P256, HDMS_KEY_P256);
	aud = own.institution[1].id;
	fixture_issue(&own, NULL, "{\"a\":1,\"b\":2}", &version);
	own.now += 40 * FIXTURE_DAY;
	fixture_node_rotate(&own, &own.institution[0]);
	FIXTURE_OK(hdms_presentation_build(version.sd_jwt, strlen(version.sd_jwt), NULL, aud, "n",
									   own.patient.key[HDMS_ROLE_SIGN], own.now, &presentation));
	status = hdms_presentation_verify(presentation, strlen(presentation), own.institution[0].history, own.patient.history,
									  aud, "n", own.now, NULL, NULL);
	assert_int_equal(status, HDMS_OK);
	own.now += 40 * FIXTURE_DAY;
	fixture_node_rotate(&own, &own.patient);
	status = hdms_presentation_verify(presentation, strlen(presentation), own.institution[0].history, own.patient.history,
									  aud, "n", own.now, NULL, NULL);
	assert_int_equal(status, HDMS_UNKNOWN_KEY);
	free(presentation);
	fixture_version_free(&version);
	fixture_close(&own);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_acceptance_of_either_suite_is_for_one_state_and_its_issuer),
		cmocka_unit_test(an_acceptance_with_any_other_claim_is_refused),
		cmocka_unit_test(a_presentation_shows_the_released_members_and_no_others),
		cmocka_unit_test(a_presentation_is_for_one_receiver_one_request_and_as_it_was_made),
		cmocka_unit_test(a_presentation_is_by_the_holders_current_key_though_the_issuers_may_be_old),
	};

	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
