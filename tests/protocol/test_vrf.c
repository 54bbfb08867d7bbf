/*
 * test_vrf.c
 *		ECVRF-P256-SHA256-TAI against RFC 9381's examples, and proofs that must not verify.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/params.h>
#include <sys/stat.h>

#include "vrf.h"

/* RFC 9381, B.1, example 10. */
static const char example_sk[] = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
static const char example_pk[] = "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
static const char example_pi[] =
	"035b5c726e8c0e2c488a107c600578ee75cb702343c153cb1eb8dec77f4b5071b4a53f0a46f018bc2c56e58d383f2305e0975972c26feea0eb122fe7893c15af"
	"376b33edf7de17c6ea056d4d82de6bc02f";
static const char example_beta[] = "a3ad7b0ef73d8fc6655053ea22f9bede8c743f08bbed3d38821f0e16474b505e";

static size_t
from_hex(const char *hex, unsigned char *out)
{
	size_t		len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++)
	{
		unsigned	byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (unsigned char) byte;
	}
	return len;
}

/* The key pair of a scalar and its compressed point, or (sk NULL) the public key. */
static HdmsKey *
key_of(const char *sk, const char *pk)
{
	unsigned char compressed[33];
	unsigned char point[65];
	unsigned char scalar[32];
	char		x[64];
	char		y[64];
	char		d[64] = "";
	char		jwk[400];
	EVP_PKEY   *pkey = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM	params[] = {
		OSSL_PARAM_utf8_string("group", (char *) "P-256", 5),
		OSSL_PARAM_octet_string("pub", compressed, sizeof(compressed)),
		OSSL_PARAM_END
	};
	HdmsKey    *key = NULL;
	size_t		len;

	/* OpenSSL finds y. */
	from_hex(pk, compressed);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
	EVP_PKEY_CTX_free(ctx);
	assert_int_equal(EVP_PKEY_set_utf8_string_param(pkey, "point-format", "uncompressed"), 1);
	assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, "pub", point, sizeof(point), &len), 1);
	assert_int_equal(len, 65);
	EVP_PKEY_free(pkey);
	hdms_base64url_write(point + 1, 32, x);
	hdms_base64url_write(point + 33, 32, y);
	if (sk != NULL)
	{
		from_hex(sk, scalar);
		hdms_base64url_write(scalar, 32, d);
	}
	snprintf(jwk, sizeof(jwk), "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"%s%s%s}", x, y,
			 sk != NULL ? ",\"d\":\"" : "", d, sk != NULL ? "\"" : "");
	assert_int_equal(hdms_key_from_jwk(jwk, strlen(jwk), &key), HDMS_OK);
	return key;
}

/* Proves and verifies one example of the RFC. */
static void
check_example(const char *sk, const char *pk, const char *alpha_hex, const char *pi, const char *beta)
{
	HdmsKey    *private = key_of(sk, pk);
	HdmsKey    *public = key_of(NULL, pk);
	unsigned char alpha[256];
	size_t		alpha_len = from_hex(alpha_hex, alpha);
	unsigned char expected_proof[HDMS_VRF_PROOF_SIZE];
	unsigned char expected_output[HDMS_VRF_OUTPUT_SIZE];
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];

	assert_int_equal(from_hex(pi, expected_proof), HDMS_VRF_PROOF_SIZE);
	assert_int_equal(from_hex(beta, expected_output), HDMS_VRF_OUTPUT_SIZE);
	assert_int_equal(hdms_vrf_prove(private, alpha, alpha_len, proof, output), HDMS_OK);
	assert_memory_equal(proof, expected_proof, sizeof(proof));
	assert_memory_equal(output, expected_output, sizeof(output));
	memset(output, 0, sizeof(output));
	assert_int_equal(hdms_vrf_verify(public, alpha, alpha_len, proof, output), HDMS_OK);
	assert_memory_equal(output, expected_output, sizeof(output));
	hdms_key_free(private);
	hdms_key_free(public);
}

static void
example_10_of_rfc_9381_is_reproduced_to_the_byte(void **state)
{
	(void) state;
	check_example(example_sk, example_pk, "73616d706c65", example_pi, example_beta);
}

static void
all_examples_of_rfc_9381_are_reproduced_to_the_byte(void **state)
{
	struct stat info;
	json_t	   *vectors;
	json_t	   *example;
	size_t		i;

	(void) state;
	if (stat(VECTORS "/vrf/ecvrf_p256_sha256_tai.json", &info) != 0)
	{
		print_message("skipped: no vectors at " VECTORS "/vrf\n");
		return;
	}
	vectors = json_load_file(VECTORS "/vrf/ecvrf_p256_sha256_tai.json", 0, NULL);
	assert_in_range(json_array_size(json_object_get(vectors, "examples")), 3, 100);
	json_array_foreach(json_object_get(vectors, "examples"), i, example)
		check_example(json_string_value(json_object_get(example, "sk")), json_string_value(json_object_get(example, "pk")),
					  json_string_value(json_object_get(example, "alpha")), json_string_value(json_object_get(example, "pi")),
					  json_string_value(json_object_get(example, "beta")));
	json_decref(vectors);
}

static void
what_was_proven_verifies_for_any_key_and_input(void **state)
{
	(void) state;
	for (int round = 0; round < 60; round++)
	{
		unsigned char alpha[100];
		unsigned char proof[HDMS_VRF_PROOF_SIZE];
		unsigned char output[HDMS_VRF_OUTPUT_SIZE];
		unsigned char verified[HDMS_VRF_OUTPUT_SIZE];
		HdmsKey    *key = NULL;

		assert_int_equal(hdms_random(alpha, sizeof(alpha)), HDMS_OK);
		assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &key), HDMS_OK);
		assert_int_equal(hdms_vrf_prove(key, alpha, (size_t) round, proof, output), HDMS_OK);
		assert_int_equal(hdms_vrf_verify(key, alpha, (size_t) round, proof, verified), HDMS_OK);
		assert_memory_equal(verified, output, sizeof(output));
		assert_int_equal(hdms_vrf_verify(key, alpha, (size_t) round + 1, proof, verified), HDMS_BAD_PROOF);
		hdms_key_free(key);
	}
}

static void
a_proof_with_any_bit_changed_is_refused_and_gives_no_output(void **state)
{
	HdmsKey    *key = key_of(NULL, example_pk);
	unsigned char proof[HDMS_VRF_PROOF_SIZE];

	(void) state;
	from_hex(example_pi, proof);
	for (int bit = 0; bit < HDMS_VRF_PROOF_SIZE * 8; bit++)
	{
		unsigned char output[HDMS_VRF_OUTPUT_SIZE] = {0xaa};

		proof[bit / 8] ^= (unsigned char) (1 << (bit % 8));
		assert_int_equal(hdms_vrf_verify(key, "sample", 6, proof, output), HDMS_BAD_PROOF);
		assert_int_equal(output[0], 0xaa);
		proof[bit / 8] ^= (unsigned char) (1 << (bit % 8));
	}
	hdms_key_free(key);
}

static void
a_proof_does_not_verify_under_another_key(void **state)
{
	HdmsKey    *other = NULL;
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];

	(void) state;
	from_hex(example_pi, proof);
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &other), HDMS_OK);
	assert_int_equal(hdms_vrf_verify(other, "sample", 6, proof, output), HDMS_BAD_PROOF);
	hdms_key_free(other);
}

static void
an_answer_that_is_not_reduced_is_refused(void **state)
{
	/* The order of P-256; the example's answer plus it would be the same number modulo it. */
	static const char order_hex[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
	HdmsKey    *key = key_of(NULL, example_pk);
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];

	(void) state;
	from_hex(example_pi, proof);
	from_hex(order_hex, proof + 49);
	assert_int_equal(hdms_vrf_verify(key, "sample", 6, proof, output), HDMS_BAD_PROOF);
	memset(proof + 49, 0xff, 32);
	assert_int_equal(hdms_vrf_verify(key, "sample", 6, proof, output), HDMS_BAD_PROOF);
	hdms_key_free(key);
}

static void
a_proof_of_zeroes_is_refused(void **state)
{
	HdmsKey    *key = key_of(NULL, example_pk);
	unsigned char proof[HDMS_VRF_PROOF_SIZE] = {0};
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];

	(void) state;
	assert_int_equal(hdms_vrf_verify(key, "sample", 6, proof, output), HDMS_BAD_PROOF);

	/* Gamma right, challenge and answer zero: U and V are the point at infinity. */
	from_hex(example_pi, proof);
	memset(proof + 33, 0, 48);
	assert_int_equal(hdms_vrf_verify(key, "sample", 6, proof, output), HDMS_BAD_PROOF);
	hdms_key_free(key);
}

static void
only_p256_keys_prove_and_verify_and_only_private_ones_prove(void **state)
{
	HdmsKey    *public = key_of(NULL, example_pk);
	HdmsKey    *ed25519 = NULL;
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];

	(void) state;
	from_hex(example_pi, proof);
	assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &ed25519), HDMS_OK);
	assert_int_equal(hdms_vrf_prove(public, "sample", 6, proof, output), HDMS_BAD_KEY);
	assert_int_equal(hdms_vrf_prove(ed25519, "sample", 6, proof, output), HDMS_BAD_KEY);
	assert_int_equal(hdms_vrf_verify(ed25519, "sample", 6, proof, output), HDMS_BAD_KEY);
	hdms_key_free(ed25519);
	hdms_key_free(public);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_10_of_rfc_9381_is_reproduced_to_the_byte),
		cmocka_unit_test(all_examples_of_rfc_9381_are_reproduced_to_the_byte),
		cmocka_unit_test(what_was_proven_verifies_for_any_key_and_input),
		cmocka_unit_test(a_proof_with_any_bit_changed_is_refused_and_gives_no_output),
		cmocka_unit_test(a_proof_does_not_verify_under_another_key),
		cmocka_unit_test(an_answer_that_is_not_reduced_is_refused),
		cmocka_unit_test(a_proof_of_zeroes_is_refused),
		cmocka_unit_test(only_p256_keys_prove_and_verify_and_only_private_ones_prove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
