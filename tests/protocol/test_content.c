/*
 * test_content.c
 *		What may become content: strict objects that fit, and real ones come back as they were.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "forge.h"
#include "message.h"

static Fixture fixture;			/* both P-256 */
static Fixture rsa;				/* both RSA */

static int
open_fixtures(void **unused)
{
	(void) unused;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_open(&rsa, HDMS_KEY_RSA, HDMS_KEY_RSA);
	return 0;
}

static int
close_fixtures(void **unused)
{
	(void) unused;
	fixture_close(&fixture);
	fixture_close(&rsa);
	return 0;
}

static HdmsStatus
parse(const char *sd_jwt, bool all_disclosed)
{
	HdmsState	state;

	return hdms_state_parse(sd_jwt, strlen(sd_jwt), all_disclosed, &state);
}

static void
content_that_could_be_taken_for_a_digest_is_refused(void **unused)
{
	static const char *const texts[] = {
		"{\"_sd\":1}", "{\"_sd_alg\":1}", "{\"...\":1}", "{\"a\":{\"_sd\":[]}}", "{\"a\":[[{\"...\":\"x\"}]]}",
		"{\"a\":{\"b\":{\"\\u005fsd\":1}}}", "{\"\\u002e..\":1}"
	};

	(void) unused;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(hdms_content_check(texts[i], strlen(texts[i])), HDMS_RESERVED_MEMBER);
	assert_int_equal(hdms_content_check("{\"a\":\"_sd\"}", 11), HDMS_OK);
}

static void
content_is_one_strict_object_within_limits(void **unused)
{
	static const struct
	{
		const char *text;
		HdmsStatus	status;
	}			cases[] = {
		{"[1]", HDMS_BAD_FORMAT}, {"\"a\"", HDMS_BAD_FORMAT}, {"1", HDMS_BAD_FORMAT}, {"", HDMS_BAD_JSON},
		{"{\"a\":1,\"a\":2}", HDMS_BAD_JSON}, {"{\"a\":1,\"\\u0061\":2}", HDMS_BAD_JSON}, {"{\"a\":01}", HDMS_BAD_JSON},
		{"{\"a\":1}x", HDMS_BAD_JSON}, {"{\"a\":\"\xff\"}", HDMS_BAD_ENCODING}, {"{\"a\":NaN}", HDMS_BAD_JSON},
	};
	char	   *many = malloc(32 * 1024);
	char	   *large = malloc(HDMS_CONTENT_MAX + 2);
	char	   *at = many;

	(void) unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(hdms_content_check(cases[i].text, strlen(cases[i].text)), cases[i].status);

	*at++ = '{';
	for (int i = 0; i < HDMS_CONTENT_MAX_MEMBERS; i++)
		at += sprintf(at, "%s\"m%d\":0", i == 0 ? "" : ",", i);
	strcpy(at, "}");
	assert_int_equal(hdms_content_check(many, strlen(many)), HDMS_OK);
	strcpy(at, ",\"more\":0}");
	assert_int_equal(hdms_content_check(many, strlen(many)), HDMS_TOO_LARGE);

	memset(large, 'x', HDMS_CONTENT_MAX + 1);
	memcpy(large, "{\"a\":\"", 6);
	memcpy(large + HDMS_CONTENT_MAX - 2, "\"}", 3);
	assert_int_equal(hdms_content_check(large, HDMS_CONTENT_MAX), HDMS_OK);
	memcpy(large + HDMS_CONTENT_MAX - 2, "x\"}", 4);
	assert_int_equal(hdms_content_check(large, HDMS_CONTENT_MAX + 1), HDMS_TOO_LARGE);
	free(many);
	free(large);
}

/* The largest content with that many members that hdms_content_check() takes. */
static char *
largest_content(int members)
{
	char	   *text = malloc(HDMS_CONTENT_MAX + 1);
	char	   *at = text;
	size_t		len;

	*at++ = '{';
	for (int i = 0; i < members; i++)
		at += sprintf(at, "\"%04d\":0,", i);
	at += sprintf(at, "\"fill\":\"");
	memset(at, 'f', text + HDMS_CONTENT_MAX - at);
	for (len = HDMS_CONTENT_MAX; len > 100000; len -= 100)
	{
		char		saved[2] = {text[len - 2], text[len - 1]};

		text[len - 2] = '"';
		text[len - 1] = '}';
		if (hdms_content_check(text, len) == HDMS_OK)
		{
			text[len] = '\0';
			return text;
		}
		memcpy(text + len - 2, saved, 2);
	}
	free(text);
	return NULL;
}

static void
whatever_content_is_accepted_fits_an_envelope(void **unused)
{
	static const int member_counts[] = {0, 500, HDMS_CONTENT_MAX_MEMBERS - 1};

	(void) unused;
	for (int i = 0; i < 3; i++)
	{
		char	   *large = largest_content(member_counts[i]);
		FixtureVersion version;
		HdmsMessageHead head = {.type = "record"};
		char	   *body;
		char	   *envelope = NULL;

		assert_non_null(large);
		fixture_issue(&rsa, NULL, large, &version);
		assert_int_equal(hdms_state_parse(version.sd_jwt, strlen(version.sd_jwt), true, &version.state), HDMS_OK);
		strcpy(head.iss, rsa.institution[0].id);
		strcpy(head.aud, rsa.patient.id);
		FIXTURE_OK(hdms_uuid7(rsa.now * 1000, head.jti));
		head.iat = rsa.now;
		head.exp = rsa.now + FIXTURE_DAY;
		body = NULL;
		assert_true(asprintf(&body, "{\"state\":\"%s\",\"commit\":\"%s\"}", version.sd_jwt, version.commit) > 0);
		FIXTURE_OK(hdms_message_seal(&head, body, strlen(body), rsa.institution[0].key[HDMS_ROLE_SIGN],
									 rsa.patient.key[HDMS_ROLE_ENCRYPT], &envelope));
		assert_true(strlen(envelope) <= 1024 * 1024);
		free(body);
		free(envelope);
		free(large);
		fixture_version_free(&version);
	}
}

static void
the_type_of_content_is_its_fhir_resource_type_or_json(void **unused)
{
	static const struct
	{
		const char *text;
		const char *type;
	}			cases[] = {
		{"{\"resourceType\":\"Patient\"}", "fhir/R4/Patient"}, {"{\"x\":{\"resourceType\":\"Patient\"}}", "json"},
		{"{\"resource\\u0054ype\":\"Pati\\u0065nt\"}", "fhir/R4/Patient"}, {"{\"resourceType\":1}", "json"},
		{"{\"resourceType\":\"\"}", "json"}, {"{\"resourceType\":\"a b\"}", "json"}, {"{\"resourceType\":\"\\u0000\"}", "json"},
		{"{}", "json"},
	};
	char		type[HDMS_TYPE_MAX + 1];

	(void) unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		assert_int_equal(hdms_content_type(cases[i].text, strlen(cases[i].text), type), HDMS_OK);
		assert_string_equal(type, cases[i].type);
	}
}

/* Issues each resource of a FHIR bundle and compares what comes back. Gives how many there were. */
static size_t
round_trip_bundle(const char *path)
{
	FILE	   *file = fopen(path, "r");
	HdmsJsonItem entries;
	HdmsJsonItem *items = NULL;
	size_t		count;
	char	   *text;
	long		len;

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	len = ftell(file);
	rewind(file);
	text = malloc(len + 1);
	assert_int_equal(fread(text, 1, len, file), len);
	fclose(file);
	FIXTURE_OK(hdms_json_member(text, len, "entry", &entries));
	FIXTURE_OK(hdms_json_items(entries.value.data, entries.value.len, &items, &count));
	for (size_t i = 0; i < count; i += 7)
	{
		HdmsJsonItem resource;
		FixtureVersion version;
		HdmsBytes	again = {0};
		HdmsBytes	compact[2] = {{0}, {0}};
		char	   *copy;

		FIXTURE_OK(hdms_json_member(items[i].value.data, items[i].value.len, "resource", &resource));
		copy = strndup(resource.value.data, resource.value.len);
		fixture_issue(&fixture, NULL, copy, &version);
		FIXTURE_OK(hdms_state_content(version.sd_jwt, strlen(version.sd_jwt), &again));
		FIXTURE_OK(hdms_json_compact(copy, strlen(copy), &compact[0]));
		FIXTURE_OK(hdms_json_compact((char *) again.data, again.len, &compact[1]));
		assert_string_equal((char *) compact[0].data, (char *) compact[1].data);
		assert_int_equal(parse(version.sd_jwt, true), HDMS_OK);
		hdms_bytes_free(&again);
		hdms_bytes_free(&compact[0]);
		hdms_bytes_free(&compact[1]);
		free(copy);
		fixture_version_free(&version);
	}
	free(items);
	free(text);
	return count;
}

static void
resources_of_synthetic_patients_come_back_as_they_were(void **unused)
{
	DIR		   *folder = opendir(FHIR "/synthea");
	struct dirent *entry;
	size_t		resources = 0;

	(void) unused;
	if (folder == NULL)
	{
		printf("skipped: no sample patients at " FHIR "\n");
		return;
	}
	while ((entry = readdir(folder)) != NULL)
	{
		char		path[1024];

		if (strstr(entry->d_name, ".json") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/synthea/%s", FHIR, entry->d_name);
		resources += round_trip_bundle(path);
	}
	closedir(folder);
	assert_true(resources > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(content_that_could_be_taken_for_a_digest_is_refused),
		cmocka_unit_test(content_is_one_strict_object_within_limits),
		cmocka_unit_test(whatever_content_is_accepted_fits_an_envelope),
		cmocka_unit_test(the_type_of_content_is_its_fhir_resource_type_or_json),
		cmocka_unit_test(resources_of_synthetic_patients_come_back_as_they_were),
	};

	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
