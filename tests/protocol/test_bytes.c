/*
 * test_bytes.c
 *		Encodings, digests, key derivation, identifiers, and the words of the outcomes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "vectors.h"

static HdmsStatus
decode_url(const char *text)
{
	HdmsBytes	bytes = {0};
	HdmsStatus	status = hdms_base64url_decode(text, strlen(text), &bytes);

	if (status != HDMS_OK)
		assert_null(bytes.data);
	hdms_bytes_free(&bytes);
	return status;
}

static HdmsStatus
decode_standard(const char *text)
{
	HdmsBytes	bytes = {0};
	HdmsStatus	status = hdms_base64_decode(text, strlen(text), &bytes);

	hdms_bytes_free(&bytes);
	return status;
}

static void
each_outcome_has_its_own_word_and_a_sentence(void **state)
{
	(void) state;
	for (int i = 0; i < HDMS_STATUS_COUNT; i++)
	{
		assert_string_not_equal(hdms_status_word(i), "unknown");
		assert_true(strlen(hdms_status_sentence(i)) > 10);
		assert_int_not_equal(hdms_status_sentence(i)[strlen(hdms_status_sentence(i)) - 1], '.');
		for (int j = 0; j < i; j++)
			assert_string_not_equal(hdms_status_word(i), hdms_status_word(j));
	}
	assert_string_equal(hdms_status_word(HDMS_STATUS_COUNT), "unknown");
	assert_string_equal(hdms_status_word((HdmsStatus) -1), "unknown");
	assert_non_null(hdms_status_sentence((HdmsStatus) 1000));
}

static void
base64url_writes_what_rfc_4648_says(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xbf", "-_-_"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
	{
		const size_t len = strlen(pairs[i][0]);
		char	   *text = NULL;
		HdmsBytes	back = {0};

		assert_int_equal(hdms_base64url_encode(pairs[i][0], len, &text), HDMS_OK);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(HDMS_BASE64URL_SIZE(len), strlen(text) + 1);
		assert_int_equal(hdms_base64url_decode(text, strlen(text), &back), HDMS_OK);
		assert_int_equal(back.len, len);
		assert_memory_equal(back.data, pairs[i][0], len);
		assert_int_equal(back.data[len], 0);
		hdms_bytes_free(&back);
		free(text);
	}
}

static void
base64_writes_padding(void **state)
{
	static const char *const pairs[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xfb\xff\xbf", "+/+/"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
	{
		char	   *text = NULL;
		HdmsBytes	back = {0};

		assert_int_equal(hdms_base64_encode(pairs[i][0], strlen(pairs[i][0]), &text), HDMS_OK);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(hdms_base64_decode(text, strlen(text), &back), HDMS_OK);
		assert_int_equal(back.len, strlen(pairs[i][0]));
		assert_memory_equal(back.data, pairs[i][0], back.len);
		hdms_bytes_free(&back);
		free(text);
	}
}

static void
base64url_has_one_spelling_for_each_byte_string(void **state)
{
	/* Padding, white space, the other alphabet, a lone digit, bits that belong to no byte, a NUL. */
	static const char *const bad[] = {
		"Zg==", "Zg=", "Zm9v\n", " Zm9v", "Zm 9v", "-_+_", "/w", "Z", "Zm9vY", "Zh", "Zm9", "Zm-", "Zm9vYh", "\x80\x80\x80\x80", "Zm9\xff", "====",
	};
	unsigned char out[32];

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(decode_url(bad[i]), HDMS_BAD_ENCODING);
	assert_int_equal(hdms_base64url_read("Zm9v\0AAA", 8, out, 6), HDMS_BAD_ENCODING);
	assert_int_equal(decode_url("Zm8"), HDMS_OK);
}

static void
base64_has_one_spelling_for_each_byte_string(void **state)
{
	static const char *const bad[] = {
		"Zg", "Zg=", "Zm8", "Zm9v=", "Zm9v====", "Zh==", "Zm9=", "Z===", "=", "====", "Zg==Zg==", "-_-_", "Zm9v\n", "Zg=a", "Zm8=Zm9v",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(decode_standard(bad[i]), HDMS_BAD_ENCODING);
}

static void
every_last_digit_decodes_for_one_byte_string_only(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	int			two = 0;
	int			three = 0;

	(void) state;
	for (int i = 0; i < 64; i++)
	{
		const char	pair[] = {'A', digits[i], 0};
		const char	triple[] = {'A', 'A', digits[i], 0};

		two += decode_url(pair) == HDMS_OK;
		three += decode_url(triple) == HDMS_OK;
	}
	assert_int_equal(two, 4);
	assert_int_equal(three, 16);
}

static void
exactly_64_bytes_are_digits_wherever_they_stand(void **state)
{
	char		text[136];
	HdmsBytes	bytes = {0};

	(void) state;
	for (size_t at = 0; at < sizeof(text); at++)
	{
		int			url = 0;
		int			standard = 0;

		memset(text, 'B', sizeof(text));
		for (int c = 0; c < 256; c++)
		{
			text[at] = (char) c;
			url += hdms_base64url_decode(text, sizeof(text), &bytes) == HDMS_OK;
			hdms_bytes_free(&bytes);
			standard += hdms_base64_decode(text, sizeof(text), &bytes) == HDMS_OK;
			hdms_bytes_free(&bytes);
		}
		assert_int_equal(url, 64);

		/* At the end there may also be padding, but 'B' before it leaves bits over. */
		assert_int_equal(standard, 64);
	}
}

static void
all_bytes_survive_both_encodings(void **state)
{
	unsigned char data[256];

	(void) state;
	for (int i = 0; i < 256; i++)
		data[i] = (unsigned char) i;
	for (size_t len = 0; len <= sizeof(data); len++)
	{
		char	   *url = NULL;
		char	   *standard = NULL;
		unsigned char read[256];
		HdmsBytes	back = {0};

		assert_int_equal(hdms_base64url_encode(data + 256 - len, len, &url), HDMS_OK);
		assert_int_equal(hdms_base64url_read(url, strlen(url), read, len), HDMS_OK);
		assert_memory_equal(read, data + 256 - len, len);
		assert_int_equal(hdms_base64_encode(data + 256 - len, len, &standard), HDMS_OK);
		assert_int_equal(hdms_base64_decode(standard, strlen(standard), &back), HDMS_OK);
		assert_int_equal(back.len, len);
		assert_memory_equal(back.data, data + 256 - len, len);
		hdms_bytes_free(&back);
		free(url);
		free(standard);
	}
}

static void
a_fixed_length_read_refuses_another_length_and_leaves_its_result_alone(void **state)
{
	unsigned char out[4] = {1, 2, 3, 4};

	(void) state;
	assert_int_equal(hdms_base64url_read("Zm9v", 4, out, 4), HDMS_BAD_ENCODING);
	assert_int_equal(hdms_base64url_read("Zm9vYmE", 7, out, 4), HDMS_BAD_ENCODING);
	assert_int_equal(hdms_base64url_read("Zm9vY!", 6, out, 4), HDMS_BAD_ENCODING);
	assert_memory_equal(out, "\1\2\3\4", 4);
	assert_int_equal(hdms_base64url_read("Zm9vYg", 6, out, 4), HDMS_OK);
	assert_memory_equal(out, "foob", 4);
}

static void
sha256_of_parts_is_that_of_the_whole(void **state)
{
	unsigned char whole[32];
	unsigned char parts[32];
	char		text[HDMS_DIGEST_TEXT + 1];

	(void) state;
	assert_int_equal(hdms_sha256_text("abc", 3, text), HDMS_OK);
	assert_string_equal(text, "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
	assert_int_equal(hdms_sha256("", 0, whole), HDMS_OK);
	assert_int_equal(hdms_sha256_pair(NULL, 0, NULL, 0, parts), HDMS_OK);
	assert_memory_equal(whole, parts, 32);
	assert_int_equal(hdms_sha256("abc", 3, whole), HDMS_OK);
	assert_int_equal(hdms_sha256_pair("a", 1, "bc", 2, parts), HDMS_OK);
	assert_memory_equal(whole, parts, 32);
	assert_true(hdms_equal(whole, parts, 32));
	parts[31] ^= 1;
	assert_false(hdms_equal(whole, parts, 32));
}

static void
hmac_is_that_of_rfc_4231(void **state)
{
	unsigned char mac[32];
	unsigned char key[131];
	char		text[HDMS_DIGEST_TEXT + 1];
	const char *long_data = "Test Using Larger Than Block-Size Key - Hash Key First";

	(void) state;
	assert_int_equal(hdms_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac), HDMS_OK);
	hdms_base64url_write(mac, 32, text);
	assert_string_equal(text, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM");
	memset(key, 0xaa, sizeof(key));
	assert_int_equal(hdms_hmac_sha256(key, sizeof(key), long_data, strlen(long_data), mac), HDMS_OK);
	hdms_base64url_write(mac, 32, text);
	assert_string_equal(text, "YOQxWR7gtn8Niiaqy_W3f44LxiE3KMUUBUYEDw7jf1Q");

	/* Two calls do not share a key. */
	assert_int_equal(hdms_hmac_sha256("", 0, "", 0, mac), HDMS_OK);
	hdms_base64url_write(mac, 32, text);
	assert_string_equal(text, "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0");
}

static void
hkdf_vector(const json_t *group, const json_t *test)
{
	HdmsBytes	ikm = vectors_hex(test, "ikm");
	HdmsBytes	salt = vectors_hex(test, "salt");
	HdmsBytes	info = vectors_hex(test, "info");
	HdmsBytes	okm = vectors_hex(test, "okm");
	const size_t size = (size_t) json_integer_value(json_object_get(test, "size"));
	unsigned char *out = malloc(size + 1);
	HdmsStatus	status;

	(void) group;
	assert_non_null(out);
	status = hdms_hkdf_sha256(ikm.data, ikm.len, salt.data, salt.len, info.data, info.len, out, size);
	assert_int_equal(status, vectors_is_valid(test) ? HDMS_OK : HDMS_BAD_ARGUMENT);
	if (status == HDMS_OK)
		assert_memory_equal(out, okm.data, size);
	free(out);
	hdms_bytes_free(&ikm);
	hdms_bytes_free(&salt);
	hdms_bytes_free(&info);
	hdms_bytes_free(&okm);
}

static void
hkdf_agrees_with_wycheproof(void **state)
{
	(void) state;
	assert_int_not_equal(vectors_each("wycheproof/hkdf_sha256_test.json", hkdf_vector), 0);
}

static void
a_uuid_of_version_7_begins_with_its_time(void **state)
{
	char		first[37];
	char		second[37];

	(void) state;
	assert_int_equal(hdms_uuid7(INT64_C(0x017F22E279B0), first), HDMS_OK);
	assert_memory_equal(first, "017f22e2-79b0-7", 15);
	assert_non_null(strchr("89ab", first[19]));
	assert_true(hdms_is_uuid(first, 36));
	assert_int_equal(hdms_uuid7(INT64_C(0x017F22E279B0), second), HDMS_OK);
	assert_string_not_equal(first, second);
	assert_int_equal(hdms_uuid7(-1, first), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_uuid7(INT64_C(1) << 48, first), HDMS_BAD_ARGUMENT);
}

static void
a_uuid_has_one_spelling(void **state)
{
	(void) state;
	assert_true(hdms_is_uuid("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", 36));
	assert_false(hdms_is_uuid("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", 36));
	assert_false(hdms_is_uuid("017f22e2-79b0-7cc3-98c4-dc0c0c07398f ", 37));
	assert_false(hdms_is_uuid("017f22e2-79b0-7cc3-98c4-dc0c0c07398", 35));
	assert_false(hdms_is_uuid("017f22e279b0-7cc3-98c4-dc0c0c07398f00", 36));
	assert_false(hdms_is_uuid("017f22e2-79b0-7cc3-98c4-dc0c0c07398g", 36));
}

static void
a_digest_text_is_43_canonical_digits(void **state)
{
	(void) state;
	assert_true(hdms_is_digest_text("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", 43));
	assert_false(hdms_is_digest_text("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa1", 43));
	assert_false(hdms_is_digest_text("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa", 42));
	assert_false(hdms_is_digest_text("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0", 43));
	assert_false(hdms_is_digest_text("", 0));
}

static void
utf8_must_be_well_formed(void **state)
{
	static const char *const good[] = {"", "abc", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};

	/* Lone continuation, overlong forms, surrogates, above U+10FFFF, cut sequences. */
	static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
	"\xc2", "\xe2\x82", "\xf0\x9f\x98", "a\xc2", "\xc2" "a", "\xe2\x82" "a", "\xfe"};

	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(hdms_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(hdms_is_utf8(bad[i], strlen(bad[i])));
	assert_true(hdms_is_utf8("a\0b", 3));
}

static void
random_bytes_fill_the_whole_buffer(void **state)
{
	unsigned char first[64] = {0};
	unsigned char second[64] = {0};

	(void) state;
	assert_int_equal(hdms_random(first, sizeof(first)), HDMS_OK);
	assert_int_equal(hdms_random(second, sizeof(second)), HDMS_OK);
	assert_memory_not_equal(first, second, 32);
	assert_memory_not_equal(first + 32, second + 32, 32);
	assert_int_equal(hdms_random(NULL, 0), HDMS_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_outcome_has_its_own_word_and_a_sentence),
		cmocka_unit_test(base64url_writes_what_rfc_4648_says),
		cmocka_unit_test(base64_writes_padding),
		cmocka_unit_test(base64url_has_one_spelling_for_each_byte_string),
		cmocka_unit_test(base64_has_one_spelling_for_each_byte_string),
		cmocka_unit_test(every_last_digit_decodes_for_one_byte_string_only),
		cmocka_unit_test(exactly_64_bytes_are_digits_wherever_they_stand),
		cmocka_unit_test(all_bytes_survive_both_encodings),
		cmocka_unit_test(a_fixed_length_read_refuses_another_length_and_leaves_its_result_alone),
		cmocka_unit_test(sha256_of_parts_is_that_of_the_whole),
		cmocka_unit_test(hmac_is_that_of_rfc_4231),
		cmocka_unit_test(hkdf_agrees_with_wycheproof),
		cmocka_unit_test(a_uuid_of_version_7_begins_with_its_time),
		cmocka_unit_test(a_uuid_has_one_spelling),
		cmocka_unit_test(a_digest_text_is_43_canonical_digits),
		cmocka_unit_test(utf8_must_be_well_formed),
		cmocka_unit_test(random_bytes_fill_the_whole_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
