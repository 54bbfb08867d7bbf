/*
 * test_json_scan.c
 *		The strict scanner for content, and the strict reading of claims.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "claims.h"
#include "json_scan.h"
#include "vectors.h"

static HdmsStatus
check(const char *json)
{
	return hdms_json_check(json, strlen(json), SIZE_MAX, NULL, NULL);
}

static HdmsStatus
claims(const char *json)
{
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, strlen(json), &object);

	json_decref(object);
	return status;
}

static void
the_json_test_suite_is_judged_as_its_names_say(void **state)
{
	char		path[1024];
	DIR		   *folder;
	struct dirent *entry;
	int			count = 0;

	(void) state;
	snprintf(path, sizeof(path), "%s/json/test_parsing", VECTORS);
	folder = opendir(path);
	if (folder == NULL)
	{
		printf("skipped: %s is not there\n", path);
		return;
	}
	while ((entry = readdir(folder)) != NULL)
	{
		char		name[1024];
		HdmsBytes	contents = {0};
		HdmsStatus	status;
		HdmsBytes	compact = {0};
		size_t		at = SIZE_MAX;

		if (strlen(entry->d_name) < 3 || entry->d_name[1] != '_')
			continue;
		snprintf(name, sizeof(name), "json/test_parsing/%s", entry->d_name);
		assert_true(vectors_read(name, &contents));
		status = hdms_json_check((const char *) contents.data, contents.len, SIZE_MAX, NULL, &at);

		/* The two whose fault is a name that comes twice: we must refuse what the suite's own list lets pass. */
		if (strncmp(entry->d_name, "y_object_duplicated_key", 23) == 0)
			assert_int_equal(status, HDMS_BAD_JSON);
		else if (entry->d_name[0] == 'y' && status != HDMS_OK)
			fail_msg("%s: %s", entry->d_name, hdms_status_word(status));
		else if (entry->d_name[0] == 'n' && status == HDMS_OK)
			fail_msg("%s was accepted", entry->d_name);
		if (status != HDMS_OK)
			assert_true(at <= contents.len);
		assert_int_equal(hdms_json_compact((const char *) contents.data, contents.len, &compact), status);
		hdms_json_has_reserved((const char *) contents.data, contents.len);
		hdms_bytes_free(&compact);
		hdms_bytes_free(&contents);
		count++;
	}
	closedir(folder);
	assert_true(count > 300);
}

static void
a_name_may_not_come_twice_however_it_is_spelled(void **state)
{
	(void) state;
	assert_int_equal(check("{\"a\":1,\"b\":2}"), HDMS_OK);
	assert_int_equal(check("{\"a\":1,\"a\":1}"), HDMS_BAD_JSON);
	assert_int_equal(check("{\"a\":1,\"\\u0061\":1}"), HDMS_BAD_JSON);
	assert_int_equal(check("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":1}"), HDMS_BAD_JSON);
	assert_int_equal(check("{\"\\n\":1,\"\\u000A\":1}"), HDMS_BAD_JSON);
	assert_int_equal(check("{\"/\":1,\"\\/\":1}"), HDMS_BAD_JSON);
	assert_int_equal(check("[{\"x\":{\"q\":1,\"q\":2}}]"), HDMS_BAD_JSON);
	assert_int_equal(check("{\"\":1,\"\":1}"), HDMS_BAD_JSON);
	assert_int_equal(check("{\"\":1,\"\\u0000\":1}"), HDMS_OK);
	assert_int_equal(check("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}"), HDMS_OK);
	assert_int_equal(check("[{\"a\":1},{\"a\":1}]"), HDMS_OK);
	assert_int_equal(check("{\"ab\":1,\"\\u0061\":1,\"a\\u0062c\":1}"), HDMS_OK);
}

static void
the_fault_is_pointed_at(void **state)
{
	static const struct
	{
		const char *json;
		size_t		at;
	}			cases[] = {
		{"{\"a\":1,\"a\":2}", 7},
		{"{\"a\":1,\"b\":2,\"b\":3,\"a\":4}", 13},
		{"[1,2,x]", 5},
		{"[1,2", 4},
		{"{\"a\" 1}", 5},
		{"[\"\\q\"]", 2},
		{"[\"ab\xff\"]", 4},
		{"[1] x", 4},
		{"", 0},
		{"[01]", 2},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		size_t		at = 99;

		assert_int_not_equal(hdms_json_check(cases[i].json, strlen(cases[i].json), SIZE_MAX, NULL, &at), HDMS_OK);
		assert_int_equal(at, cases[i].at);
	}
}

static void
broken_utf8_is_an_encoding_error(void **state)
{
	(void) state;
	assert_int_equal(check("[\"\xff\"]"), HDMS_BAD_ENCODING);
	assert_int_equal(check("{\"\xed\xa0\x80\":1}"), HDMS_BAD_ENCODING);
	assert_int_equal(check("[\"\xc3\xa4\"]"), HDMS_OK);
	assert_int_equal(check("\xef\xbb\xbf{}"), HDMS_BAD_JSON);
}

static void
surrogate_escapes_come_in_pairs(void **state)
{
	(void) state;
	assert_int_equal(check("\"\\ud83d\\ude00\""), HDMS_OK);
	assert_int_equal(check("\"\\ud83d\""), HDMS_BAD_JSON);
	assert_int_equal(check("\"\\ude00\""), HDMS_BAD_JSON);
	assert_int_equal(check("\"\\ud83dx\""), HDMS_BAD_JSON);
	assert_int_equal(check("\"\\ud83d\\u0061\""), HDMS_BAD_JSON);
	assert_int_equal(check("\"\\ud83d\\ud83d\""), HDMS_BAD_JSON);
	assert_int_equal(check("\"\\ud83d\\n\""), HDMS_BAD_JSON);
}

static void
size_and_depth_are_bounded(void **state)
{
	char		nested[2 * (HDMS_JSON_MAX_DEPTH + 1) + 1];
	HdmsJsonKind kind = HDMS_JSON_NULL;

	(void) state;
	for (int depth = HDMS_JSON_MAX_DEPTH; depth <= HDMS_JSON_MAX_DEPTH + 1; depth++)
	{
		memset(nested, '[', (size_t) depth);
		memset(nested + depth, ']', (size_t) depth);
		nested[2 * depth] = '\0';
		assert_int_equal(check(nested), depth == HDMS_JSON_MAX_DEPTH ? HDMS_OK : HDMS_TOO_LARGE);
	}
	assert_int_equal(hdms_json_check("[1]", 3, 3, &kind, NULL), HDMS_OK);
	assert_int_equal(kind, HDMS_JSON_ARRAY);
	assert_int_equal(hdms_json_check("[1]", 3, 2, NULL, NULL), HDMS_TOO_LARGE);
}

static void
a_million_open_brackets_do_not_exhaust_the_stack(void **state)
{
	const size_t len = 1000000;
	char	   *json = malloc(len);

	(void) state;
	assert_non_null(json);
	memset(json, '[', len);
	assert_int_equal(hdms_json_check(json, len, SIZE_MAX, NULL, NULL), HDMS_TOO_LARGE);
	for (size_t i = 0; i + 5 <= len; i += 5)
		memcpy(json + i, "{\"a\":", 5);
	assert_int_equal(hdms_json_check(json, len, SIZE_MAX, NULL, NULL), HDMS_TOO_LARGE);
	free(json);
}

/* An object of count members whose names share a long beginning; the last is the first again if twice. */
static char *
many_members(size_t count, bool twice, size_t *len)
{
	char	   *json = malloc(count * 80 + 2);
	char	   *at = json;

	assert_non_null(json);
	for (size_t i = 0; i < count; i++)
		at += sprintf(at, "%c\"%s%s%08zu\":0", i == 0 ? '{' : ',', i % 2 == 0 ? "\\u0061" : "a",
					  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", twice && i == count - 1 ? 0 : i);
	*at++ = '}';
	*len = (size_t) (at - json);
	return json;
}

static void
the_one_repeated_name_among_a_hundred_thousand_is_found(void **state)
{
	size_t		len;
	char	   *json = many_members(100000, true, &len);
	size_t		at = 0;

	(void) state;
	assert_int_equal(hdms_json_check(json, len, SIZE_MAX, NULL, &at), HDMS_BAD_JSON);
	assert_true(at > len - 60);
	free(json);
	json = many_members(100000, false, &len);
	assert_int_equal(hdms_json_check(json, len, SIZE_MAX, NULL, NULL), HDMS_OK);
	free(json);
}

static void
items_are_spans_of_the_source_in_its_order(void **state)
{
	const char *json = " { \"b\" : 7.10 , \"a\\u0062\":[ 1, {\"x\":2} ],\"c\":\"\\n\", \"d\": true,\"e\":null , \"f\":false,\"g\":{ } } ";
	static const struct
	{
		const char *name;
		const char *value;
		HdmsJsonKind kind;
	}			expected[] = {
		{"\"b\"", "7.10", HDMS_JSON_NUMBER}, {"\"a\\u0062\"", "[ 1, {\"x\":2} ]", HDMS_JSON_ARRAY}, {"\"c\"", "\"\\n\"", HDMS_JSON_STRING},
		{"\"d\"", "true", HDMS_JSON_TRUE}, {"\"e\"", "null", HDMS_JSON_NULL}, {"\"f\"", "false", HDMS_JSON_FALSE}, {"\"g\"", "{ }", HDMS_JSON_OBJECT},
	};
	HdmsJsonItem *items = NULL;
	size_t		count = 0;

	(void) state;
	assert_int_equal(hdms_json_items(json, strlen(json), &items, &count), HDMS_OK);
	assert_int_equal(count, 7);
	for (size_t i = 0; i < count; i++)
	{
		assert_int_equal(items[i].name.len, strlen(expected[i].name));
		assert_memory_equal(items[i].name.data, expected[i].name, items[i].name.len);
		assert_int_equal(items[i].value.len, strlen(expected[i].value));
		assert_memory_equal(items[i].value.data, expected[i].value, items[i].value.len);
		assert_int_equal(items[i].kind, expected[i].kind);
	}
	free(items);

	items = NULL;
	assert_int_equal(hdms_json_items("[1,[2,3],{}]", 12, &items, &count), HDMS_OK);
	assert_int_equal(count, 3);
	assert_int_equal(items[0].name.len, 0);
	assert_memory_equal(items[1].value.data, "[2,3]", 5);
	free(items);

	items = NULL;
	assert_int_equal(hdms_json_items("{}", 2, &items, &count), HDMS_OK);
	assert_int_equal(count, 0);
	assert_null(items);
	assert_int_equal(hdms_json_items("3", 1, &items, &count), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_json_items("[1,2,]", 6, &items, &count), HDMS_BAD_JSON);
	assert_null(items);
}

static void
a_member_is_found_by_what_its_name_means(void **state)
{
	const char *json = "{\"ab\":1,\"\\u0061\\u00e4\":2,\"\":3,\"n\\u0000\":4}";
	HdmsJsonItem item = {0};

	(void) state;
	assert_int_equal(hdms_json_member(json, strlen(json), "ab", &item), HDMS_OK);
	assert_memory_equal(item.value.data, "1", 1);
	assert_int_equal(hdms_json_member(json, strlen(json), "a\xc3\xa4", &item), HDMS_OK);
	assert_memory_equal(item.value.data, "2", 1);
	assert_int_equal(hdms_json_member(json, strlen(json), "", &item), HDMS_OK);
	assert_memory_equal(item.value.data, "3", 1);
	assert_int_equal(hdms_json_member(json, strlen(json), "a", &item), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_json_member(json, strlen(json), "n", &item), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_json_member("[\"a\"]", 5, "a", &item), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_json_member("{\"a\":}", 6, "a", &item), HDMS_BAD_JSON);
}

static void
unescaping_and_quoting_are_inverse(void **state)
{
	const char *escaped = "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e4\\ud83d\\ude00\xc3\xa4\"";
	const char	plain[] = "a\"\\/\b\f\n\r\t\0\xc3\xa4\xf0\x9f\x98\x80\xc3\xa4";
	HdmsBytes	out = {0};
	char	   *quoted = NULL;

	(void) state;
	assert_int_equal(hdms_json_unescape((HdmsSpan) {escaped, strlen(escaped)}, &out), HDMS_OK);
	assert_int_equal(out.len, sizeof(plain) - 1);
	assert_memory_equal(out.data, plain, out.len);
	assert_int_equal(hdms_json_quote((const char *) out.data, out.len, &quoted), HDMS_OK);
	hdms_bytes_free(&out);
	assert_int_equal(hdms_json_unescape((HdmsSpan) {quoted, strlen(quoted)}, &out), HDMS_OK);
	assert_int_equal(out.len, sizeof(plain) - 1);
	assert_memory_equal(out.data, plain, out.len);
	hdms_bytes_free(&out);
	free(quoted);
	assert_int_equal(hdms_json_quote("\xff", 1, &quoted), HDMS_BAD_ENCODING);
	assert_int_equal(hdms_json_unescape((HdmsSpan) {"\"a", 2}, &out), HDMS_BAD_JSON);
	assert_int_equal(hdms_json_unescape((HdmsSpan) {"\"a\"b\"", 5}, &out), HDMS_BAD_JSON);
	assert_int_equal(hdms_json_unescape((HdmsSpan) {"\"", 1}, &out), HDMS_BAD_JSON);
}

static void
reserved_members_are_found_at_any_depth_and_in_any_spelling(void **state)
{
	static const char *const with[] = {
		"{\"_sd\":1}", "{\"a\":[{\"_sd_alg\":1}]}", "{\"a\":{\"...\":1}}", "{\"\\u005fsd\":1}", "{\"a\":1,\"_s\\u0064\" : 1}", "[[[{\"\\u002e..\":1}]]]",
	};
	static const char *const without[] = {
		"{\"a\":\"_sd\"}", "[\"_sd\",\"...\"]", "{\"_sd2\":1}", "{\"_SD\":1}", "{\"a\":\"\\\"_sd\\\":\"}", "{}", "\"_sd\"", "{\"x\\\"_sd\":1}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
		assert_true(hdms_json_has_reserved(with[i], strlen(with[i])));
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		assert_false(hdms_json_has_reserved(without[i], strlen(without[i])));
}

static void
compacting_removes_white_space_outside_strings_only(void **state)
{
	const char *json = " { \"a b\" : [ 1 ,\t7.10\n] , \"c\" : \" \\\" x \" }\r\n";
	HdmsBytes	out = {0};

	(void) state;
	assert_int_equal(hdms_json_compact(json, strlen(json), &out), HDMS_OK);
	assert_string_equal((char *) out.data, "{\"a b\":[1,7.10],\"c\":\" \\\" x \"}");
	assert_int_equal(out.len, strlen((char *) out.data));
	hdms_bytes_free(&out);
	assert_int_equal(hdms_json_compact("{", 1, &out), HDMS_BAD_JSON);
}

static void
claims_are_one_strict_object_of_integers(void **state)
{
	json_t	   *object = NULL;

	(void) state;
	assert_int_equal(claims("{\"a\":1,\"b\":[{\"c\":\"x\"}],\"d\":null,\"e\":true}"), HDMS_OK);
	assert_int_equal(claims("{\"a\":9223372036854775807,\"b\":-9223372036854775808}"), HDMS_OK);
	assert_int_equal(claims("{\"a\":9223372036854775808}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{\"a\":1.0}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{\"a\":[[1e2]]}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{\"a\":1,\"a\":1}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{\"a\":1,\"\\u0061\":1}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{\"a\":\"\\u0000\"}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{\"\\u0000\":1}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{\"a\":\"\xff\"}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{} {}"), HDMS_BAD_JSON);
	assert_int_equal(claims("{}x"), HDMS_BAD_JSON);
	assert_int_equal(hdms_claims_parse("{\"a\":1\0}", 8, &object), HDMS_BAD_JSON);
	assert_int_equal(hdms_claims_parse("{\"a\":1}\0", 8, &object), HDMS_BAD_JSON);
	assert_null(object);
	assert_int_equal(claims("[]"), HDMS_BAD_FORMAT);
	assert_int_equal(claims("1"), HDMS_BAD_JSON);
	assert_int_equal(claims(""), HDMS_BAD_JSON);
}

static void
claims_nest_32_deep_and_no_deeper(void **state)
{
	char		json[300];

	(void) state;
	for (int depth = 31; depth <= 32; depth++)
	{
		int			at = sprintf(json, "{\"a\":");

		memset(json + at, '[', (size_t) depth);
		memset(json + at + depth, ']', (size_t) depth);
		strcpy(json + at + 2 * depth, "}");
		assert_int_equal(claims(json), depth == 31 ? HDMS_OK : HDMS_TOO_LARGE);
	}
}

static void
claims_are_read_only_when_they_are_of_the_right_kind(void **state)
{
	const char *json = "{\"s\":\"x\",\"e\":\"\",\"n\":5,\"m\":-5,\"d\":\"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0\"}";
	json_t	   *object = NULL;
	const char *text = "before";
	unsigned char digest[32] = {0};
	int64_t		number = 1;
	char	   *printed = NULL;

	(void) state;
	assert_int_equal(hdms_claims_parse(json, strlen(json), &object), HDMS_OK);
	assert_int_equal(hdms_claims_string(object, "e", &text), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_claims_string(object, "n", &text), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_claims_string(object, "missing", &text), HDMS_BAD_CLAIM);
	assert_string_equal(text, "before");
	assert_int_equal(hdms_claims_string(object, "s", &text), HDMS_OK);
	assert_string_equal(text, "x");
	assert_int_equal(hdms_claims_integer(object, "m", &number), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_claims_integer(object, "s", &number), HDMS_BAD_CLAIM);
	assert_int_equal(number, 1);
	assert_int_equal(hdms_claims_integer(object, "n", &number), HDMS_OK);
	assert_int_equal(number, 5);
	assert_int_equal(hdms_claims_digest(object, "s", digest, NULL), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_claims_digest(object, "d", digest, &text), HDMS_OK);
	assert_int_equal(digest[0], 0xba);
	assert_int_equal(hdms_claims_equal(object, "s", "x"), HDMS_OK);
	assert_int_equal(hdms_claims_equal(object, "s", "y"), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_claims_print(object, &printed), HDMS_OK);
	assert_string_equal(printed, json);
	free(printed);
	json_decref(object);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_json_test_suite_is_judged_as_its_names_say),
		cmocka_unit_test(a_name_may_not_come_twice_however_it_is_spelled),
		cmocka_unit_test(the_fault_is_pointed_at),
		cmocka_unit_test(broken_utf8_is_an_encoding_error),
		cmocka_unit_test(surrogate_escapes_come_in_pairs),
		cmocka_unit_test(size_and_depth_are_bounded),
		cmocka_unit_test(a_million_open_brackets_do_not_exhaust_the_stack),
		cmocka_unit_test(the_one_repeated_name_among_a_hundred_thousand_is_found),
		cmocka_unit_test(items_are_spans_of_the_source_in_its_order),
		cmocka_unit_test(a_member_is_found_by_what_its_name_means),
		cmocka_unit_test(unescaping_and_quoting_are_inverse),
		cmocka_unit_test(reserved_members_are_found_at_any_depth_and_in_any_spelling),
		cmocka_unit_test(compacting_removes_white_space_outside_strings_only),
		cmocka_unit_test(claims_are_one_strict_object_of_integers),
		cmocka_unit_test(claims_nest_32_deep_and_no_deeper),
		cmocka_unit_test(claims_are_read_only_when_they_are_of_the_right_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
