/*
 * test_history.c
 *		Key histories: who can change a node's keys, and which key counts when.
 *
 * Hostile entries are made by signing claims that hdms_history_create() and
 * hdms_history_extend() would refuse to make.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history.h"
#include "message.h"

#define T0		1767225600

/* Enough keys for every test: making them is slow under the sanitizers. */
enum
{
	SIG_A, SIG_B, SIG_C, ENC_A, ENC_B, VRF_A, VRF_B, REC_A, REC_B, REC_C, EC_COUNT
};
static HdmsKey *ec[EC_COUNT];
static HdmsKey *rsa;
static HdmsKey *ed[3];

static int
make_keys(void **state)
{
	(void) state;
	for (int i = 0; i < EC_COUNT; i++)
		assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &ec[i]), HDMS_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &ed[i]), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 2048, &rsa), HDMS_OK);
	return 0;
}

static int
free_keys(void **state)
{
	(void) state;
	for (int i = 0; i < EC_COUNT; i++)
		hdms_key_free(ec[i]);
	for (int i = 0; i < 3; i++)
		hdms_key_free(ed[i]);
	hdms_key_free(rsa);
	return 0;
}

static HdmsNodeKeys
person_keys(int sig, int enc, int vrf, int recovery)
{
	HdmsNodeKeys keys = {.recovery = ec[recovery]};

	keys.role[HDMS_ROLE_SIGN] = ec[sig];
	keys.role[HDMS_ROLE_ENCRYPT] = ec[enc];
	keys.role[HDMS_ROLE_VRF] = ec[vrf];
	return keys;
}

static HdmsNodeKeys
institution_keys(void)
{
	HdmsNodeKeys keys = {.recovery = ec[REC_A]};

	keys.role[HDMS_ROLE_SIGN] = ec[SIG_A];
	keys.role[HDMS_ROLE_ENCRYPT] = rsa;
	keys.role[HDMS_ROLE_LOG] = ed[0];
	keys.role[HDMS_ROLE_COSIGNER] = ed[1];
	return keys;
}

/* Parses, frees the text, and must succeed. */
static HdmsHistory *
parsed(char *json)
{
	HdmsHistory *history = NULL;

	assert_int_equal(hdms_history_parse(json, strlen(json), &history), HDMS_OK);
	free(json);
	return history;
}

static HdmsHistory *
person(void)
{
	HdmsNodeKeys keys = person_keys(SIG_A, ENC_A, VRF_A, REC_A);
	char	   *json = NULL;

	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_OK);
	return parsed(json);
}

/* The history one entry longer; the shorter one is freed. */
static HdmsHistory *
extended(HdmsHistory *history, HdmsNodeKeys keys, int signer, const char *revoked, int64_t since, int64_t now)
{
	char	   *json = NULL;

	assert_int_equal(hdms_history_extend(history, &keys, ec[signer], revoked, since, now, &json), HDMS_OK);
	hdms_history_free(history);
	return parsed(json);
}

static json_t *
jwk_object(const HdmsKey *key, bool with_private)
{
	char	   *jwk = NULL;
	json_t	   *object;

	assert_int_equal(hdms_key_to_jwk(key, with_private, &jwk), HDMS_OK);
	object = json_loads(jwk, 0, NULL);
	hdms_string_wipe(jwk);
	return object;
}

/* The claims of a person's good first entry, to be spoiled. */
static json_t *
first_claims(void)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:{s:o, s:o, s:o}, s:s}", "iss", hdms_key_thumbprint(ec[SIG_A]), "seq", 0,
					 "iat", (json_int_t) T0, "kind", "person", "keys", "sig", jwk_object(ec[SIG_A], false),
					 "enc", jwk_object(ec[ENC_A], false), "vrf", jwk_object(ec[VRF_A], false),
					 "recovery", hdms_key_thumbprint(ec[REC_A]));
}

/* The claims of a good second entry: a new signing key. */
static json_t *
second_claims(const HdmsHistory *history)
{
	const char *entry = hdms_history_entry(history, 0);
	char		prev[HDMS_DIGEST_TEXT + 1];

	assert_int_equal(hdms_sha256_text(entry, strlen(entry), prev), HDMS_OK);
	return json_pack("{s:s, s:i, s:I, s:s, s:{s:o, s:o, s:o}, s:s}", "iss", hdms_history_node_id(history), "seq", 1,
					 "iat", (json_int_t) (T0 + 100), "prev", prev, "keys", "sig", jwk_object(ec[SIG_B], false),
					 "enc", jwk_object(ec[ENC_A], false), "vrf", jwk_object(ec[VRF_A], false),
					 "recovery", hdms_key_thumbprint(ec[REC_A]));
}

/* What parsing says about the history (NULL: none) with one more entry of these claims; drops the claims. */
static HdmsStatus
judged_as(const HdmsHistory *history, json_t *claims, const HdmsKey *signer, bool header_jwk, const char *typ)
{
	char	   *jws = NULL;
	char	   *json = NULL;
	HdmsHistory *result = NULL;
	HdmsStatus	status;

	assert_non_null(claims);
	assert_int_equal(hdms_jws_sign_claims(signer, typ, header_jwk, claims, &jws), HDMS_OK);
	if (history == NULL)
		assert_true(asprintf(&json, "[\"%s\"]", jws) > 0);
	else
		assert_true(asprintf(&json, "[\"%s\",\"%s\"]", hdms_history_entry(history, 0), jws) > 0);
	status = hdms_history_parse(json, strlen(json), &result);
	assert_true((status == HDMS_OK) == (result != NULL));
	hdms_history_free(result);
	free(json);
	free(jws);
	json_decref(claims);
	return status;
}

static HdmsStatus
judged(const HdmsHistory *history, json_t *claims, int signer, bool header_jwk)
{
	return judged_as(history, claims, ec[signer], header_jwk, HDMS_TYP_KEYS);
}

/* Claims with one member set; takes the value. */
static json_t *
with(json_t *claims, const char *name, json_t *value)
{
	assert_int_equal(json_object_set_new(claims, name, value), 0);
	return claims;
}

static json_t *
without(json_t *claims, const char *name)
{
	assert_int_equal(json_object_del(claims, name), 0);
	return claims;
}

static json_t *
with_key(json_t *claims, const char *role, json_t *jwk)
{
	with(json_object_get(claims, "keys"), role, jwk);
	return claims;
}

static void
a_persons_history_tells_kind_keys_and_commitment(void **state)
{
	HdmsHistory *history = person();

	(void) state;
	assert_string_equal(hdms_history_node_id(history), hdms_key_thumbprint(ec[SIG_A]));
	assert_int_equal(hdms_history_kind(history), HDMS_PERSON);
	assert_string_equal(hdms_history_name(history), "");
	assert_int_equal(hdms_history_length(history), 1);
	assert_string_equal(hdms_history_recovery(history), hdms_key_thumbprint(ec[REC_A]));
	assert_string_equal(hdms_key_thumbprint(hdms_history_current(history, HDMS_ROLE_SIGN)), hdms_key_thumbprint(ec[SIG_A]));
	assert_string_equal(hdms_key_thumbprint(hdms_history_current(history, HDMS_ROLE_ENCRYPT)), hdms_key_thumbprint(ec[ENC_A]));
	assert_string_equal(hdms_key_thumbprint(hdms_history_current(history, HDMS_ROLE_VRF)), hdms_key_thumbprint(ec[VRF_A]));
	assert_null(hdms_history_current(history, HDMS_ROLE_LOG));
	assert_null(hdms_history_current(history, HDMS_ROLE_COSIGNER));
	assert_false(hdms_key_is_private(hdms_history_current(history, HDMS_ROLE_SIGN)));
	assert_null(strstr(hdms_history_json(history), "\"d\""));
	assert_null(hdms_history_entry(history, 1));
	assert_null(hdms_history_entry(history, -1));
	hdms_history_free(history);
}

static void
an_institutions_history_may_mix_both_suites_and_has_a_name(void **state)
{
	HdmsNodeKeys keys = institution_keys();
	HdmsHistory *history;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_history_create(HDMS_INSTITUTION, "Charit\xc3\xa9 \xe2\x80\x93 \"Mitte\"", &keys, T0, &json), HDMS_OK);
	history = parsed(json);
	assert_int_equal(hdms_history_kind(history), HDMS_INSTITUTION);
	assert_string_equal(hdms_history_name(history), "Charit\xc3\xa9 \xe2\x80\x93 \"Mitte\"");
	assert_int_equal(hdms_key_type(hdms_history_current(history, HDMS_ROLE_ENCRYPT)), HDMS_KEY_RSA);
	assert_string_equal(hdms_key_thumbprint(hdms_history_current(history, HDMS_ROLE_LOG)), hdms_key_thumbprint(ed[0]));
	assert_string_equal(hdms_key_thumbprint(hdms_history_current(history, HDMS_ROLE_COSIGNER)), hdms_key_thumbprint(ed[1]));
	assert_null(hdms_history_current(history, HDMS_ROLE_VRF));
	hdms_history_free(history);
}

static void
names_that_mislead_are_refused(void **state)
{
	static const char *const names[] = {
		"", "a\nb", "a\tb", "a\x7f", "a\xc2\x85", "a\xe2\x80\xae" "b", "a\xe2\x80\xa8" "b", "a\xe2\x81\xa6" "b", "a\xd8\x9c" "b", "\xff", "\xed\xa0\x80"
	};
	HdmsNodeKeys keys = institution_keys();
	char		longest[HDMS_NAME_MAX + 2];
	char	   *json = NULL;

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_not_equal(hdms_history_create(HDMS_INSTITUTION, names[i], &keys, T0, &json), HDMS_OK);
	memset(longest, 'n', sizeof(longest));
	longest[HDMS_NAME_MAX + 1] = '\0';
	assert_int_equal(hdms_history_create(HDMS_INSTITUTION, longest, &keys, T0, &json), HDMS_BAD_CLAIM);
	assert_null(json);
	longest[HDMS_NAME_MAX] = '\0';
	assert_int_equal(hdms_history_create(HDMS_INSTITUTION, longest, &keys, T0, &json), HDMS_OK);
	free(json);
}

static void
a_history_is_not_made_of_missing_or_surplus_or_unfit_keys(void **state)
{
	HdmsNodeKeys keys = person_keys(SIG_A, ENC_A, VRF_A, REC_A);
	HdmsKey    *public = NULL;
	char	   *jwk = NULL;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_history_create(HDMS_PERSON, "name", &keys, T0, &json), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_history_create(HDMS_INSTITUTION, "name", &keys, T0, &json), HDMS_BAD_ARGUMENT);
	keys.role[HDMS_ROLE_LOG] = ed[0];
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_ARGUMENT);
	keys.role[HDMS_ROLE_LOG] = NULL;
	keys.role[HDMS_ROLE_VRF] = NULL;
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_ARGUMENT);
	keys.role[HDMS_ROLE_VRF] = rsa;
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_KEY);
	keys = person_keys(SIG_A, ENC_A, VRF_A, REC_A);
	keys.recovery = NULL;
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_ARGUMENT);
	keys.recovery = ed[0];
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_KEY);
	keys = person_keys(SIG_A, ENC_A, VRF_A, REC_A);
	assert_int_equal(hdms_key_to_jwk(ec[SIG_A], false, &jwk), HDMS_OK);
	assert_int_equal(hdms_key_from_jwk(jwk, strlen(jwk), &public), HDMS_OK);
	keys.role[HDMS_ROLE_SIGN] = public;
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_KEY);
	assert_null(json);
	hdms_key_free(public);
	free(jwk);
}

static void
one_key_in_two_roles_is_refused(void **state)
{
	HdmsNodeKeys keys;
	char	   *json = NULL;

	(void) state;
	keys = person_keys(SIG_A, SIG_A, VRF_A, REC_A);
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_KEY);
	keys = person_keys(SIG_A, ENC_A, ENC_A, REC_A);
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_KEY);
	keys = person_keys(SIG_A, ENC_A, VRF_A, SIG_A);
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_KEY);
	keys = person_keys(SIG_A, ENC_A, VRF_A, VRF_A);
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_BAD_KEY);
	keys = institution_keys();
	keys.role[HDMS_ROLE_COSIGNER] = keys.role[HDMS_ROLE_LOG];
	assert_int_equal(hdms_history_create(HDMS_INSTITUTION, "H", &keys, T0, &json), HDMS_BAD_KEY);
	assert_null(json);
}

static void
the_good_claims_that_the_next_tests_spoil_are_accepted(void **state)
{
	HdmsHistory *history = person();

	(void) state;
	assert_int_equal(judged(NULL, first_claims(), SIG_A, false), HDMS_OK);
	assert_int_equal(judged(history, second_claims(history), SIG_A, false), HDMS_OK);
	hdms_history_free(history);
}

static void
a_first_entry_with_wrong_claims_is_refused(void **state)
{
	(void) state;
	assert_int_equal(judged(NULL, first_claims(), SIG_B, false), HDMS_UNKNOWN_KEY);
	assert_int_equal(judged(NULL, first_claims(), SIG_A, true), HDMS_BAD_CHAIN);
	assert_int_equal(judged_as(NULL, first_claims(), ec[SIG_A], false, HDMS_TYP_COMMIT), HDMS_BAD_TYPE);
	assert_int_equal(judged(NULL, with(first_claims(), "iss", json_string(hdms_key_thumbprint(ec[SIG_B]))), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "seq", json_integer(1)), SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(NULL, with(first_claims(), "iat", json_integer(0)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "iat", json_integer(-5)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "iat", json_integer(INT64_MAX)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "iat", json_string("now")), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "kind", json_string("robot")), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "kind", json_string("institution")), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "name", json_string("Me")), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "prev", json_string(hdms_key_thumbprint(ec[REC_B]))), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "revoked", json_pack("{s:i}", hdms_key_thumbprint(ec[SIG_B]), 5)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "extra", json_true()), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with(first_claims(), "recovery", json_string("short")), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, without(first_claims(), "recovery"), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, without(first_claims(), "keys"), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, without(first_claims(), "kind"), SIG_A, false), HDMS_BAD_CLAIM);
}

static void
a_first_entry_with_wrong_keys_is_refused(void **state)
{
	json_t	   *jwk;

	(void) state;
	assert_int_equal(judged(NULL, with_key(first_claims(), "log", jwk_object(ed[0], false)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with_key(first_claims(), "other", jwk_object(ed[0], false)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with_key(first_claims(), "enc", json_string("key")), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(NULL, with_key(first_claims(), "enc", jwk_object(ed[0], false)), SIG_A, false), HDMS_BAD_KEY);
	assert_int_equal(judged(NULL, with_key(first_claims(), "vrf", jwk_object(rsa, false)), SIG_A, false), HDMS_BAD_KEY);
	assert_int_equal(judged(NULL, with_key(first_claims(), "enc", jwk_object(ec[ENC_A], true)), SIG_A, false), HDMS_BAD_KEY);
	jwk = with(jwk_object(ec[ENC_A], false), "use", json_string("enc"));
	assert_int_equal(judged(NULL, with_key(first_claims(), "enc", jwk), SIG_A, false), HDMS_BAD_KEY);
	jwk = with(jwk_object(ec[ENC_A], false), "x", json_string(hdms_key_thumbprint(ec[ENC_A])));
	assert_int_equal(judged(NULL, with_key(first_claims(), "enc", jwk), SIG_A, false), HDMS_BAD_KEY);
}

static void
only_the_signing_key_or_the_recovery_key_can_add_an_entry(void **state)
{
	HdmsHistory *history = person();

	(void) state;
	assert_int_equal(judged(history, second_claims(history), SIG_B, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, second_claims(history), SIG_B, true), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, second_claims(history), ENC_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, second_claims(history), REC_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, second_claims(history), REC_B, true), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, second_claims(history), SIG_A, true), HDMS_BAD_CHAIN);

	/* A stranger's key as recovery key, with all that a recovery must say. */
	assert_int_equal(judged(history, with(second_claims(history), "recovery", json_string(hdms_key_thumbprint(ec[REC_B]))), REC_C, true), HDMS_BAD_CHAIN);
	hdms_history_free(history);
}

static void
the_recovery_key_must_commit_to_another_one_and_the_signing_key_cannot(void **state)
{
	HdmsHistory *history = person();
	json_t	   *other = json_string(hdms_key_thumbprint(ec[REC_B]));

	(void) state;
	assert_int_equal(judged(history, with(second_claims(history), "recovery", json_incref(other)), REC_A, true), HDMS_OK);
	assert_int_equal(judged(history, second_claims(history), REC_A, true), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, with(second_claims(history), "recovery", json_incref(other)), SIG_A, false), HDMS_BAD_CHAIN);
	json_decref(other);
	hdms_history_free(history);
}

static void
a_later_entry_that_does_not_link_up_is_refused(void **state)
{
	HdmsHistory *history = person();
	json_t	   *claims;

	(void) state;
	claims = with(second_claims(history), "prev", json_string(hdms_key_thumbprint(ec[SIG_C])));
	assert_int_equal(judged(history, claims, SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, without(second_claims(history), "prev"), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(history, with(second_claims(history), "seq", json_integer(2)), SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, with(second_claims(history), "seq", json_integer(0)), SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, with(second_claims(history), "iat", json_integer(T0 - 1)), SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, with(second_claims(history), "iat", json_integer(T0)), SIG_A, false), HDMS_OK);
	assert_int_equal(judged(history, with(second_claims(history), "kind", json_string("person")), SIG_A, false), HDMS_BAD_CLAIM);
	claims = with(second_claims(history), "iss", json_string(hdms_key_thumbprint(ec[SIG_B])));
	assert_int_equal(judged(history, claims, SIG_A, false), HDMS_BAD_CLAIM);
	hdms_history_free(history);
}

static void
a_vrf_key_never_changes(void **state)
{
	HdmsHistory *history = person();
	HdmsNodeKeys keys = person_keys(SIG_B, ENC_B, VRF_B, REC_B);
	char	   *json = NULL;

	(void) state;
	assert_int_equal(judged(history, with_key(second_claims(history), "vrf", jwk_object(ec[VRF_B], false)), SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(hdms_history_extend(history, &keys, ec[REC_A], NULL, 0, T0 + 5, &json), HDMS_BAD_CHAIN);
	assert_null(json);
	hdms_history_free(history);
}

static void
a_key_neither_comes_back_nor_changes_its_role(void **state)
{
	HdmsHistory *history = extended(person(), person_keys(SIG_B, ENC_B, VRF_A, REC_A), SIG_A, NULL, 0, T0 + 100);
	HdmsNodeKeys keys;
	char	   *json = NULL;

	(void) state;
	keys = person_keys(SIG_A, ENC_B, VRF_A, REC_A);
	assert_int_equal(hdms_history_extend(history, &keys, ec[SIG_B], NULL, 0, T0 + 200, &json), HDMS_BAD_KEY);
	keys = person_keys(SIG_C, ENC_A, VRF_A, REC_A);
	assert_int_equal(hdms_history_extend(history, &keys, ec[SIG_B], NULL, 0, T0 + 200, &json), HDMS_BAD_KEY);
	keys = person_keys(ENC_A, ENC_B, VRF_A, REC_A);
	assert_int_equal(hdms_history_extend(history, &keys, ec[SIG_B], NULL, 0, T0 + 200, &json), HDMS_BAD_KEY);
	keys = person_keys(REC_A, ENC_B, VRF_A, REC_B);
	assert_int_equal(hdms_history_extend(history, &keys, ec[REC_A], NULL, 0, T0 + 200, &json), HDMS_BAD_KEY);
	keys = person_keys(SIG_C, ENC_B, VRF_A, SIG_A);
	assert_int_equal(hdms_history_extend(history, &keys, ec[REC_A], NULL, 0, T0 + 200, &json), HDMS_BAD_KEY);
	assert_null(json);

	/* A recovery key that was revealed is used up. */
	history = extended(history, person_keys(SIG_C, ENC_B, VRF_A, REC_B), REC_A, NULL, 0, T0 + 200);
	keys = person_keys(SIG_C, ENC_B, VRF_A, REC_A);
	assert_int_equal(hdms_history_extend(history, &keys, ec[REC_B], NULL, 0, T0 + 300, &json), HDMS_BAD_KEY);
	assert_null(json);
	hdms_history_free(history);
}

static void
recovery_takes_the_node_back_from_whoever_holds_the_signing_key(void **state)
{
	HdmsHistory *history = person();
	char	   *node = strdup(hdms_history_node_id(history));

	(void) state;
	/* The thief rotates to a key of his own; the owner's recovery key still rules. */
	history = extended(history, person_keys(SIG_B, ENC_B, VRF_A, REC_A), SIG_A, NULL, 0, T0 + 100);
	history = extended(history, person_keys(SIG_C, ENC_B, VRF_A, REC_B), REC_A, hdms_key_thumbprint(ec[SIG_B]), T0 + 100, T0 + 200);
	assert_string_equal(hdms_history_node_id(history), node);
	assert_string_equal(hdms_history_recovery(history), hdms_key_thumbprint(ec[REC_B]));
	assert_string_equal(hdms_key_thumbprint(hdms_history_current(history, HDMS_ROLE_SIGN)), hdms_key_thumbprint(ec[SIG_C]));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, hdms_key_thumbprint(ec[SIG_B]), T0 + 150));
	free(node);
	hdms_history_free(history);
}

static void
extending_needs_the_right_private_key_and_keeps_the_commitment(void **state)
{
	HdmsHistory *history = person();
	HdmsNodeKeys keys = person_keys(SIG_B, ENC_A, VRF_A, REC_A);
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_history_extend(history, &keys, ec[SIG_B], NULL, 0, T0, &json), HDMS_BAD_KEY);
	assert_int_equal(hdms_history_extend(history, &keys, hdms_history_current(history, HDMS_ROLE_SIGN), NULL, 0, T0, &json), HDMS_BAD_KEY);
	assert_int_equal(hdms_history_extend(history, &keys, ec[REC_A], NULL, 0, T0, &json), HDMS_BAD_ARGUMENT);
	keys.recovery = ec[REC_B];
	assert_int_equal(hdms_history_extend(history, &keys, ec[SIG_A], NULL, 0, T0, &json), HDMS_BAD_ARGUMENT);
	assert_null(json);
	keys.recovery = NULL;
	history = extended(history, keys, SIG_A, NULL, 0, T0 + 1);
	assert_string_equal(hdms_history_recovery(history), hdms_key_thumbprint(ec[REC_A]));
	hdms_history_free(history);
}

static void
a_clock_that_went_back_does_not_keep_a_node_from_rotating(void **state)
{
	HdmsHistory *history = extended(person(), person_keys(SIG_B, ENC_A, VRF_A, REC_A), SIG_A, NULL, 0, T0 - 5000);

	(void) state;
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, hdms_key_thumbprint(ec[SIG_B]), T0));
	hdms_history_free(history);
}

static void
a_key_counts_from_its_entry_to_its_successors_with_the_skew_of_clocks(void **state)
{
	HdmsHistory *history = extended(person(), person_keys(SIG_B, ENC_A, VRF_A, REC_A), SIG_A, NULL, 0, T0 + 100000);
	const char *a = hdms_key_thumbprint(ec[SIG_A]);
	const char *b = hdms_key_thumbprint(ec[SIG_B]);
	const char *enc = hdms_key_thumbprint(ec[ENC_A]);

	(void) state;
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 - HDMS_CLOCK_SKEW - 1));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 - HDMS_CLOCK_SKEW));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 100000 + HDMS_CLOCK_SKEW));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 100000 + HDMS_CLOCK_SKEW + 1));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, b, T0 + 100000 - HDMS_CLOCK_SKEW - 1));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, b, T0 + 100000 - HDMS_CLOCK_SKEW));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, b, INT64_MAX));

	/* A key that stays through a rotation of another counts all along. */
	assert_non_null(hdms_history_find(history, HDMS_ROLE_ENCRYPT, enc, T0 + 99999));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_ENCRYPT, enc, T0 + 500000));
	assert_null(hdms_history_find(history, HDMS_ROLE_ENCRYPT, enc, T0 - HDMS_CLOCK_SKEW - 1));

	/* Time 0 asks for the current key. */
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, 0));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, b, 0));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_ENCRYPT, enc, 0));

	/* Never in another role, never at a senseless time, never an unknown key. */
	assert_null(hdms_history_find(history, HDMS_ROLE_ENCRYPT, b, 0));
	assert_null(hdms_history_find(history, HDMS_ROLE_LOG, b, 0));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, b, -1));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, hdms_key_thumbprint(ec[SIG_C]), T0));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, "", T0));

	assert_non_null(hdms_history_find_ever(history, HDMS_ROLE_SIGN, a));
	assert_non_null(hdms_history_find_ever(history, HDMS_ROLE_SIGN, b));
	assert_null(hdms_history_find_ever(history, HDMS_ROLE_SIGN, enc));
	hdms_history_free(history);
}

static void
a_revoked_key_counts_only_before_its_revocation(void **state)
{
	const char *a = hdms_key_thumbprint(ec[SIG_A]);
	HdmsHistory *history = extended(person(), person_keys(SIG_B, ENC_A, VRF_A, REC_A), SIG_A, a, T0 + 4000, T0 + 9000);

	(void) state;
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 3999));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 4000));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 8999));
	assert_non_null(hdms_history_find_ever(history, HDMS_ROLE_SIGN, a));

	/* A later entry can move the revocation forward in time no more, only backward. */
	history = extended(history, person_keys(SIG_C, ENC_A, VRF_A, REC_A), SIG_B, a, T0 + 8000, T0 + 9500);
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 4000));
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 3999));
	hdms_history_free(history);
}

static void
a_revocation_does_not_reach_back_further_than_a_week(void **state)
{
	HdmsHistory *history = person();
	HdmsNodeKeys keys = person_keys(SIG_B, ENC_A, VRF_A, REC_A);
	const char *a = hdms_key_thumbprint(ec[SIG_A]);
	const int64_t now = T0 + 3 * HDMS_REVOCATION_REACH;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_history_extend(history, &keys, ec[SIG_A], a, now - HDMS_REVOCATION_REACH - 1, now, &json), HDMS_BAD_CLAIM);
	assert_null(json);
	history = extended(history, keys, SIG_A, a, now - HDMS_REVOCATION_REACH, now);
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, now - HDMS_REVOCATION_REACH - 1));
	assert_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, now - HDMS_REVOCATION_REACH));
	hdms_history_free(history);
}

static void
a_message_by_a_replaced_key_must_be_from_before_and_arrive_in_time(void **state)
{
	const char *a = hdms_key_thumbprint(ec[SIG_A]);
	const char *b = hdms_key_thumbprint(ec[SIG_B]);
	HdmsHistory *history = extended(person(), person_keys(SIG_B, ENC_A, VRF_A, REC_A), SIG_A, NULL, 0, T0 + 9000);
	const int64_t late = T0 + 9000 + HDMS_REPLACED_KEY_LIFE;

	(void) state;
	assert_non_null(hdms_history_sender(history, a, T0 + 5, T0 + 5));
	assert_non_null(hdms_history_sender(history, a, T0 + 5, late));
	assert_null(hdms_history_sender(history, a, T0 + 5, late + 1));
	assert_null(hdms_history_sender(history, a, T0 + 9000 + HDMS_CLOCK_SKEW + 1, T0 + 9000 + HDMS_CLOCK_SKEW + 1));
	assert_null(hdms_history_sender(history, a, 0, T0 + 5));
	assert_non_null(hdms_history_sender(history, b, T0 + 9000, late + HDMS_REPLACED_KEY_LIFE));
	assert_null(hdms_history_sender(history, hdms_key_thumbprint(ec[ENC_A]), T0 + 5, T0 + 5));
	hdms_history_free(history);
}

static void
a_revoked_key_makes_no_message_whatever_time_it_claims(void **state)
{
	const char *a = hdms_key_thumbprint(ec[SIG_A]);
	HdmsHistory *history = extended(person(), person_keys(SIG_B, ENC_A, VRF_A, REC_A), SIG_A, a, T0 + 4000, T0 + 9000);

	(void) state;
	assert_non_null(hdms_history_find(history, HDMS_ROLE_SIGN, a, T0 + 5));
	assert_null(hdms_history_sender(history, a, T0 + 5, T0 + 5));
	assert_non_null(hdms_history_sender(history, hdms_key_thumbprint(ec[SIG_B]), T0 + 9000, T0 + 9000));
	hdms_history_free(history);
}

static void
revocations_of_unknown_or_current_keys_or_in_the_future_are_refused(void **state)
{
	HdmsHistory *history = person();
	const char *a = hdms_key_thumbprint(ec[SIG_A]);

	(void) state;
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:i}", a, T0 + 100)), SIG_A, false), HDMS_OK);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:i}", a, T0 + 101)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:i}", a, -1)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:s}", a, "now")), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_object()), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("[s]", a)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:i}", "short", T0)), SIG_A, false), HDMS_BAD_CLAIM);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:i}", hdms_key_thumbprint(ec[SIG_B]), T0)), SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:i}", hdms_key_thumbprint(ec[ENC_A]), T0)), SIG_A, false), HDMS_BAD_CHAIN);
	assert_int_equal(judged(history, with(second_claims(history), "revoked", json_pack("{s:i}", hdms_key_thumbprint(ec[SIG_C]), T0)), SIG_A, false), HDMS_BAD_CHAIN);
	hdms_history_free(history);
}

static void
what_is_no_array_of_entries_is_refused(void **state)
{
	HdmsHistory *history = person();
	const char *entry = hdms_history_entry(history, 0);
	HdmsHistory *result = NULL;
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_history_parse("", 0, &result), HDMS_BAD_JSON);
	assert_int_equal(hdms_history_parse("[]", 2, &result), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_history_parse("{}", 2, &result), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_history_parse("[1]", 3, &result), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_history_parse("[null]", 6, &result), HDMS_BAD_FORMAT);
	assert_int_not_equal(hdms_history_parse("[\"\"]", 4, &result), HDMS_OK);
	assert_int_not_equal(hdms_history_parse("[\"a.b.c\"]", 9, &result), HDMS_OK);
	assert_true(asprintf(&json, "[\"%s\"]x", entry) > 0);
	assert_int_equal(hdms_history_parse(json, strlen(json), &result), HDMS_BAD_JSON);
	free(json);
	assert_true(asprintf(&json, "[\"%s\",\"%s\"]", entry, entry) > 0);
	assert_int_not_equal(hdms_history_parse(json, strlen(json), &result), HDMS_OK);
	free(json);
	assert_null(result);
	hdms_history_free(history);
}

static void
white_space_around_entries_does_not_change_a_history(void **state)
{
	HdmsHistory *history = person();
	char	   *json = NULL;
	HdmsHistory *other;

	(void) state;
	assert_true(asprintf(&json, " [\n  \"%s\"\n]\n", hdms_history_entry(history, 0)) > 0);
	other = parsed(json);
	assert_string_equal(hdms_history_json(other), hdms_history_json(history));
	hdms_history_free(other);
	hdms_history_free(history);
}

static void
a_history_has_at_most_256_entries(void **state)
{
	char	   *json = malloc(257 * 5 + 3);
	size_t		len = 0;
	HdmsHistory *result = NULL;

	(void) state;
	json[len++] = '[';
	for (int i = 0; i <= HDMS_HISTORY_MAX_ENTRIES; i++)
		len += (size_t) sprintf(json + len, "%s\"x\"", i > 0 ? "," : "");
	json[len++] = ']';
	assert_int_equal(hdms_history_parse(json, len, &result), HDMS_TOO_LARGE);
	assert_null(result);
	free(json);
}

static void
an_entry_has_at_most_16_kilobytes(void **state)
{
	char		filler[13000];

	(void) state;
	memset(filler, 'f', sizeof(filler));
	filler[12999] = '\0';
	assert_int_equal(judged(NULL, with(first_claims(), "extra", json_string(filler)), SIG_A, false), HDMS_TOO_LARGE);
	filler[10000] = '\0';
	assert_int_equal(judged(NULL, with(first_claims(), "extra", json_string(filler)), SIG_A, false), HDMS_BAD_CLAIM);
}

static void
histories_are_equal_continue_each_other_or_fork(void **state)
{
	HdmsHistory *one = person();
	char	   *json = strdup(hdms_history_json(one));
	HdmsHistory *same = parsed(json);
	HdmsNodeKeys keys = person_keys(SIG_B, ENC_A, VRF_A, REC_A);
	HdmsHistory *two;
	HdmsHistory *fork;
	HdmsHistory *stranger;

	(void) state;
	assert_int_equal(hdms_history_extend(one, &keys, ec[SIG_A], NULL, 0, T0 + 10, &json), HDMS_OK);
	two = parsed(json);
	keys = person_keys(SIG_C, ENC_A, VRF_A, REC_A);
	assert_int_equal(hdms_history_extend(one, &keys, ec[SIG_A], NULL, 0, T0 + 10, &json), HDMS_OK);
	fork = parsed(json);
	keys = person_keys(SIG_B, ENC_B, VRF_B, REC_B);
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &keys, T0, &json), HDMS_OK);
	stranger = parsed(json);

	assert_int_equal(hdms_history_compare(one, same), 0);
	assert_int_equal(hdms_history_compare(one, two), -1);
	assert_int_equal(hdms_history_compare(two, one), 1);
	assert_int_equal(hdms_history_compare(two, two), 0);
	assert_int_equal(hdms_history_compare(two, fork), 2);
	assert_int_equal(hdms_history_compare(one, stranger), 2);
	assert_int_equal(hdms_history_compare(stranger, two), 2);

	hdms_history_free(one);
	hdms_history_free(same);
	hdms_history_free(two);
	hdms_history_free(fork);
	hdms_history_free(stranger);
}

static void
a_second_signature_over_the_same_entry_is_no_fork(void **state)
{
	HdmsHistory *one = person();
	HdmsHistory *two = person();

	(void) state;
	assert_string_not_equal(hdms_history_json(one), hdms_history_json(two));
	assert_int_equal(hdms_history_compare(one, two), 0);
	hdms_history_free(one);
	hdms_history_free(two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_persons_history_tells_kind_keys_and_commitment),
		cmocka_unit_test(an_institutions_history_may_mix_both_suites_and_has_a_name),
		cmocka_unit_test(names_that_mislead_are_refused),
		cmocka_unit_test(a_history_is_not_made_of_missing_or_surplus_or_unfit_keys),
		cmocka_unit_test(one_key_in_two_roles_is_refused),
		cmocka_unit_test(the_good_claims_that_the_next_tests_spoil_are_accepted),
		cmocka_unit_test(a_first_entry_with_wrong_claims_is_refused),
		cmocka_unit_test(a_first_entry_with_wrong_keys_is_refused),
		cmocka_unit_test(only_the_signing_key_or_the_recovery_key_can_add_an_entry),
		cmocka_unit_test(the_recovery_key_must_commit_to_another_one_and_the_signing_key_cannot),
		cmocka_unit_test(a_later_entry_that_does_not_link_up_is_refused),
		cmocka_unit_test(a_vrf_key_never_changes),
		cmocka_unit_test(a_key_neither_comes_back_nor_changes_its_role),
		cmocka_unit_test(recovery_takes_the_node_back_from_whoever_holds_the_signing_key),
		cmocka_unit_test(extending_needs_the_right_private_key_and_keeps_the_commitment),
		cmocka_unit_test(a_clock_that_went_back_does_not_keep_a_node_from_rotating),
		cmocka_unit_test(a_key_counts_from_its_entry_to_its_successors_with_the_skew_of_clocks),
		cmocka_unit_test(a_revoked_key_counts_only_before_its_revocation),
		cmocka_unit_test(a_revocation_does_not_reach_back_further_than_a_week),
		cmocka_unit_test(a_message_by_a_replaced_key_must_be_from_before_and_arrive_in_time),
		cmocka_unit_test(a_revoked_key_makes_no_message_whatever_time_it_claims),
		cmocka_unit_test(revocations_of_unknown_or_current_keys_or_in_the_future_are_refused),
		cmocka_unit_test(what_is_no_array_of_entries_is_refused),
		cmocka_unit_test(white_space_around_entries_does_not_change_a_history),
		cmocka_unit_test(a_history_has_at_most_256_entries),
		cmocka_unit_test(an_entry_has_at_most_16_kilobytes),
		cmocka_unit_test(histories_are_equal_continue_each_other_or_fork),
		cmocka_unit_test(a_second_signature_over_the_same_entry_is_no_fork),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
