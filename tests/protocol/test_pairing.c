/*
 * test_pairing.c
 *		The pairing URI, and the proof that both nodes know its secret.
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
#include "pairing.h"

#define T0			1767225600
#define INVITATION	"019b76da-a800-7000-8000-000000000001"
#define NETWORK		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

static HdmsKey *keys_of[2][4];
static HdmsHistory *institution;
static HdmsHistory *person;
static HdmsHistory *other_person;
static HdmsPairing pairing;
static char *good_uri;

static HdmsHistory *
make_node(HdmsNodeKind kind, HdmsKey **keys)
{
	HdmsKeyType rest = kind == HDMS_PERSON ? HDMS_KEY_P256 : HDMS_KEY_ED25519;
	HdmsNodeKeys roles = {0};
	HdmsKey    *cosigner = NULL;
	HdmsHistory *history = NULL;
	char	   *json = NULL;

	for (int i = 0; i < 3; i++)
		assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &keys[i]), HDMS_OK);
	assert_int_equal(hdms_key_generate(rest, 0, &keys[3]), HDMS_OK);
	roles.role[HDMS_ROLE_SIGN] = keys[0];
	roles.role[HDMS_ROLE_ENCRYPT] = keys[1];
	roles.recovery = keys[2];
	if (kind == HDMS_PERSON)
		roles.role[HDMS_ROLE_VRF] = keys[3];
	else
	{
		assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &cosigner), HDMS_OK);
		roles.role[HDMS_ROLE_LOG] = keys[3];
		roles.role[HDMS_ROLE_COSIGNER] = cosigner;
	}
	assert_int_equal(hdms_history_create(kind, kind == HDMS_PERSON ? NULL : "Hospital", &roles, T0, &json), HDMS_OK);
	assert_int_equal(hdms_history_parse(json, strlen(json), &history), HDMS_OK);
	hdms_key_free(cosigner);
	free(json);
	return history;
}

static int
make_pairing(void **state)
{
	HdmsVoucher voucher = {.iat = T0, .exp = T0 + 900, .jti = INVITATION};
	HdmsKey    *unused[4];

	(void) state;
	institution = make_node(HDMS_INSTITUTION, keys_of[0]);
	person = make_node(HDMS_PERSON, keys_of[1]);
	other_person = make_node(HDMS_PERSON, unused);
	for (int i = 0; i < 4; i++)
		hdms_key_free(unused[i]);
	strcpy(voucher.iss, hdms_history_node_id(institution));
	pairing.server = strdup("https://hdms.example:8443/base");
	strcpy(pairing.network, NETWORK);
	strcpy(pairing.node, hdms_history_node_id(institution));
	strcpy(pairing.invitation, INVITATION);
	for (int i = 0; i < HDMS_PAIRING_SECRET_SIZE; i++)
		pairing.secret[i] = (unsigned char) (0xf0 + i);
	assert_int_equal(hdms_voucher_sign(keys_of[0][0], &voucher, &pairing.voucher), HDMS_OK);
	assert_int_equal(hdms_pairing_uri(&pairing, &good_uri), HDMS_OK);
	return 0;
}

static int
drop_pairing(void **state)
{
	(void) state;
	for (int i = 0; i < 4; i++)
	{
		hdms_key_free(keys_of[0][i]);
		hdms_key_free(keys_of[1][i]);
	}
	hdms_history_free(institution);
	hdms_history_free(person);
	hdms_history_free(other_person);
	hdms_pairing_free(&pairing);
	hdms_string_wipe(good_uri);
	return 0;
}

static HdmsStatus
parse_status(const char *uri, size_t len)
{
	HdmsPairing result = {0};
	HdmsStatus	status = hdms_pairing_parse(uri, len, &result);

	assert_true((status == HDMS_OK) == (result.server != NULL));
	hdms_pairing_free(&result);
	return status;
}

/* The good URI with the first occurrence of one part replaced. */
static HdmsStatus
status_with(const char *part, const char *replacement)
{
	const char *at = strstr(good_uri, part);
	char	   *uri = NULL;
	HdmsStatus	status;

	assert_non_null(at);
	assert_true(asprintf(&uri, "%.*s%s%s", (int) (at - good_uri), good_uri, replacement, at + strlen(part)) > 0);
	status = parse_status(uri, strlen(uri));
	free(uri);
	return status;
}

static HdmsStatus
status_with_more(const char *more)
{
	char	   *uri = NULL;
	HdmsStatus	status;

	assert_true(asprintf(&uri, "%s%s", good_uri, more) > 0);
	status = parse_status(uri, strlen(uri));
	free(uri);
	return status;
}

static HdmsStatus
status_with_server(const char *encoded)
{
	return status_with("https%3A%2F%2Fhdms.example%3A8443%2Fbase", encoded);
}

static void
a_uri_says_when_parsed_what_was_put_in(void **state)
{
	HdmsPairing result = {0};

	(void) state;
	assert_int_equal(hdms_pairing_parse(good_uri, strlen(good_uri), &result), HDMS_OK);
	assert_string_equal(result.server, pairing.server);
	assert_string_equal(result.network, pairing.network);
	assert_string_equal(result.node, pairing.node);
	assert_string_equal(result.invitation, pairing.invitation);
	assert_memory_equal(result.secret, pairing.secret, sizeof(result.secret));
	assert_string_equal(result.voucher, pairing.voucher);
	hdms_pairing_free(&result);
}

static void
a_uri_begins_as_documented(void **state)
{
	static const char expected[] =
		"hdms:pair?v=1&server=https%3A%2F%2Fhdms.example%3A8443%2Fbase&network=" NETWORK "&node=";

	(void) state;
	assert_memory_equal(good_uri, expected, strlen(expected));
	assert_non_null(strstr(good_uri, "&invitation=" INVITATION "&secret=8PHy8_T19vf4-fr7_P3-_w&voucher=ey"));
}

static void
parameters_may_come_in_any_order_but_each_exactly_once(void **state)
{
	(void) state;
	assert_int_equal(status_with("v=1&server=https%3A%2F%2Fhdms.example%3A8443%2Fbase&", "server=https%3A%2F%2Fhdms.example%3A8443%2Fbase&v=1&"), HDMS_OK);
	assert_int_equal(status_with("v=1&", ""), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1&", "v=1&v=1&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1&", "v=1&w=1&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1&", "v=1&&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1&", "v=1&secret=8PHy8_T19vf4-fr7_P3-_w&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("&network=", "&Network="), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("&secret=", "&secre="), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("&voucher=", "&secret="), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1&", "v&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1&", "%76=1&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with_more("&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with_more("&x=1"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with_more("&v=1"), HDMS_BAD_FORMAT);
}

static void
another_scheme_or_version_is_refused(void **state)
{
	(void) state;
	assert_int_equal(status_with("hdms:", "HDMS:"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("hdms:pair?", "hdms:"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("hdms:pair?", "hdms:pair?&"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1", "v=2"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1", "v="), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("v=1", "v=01"), HDMS_BAD_FORMAT);
	assert_int_equal(parse_status("", 0), HDMS_BAD_FORMAT);
	assert_int_equal(parse_status("hdms:pair?", 10), HDMS_BAD_FORMAT);
}

static void
percent_encoding_is_strict(void **state)
{
	(void) state;
	assert_int_equal(status_with("v=1", "v=%31"), HDMS_OK);
	assert_int_equal(status_with("https%3A%2F%2F", "https%3a%2f%2f"), HDMS_OK);
	assert_int_equal(status_with("https%3A%2F%2F", "https://"), HDMS_OK);
	assert_int_equal(status_with("v=1", "v=%3"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=%"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=%3G"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=1%00"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=1+"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=1 "), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=1#"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=1\xc3\xa9"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("v=1", "v=1=1"), HDMS_BAD_ENCODING);
}

static void
only_plain_http_urls_are_servers(void **state)
{
	static const char *const good[] = {
		"http%3A%2F%2Flocalhost%3A8080", "https://a", "https://10.0.0.1:1", "https://%5B2001:db8::1%5D", "https://%5B::1%5D:65535/x/y", "https://a/%25C3%25A9"
	};
	static const char *const wrong[] = {
		"", "https", "https:", "https://", "https:///x", "https://a/", "https://a//", "ftp://a", "HTTPS://a", "//a", "a", "javascript:x",
		"https://user@a", "https://user:pass@a", "https://a?x", "https://a/b?x", "https://a%23x", "https://a/b%23x", "https://a:", "https://a:0", "https://a:080",
		"https://a:65536", "https://a:8x", "https://a:123456", "https://a%20b", "https://a/b%20c", "https://a%0Ab", "https://a%5Cb", "https://%5B%5D", "https://%5B::1",
		"https://%5Bx%5D", "https://%5B::1%5Dx", "https://a/%25", "https://a/%252", "https://a/%25zz", "https://%25", "https://a%C3%A9"
	};

	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		if (status_with_server(good[i]) != HDMS_OK)
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		if (status_with_server(wrong[i]) != HDMS_BAD_FORMAT)
			fail_msg("not refused as malformed: %s", wrong[i]);
	}
}

static void
a_servers_url_has_at_most_512_bytes(void **state)
{
	char		server[600] = "https://a/";

	(void) state;
	memset(server + 10, 'p', 502);
	server[512] = '\0';
	assert_int_equal(status_with_server(server), HDMS_OK);
	server[512] = 'p';
	server[513] = '\0';
	assert_int_equal(status_with_server(server), HDMS_BAD_FORMAT);
}

static void
a_uri_has_at_most_8192_bytes(void **state)
{
	char	   *uri = malloc(8194);

	(void) state;
	memset(uri, 'a', 8194);
	memcpy(uri, "hdms:pair?", 10);
	assert_int_equal(parse_status(uri, 8193), HDMS_TOO_LARGE);
	assert_int_equal(parse_status(uri, 8192), HDMS_BAD_FORMAT);
	free(uri);
}

static void
ids_and_secret_must_have_their_form(void **state)
{
	(void) state;
	assert_int_equal(status_with(NETWORK, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with(NETWORK, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with(NETWORK, NETWORK "A"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with(INVITATION, "019B76DA-A800-7000-8000-000000000001"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with(INVITATION, "1"), HDMS_BAD_FORMAT);
	assert_int_equal(status_with("8PHy8_T19vf4-fr7_P3-_w", "8PHy8_T19vf4-fr7_P3-_x"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("8PHy8_T19vf4-fr7_P3-_w", "8PHy8_T19vf4-fr7_P3-"), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("8PHy8_T19vf4-fr7_P3-_w", ""), HDMS_BAD_ENCODING);
	assert_int_equal(status_with("8PHy8_T19vf4-fr7_P3-_w", "8PHy8_T19vf4-fr7_P3-_w%3D%3D"), HDMS_BAD_ENCODING);
}

static void
the_voucher_must_be_for_this_invitation_by_this_institution_and_unnamed(void **state)
{
	HdmsVoucher voucher = {.iat = T0, .exp = T0 + 900, .jti = INVITATION};
	char	   *jws = NULL;

	(void) state;
	assert_int_equal(status_with(INVITATION, "019b76da-a800-7000-8000-000000000002"), HDMS_BAD_CLAIM);
	assert_int_equal(status_with(pairing.node, NETWORK), HDMS_BAD_CLAIM);
	assert_int_not_equal(status_with(pairing.voucher, "x.y.z"), HDMS_OK);
	assert_int_not_equal(status_with(pairing.voucher, ""), HDMS_OK);
	strcpy(voucher.iss, hdms_history_node_id(institution));
	strcpy(voucher.sub, hdms_history_node_id(person));
	assert_int_equal(hdms_voucher_sign(keys_of[0][0], &voucher, &jws), HDMS_OK);
	assert_int_equal(status_with(pairing.voucher, jws), HDMS_BAD_CLAIM);
	free(jws);
}

static void
a_uri_cut_anywhere_is_refused(void **state)
{
	size_t		len = strlen(good_uri);
	size_t		voucher = (size_t) (strstr(good_uri, "&voucher=") - good_uri) + 9;

	(void) state;
	for (size_t cut = 0; cut < len; cut++)
	{
		/* A buffer of exactly that size, so that reading past it is seen. */
		char	   *part = malloc(cut > 0 ? cut : 1);
		HdmsStatus	status;

		memcpy(part, good_uri, cut);
		status = parse_status(part, cut);
		free(part);

		/* The signature's length is not this parser's to know: the server and the node verify it. */
		if (cut > voucher && strrchr(good_uri, '.') < good_uri + cut)
			continue;
		assert_int_not_equal(status, HDMS_OK);
	}
}

static void
a_uri_that_nobody_would_accept_is_not_made(void **state)
{
	HdmsPairing wrong = pairing;
	char	   *uri = NULL;

	(void) state;
	wrong.server = (char *) "https://hdms.example/";
	assert_int_equal(hdms_pairing_uri(&wrong, &uri), HDMS_BAD_FORMAT);
	wrong.server = (char *) "https://me@hdms.example";
	assert_int_equal(hdms_pairing_uri(&wrong, &uri), HDMS_BAD_FORMAT);
	wrong.server = NULL;
	assert_int_equal(hdms_pairing_uri(&wrong, &uri), HDMS_BAD_ARGUMENT);
	wrong = pairing;
	wrong.voucher = NULL;
	assert_int_equal(hdms_pairing_uri(&wrong, &uri), HDMS_BAD_ARGUMENT);
	wrong = pairing;
	memset(wrong.network, 'A', sizeof(wrong.network));
	assert_int_equal(hdms_pairing_uri(&wrong, &uri), HDMS_BAD_FORMAT);
	wrong = pairing;
	wrong.invitation[35] = '9';
	assert_int_equal(hdms_pairing_uri(&wrong, &uri), HDMS_BAD_CLAIM);
	assert_null(uri);
}

static void
the_mac_is_the_documented_hmac_and_depends_on_secret_and_both_nodes(void **state)
{
	unsigned char input[9 + 64];
	unsigned char expected[HDMS_DIGEST_SIZE];
	unsigned char mac[HDMS_DIGEST_SIZE];
	unsigned char other[HDMS_DIGEST_SIZE];
	unsigned char secret[HDMS_PAIRING_SECRET_SIZE];
	const char *entry = hdms_history_entry(institution, 0);

	(void) state;
	memcpy(input, "hdms-pair", 9);
	assert_int_equal(hdms_sha256(entry, strlen(entry), input + 9), HDMS_OK);
	entry = hdms_history_entry(person, 0);
	assert_int_equal(hdms_sha256(entry, strlen(entry), input + 41), HDMS_OK);
	assert_int_equal(hdms_hmac_sha256(pairing.secret, sizeof(pairing.secret), input, sizeof(input), expected), HDMS_OK);
	assert_int_equal(hdms_pairing_mac(pairing.secret, institution, person, mac), HDMS_OK);
	assert_memory_equal(mac, expected, sizeof(mac));

	assert_int_equal(hdms_pairing_mac(pairing.secret, institution, other_person, other), HDMS_OK);
	assert_memory_not_equal(mac, other, sizeof(mac));
	memcpy(secret, pairing.secret, sizeof(secret));
	secret[0] ^= 1;
	assert_int_equal(hdms_pairing_mac(secret, institution, person, other), HDMS_OK);
	assert_memory_not_equal(mac, other, sizeof(mac));
	assert_int_equal(hdms_pairing_mac(pairing.secret, person, institution, other), HDMS_BAD_ARGUMENT);
}

static void
the_code_is_six_digits_of_the_documented_hmac(void **state)
{
	unsigned char input[9 + 64];
	unsigned char mac[HDMS_DIGEST_SIZE];
	const char *entry = hdms_history_entry(institution, 0);
	uint64_t	number = 0;
	char		expected[7];
	char		code[7];

	(void) state;
	memcpy(input, "hdms-code", 9);
	assert_int_equal(hdms_sha256(entry, strlen(entry), input + 9), HDMS_OK);
	entry = hdms_history_entry(person, 0);
	assert_int_equal(hdms_sha256(entry, strlen(entry), input + 41), HDMS_OK);
	for (unsigned char i = 0; i < 20; i++)
	{
		pairing.secret[0] = i;
		assert_int_equal(hdms_hmac_sha256(pairing.secret, sizeof(pairing.secret), input, sizeof(input), mac), HDMS_OK);
		number = 0;
		for (int byte = 0; byte < 8; byte++)
			number = number * 256 + mac[byte];
		snprintf(expected, sizeof(expected), "%06u", (unsigned) (number % 1000000));
		assert_int_equal(hdms_pairing_code(pairing.secret, institution, person, code), HDMS_OK);
		assert_string_equal(code, expected);
	}
	pairing.secret[0] = 0xf0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uri_says_when_parsed_what_was_put_in),
		cmocka_unit_test(a_uri_begins_as_documented),
		cmocka_unit_test(parameters_may_come_in_any_order_but_each_exactly_once),
		cmocka_unit_test(another_scheme_or_version_is_refused),
		cmocka_unit_test(percent_encoding_is_strict),
		cmocka_unit_test(only_plain_http_urls_are_servers),
		cmocka_unit_test(a_servers_url_has_at_most_512_bytes),
		cmocka_unit_test(a_uri_has_at_most_8192_bytes),
		cmocka_unit_test(ids_and_secret_must_have_their_form),
		cmocka_unit_test(the_voucher_must_be_for_this_invitation_by_this_institution_and_unnamed),
		cmocka_unit_test(a_uri_cut_anywhere_is_refused),
		cmocka_unit_test(a_uri_that_nobody_would_accept_is_not_made),
		cmocka_unit_test(the_mac_is_the_documented_hmac_and_depends_on_secret_and_both_nodes),
		cmocka_unit_test(the_code_is_six_digits_of_the_documented_hmac),
	};

	return cmocka_run_group_tests(tests, make_pairing, drop_pairing);
}
