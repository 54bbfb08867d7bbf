/*
 * test_message.c
 *		Messages between nodes: signed, sealed, opened, verified, and each way in which one can be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message.h"

#define NOW INT64_C(1767225600)

/* A sender with a signing key and a receiver with an encryption key; their ids are the keys' thumbprints. */
typedef struct Pair
{
	HdmsKey    *sender;
	HdmsKey    *receiver;
	HdmsMessageHead head;
} Pair;

static int
open_pair(void **state)
{
	static Pair pair;

	pair = (Pair) {0};
	if (hdms_key_generate(HDMS_KEY_P256, 0, &pair.sender) != HDMS_OK || hdms_key_generate(HDMS_KEY_P256, 0, &pair.receiver) != HDMS_OK)
		return -1;
	strcpy(pair.head.iss, hdms_key_thumbprint(pair.sender));
	strcpy(pair.head.aud, hdms_key_thumbprint(pair.receiver));
	strcpy(pair.head.jti, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
	strcpy(pair.head.type, "record");
	pair.head.iat = NOW;
	pair.head.exp = NOW + 1000;
	*state = &pair;
	return 0;
}

static int
close_pair(void **state)
{
	Pair	   *pair = *state;

	hdms_key_free(pair->sender);
	hdms_key_free(pair->receiver);
	return 0;
}

static HdmsStatus
open_at(const Pair *pair, const char *envelope, int64_t now)
{
	HdmsMessage message = {0};
	HdmsStatus	status = hdms_message_open(envelope, strlen(envelope), pair->receiver, pair->head.aud, now, &message);

	if (status != HDMS_OK)
		assert_null(message.jws);
	hdms_message_free(&message);
	return status;
}

/* Seals a plaintext of the test's own making to the receiver, and opens it. */
static HdmsStatus
open_forged(const Pair *pair, const char *plaintext, size_t len)
{
	char	   *envelope = NULL;
	HdmsStatus	status;

	assert_int_equal(hdms_jwe_seal(pair->receiver, HDMS_TYP_ENVELOPE, plaintext, len, &envelope), HDMS_OK);
	status = open_at(pair, envelope, NOW);
	free(envelope);
	return status;
}

/* The claims of a good message of an empty body, with one of them replaced or (NULL) removed, under a typ. */
static HdmsStatus
open_with_claim(const Pair *pair, const char *typ, const char *name, json_t *value)
{
	char		digest[HDMS_DIGEST_TEXT + 1];
	json_t	   *claims;
	char	   *jws = NULL;
	char	   *plaintext;
	HdmsStatus	status;

	assert_int_equal(hdms_sha256_text("", 0, digest), HDMS_OK);
	claims = json_pack("{ss ss ss sI sI ss ss}", "iss", pair->head.iss, "aud", pair->head.aud, "jti", pair->head.jti,
					   "iat", (json_int_t) pair->head.iat, "exp", (json_int_t) pair->head.exp, "type", pair->head.type, "body", digest);
	assert_non_null(claims);
	if (name != NULL && value == NULL)
		json_object_del(claims, name);
	else if (name != NULL)
		json_object_set_new(claims, name, value);
	assert_int_equal(hdms_jws_sign_claims(pair->sender, typ, false, claims, &jws), HDMS_OK);
	plaintext = malloc(strlen(jws) + 2);
	assert_non_null(plaintext);
	sprintf(plaintext, "%s\n", jws);
	status = open_forged(pair, plaintext, strlen(plaintext));
	free(plaintext);
	free(jws);
	json_decref(claims);
	return status;
}

static void
a_message_arrives_as_it_was_sent(void **state)
{
	Pair	   *pair = *state;
	const char	body[] = "{\"a\":\"\n\n\0x\"}";
	char	   *envelope = NULL;
	HdmsMessage message = {0};
	char		kid[HDMS_DIGEST_TEXT + 1];
	char		id[HDMS_DIGEST_TEXT + 1];
	char		expected_id[HDMS_DIGEST_TEXT + 1];

	strcpy(pair->head.re, "017f22e2-79b0-7cc3-98c4-dc0c0c073990");
	assert_int_equal(hdms_message_seal(&pair->head, body, sizeof(body), pair->sender, pair->receiver, &envelope), HDMS_OK);
	assert_int_equal(hdms_message_open(envelope, strlen(envelope), pair->receiver, pair->head.aud, NOW, &message), HDMS_OK);
	assert_string_equal(message.head.iss, pair->head.iss);
	assert_string_equal(message.head.aud, pair->head.aud);
	assert_string_equal(message.head.jti, pair->head.jti);
	assert_string_equal(message.head.re, pair->head.re);
	assert_string_equal(message.head.type, "record");
	assert_int_equal(message.head.iat, NOW);
	assert_int_equal(message.head.exp, NOW + 1000);
	assert_int_equal(message.body.len, sizeof(body));
	assert_memory_equal(message.body.data, body, sizeof(body));
	assert_int_equal(hdms_message_verify(&message, pair->sender), HDMS_OK);
	assert_int_equal(hdms_message_kid(&message, kid), HDMS_OK);
	assert_string_equal(kid, hdms_key_thumbprint(pair->sender));
	assert_int_equal(hdms_envelope_id(envelope, strlen(envelope), id), HDMS_OK);
	assert_int_equal(hdms_sha256_text(envelope, strlen(envelope), expected_id), HDMS_OK);
	assert_string_equal(id, expected_id);
	hdms_message_free(&message);
	hdms_message_free(&message);
	free(envelope);
}

static void
the_same_message_sealed_anew_has_another_transport_id(void **state)
{
	Pair	   *pair = *state;
	char	   *first = NULL;
	char	   *second = NULL;
	char		a[HDMS_DIGEST_TEXT + 1];
	char		b[HDMS_DIGEST_TEXT + 1];

	assert_int_equal(hdms_message_seal(&pair->head, "", 0, pair->sender, pair->receiver, &first), HDMS_OK);
	assert_int_equal(hdms_message_seal(&pair->head, NULL, 0, pair->sender, pair->receiver, &second), HDMS_OK);
	assert_int_equal(hdms_envelope_id(first, strlen(first), a), HDMS_OK);
	assert_int_equal(hdms_envelope_id(second, strlen(second), b), HDMS_OK);
	assert_string_not_equal(a, b);
	assert_int_equal(open_at(pair, first, NOW), HDMS_OK);
	assert_int_equal(open_at(pair, second, NOW), HDMS_OK);
	free(first);
	free(second);
}

static void
a_message_by_somebody_else_does_not_verify(void **state)
{
	Pair	   *pair = *state;
	HdmsKey    *mallory = NULL;
	HdmsMessage message = {0};
	char	   *envelope = NULL;

	/* Mallory claims to be the sender. */
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &mallory), HDMS_OK);
	assert_int_equal(hdms_message_seal(&pair->head, "x", 1, mallory, pair->receiver, &envelope), HDMS_OK);
	assert_int_equal(hdms_message_open(envelope, strlen(envelope), pair->receiver, pair->head.aud, NOW, &message), HDMS_OK);
	assert_int_equal(hdms_message_verify(&message, pair->sender), HDMS_UNKNOWN_KEY);
	message.jws[strlen(message.jws) - 10] ^= 1;
	assert_int_not_equal(hdms_message_verify(&message, mallory), HDMS_OK);
	hdms_message_free(&message);
	assert_int_equal(hdms_message_verify(&message, mallory), HDMS_BAD_ARGUMENT);
	free(envelope);
	hdms_key_free(mallory);
}

static void
a_message_for_somebody_else_is_refused(void **state)
{
	Pair	   *pair = *state;
	HdmsMessage message = {0};
	char	   *envelope = NULL;

	assert_int_equal(hdms_message_seal(&pair->head, "x", 1, pair->sender, pair->receiver, &envelope), HDMS_OK);
	assert_int_equal(hdms_message_open(envelope, strlen(envelope), pair->receiver, pair->head.iss, NOW, &message), HDMS_WRONG_RECEIVER);
	assert_int_equal(hdms_message_open(envelope, strlen(envelope), pair->sender, pair->head.aud, NOW, &message), HDMS_CANNOT_DECRYPT);
	assert_null(message.jws);
	free(envelope);
}

static void
validity_ends_with_exp_and_the_skew_of_clocks(void **state)
{
	Pair	   *pair = *state;
	char	   *envelope = NULL;

	assert_int_equal(hdms_message_seal(&pair->head, "x", 1, pair->sender, pair->receiver, &envelope), HDMS_OK);
	assert_int_equal(open_at(pair, envelope, NOW + 1000 + HDMS_CLOCK_SKEW - 1), HDMS_OK);
	assert_int_equal(open_at(pair, envelope, NOW + 1000 + HDMS_CLOCK_SKEW), HDMS_EXPIRED);
	assert_int_equal(open_at(pair, envelope, NOW - HDMS_CLOCK_SKEW), HDMS_OK);
	assert_int_equal(open_at(pair, envelope, NOW - HDMS_CLOCK_SKEW - 1), HDMS_NOT_YET_VALID);
	assert_int_equal(open_at(pair, envelope, 0), HDMS_OK);
	free(envelope);
}

static void
each_claim_is_required_and_checked(void **state)
{
	static const char *const required[] = {"iss", "aud", "jti", "iat", "exp", "type", "body"};
	Pair	   *pair = *state;

	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, NULL, NULL), HDMS_OK);
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
	{
		assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, required[i], NULL), HDMS_BAD_CLAIM);
		assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, required[i], json_null()), HDMS_BAD_CLAIM);
		assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, required[i], json_string("x y")), HDMS_BAD_CLAIM);
	}
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "re", json_string("not-a-uuid")), HDMS_BAD_CLAIM);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "re", json_string("017f22e2-79b0-7cc3-98c4-dc0c0c073990")), HDMS_OK);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "jti", json_string("017F22E2-79B0-7CC3-98C4-DC0C0C073990")), HDMS_BAD_CLAIM);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "type", json_string("Record")), HDMS_BAD_CLAIM);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "type", json_string("abcdefghijklmnopqrstuvwxyz012345")), HDMS_BAD_CLAIM);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "exp", json_integer(NOW)), HDMS_BAD_CLAIM);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "iat", json_integer(-1)), HDMS_BAD_CLAIM);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "body", json_string(pair->head.iss)), HDMS_DIGEST_MISMATCH);
	assert_int_equal(open_with_claim(pair, HDMS_TYP_MESSAGE, "aud", json_string(pair->head.iss)), HDMS_WRONG_RECEIVER);

	/* A signature for another purpose cannot be passed off as a message. */
	assert_int_equal(open_with_claim(pair, HDMS_TYP_COMMIT, NULL, NULL), HDMS_BAD_TYPE);
}

static void
a_plaintext_that_is_no_message_is_refused(void **state)
{
	Pair	   *pair = *state;
	char	   *big = calloc(1, 20000);

	assert_non_null(big);
	assert_int_equal(open_forged(pair, "", 0), HDMS_BAD_FORMAT);
	assert_int_equal(open_forged(pair, "no line feed", 12), HDMS_BAD_FORMAT);
	assert_int_equal(open_forged(pair, "\nbody", 5), HDMS_BAD_FORMAT);
	assert_int_equal(open_forged(pair, "a.b\nbody", 8), HDMS_BAD_FORMAT);
	assert_int_not_equal(open_forged(pair, "a.b.c\nbody", 10), HDMS_OK);
	memset(big, 'a', 19999);
	big[19998] = '\n';
	assert_int_equal(open_forged(pair, big, 19999), HDMS_TOO_LARGE);
	free(big);
}

static void
an_envelope_for_another_purpose_is_refused(void **state)
{
	Pair	   *pair = *state;
	char	   *envelope = NULL;

	assert_int_equal(hdms_jwe_seal(pair->receiver, "hdms-session+jwe", "x", 1, &envelope), HDMS_OK);
	assert_int_equal(open_at(pair, envelope, NOW), HDMS_BAD_TYPE);
	free(envelope);
}

static void
an_incomplete_head_is_not_sealed(void **state)
{
	Pair	   *pair = *state;
	HdmsMessageHead bad;
	char	   *envelope = NULL;

	bad = pair->head;
	bad.iss[0] = '\0';
	assert_int_equal(hdms_message_seal(&bad, "", 0, pair->sender, pair->receiver, &envelope), HDMS_BAD_ARGUMENT);
	bad = pair->head;
	bad.jti[5] = 'X';
	assert_int_equal(hdms_message_seal(&bad, "", 0, pair->sender, pair->receiver, &envelope), HDMS_BAD_ARGUMENT);
	bad = pair->head;
	strcpy(bad.re, "x");
	assert_int_equal(hdms_message_seal(&bad, "", 0, pair->sender, pair->receiver, &envelope), HDMS_BAD_ARGUMENT);
	bad = pair->head;
	strcpy(bad.type, "a-b");
	assert_int_equal(hdms_message_seal(&bad, "", 0, pair->sender, pair->receiver, &envelope), HDMS_BAD_ARGUMENT);
	bad = pair->head;
	bad.exp = bad.iat;
	assert_int_equal(hdms_message_seal(&bad, "", 0, pair->sender, pair->receiver, &envelope), HDMS_BAD_ARGUMENT);
	assert_null(envelope);
}

static void
a_body_that_does_not_fit_an_envelope_is_refused_by_the_sender(void **state)
{
	Pair	   *pair = *state;
	char	   *body = calloc(1, HDMS_ENVELOPE_MAX + 1);
	char	   *envelope = NULL;

	assert_non_null(body);
	assert_int_equal(hdms_message_seal(&pair->head, body, HDMS_ENVELOPE_MAX + 1, pair->sender, pair->receiver, &envelope), HDMS_TOO_LARGE);
	assert_int_equal(hdms_message_seal(&pair->head, body, HDMS_ENVELOPE_MAX / 4 * 3, pair->sender, pair->receiver, &envelope), HDMS_TOO_LARGE);
	assert_null(envelope);
	assert_int_equal(hdms_message_seal(&pair->head, body, HDMS_ENVELOPE_MAX / 4 * 3 - 2000, pair->sender, pair->receiver, &envelope), HDMS_OK);
	assert_int_equal(open_at(pair, envelope, NOW), HDMS_OK);
	free(envelope);
	free(body);
}

static void
both_suites_write_to_each_other(void **state)
{
	Pair	   *pair = *state;
	HdmsKey    *rsa = NULL;
	HdmsMessage message = {0};
	char	   *envelope = NULL;

	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 2048, &rsa), HDMS_OK);
	strcpy(pair->head.iss, hdms_key_thumbprint(rsa));
	assert_int_equal(hdms_message_seal(&pair->head, "x", 1, rsa, pair->receiver, &envelope), HDMS_OK);
	assert_int_equal(hdms_message_open(envelope, strlen(envelope), pair->receiver, pair->head.aud, NOW, &message), HDMS_OK);
	assert_int_equal(hdms_message_verify(&message, rsa), HDMS_OK);
	hdms_message_free(&message);
	free(envelope);

	strcpy(pair->head.iss, hdms_key_thumbprint(pair->sender));
	strcpy(pair->head.aud, hdms_key_thumbprint(rsa));
	assert_int_equal(hdms_message_seal(&pair->head, "x", 1, pair->sender, rsa, &envelope), HDMS_OK);
	assert_int_equal(hdms_message_open(envelope, strlen(envelope), rsa, pair->head.aud, NOW, &message), HDMS_OK);
	assert_int_equal(hdms_message_verify(&message, pair->sender), HDMS_OK);
	hdms_message_free(&message);
	free(envelope);
	hdms_key_free(rsa);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_message_arrives_as_it_was_sent, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(the_same_message_sealed_anew_has_another_transport_id, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(a_message_by_somebody_else_does_not_verify, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(a_message_for_somebody_else_is_refused, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(validity_ends_with_exp_and_the_skew_of_clocks, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(each_claim_is_required_and_checked, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(a_plaintext_that_is_no_message_is_refused, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(an_envelope_for_another_purpose_is_refused, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(an_incomplete_head_is_not_sealed, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(a_body_that_does_not_fit_an_envelope_is_refused_by_the_sender, open_pair, close_pair),
		cmocka_unit_test_setup_teardown(both_suites_write_to_each_other, open_pair, close_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
