/*
 * test_admission.c
 *		Admissions, the list of notaries, and vouchers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admission.h"
#include "message.h"

#define T0		1767225600
#define UUID	"019b76da-a800-7000-8000-000000000001"

static HdmsKey *network;
static HdmsKey *other_network;
static HdmsKey *sign_key;
static HdmsKey *next_sign_key;
static HdmsKey *recovery_key;
static HdmsKey *log_keys[3];
static HdmsKey *enc_key;
static HdmsHistory *hospital;
static HdmsHistory *rotated_hospital;	/* the same with a new signing key from T0 + 100000 on, the old one revoked since T0 + 50000 */
static HdmsHistory *clinic;
static HdmsHistory *person;

static HdmsHistory *
parsed(char *json)
{
	HdmsHistory *history = NULL;

	assert_int_equal(hdms_history_parse(json, strlen(json), &history), HDMS_OK);
	free(json);
	return history;
}

static HdmsHistory *
make_node(HdmsNodeKind kind, const char *name, HdmsKey *sign, HdmsKey *recovery, HdmsKey *enc)
{
	HdmsNodeKeys keys = {.recovery = recovery};
	HdmsKey    *vrf = NULL;
	char	   *json = NULL;

	keys.role[HDMS_ROLE_SIGN] = sign;
	keys.role[HDMS_ROLE_ENCRYPT] = enc;
	if (kind == HDMS_PERSON)
	{
		assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &vrf), HDMS_OK);
		keys.role[HDMS_ROLE_VRF] = vrf;
	}
	else
	{
		keys.role[HDMS_ROLE_LOG] = log_keys[0];
		keys.role[HDMS_ROLE_COSIGNER] = log_keys[1];
	}
	assert_int_equal(hdms_history_create(kind, name, &keys, T0, &json), HDMS_OK);
	hdms_key_free(vrf);
	return parsed(json);
}

static int
make_network(void **state)
{
	HdmsNodeKeys keys = {0};
	char	   *json = NULL;

	(void) state;
	assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &network), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &other_network), HDMS_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &log_keys[i]), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &sign_key), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &next_sign_key), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &recovery_key), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &enc_key), HDMS_OK);
	hospital = make_node(HDMS_INSTITUTION, "Hospital", sign_key, recovery_key, enc_key);
	clinic = make_node(HDMS_INSTITUTION, "Clinic", next_sign_key, recovery_key, enc_key);
	person = make_node(HDMS_PERSON, NULL, sign_key, recovery_key, enc_key);
	keys.role[HDMS_ROLE_SIGN] = next_sign_key;
	keys.role[HDMS_ROLE_ENCRYPT] = enc_key;
	keys.role[HDMS_ROLE_LOG] = log_keys[0];
	keys.role[HDMS_ROLE_COSIGNER] = log_keys[1];
	keys.recovery = recovery_key;
	assert_int_equal(hdms_history_extend(hospital, &keys, sign_key, hdms_key_thumbprint(sign_key), T0 + 50000, T0 + 100000, &json), HDMS_OK);
	rotated_hospital = parsed(json);
	return 0;
}

static int
drop_network(void **state)
{
	(void) state;
	for (int i = 0; i < 3; i++)
		hdms_key_free(log_keys[i]);
	hdms_key_free(network);
	hdms_key_free(other_network);
	hdms_key_free(sign_key);
	hdms_key_free(next_sign_key);
	hdms_key_free(recovery_key);
	hdms_key_free(enc_key);
	hdms_history_free(hospital);
	hdms_history_free(rotated_hospital);
	hdms_history_free(clinic);
	hdms_history_free(person);
	return 0;
}

/* Signs claims, which it drops. */
static char *
signed_as(json_t *claims, const HdmsKey *key, const char *typ)
{
	char	   *jws = NULL;

	assert_non_null(claims);
	assert_int_equal(hdms_jws_sign_claims(key, typ, false, claims, &jws), HDMS_OK);
	json_decref(claims);
	return jws;
}

static json_t *
with(json_t *claims, const char *name, json_t *value)
{
	assert_int_equal(json_object_set_new(claims, name, value), 0);
	return claims;
}

static json_t *
admission_claims(void)
{
	const char *entry = hdms_history_entry(hospital, 0);
	char		digest[HDMS_DIGEST_TEXT + 1];

	assert_int_equal(hdms_sha256_text(entry, strlen(entry), digest), HDMS_OK);
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:b, s:s}", "iss", hdms_key_thumbprint(network), "sub", hdms_history_node_id(hospital),
					 "iat", T0, "kind", "institution", "name", "Hospital", "notary", 1, "entry", digest);
}

static HdmsStatus
admission_status(json_t *claims, const HdmsKey *signer, const char *typ)
{
	HdmsAdmission admission = {.iat = 42};
	char	   *jws = signed_as(claims, signer, typ);
	HdmsStatus	status = hdms_admission_verify(jws, strlen(jws), network, hospital, &admission);

	assert_true((status == HDMS_OK) == (admission.iat != 42));
	free(jws);
	return status;
}

static void
an_admission_admits_the_institution_it_names_also_after_its_keys_rotated(void **state)
{
	HdmsAdmission admission;
	char	   *jws = NULL;

	(void) state;
	assert_int_equal(hdms_admission_sign(network, hospital, true, T0, &jws), HDMS_OK);
	assert_int_equal(hdms_admission_verify(jws, strlen(jws), network, hospital, &admission), HDMS_OK);
	assert_string_equal(admission.node, hdms_history_node_id(hospital));
	assert_string_equal(admission.name, "Hospital");
	assert_true(admission.notary);
	assert_int_equal(admission.iat, T0);
	assert_int_equal(hdms_admission_verify(jws, strlen(jws), network, rotated_hospital, &admission), HDMS_OK);
	free(jws);
	assert_int_equal(hdms_admission_sign(network, hospital, false, T0, &jws), HDMS_OK);
	assert_int_equal(hdms_admission_verify(jws, strlen(jws), network, hospital, &admission), HDMS_OK);
	assert_false(admission.notary);
	free(jws);
}

static void
an_admission_admits_nobody_else(void **state)
{
	HdmsAdmission admission;
	char	   *jws = NULL;

	(void) state;
	assert_int_equal(hdms_admission_sign(network, hospital, true, T0, &jws), HDMS_OK);
	assert_int_equal(hdms_admission_verify(jws, strlen(jws), network, clinic, &admission), HDMS_NOT_ADMITTED);
	assert_int_equal(hdms_admission_verify(jws, strlen(jws), network, person, &admission), HDMS_NOT_ADMITTED);
	assert_int_equal(hdms_admission_verify(jws, strlen(jws), other_network, hospital, &admission), HDMS_UNKNOWN_KEY);
	assert_int_equal(hdms_admission_verify(jws, strlen(jws), sign_key, hospital, &admission), HDMS_BAD_KEY);
	free(jws);
	jws = NULL;
	assert_int_equal(hdms_admission_sign(network, person, true, T0, &jws), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_admission_sign(sign_key, hospital, true, T0, &jws), HDMS_BAD_KEY);
	assert_null(jws);
}

static void
an_admission_with_wrong_claims_is_refused(void **state)
{
	const char *elsewhere = hdms_history_node_id(clinic);

	(void) state;
	assert_int_equal(admission_status(admission_claims(), network, HDMS_TYP_ADMISSION), HDMS_OK);
	assert_int_equal(admission_status(admission_claims(), network, HDMS_TYP_NOTARIES), HDMS_BAD_TYPE);
	assert_int_equal(admission_status(admission_claims(), other_network, HDMS_TYP_ADMISSION), HDMS_UNKNOWN_KEY);
	assert_int_equal(admission_status(with(admission_claims(), "iss", json_string(elsewhere)), network, HDMS_TYP_ADMISSION), HDMS_BAD_CLAIM);
	assert_int_equal(admission_status(with(admission_claims(), "sub", json_string(elsewhere)), network, HDMS_TYP_ADMISSION), HDMS_NOT_ADMITTED);
	assert_int_equal(admission_status(with(admission_claims(), "entry", json_string(elsewhere)), network, HDMS_TYP_ADMISSION), HDMS_NOT_ADMITTED);
	assert_int_equal(admission_status(with(admission_claims(), "name", json_string("Spital")), network, HDMS_TYP_ADMISSION), HDMS_NOT_ADMITTED);
	assert_int_equal(admission_status(with(admission_claims(), "name", json_string("a\nb")), network, HDMS_TYP_ADMISSION), HDMS_BAD_CLAIM);
	assert_int_equal(admission_status(with(admission_claims(), "kind", json_string("person")), network, HDMS_TYP_ADMISSION), HDMS_BAD_CLAIM);
	assert_int_equal(admission_status(with(admission_claims(), "notary", json_integer(1)), network, HDMS_TYP_ADMISSION), HDMS_BAD_CLAIM);
	assert_int_equal(admission_status(with(admission_claims(), "extra", json_integer(1)), network, HDMS_TYP_ADMISSION), HDMS_BAD_CLAIM);
}

/* count notaries whose node ids are the log keys' thumbprints, in no order. */
static void
make_notaries(HdmsNotary *notaries, int count)
{
	memset(notaries, 0, (size_t) count * sizeof(*notaries));
	for (int i = 0; i < count; i++)
	{
		strcpy(notaries[i].node, hdms_key_thumbprint(log_keys[i]));
		snprintf(notaries[i].name, sizeof(notaries[i].name), "Notary %d", i);
		notaries[i].log = log_keys[i];
	}
}

static void
a_list_of_notaries_is_sorted_found_in_and_known_by_its_digest(void **state)
{
	HdmsNotary	notaries[3];
	HdmsNotaryList list = {0};
	char		digest[HDMS_DIGEST_TEXT + 1];
	char	   *jws = NULL;

	(void) state;
	make_notaries(notaries, 3);
	assert_int_equal(hdms_notaries_sign(network, notaries, 3, 86400, T0, &jws), HDMS_OK);
	assert_int_equal(hdms_notaries_parse(jws, strlen(jws), network, &list), HDMS_OK);
	assert_int_equal(hdms_sha256_text(jws, strlen(jws), digest), HDMS_OK);
	assert_string_equal(list.digest, digest);
	assert_string_equal(list.jws, jws);
	assert_int_equal(list.iat, T0);
	assert_int_equal(list.max_age, 86400);
	assert_int_equal(list.count, 3);
	for (int i = 0; i < 3; i++)
	{
		const HdmsNotary *found = hdms_notaries_find(&list, notaries[i].node);

		if (i > 0)
			assert_true(strcmp(list.notaries[i - 1].node, list.notaries[i].node) < 0);
		assert_non_null(found);
		assert_string_equal(found->name, notaries[i].name);
		assert_string_equal(hdms_key_thumbprint(found->log), hdms_key_thumbprint(log_keys[i]));
		assert_false(hdms_key_is_private(found->log));
	}
	assert_null(hdms_notaries_find(&list, hdms_key_thumbprint(network)));
	assert_null(hdms_notaries_find(&list, ""));
	hdms_notaries_free(&list);
	assert_null(list.notaries);
	free(jws);
}

static void
a_list_without_notaries_is_a_list(void **state)
{
	HdmsNotaryList list = {0};
	char	   *jws = NULL;

	(void) state;
	assert_int_equal(hdms_notaries_sign(network, NULL, 0, 86400, T0, &jws), HDMS_OK);
	assert_int_equal(hdms_notaries_parse(jws, strlen(jws), network, &list), HDMS_OK);
	assert_int_equal(list.count, 0);
	assert_null(hdms_notaries_find(&list, hdms_history_node_id(hospital)));
	hdms_notaries_free(&list);
	free(jws);
}

static void
a_list_that_nobody_would_accept_is_not_signed(void **state)
{
	HdmsNotary	notaries[3];
	char	   *jws = NULL;

	(void) state;
	make_notaries(notaries, 3);
	strcpy(notaries[2].node, notaries[0].node);
	assert_int_equal(hdms_notaries_sign(network, notaries, 3, 86400, T0, &jws), HDMS_BAD_CLAIM);
	make_notaries(notaries, 3);
	notaries[2].log = log_keys[0];
	assert_int_equal(hdms_notaries_sign(network, notaries, 3, 86400, T0, &jws), HDMS_BAD_KEY);
	notaries[2].log = sign_key;
	assert_int_equal(hdms_notaries_sign(network, notaries, 3, 86400, T0, &jws), HDMS_BAD_KEY);
	make_notaries(notaries, 3);
	strcpy(notaries[1].node, "short");
	assert_int_equal(hdms_notaries_sign(network, notaries, 3, 86400, T0, &jws), HDMS_BAD_ARGUMENT);
	make_notaries(notaries, 3);
	strcpy(notaries[1].name, "a\tb");
	assert_int_equal(hdms_notaries_sign(network, notaries, 3, 86400, T0, &jws), HDMS_BAD_ARGUMENT);
	make_notaries(notaries, 3);
	assert_int_equal(hdms_notaries_sign(network, notaries, 3, 0, T0, &jws), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_notaries_sign(sign_key, notaries, 3, 86400, T0, &jws), HDMS_BAD_KEY);
	assert_null(jws);
}

static json_t *
notary_member(const char *node, const HdmsKey *log, bool with_private)
{
	char	   *jwk = NULL;
	json_t	   *object;

	assert_int_equal(hdms_key_to_jwk(log, with_private, &jwk), HDMS_OK);
	object = json_pack("{s:s, s:s, s:o}", "node", node, "name", "N", "log", json_loads(jwk, 0, NULL));
	hdms_string_wipe(jwk);
	return object;
}

static HdmsStatus
list_status(json_t *notaries, json_t *max_age, const HdmsKey *signer, const char *typ)
{
	json_t	   *claims = json_pack("{s:s, s:i, s:o, s:o}", "iss", hdms_key_thumbprint(network), "iat", T0, "max_age", max_age, "notaries", notaries);
	char	   *jws = signed_as(claims, signer, typ);
	HdmsNotaryList list = {0};
	HdmsStatus	status = hdms_notaries_parse(jws, strlen(jws), network, &list);

	assert_true((status == HDMS_OK) == (list.notaries != NULL));
	hdms_notaries_free(&list);
	free(jws);
	return status;
}

static void
a_list_out_of_order_or_with_wrong_members_is_refused(void **state)
{
	static const char low[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	static const char high[] = "zAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	json_t	   *spoiled;

	(void) state;
	assert_int_equal(list_status(json_pack("[o, o]", notary_member(low, log_keys[0], false), notary_member(high, log_keys[1], false)),
								 json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_OK);
	assert_int_equal(list_status(json_pack("[o, o]", notary_member(high, log_keys[0], false), notary_member(low, log_keys[1], false)),
								 json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_pack("[o, o]", notary_member(low, log_keys[0], false), notary_member(low, log_keys[1], false)),
								 json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_pack("[o, o]", notary_member(low, log_keys[0], false), notary_member(high, log_keys[0], false)),
								 json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_KEY);
	assert_int_equal(list_status(json_pack("[o]", notary_member(low, log_keys[0], true)), json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_KEY);
	assert_int_equal(list_status(json_pack("[o]", notary_member(low, sign_key, false)), json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_KEY);
	spoiled = with(notary_member(low, log_keys[0], false), "extra", json_true());
	assert_int_equal(list_status(json_pack("[o]", spoiled), json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	spoiled = with(notary_member(low, log_keys[0], false), "log", json_string("key"));
	assert_int_equal(list_status(json_pack("[o]", spoiled), json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_pack("[s]", low), json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_object(), json_integer(9), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_array(), json_integer(0), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_array(), json_integer(-9), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_array(), json_integer(INT64_MAX), network, HDMS_TYP_NOTARIES), HDMS_BAD_CLAIM);
	assert_int_equal(list_status(json_array(), json_integer(9), other_network, HDMS_TYP_NOTARIES), HDMS_UNKNOWN_KEY);
	assert_int_equal(list_status(json_array(), json_integer(9), network, HDMS_TYP_ADMISSION), HDMS_BAD_TYPE);
}

static HdmsVoucher
example_voucher(int64_t iat)
{
	HdmsVoucher voucher = {.iat = iat, .exp = iat + 900, .jti = UUID};

	strcpy(voucher.iss, hdms_history_node_id(hospital));
	return voucher;
}

/* What verifying says about a voucher signed by key. */
static HdmsStatus
voucher_status(const HdmsVoucher *voucher, const HdmsKey *key, const HdmsHistory *institution, int64_t now)
{
	HdmsVoucher result = {.iat = 42};
	char	   *jws = NULL;
	HdmsStatus	status;

	assert_int_equal(hdms_voucher_sign(key, voucher, &jws), HDMS_OK);
	status = hdms_voucher_verify(jws, strlen(jws), institution, now, &result);
	assert_true((status == HDMS_OK) == (result.iat != 42));
	free(jws);
	return status;
}

static void
a_voucher_says_after_verifying_what_was_signed(void **state)
{
	HdmsVoucher voucher = example_voucher(T0);
	HdmsVoucher result;
	char	   *jws = NULL;

	(void) state;
	for (int is_named = 0; is_named < 2; is_named++)
	{
		if (is_named)
			strcpy(voucher.sub, hdms_history_node_id(clinic));
		assert_int_equal(hdms_voucher_sign(sign_key, &voucher, &jws), HDMS_OK);
		assert_int_equal(hdms_voucher_peek(jws, strlen(jws), &result), HDMS_OK);
		assert_memory_equal(&result, &voucher, sizeof(voucher));
		memset(&result, 0, sizeof(result));
		assert_int_equal(hdms_voucher_verify(jws, strlen(jws), hospital, T0 + 60, &result), HDMS_OK);
		assert_memory_equal(&result, &voucher, sizeof(voucher));
		free(jws);
	}
}

static void
a_voucher_counts_from_its_iat_until_its_exp(void **state)
{
	HdmsVoucher voucher = example_voucher(T0);

	(void) state;
	assert_int_equal(voucher_status(&voucher, sign_key, hospital, T0 - HDMS_CLOCK_SKEW - 1), HDMS_NOT_YET_VALID);
	assert_int_equal(voucher_status(&voucher, sign_key, hospital, T0 - HDMS_CLOCK_SKEW), HDMS_OK);
	assert_int_equal(voucher_status(&voucher, sign_key, hospital, T0 + 899), HDMS_OK);
	assert_int_equal(voucher_status(&voucher, sign_key, hospital, T0 + 900), HDMS_EXPIRED);
}

static void
a_voucher_needs_the_key_that_was_the_institutions_at_its_time(void **state)
{
	HdmsVoucher before = example_voucher(T0 + 49999);
	HdmsVoucher revoked = example_voucher(T0 + 50000);
	HdmsVoucher after = example_voucher(T0 + 200000);

	(void) state;
	assert_int_equal(voucher_status(&before, sign_key, rotated_hospital, T0 + 50000), HDMS_OK);
	assert_int_equal(voucher_status(&revoked, sign_key, rotated_hospital, T0 + 50000), HDMS_UNKNOWN_KEY);
	assert_int_equal(voucher_status(&after, sign_key, rotated_hospital, T0 + 200000), HDMS_UNKNOWN_KEY);
	assert_int_equal(voucher_status(&after, next_sign_key, rotated_hospital, T0 + 200000), HDMS_OK);
	assert_int_equal(voucher_status(&after, next_sign_key, hospital, T0 + 200000), HDMS_UNKNOWN_KEY);
	assert_int_equal(voucher_status(&after, enc_key, hospital, T0 + 200000), HDMS_UNKNOWN_KEY);
}

static void
a_voucher_of_another_institution_or_of_a_person_is_refused(void **state)
{
	HdmsVoucher voucher = example_voucher(T0);

	(void) state;
	assert_int_equal(voucher_status(&voucher, sign_key, clinic, T0), HDMS_WRONG_SENDER);
	assert_int_equal(voucher_status(&voucher, sign_key, person, T0), HDMS_WRONG_SENDER);
}

static void
a_voucher_that_nobody_would_accept_is_not_signed(void **state)
{
	HdmsVoucher voucher = example_voucher(T0);
	char	   *jws = NULL;

	(void) state;
	voucher.exp = voucher.iat;
	assert_int_equal(hdms_voucher_sign(sign_key, &voucher, &jws), HDMS_BAD_ARGUMENT);
	voucher = example_voucher(0);
	assert_int_equal(hdms_voucher_sign(sign_key, &voucher, &jws), HDMS_BAD_ARGUMENT);
	voucher = example_voucher(T0);
	voucher.jti[0] = 'X';
	assert_int_equal(hdms_voucher_sign(sign_key, &voucher, &jws), HDMS_BAD_ARGUMENT);
	voucher = example_voucher(T0);
	strcpy(voucher.sub, "somebody");
	assert_int_equal(hdms_voucher_sign(sign_key, &voucher, &jws), HDMS_BAD_ARGUMENT);
	voucher = example_voucher(T0);
	memset(voucher.iss, 'A', sizeof(voucher.iss));
	assert_int_equal(hdms_voucher_sign(sign_key, &voucher, &jws), HDMS_BAD_ARGUMENT);
	assert_null(jws);
}

static HdmsStatus
voucher_claims_status(json_t *claims, const char *typ)
{
	char	   *jws = signed_as(claims, sign_key, typ);
	HdmsVoucher result = {.iat = 42};
	HdmsStatus	status = hdms_voucher_verify(jws, strlen(jws), hospital, T0, &result);

	assert_true((status == HDMS_OK) == (result.iat != 42));
	free(jws);
	return status;
}

static json_t *
voucher_claims(void)
{
	return json_pack("{s:s, s:i, s:i, s:s}", "iss", hdms_history_node_id(hospital), "iat", T0, "exp", T0 + 900, "jti", UUID);
}

static void
a_voucher_with_wrong_claims_is_refused(void **state)
{
	(void) state;
	assert_int_equal(voucher_claims_status(voucher_claims(), HDMS_TYP_VOUCHER), HDMS_OK);
	assert_int_equal(voucher_claims_status(voucher_claims(), HDMS_TYP_COMMIT), HDMS_BAD_TYPE);
	assert_int_equal(voucher_claims_status(with(voucher_claims(), "jti", json_string("1")), HDMS_TYP_VOUCHER), HDMS_BAD_CLAIM);
	assert_int_equal(voucher_claims_status(with(voucher_claims(), "sub", json_string("")), HDMS_TYP_VOUCHER), HDMS_BAD_CLAIM);
	assert_int_equal(voucher_claims_status(with(voucher_claims(), "sub", json_null()), HDMS_TYP_VOUCHER), HDMS_BAD_CLAIM);
	assert_int_equal(voucher_claims_status(with(voucher_claims(), "iat", json_integer(0)), HDMS_TYP_VOUCHER), HDMS_BAD_CLAIM);
	assert_int_equal(voucher_claims_status(with(voucher_claims(), "exp", json_integer(T0)), HDMS_TYP_VOUCHER), HDMS_BAD_CLAIM);
	assert_int_equal(voucher_claims_status(with(voucher_claims(), "extra", json_integer(1)), HDMS_TYP_VOUCHER), HDMS_BAD_CLAIM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_admission_admits_the_institution_it_names_also_after_its_keys_rotated),
		cmocka_unit_test(an_admission_admits_nobody_else),
		cmocka_unit_test(an_admission_with_wrong_claims_is_refused),
		cmocka_unit_test(a_list_of_notaries_is_sorted_found_in_and_known_by_its_digest),
		cmocka_unit_test(a_list_without_notaries_is_a_list),
		cmocka_unit_test(a_list_that_nobody_would_accept_is_not_signed),
		cmocka_unit_test(a_list_out_of_order_or_with_wrong_members_is_refused),
		cmocka_unit_test(a_voucher_says_after_verifying_what_was_signed),
		cmocka_unit_test(a_voucher_counts_from_its_iat_until_its_exp),
		cmocka_unit_test(a_voucher_needs_the_key_that_was_the_institutions_at_its_time),
		cmocka_unit_test(a_voucher_of_another_institution_or_of_a_person_is_refused),
		cmocka_unit_test(a_voucher_that_nobody_would_accept_is_not_signed),
		cmocka_unit_test(a_voucher_with_wrong_claims_is_refused),
	};

	return cmocka_run_group_tests(tests, make_network, drop_network);
}
