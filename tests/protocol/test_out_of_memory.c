/*
 * test_out_of_memory.c
 *		Every allocation of the library fails once: the call says so, leaks nothing and leaves its results alone.
 *
 * The program is linked with --wrap for malloc, calloc and realloc, so it is the library's own allocations (and this
 * file's) that fail, not those of OpenSSL and jansson.
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
#include "message.h"
#include "wire.h"

extern void *__real_malloc(size_t size);
extern void *__real_calloc(size_t count, size_t size);
extern void *__real_realloc(void *old, size_t size);
extern void *__wrap_malloc(size_t size);
extern void *__wrap_calloc(size_t count, size_t size);
extern void *__wrap_realloc(void *old, size_t size);

/* The number of the allocation that fails, counted down; 0: none. */
static long until_failure;
static bool has_failed;

static bool
fails_now(void)
{
	if (until_failure > 0 && --until_failure == 0)
	{
		has_failed = true;
		return true;
	}
	return false;
}

void *
__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails_now() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

#define ID "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"

static HdmsKey *signer;
static HdmsKey *public;
static char *envelope;

/* Runs a call with each of its allocations failing in turn, until one run has none left to fail. */
static void
fail_each(HdmsStatus (*call) (void))
{
	assert_int_equal(call(), HDMS_OK);
	for (long number = 1;; number++)
	{
		HdmsStatus	status;

		has_failed = false;
		until_failure = number;
		status = call();
		until_failure = 0;
		if (!has_failed)
		{
			assert_int_equal(status, HDMS_OK);
			assert_true(number > 1);
			return;
		}
		if (status != HDMS_OUT_OF_MEMORY)
			fail_msg("allocation %ld failed, and the call said %s", number, hdms_status_word(status));
	}
}

static int
make_things(void **state)
{
	static const unsigned char seed[32] = {1};
	HdmsMessageHead head = {.jti = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", .type = "x", .iat = 1, .exp = 2};
	char	   *jwk = NULL;

	(void) state;
	if (hdms_key_derive(seed, "test", 0, &signer) != HDMS_OK || hdms_key_to_jwk(signer, false, &jwk) != HDMS_OK ||
		hdms_key_from_jwk(jwk, strlen(jwk), &public) != HDMS_OK)
		return -1;
	free(jwk);
	strcpy(head.iss, hdms_key_thumbprint(signer));
	strcpy(head.aud, hdms_key_thumbprint(signer));
	return hdms_message_seal(&head, "body", 4, signer, public, &envelope) == HDMS_OK ? 0 : -1;
}

static int
free_things(void **state)
{
	(void) state;
	hdms_key_free(signer);
	hdms_key_free(public);
	free(envelope);
	return 0;
}

static HdmsStatus
derive_and_export(void)
{
	static const unsigned char seed[32] = {2};
	HdmsKey    *key = NULL;
	HdmsKey    *again = NULL;
	char	   *jwk = NULL;
	HdmsStatus	status = hdms_key_derive(seed, "test", 0, &key);

	if (status == HDMS_OK)
		status = hdms_key_to_jwk(key, true, &jwk);
	if (status == HDMS_OK)
		status = hdms_key_from_jwk(jwk, strlen(jwk), &again);
	hdms_string_wipe(jwk);
	hdms_key_free(key);
	hdms_key_free(again);
	return status;
}

static HdmsStatus
sign_and_verify(void)
{
	HdmsJwsHeader header = {0};
	char	   *compact = NULL;
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_jws_sign(signer, "t", true, "{}", 2, &compact);

	if (status == HDMS_OK)
		status = hdms_jws_peek(compact, strlen(compact), &header);
	if (status == HDMS_OK)
		status = hdms_jws_verify_claims(compact, strlen(compact), header.jwk, "t", &claims);
	json_decref(claims);
	hdms_jws_header_free(&header);
	free(compact);
	return status;
}

static HdmsStatus
seal_a_message(void)
{
	HdmsMessageHead head = {.jti = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", .type = "x", .iat = 1, .exp = 2};
	char	   *made = NULL;
	HdmsStatus	status;

	strcpy(head.iss, hdms_key_thumbprint(signer));
	strcpy(head.aud, hdms_key_thumbprint(signer));
	status = hdms_message_seal(&head, "body", 4, signer, public, &made);
	if (status != HDMS_OK)
		assert_null(made);
	free(made);
	return status;
}

static HdmsStatus
open_a_message(void)
{
	HdmsMessage message = {0};
	char		kid[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status = hdms_message_open(envelope, strlen(envelope), signer, hdms_key_thumbprint(signer), 0, &message);

	if (status != HDMS_OK)
	{
		assert_null(message.jws);
		assert_null(message.body.data);
		return status;
	}
	status = hdms_message_verify(&message, public);
	if (status == HDMS_OK)
		status = hdms_message_kid(&message, kid);
	hdms_message_free(&message);
	return status;
}

static HdmsStatus
sign_a_request(void)
{
	const HdmsHttpRequest request = {.method = "POST", .authority = "a", .path = "/p", .query = "?", .body = "b", .body_len = 1};
	HdmsHttpSignature made = {0};
	HdmsStatus	status = hdms_http_sign(&request, signer, "node", 5, "nonce", &made);

	if (status == HDMS_OK)
		status = hdms_http_verify(&request, made.signature_input, made.signature, made.content_digest, public, NULL, 5);
	else
		assert_null(made.content_digest);
	hdms_http_signature_free(&made);
	return status;
}

static HdmsStatus
scan_content(void)
{
	static const char json[] = "{\"a\":[1,{\"b\":2}],\"c\":\"\\n\"}";
	HdmsJsonItem *items = NULL;
	HdmsJsonItem item;
	size_t		count = 0;
	HdmsBytes	compact = {0};
	HdmsBytes	plain = {0};
	char	   *quoted = NULL;
	HdmsStatus	status = hdms_json_items(json, strlen(json), &items, &count);

	if (status == HDMS_OK)
		status = hdms_json_member(json, strlen(json), "c", &item);
	if (status == HDMS_OK)
		status = hdms_json_unescape(item.value, &plain);
	if (status == HDMS_OK)
		status = hdms_json_quote((const char *) plain.data, plain.len, &quoted);
	if (status == HDMS_OK)
		status = hdms_json_compact(json, strlen(json), &compact);
	free(items);
	free(quoted);
	hdms_bytes_free(&plain);
	hdms_bytes_free(&compact);
	return status;
}

static HdmsStatus
put_envelopes(void)
{
	const HdmsParcel parcel = {.to = ID, .id = ID, .ttl = 1, .data = envelope, .len = strlen(envelope)};
	const HdmsParcel parcels[] = {parcel, parcel};
	HdmsParcel *got = NULL;
	size_t		count = 0;
	char	   *json = NULL;
	HdmsStatus	status = hdms_wire_put_print(parcels, 2, &json);

	if (status == HDMS_OK)
		status = hdms_wire_put_parse(json, strlen(json), &got, &count);
	if (status != HDMS_OK)
		assert_null(got);
	hdms_parcels_free(got, count);
	free(json);
	return status;
}

static HdmsStatus
acknowledge(void)
{
	static const char json[] = "{\"ids\":[\"" ID "\",\"" ID "\"]}";
	static const char results_json[] = "{\"epoch\":\"e\",\"results\":[{\"id\":\"" ID "\",\"status\":200}]}";
	char	  **ids = NULL;
	HdmsPutResult *results = NULL;
	size_t		count = 0;
	size_t		result_count = 0;
	char		epoch[64];
	int			wait;
	int			limit;
	HdmsStatus	status = hdms_wire_ack_parse(json, strlen(json), &ids, &count, &wait, &limit);

	if (status == HDMS_OK)
		status = hdms_wire_results_parse(results_json, strlen(results_json), epoch, &results, &result_count);
	for (size_t i = 0; i < count; i++)
		free(ids[i]);
	free(ids);
	free(results);
	return status;
}

static HdmsStatus
use_the_directory(void)
{
	static const char registration_json[] = "{\"history\":[],\"voucher\":\"x\",\"admission\":\"y\",\"notaries\":[\"a\",\"b\"]}";
	static const char node_json[] = "{\"status\":\"active\",\"history\":[],\"admission\":\"y\",\"log\":{\"index\":1,\"checkpoint\":\"x\",\"proof\":[]}}";
	static const char network_json[] = "{\"network\":{},\"notaries\":\"x\"}";
	static const char session_json[] = "{\"session\":\"s\",\"secret\":\"x\",\"expires\":1}";
	HdmsRegistration registration = {0};
	HdmsNodeEntry entry = {0};
	HdmsSession session = {0};
	char	   *jwk = NULL;
	char	   *notaries = NULL;
	char	   *detail = NULL;
	char	   *json = NULL;
	char		word[48];
	int64_t		now;
	HdmsStatus	status = hdms_wire_registration_parse(registration_json, strlen(registration_json), &registration);

	if (status == HDMS_OK)
		status = hdms_wire_registration_print(&registration, &json);
	if (status == HDMS_OK)
		status = hdms_wire_node_parse(node_json, strlen(node_json), &entry);
	if (status == HDMS_OK)
		status = hdms_wire_network_parse(network_json, strlen(network_json), &jwk, &notaries);
	if (status == HDMS_OK)
		status = hdms_wire_session_parse(session_json, strlen(session_json), &session);
	if (status == HDMS_OK)
		status = hdms_wire_problem_parse("{}", 2, word, &detail, &now);
	hdms_wire_registration_free(&registration);
	hdms_wire_node_free(&entry);
	free(session.secret);
	free(jwk);
	free(notaries);
	free(detail);
	free(json);
	return status;
}

#define TEST_OF(call) \
	static void \
	call##_without_memory(void **state) \
	{ \
		(void) state; \
		fail_each(call); \
	}

TEST_OF(derive_and_export)
TEST_OF(sign_and_verify)
TEST_OF(seal_a_message)
TEST_OF(open_a_message)
TEST_OF(sign_a_request)
TEST_OF(scan_content)
TEST_OF(put_envelopes)
TEST_OF(acknowledge)
TEST_OF(use_the_directory)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derive_and_export_without_memory),
		cmocka_unit_test(sign_and_verify_without_memory),
		cmocka_unit_test(seal_a_message_without_memory),
		cmocka_unit_test(open_a_message_without_memory),
		cmocka_unit_test(sign_a_request_without_memory),
		cmocka_unit_test(scan_content_without_memory),
		cmocka_unit_test(put_envelopes_without_memory),
		cmocka_unit_test(acknowledge_without_memory),
		cmocka_unit_test(use_the_directory_without_memory),
	};

	return cmocka_run_group_tests(tests, make_things, free_things);
}
