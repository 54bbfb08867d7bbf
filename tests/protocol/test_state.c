/*
 * test_state.c
 *		States: what is built verifies, and nothing else does.
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

static HdmsStatus
parse(const char *sd_jwt, bool all_disclosed)
{
	HdmsState	state;

	return hdms_state_parse(sd_jwt, strlen(sd_jwt), all_disclosed, &state);
}

/* A disclosure with a good salt of the given JSON text after it. */
static char *
disclosure_of(const char *json)
{
	char	   *text = NULL;

	FIXTURE_OK(hdms_base64url_encode(json, strlen(json), &text));
	return text;
}

/* A state whose claims are right, with exactly these disclosures, signed by the issuer. */
static char *
state_with(char *const *disclosures, size_t count)
{
	FixtureVersion version;
	json_t	   *claims;
	json_t	   *digests = json_array();
	char	   *jwt;
	char	   *sd_jwt;
	char		sorted[16][HDMS_DIGEST_TEXT + 1];

	fixture_issue(&fixture, NULL, "{}", &version);
	claims = forge_claims(version.sd_jwt, strlen(version.sd_jwt) - 1);
	for (size_t i = 0; i < count; i++)
	{
		size_t		at = i;
		char		digest[HDMS_DIGEST_TEXT + 1];

		FIXTURE_OK(hdms_sha256_text(disclosures[i], strlen(disclosures[i]), digest));
		for (; at > 0 && strcmp(sorted[at - 1], digest) > 0; at--)
			memmove(sorted[at], sorted[at - 1], sizeof(sorted[at]));
		memcpy(sorted[at], digest, sizeof(digest));
	}
	for (size_t i = 0; i < count; i++)
	{
		if (i == 0 || strcmp(sorted[i - 1], sorted[i]) != 0)
			json_array_append_new(digests, json_string(sorted[i]));
	}
	json_object_set_new(json_object_get(claims, "content"), "_sd", digests);
	jwt = forge_sign(fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_STATE, claims);
	sd_jwt = forge_join(jwt, "~", "");
	for (size_t i = 0; i < count; i++)
	{
		char	   *longer = forge_join(sd_jwt, disclosures[i], "~");

		free(sd_jwt);
		sd_jwt = longer;
	}
	json_decref(claims);
	free(jwt);
	fixture_version_free(&version);
	return sd_jwt;
}

/* What parsing says of a state with one disclosure of that JSON. */
static HdmsStatus
parse_disclosed(const char *json)
{
	char	   *disclosure = disclosure_of(json);
	char	   *sd_jwt = state_with(&disclosure, 1);
	HdmsStatus	status = parse(sd_jwt, true);

	free(disclosure);
	free(sd_jwt);
	return status;
}

static void
a_state_gives_its_content_back_byte_for_byte(void **unused)
{
	FixtureVersion version;
	HdmsBytes	again = {0};

	(void) unused;
	fixture_issue(&fixture, NULL, content, &version);
	assert_int_equal(hdms_state_content(version.sd_jwt, strlen(version.sd_jwt), &again), HDMS_OK);
	assert_string_equal((char *) again.data, content_again);
	assert_int_equal(again.len, strlen(content_again));
	assert_string_equal(version.state.type, "fhir/R4/Observation");
	hdms_bytes_free(&again);
	fixture_version_free(&version);
}

static void
an_empty_object_is_content(void **unused)
{
	FixtureVersion version;
	HdmsBytes	again = {0};

	(void) unused;
	fixture_issue(&fixture, NULL, " { } ", &version);
	assert_int_equal(parse(version.sd_jwt, true), HDMS_OK);
	assert_int_equal(hdms_state_content(version.sd_jwt, strlen(version.sd_jwt), &again), HDMS_OK);
	assert_string_equal((char *) again.data, "{}");
	assert_string_equal(version.state.type, "json");
	hdms_bytes_free(&again);
	fixture_version_free(&version);
}

static void
what_is_parsed_is_what_was_built(void **unused)
{
	FixtureVersion first,
				second;
	HdmsState	state;

	(void) unused;
	fixture_issue(&fixture, NULL, content, &first);
	assert_int_equal(hdms_state_parse(first.sd_jwt, strlen(first.sd_jwt), true, &state), HDMS_OK);
	assert_memory_equal(state.seed, first.state.seed, HDMS_SEED_SIZE);
	assert_string_equal(state.iss, fixture.institution[0].id);
	assert_string_equal(state.sub, fixture.patient.id);
	assert_string_equal(state.record, first.state.record);
	assert_int_equal(state.version, 1);
	assert_int_equal(state.iat, fixture.now);
	assert_string_equal(state.prev, "");
	assert_string_equal(state.replaces, "");
	assert_string_equal(state.vk, first.state.vk);

	fixture_issue(&fixture, &first, content, &second);
	assert_int_equal(hdms_state_parse(second.sd_jwt, strlen(second.sd_jwt), true, &state), HDMS_OK);
	assert_int_equal(state.version, 2);
	assert_string_equal(state.prev, first.state.vk);
	for (int i = 0; i < HDMS_SEED_SIZE; i++)
		assert_int_equal(state.seed[i], 0);
	fixture_version_free(&first);
	fixture_version_free(&second);
}

static void
a_state_may_say_which_record_it_replaces(void **unused)
{
	FixtureVersion version;
	HdmsState	state;
	char	   *sd_jwt = NULL;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	state = version.state;
	FIXTURE_OK(hdms_uuid7(fixture.now * 1000, state.replaces));
	FIXTURE_OK(hdms_state_build(&state, "{}", 2, fixture.institution[0].key[HDMS_ROLE_SIGN], &sd_jwt));
	memset(version.state.replaces, 0, sizeof(version.state.replaces));
	assert_int_equal(hdms_state_parse(sd_jwt, strlen(sd_jwt), true, &version.state), HDMS_OK);
	assert_string_equal(version.state.replaces, state.replaces);
	free(sd_jwt);
	fixture_version_free(&version);
}

static void
the_verification_key_is_the_digest_of_the_jwt_alone(void **unused)
{
	FixtureVersion version;
	char		vk[HDMS_DIGEST_TEXT + 1];

	(void) unused;
	fixture_issue(&fixture, NULL, content, &version);
	FIXTURE_OK(hdms_sha256_text(version.sd_jwt, strchr(version.sd_jwt, '~') - version.sd_jwt, vk));
	assert_string_equal(version.state.vk, vk);
	fixture_version_free(&version);
}

static void
each_member_has_a_salt_of_its_own_and_nothing_in_the_clear(void **unused)
{
	FixtureVersion version;
	HdmsBytes	payload = {0};
	HdmsBytes	disclosures[2] = {{0}, {0}};
	char	   *at;

	(void) unused;
	fixture_issue(&fixture, NULL, "{\"secretive\":\"hush\",\"other\":1}", &version);
	at = strchr(version.sd_jwt, '~');
	FIXTURE_OK(hdms_jws_peek_payload(version.sd_jwt, at - version.sd_jwt, &payload));
	assert_null(strstr((char *) payload.data, "secretive"));
	assert_null(strstr((char *) payload.data, "hush"));
	for (int i = 0; i < 2; i++)
	{
		char	   *end = strchr(at + 1, '~');

		FIXTURE_OK(hdms_base64url_decode(at + 1, end - at - 1, &disclosures[i]));
		at = end;
	}
	assert_string_equal(at, "~");
	assert_string_equal((char *) disclosures[0].data + 26, "\"secretive\",\"hush\"]");
	assert_string_equal((char *) disclosures[1].data + 26, "\"other\",1]");
	assert_memory_not_equal(disclosures[0].data, disclosures[1].data, 24);
	hdms_bytes_free(&payload);
	hdms_bytes_free(&disclosures[0]);
	hdms_bytes_free(&disclosures[1]);
	fixture_version_free(&version);
}

static void
a_state_of_either_suite_verifies_with_its_issuers_key(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		FixtureVersion version;
		HdmsState	state;

		fixture_issue(both[i], NULL, content, &version);
		assert_int_equal(hdms_state_verify(version.sd_jwt, strlen(version.sd_jwt), true, both[i]->institution[0].history,
										   both[i]->now, &state), HDMS_OK);
		assert_string_equal(state.vk, version.state.vk);
		assert_int_equal(hdms_state_verify(version.sd_jwt, strlen(version.sd_jwt), true, both[i]->institution[0].history,
										   0, &state), HDMS_OK);
		assert_int_equal(hdms_state_verify(version.sd_jwt, strlen(version.sd_jwt), true, both[i]->institution[1].history,
										   both[i]->now, &state), HDMS_WRONG_SENDER);
		fixture_version_free(&version);
	}
}

static void
a_state_signed_by_anybody_else_in_the_issuers_name_is_refused(void **unused)
{
	FixtureVersion version;
	HdmsState	state = {.version = 77};
	char	   *jwt,
			   *forged;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	jwt = forge_altered(version.sd_jwt, strlen(version.sd_jwt) - 1, "iat", "5",
						fixture.institution[1].key[HDMS_ROLE_SIGN], HDMS_TYP_STATE);
	forged = forge_join(jwt, "~", "");
	assert_int_equal(parse(forged, true), HDMS_OK);
	assert_int_equal(hdms_state_verify(forged, strlen(forged), true, fixture.institution[0].history, fixture.now, &state),
					 HDMS_UNKNOWN_KEY);
	assert_int_equal(state.version, 77);
	free(jwt);
	free(forged);

	jwt = forge_altered(version.sd_jwt, strlen(version.sd_jwt) - 1, "iat", "5",
						fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_COMMIT);
	forged = forge_join(jwt, "~", "");
	assert_int_equal(hdms_state_verify(forged, strlen(forged), true, fixture.institution[0].history, fixture.now, &state),
					 HDMS_BAD_TYPE);
	free(jwt);
	free(forged);
	fixture_version_free(&version);
}

static void
a_former_key_counts_only_for_its_own_time(void **unused)
{
	Fixture		own;
	FixtureVersion version;
	HdmsState	state;
	const char *text;

	(void) unused;
	fixture_open(&own, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_issue(&own, NULL, content, &version);
	text = version.sd_jwt;
	own.now += 10 * FIXTURE_DAY;
	fixture_node_rotate(&own, &own.institution[0]);
	assert_int_equal(hdms_state_verify(text, strlen(text), true, own.institution[0].history, FIXTURE_NOW, &state), HDMS_OK);
	assert_int_equal(hdms_state_verify(text, strlen(text), true, own.institution[0].history, 0, &state), HDMS_UNKNOWN_KEY);
	assert_int_equal(hdms_state_verify(text, strlen(text), true, own.institution[0].history, own.now + FIXTURE_DAY, &state),
					 HDMS_UNKNOWN_KEY);
	fixture_version_free(&version);
	fixture_close(&own);
}

static void
a_claim_that_is_missing_wrong_or_unknown_is_refused(void **unused)
{
	static const struct
	{
		const char *name;
		const char *json;		/* NULL: removed */
		bool		later;		/* of version 2 instead of 1 */
		bool		is_right;
	}			cases[] = {
		{"iss", NULL, false, false}, {"sub", NULL, false, false}, {"iat", NULL, false, false}, {"record", NULL, false, false},
		{"version", NULL, false, false}, {"type", NULL, false, false}, {"seed", NULL, false, false}, {"cnf", NULL, false, false},
		{"_sd_alg", NULL, false, false}, {"content", NULL, false, false}, {"prev", NULL, true, false},
		{"iss", "\"me\"", false, false}, {"iss", "7", false, false},
		{"sub", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", false, false},	/* cnf names another */
		{"iat", "0", false, false}, {"iat", "-1", false, false}, {"iat", "\"1\"", false, false},
		{"record", "\"01890A5D-AC96-774B-BCCE-B302099A8057\"", false, false}, {"record", "\"x\"", false, false},
		{"version", "0", false, false}, {"version", "2", false, false}, {"version", "1", true, false},
		{"prev", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", false, false},
		{"seed", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", true, false},
		{"seed", "\"AAAA\"", false, false}, {"prev", "\"AAAA\"", true, false},
		{"type", "\"\"", false, false}, {"type", "\"\\u007f\"", false, false}, {"type", "\"\\u00fc\"", false, false},
		{"type", "[]", false, false}, {"type", "\"x-1/y\"", false, true},
		{"files", "[]", false, false}, {"files", "[\"x\"]", false, false}, {"files", "{}", false, false},
		{"files", "[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]", false, true},
		{"replaces", "\"x\"", false, false}, {"replaces", "\"01890a5d-ac96-774b-bcce-b302099a8057\"", false, true},
		{"cnf", "{}", false, false}, {"cnf", "{\"kid\":\"x\"}", false, false}, {"cnf", "[]", false, false},
		{"_sd_alg", "\"sha-512\"", false, false}, {"content", "{}", false, false}, {"content", "[]", false, false},
		{"content", "{\"_sd\":[],\"a\":1}", false, false}, {"content", "{\"_sd\":{}}", false, false},
		{"content", "{\"_sd\":[]}", false, true},
		{"content", "{\"_sd\":[\"x\"]}", false, false}, {"content", "{\"_sd\":[1]}", false, false},
		{"exp", "1", false, false}, {"vct", "\"x\"", false, false}, {"_sd", "[]", false, false}, {"nbf", "1", true, false},
	};
	FixtureVersion versions[2];

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &versions[0]);
	fixture_issue(&fixture, &versions[0], "{}", &versions[1]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *jwt = versions[cases[i].later].sd_jwt;
		char	   *altered;
		char	   *forged;
		HdmsState	state;
		HdmsStatus	parsed,
					verified;

		altered = forge_altered(jwt, strlen(jwt) - 1, cases[i].name, cases[i].json,
								fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_STATE);
		forged = forge_join(altered, "~", "");
		parsed = parse(forged, false);
		verified = hdms_state_verify(forged, strlen(forged), false, fixture.institution[0].history, fixture.now, &state);
		if ((parsed == HDMS_OK) != cases[i].is_right || verified != parsed)
			fail_msg("%s = %s: parsed %s, verified %s", cases[i].name, cases[i].json != NULL ? cases[i].json : "nothing",
					 hdms_status_word(parsed), hdms_status_word(verified));
		free(altered);
		free(forged);
	}
	fixture_version_free(&versions[0]);
	fixture_version_free(&versions[1]);
}

static void
nobody_issues_records_to_itself(void **unused)
{
	FixtureVersion version;
	char	   *iss = forge_quoted(fixture.patient.id);
	char	   *altered;
	char	   *forged;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	altered = forge_altered(version.sd_jwt, strlen(version.sd_jwt) - 1, "iss", iss, fixture.patient.key[HDMS_ROLE_SIGN],
							HDMS_TYP_STATE);
	forged = forge_join(altered, "~", "");
	assert_int_equal(parse(forged, true), HDMS_BAD_CLAIM);
	free(iss);
	free(altered);
	free(forged);
	fixture_version_free(&version);
}

static void
what_a_verifier_would_refuse_is_never_signed(void **unused)
{
	FixtureVersion version;
	const HdmsKey *key = fixture.institution[0].key[HDMS_ROLE_SIGN];
	HdmsState	state;
	char	   *sd_jwt = NULL;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	state = version.state;
	strcpy(state.sub, state.iss);
	assert_int_equal(hdms_state_build(&state, "{}", 2, key, &sd_jwt), HDMS_BAD_CLAIM);
	state = version.state;
	state.version = 2;
	assert_int_equal(hdms_state_build(&state, "{}", 2, key, &sd_jwt), HDMS_BAD_CLAIM);
	state = version.state;
	strcpy(state.type, "");
	assert_int_equal(hdms_state_build(&state, "{}", 2, key, &sd_jwt), HDMS_BAD_CLAIM);
	state = version.state;
	assert_int_equal(hdms_state_build(&state, "{\"_sd\":1}", 9, key, &sd_jwt), HDMS_RESERVED_MEMBER);
	assert_memory_equal(&state, &version.state, sizeof(state));
	assert_null(sd_jwt);
	fixture_version_free(&version);
}

static void
a_disclosure_is_an_array_of_salt_name_and_value(void **unused)
{
	static const struct
	{
		const char *json;
		HdmsStatus	status;
	}			cases[] = {
		{"[\"0123456789abcdefghijkl\",\"a\",1]", HDMS_OK}, {" [ \"0123456789abcdefghijkl\" , \"a\" , [ 1 ] ] ", HDMS_OK},
		{"[\"0123456789abcdefghijk\",\"a\",1]", HDMS_BAD_FORMAT},
		{"[\"\\u0030\\u0030\\u0030\\u0030\",\"a\",1]", HDMS_BAD_FORMAT},
		{"[\"0123456789abcdefghijkl\",1]", HDMS_BAD_FORMAT}, {"[\"0123456789abcdefghijkl\",\"a\"]", HDMS_BAD_FORMAT},
		{"[\"0123456789abcdefghijkl\",\"a\",1,2]", HDMS_BAD_FORMAT}, {"[]", HDMS_BAD_FORMAT}, {"7", HDMS_BAD_FORMAT},
		{"[\"0123456789abcdefghijkl\",7,1]", HDMS_BAD_FORMAT}, {"[12345678901234567890123456,\"a\",1]", HDMS_BAD_FORMAT},
		{"{\"x\":\"0123456789abcdefghijkl\",\"y\":\"a\",\"z\":1}", HDMS_BAD_FORMAT},
		{"[\"0123456789abcdefghijkl\",\"a\",1", HDMS_BAD_JSON}, {"[\"0123456789abcdefghijkl\",\"a\",1]]", HDMS_BAD_JSON},
		{"[\"0123456789abcdefghijkl\",\"a\",{\"b\":1,\"b\":1}]", HDMS_BAD_JSON},
		{"[\"0123456789abcdefghijkl\",\"_sd\",1]", HDMS_RESERVED_MEMBER},
		{"[\"0123456789abcdefghijkl\",\"_sd_\\u0061lg\",1]", HDMS_RESERVED_MEMBER},
		{"[\"0123456789abcdefghijkl\",\"...\",1]", HDMS_RESERVED_MEMBER},
		{"[\"0123456789abcdefghijkl\",\"a\",{\"_sd\":[]}]", HDMS_RESERVED_MEMBER},
		{"[\"0123456789abcdefghijkl\",\"a\",[{\"...\":1}]]", HDMS_RESERVED_MEMBER},
	};

	(void) unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HdmsStatus	status = parse_disclosed(cases[i].json);

		if (status != cases[i].status)
			fail_msg("%s: %s", cases[i].json, hdms_status_word(status));
	}
}

static void
a_member_name_occurs_once_however_it_is_spelled(void **unused)
{
	char	   *disclosures[3];
	char	   *sd_jwt;

	(void) unused;
	disclosures[0] = disclosure_of("[\"0123456789abcdefghijkl\",\"name\",1]");
	disclosures[1] = disclosure_of("[\"0123456789abcdefghijkl\",\"other\",2]");
	disclosures[2] = disclosure_of("[\"lkjihgfedcba9876543210\",\"n\\u0061me\",2]");
	sd_jwt = state_with(disclosures, 2);
	assert_int_equal(parse(sd_jwt, true), HDMS_OK);
	free(sd_jwt);
	sd_jwt = state_with(disclosures, 3);
	assert_int_equal(parse(sd_jwt, true), HDMS_BAD_FORMAT);
	free(sd_jwt);
	for (int i = 0; i < 3; i++)
		free(disclosures[i]);
}

static void
disclosures_and_digests_match_one_to_one(void **unused)
{
	char	   *disclosures[4];
	char	   *sd_jwt;
	char	   *altered;
	size_t		len;

	(void) unused;
	disclosures[0] = disclosure_of("[\"0123456789abcdefghijkl\",\"a\",1]");
	disclosures[1] = disclosure_of("[\"0123456789abcdefghijkl\",\"b\",2]");
	disclosures[2] = disclosure_of("[\"0123456789abcdefghijkl\",\"c\",3]");
	disclosures[3] = disclosures[2];
	sd_jwt = state_with(disclosures, 3);
	len = strlen(sd_jwt);
	assert_int_equal(parse(sd_jwt, true), HDMS_OK);

	/* one that the JWT does not know, then none at all, then one less */
	altered = forge_join(sd_jwt, "WyIwMTIzNDU2Nzg5YWJjZGVmZ2hpamtsIiwiZCIsNF0", "~");
	assert_int_equal(parse(altered, false), HDMS_DIGEST_MISMATCH);
	free(altered);
	altered = strndup(sd_jwt, strchr(sd_jwt, '~') + 1 - sd_jwt);
	assert_int_equal(parse(altered, true), HDMS_DIGEST_MISMATCH);
	assert_int_equal(parse(altered, false), HDMS_OK);
	free(altered);
	altered = strndup(sd_jwt, len - strlen(disclosures[2]) - 1);
	assert_int_equal(parse(altered, true), HDMS_DIGEST_MISMATCH);
	assert_int_equal(parse(altered, false), HDMS_OK);
	free(altered);

	/* the same twice; without the last "~"; an empty one; a key binding */
	altered = forge_join(sd_jwt, disclosures[0], "~");
	assert_int_not_equal(parse(altered, false), HDMS_OK);
	free(altered);
	altered = strndup(sd_jwt, len - 1);
	assert_int_equal(parse(altered, false), HDMS_BAD_FORMAT);
	free(altered);
	altered = forge_join(sd_jwt, "~", "");
	assert_int_not_equal(parse(altered, false), HDMS_OK);
	free(altered);
	altered = forge_join(sd_jwt, "a.b.c", "");
	assert_int_equal(parse(altered, false), HDMS_BAD_FORMAT);
	free(altered);
	assert_int_not_equal(parse("", false), HDMS_OK);
	assert_int_not_equal(parse("~", false), HDMS_OK);
	assert_int_not_equal(parse("~~~~", false), HDMS_OK);
	free(sd_jwt);
	for (int i = 0; i < 3; i++)
		free(disclosures[i]);
}

static void
digests_that_are_not_ascending_are_refused(void **unused)
{
	static const char *const lists[] = {
		"{\"_sd\":[\"BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]}",
		"{\"_sd\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]}",
	};
	FixtureVersion version;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	for (int i = 0; i < 2; i++)
	{
		char	   *altered = forge_altered(version.sd_jwt, strlen(version.sd_jwt) - 1, "content", lists[i],
											fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_STATE);
		char	   *forged = forge_join(altered, "~", "");

		assert_int_equal(parse(forged, false), HDMS_BAD_CLAIM);
		free(altered);
		free(forged);
	}
	fixture_version_free(&version);
}

static void
flipping_any_bit_of_a_state_breaks_it(void **unused)
{
	FixtureVersion version;
	size_t		len;

	(void) unused;
	fixture_issue(&fixture, NULL, "{\"a\":1,\"b\":\"two\"}", &version);
	len = strlen(version.sd_jwt);
	for (size_t i = 0; i < len; i++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			HdmsState	state;

			version.sd_jwt[i] ^= 1 << bit;
			assert_int_not_equal(hdms_state_verify(version.sd_jwt, len, true, fixture.institution[0].history, fixture.now,
												   &state), HDMS_OK);
			version.sd_jwt[i] ^= 1 << bit;
		}
	}
	assert_int_equal(parse(version.sd_jwt, true), HDMS_OK);
	fixture_version_free(&version);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_gives_its_content_back_byte_for_byte),
		cmocka_unit_test(an_empty_object_is_content),
		cmocka_unit_test(what_is_parsed_is_what_was_built),
		cmocka_unit_test(a_state_may_say_which_record_it_replaces),
		cmocka_unit_test(the_verification_key_is_the_digest_of_the_jwt_alone),
		cmocka_unit_test(each_member_has_a_salt_of_its_own_and_nothing_in_the_clear),
		cmocka_unit_test(a_state_of_either_suite_verifies_with_its_issuers_key),
		cmocka_unit_test(a_state_signed_by_anybody_else_in_the_issuers_name_is_refused),
		cmocka_unit_test(a_former_key_counts_only_for_its_own_time),
		cmocka_unit_test(a_claim_that_is_missing_wrong_or_unknown_is_refused),
		cmocka_unit_test(nobody_issues_records_to_itself),
		cmocka_unit_test(what_a_verifier_would_refuse_is_never_signed),
		cmocka_unit_test(a_disclosure_is_an_array_of_salt_name_and_value),
		cmocka_unit_test(a_member_name_occurs_once_however_it_is_spelled),
		cmocka_unit_test(disclosures_and_digests_match_one_to_one),
		cmocka_unit_test(digests_that_are_not_ascending_are_refused),
		cmocka_unit_test(flipping_any_bit_of_a_state_breaks_it),
	};

	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
