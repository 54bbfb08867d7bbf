/*
 * test_jwe.c
 *		Compact JWE: what is sealed opens for its receiver and for nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "claims.h"
#include "jwe.h"
#include "jwe_key_wrap.h"
#include "vectors.h"

static HdmsKey *
new_key(HdmsKeyType type)
{
	HdmsKey    *key = NULL;

	assert_int_equal(hdms_key_generate(type, type == HDMS_KEY_RSA ? 2048 : 0, &key), HDMS_OK);
	return key;
}

static HdmsStatus
open_text(const char *compact, const HdmsKey *key, const char *typ)
{
	HdmsBytes	plaintext = {0};
	HdmsStatus	status = hdms_jwe_open(compact, strlen(compact), key, typ, &plaintext);

	if (status != HDMS_OK)
		assert_null(plaintext.data);
	assert_int_equal(ERR_peek_error(), 0);
	hdms_bytes_free(&plaintext);
	return status;
}

/* The compact form with its header replaced. */
static char *
with_header(const char *compact, const char *header)
{
	const char *rest = strchr(compact, '.');
	char	   *text = NULL;
	char	   *result;

	assert_int_equal(hdms_base64url_encode(header, strlen(header), &text), HDMS_OK);
	result = malloc(strlen(text) + strlen(rest) + 1);
	assert_non_null(result);
	sprintf(result, "%s%s", text, rest);
	free(text);
	return result;
}

/* The header of a compact form, parsed. */
static json_t *
header_of(const char *compact)
{
	HdmsBytes	bytes = {0};
	json_t	   *header = NULL;

	assert_int_equal(hdms_base64url_decode(compact, (size_t) (strchr(compact, '.') - compact), &bytes), HDMS_OK);
	assert_int_equal(hdms_claims_parse((const char *) bytes.data, bytes.len, &header), HDMS_OK);
	hdms_bytes_free(&bytes);
	return header;
}

/* The outcome of opening after one member of the header was set (NULL: removed). */
static HdmsStatus
open_changed(const char *compact, const HdmsKey *key, const char *typ, const char *name, json_t *value)
{
	json_t	   *header = header_of(compact);
	char	   *text;
	char	   *changed;
	HdmsStatus	status;

	if (value == NULL)
		json_object_del(header, name);
	else
		json_object_set_new(header, name, value);
	text = json_dumps(header, JSON_COMPACT);
	changed = with_header(compact, text);
	status = open_text(changed, key, typ);
	free(changed);
	free(text);
	json_decref(header);
	return status;
}

static void
both_kinds_of_key_open_what_was_sealed_to_them(void **state)
{
	static const HdmsKeyType types[] = {HDMS_KEY_P256, HDMS_KEY_RSA};
	static const size_t sizes[] = {0, 1, 15, 16, 17, 1200, 100000};
	unsigned char *data = calloc(1, 100000);

	(void) state;
	assert_non_null(data);
	for (size_t i = 0; i < 100000; i++)
		data[i] = (unsigned char) (i * 7);
	for (int t = 0; t < 2; t++)
	{
		HdmsKey    *key = new_key(types[t]);
		HdmsKey    *other = new_key(types[t]);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		{
			char	   *compact = NULL;
			HdmsBytes	plaintext = {0};
			char		kid[HDMS_DIGEST_TEXT + 1];

			assert_int_equal(hdms_jwe_seal(key, HDMS_TYP_ENVELOPE, data, sizes[i], &compact), HDMS_OK);
			assert_int_equal(hdms_jwe_open(compact, strlen(compact), key, HDMS_TYP_ENVELOPE, &plaintext), HDMS_OK);
			assert_int_equal(plaintext.len, sizes[i]);
			assert_memory_equal(plaintext.data, data, sizes[i]);
			assert_int_equal(plaintext.data[plaintext.len], 0);
			hdms_bytes_free(&plaintext);
			assert_int_equal(hdms_jwe_peek_kid(compact, strlen(compact), kid), HDMS_OK);
			assert_string_equal(kid, hdms_key_thumbprint(key));
			assert_int_equal(open_text(compact, other, HDMS_TYP_ENVELOPE), HDMS_CANNOT_DECRYPT);
			assert_int_equal(open_text(compact, other, NULL), HDMS_CANNOT_DECRYPT);
			assert_int_equal(open_text(compact, key, "other"), HDMS_BAD_TYPE);
			free(compact);
		}
		hdms_key_free(key);
		hdms_key_free(other);
	}
	free(data);
}

static void
the_header_has_the_members_of_the_standard_and_no_others(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *compact = NULL;
	json_t	   *header;

	(void) state;
	assert_int_equal(hdms_jwe_seal(key, "t", "x", 1, &compact), HDMS_OK);
	header = header_of(compact);
	assert_int_equal(json_object_size(header), 5);
	assert_string_equal(vectors_text(header, "alg"), "ECDH-ES+A256KW");
	assert_string_equal(vectors_text(header, "enc"), "A256GCM");
	assert_string_equal(vectors_text(header, "typ"), "t");
	assert_string_equal(vectors_text(header, "kid"), hdms_key_thumbprint(key));
	assert_int_equal(json_object_size(json_object_get(header, "epk")), 4);
	json_decref(header);
	free(compact);
	assert_int_equal(hdms_jwe_seal(key, NULL, "x", 1, &compact), HDMS_OK);
	header = header_of(compact);
	assert_null(json_object_get(header, "typ"));
	assert_int_equal(open_text(compact, key, NULL), HDMS_OK);
	assert_int_equal(open_text(compact, key, "t"), HDMS_BAD_TYPE);
	json_decref(header);
	free(compact);
	hdms_key_free(key);
}

static void
no_two_envelopes_are_alike(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *first = NULL;
	char	   *second = NULL;
	const char *a;
	const char *b;

	(void) state;
	assert_int_equal(hdms_jwe_seal(key, "t", "x", 1, &first), HDMS_OK);
	assert_int_equal(hdms_jwe_seal(key, "t", "x", 1, &second), HDMS_OK);
	a = first;
	b = second;
	for (int part = 0; part < 5; part++)
	{
		const size_t a_len = strcspn(a, ".");
		const size_t b_len = strcspn(b, ".");

		/* One byte of ciphertext may well agree. */
		if (part != 3)
			assert_false(a_len == b_len && memcmp(a, b, a_len) == 0);
		a += a_len + 1;
		b += b_len + 1;
	}
	free(first);
	free(second);
	hdms_key_free(key);
}

static void
every_changed_character_is_noticed(void **state)
{
	static const HdmsKeyType types[] = {HDMS_KEY_P256, HDMS_KEY_RSA};

	(void) state;
	for (int t = 0; t < 2; t++)
	{
		HdmsKey    *key = new_key(types[t]);
		char	   *compact = NULL;

		assert_int_equal(hdms_jwe_seal(key, "t", "plaintext", 9, &compact), HDMS_OK);
		for (size_t i = 0; i < strlen(compact); i += types[t] == HDMS_KEY_RSA ? 7 : 1)
		{
			const char	old = compact[i];

			compact[i] = old == 'A' ? 'B' : 'A';
			if (open_text(compact, key, "t") == HDMS_OK)
				fail_msg("the change at %zu of %s was not noticed", i, compact);
			compact[i] = old;
		}
		for (size_t len = 0; len < strlen(compact); len++)
		{
			HdmsBytes	plaintext = {0};

			assert_int_not_equal(hdms_jwe_open(compact, len, key, "t", &plaintext), HDMS_OK);
		}
		assert_int_equal(open_text(compact, key, "t"), HDMS_OK);
		free(compact);
		hdms_key_free(key);
	}
}

/* Flips a bit of the byte at the start of a part. */
static HdmsStatus
open_damaged(const char *compact, const HdmsKey *key, int part)
{
	char	   *copy = strdup(compact);
	char	   *at = copy;
	HdmsStatus	status;

	for (int i = 0; i < part; i++)
		at = strchr(at, '.') + 1;
	*at = *at == 'A' ? 'B' : 'A';
	status = open_text(copy, key, "t");
	free(copy);
	return status;
}

static void
a_wrong_key_a_wrong_wrapping_and_a_wrong_tag_look_the_same(void **state)
{
	static const HdmsKeyType types[] = {HDMS_KEY_P256, HDMS_KEY_RSA};

	(void) state;
	for (int t = 0; t < 2; t++)
	{
		HdmsKey    *key = new_key(types[t]);
		char	   *compact = NULL;

		assert_int_equal(hdms_jwe_seal(key, "t", "plaintext", 9, &compact), HDMS_OK);
		for (int part = 1; part < 5; part++)
			assert_int_equal(open_damaged(compact, key, part), HDMS_CANNOT_DECRYPT);
		free(compact);
		hdms_key_free(key);
	}
}

static void
other_algorithms_are_refused_before_any_key_is_used(void **state)
{
	static const char *const algs[] = {"dir", "A256KW", "ECDH-ES", "ECDH-ES+A128KW", "RSA-OAEP", "RSA1_5", "PBES2-HS256+A128KW", "none", ""};
	static const char *const encs[] = {"A128GCM", "A128CBC-HS256", "A256CBC-HS512", "a256gcm", ""};
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *compact = NULL;
	char	   *foreign;
	char		kid[HDMS_DIGEST_TEXT + 1];

	(void) state;
	assert_int_equal(hdms_jwe_seal(key, "t", "x", 1, &compact), HDMS_OK);
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		assert_int_equal(open_changed(compact, key, "t", "alg", json_string(algs[i])), HDMS_BAD_ALGORITHM);
	for (size_t i = 0; i < sizeof(encs) / sizeof(encs[0]); i++)
		assert_int_equal(open_changed(compact, key, "t", "enc", json_string(encs[i])), HDMS_BAD_ALGORITHM);
	assert_int_equal(open_changed(compact, key, "t", "alg", NULL), HDMS_BAD_ALGORITHM);
	foreign = with_header(compact, "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\"}");
	assert_int_equal(hdms_jwe_peek_kid(foreign, strlen(foreign), kid), HDMS_BAD_ALGORITHM);
	free(foreign);
	foreign = with_header(compact, "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\"}");
	assert_int_equal(hdms_jwe_peek_kid(foreign, strlen(foreign), kid), HDMS_OK);
	assert_string_equal(kid, "");
	free(foreign);
	assert_int_equal(open_changed(compact, key, "t", "enc", NULL), HDMS_BAD_ALGORITHM);
	assert_int_equal(open_changed(compact, key, "t", "alg", json_string("RSA-OAEP-256")), HDMS_BAD_ALGORITHM);
	free(compact);
	hdms_key_free(key);
}

static void
members_that_change_the_meaning_are_refused(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *compact = NULL;

	(void) state;
	assert_int_equal(hdms_jwe_seal(key, "t", "x", 1, &compact), HDMS_OK);
	assert_int_equal(open_changed(compact, key, "t", "zip", json_string("DEF")), HDMS_BAD_ALGORITHM);
	assert_int_equal(open_changed(compact, key, "t", "crit", json_pack("[s]", "exp")), HDMS_BAD_FORMAT);
	assert_int_equal(open_changed(compact, key, "t", "apu", json_string("QWxpY2U")), HDMS_BAD_FORMAT);
	assert_int_equal(open_changed(compact, key, "t", "apv", json_string("")), HDMS_BAD_FORMAT);
	assert_int_equal(open_changed(compact, key, "t", "jku", json_string("x")), HDMS_BAD_FORMAT);
	assert_int_equal(open_changed(compact, key, "t", "kid", json_string("x")), HDMS_BAD_FORMAT);
	assert_int_equal(open_changed(compact, key, "t", "kid", json_string("oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U")), HDMS_CANNOT_DECRYPT);
	assert_int_equal(open_changed(compact, key, "t", "typ", NULL), HDMS_BAD_TYPE);

	/* An unknown member is only covered by the tag. */
	assert_int_equal(open_changed(compact, key, "t", "x", json_true()), HDMS_CANNOT_DECRYPT);
	free(compact);
	hdms_key_free(key);
}

static void
the_ephemeral_key_must_be_a_public_point_of_the_curve(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *compact = NULL;
	json_t	   *header;
	const char *x;
	const char *y;

	(void) state;
	assert_int_equal(hdms_jwe_seal(key, "t", "x", 1, &compact), HDMS_OK);
	header = header_of(compact);
	x = vectors_text(json_object_get(header, "epk"), "x");
	y = vectors_text(json_object_get(header, "epk"), "y");
	assert_int_equal(open_changed(compact, key, "t", "epk", NULL), HDMS_BAD_FORMAT);
	assert_int_equal(open_changed(compact, key, "t", "epk", json_string("x")), HDMS_BAD_FORMAT);
	assert_int_equal(open_changed(compact, key, "t", "epk", json_pack("{ss ss ss ss}", "kty", "EC", "crv", "P-256", "x", x, "y", x)), HDMS_BAD_KEY);
	assert_int_equal(open_changed(compact, key, "t", "epk", json_pack("{ss ss ss ss}", "kty", "EC", "crv", "P-384", "x", x, "y", y)), HDMS_BAD_KEY);
	assert_int_equal(open_changed(compact, key, "t", "epk", json_pack("{ss ss ss ss}", "kty", "OKP", "crv", "P-256", "x", x, "y", y)), HDMS_BAD_KEY);
	assert_int_equal(open_changed(compact, key, "t", "epk", json_pack("{ss ss ss}", "kty", "EC", "crv", "P-256", "x", x)), HDMS_BAD_KEY);
	assert_int_equal(open_changed(compact, key, "t", "epk", json_pack("{ss ss ss ss}", "kty", "EC", "crv", "P-256", "x", "AAAA", "y", y)), HDMS_BAD_KEY);
	assert_int_equal(open_changed(compact, key, "t", "epk", json_pack("{ss ss ss ss ss}", "kty", "EC", "crv", "P-256", "x", x, "y", y, "d", x)), HDMS_BAD_KEY);
	json_decref(header);
	free(compact);
	hdms_key_free(key);
}

static void
keys_that_are_not_for_encryption_neither_seal_nor_open(void **state)
{
	HdmsKey    *signing = new_key(HDMS_KEY_ED25519);
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	HdmsKey    *public = NULL;
	HdmsKey    *restricted = NULL;
	char	   *jwk = NULL;
	char	   *compact = NULL;
	char		text[400];

	(void) state;
	assert_int_equal(hdms_key_to_jwk(key, false, &jwk), HDMS_OK);
	assert_int_equal(hdms_key_from_jwk(jwk, strlen(jwk), &public), HDMS_OK);
	snprintf(text, sizeof(text), "{\"use\":\"sig\",%s", jwk + 1);
	assert_int_equal(hdms_key_from_jwk(text, strlen(text), &restricted), HDMS_OK);
	assert_int_equal(hdms_jwe_seal(signing, "t", "x", 1, &compact), HDMS_BAD_KEY);
	assert_int_equal(hdms_jwe_seal(restricted, "t", "x", 1, &compact), HDMS_BAD_KEY);
	assert_null(compact);
	assert_int_equal(hdms_jwe_seal(public, "t", "x", 1, &compact), HDMS_OK);
	assert_int_equal(open_text(compact, signing, "t"), HDMS_BAD_KEY);
	assert_int_equal(open_text(compact, public, "t"), HDMS_BAD_KEY);
	assert_int_equal(open_text(compact, key, "t"), HDMS_OK);
	free(compact);
	free(jwk);
	hdms_key_free(signing);
	hdms_key_free(key);
	hdms_key_free(public);
	hdms_key_free(restricted);
}

static void
an_envelope_is_at_most_a_mebibyte(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *data = calloc(1, HDMS_ENVELOPE_MAX + 1);
	char	   *compact = NULL;
	HdmsBytes	plaintext = {0};

	(void) state;
	assert_non_null(data);
	assert_int_equal(hdms_jwe_seal(key, "t", data, HDMS_ENVELOPE_MAX / 4 * 3, &compact), HDMS_TOO_LARGE);
	assert_int_equal(hdms_jwe_seal(key, "t", data, HDMS_ENVELOPE_MAX + 1, &compact), HDMS_TOO_LARGE);
	assert_null(compact);
	assert_int_equal(hdms_jwe_seal(key, "t", data, HDMS_ENVELOPE_MAX / 4 * 3 - 600, &compact), HDMS_OK);
	assert_true(strlen(compact) <= HDMS_ENVELOPE_MAX);
	assert_int_equal(open_text(compact, key, "t"), HDMS_OK);
	memset(data, 'A', HDMS_ENVELOPE_MAX + 1);
	assert_int_equal(hdms_jwe_open(data, HDMS_ENVELOPE_MAX + 1, key, "t", &plaintext), HDMS_TOO_LARGE);
	free(compact);
	free(data);
	hdms_key_free(key);
}

static int	wycheproof_accepted;

static void
wycheproof_case(const json_t *group, const json_t *test)
{
	const char *compact = vectors_text(test, "jwe");
	char	   *text = json_dumps(json_object_get(group, "private"), JSON_COMPACT);
	HdmsKey    *key = NULL;
	HdmsBytes	plaintext = {0};
	json_t	   *header = NULL;
	HdmsBytes	bytes = {0};
	const char *alg;
	HdmsStatus	status;
	bool		is_ours = false;

	assert_non_null(text);
	if (hdms_base64url_decode(compact, strcspn(compact, "."), &bytes) == HDMS_OK &&
		hdms_claims_parse((const char *) bytes.data, bytes.len, &header) == HDMS_OK)
	{
		alg = vectors_text(header, "alg");
		is_ours = (strcmp(alg, "ECDH-ES+A256KW") == 0 || strcmp(alg, "RSA-OAEP-256") == 0) &&
			strcmp(vectors_text(header, "enc"), "A256GCM") == 0;
	}
	status = hdms_key_from_jwk(text, strlen(text), &key);
	if (status == HDMS_OK)
		status = hdms_jwe_open(compact, strlen(compact), key, NULL, &plaintext);
	if ((status == HDMS_OK) != (vectors_is_valid(test) && is_ours))
		fail_msg("case %lld: %s", (long long) json_integer_value(json_object_get(test, "tcId")), hdms_status_word(status));
	if (status == HDMS_OK)
	{
		HdmsBytes	expected = vectors_hex(test, "pt");

		assert_int_equal(expected.len, plaintext.len);
		assert_memory_equal(expected.data, plaintext.data, plaintext.len);
		hdms_bytes_free(&expected);
		wycheproof_accepted++;
	}
	hdms_bytes_free(&plaintext);
	hdms_bytes_free(&bytes);
	json_decref(header);
	hdms_key_free(key);
	free(text);
}

static void
wycheproof_s_jwe_are_judged_rightly(void **state)
{
	(void) state;
	if (vectors_each("wycheproof/json_web_encryption_test.json", wycheproof_case) == -1)
		return;

	/* One with ECDH-ES+A256KW and one with RSA-OAEP-256, both with A256GCM. */
	assert_int_equal(wycheproof_accepted, 2);
}

static void
oaep_case(const json_t *group, const json_t *test)
{
	char	   *text = json_dumps(json_object_get(group, "privateKeyJwk"), JSON_COMPACT);
	HdmsBytes	ciphertext = vectors_hex(test, "ct");
	HdmsBytes	message = vectors_hex(test, "msg");
	HdmsWrappedKey wrapped = {.key_len = ciphertext.len};
	unsigned char cek[HDMS_CEK_SIZE];
	unsigned char again[HDMS_CEK_SIZE];
	HdmsKey    *key = NULL;

	assert_int_equal(hdms_key_from_jwk(text, strlen(text), &key), HDMS_OK);
	assert_true(ciphertext.len <= sizeof(wrapped.key));
	memcpy(wrapped.key, ciphertext.data, ciphertext.len);
	assert_int_equal(hdms_cek_unwrap(key, &wrapped, cek), HDMS_OK);
	assert_int_equal(hdms_cek_unwrap(key, &wrapped, again), HDMS_OK);
	if (vectors_is_valid(test) && message.len == HDMS_CEK_SIZE && *vectors_text(test, "label") == '\0')
		assert_memory_equal(cek, message.data, HDMS_CEK_SIZE);
	else
		assert_memory_not_equal(cek, again, HDMS_CEK_SIZE);
	free(text);
	hdms_bytes_free(&ciphertext);
	hdms_bytes_free(&message);
	hdms_key_free(key);

	/* Tidying OpenSSL's queue is hdms_jwe_open()'s work. */
	ERR_clear_error();
}

static void
a_bad_rsa_wrapping_yields_a_random_key_each_time(void **state)
{
	int			count = vectors_each("wycheproof/rsa_oaep_2048_sha256_mgf1sha256_test.json", oaep_case);

	(void) state;
	assert_true(count == -1 || count == 37);
}

static void
the_cookbook_s_other_algorithms_are_refused_as_such(void **state)
{
	static const char *const names[] = {
		"5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2", "5_2.key_encryption_using_rsa-oaep_with_aes-gcm",
		"5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2",
		"5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm",
		"5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2", "5_6.direct_encryption_using_aes-gcm",
		"5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2", "5_8.key_wrap_using_aes-keywrap_with_aes-gcm", "5_9.compressed_content",
	};
	HdmsKey    *key = new_key(HDMS_KEY_P256);

	(void) state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		char		path[200];
		json_t	   *example;

		snprintf(path, sizeof(path), "jose-cookbook/jwe/%s.json", names[i]);
		example = vectors_load(path);
		if (example == NULL)
			break;
		assert_int_equal(open_text(vectors_text(json_object_get(example, "output"), "compact"), key, NULL), HDMS_BAD_ALGORITHM);
		json_decref(example);
	}
	hdms_key_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_kinds_of_key_open_what_was_sealed_to_them),
		cmocka_unit_test(the_header_has_the_members_of_the_standard_and_no_others),
		cmocka_unit_test(no_two_envelopes_are_alike),
		cmocka_unit_test(every_changed_character_is_noticed),
		cmocka_unit_test(a_wrong_key_a_wrong_wrapping_and_a_wrong_tag_look_the_same),
		cmocka_unit_test(other_algorithms_are_refused_before_any_key_is_used),
		cmocka_unit_test(members_that_change_the_meaning_are_refused),
		cmocka_unit_test(the_ephemeral_key_must_be_a_public_point_of_the_curve),
		cmocka_unit_test(keys_that_are_not_for_encryption_neither_seal_nor_open),
		cmocka_unit_test(an_envelope_is_at_most_a_mebibyte),
		cmocka_unit_test(wycheproof_s_jwe_are_judged_rightly),
		cmocka_unit_test(a_bad_rsa_wrapping_yields_a_random_key_each_time),
		cmocka_unit_test(the_cookbook_s_other_algorithms_are_refused_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
