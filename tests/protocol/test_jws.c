/*
 * test_jws.c
 *		Compact JWS: what is signed verifies, what is not on the list is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jws.h"
#include "vectors.h"

/* RFC 7515, A.3. */
static const char example_key[] =
"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}";
static const char example_jws[] =
"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static HdmsKey *
new_key(HdmsKeyType type)
{
	HdmsKey    *key = NULL;

	assert_int_equal(hdms_key_generate(type, type == HDMS_KEY_RSA ? 2048 : 0, &key), HDMS_OK);
	return key;
}

/* Signs a header of the test's own choice over a payload, whatever the header says. */
static char *
forge(const HdmsKey *key, const char *header, const char *payload)
{
	char	   *header64 = NULL;
	char	   *payload64 = NULL;
	char	   *signature64 = NULL;
	HdmsBytes	signature = {0};
	char	   *input;
	char	   *compact;

	assert_int_equal(hdms_base64url_encode(header, strlen(header), &header64), HDMS_OK);
	assert_int_equal(hdms_base64url_encode(payload, strlen(payload), &payload64), HDMS_OK);
	input = malloc(strlen(header64) + strlen(payload64) + 2);
	assert_non_null(input);
	sprintf(input, "%s.%s", header64, payload64);
	assert_int_equal(hdms_key_sign(key, input, strlen(input), &signature), HDMS_OK);
	assert_int_equal(hdms_base64url_encode(signature.data, signature.len, &signature64), HDMS_OK);
	compact = malloc(strlen(input) + strlen(signature64) + 2);
	assert_non_null(compact);
	sprintf(compact, "%s.%s", input, signature64);
	free(header64);
	free(payload64);
	free(signature64);
	free(input);
	hdms_bytes_free(&signature);
	return compact;
}

static HdmsStatus
verify(const char *compact, const HdmsKey *key, const char *typ)
{
	HdmsBytes	payload = {0};
	HdmsStatus	status = hdms_jws_verify(compact, strlen(compact), key, typ, &payload);

	if (status != HDMS_OK)
		assert_null(payload.data);
	hdms_bytes_free(&payload);
	return status;
}

/* The outcome of verifying a forged header, expecting the typ "t". */
static HdmsStatus
verify_header(const HdmsKey *key, const char *header)
{
	char	   *compact = forge(key, header, "{}");
	HdmsStatus	status = verify(compact, key, "t");

	free(compact);
	return status;
}

static void
each_kind_of_key_signs_and_verifies(void **state)
{
	static const HdmsKeyType types[] = {HDMS_KEY_P256, HDMS_KEY_RSA, HDMS_KEY_ED25519};

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		HdmsKey    *key = new_key(types[i]);
		HdmsKey    *other = new_key(types[i]);
		char	   *compact = NULL;
		HdmsBytes	payload = {0};
		HdmsJwsHeader header = {0};

		assert_int_equal(hdms_jws_sign(key, HDMS_TYP_COMMIT, false, "pay\0load", 8, &compact), HDMS_OK);
		assert_int_equal(hdms_jws_verify(compact, strlen(compact), key, HDMS_TYP_COMMIT, &payload), HDMS_OK);
		assert_int_equal(payload.len, 8);
		assert_memory_equal(payload.data, "pay\0load", 8);
		hdms_bytes_free(&payload);
		assert_int_equal(hdms_jws_peek(compact, strlen(compact), &header), HDMS_OK);
		assert_string_equal(header.alg, hdms_key_signature_algorithm(key));
		assert_string_equal(header.typ, HDMS_TYP_COMMIT);
		assert_string_equal(header.kid, hdms_key_thumbprint(key));
		assert_null(header.jwk);
		hdms_jws_header_free(&header);
		assert_int_equal(verify(compact, other, HDMS_TYP_COMMIT), HDMS_UNKNOWN_KEY);
		assert_int_equal(verify(compact, other, NULL), HDMS_BAD_SIGNATURE);
		assert_int_equal(verify(compact, key, HDMS_TYP_SKIP), HDMS_BAD_TYPE);
		free(compact);
		hdms_key_free(key);
		hdms_key_free(other);
	}
}

static void
the_header_says_alg_typ_and_kid(void **state)
{
	HdmsKey    *key = NULL;
	char	   *compact = NULL;
	char	   *dot;
	HdmsBytes	header = {0};

	(void) state;
	assert_int_equal(hdms_key_from_jwk(example_key, strlen(example_key), &key), HDMS_OK);
	assert_int_equal(hdms_jws_sign(key, "a\"b", false, "", 0, &compact), HDMS_OK);
	dot = strchr(compact, '.');
	assert_int_equal(hdms_base64url_decode(compact, (size_t) (dot - compact), &header), HDMS_OK);
	assert_string_equal((char *) header.data, "{\"alg\":\"ES256\",\"typ\":\"a\\\"b\",\"kid\":\"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U\"}");
	assert_int_equal(dot[1], '.');
	hdms_bytes_free(&header);
	free(compact);
	hdms_key_free(key);
}

static void
the_example_of_rfc_7515_verifies(void **state)
{
	HdmsKey    *key = NULL;
	HdmsBytes	payload = {0};

	(void) state;
	assert_int_equal(hdms_key_from_jwk(example_key, strlen(example_key), &key), HDMS_OK);
	assert_int_equal(hdms_jws_verify(example_jws, strlen(example_jws), key, NULL, &payload), HDMS_OK);
	assert_string_equal((char *) payload.data, "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
	hdms_bytes_free(&payload);
	assert_int_equal(verify(example_jws, key, "JWT"), HDMS_BAD_TYPE);
	hdms_key_free(key);
}

static void
every_changed_character_is_noticed(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *compact = NULL;

	(void) state;
	assert_int_equal(hdms_jws_sign(key, "t", false, "{\"a\":1}", 7, &compact), HDMS_OK);
	for (size_t i = 0; compact[i] != '\0'; i++)
	{
		const char	old = compact[i];

		compact[i] = old == 'A' ? 'B' : 'A';
		assert_int_not_equal(verify(compact, key, "t"), HDMS_OK);
		compact[i] = old;
	}
	assert_int_equal(verify(compact, key, "t"), HDMS_OK);
	for (size_t len = 0; len < strlen(compact); len++)
	{
		HdmsBytes	payload = {0};

		assert_int_not_equal(hdms_jws_verify(compact, len, key, "t", &payload), HDMS_OK);
	}
	free(compact);
	hdms_key_free(key);
}

static void
the_algorithm_is_the_key_s_and_not_the_header_s_choice(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);

	(void) state;
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\"}"), HDMS_OK);
	assert_int_equal(verify_header(key, "{\"alg\":\"none\",\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"alg\":\"HS256\",\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"alg\":\"PS256\",\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"alg\":\"EdDSA\",\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"alg\":\"es256\",\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256K\",\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"alg\":1,\"typ\":\"t\"}"), HDMS_BAD_ALGORITHM);
	hdms_key_free(key);
}

static void
an_unsigned_jws_is_refused(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);

	(void) state;
	assert_int_equal(verify("eyJhbGciOiJub25lIn0.e30.", key, NULL), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify("eyJhbGciOiJFUzI1NiJ9.e30.", key, NULL), HDMS_BAD_SIGNATURE);
	assert_int_equal(verify("eyJhbGciOiJFUzI1NiJ9.e30", key, NULL), HDMS_BAD_FORMAT);
	assert_int_equal(verify("", key, NULL), HDMS_BAD_FORMAT);
	assert_int_equal(verify("..", key, NULL), HDMS_BAD_JSON);
	hdms_key_free(key);
}

static void
members_that_change_the_meaning_are_refused(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);

	(void) state;
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"crit\":[\"exp\"],\"exp\":1}"), HDMS_BAD_FORMAT);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"crit\":[]}"), HDMS_BAD_FORMAT);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"b64\":true}"), HDMS_BAD_FORMAT);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"jku\":\"http://x\"}"), HDMS_BAD_FORMAT);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"x5u\":\"http://x\"}"), HDMS_BAD_FORMAT);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"zip\":\"DEF\"}"), HDMS_BAD_ALGORITHM);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"typ\":\"t\"}"), HDMS_BAD_JSON);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"T\"}"), HDMS_BAD_TYPE);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":[\"t\"]}"), HDMS_BAD_TYPE);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\"}"), HDMS_BAD_TYPE);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"kid\":\"short\"}"), HDMS_BAD_FORMAT);
	assert_int_equal(verify_header(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"kid\":\"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U\"}"), HDMS_UNKNOWN_KEY);
	assert_int_equal(verify_header(key, "[]"), HDMS_BAD_FORMAT);
	hdms_key_free(key);
}

static void
a_revealed_key_travels_in_the_header_and_a_private_one_is_refused(void **state)
{
	HdmsKey    *key = NULL;
	char	   *compact = NULL;
	HdmsJwsHeader header = {0};
	char		json[1000];

	(void) state;
	assert_int_equal(hdms_key_from_jwk(example_key, strlen(example_key), &key), HDMS_OK);
	assert_int_equal(hdms_jws_sign(key, "t", true, "{}", 2, &compact), HDMS_OK);
	assert_int_equal(hdms_jws_peek(compact, strlen(compact), &header), HDMS_OK);
	assert_non_null(header.jwk);
	assert_string_equal(hdms_key_thumbprint(header.jwk), hdms_key_thumbprint(key));
	assert_false(hdms_key_is_private(header.jwk));
	assert_int_equal(verify(compact, header.jwk, "t"), HDMS_OK);
	hdms_jws_header_free(&header);
	assert_null(header.jwk);
	free(compact);

	snprintf(json, sizeof(json), "{\"alg\":\"ES256\",\"typ\":\"t\",\"jwk\":%s}", example_key);
	compact = forge(key, json, "{}");
	assert_int_equal(hdms_jws_peek(compact, strlen(compact), &header), HDMS_BAD_KEY);
	free(compact);
	compact = forge(key, "{\"alg\":\"ES256\",\"typ\":\"t\",\"jwk\":\"x\"}", "{}");
	assert_int_equal(hdms_jws_peek(compact, strlen(compact), &header), HDMS_BAD_KEY);
	free(compact);
	hdms_key_free(key);
}

static void
peeking_refuses_what_verifying_would(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	HdmsJwsHeader header = {0};
	static const struct
	{
		const char *header;
		HdmsStatus	status;
	}			cases[] = {
		{"{\"alg\":\"HS256\",\"typ\":\"t\"}", HDMS_BAD_ALGORITHM},
		{"{\"alg\":\"ES256\"}", HDMS_BAD_TYPE},
		{"{\"alg\":\"ES256\",\"typ\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", HDMS_BAD_TYPE},
		{"{\"alg\":\"ES256\",\"typ\":\"t\",\"kid\":7}", HDMS_BAD_FORMAT},
		{"{\"alg\":\"ES256\",\"typ\":\"t\",\"crit\":[\"x\"]}", HDMS_BAD_FORMAT},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *compact = forge(key, cases[i].header, "{}");

		assert_int_equal(hdms_jws_peek(compact, strlen(compact), &header), cases[i].status);
		assert_null(header.jwk);
		free(compact);
	}
	hdms_key_free(key);
}

static void
claims_must_be_strict_json(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	json_t	   *claims = json_pack("{s:s, s:i}", "iss", "me", "iat", 5);
	json_t	   *back = NULL;
	HdmsBytes	payload = {0};
	char	   *compact = NULL;

	(void) state;
	assert_int_equal(hdms_jws_sign_claims(key, "t", false, claims, &compact), HDMS_OK);
	assert_int_equal(hdms_jws_peek_payload(compact, strlen(compact), &payload), HDMS_OK);
	assert_string_equal((char *) payload.data, "{\"iss\":\"me\",\"iat\":5}");
	hdms_bytes_free(&payload);
	assert_int_equal(hdms_jws_verify_claims(compact, strlen(compact), key, "t", &back), HDMS_OK);
	assert_true(json_equal(claims, back));
	json_decref(back);
	back = NULL;
	free(compact);
	compact = forge(key, "{\"alg\":\"ES256\",\"typ\":\"t\"}", "{\"a\":1,\"a\":2}");
	assert_int_equal(hdms_jws_verify_claims(compact, strlen(compact), key, "t", &back), HDMS_BAD_JSON);
	assert_null(back);
	free(compact);
	json_decref(claims);
	hdms_key_free(key);
}

static void
size_is_bounded_on_both_sides(void **state)
{
	HdmsKey    *key = new_key(HDMS_KEY_P256);
	char	   *big = calloc(1, HDMS_JWS_MAX + 1);
	char	   *compact = NULL;
	HdmsBytes	payload = {0};

	(void) state;
	assert_non_null(big);
	assert_int_equal(hdms_jws_sign(key, "t", false, big, HDMS_JWS_MAX / 4 * 3, &compact), HDMS_TOO_LARGE);
	assert_null(compact);
	assert_int_equal(hdms_jws_sign(key, "t", false, big, HDMS_JWS_MAX / 4 * 3 - 1000, &compact), HDMS_OK);
	assert_int_equal(hdms_jws_verify(compact, strlen(compact), key, "t", &payload), HDMS_OK);
	hdms_bytes_free(&payload);
	free(compact);
	memset(big, 'A', HDMS_JWS_MAX + 1);
	assert_int_equal(hdms_jws_verify(big, HDMS_JWS_MAX + 1, key, "t", &payload), HDMS_TOO_LARGE);
	assert_int_equal(hdms_jws_verify(big, HDMS_JWS_MAX, key, "t", &payload), HDMS_BAD_FORMAT);
	memset(big, '.', HDMS_JWS_MAX);
	assert_int_equal(hdms_jws_verify(big, HDMS_JWS_MAX, key, "t", &payload), HDMS_BAD_FORMAT);
	free(big);
	hdms_key_free(key);
}

/* Whether a header's "alg" is one of ours. */
static bool
is_ours(const char *compact)
{
	const char *dot = strchr(compact, '.');
	HdmsBytes	bytes = {0};
	json_t	   *header;
	const char *alg;
	bool		result = false;

	if (dot == NULL || hdms_base64url_decode(compact, (size_t) (dot - compact), &bytes) != HDMS_OK)
		return false;
	header = json_loadb((const char *) bytes.data, bytes.len, 0, NULL);
	alg = vectors_text(header, "alg");
	result = strcmp(alg, "ES256") == 0 || strcmp(alg, "PS256") == 0 || strcmp(alg, "EdDSA") == 0;
	json_decref(header);
	hdms_bytes_free(&bytes);
	return result;
}

static int	wycheproof_accepted;

static void
wycheproof_case(const json_t *group, const json_t *test)
{
	const json_t *jwk = json_object_get(group, "public");
	const char *compact = vectors_text(test, "jws");
	char	   *text = json_dumps(jwk != NULL ? jwk : json_object_get(group, "private"), JSON_COMPACT);
	HdmsKey    *key = NULL;
	HdmsStatus	status;

	assert_non_null(text);
	status = hdms_key_from_jwk(text, strlen(text), &key);
	if (status == HDMS_OK)
		status = verify(compact, key, NULL);
	if ((status == HDMS_OK) != (vectors_is_valid(test) && is_ours(compact)))
		fail_msg("case %lld: %s", (long long) json_integer_value(json_object_get(test, "tcId")), hdms_status_word(status));
	wycheproof_accepted += status == HDMS_OK;
	hdms_key_free(key);
	free(text);
}

static void
wycheproof_s_jws_are_judged_rightly(void **state)
{
	(void) state;
	if (vectors_each("wycheproof/json_web_signature_test.json", wycheproof_case) == -1)
		return;

	/* One in each of the two groups of ES256, six of PS256. */
	assert_int_equal(wycheproof_accepted, 8);
}

static void
wycheproof_key_case(const json_t *group, const json_t *test)
{
	const json_t *set = json_object_get(group, "public");
	const char *compact = vectors_text(test, "jws");
	json_t	   *jwk;
	size_t		index;

	if (set == NULL)
		set = json_object_get(group, "private");
	json_array_foreach(json_object_get(set, "keys"), index, jwk)
	{
		char	   *text = json_dumps(jwk, JSON_COMPACT);
		HdmsKey    *key = NULL;

		/* None is both of our algorithms and valid. */
		if (hdms_key_from_jwk(text, strlen(text), &key) == HDMS_OK && verify(compact, key, NULL) == HDMS_OK)
			fail_msg("case %lld was accepted", (long long) json_integer_value(json_object_get(test, "tcId")));
		hdms_key_free(key);
		free(text);
	}
}

static void
wycheproof_s_bad_keys_verify_nothing(void **state)
{
	int			count = vectors_each("wycheproof/json_web_key_test.json", wycheproof_key_case);

	(void) state;
	assert_true(count == -1 || count == 26);
}

static void
the_cookbook_s_other_algorithms_are_refused_as_such(void **state)
{
	static const char *const names[] = {"4_1.rsa_v15_signature", "4_2.rsa-pss_signature", "4_3.ecdsa_signature", "4_4.hmac-sha2_integrity_protection"};
	HdmsKey    *key = new_key(HDMS_KEY_P256);

	(void) state;
	for (int i = 0; i < 4; i++)
	{
		char		path[200];
		json_t	   *example;
		const char *compact;
		HdmsJwsHeader header = {0};

		snprintf(path, sizeof(path), "jose-cookbook/jws/%s.json", names[i]);
		example = vectors_load(path);
		if (example == NULL)
			break;
		compact = vectors_text(json_object_get(example, "output"), "compact");
		assert_int_equal(hdms_jws_peek(compact, strlen(compact), &header), HDMS_BAD_ALGORITHM);
		assert_int_equal(verify(compact, key, NULL), HDMS_BAD_ALGORITHM);
		json_decref(example);
	}
	hdms_key_free(key);
}

static void
the_cookbook_s_keys_are_read_where_they_are_ours(void **state)
{
	static const struct
	{
		const char *name;
		HdmsStatus	status;
	}			keys[] = {
		{"3_1.ec_public_key", HDMS_BAD_KEY}, {"3_2.ec_private_key", HDMS_BAD_KEY}, {"3_3.rsa_public_key", HDMS_OK},
		{"3_4.rsa_private_key", HDMS_OK}, {"3_5.symmetric_key_mac_computation", HDMS_BAD_KEY}, {"3_6.symmetric_key_encryption", HDMS_BAD_KEY},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
	{
		char		path[200];
		HdmsBytes	jwk = {0};
		HdmsKey    *key = NULL;

		snprintf(path, sizeof(path), "jose-cookbook/jwk/%s.json", keys[i].name);
		if (!vectors_read(path, &jwk))
			return;
		assert_int_equal(hdms_key_from_jwk((const char *) jwk.data, jwk.len, &key), keys[i].status);
		hdms_key_free(key);
		hdms_bytes_free(&jwk);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_key_signs_and_verifies),
		cmocka_unit_test(the_header_says_alg_typ_and_kid),
		cmocka_unit_test(the_example_of_rfc_7515_verifies),
		cmocka_unit_test(every_changed_character_is_noticed),
		cmocka_unit_test(the_algorithm_is_the_key_s_and_not_the_header_s_choice),
		cmocka_unit_test(an_unsigned_jws_is_refused),
		cmocka_unit_test(members_that_change_the_meaning_are_refused),
		cmocka_unit_test(a_revealed_key_travels_in_the_header_and_a_private_one_is_refused),
		cmocka_unit_test(peeking_refuses_what_verifying_would),
		cmocka_unit_test(claims_must_be_strict_json),
		cmocka_unit_test(size_is_bounded_on_both_sides),
		cmocka_unit_test(wycheproof_s_jws_are_judged_rightly),
		cmocka_unit_test(wycheproof_s_bad_keys_verify_nothing),
		cmocka_unit_test(the_cookbook_s_other_algorithms_are_refused_as_such),
		cmocka_unit_test(the_cookbook_s_keys_are_read_where_they_are_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
