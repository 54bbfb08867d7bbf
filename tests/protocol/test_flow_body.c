/*
 * test_flow_body.c
 *		The bodies of messages: each type's members come back, and a body that lacks one is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow_body.h"

#define DIGEST	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define UUID	"01890a5d-ac96-774b-bcce-b302099a8057"

/* A right body of each type, as it is printed. */
static const struct
{
	const char *type;
	const char *json;
	const char *required[5];
}			bodies[] = {
	{"pair", "{\"invitation\":\"" UUID "\",\"mac\":\"" DIGEST "\",\"history\":[\"a.b.c\",\"d.e.f\"]}",
	{"invitation", "mac", "history"}},
	{"paired", "{\"membership\":\"a.b.c\",\"name\":\"St. J\xc3\xb6rg\",\"confirm\":true}", {"membership", "name", "confirm"}},
	{"paired", "{\"membership\":\"a.b.c\",\"name\":\"H\",\"confirm\":false}", {"membership", "name", "confirm"}},
	{"pair_refused", "{\"code\":\"unknown-invitation\",\"detail\":\"It has been used\"}", {"code"}},
	{"record", "{\"state\":\"a.b.c~d~\",\"commit\":\"a.b.c\"}", {"state", "commit"}},
	{"notarise", "{\"request\":\"a.b.c\"}", {"request"}},
	{"notarise", "{\"request\":\"a.b.c\",\"prev_request\":\"d.e.f\",\"prev_receipt\":\"text\\n\\nmore \xe2\x80\x94\\n\"}",
	{"request", "prev_request", "prev_receipt"}},
	{"receipt", "{\"receipt\":\"text\\n\"}", {"receipt"}},
	{"refused", "{\"code\":\"conflict\",\"detail\":\"\",\"receipt\":\"text\"}", {"code"}},
	{"refused", "{\"code\":\"too_late\"}", {"code"}},
	{"silent", "{\"vk\":\"" DIGEST "\",\"notary\":\"" DIGEST "\"}", {"vk", "notary"}},
	{"skip", "{\"skip\":\"a.b.c\",\"vk\":\"" DIGEST "\"}", {"vk", "skip"}},
	{"alive", "{\"vk\":\"" DIGEST "\",\"notary\":\"" DIGEST "\"}", {"vk", "notary"}},
	{"probe", "{}", {NULL}},
	{"probe_reply", "{}", {NULL}},
	{"accepted", "{\"acceptance\":\"a.b.c\",\"request\":\"d.e.f\",\"receipt\":\"g\",\"vk\":\"" DIGEST "\"}",
	{"vk", "acceptance", "request", "receipt"}},
	{"rejected", "{\"rejection\":\"a.b.c\",\"vk\":\"" DIGEST "\"}", {"vk", "rejection"}},
	{"committed", "{\"vk\":\"" DIGEST "\"}", {"vk"}},
	{"withdrawn", "{\"code\":\"expired\",\"vk\":\"" DIGEST "\"}", {"code", "vk"}},
	{"want", "{}", {NULL}},
	{"want", "{\"after\":\"12\",\"wanted\":[\"" DIGEST "\"]}", {NULL}},
	{"copies", "{\"copies\":[]}", {"copies"}},
	{"copies", "{\"next\":\"17\",\"missing\":[\"" DIGEST "\"],\"copies\":[{\"state\":\"a.b.c~d~\"},"
	"{\"state\":\"a\",\"commit\":\"b\",\"acceptance\":\"c\",\"request\":\"d\",\"receipt\":\"e\"}]}", {"copies"}},
	{"keys", "{\"history\":[\"a.b.c\"]}", {"history"}},
	{"witness", "{\"checkpoint\":\"old 1\\n\\n\"}", {"checkpoint"}},
	{"cosigned", "{\"cosignatures\":\"x\\n\"}", {NULL}},
	{"cosigned", "{\"code\":\"conflict\",\"checkpoint\":\"x\\n\",\"size\":\"12\"}", {NULL}},
	{"erased", "{\"vk\":\"" DIGEST "\",\"tombstone\":\"a.b.c\"}", {"vk", "tombstone"}},
	{"erasure", "{\"code\":\"kept\",\"vk\":\"" DIGEST "\"}", {"vk", "code"}},
	{"reads", "{\"reads\":[{\"purpose\":\"x\"}]}", {"reads"}},
	{"unpaired", "{\"code\":\"replaced\"}", {"code"}},
	{"ack", "{\"acks\":[\"" UUID "\",\"01890a5d-ac96-774b-bcce-b302099a8058\"]}", {"acks"}},
};

#define BODY_COUNT (sizeof(bodies) / sizeof(bodies[0]))

static HdmsStatus
parse(const char *type, const char *json)
{
	HdmsBody	body = {0};
	HdmsStatus	status = hdms_body_parse(type, json, strlen(json), &body);

	hdms_body_free(&body);
	return status;
}

static void
each_body_comes_back_as_it_was(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < BODY_COUNT; i++)
	{
		HdmsBody	body = {0};
		char	   *json = NULL;

		assert_int_equal(hdms_body_parse(bodies[i].type, bodies[i].json, strlen(bodies[i].json), &body), HDMS_OK);
		assert_int_equal(hdms_body_print(bodies[i].type, &body, &json), HDMS_OK);
		assert_string_equal(json, bodies[i].json);
		free(json);
		hdms_body_free(&body);
	}
}

static void
the_members_are_where_they_belong(void **unused)
{
	HdmsBody	body = {0};

	(void) unused;
	assert_int_equal(hdms_body_parse("pair", bodies[0].json, strlen(bodies[0].json), &body), HDMS_OK);
	assert_string_equal(body.invitation, UUID);
	assert_string_equal(body.mac, DIGEST);
	assert_string_equal(body.history, "[\"a.b.c\",\"d.e.f\"]");
	assert_null(body.vk);
	hdms_body_free(&body);
	assert_int_equal(hdms_body_parse("paired", bodies[1].json, strlen(bodies[1].json), &body), HDMS_OK);
	assert_true(body.confirm);
	hdms_body_free(&body);
	assert_int_equal(hdms_body_parse("ack", bodies[BODY_COUNT - 1].json, strlen(bodies[BODY_COUNT - 1].json), &body), HDMS_OK);
	assert_int_equal(body.ack_count, 2);
	assert_string_equal(body.acks[0], UUID);
	hdms_body_free(&body);
	assert_null(body.acks);
	assert_int_equal(body.ack_count, 0);
}

static void
a_body_that_lacks_a_member_is_neither_read_nor_written(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < BODY_COUNT; i++)
	{
		for (int k = 0; k < 5 && bodies[i].required[k] != NULL; k++)
		{
			json_t	   *object = json_loads(bodies[i].json, 0, NULL);
			char	   *json;

			json_object_del(object, bodies[i].required[k]);
			json = json_dumps(object, JSON_COMPACT);
			assert_int_equal(parse(bodies[i].type, json), HDMS_BAD_CLAIM);
			free(json);

			json_object_set_new(object, bodies[i].required[k], json_integer(7));
			json = json_dumps(object, JSON_COMPACT);
			assert_int_equal(parse(bodies[i].type, json), HDMS_BAD_CLAIM);
			free(json);

			json_object_set_new(object, bodies[i].required[k], json_string(""));
			json = json_dumps(object, JSON_COMPACT);
			assert_int_equal(parse(bodies[i].type, json), HDMS_BAD_CLAIM);
			free(json);
			json_decref(object);
		}

		/* Nobody may have any copies: the list of none is a list. */
		if (bodies[i].required[0] != NULL && strcmp(bodies[i].type, "copies") != 0)
		{
			HdmsBody	body = {0};
			char	   *json = NULL;

			assert_int_equal(hdms_body_print(bodies[i].type, &body, &json), HDMS_BAD_CLAIM);
			assert_null(json);
		}
	}
}

static void
a_later_versions_members_are_ignored(void **unused)
{
	HdmsBody	body = {0};
	char	   *json = NULL;
	static const char text[] = "{\"vk\":\"" DIGEST "\",\"more\":{\"a\":[1]},\"state\":7}";

	(void) unused;
	assert_int_equal(hdms_body_parse("committed", text, strlen(text), &body), HDMS_OK);
	assert_null(body.state);
	assert_int_equal(hdms_body_print("committed", &body, &json), HDMS_OK);
	assert_string_equal(json, "{\"vk\":\"" DIGEST "\"}");
	free(json);
	hdms_body_free(&body);
}

static void
a_member_of_the_wrong_form_is_refused(void **unused)
{
	static const char *const cases[][2] = {
		{"committed", "{\"vk\":\"AAAA\"}"}, {"committed", "{\"vk\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\"}"},
		{"pair", "{\"invitation\":\"x\",\"mac\":\"" DIGEST "\",\"history\":[\"a\"]}"},
		{"pair", "{\"invitation\":\"" UUID "\",\"mac\":\"x\",\"history\":[\"a\"]}"},
		{"pair", "{\"invitation\":\"" UUID "\",\"mac\":\"" DIGEST "\",\"history\":[]}"},
		{"pair", "{\"invitation\":\"" UUID "\",\"mac\":\"" DIGEST "\",\"history\":[7]}"},
		{"pair", "{\"invitation\":\"" UUID "\",\"mac\":\"" DIGEST "\",\"history\":\"[]\"}"},
		{"paired", "{\"membership\":\"a\",\"name\":\"n\",\"confirm\":\"true\"}"},
		{"paired", "{\"membership\":\"a\",\"name\":\"n\xe2\x80\xaemoc.live\",\"confirm\":true}"},
		{"refused", "{\"code\":\"Not a word\"}"}, {"refused", "{\"code\":\"conflict\",\"receipt\":7}"},
		{"ack", "{\"acks\":[]}"}, {"ack", "{\"acks\":[\"x\"]}"}, {"want", "{\"wanted\":[]}"},
		{"want", "{\"wanted\":[\"x\"]}"}, {"want", "{\"after\":\"a b\"}"}, {"copies", "{\"copies\":{}}"}, {"copies", "{\"copies\":[7]}"},
		{"copies", "{\"copies\":[{}]}"}, {"copies", "{\"copies\":[{\"state\":\"a\",\"request\":7}]}"}, {"reads", "{\"reads\":[]}"},
		{"reads", "{\"reads\":[\"x\"]}"}, {"cosigned", "{\"size\":\"012\"}"}, {"cosigned", "{\"size\":\"-1\"}"},
		 {"ack", "{\"acks\":[7]}"}, {"ack", "{\"acks\":{}}"},
		{"notarise", "{\"request\":\"a\",\"prev_request\":\"b\"}"}, {"notarise", "{\"request\":\"a\",\"prev_receipt\":\"b\"}"},
	};

	(void) unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		if (parse(cases[i][0], cases[i][1]) != HDMS_BAD_CLAIM)
			fail_msg("%s", cases[i][1]);
	}
}

static void
an_unknown_type_or_what_is_no_object_is_refused(void **unused)
{
	HdmsBody	body = {0};
	char	   *json = NULL;

	(void) unused;
	assert_int_equal(parse("unknown", "{}"), HDMS_BAD_TYPE);
	assert_int_equal(parse("", "{}"), HDMS_BAD_TYPE);
	assert_int_equal(hdms_body_print("unknown", &body, &json), HDMS_BAD_TYPE);
	assert_int_not_equal(parse("probe", ""), HDMS_OK);
	assert_int_not_equal(parse("probe", "[]"), HDMS_OK);
	assert_int_not_equal(parse("probe", "{}{}"), HDMS_OK);
	assert_int_not_equal(parse("committed", "{\"vk\":\"" DIGEST "\",\"vk\":\"" DIGEST "\"}"), HDMS_OK);
}

static void
a_failed_parse_leaves_the_body_alone(void **unused)
{
	HdmsBody	body = {.ack_count = 77};

	(void) unused;
	assert_int_equal(hdms_body_parse("ack", "{\"acks\":[\"" UUID "\",\"x\"]}", 47, &body), HDMS_BAD_JSON);
	assert_int_equal(hdms_body_parse("ack", "{\"acks\":[\"x\"]}", 14, &body), HDMS_BAD_CLAIM);
	assert_int_equal(body.ack_count, 77);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_body_comes_back_as_it_was),
		cmocka_unit_test(the_members_are_where_they_belong),
		cmocka_unit_test(a_body_that_lacks_a_member_is_neither_read_nor_written),
		cmocka_unit_test(a_later_versions_members_are_ignored),
		cmocka_unit_test(a_member_of_the_wrong_form_is_refused),
		cmocka_unit_test(an_unknown_type_or_what_is_no_object_is_refused),
		cmocka_unit_test(a_failed_parse_leaves_the_body_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
