/*
 * test_evidence.c
 *		Evidence: a record's file verifies from the fingerprint alone, and no altered file does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "forge.h"
#include "tombstone.h"

#define VERSIONS 3

/* The sanitizers make verifying several times slower; then some bytes stand for their neighbours. */
#ifdef __SANITIZE_ADDRESS__
#define FLIP_STEP 5
#else
#define FLIP_STEP 1
#endif

static Fixture fixture;			/* P-256 */
static FixtureVersion versions[VERSIONS];
static char *file;				/* their evidence */

/* What was reported, as "version check word" lines. */
typedef struct Report
{
	char		text[8192];
	int			count;
	int			failed;
	int			stop_after;		/* 0: never */
} Report;

static bool
report_line(void *arg, int64_t version, const char *check, HdmsStatus status)
{
	Report	   *report = arg;
	size_t		len = strlen(report->text);

	snprintf(report->text + len, sizeof(report->text) - len, "%d %s %s\n", (int) version, check,
			 status == HDMS_OK ? "ok" : hdms_status_word(status));
	report->count++;
	report->failed += status != HDMS_OK;
	return report->count != report->stop_after;
}

static char *
print_evidence(const Fixture *from, const FixtureVersion *of, size_t count)
{
	HdmsEvidenceVersion parts[8];
	HdmsEvidence evidence;
	char	   *json = NULL;

	fixture_evidence(from, of, count, parts, &evidence);
	FIXTURE_OK(hdms_evidence_print(&evidence, &json));
	return json;
}

static int
open_fixtures(void **unused)
{
	(void) unused;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_version(&fixture, NULL, "{\"resourceType\":\"Observation\",\"value\":7.10}", &versions[0]);
	fixture_version(&fixture, &versions[0], "{\"resourceType\":\"Observation\",\"value\":7.20}", &versions[1]);
	fixture_version(&fixture, &versions[1], "{\"resourceType\":\"Observation\",\"value\":7.30}", &versions[2]);
	file = print_evidence(&fixture, versions, VERSIONS);
	return 0;
}

static int
close_fixtures(void **unused)
{
	(void) unused;
	free(file);
	for (int i = 0; i < VERSIONS; i++)
		fixture_version_free(&versions[i]);
	fixture_close(&fixture);
	return 0;
}

static HdmsStatus
verify_text(const char *json, size_t len, Report *report)
{
	return hdms_evidence_verify_file(json, len, hdms_key_thumbprint(fixture.network),
									 report == NULL ? NULL : report_line, report, NULL, NULL);
}

static void
a_records_evidence_verifies_and_says_what_was_checked(void **unused)
{
	Report		report = {0};
	HdmsBytes	content = {0};
	char		record[37];

	(void) unused;
	assert_int_equal(hdms_evidence_verify_file(file, strlen(file), hdms_key_thumbprint(fixture.network), report_line, &report,
											   record, &content), HDMS_OK);
	assert_string_equal(report.text,
						"0 file ok\n0 network ok\n0 histories ok\n0 notaries ok\n0 admission ok\n"
						"1 state ok\n1 chain ok\n1 acceptance ok\n1 commit ok\n1 request ok\n1 receipt ok\n1 time ok\n"
						"2 state ok\n2 chain ok\n2 acceptance ok\n2 commit ok\n2 request ok\n2 receipt ok\n2 time ok\n"
						"3 state ok\n3 chain ok\n3 acceptance ok\n3 commit ok\n3 request ok\n3 receipt ok\n3 time ok\n0 record ok\n");
	assert_string_equal(record, versions[0].state.record);
	assert_string_equal((char *) content.data, "{\"resourceType\":\"Observation\",\"value\":7.30}");
	hdms_bytes_free(&content);
}

static void
evidence_of_each_mixture_of_suites_verifies(void **unused)
{
	static const HdmsKeyType suites[3][2] = {
		{HDMS_KEY_RSA, HDMS_KEY_RSA}, {HDMS_KEY_P256, HDMS_KEY_RSA}, {HDMS_KEY_RSA, HDMS_KEY_P256}
	};

	(void) unused;
	for (int i = 0; i < 3; i++)
	{
		Fixture		own;
		FixtureVersion two[2];
		char	   *json;

		fixture_open(&own, suites[i][0], suites[i][1]);
		fixture_version(&own, NULL, "{\"a\":1}", &two[0]);
		fixture_version(&own, &two[0], "{\"a\":2}", &two[1]);
		json = print_evidence(&own, two, 2);
		assert_int_equal(hdms_evidence_verify_file(json, strlen(json), hdms_key_thumbprint(own.network), NULL, NULL, NULL, NULL),
						 HDMS_OK);
		free(json);
		fixture_version_free(&two[0]);
		fixture_version_free(&two[1]);
		fixture_close(&own);
	}
}

static void
evidence_of_another_network_is_not_trusted(void **unused)
{
	Report		report = {0};
	HdmsBytes	content = {0};
	char		record[37] = "untouched";

	(void) unused;
	assert_int_equal(hdms_evidence_verify_file(file, strlen(file), fixture.institution[0].id, report_line, &report, record,
											   &content), HDMS_NOT_ADMITTED);
	assert_string_equal(report.text, "0 file ok\n0 network not-admitted\n");
	assert_string_equal(record, "untouched");
	assert_null(content.data);
}

static void
verification_that_was_stopped_is_not_success(void **unused)
{
	(void) unused;
	for (int i = 1; i < 20; i++)
	{
		Report		report = {.stop_after = i};

		assert_int_equal(verify_text(file, strlen(file), &report), HDMS_BAD_ARGUMENT);
		assert_int_equal(report.count, i);
	}
}

/* Ends a verification that has failed: what it would say further is not asked. */
static bool
stop_at_failure(void *arg, int64_t version, const char *check, HdmsStatus status)
{
	(void) arg;
	(void) version;
	(void) check;
	return status == HDMS_OK;
}

static void
no_file_with_one_flipped_bit_verifies(void **unused)
{
	char	   *copy = print_evidence(&fixture, versions, 2);
	char	   *original = strdup(copy);
	size_t		len = strlen(copy);

	(void) unused;

	/* one bit of each byte, another one each time round the eight, so each region meets each */
	for (size_t i = 0; i < len; i += FLIP_STEP)
	{
		int			bit = i % 8;

		copy[i] ^= 1 << bit;
		if (hdms_evidence_verify_file(copy, len, hdms_key_thumbprint(fixture.network), stop_at_failure, NULL, NULL, NULL) == HDMS_OK)
			fail_msg("bit %d of byte %zu, in \"%.40s\"", bit, i, original + (i < 20 ? 0 : i - 20));
		copy[i] ^= 1 << bit;
	}
	assert_int_equal(verify_text(copy, len, NULL), HDMS_OK);
	free(copy);
	free(original);
}

static void
no_prefix_of_a_file_verifies(void **unused)
{
	size_t		len = strlen(file);

	(void) unused;
	for (size_t i = 0; i < len; i += 97)
		assert_int_not_equal(verify_text(file, i, NULL), HDMS_OK);
	assert_int_not_equal(verify_text(file, len - 1, NULL), HDMS_OK);
}

/* What verification says of the file after its JSON was altered; consumes root. */
static HdmsStatus
verify_altered(json_t *root)
{
	char	   *text = json_dumps(root, JSON_COMPACT);
	HdmsStatus	status = verify_text(text, strlen(text), NULL);

	json_decref(root);
	free(text);
	return status;
}

static json_t *
read_file(void)
{
	json_t	   *root = json_loads(file, 0, NULL);

	assert_non_null(root);
	return root;
}

static void
every_member_is_needed_and_no_other_is_known(void **unused)
{
	static const char *const names[] = {
		"hdms_evidence", "network", "record", "histories", "admission", "notaries", "versions"
	};
	static const char *const values[] = {"null", "7", "\"x\"", "[]", "{}", "[{}]", "{\"x\":\"y\"}", "\"a.b.c\""};
	json_t	   *root;

	(void) unused;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		root = read_file();
		json_object_del(root, names[i]);
		assert_int_not_equal(verify_altered(root), HDMS_OK);
		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++)
		{
			root = read_file();
			forge_set(root, names[i], values[k]);
			assert_int_not_equal(verify_altered(root), HDMS_OK);
		}
	}
	root = read_file();
	forge_set(root, "record", "\"01890a5d-ac96-774b-bcce-b302099a8057\"");
	assert_int_equal(verify_altered(root), HDMS_BAD_CHAIN);
	root = read_file();
	forge_set(root, "more", "1");
	assert_int_equal(verify_altered(root), HDMS_BAD_FORMAT);
	root = read_file();
	forge_set(json_object_get(root, "network"), "more", "1");
	assert_int_equal(verify_altered(root), HDMS_BAD_FORMAT);
	root = read_file();
	forge_set(json_array_get(json_object_get(root, "versions"), 1), "more", "1");
	assert_int_equal(verify_altered(root), HDMS_BAD_FORMAT);
	root = read_file();
	assert_int_equal(verify_altered(root), HDMS_OK);
}

static void
each_part_of_a_version_is_needed_and_its_own(void **unused)
{
	static const char *const names[] = {"state", "acceptance", "request", "receipt"};

	(void) unused;
	for (int at = 0; at < VERSIONS; at++)
	{
		for (int i = 0; i < 4; i++)
		{
			json_t	   *root = read_file();
			json_t	   *list = json_object_get(root, "versions");
			json_t	   *version = json_array_get(list, at);
			json_t	   *other = json_array_get(list, (at + 1) % VERSIONS);
			json_t	   *mine;

			/* swapped with the same part of another version */
			mine = json_incref(json_object_get(version, names[i]));
			json_object_set(version, names[i], json_object_get(other, names[i]));
			json_object_set_new(other, names[i], mine);
			assert_int_not_equal(verify_altered(root), HDMS_OK);

			/* without it */
			root = read_file();
			json_object_del(json_array_get(json_object_get(root, "versions"), at), names[i]);
			assert_int_equal(verify_altered(root), HDMS_BAD_FORMAT);

			/* something else in its place */
			root = read_file();
			version = json_array_get(json_object_get(root, "versions"), at);
			json_object_set(version, names[i], json_object_get(version, names[(i + 1) % 4]));
			assert_int_not_equal(verify_altered(root), HDMS_OK);
		}
	}
}

static void
versions_stand_in_order_without_gaps(void **unused)
{
	json_t	   *root;
	json_t	   *list;

	(void) unused;
	root = read_file();
	json_array_remove(json_object_get(root, "versions"), 0);
	assert_int_not_equal(verify_altered(root), HDMS_OK);
	root = read_file();
	json_array_remove(json_object_get(root, "versions"), 1);
	assert_int_not_equal(verify_altered(root), HDMS_OK);
	root = read_file();
	list = json_object_get(root, "versions");
	json_array_append(list, json_array_get(list, 2));
	assert_int_not_equal(verify_altered(root), HDMS_OK);
	root = read_file();
	list = json_object_get(root, "versions");
	json_array_insert(list, 0, json_array_get(list, 1));
	json_array_remove(list, 2);
	assert_int_not_equal(verify_altered(root), HDMS_OK);

	/* the newest left out: the older ones are still right by themselves */
	root = read_file();
	json_array_remove(json_object_get(root, "versions"), 2);
	assert_int_equal(verify_altered(root), HDMS_OK);
}

/* Verifies versions with one part replaced, for what is reported. */
static HdmsStatus
verify_with(const Fixture *from, const FixtureVersion *of, size_t count, Report *report)
{
	HdmsEvidenceVersion parts[8];
	HdmsEvidence evidence;

	memset(report, 0, sizeof(*report));
	fixture_evidence(from, of, count, parts, &evidence);
	return hdms_evidence_verify(&evidence, report_line, report);
}

static void
a_version_number_is_not_left_out(void **unused)
{
	FixtureVersion two[2];
	FixtureVersion pretended;
	Report		report;

	(void) unused;
	fixture_version(&fixture, NULL, "{\"a\":1}", &two[0]);
	pretended = two[0];
	pretended.state.version = 2;
	fixture_version(&fixture, &pretended, "{\"a\":2}", &two[1]);
	assert_int_equal(two[1].state.version, 3);
	assert_int_equal(verify_with(&fixture, two, 2, &report), HDMS_BAD_CHAIN);
	assert_non_null(strstr(report.text, "2 state ok\n2 chain bad-chain\n"));
	assert_int_equal(report.failed, 1);
	fixture_version_free(&two[0]);
	fixture_version_free(&two[1]);
}

static void
a_version_continues_the_same_record_of_the_same_patient(void **unused)
{
	Fixture		other;
	FixtureVersion altered[2];
	FixtureVersion pretended;
	FixtureVersion second;
	HdmsEvidenceVersion parts[1];
	HdmsEvidence evidence;
	Report		report = {0};

	(void) unused;

	/* another record, linked in every other way */
	pretended = versions[0];
	FIXTURE_OK(hdms_uuid7(fixture.now * 1000, pretended.state.record));
	altered[0] = versions[0];
	fixture_version(&fixture, &pretended, "{\"a\":2}", &altered[1]);
	assert_int_equal(verify_with(&fixture, altered, 2, &report), HDMS_BAD_CHAIN);
	assert_non_null(strstr(report.text, "2 chain bad-chain\n"));
	fixture_version_free(&altered[1]);

	/* another version before it */
	pretended = versions[0];
	strcpy(pretended.state.vk, versions[1].state.vk);
	fixture_issue(&fixture, &pretended, "{\"a\":2}", &second);
	altered[1] = versions[1];
	altered[1].sd_jwt = second.sd_jwt;
	assert_int_equal(verify_with(&fixture, altered, 2, &report), HDMS_BAD_CHAIN);
	assert_non_null(strstr(report.text, "2 chain bad-chain\n"));
	fixture_version_free(&second);

	/* another person's history */
	fixture_open(&other, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_evidence(&fixture, versions, 1, parts, &evidence);
	evidence.patient = other.patient.history;
	memset(&report, 0, sizeof(report));
	assert_int_equal(hdms_evidence_verify(&evidence, report_line, &report), HDMS_BAD_CHAIN);
	assert_non_null(strstr(report.text, "1 state ok\n1 chain bad-chain\n"));
	evidence.patient = other.institution[0].history;
	assert_int_equal(hdms_evidence_verify(&evidence, NULL, NULL), HDMS_BAD_CHAIN);
	fixture_close(&other);
}

static void
a_failure_is_reported_by_name_and_the_later_versions_are_checked_all_the_same(void **unused)
{
	FixtureVersion altered[VERSIONS];
	Report		report;

	(void) unused;
	memcpy(altered, versions, sizeof(altered));
	altered[0].acceptance = versions[1].acceptance;
	assert_int_equal(verify_with(&fixture, altered, VERSIONS, &report), HDMS_BAD_CLAIM);
	assert_string_equal(report.text,
						"0 admission ok\n1 state ok\n1 chain ok\n1 acceptance bad-claim\n"
						"2 state ok\n2 chain ok\n2 acceptance ok\n2 commit ok\n2 request ok\n2 receipt ok\n2 time ok\n"
						"3 state ok\n3 chain ok\n3 acceptance ok\n3 commit ok\n3 request ok\n3 receipt ok\n3 time ok\n");

	memcpy(altered, versions, sizeof(altered));
	altered[1].receipt = versions[2].receipt;
	assert_int_equal(verify_with(&fixture, altered, VERSIONS, &report), HDMS_DIGEST_MISMATCH);
	assert_non_null(strstr(report.text, "2 request ok\n2 receipt digest-mismatch\n3 state ok\n"));
	assert_int_equal(report.failed, 1);

	memcpy(altered, versions, sizeof(altered));
	altered[1].receipt = "nothing";
	assert_int_equal(verify_with(&fixture, altered, VERSIONS, &report), HDMS_BAD_FORMAT);
	assert_non_null(strstr(report.text, "2 state ok\n2 chain ok\n2 acceptance ok\n2 commit ok\n2 request ok\n2 receipt bad-format\n"));
	assert_int_equal(report.failed, 1);

	memcpy(altered, versions, sizeof(altered));
	altered[1].request = versions[0].request;
	verify_with(&fixture, altered, VERSIONS, &report);
	assert_non_null(strstr(report.text, "2 acceptance ok\n2 commit digest-mismatch\n3 state ok\n"));

	memcpy(altered, versions, sizeof(altered));
	altered[1].state.version = 0;
	altered[1].sd_jwt = "~";
	verify_with(&fixture, altered, VERSIONS, &report);
	assert_non_null(strstr(report.text, "1 time ok\n2 state bad-format\n3 state ok\n3 chain bad-chain\n"));

	/* two records made into one */
	{
		FixtureVersion other[2];

		fixture_version(&fixture, NULL, "{\"x\":1}", &other[0]);
		fixture_version(&fixture, &other[0], "{\"x\":2}", &other[1]);
		memcpy(altered, versions, sizeof(altered));
		altered[1] = other[1];
		assert_int_equal(verify_with(&fixture, altered, 2, &report), HDMS_BAD_CHAIN);
		assert_non_null(strstr(report.text, "2 state ok\n2 chain bad-chain\n"));
		fixture_version_free(&other[0]);
		fixture_version_free(&other[1]);
	}
}

static void
the_admission_is_the_issuers(void **unused)
{
	HdmsEvidenceVersion parts[VERSIONS];
	HdmsEvidence evidence;
	Report		report = {0};

	(void) unused;
	fixture_evidence(&fixture, versions, VERSIONS, parts, &evidence);
	evidence.admission = fixture.admission[1];
	assert_int_equal(hdms_evidence_verify(&evidence, report_line, &report), HDMS_NOT_ADMITTED);
	assert_non_null(strstr(report.text, "0 admission not-admitted\n1 state ok\n"));
	assert_int_equal(report.failed, 1);
}

static void
without_the_pinned_list_nothing_says_whose_log_it_is(void **unused)
{
	HdmsEvidenceVersion parts[VERSIONS];
	HdmsEvidence evidence;
	Report		report = {0};

	(void) unused;
	fixture_evidence(&fixture, versions, VERSIONS, parts, &evidence);
	evidence.list_count = 0;
	assert_int_equal(hdms_evidence_verify(&evidence, report_line, &report), HDMS_NOT_ADMITTED);
	assert_non_null(strstr(report.text, "1 commit ok\n1 request not-admitted\n"));
}

/* A version up to its request, whose leaf the test makes itself. */
static void
leave_unnotarised(Fixture *own, FixtureVersion *version, HdmsLeaf *leaf)
{
	HdmsRequest request;

	fixture_issue(own, NULL, "{\"a\":1}", version);
	fixture_accept(own, NULL, version);
	FIXTURE_OK(hdms_request_peek(version->request, strlen(version->request), &request));
	leaf->time_ms = own->now * 1000;
	memcpy(leaf->tag, request.commit.tag, sizeof(leaf->tag));
	memcpy(leaf->request, request.digest, sizeof(leaf->request));
}

static void
a_leaf_counts_up_to_the_second_of_accept_until(void **unused)
{
	Fixture		own;
	FixtureVersion version;
	HdmsLeaf	leaf;
	Report		report;

	(void) unused;
	fixture_open(&own, HDMS_KEY_P256, HDMS_KEY_P256);
	leave_unnotarised(&own, &version, &leaf);
	leaf.time_ms = (own.now + 30 * FIXTURE_DAY) * 1000 + 999;
	fixture_log_append(&own, fixture_which(&own, version.notary), &leaf, &version.receipt);
	assert_int_equal(verify_with(&own, &version, 1, &report), HDMS_OK);
	free(version.receipt);
	leaf.time_ms++;
	fixture_log_append(&own, fixture_which(&own, version.notary), &leaf, &version.receipt);
	assert_int_equal(verify_with(&own, &version, 1, &report), HDMS_TOO_LATE);
	assert_non_null(strstr(report.text, "1 receipt ok\n1 time too-late\n"));
	fixture_version_free(&version);
	fixture_close(&own);
}

static void
a_leaf_is_for_this_request_and_tag_in_the_drawn_notarys_log(void **unused)
{
	Fixture		own;
	FixtureVersion version;
	HdmsLeaf	leaf,
				wrong;
	Report		report;
	int			drawn;

	(void) unused;
	fixture_open(&own, HDMS_KEY_P256, HDMS_KEY_P256);
	leave_unnotarised(&own, &version, &leaf);
	drawn = fixture_which(&own, version.notary);

	wrong = leaf;
	wrong.tag[0] ^= 1;
	fixture_log_append(&own, drawn, &wrong, &version.receipt);
	assert_int_equal(verify_with(&own, &version, 1, &report), HDMS_DIGEST_MISMATCH);
	free(version.receipt);

	wrong = leaf;
	wrong.request[31] ^= 1;
	fixture_log_append(&own, drawn, &wrong, &version.receipt);
	assert_int_equal(verify_with(&own, &version, 1, &report), HDMS_DIGEST_MISMATCH);
	assert_non_null(strstr(report.text, "1 request ok\n1 receipt digest-mismatch\n"));
	free(version.receipt);

	fixture_log_append(&own, 3 - drawn, &leaf, &version.receipt);
	assert_int_not_equal(verify_with(&own, &version, 1, &report), HDMS_OK);
	assert_non_null(strstr(report.text, "1 request ok\n1 receipt "));
	free(version.receipt);

	/* time 0 would ask the key histories for today's keys */
	wrong = leaf;
	wrong.time_ms = 999;
	fixture_log_append(&own, drawn, &wrong, &version.receipt);
	assert_int_not_equal(verify_with(&own, &version, 1, &report), HDMS_OK);
	assert_non_null(strstr(report.text, "1 request ok\n1 receipt bad-claim\n"));
	free(version.receipt);

	fixture_log_append(&own, drawn, &leaf, &version.receipt);
	assert_int_equal(verify_with(&own, &version, 1, &report), HDMS_OK);
	fixture_version_free(&version);
	fixture_close(&own);
}

static void
keys_count_as_they_were_at_the_leafs_time(void **unused)
{
	Fixture		own;
	FixtureVersion two[2];
	Report		report;

	(void) unused;
	fixture_open(&own, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_version(&own, NULL, "{\"a\":1}", &two[0]);
	own.now += 20 * FIXTURE_DAY;
	fixture_node_rotate(&own, &own.institution[0]);
	fixture_node_rotate(&own, &own.patient);
	own.now += FIXTURE_DAY;
	fixture_version(&own, &two[0], "{\"a\":2}", &two[1]);
	assert_int_equal(verify_with(&own, two, 2, &report), HDMS_OK);
	fixture_version_free(&two[1]);

	/* a leaf from after the keys that signed were gone */
	fixture_issue(&own, &two[0], "{\"a\":2}", &two[1]);
	fixture_accept(&own, &two[0], &two[1]);
	own.now += 20 * FIXTURE_DAY;
	fixture_node_rotate(&own, &own.patient);
	own.now += FIXTURE_DAY;
	{
		HdmsRequest request;
		HdmsLeaf	leaf;

		FIXTURE_OK(hdms_request_peek(two[1].request, strlen(two[1].request), &request));
		leaf.time_ms = own.now * 1000;
		memcpy(leaf.tag, request.commit.tag, sizeof(leaf.tag));
		memcpy(leaf.request, request.digest, sizeof(leaf.request));
		fixture_log_append(&own, fixture_which(&own, request.aud), &leaf, &two[1].receipt);
	}
	assert_int_equal(verify_with(&own, two, 2, &report), HDMS_UNKNOWN_KEY);
	assert_non_null(strstr(report.text, "2 chain ok\n2 acceptance unknown-key\n"));
	fixture_version_free(&two[0]);
	fixture_version_free(&two[1]);
	fixture_close(&own);
}

static void
the_request_names_the_acceptance_that_is_shown(void **unused)
{
	FixtureVersion altered = versions[0];
	Report		report;

	(void) unused;
	altered.acceptance = NULL;
	FIXTURE_OK(hdms_acceptance_sign(altered.sd_jwt, strlen(altered.sd_jwt), fixture.patient.key[HDMS_ROLE_SIGN],
									FIXTURE_NOW + 61, &altered.acceptance));
	assert_int_equal(verify_with(&fixture, &altered, 1, &report), HDMS_DIGEST_MISMATCH);
	assert_non_null(strstr(report.text, "1 acceptance ok\n1 commit ok\n1 request digest-mismatch\n"));
	free(altered.acceptance);
}

/* The fixture's institution says that it erased versions, by their verification keys. */
static char *
make_tombstone(const char *const *vks, size_t count)
{
	static HdmsTombstone tombstone;
	char	   *jws = NULL;

	memset(&tombstone, 0, sizeof(tombstone));
	strcpy(tombstone.iss, fixture.institution[0].id);
	strcpy(tombstone.sub, fixture.patient.id);
	strcpy(tombstone.record, versions[0].state.record);
	strcpy(tombstone.reason, HDMS_ERASED_RETENTION_OVER);
	tombstone.iat = fixture.now;
	tombstone.vk_count = count;
	for (size_t i = 0; i < count; i++)
		strcpy(tombstone.vks[i], vks[i]);
	FIXTURE_OK(hdms_tombstone_sign(&tombstone, fixture.institution[0].key[HDMS_ROLE_SIGN], &jws));
	return jws;
}

/* Puts the tombstone in the place of the states of versions first to last. */
static HdmsStatus
verify_erased(const char *tombstone, int first, int last, Report *report)
{
	HdmsEvidenceVersion parts[8];
	HdmsEvidence evidence;
	HdmsBytes	content = {0};
	char		record[37] = "";
	char	   *json = NULL;
	HdmsStatus	status;

	fixture_evidence(&fixture, versions, VERSIONS, parts, &evidence);
	for (int i = first; i <= last; i++)
	{
		parts[i].state = NULL;
		parts[i].tombstone = tombstone;
	}
	FIXTURE_OK(hdms_evidence_print(&evidence, &json));
	memset(report, 0, sizeof(*report));
	status = hdms_evidence_verify_file(json, strlen(json), hdms_key_thumbprint(fixture.network), report_line, report, record, &content);
	if (status == HDMS_OK)
	{
		assert_string_equal(record, versions[0].state.record);
		assert_true((content.data == NULL) == (last == VERSIONS - 1));
	}
	hdms_bytes_wipe(&content);
	free(json);
	return status;
}

static void
an_erased_records_evidence_is_its_tombstone_and_what_the_notary_saw(void **unused)
{
	const char *const vks[] = {versions[0].state.vk, versions[1].state.vk, versions[2].state.vk};
	const char *const others[] = {versions[0].state.vk, versions[2].state.vk, fixture.patient.id};
	char	   *tombstone = make_tombstone(vks, 3);
	char	   *other = make_tombstone(others, 3);
	char	   *forged;
	Report		report;

	(void) unused;
	assert_int_equal(verify_erased(tombstone, 0, 2, &report), HDMS_OK);
	assert_non_null(strstr(report.text, "3 erased ok\n3 chain ok\n3 request ok\n3 receipt ok\n3 time ok\n0 record ok\n"));
	assert_null(strstr(report.text, "state"));
	assert_int_equal(verify_erased(tombstone, 1, 1, &report), HDMS_OK);
	assert_non_null(strstr(report.text, "2 erased ok\n2 chain ok\n"));
	assert_non_null(strstr(report.text, "3 state ok\n3 chain ok\n"));

	assert_int_equal(verify_erased(other, 0, 2, &report), HDMS_DIGEST_MISMATCH);
	assert_non_null(strstr(report.text, "1 erased ok"));
	assert_non_null(strstr(report.text, "2 erased digest-mismatch"));
	forged = forge_altered(tombstone, strlen(tombstone), "reason", "\"other\"", fixture.institution[1].key[HDMS_ROLE_SIGN], HDMS_TYP_TOMBSTONE);
	assert_int_equal(verify_erased(forged, 0, 2, &report), HDMS_UNKNOWN_KEY);
	free(forged);
	forged = forge_altered(tombstone, strlen(tombstone), "sub", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
						   fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_TOMBSTONE);
	assert_int_equal(verify_erased(forged, 0, 2, &report), HDMS_BAD_CHAIN);
	free(forged);
	forged = forge_altered(tombstone, strlen(tombstone), "record", "\"0198c1f0-0000-7000-8000-000000000001\"",
						   fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_TOMBSTONE);
	assert_int_equal(verify_erased(forged, 1, 2, &report), HDMS_BAD_CHAIN);
	free(forged);
	free(tombstone);
	free(other);
}

static void
hostile_files_are_refused_without_harm(void **unused)
{
	static const char no_signature[] =
		"{\"hdms_evidence\":1,\"network\":{},\"record\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"histories\":{},"
		"\"admission\":\"x\",\"notaries\":{},\"versions\":[{\"state\":\"~\",\"acceptance\":\"~\",\"request\":\"~\",\"receipt\":\"~\"}]}";
	static const char *const texts[] = {"", "{", "[]", "null", "{}", "{\"hdms_evidence\":2}", no_signature};
	Report		report;

	(void) unused;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		memset(&report, 0, sizeof(report));
		assert_int_not_equal(verify_text(texts[i], strlen(texts[i]), &report), HDMS_OK);
		assert_int_equal(report.failed, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_records_evidence_verifies_and_says_what_was_checked),
		cmocka_unit_test(evidence_of_each_mixture_of_suites_verifies),
		cmocka_unit_test(evidence_of_another_network_is_not_trusted),
		cmocka_unit_test(verification_that_was_stopped_is_not_success),
		cmocka_unit_test(no_file_with_one_flipped_bit_verifies),
		cmocka_unit_test(no_prefix_of_a_file_verifies),
		cmocka_unit_test(every_member_is_needed_and_no_other_is_known),
		cmocka_unit_test(each_part_of_a_version_is_needed_and_its_own),
		cmocka_unit_test(versions_stand_in_order_without_gaps),
		cmocka_unit_test(a_version_number_is_not_left_out),
		cmocka_unit_test(a_version_continues_the_same_record_of_the_same_patient),
		cmocka_unit_test(a_failure_is_reported_by_name_and_the_later_versions_are_checked_all_the_same),
		cmocka_unit_test(the_admission_is_the_issuers),
		cmocka_unit_test(without_the_pinned_list_nothing_says_whose_log_it_is),
		cmocka_unit_test(a_leaf_counts_up_to_the_second_of_accept_until),
		cmocka_unit_test(a_leaf_is_for_this_request_and_tag_in_the_drawn_notarys_log),
		cmocka_unit_test(keys_count_as_they_were_at_the_leafs_time),
		cmocka_unit_test(the_request_names_the_acceptance_that_is_shown),
		cmocka_unit_test(an_erased_records_evidence_is_its_tombstone_and_what_the_notary_saw),
		cmocka_unit_test(hostile_files_are_refused_without_harm),
	};

	return cmocka_run_group_tests(tests, open_fixtures, close_fixtures);
}
