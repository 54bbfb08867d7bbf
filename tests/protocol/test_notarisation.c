/*
 * test_notarisation.c
 *		The draw and the notary request: neither side can choose the notary, nor a request say what is not so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "forge.h"

static Fixture fixture;			/* P-256 */
static Fixture rsa;

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
verify_at(const Fixture *from, const char *request, const char *prev_request, int64_t time, HdmsRequest *out)
{
	return hdms_request_verify(request, strlen(request), from->institution[0].history, from->patient.history, &from->list,
							   prev_request, time, out);
}

static HdmsStatus
verify(const char *request, const char *prev_request)
{
	return verify_at(&fixture, request, prev_request, fixture.now, NULL);
}

/* A skip of that notary for that version, by institution 0. */
static char *
skip_of(const Fixture *from, const HdmsState *state, const char *notary)
{
	HdmsSkip	skip = {.iat = from->now};
	char	   *jws = NULL;

	strcpy(skip.iss, state->iss);
	strcpy(skip.sub, state->sub);
	strcpy(skip.vk, state->vk);
	strcpy(skip.notary, notary);
	FIXTURE_OK(hdms_skip_sign(&skip, from->institution[0].key[HDMS_ROLE_SIGN], &jws));
	return jws;
}

/* A request past the given skips. */
static HdmsStatus
request_past(const FixtureVersion *version, const char *const *skips, size_t count, char **request, const HdmsNotary **notary)
{
	return hdms_request_first(&version->state, version->commit, version->acceptance, &fixture.list, skips, count,
							  fixture.patient.key[HDMS_ROLE_VRF], fixture.patient.key[HDMS_ROLE_SIGN], fixture.now, request, notary);
}

static void
the_draw_orders_all_notaries_but_the_issuer_by_their_score(void **unused)
{
	unsigned char output[HDMS_VRF_OUTPUT_SIZE] = {7};
	unsigned char input[9 + HDMS_VRF_OUTPUT_SIZE + HDMS_DIGEST_TEXT] = "hdms-draw";
	unsigned char score[2][HDMS_DIGEST_SIZE];
	const HdmsNotary *order[FIXTURE_INSTITUTIONS];
	size_t		count;

	(void) unused;
	assert_int_equal(hdms_draw(&fixture.list, output, fixture.institution[0].id, order, &count), HDMS_OK);
	assert_int_equal(count, 2);
	memcpy(input + 9, output, sizeof(output));
	for (int i = 0; i < 2; i++)
	{
		assert_string_not_equal(order[i]->node, fixture.institution[0].id);
		memcpy(input + 9 + sizeof(output), order[i]->node, HDMS_DIGEST_TEXT);
		FIXTURE_OK(hdms_sha256(input, sizeof(input), score[i]));
	}
	assert_true(memcmp(score[0], score[1], HDMS_DIGEST_SIZE) > 0);
	assert_int_equal(hdms_draw(&fixture.list, output, fixture.patient.id, order, &count), HDMS_OK);
	assert_int_equal(count, 3);
}

static void
each_notary_is_drawn_sometimes(void **unused)
{
	int			drawn[FIXTURE_INSTITUTIONS] = {0};

	(void) unused;
	for (int i = 0; i < 256; i++)
	{
		unsigned char output[HDMS_VRF_OUTPUT_SIZE];
		const HdmsNotary *order[FIXTURE_INSTITUTIONS];
		size_t		count;

		FIXTURE_OK(hdms_sha256(&i, sizeof(i), output));
		FIXTURE_OK(hdms_draw(&fixture.list, output, fixture.institution[0].id, order, &count));
		drawn[fixture_which(&fixture, order[0]->node)]++;
	}
	assert_int_equal(drawn[0], 0);
	assert_true(drawn[1] > 64 && drawn[2] > 64);
}

static void
a_first_request_of_either_suite_verifies(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		FixtureVersion version;
		HdmsRequest request,
					peeked;
		unsigned char digest[HDMS_DIGEST_SIZE];
		char		acceptance[HDMS_DIGEST_TEXT + 1];

		fixture_issue(both[i], NULL, "{\"a\":1}", &version);
		fixture_accept(both[i], NULL, &version);
		assert_int_equal(verify_at(both[i], version.request, NULL, both[i]->now, &request), HDMS_OK);
		assert_int_equal(verify_at(both[i], version.request, NULL, 0, &request), HDMS_OK);
		assert_string_equal(request.iss, both[i]->patient.id);
		assert_string_equal(request.aud, version.notary);
		assert_string_equal(request.prev, "");
		assert_string_equal(request.commit.vk, version.state.vk);
		FIXTURE_OK(hdms_sha256(version.request, strlen(version.request), digest));
		assert_memory_equal(request.digest, digest, sizeof(digest));
		FIXTURE_OK(hdms_sha256_text(version.acceptance, strlen(version.acceptance), acceptance));
		assert_string_equal(request.acceptance, acceptance);
		assert_int_equal(hdms_request_peek(version.request, strlen(version.request), &peeked), HDMS_OK);
		assert_memory_equal(&request, &peeked, sizeof(request));
		fixture_version_free(&version);
	}
}

static void
a_later_request_goes_to_the_same_notary(void **unused)
{
	Fixture    *both[] = {&fixture, &rsa};

	(void) unused;
	for (int i = 0; i < 2; i++)
	{
		FixtureVersion versions[3];
		HdmsRequest request;

		fixture_version(both[i], NULL, "{\"a\":1}", &versions[0]);
		fixture_version(both[i], &versions[0], "{\"a\":2}", &versions[1]);
		fixture_version(both[i], &versions[1], "{\"a\":3}", &versions[2]);
		assert_int_equal(verify_at(both[i], versions[2].request, versions[1].request, both[i]->now, &request), HDMS_OK);
		assert_string_equal(request.aud, versions[0].notary);
		assert_int_equal(hdms_request_verify(versions[2].request, strlen(versions[2].request), both[i]->institution[0].history,
											 both[i]->patient.history, NULL, versions[1].request, both[i]->now, NULL), HDMS_OK);
		for (int k = 0; k < 3; k++)
			fixture_version_free(&versions[k]);
	}
}

static void
a_later_request_must_follow_its_predecessor(void **unused)
{
	FixtureVersion first,
				second,
				other;
	int			elsewhere;
	char	   *request = NULL;
	char	   *aud;

	(void) unused;
	fixture_version(&fixture, NULL, "{\"a\":1}", &first);
	fixture_version(&fixture, NULL, "{\"b\":1}", &other);
	fixture_version(&fixture, &first, "{\"a\":2}", &second);
	assert_int_equal(verify(second.request, first.request), HDMS_OK);
	assert_int_equal(verify(second.request, NULL), HDMS_BAD_CHAIN);
	assert_int_equal(verify(first.request, first.request), HDMS_BAD_CHAIN);
	assert_int_equal(verify(second.request, other.request), HDMS_DIGEST_MISMATCH);

	/* a digest that is right for a predecessor whose vk is not the one that the tag is made of */
	{
		char		digest[HDMS_DIGEST_TEXT + 1];
		char	   *quoted;

		FIXTURE_OK(hdms_sha256_text(other.request, strlen(other.request), digest));
		quoted = forge_quoted(digest);
		request = forge_altered(second.request, strlen(second.request), "prev", quoted, fixture.patient.key[HDMS_ROLE_SIGN],
								HDMS_TYP_NOTARISE);
		assert_int_equal(verify(request, other.request), HDMS_BAD_CHAIN);
		free(quoted);
		free(request);
	}

	/* another notary than before */
	elsewhere = strcmp(first.notary, fixture.institution[1].id) == 0 ? 2 : 1;
	aud = forge_quoted(fixture.institution[elsewhere].id);
	request = forge_altered(second.request, strlen(second.request), "aud", aud, fixture.patient.key[HDMS_ROLE_SIGN],
							HDMS_TYP_NOTARISE);
	assert_int_equal(verify(request, first.request), HDMS_BAD_DRAW);
	free(request);
	free(aud);

	request = NULL;
	assert_int_equal(hdms_request_next(&second.state, second.commit, second.acceptance, other.request, second.notary,
									   fixture.patient.key[HDMS_ROLE_SIGN], fixture.now, &request), HDMS_BAD_CHAIN);
	assert_int_equal(hdms_request_next(&second.state, second.commit, second.acceptance, first.request,
									   fixture.institution[elsewhere].id, fixture.patient.key[HDMS_ROLE_SIGN], fixture.now,
									   &request), HDMS_BAD_DRAW);
	assert_null(request);
	fixture_version_free(&first);
	fixture_version_free(&second);
	fixture_version_free(&other);
}

static void
a_silent_notary_is_passed_over_with_the_issuers_skip(void **unused)
{
	FixtureVersion version,
				other;
	const HdmsNotary *notary = NULL;
	char	   *skips[2];
	char	   *past = NULL;
	char	   *none = NULL;
	HdmsRequest request;

	(void) unused;
	fixture_issue(&fixture, NULL, "{\"a\":1}", &version);
	fixture_accept(&fixture, NULL, &version);
	fixture_issue(&fixture, NULL, "{\"a\":1}", &other);
	skips[0] = skip_of(&fixture, &version.state, version.notary);
	assert_int_equal(request_past(&version, (const char *const *) skips, 1, &past, &notary), HDMS_OK);
	assert_string_not_equal(notary->node, version.notary);
	assert_int_equal(verify_at(&fixture, past, NULL, fixture.now, &request), HDMS_OK);
	assert_string_equal(request.aud, notary->node);

	/* all are silent */
	skips[1] = skip_of(&fixture, &version.state, notary->node);
	assert_int_equal(request_past(&version, (const char *const *) skips, 2, &none, NULL), HDMS_BAD_DRAW);
	assert_null(none);
	free(skips[0]);
	free(past);

	/* a skip that concerns another version, or a notary that would not have been drawn, changes nothing */
	skips[0] = skip_of(&fixture, &other.state, version.notary);
	assert_int_equal(request_past(&version, (const char *const *) skips, 2, &past, &notary), HDMS_OK);
	assert_string_equal(notary->node, version.notary);
	assert_int_equal(verify(past, NULL), HDMS_OK);
	free(past);
	free(skips[0]);
	free(skips[1]);
	fixture_version_free(&version);
	fixture_version_free(&other);
}

/* What verification says of the version's request with other skips and receiver. */
static HdmsStatus
verify_with_skips(const FixtureVersion *version, const char *skips_json, const char *aud)
{
	json_t	   *claims = forge_claims(version->request, strlen(version->request));
	char	   *quoted = forge_quoted(aud);
	char	   *forged;
	HdmsStatus	status;

	forge_set(claims, "skips", skips_json);
	forge_set(claims, "aud", quoted);
	forged = forge_sign(fixture.patient.key[HDMS_ROLE_SIGN], HDMS_TYP_NOTARISE, claims);
	status = verify(forged, NULL);
	json_decref(claims);
	free(quoted);
	free(forged);
	return status;
}

static void
skips_are_exactly_the_notaries_ranked_higher_in_order(void **unused)
{
	FixtureVersion version,
				other;
	const char *first,
			   *second;
	char	   *skip[5];
	char	   *json = NULL;

	(void) unused;
	fixture_issue(&fixture, NULL, "{\"a\":1}", &version);
	fixture_accept(&fixture, NULL, &version);
	fixture_issue(&fixture, NULL, "{\"a\":1}", &other);
	first = version.notary;
	second = fixture.institution[fixture_which(&fixture, first) == 1 ? 2 : 1].id;
	skip[0] = skip_of(&fixture, &version.state, first);
	skip[1] = skip_of(&fixture, &version.state, second);
	skip[2] = skip_of(&fixture, &other.state, first);
	skip[4] = forge_altered(skip[0], strlen(skip[0]), "sub", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
							fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_SKIP);
	skip[3] = forge_altered(skip[0], strlen(skip[0]), "iat", "9", fixture.patient.key[HDMS_ROLE_SIGN], HDMS_TYP_SKIP);

	assert_int_equal(verify_with_skips(&version, NULL, first), HDMS_OK);
	assert_int_equal(verify_with_skips(&version, NULL, second), HDMS_BAD_DRAW);
	assert_int_equal(verify_with_skips(&version, NULL, fixture.institution[0].id), HDMS_BAD_DRAW);
	assert_int_equal(verify_with_skips(&version, NULL, fixture.patient.id), HDMS_BAD_DRAW);

	assert_true(asprintf(&json, "[\"%s\"]", skip[0]) > 0);
	assert_int_equal(verify_with_skips(&version, json, second), HDMS_OK);
	assert_int_equal(verify_with_skips(&version, json, first), HDMS_BAD_DRAW);
	free(json);
	assert_true(asprintf(&json, "[\"%s\"]", skip[1]) > 0);
	assert_int_equal(verify_with_skips(&version, json, first), HDMS_BAD_DRAW);
	assert_int_equal(verify_with_skips(&version, json, second), HDMS_BAD_DRAW);
	free(json);
	assert_true(asprintf(&json, "[\"%s\",\"%s\"]", skip[0], skip[1]) > 0);
	assert_int_equal(verify_with_skips(&version, json, second), HDMS_BAD_DRAW);
	assert_int_equal(verify_with_skips(&version, json, first), HDMS_BAD_DRAW);
	free(json);
	assert_true(asprintf(&json, "[\"%s\"]", skip[2]) > 0);
	assert_int_equal(verify_with_skips(&version, json, second), HDMS_BAD_CHAIN);
	free(json);
	assert_true(asprintf(&json, "[\"%s\"]", skip[3]) > 0);
	assert_int_equal(verify_with_skips(&version, json, second), HDMS_UNKNOWN_KEY);
	free(json);
	assert_true(asprintf(&json, "[\"%s\"]", skip[4]) > 0);
	assert_int_equal(verify_with_skips(&version, json, second), HDMS_BAD_CHAIN);
	free(json);
	assert_int_equal(verify_with_skips(&version, "[]", first), HDMS_BAD_CLAIM);
	assert_int_equal(verify_with_skips(&version, "[1]", second), HDMS_BAD_CLAIM);
	assert_int_equal(verify_with_skips(&version, "{}", first), HDMS_BAD_CLAIM);
	assert_int_not_equal(verify_with_skips(&version, "[\"a.b.c\"]", second), HDMS_OK);
	for (int i = 0; i < 5; i++)
		free(skip[i]);
	fixture_version_free(&version);
	fixture_version_free(&other);
}

static void
a_claim_that_is_missing_wrong_or_unknown_is_refused(void **unused)
{
	static const struct
	{
		const char *name;
		const char *json;
		bool		later;
	}			cases[] = {
		{"iss", NULL, false}, {"aud", NULL, false}, {"iat", NULL, false}, {"commit", NULL, false}, {"acceptance", NULL, false},
		{"seed", NULL, false}, {"vrf", NULL, false}, {"proof", NULL, false}, {"prev", NULL, true},
		{"iss", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", false}, {"commit", "\"\"", false}, {"commit", "\"a.b.c\"", false},
		{"acceptance", "\"x\"", false}, {"seed", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", false},
		{"seed", "\"AAAA\"", false}, {"vrf", "{}", false}, {"vrf", "\"x\"", false}, {"proof", "\"AAAA\"", false},
		{"prev", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", false},
		{"prev", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", true}, {"prev", "7", true},
		{"seed", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", true}, {"skips", "[]", true}, {"vrf", "{}", true},
		{"extra", "1", false}, {"extra", "1", true},
	};
	FixtureVersion versions[2];

	(void) unused;
	fixture_version(&fixture, NULL, "{}", &versions[0]);
	fixture_version(&fixture, &versions[0], "{}", &versions[1]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *request = versions[cases[i].later].request;
		HdmsRequest out = {.iat = 77};
		char	   *forged = forge_altered(request, strlen(request), cases[i].name, cases[i].json,
										   fixture.patient.key[HDMS_ROLE_SIGN], HDMS_TYP_NOTARISE);

		if (verify_at(&fixture, forged, cases[i].later ? versions[0].request : NULL, fixture.now, &out) == HDMS_OK)
			fail_msg("%s = %s", cases[i].name, cases[i].json != NULL ? cases[i].json : "nothing");
		assert_int_equal(out.iat, 77);
		free(forged);
	}
	fixture_version_free(&versions[0]);
	fixture_version_free(&versions[1]);
}

static void
the_vrf_key_is_the_one_that_the_commit_pins(void **unused)
{
	FixtureVersion version;
	HdmsKey    *other = NULL;
	char	   *jwk = NULL;
	char	   *forged;
	char	   *request = NULL;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	fixture_accept(&fixture, NULL, &version);
	FIXTURE_OK(hdms_key_generate(HDMS_KEY_P256, 0, &other));
	FIXTURE_OK(hdms_key_to_jwk(other, false, &jwk));
	forged = forge_altered(version.request, strlen(version.request), "vrf", jwk, fixture.patient.key[HDMS_ROLE_SIGN],
						   HDMS_TYP_NOTARISE);
	assert_int_equal(verify(forged, NULL), HDMS_UNKNOWN_KEY);
	free(forged);
	free(jwk);

	/* nor is its private half shown to a notary */
	FIXTURE_OK(hdms_key_to_jwk(fixture.patient.key[HDMS_ROLE_VRF], true, &jwk));
	forged = forge_altered(version.request, strlen(version.request), "vrf", jwk, fixture.patient.key[HDMS_ROLE_SIGN],
						   HDMS_TYP_NOTARISE);
	assert_int_equal(verify(forged, NULL), HDMS_BAD_KEY);
	assert_int_equal(hdms_request_first(&version.state, version.commit, version.acceptance, &fixture.list, NULL, 0, other,
										fixture.patient.key[HDMS_ROLE_SIGN], fixture.now, &request, NULL), HDMS_UNKNOWN_KEY);
	assert_null(request);
	free(forged);
	free(jwk);
	hdms_key_free(other);
	fixture_version_free(&version);
}

static void
a_proof_of_another_seed_is_refused(void **unused)
{
	FixtureVersion version;
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];
	char		text[HDMS_BASE64URL_SIZE(HDMS_VRF_PROOF_SIZE)];
	char	   *quoted;
	char	   *forged;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	fixture_accept(&fixture, NULL, &version);
	FIXTURE_OK(hdms_vrf_prove(fixture.patient.key[HDMS_ROLE_VRF], "grind", 5, proof, output));
	hdms_base64url_write(proof, sizeof(proof), text);
	quoted = forge_quoted(text);
	forged = forge_altered(version.request, strlen(version.request), "proof", quoted, fixture.patient.key[HDMS_ROLE_SIGN],
						   HDMS_TYP_NOTARISE);
	assert_int_equal(verify(forged, NULL), HDMS_BAD_PROOF);
	free(quoted);
	free(forged);
	fixture_version_free(&version);
}

/* The request with another commit inside, signed again by the patient. */
static char *
request_with_commit(const char *request, const char *commit)
{
	char	   *quoted = forge_quoted(commit);
	char	   *forged = forge_altered(request, strlen(request), "commit", quoted, fixture.patient.key[HDMS_ROLE_SIGN],
									   HDMS_TYP_NOTARISE);

	free(quoted);
	return forged;
}

static void
the_seed_is_the_one_that_the_tag_hides(void **unused)
{
	FixtureVersion version;
	HdmsCommit	commit;
	char	   *other_commit = NULL;
	char	   *forged;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	fixture_accept(&fixture, NULL, &version);
	FIXTURE_OK(hdms_commit_peek(version.commit, strlen(version.commit), &commit));
	commit.tag[0] ^= 1;
	FIXTURE_OK(hdms_commit_sign(&commit, fixture.institution[0].key[HDMS_ROLE_SIGN], &other_commit));
	forged = request_with_commit(version.request, other_commit);
	assert_int_equal(verify(forged, NULL), HDMS_DIGEST_MISMATCH);
	free(other_commit);
	free(forged);
	fixture_version_free(&version);
}

/* What verification says of a second request whose predecessor was that. */
static HdmsStatus
verify_after(const char *second, const char *prev_request)
{
	char		digest[HDMS_DIGEST_TEXT + 1];
	char	   *quoted;
	char	   *forged;
	HdmsStatus	status;

	FIXTURE_OK(hdms_sha256_text(prev_request, strlen(prev_request), digest));
	quoted = forge_quoted(digest);
	forged = forge_altered(second, strlen(second), "prev", quoted, fixture.patient.key[HDMS_ROLE_SIGN], HDMS_TYP_NOTARISE);
	status = verify(forged, prev_request);
	free(quoted);
	free(forged);
	return status;
}

static void
both_nodes_are_the_same_as_in_the_version_before(void **unused)
{
	static const char other_node[] = "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"";
	FixtureVersion first,
				second;
	char	   *prev;
	char	   *commit;

	(void) unused;
	fixture_version(&fixture, NULL, "{\"a\":1}", &first);
	fixture_version(&fixture, &first, "{\"a\":2}", &second);
	assert_int_equal(verify_after(second.request, first.request), HDMS_OK);

	prev = forge_altered(first.request, strlen(first.request), "iss", other_node, fixture.patient.key[HDMS_ROLE_SIGN],
						 HDMS_TYP_NOTARISE);
	assert_int_equal(verify_after(second.request, prev), HDMS_BAD_CHAIN);
	free(prev);

	commit = forge_altered(first.commit, strlen(first.commit), "iss", other_node, fixture.institution[0].key[HDMS_ROLE_SIGN],
						   HDMS_TYP_COMMIT);
	prev = request_with_commit(first.request, commit);
	assert_int_equal(verify_after(second.request, prev), HDMS_BAD_CHAIN);
	free(commit);
	free(prev);
	fixture_version_free(&first);
	fixture_version_free(&second);
}

static void
both_signatures_must_be_right(void **unused)
{
	FixtureVersion version;
	HdmsCommit	commit;
	char	   *forged_commit = NULL;
	char	   *forged;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	fixture_accept(&fixture, NULL, &version);
	forged = forge_altered(version.request, strlen(version.request), "iat", "5", fixture.institution[1].key[HDMS_ROLE_SIGN],
						   HDMS_TYP_NOTARISE);
	assert_int_equal(verify(forged, NULL), HDMS_UNKNOWN_KEY);
	free(forged);

	FIXTURE_OK(hdms_commit_peek(version.commit, strlen(version.commit), &commit));
	FIXTURE_OK(hdms_commit_sign(&commit, fixture.patient.key[HDMS_ROLE_SIGN], &forged_commit));
	forged = request_with_commit(version.request, forged_commit);
	assert_int_equal(verify(forged, NULL), HDMS_UNKNOWN_KEY);
	free(forged);
	free(forged_commit);

	/* the patient in somebody else's name, commit and all */
	strcpy(commit.sub, fixture.institution[2].id);
	FIXTURE_OK(hdms_commit_sign(&commit, fixture.institution[0].key[HDMS_ROLE_SIGN], &forged_commit));
	{
		char	   *with_commit = request_with_commit(version.request, forged_commit);
		char	   *iss = forge_quoted(fixture.institution[2].id);

		forged = forge_altered(with_commit, strlen(with_commit), "iss", iss, fixture.patient.key[HDMS_ROLE_SIGN],
							   HDMS_TYP_NOTARISE);
		assert_int_equal(verify(forged, NULL), HDMS_WRONG_SENDER);
		free(with_commit);
		free(iss);
		free(forged);
		free(forged_commit);
	}

	/* a commit about somebody else */
	strcpy(commit.sub, fixture.institution[2].id);
	FIXTURE_OK(hdms_commit_sign(&commit, fixture.institution[0].key[HDMS_ROLE_SIGN], &forged_commit));
	forged = request_with_commit(version.request, forged_commit);
	assert_int_equal(verify(forged, NULL), HDMS_BAD_CHAIN);
	free(forged);
	free(forged_commit);
	fixture_version_free(&version);
}

static void
the_pinned_list_is_used_while_it_is_fresh_enough(void **unused)
{
	Fixture		own;
	FixtureVersion version;
	char	   *request = NULL;

	(void) unused;
	fixture_open(&own, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_pin_list(&own, 3600);
	fixture_issue(&own, NULL, "{}", &version);
	fixture_accept(&own, NULL, &version);
	assert_int_equal(verify_at(&own, version.request, NULL, own.now + 3600, NULL), HDMS_OK);
	assert_int_equal(verify_at(&own, version.request, NULL, own.now + 3601, NULL), HDMS_EXPIRED);
	assert_int_equal(verify_at(&own, version.request, NULL, own.now - 300, NULL), HDMS_OK);

	/* a list from the future, though the keys are old enough */
	own.now += 2 * FIXTURE_DAY;
	fixture_version_free(&version);
	fixture_pin_list(&own, 3600);
	fixture_issue(&own, NULL, "{}", &version);
	fixture_accept(&own, NULL, &version);
	assert_int_equal(verify_at(&own, version.request, NULL, own.now - 300, NULL), HDMS_OK);
	assert_int_equal(verify_at(&own, version.request, NULL, own.now - 301, NULL), HDMS_NOT_YET_VALID);

	/* another list than the commit's */
	own.now += 5;
	fixture_pin_list(&own, 3600);
	assert_int_equal(verify_at(&own, version.request, NULL, own.now, NULL), HDMS_DIGEST_MISMATCH);
	assert_int_equal(hdms_request_first(&version.state, version.commit, version.acceptance, &own.list, NULL, 0,
										own.patient.key[HDMS_ROLE_VRF], own.patient.key[HDMS_ROLE_SIGN], own.now, &request, NULL),
					 HDMS_DIGEST_MISMATCH);
	assert_null(request);
	assert_int_equal(hdms_request_verify(version.request, strlen(version.request), own.institution[0].history,
										 own.patient.history, NULL, NULL, own.now, NULL), HDMS_BAD_ARGUMENT);
	fixture_version_free(&version);
	fixture_close(&own);
}

static void
a_request_is_only_made_for_the_states_own_commit(void **unused)
{
	FixtureVersion version,
				other;
	char	   *request = NULL;

	(void) unused;
	fixture_issue(&fixture, NULL, "{}", &version);
	fixture_accept(&fixture, NULL, &version);
	fixture_issue(&fixture, NULL, "{}", &other);
	assert_int_equal(hdms_request_first(&version.state, other.commit, version.acceptance, &fixture.list, NULL, 0,
										fixture.patient.key[HDMS_ROLE_VRF], fixture.patient.key[HDMS_ROLE_SIGN], fixture.now,
										&request, NULL), HDMS_DIGEST_MISMATCH);
	assert_null(request);
	fixture_version_free(&version);
	fixture_version_free(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_draw_orders_all_notaries_but_the_issuer_by_their_score),
		cmocka_unit_test(each_notary_is_drawn_sometimes),
		cmocka_unit_test(a_first_request_of_either_suite_verifies),
		cmocka_unit_test(a_later_request_goes_to_the_same_notary),
		cmocka_unit_test(a_later_request_must_follow_its_predecessor),
		cmocka_unit_test(a_silent_notary_is_passed_over_with_the_issuers_skip),
		cmocka_unit_test(skips_are_exactly_the_notaries_ranked_higher_in_order),
		cmocka_unit_test(a_claim_that_is_missing_wrong_or_unknown_is_refused),
		cmocka_unit_test(the_vrf_key_is_the_one_that_the_commit_pins),
		cmocka_unit_test(a_proof_of_another_seed_is_refused),
		cmocka_unit_test(the_seed_is_the_one_that_the_tag_hides),
		cmocka_unit_test(both_nodes_are_the_same_as_in_the_version_before),
		cmocka_unit_test(both_signatures_must_be_right),
		cmocka_unit_test(the_pinned_list_is_used_while_it_is_fresh_enough),
		cmocka_unit_test(a_request_is_only_made_for_the_states_own_commit),
	};

	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
