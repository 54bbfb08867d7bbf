/*
 * test_http_signature.c
 *		Signatures of HTTP requests: that they cover the whole request, and that nothing else passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http_signature.h"

#define NOW INT64_C(1767225600)

static const HdmsHttpRequest post = {
	.method = "POST", .authority = "hdms.example:8443", .path = "/v1/envelopes", .query = "?", .body = "{\"a\":1}", .body_len = 7
};
static const HdmsHttpRequest get = {
	.method = "GET", .authority = "hdms.example", .path = "/v1/mailbox", .query = "?wait=25&limit=10"
};

static HdmsKey *key;
static const unsigned char secret[32] = "0123456789abcdef0123456789abcdef";

static int
make_key(void **state)
{
	(void) state;
	return hdms_key_generate(HDMS_KEY_P256, 0, &key) == HDMS_OK ? 0 : -1;
}

static int
free_key(void **state)
{
	(void) state;
	hdms_key_free(key);
	return 0;
}

/* Signs with the key and verifies what the arguments say, which may differ from what was signed. */
static HdmsStatus
sign_then_verify(const HdmsHttpRequest *signed_request, const HdmsHttpRequest *seen, int64_t now)
{
	HdmsHttpSignature signature = {0};
	HdmsStatus	status;

	assert_int_equal(hdms_http_sign(signed_request, key, "node", NOW, NULL, &signature), HDMS_OK);
	status = hdms_http_verify(seen, signature.signature_input, signature.signature, signature.content_digest, key, NULL, now);
	hdms_http_signature_free(&signature);
	return status;
}

/* A signature by the key over a base of the test's own making, as a header. */
static char *
sign_base(const char *base)
{
	HdmsBytes	signature = {0};
	char	   *base64 = NULL;
	char	   *header;

	assert_int_equal(hdms_key_sign(key, base, strlen(base), &signature), HDMS_OK);
	assert_int_equal(hdms_base64_encode(signature.data, signature.len, &base64), HDMS_OK);
	header = malloc(strlen(base64) + 10);
	assert_non_null(header);
	sprintf(header, "hdms=:%s:", base64);
	free(base64);
	hdms_bytes_free(&signature);
	return header;
}

/* Verifies a GET whose Signature-Input is the label and params, really signed over the lines and those params. */
static HdmsStatus
verify_params(const char *lines, const char *params)
{
	char		base[2000];
	char		input[2000];
	char	   *header;
	HdmsStatus	status;

	snprintf(base, sizeof(base), "%s\"@signature-params\": %s", lines, params);
	snprintf(input, sizeof(input), "hdms=%s", params);
	header = sign_base(base);
	status = hdms_http_verify(&get, input, header, NULL, key, NULL, NOW);
	free(header);
	return status;
}

#define GET_LINES "\"@method\": GET\n\"@authority\": hdms.example\n\"@path\": /v1/mailbox\n\"@query\": ?wait=25&limit=10\n"
#define COVERED "(\"@method\" \"@authority\" \"@path\" \"@query\")"

static void
the_base_is_that_of_rfc_9421(void **state)
{
	HdmsHttpSignature signature = {0};
	HdmsBytes	raw = {0};
	const char *base =
	"\"@method\": POST\n\"@authority\": hdms.example:8443\n\"@path\": /v1/envelopes\n\"@query\": ?\n"
	"\"content-digest\": sha-256=:AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI=:\n"
	"\"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")"
	";created=1767225600;keyid=\"node\";nonce=\"abc\";tag=\"hdms-v1\"";

	(void) state;
	assert_int_equal(hdms_http_sign(&post, key, "node", NOW, "abc", &signature), HDMS_OK);
	assert_string_equal(signature.content_digest, "sha-256=:AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI=:");
	assert_string_equal(signature.signature_input,
						"hdms=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")"
						";created=1767225600;keyid=\"node\";nonce=\"abc\";tag=\"hdms-v1\"");
	assert_memory_equal(signature.signature, "hdms=:", 6);
	assert_int_equal(hdms_base64_decode(signature.signature + 6, strlen(signature.signature) - 7, &raw), HDMS_OK);
	assert_int_equal(hdms_key_verify(key, base, strlen(base), raw.data, raw.len), HDMS_OK);
	hdms_bytes_free(&raw);
	hdms_http_signature_free(&signature);
	assert_null(signature.signature);
}

static void
a_session_signs_with_hmac_sha256(void **state)
{
	HdmsHttpSignature signature = {0};
	unsigned char mac[32];
	unsigned char other[32] = {0};
	unsigned char extended[33];
	char		header[100];
	char	   *base64 = NULL;
	HdmsBytes	raw = {0};
	const char *base = GET_LINES "\"@signature-params\": " COVERED ";created=1767225600;keyid=\"session\";tag=\"hdms-v1\"";

	(void) state;
	assert_int_equal(hdms_http_sign_session(&get, secret, "session", NOW, NULL, &signature), HDMS_OK);
	assert_null(signature.content_digest);
	assert_int_equal(hdms_base64_decode(signature.signature + 6, strlen(signature.signature) - 7, &raw), HDMS_OK);
	assert_int_equal(hdms_hmac_sha256(secret, 32, base, strlen(base), mac), HDMS_OK);
	assert_int_equal(raw.len, 32);
	assert_memory_equal(raw.data, mac, 32);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, signature.signature, NULL, NULL, secret, NOW), HDMS_OK);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, signature.signature, NULL, NULL, other, NOW), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, signature.signature, NULL, key, NULL, NOW), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, "hdms=::", NULL, NULL, secret, NOW), HDMS_BAD_SIGNATURE);
	memcpy(extended, mac, 32);
	extended[32] = 0;
	assert_int_equal(hdms_base64_encode(extended, 33, &base64), HDMS_OK);
	snprintf(header, sizeof(header), "hdms=:%s:", base64);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, header, NULL, NULL, secret, NOW), HDMS_BAD_SIGNATURE);
	free(base64);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, signature.signature, NULL, key, secret, NOW), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, signature.signature, NULL, NULL, NULL, NOW), HDMS_BAD_ARGUMENT);
	hdms_bytes_free(&raw);
	hdms_http_signature_free(&signature);
}

static void
rsa_and_ed25519_keys_sign_too(void **state)
{
	static const HdmsKeyType types[] = {HDMS_KEY_RSA, HDMS_KEY_ED25519};

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		HdmsHttpSignature signature = {0};
		HdmsKey    *other = NULL;

		assert_int_equal(hdms_key_generate(types[i], i == 0 ? 2048 : 0, &other), HDMS_OK);
		assert_int_equal(hdms_http_sign(&post, other, "node", NOW, NULL, &signature), HDMS_OK);
		assert_int_equal(hdms_http_verify(&post, signature.signature_input, signature.signature, signature.content_digest, other, NULL, NOW), HDMS_OK);
		assert_int_equal(hdms_http_verify(&post, signature.signature_input, signature.signature, signature.content_digest, key, NULL, NOW), HDMS_BAD_SIGNATURE);
		hdms_http_signature_free(&signature);
		hdms_key_free(other);
	}
}

static void
every_part_of_a_request_is_covered(void **state)
{
	HdmsHttpRequest changed;

	(void) state;
	assert_int_equal(sign_then_verify(&post, &post, NOW), HDMS_OK);
	assert_int_equal(sign_then_verify(&get, &get, NOW), HDMS_OK);
	changed = post;
	changed.method = "PUT";
	assert_int_equal(sign_then_verify(&post, &changed, NOW), HDMS_BAD_SIGNATURE);
	changed = post;
	changed.authority = "hdms.example";
	assert_int_equal(sign_then_verify(&post, &changed, NOW), HDMS_BAD_SIGNATURE);
	changed = post;
	changed.path = "/v1/envelope";
	assert_int_equal(sign_then_verify(&post, &changed, NOW), HDMS_BAD_SIGNATURE);
	changed = post;
	changed.query = "?x";
	assert_int_equal(sign_then_verify(&post, &changed, NOW), HDMS_BAD_SIGNATURE);
	changed = post;
	changed.body = "{\"a\":2}";
	assert_int_equal(sign_then_verify(&post, &changed, NOW), HDMS_DIGEST_MISMATCH);
	changed = post;
	changed.body = NULL;
	changed.body_len = 0;
	assert_int_equal(sign_then_verify(&post, &changed, NOW), HDMS_DIGEST_MISMATCH);
}

static void
a_body_that_is_not_covered_is_refused(void **state)
{
	HdmsHttpRequest with_body = get;

	(void) state;
	with_body.body = "x";
	with_body.body_len = 1;
	assert_int_equal(sign_then_verify(&get, &with_body, NOW), HDMS_BAD_FORMAT);
}

static void
the_digest_header_must_be_there_and_be_the_body_s(void **state)
{
	HdmsHttpSignature signature = {0};

	(void) state;
	assert_int_equal(hdms_http_sign(&post, key, "node", NOW, NULL, &signature), HDMS_OK);
	assert_int_equal(hdms_http_verify(&post, signature.signature_input, signature.signature, NULL, key, NULL, NOW), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_verify(&post, signature.signature_input, signature.signature,
									  "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", key, NULL, NOW), HDMS_DIGEST_MISMATCH);
	assert_int_equal(hdms_http_verify(&post, signature.signature_input, signature.signature, "", key, NULL, NOW), HDMS_DIGEST_MISMATCH);
	hdms_http_signature_free(&signature);
}

static void
the_time_must_be_within_the_skew(void **state)
{
	(void) state;
	assert_int_equal(sign_then_verify(&get, &get, NOW + HDMS_HTTP_SKEW), HDMS_OK);
	assert_int_equal(sign_then_verify(&get, &get, NOW + HDMS_HTTP_SKEW + 1), HDMS_EXPIRED);
	assert_int_equal(sign_then_verify(&get, &get, NOW - HDMS_HTTP_SKEW), HDMS_OK);
	assert_int_equal(sign_then_verify(&get, &get, NOW - HDMS_HTTP_SKEW - 1), HDMS_NOT_YET_VALID);
}

static void
components_and_parameters_may_come_in_another_order(void **state)
{
	(void) state;
	assert_int_equal(verify_params(GET_LINES, COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v1\""), HDMS_OK);
	assert_int_equal(verify_params(GET_LINES, COVERED ";tag=\"hdms-v1\";nonce=\"x\";keyid=\"n\";created=1767225600"), HDMS_OK);
	assert_int_equal(verify_params("\"@path\": /v1/mailbox\n\"@query\": ?wait=25&limit=10\n\"@authority\": hdms.example\n\"@method\": GET\n",
								   "(\"@path\" \"@query\" \"@authority\" \"@method\");created=1767225600;keyid=\"n\";tag=\"hdms-v1\""), HDMS_OK);
}

static void
a_signature_over_less_than_the_request_is_refused(void **state)
{
	(void) state;
	assert_int_equal(verify_params("\"@method\": GET\n\"@authority\": hdms.example\n\"@path\": /v1/mailbox\n",
								   "(\"@method\" \"@authority\" \"@path\");created=1767225600;keyid=\"n\";tag=\"hdms-v1\""), HDMS_BAD_FORMAT);
	assert_int_equal(verify_params("", "();created=1767225600;keyid=\"n\";tag=\"hdms-v1\""), HDMS_BAD_FORMAT);
	assert_int_equal(verify_params(GET_LINES, COVERED ";keyid=\"n\";tag=\"hdms-v1\""), HDMS_BAD_FORMAT);
	assert_int_equal(verify_params(GET_LINES, COVERED ";created=1767225600;tag=\"hdms-v1\""), HDMS_BAD_FORMAT);
	assert_int_equal(verify_params(GET_LINES, COVERED ";created=1767225600;keyid=\"n\""), HDMS_BAD_FORMAT);
	assert_int_equal(verify_params(GET_LINES, COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v2\""), HDMS_BAD_FORMAT);
}

static void
what_the_grammar_leaves_open_is_refused(void **state)
{
	static const char *const params[] = {
		/* Twice, unknown, cut, escaped, with a sign, with leading zeroes, too long, with spaces. */
		COVERED ";created=1767225600;created=1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		COVERED ";created=1767225600;keyid=\"n\";keyid=\"m\";tag=\"hdms-v1\"",
		COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v1\";alg=\"hmac-sha256\"",
		COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v1\";expires=9999999999",
		COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v1",
		COVERED ";created=1767225600;keyid=\"n\\\"\";tag=\"hdms-v1\"",
		COVERED ";created=1767225600;keyid=\"a\\b\";tag=\"hdms-v1\"",
		COVERED ";created=1767225600;keyid=\"\";tag=\"hdms-v1\"",
		COVERED ";created=+1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		COVERED ";created=-1;keyid=\"n\";tag=\"hdms-v1\"",
		COVERED ";created=01767225600;keyid=\"n\";tag=\"hdms-v1\"",
		COVERED ";created=1767225600000000000000;keyid=\"n\";tag=\"hdms-v1\"",
		COVERED ";created=;keyid=\"n\";tag=\"hdms-v1\"",
		COVERED "; created=1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v1\" ",
		COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v1\", sig=()",
		COVERED ";created=1767225600;keyid=\"n\";tag=\"hdms-v1\";nonce=\"12345678901234567890123456789012345678901234567890123456789012345\"",
		"(\"@method\" \"@authority\" \"@path\" \"@query\" \"@query\");created=1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		"(\"@method\" \"@authority\" \"@path\" \"@query\" \"date\");created=1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		"(\"@method\"  \"@authority\" \"@path\" \"@query\");created=1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		"(\"@method\" \"@authority\" \"@path\" \"@query\";created=1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		"(\"@method\";req \"@authority\" \"@path\" \"@query\");created=1767225600;keyid=\"n\";tag=\"hdms-v1\"",
		"", "(", "(\"", ";",
	};
	HdmsHttpClaim claim;

	(void) state;
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		assert_int_equal(verify_params(GET_LINES, params[i]), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_peek(NULL, &claim), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_peek("", &claim), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_peek("sig1=" COVERED ";created=1;keyid=\"n\";tag=\"hdms-v1\"", &claim), HDMS_BAD_FORMAT);
}

static void
a_header_of_endless_length_is_refused(void **state)
{
	char	   *header = malloc(100001);
	HdmsHttpClaim claim;

	(void) state;
	assert_non_null(header);
	memset(header, ' ', 100000);
	header[100000] = '\0';
	memcpy(header, "hdms=(\"@method\"", 15);
	assert_int_equal(hdms_http_peek(header, &claim), HDMS_BAD_FORMAT);
	free(header);
}

static void
peeking_tells_who_when_and_which_nonce(void **state)
{
	HdmsHttpClaim claim;
	HdmsHttpClaim before;

	(void) state;
	assert_int_equal(hdms_http_peek("hdms=" COVERED ";created=1767225600;keyid=\"a node\";nonce=\"once\";tag=\"hdms-v1\"", &claim), HDMS_OK);
	assert_string_equal(claim.keyid, "a node");
	assert_string_equal(claim.nonce, "once");
	assert_int_equal(claim.created, NOW);
	before = claim;
	assert_int_equal(hdms_http_peek("hdms=" COVERED ";created=1;keyid=\"b\"x", &claim), HDMS_BAD_FORMAT);
	assert_memory_equal(&claim, &before, sizeof(claim));
	assert_int_equal(hdms_http_peek("hdms=" COVERED ";created=1;keyid=\"b\"", &claim), HDMS_OK);
	assert_string_equal(claim.nonce, "");
}

static void
a_signature_header_has_one_spelling(void **state)
{
	HdmsHttpSignature signature = {0};
	char		other[500];

	(void) state;
	assert_int_equal(hdms_http_sign(&get, key, "node", NOW, NULL, &signature), HDMS_OK);
	snprintf(other, sizeof(other), "%s, x=::", signature.signature);
	assert_int_not_equal(hdms_http_verify(&get, signature.signature_input, other, NULL, key, NULL, NOW), HDMS_OK);
	snprintf(other, sizeof(other), "sig1%s", signature.signature + 4);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, other, NULL, key, NULL, NOW), HDMS_BAD_FORMAT);
	snprintf(other, sizeof(other), "%.*s", (int) strlen(signature.signature) - 1, signature.signature);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, other, NULL, key, NULL, NOW), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, "", NULL, key, NULL, NOW), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, "hdms=:", NULL, key, NULL, NOW), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, NULL, NULL, key, NULL, NOW), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_http_verify(&get, signature.signature_input, "hdms=:AAAA:", NULL, key, NULL, NOW), HDMS_BAD_SIGNATURE);
	hdms_http_signature_free(&signature);
}

static void
a_request_cannot_smuggle_a_line_into_the_base(void **state)
{
	HdmsHttpSignature signature = {0};
	HdmsHttpRequest bad;

	(void) state;
	bad = get;
	bad.path = "/v1/mailbox\n\"@query\": ?";
	assert_int_equal(hdms_http_sign(&bad, key, "node", NOW, NULL, &signature), HDMS_BAD_ARGUMENT);
	bad = get;
	bad.query = "wait=25";
	assert_int_equal(hdms_http_sign(&bad, key, "node", NOW, NULL, &signature), HDMS_BAD_ARGUMENT);
	bad = get;
	bad.authority = "";
	assert_int_equal(hdms_http_sign(&bad, key, "node", NOW, NULL, &signature), HDMS_BAD_ARGUMENT);
	bad = get;
	bad.method = NULL;
	assert_int_equal(hdms_http_sign(&bad, key, "node", NOW, NULL, &signature), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_http_sign(&get, key, "no\"de", NOW, NULL, &signature), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_http_sign(&get, key, "", NOW, NULL, &signature), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_http_sign(&get, key, "node", NOW, "", &signature), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_http_sign(&get, key, "node", -1, NULL, &signature), HDMS_BAD_ARGUMENT);
	assert_null(signature.signature);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_base_is_that_of_rfc_9421),
		cmocka_unit_test(a_session_signs_with_hmac_sha256),
		cmocka_unit_test(rsa_and_ed25519_keys_sign_too),
		cmocka_unit_test(every_part_of_a_request_is_covered),
		cmocka_unit_test(a_body_that_is_not_covered_is_refused),
		cmocka_unit_test(the_digest_header_must_be_there_and_be_the_body_s),
		cmocka_unit_test(the_time_must_be_within_the_skew),
		cmocka_unit_test(components_and_parameters_may_come_in_another_order),
		cmocka_unit_test(a_signature_over_less_than_the_request_is_refused),
		cmocka_unit_test(what_the_grammar_leaves_open_is_refused),
		cmocka_unit_test(a_header_of_endless_length_is_refused),
		cmocka_unit_test(peeking_tells_who_when_and_which_nonce),
		cmocka_unit_test(a_signature_header_has_one_spelling),
		cmocka_unit_test(a_request_cannot_smuggle_a_line_into_the_base),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
