/*
 * test_claims.c
 *		The quick reader of claims and bodies, beside jansson.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "claims.h"
#include "claims_read.h"

static const char *const plain[] = {
	"{}", " { } ", "{\"a\":1}", "{\"a\":-7,\"b\":0,\"c\":123456789012345678}", "{\"a\":\"\"}", "{ \"a\" : [ ] , \"b\" : [ {} , [1, 2 ,3] , true,false,null ] }\r\n\t",
	"{\"t\":\"a\\n\\\"\\\\\\/\\b\\f\\r\\t z\"}", "{\"state\":\"eyJhbGciOiJFUzI1NiJ9.e30.c2ln~W10~\",\"commit\":\"a.b.c\"}",
	"{\"a\":{\"b\":{\"c\":{\"d\":[[[[\"deep\"]]]]}}},\"e\":{\"a\":1}}",
};

static const char *const not_plain[] = {
	"", " ", "[]", "\"a\"", "1", "{", "}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}", "{\"a\":1}x", "{\"a\":1}}", "{\"a\":[1,]}", "{\"a\":[,1]}",
	"{\"a\":[1 2]}", "{\"a\":1,\"a\":2}", "{\"a\":01}", "{\"a\":-}", "{\"a\":+1}", "{\"a\":-0}", "{\"a\":1.5}", "{\"a\":1e3}", "{\"a\":1234567890123456789}",
	"{\"a\":12345678901234567890}", "{\"a\":tru}", "{\"a\":truex}", "{\"a\":True}", "{\"a\":\"\\u0041\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\", "{\"a\":\"b", "{\"a\":\"b\n\"}",
	"{\"a\":\"\303\251\"}", "{\"\303\251\":1}", "{\"a\":\"\177\"}", "{\"\\n\":1}", "{a:1}", "{'a':1}", "{\"a\":1]", "{\"a\":[1}", "{\"a\":nul}", "{\"a\" 1}", "{\"\":1}",
};

static json_t *
by_jansson(const char *text, size_t len)
{
	return json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
}

/* Whether it was plain; that it then is what jansson reads, in the same order. */
static bool
read_alike(const char *text, size_t len)
{
	json_t	   *quick = hdms_claims_read(text, len);
	json_t	   *slow;
	char	   *quick_text;
	char	   *slow_text;

	if (quick == NULL)
		return false;
	slow = by_jansson(text, len);
	assert_non_null(slow);
	assert_true(json_equal(quick, slow));
	quick_text = json_dumps(quick, JSON_COMPACT);
	slow_text = json_dumps(slow, JSON_COMPACT);
	assert_string_equal(quick_text, slow_text);
	free(quick_text);
	free(slow_text);
	json_decref(quick);
	json_decref(slow);
	return true;
}

static void
plain_text_is_read_as_jansson_reads_it(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		assert_true(read_alike(plain[i], strlen(plain[i])));
}

static void
what_is_not_plain_is_left_to_jansson(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(not_plain) / sizeof(not_plain[0]); i++)
		assert_null(hdms_claims_read(not_plain[i], strlen(not_plain[i])));
}

static void
nesting_is_read_as_deep_as_claims_may_be(void **state)
{
	(void) state;
	for (int depth = CLAIMS_MAX_DEPTH - 1; depth <= CLAIMS_MAX_DEPTH; depth++)
	{
		char		text[256] = "{\"a\":";
		json_t	   *object = NULL;
		HdmsStatus	expected = depth < CLAIMS_MAX_DEPTH ? HDMS_OK : HDMS_TOO_LARGE;

		memset(text + strlen(text), '[', (size_t) depth);
		memset(text + strlen(text), ']', (size_t) depth);
		strcat(text, "}");
		assert_int_equal(read_alike(text, strlen(text)), expected == HDMS_OK);
		assert_int_equal(hdms_claims_parse(text, strlen(text), &object), expected);
		json_decref(object);
	}
}

static void
every_byte_that_is_altered_or_missing_makes_no_difference_between_the_two(void **state)
{
	static const char alphabet[] = "{}[]\",:\\ 0-1ntf.eu\n\t\001\177\377";

	(void) state;
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
	{
		size_t		len = strlen(plain[i]);
		char		text[256];

		for (size_t at = 0; at < len; at++)
		{
			read_alike(plain[i], at);
			for (const char *byte = alphabet; *byte != '\0'; byte++)
			{
				memcpy(text, plain[i], len);
				text[at] = *byte;
				read_alike(text, len);
				memcpy(text + at + 1, plain[i] + at, len - at);
				read_alike(text, len + 1);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_is_read_as_jansson_reads_it),
		cmocka_unit_test(what_is_not_plain_is_left_to_jansson),
		cmocka_unit_test(nesting_is_read_as_deep_as_claims_may_be),
		cmocka_unit_test(every_byte_that_is_altered_or_missing_makes_no_difference_between_the_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
