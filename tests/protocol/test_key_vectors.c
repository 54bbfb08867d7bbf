/*
 * test_key_vectors.c
 *		Signatures and points against Wycheproof's valid and hostile cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "key.h"
#include "vectors.h"

static HdmsStatus
read_key(const char *jwk, HdmsKey **key)
{
	return hdms_key_from_jwk(jwk, strlen(jwk), key);
}

static void
ecdsa_vector(const json_t *group, const json_t *test)
{
	HdmsBytes	point = vectors_hex(json_object_get(group, "publicKey"), "uncompressed");
	HdmsBytes	message = vectors_hex(test, "msg");
	HdmsBytes	signature = vectors_hex(test, "sig");
	HdmsKey    *key = NULL;
	char		x[44];
	char		y[44];
	char		text[200];
	HdmsStatus	status;

	/* Not every group has its key as JWK. */
	assert_int_equal(point.len, 65);
	hdms_base64url_write(point.data + 1, 32, x);
	hdms_base64url_write(point.data + 33, 32, y);
	snprintf(text, sizeof(text), "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
	if (read_key(text, &key) != HDMS_OK)
		fail_msg("key of case %lld", (long long) json_integer_value(json_object_get(test, "tcId")));
	status = hdms_key_verify(key, message.data, message.len, signature.data, signature.len);
	if (status != (vectors_is_valid(test) ? HDMS_OK : HDMS_BAD_SIGNATURE))
		fail_msg("case %lld: %s", (long long) json_integer_value(json_object_get(test, "tcId")), hdms_status_word(status));
	hdms_key_free(key);
	hdms_bytes_free(&point);
	hdms_bytes_free(&message);
	hdms_bytes_free(&signature);
}

static void
es256_agrees_with_wycheproof(void **state)
{
	int			count = vectors_each("wycheproof/ecdsa_secp256r1_sha256_p1363_test.json", ecdsa_vector);

	(void) state;
	assert_true(count == -1 || count > 200);
}

static void
ecdh_vector(const json_t *group, const json_t *test)
{
	char	   *public_text = json_dumps(json_object_get(test, "public"), JSON_COMPACT);
	char	   *private_text = json_dumps(json_object_get(test, "private"), JSON_COMPACT);
	HdmsBytes	shared = vectors_hex(test, "shared");
	HdmsKey    *public = NULL;
	HdmsKey    *private = NULL;

	(void) group;
	if ((read_key(public_text, &public) == HDMS_OK) != vectors_is_valid(test))
		fail_msg("public key of case %lld", (long long) json_integer_value(json_object_get(test, "tcId")));
	if (vectors_is_valid(test))
	{
		EVP_PKEY_CTX *ctx;
		unsigned char secret[32];
		size_t		len = sizeof(secret);

		assert_int_equal(read_key(private_text, &private), HDMS_OK);
		ctx = EVP_PKEY_CTX_new_from_pkey(NULL, hdms_key_pkey(private), NULL);
		assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
		assert_int_equal(EVP_PKEY_derive_set_peer_ex(ctx, hdms_key_pkey(public), 0), 1);
		assert_int_equal(EVP_PKEY_derive(ctx, secret, &len), 1);
		assert_int_equal(len, shared.len);
		assert_memory_equal(secret, shared.data, len);
		EVP_PKEY_CTX_free(ctx);
	}
	hdms_key_free(public);
	hdms_key_free(private);
	hdms_bytes_free(&shared);
	free(public_text);
	free(private_text);
}

static void
points_agree_with_wycheproof(void **state)
{
	int			count = vectors_each("wycheproof/ecdh_secp256r1_webcrypto_test.json", ecdh_vector);

	(void) state;
	assert_true(count == -1 || count > 300);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(es256_agrees_with_wycheproof),
		cmocka_unit_test(points_agree_with_wycheproof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
