/*
 * test_key.c
 *		Keys: JWK in and out, thumbprints, derivation, raw signatures, and the keys that must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>

#include "claims.h"
#include "key.h"
#include "vectors.h"

/* RFC 7515, A.3. */
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC_D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
static const char ec_private[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"d\":\"" EC_D "\"}";

/* RFC 8037, A.1. */
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED_D "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
static const char ed_private[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"" ED_D "\",\"x\":\"" ED_X "\"}";

static HdmsStatus
read_key(const char *jwk, HdmsKey **key)
{
	return hdms_key_from_jwk(jwk, strlen(jwk), key);
}

/* The outcome of reading a JWK, which is dropped again. */
static HdmsStatus
outcome(const char *jwk)
{
	HdmsKey    *key = NULL;
	HdmsStatus	status = read_key(jwk, &key);

	if (status != HDMS_OK)
		assert_null(key);
	assert_int_equal(ERR_peek_error(), 0);
	hdms_key_free(key);
	return status;
}

/* The outcome of a JWK of one pattern with a text put in. */
static HdmsStatus
outcome_of(const char *pattern, const char *text)
{
	char		jwk[4096];

	snprintf(jwk, sizeof(jwk), pattern, text);
	return outcome(jwk);
}

/* A fresh key that signs, exports, imports and verifies. */
static void
key_survives(HdmsKeyType type, int bits, const char *algorithm, size_t signature_size)
{
	HdmsKey    *key = NULL;
	HdmsKey    *again = NULL;
	HdmsKey    *public = NULL;
	char	   *private_jwk = NULL;
	char	   *public_jwk = NULL;
	char	   *private_again = NULL;
	HdmsBytes	signature = {0};
	HdmsBytes	untouched = {0};

	assert_int_equal(hdms_key_generate(type, bits, &key), HDMS_OK);
	assert_true(hdms_key_is_private(key));
	assert_int_equal(hdms_key_type(key), type);
	assert_string_equal(hdms_key_signature_algorithm(key), algorithm);
	assert_int_equal(hdms_key_to_jwk(key, true, &private_jwk), HDMS_OK);
	assert_int_equal(hdms_key_to_jwk(key, false, &public_jwk), HDMS_OK);
	assert_null(strstr(public_jwk, "\"d\""));
	assert_int_equal(read_key(private_jwk, &again), HDMS_OK);
	assert_int_equal(read_key(public_jwk, &public), HDMS_OK);
	assert_true(hdms_key_is_private(again));
	assert_false(hdms_key_is_private(public));
	assert_string_equal(hdms_key_thumbprint(key), hdms_key_thumbprint(again));
	assert_string_equal(hdms_key_thumbprint(key), hdms_key_thumbprint(public));
	assert_int_equal(hdms_key_to_jwk(again, true, &private_again), HDMS_OK);
	assert_string_equal(private_jwk, private_again);

	assert_int_equal(hdms_key_sign(again, "data", 4, &signature), HDMS_OK);
	assert_int_equal(signature.len, signature_size);
	assert_int_equal(hdms_key_verify(public, "data", 4, signature.data, signature.len), HDMS_OK);
	assert_int_equal(hdms_key_verify(public, "datb", 4, signature.data, signature.len), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_key_verify(public, "data", 4, signature.data, signature.len - 1), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_key_verify(public, "data", 4, signature.data, 0), HDMS_BAD_SIGNATURE);
	signature.data[signature.len - 1] ^= 1;
	assert_int_equal(hdms_key_verify(public, "data", 4, signature.data, signature.len), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_key_sign(public, "data", 4, &untouched), HDMS_BAD_KEY);
	assert_null(untouched.data);
	hdms_string_wipe(private_again);
	private_again = NULL;
	assert_int_equal(hdms_key_to_jwk(public, true, &private_again), HDMS_BAD_KEY);
	assert_null(private_again);
	assert_int_equal(ERR_peek_error(), 0);

	hdms_bytes_free(&signature);
	hdms_string_wipe(private_jwk);
	free(public_jwk);
	hdms_key_free(key);
	hdms_key_free(again);
	hdms_key_free(public);
}

static void
a_p256_key_survives_export_and_signs(void **state)
{
	(void) state;
	key_survives(HDMS_KEY_P256, 0, "ES256", 64);
}

static void
an_ed25519_key_survives_export_and_signs(void **state)
{
	(void) state;
	key_survives(HDMS_KEY_ED25519, 0, "EdDSA", 64);
}

static void
rsa_keys_of_each_size_survive_export_and_sign(void **state)
{
	(void) state;
	key_survives(HDMS_KEY_RSA, 2048, "PS256", 256);
	key_survives(HDMS_KEY_RSA, 3072, "PS256", 384);
}

static void
only_the_sizes_on_the_list_are_generated(void **state)
{
	HdmsKey    *key = NULL;

	(void) state;
	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 1024, &key), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 8192, &key), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 0, &key), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 256, &key), HDMS_BAD_ARGUMENT);
	assert_null(key);
}

static void
thumbprints_are_those_of_the_standards(void **state)
{
	/* RFC 7638, 3.1 and RFC 8037, A.3. */
	static const char rsa[] =
	"{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"kid\":\"2011-04-29\"}";
	HdmsKey    *key = NULL;

	(void) state;
	assert_int_equal(read_key(rsa, &key), HDMS_OK);
	assert_string_equal(hdms_key_thumbprint(key), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	hdms_key_free(key);
	assert_int_equal(read_key(ed_private, &key), HDMS_OK);
	assert_string_equal(hdms_key_thumbprint(key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
	hdms_key_free(key);
}

static void
ed25519_signs_as_rfc_8037_shows(void **state)
{
	const char *input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
	HdmsKey    *key = NULL;
	HdmsBytes	signature = {0};
	char	   *text = NULL;

	(void) state;
	assert_int_equal(read_key(ed_private, &key), HDMS_OK);
	assert_int_equal(hdms_key_sign(key, input, strlen(input), &signature), HDMS_OK);
	assert_int_equal(hdms_base64url_encode(signature.data, signature.len, &text), HDMS_OK);
	assert_string_equal(text, "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
	free(text);
	hdms_bytes_free(&signature);
	hdms_key_free(key);
}

static void
derived_keys_are_those_of_an_independent_calculation(void **state)
{
	static const struct
	{
		const char *label;
		uint32_t	index;
		const char *d;
		const char *thumbprint;
	}			expected[] = {
		{"hdms-sign", 0, "Jcz-BnAGms03JYiHV3-wCR2sqSGlAZi4xASAybXSF1M", "ura9yE8fXBaKELPfpFAMmUGPvdAwPXxYDE0KDBDEDmk"},
		{"hdms-sign", 1, "g97Jt9noRzhe79VUZ2vqHzYK6yWq6BYDU1EhAxgks1w", "wluRFQ72OUUdioXcqsNAPTNrfCtrEGBZ5pihDfb-pgY"},
		{"hdms-vrf", 0x01020304, "JbnEPSWUsWFMn6wqsRrmFFlxdXo6xsn4m6xFnzIXK7I", "pNkEgtAQlDlzCVH5tpCZMziV8TBhBRRMpXOrLamlgIM"},
	};
	unsigned char seed[32];
	char		long_label[130];
	HdmsKey    *key = NULL;

	(void) state;
	for (int i = 0; i < 32; i++)
		seed[i] = (unsigned char) i;
	for (size_t i = 0; i < 3; i++)
	{
		char	   *jwk = NULL;

		assert_int_equal(hdms_key_derive(seed, expected[i].label, expected[i].index, &key), HDMS_OK);
		assert_string_equal(hdms_key_thumbprint(key), expected[i].thumbprint);
		assert_int_equal(hdms_key_to_jwk(key, true, &jwk), HDMS_OK);
		assert_non_null(strstr(jwk, expected[i].d));
		hdms_string_wipe(jwk);
		hdms_key_free(key);
	}
	key = NULL;
	memset(long_label, 'a', 129);
	long_label[129] = '\0';
	assert_int_equal(hdms_key_derive(seed, long_label, 0, &key), HDMS_BAD_ARGUMENT);
	assert_null(key);
}

static void
unknown_members_are_ignored_and_duplicates_are_not(void **state)
{
	(void) state;
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"kid\":\"a\",\"x5c\":[\"b\"],\"ext\":true}"), HDMS_OK);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"), HDMS_BAD_JSON);
}

static void
coordinates_have_one_length_and_one_spelling(void **state)
{
	static const char pattern[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"" EC_Y "\"}";

	(void) state;
	assert_int_equal(outcome_of(pattern, EC_X), HDMS_OK);
	assert_int_equal(outcome_of(pattern, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEV"), HDMS_BAD_ENCODING);
	assert_int_equal(outcome_of(pattern, EC_X "="), HDMS_BAD_ENCODING);
	assert_int_equal(outcome_of(pattern, "AH_NzidwNsRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRF"), HDMS_BAD_ENCODING);
	assert_int_equal(outcome_of(pattern, ""), HDMS_BAD_ENCODING);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":1,\"y\":\"" EC_Y "\"}"), HDMS_BAD_KEY);
}

static void
a_point_off_the_curve_is_refused(void **state)
{
	(void) state;
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
							 "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"), HDMS_BAD_KEY);

	/* A point whose x is small, and the same with the field's prime added to x. */
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
							 "\"y\":\"ZkhceA4vg9ckM71dhKBrtlQcKvMdrocXKL-FahdPk_Q\"}"), HDMS_OK);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"_____wAAAAEAAAAAAAAAAAAAAAD_______________8\","
							 "\"y\":\"ZkhceA4vg9ckM71dhKBrtlQcKvMdrocXKL-FahdPk_Q\"}"), HDMS_BAD_KEY);
}

static void
a_private_part_that_is_not_the_public_one_s_is_refused(void **state)
{
	static const char pattern[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"d\":\"%s\"}";

	(void) state;
	assert_int_equal(outcome_of(pattern, EC_D), HDMS_OK);
	assert_int_equal(outcome_of(pattern, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LJ"), HDMS_BAD_ENCODING);
	assert_int_equal(outcome_of(pattern, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LA"), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(pattern, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), HDMS_BAD_KEY);

	/* The order of the curve. */
	assert_int_equal(outcome_of(pattern, "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\",\"d\":\"" EC_D "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"d\":null}"), HDMS_BAD_KEY);
}

static void
other_kinds_of_key_are_refused(void **state)
{
	(void) state;
	assert_int_equal(outcome("{\"kty\":\"oct\",\"k\":\"AAAA\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("{\"kty\":\"ec\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"), HDMS_BAD_KEY);
	assert_int_equal(outcome("[]"), HDMS_BAD_FORMAT);
	assert_int_equal(outcome(""), HDMS_BAD_JSON);
}

static void
ed25519_keys_of_small_order_or_in_a_second_spelling_are_refused(void **state)
{
	/* The eight points of small order, two spellings that are not reduced, and one that is on no curve. */
	static const char *const bad[] = {
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "7P_______________________________________38",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
		"JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU", "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_IU",
		"xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o", "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA_o",
		"7f_______________________________________38", "7v_______________________________________38",
		"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(outcome_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", bad[i]), HDMS_BAD_KEY);

	/* A point whose y is 3, and the same with the field's prime added to y. */
	assert_int_equal(outcome_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), HDMS_OK);
	assert_int_equal(outcome_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", "8P_______________________________________38"), HDMS_BAD_KEY);
	assert_int_equal(outcome_of("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", ED_X), HDMS_OK);
}

static void
generated_ed25519_keys_pass_the_check_of_points(void **state)
{
	(void) state;
	for (int i = 0; i < 50; i++)
	{
		HdmsKey    *key = NULL;
		char	   *jwk = NULL;

		assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &key), HDMS_OK);
		assert_int_equal(hdms_key_to_jwk(key, false, &jwk), HDMS_OK);
		assert_int_equal(outcome(jwk), HDMS_OK);
		free(jwk);
		hdms_key_free(key);
	}
}

static void
alg_use_and_key_ops_must_fit_the_key_and_each_other(void **state)
{
	static const char ec[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",%s}";
	static const char ed[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\",%s}";

	(void) state;
	assert_int_equal(outcome_of(ec, "\"alg\":\"ES256\",\"use\":\"sig\""), HDMS_OK);
	assert_int_equal(outcome_of(ec, "\"alg\":\"ECDH-ES+A256KW\",\"use\":\"enc\""), HDMS_OK);
	assert_int_equal(outcome_of(ec, "\"key_ops\":[\"verify\"]"), HDMS_OK);
	assert_int_equal(outcome_of(ec, "\"key_ops\":[\"deriveBits\"],\"use\":\"enc\""), HDMS_OK);
	assert_int_equal(outcome_of(ec, "\"alg\":\"ES256\",\"use\":\"enc\""), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(ec, "\"key_ops\":[\"sign\"],\"use\":\"enc\""), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(ec, "\"key_ops\":\"sign\""), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(ec, "\"key_ops\":[]"), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(ec, "\"use\":\"tls\""), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(ec, "\"use\":1"), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(ec, "\"alg\":\"PS256\""), HDMS_BAD_KEY);
	assert_int_equal(outcome_of(ec, "\"alg\":\"ES384\""), HDMS_BAD_ALGORITHM);
	assert_int_equal(outcome_of(ec, "\"alg\":\"none\""), HDMS_BAD_ALGORITHM);
	assert_int_equal(outcome_of(ed, "\"alg\":\"EdDSA\""), HDMS_OK);
	assert_int_equal(outcome_of(ed, "\"use\":\"enc\""), HDMS_BAD_KEY);
}

static void
a_key_for_encryption_does_not_verify(void **state)
{
	HdmsKey    *key = NULL;
	HdmsKey    *signer = NULL;
	HdmsBytes	signature = {0};

	(void) state;
	assert_int_equal(read_key(ec_private, &signer), HDMS_OK);
	assert_int_equal(hdms_key_sign(signer, "data", 4, &signature), HDMS_OK);
	assert_int_equal(read_key("{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"enc\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"d\":\"" EC_D "\"}", &key), HDMS_OK);
	assert_int_equal(hdms_key_verify(key, "data", 4, signature.data, signature.len), HDMS_BAD_KEY);
	hdms_bytes_free(&signature);
	assert_int_equal(hdms_key_sign(key, "data", 4, &signature), HDMS_BAD_KEY);
	hdms_key_free(key);
	hdms_key_free(signer);
}

/* Reads an RSA JWK with one member changed. */
static HdmsStatus
rsa_with(const json_t *good, const char *name, json_t *value)
{
	json_t	   *changed = json_copy((json_t *) good);
	char	   *text;
	HdmsStatus	status;

	if (value == NULL)
		json_object_del(changed, name);
	else
		json_object_set_new(changed, name, value);
	text = json_dumps(changed, JSON_COMPACT);
	assert_non_null(text);
	status = outcome(text);
	free(text);
	json_decref(changed);
	return status;
}

/* The private exponent plus a factor less one: right modulo that, wrong modulo the other. */
static json_t *
half_right_exponent(const json_t *good, const char *factor)
{
	BIGNUM	   *sum = NULL;
	BIGNUM	   *other = NULL;
	const char *names[] = {"d", factor};
	unsigned char bytes[512];
	char	   *text = NULL;
	json_t	   *value;

	for (int i = 0; i < 2; i++)
	{
		HdmsBytes	number = {0};
		const char *encoded = vectors_text(good, names[i]);

		assert_int_equal(hdms_base64url_decode(encoded, strlen(encoded), &number), HDMS_OK);
		*(i == 0 ? &sum : &other) = BN_bin2bn(number.data, (int) number.len, NULL);
		hdms_bytes_free(&number);
	}
	assert_int_equal(BN_sub_word(other, 1), 1);
	assert_int_equal(BN_add(sum, sum, other), 1);
	assert_int_equal(hdms_base64url_encode(bytes, (size_t) BN_bn2bin(sum, bytes), &text), HDMS_OK);
	value = json_string(text);
	free(text);
	BN_free(sum);
	BN_free(other);
	return value;
}

static void
rsa_numbers_must_belong_together(void **state)
{
	static const char *const members[] = {"n", "e", "p", "q", "dp", "dq", "qi", "d"};
	HdmsKey    *key = NULL;
	HdmsKey    *other = NULL;
	char	   *jwk = NULL;
	char	   *other_jwk = NULL;
	json_t	   *good;
	json_t	   *foreign;
	char		padded[1000];

	(void) state;
	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 2048, &key), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 2048, &other), HDMS_OK);
	assert_int_equal(hdms_key_to_jwk(key, true, &jwk), HDMS_OK);
	assert_int_equal(hdms_key_to_jwk(other, true, &other_jwk), HDMS_OK);
	good = json_loads(jwk, 0, NULL);
	foreign = json_loads(other_jwk, 0, NULL);
	assert_int_equal(rsa_with(good, "kid", json_string("x")), HDMS_OK);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
	{
		if (strcmp(members[i], "e") != 0)
			assert_int_equal(rsa_with(good, members[i], json_copy(json_object_get(foreign, members[i]))), HDMS_BAD_KEY);
		if (strcmp(members[i], "d") != 0)
			assert_int_equal(rsa_with(good, members[i], NULL), HDMS_BAD_KEY);
	}
	assert_int_equal(rsa_with(good, "d", half_right_exponent(good, "p")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "d", half_right_exponent(good, "q")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "e", json_string("AQAD")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "oth", json_array()), HDMS_BAD_KEY);

	/* A leading zero is a second spelling of the same number. */
	snprintf(padded, sizeof(padded), "AAAA%s", json_string_value(json_object_get(good, "qi")));
	assert_int_equal(rsa_with(good, "qi", json_string(padded)), HDMS_BAD_KEY);
	json_decref(good);
	json_decref(foreign);
	hdms_string_wipe(jwk);
	hdms_string_wipe(other_jwk);
	hdms_key_free(key);
	hdms_key_free(other);
}

static void
weak_rsa_keys_are_refused(void **state)
{
	HdmsKey    *key = NULL;
	char	   *jwk = NULL;
	json_t	   *good;
	char		modulus[1400];

	(void) state;
	assert_int_equal(hdms_key_generate(HDMS_KEY_RSA, 2048, &key), HDMS_OK);
	assert_int_equal(hdms_key_to_jwk(key, false, &jwk), HDMS_OK);
	good = json_loads(jwk, 0, NULL);
	assert_int_equal(rsa_with(good, "e", json_string("Aw")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "e", json_string("AQ")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "e", json_string("AQAA")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "e", json_string("__8")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "e", json_string("AQAB")), HDMS_OK);
	assert_int_equal(rsa_with(good, "e", json_string("AAEAAQ")), HDMS_BAD_KEY);
	assert_int_equal(rsa_with(good, "e", json_string("__________8")), HDMS_OK);
	assert_int_equal(rsa_with(good, "e", json_string("Af__________")), HDMS_BAD_KEY);

	/* 1536, 2040, 4104 and 8192 bits; an even modulus. */
	for (int digits = 256; digits <= 1364; digits += 4)
	{
		if (digits != 256 && digits != 340 && digits != 684 && digits != 1364)
			continue;
		memset(modulus, 'Z', (size_t) digits);
		modulus[digits] = '\0';
		assert_int_equal(rsa_with(good, "n", json_string(modulus)), HDMS_BAD_KEY);
	}
	memset(modulus, '_', 342);
	memcpy(modulus + 338, "___g", 5);
	assert_int_equal(rsa_with(good, "n", json_string(modulus)), HDMS_BAD_KEY);
	json_decref(good);
	free(jwk);
	hdms_key_free(key);
}

static void
an_oversized_jwk_is_not_even_parsed(void **state)
{
	char	   *text = malloc(20000);
	HdmsKey    *key = NULL;

	(void) state;
	assert_non_null(text);
	memset(text, ' ', 20000);
	assert_int_equal(hdms_key_from_jwk(text, 20000, &key), HDMS_TOO_LARGE);
	free(text);
}

static void
a_pkey_of_openssl_becomes_a_key(void **state)
{
	EVP_PKEY   *p256 = EVP_EC_gen("P-256");
	EVP_PKEY   *p384 = EVP_EC_gen("P-384");
	EVP_PKEY   *x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	EVP_PKEY   *small = EVP_RSA_gen(1024);
	HdmsKey    *key = NULL;
	HdmsKey    *public = NULL;
	HdmsKey    *from_public = NULL;
	HdmsBytes	signature = {0};
	char	   *jwk = NULL;

	(void) state;
	assert_int_equal(hdms_key_from_pkey(p256, &key), HDMS_OK);
	assert_true(hdms_key_is_private(key));
	assert_int_equal(hdms_key_sign(key, "x", 1, &signature), HDMS_OK);
	assert_int_equal(hdms_key_to_jwk(key, false, &jwk), HDMS_OK);
	assert_int_equal(read_key(jwk, &public), HDMS_OK);
	assert_int_equal(hdms_key_from_pkey(hdms_key_pkey(public), &from_public), HDMS_OK);
	assert_false(hdms_key_is_private(from_public));
	assert_int_equal(hdms_key_verify(from_public, "x", 1, signature.data, signature.len), HDMS_OK);
	hdms_key_free(key);
	key = NULL;
	assert_int_equal(hdms_key_from_pkey(p384, &key), HDMS_BAD_KEY);
	assert_int_equal(hdms_key_from_pkey(x25519, &key), HDMS_BAD_KEY);
	assert_int_equal(hdms_key_from_pkey(small, &key), HDMS_BAD_KEY);
	assert_int_equal(hdms_key_from_pkey(NULL, &key), HDMS_BAD_ARGUMENT);
	assert_null(key);
	assert_int_equal(ERR_peek_error(), 0);
	free(jwk);
	hdms_bytes_free(&signature);
	hdms_key_free(public);
	hdms_key_free(from_public);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(x25519);
	EVP_PKEY_free(small);
}

static void
a_shared_key_lives_until_its_last_handle_is_freed(void **state)
{
	HdmsKey    *key = NULL;
	HdmsKey    *handle;
	HdmsBytes	signature = {0};

	(void) state;
	assert_int_equal(read_key(ec_private, &key), HDMS_OK);
	handle = hdms_key_share(key);
	hdms_key_free(key);
	assert_int_equal(hdms_key_sign(handle, "x", 1, &signature), HDMS_OK);
	hdms_bytes_free(&signature);
	hdms_key_free(handle);
	hdms_key_free(NULL);
}

/* Signs and verifies many times with one key; the result is a count of failures. */
static void *
sign_in_a_thread(void *arg)
{
	const HdmsKey *key = arg;
	size_t		failures = 0;

	for (int i = 0; i < 50; i++)
	{
		HdmsBytes	signature = {0};

		failures += hdms_key_sign(key, &i, sizeof(i), &signature) != HDMS_OK ||
			hdms_key_verify(key, &i, sizeof(i), signature.data, signature.len) != HDMS_OK;
		hdms_bytes_free(&signature);
	}
	return (void *) failures;
}

static void
several_threads_use_one_key(void **state)
{
	pthread_t	threads[4];
	HdmsKey    *key = NULL;

	(void) state;
	assert_int_equal(read_key(ec_private, &key), HDMS_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_in_a_thread, key), 0);
	for (int i = 0; i < 4; i++)
	{
		void	   *failures = key;

		assert_int_equal(pthread_join(threads[i], &failures), 0);
		assert_null(failures);
	}
	hdms_key_free(key);
}

static void
errors_of_the_caller_stay_in_openssl_s_queue_and_ours_do_not(void **state)
{
	unsigned long before;

	(void) state;
	ERR_clear_error();
	ERR_raise(ERR_LIB_USER, 7);
	before = ERR_peek_last_error();
	{
		HdmsKey    *key = NULL;

		assert_int_equal(read_key("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}", &key), HDMS_BAD_KEY);
	}
	assert_int_equal(ERR_peek_last_error(), before);
	ERR_clear_error();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_p256_key_survives_export_and_signs),
		cmocka_unit_test(an_ed25519_key_survives_export_and_signs),
		cmocka_unit_test(rsa_keys_of_each_size_survive_export_and_sign),
		cmocka_unit_test(only_the_sizes_on_the_list_are_generated),
		cmocka_unit_test(thumbprints_are_those_of_the_standards),
		cmocka_unit_test(ed25519_signs_as_rfc_8037_shows),
		cmocka_unit_test(derived_keys_are_those_of_an_independent_calculation),
		cmocka_unit_test(unknown_members_are_ignored_and_duplicates_are_not),
		cmocka_unit_test(coordinates_have_one_length_and_one_spelling),
		cmocka_unit_test(a_point_off_the_curve_is_refused),
		cmocka_unit_test(a_private_part_that_is_not_the_public_one_s_is_refused),
		cmocka_unit_test(other_kinds_of_key_are_refused),
		cmocka_unit_test(ed25519_keys_of_small_order_or_in_a_second_spelling_are_refused),
		cmocka_unit_test(generated_ed25519_keys_pass_the_check_of_points),
		cmocka_unit_test(alg_use_and_key_ops_must_fit_the_key_and_each_other),
		cmocka_unit_test(a_key_for_encryption_does_not_verify),
		cmocka_unit_test(rsa_numbers_must_belong_together),
		cmocka_unit_test(weak_rsa_keys_are_refused),
		cmocka_unit_test(an_oversized_jwk_is_not_even_parsed),
		cmocka_unit_test(a_pkey_of_openssl_becomes_a_key),
		cmocka_unit_test(a_shared_key_lives_until_its_last_handle_is_freed),
		cmocka_unit_test(several_threads_use_one_key),
		cmocka_unit_test(errors_of_the_caller_stay_in_openssl_s_queue_and_ours_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
