/*
 * test_erased.c
 *		The institution erases a record: what the device keeps, what it answers, and that nobody else's word counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"
#include "tombstone.h"

static Bench bench;

/* The tombstone of versions first to last, signed by the institution. */
static char *
tombstone_of(size_t first, size_t last)
{
	HdmsTombstone tombstone = {.iat = bench_now / 1000};
	char	   *jws = NULL;

	strcpy(tombstone.iss, bench.sim.institution.id);
	strcpy(tombstone.sub, bench.pairing->node);
	strcpy(tombstone.record, bench.sim.versions[first].state.record);
	strcpy(tombstone.reason, HDMS_ERASED_RETENTION_OVER);
	for (size_t i = first; i <= last; i++)
		strcpy(tombstone.vks[tombstone.vk_count++], bench.sim.versions[i].state.vk);
	MUST(hdms_tombstone_sign(&tombstone, bench.sim.institution.key[HDMS_ROLE_SIGN], &jws));
	return jws;
}

static void
tell_erased(const SimNode *from, const char *vk, const char *tombstone)
{
	HdmsBody	body = {.vk = (char *) vk, .tombstone = (char *) tombstone};
	char		jti[37] = "";

	bench.sim.erasure[0] = '\0';
	sim_send(&bench.sim, from, bench.pairing->node, HDMS_MSG_ERASED, "", &body, jti);
	bench_run(&bench);
}

static void
erase_at_institution(size_t first, size_t last)
{
	char	   *tombstone = tombstone_of(first, last);

	tell_erased(&bench.sim.institution, bench.sim.versions[first].state.vk, tombstone);
	free(tombstone);
}

static char *
shown(const char *id)
{
	char	   *json = NULL;

	assert_int_equal(hdms_home_show(bench.home, id, &json, NULL), HDMS_NODE_OK);
	return json;
}

static void
assert_verifies(const char *vk, const char *check)
{
	char	   *json = NULL;

	assert_int_equal(hdms_home_verify(bench.home, vk, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, check));
	free(json);
	json = NULL;
	assert_int_equal(hdms_home_export(bench.home, vk, &json, NULL), HDMS_NODE_OK);
	MUST(hdms_evidence_verify_file(json, strlen(json), hdms_key_thumbprint(bench.sim.network), NULL, NULL, NULL, NULL));
	free(json);
}

static void
the_copy_is_kept_until_the_person_erases_it(void **unused)
{
	HdmsNodeError error;
	const char *vk;
	char	   *json;
	size_t		first;
	size_t		second;
	size_t		other;

	(void) unused;
	bench_open(&bench, true);
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	second = bench_issue(&bench, "{\"code\":{\"text\":\"Blood pressure, corrected\"}}", first + 1);
	bench_run(&bench);
	other = bench_issue(&bench, "{\"a\":2}", 0);
	bench_run(&bench);
	vk = bench.sim.versions[second].state.vk;
	assert_int_equal(bench_status(&bench, vk), VERSION_FINAL);
	assert_int_equal(hdms_home_erase(bench.home, vk, &error), HDMS_NODE_REFUSED);
	assert_non_null(strstr(error.message, "has not erased"));

	erase_at_institution(first, second);
	assert_string_equal(bench.sim.erasure, "kept");
	assert_string_equal(bench.sim.erasure_vk, bench.sim.versions[first].state.vk);
	assert_int_equal(bench_outbox(&bench), 0);
	assert_int_equal(bench_status(&bench, vk), VERSION_FINAL);
	json = shown(vk);
	assert_non_null(strstr(json, "\"tombstone\":\"ey"));
	assert_non_null(strstr(json, "corrected"));
	free(json);
	assert_verifies(vk, "\"acceptance\"");
	assert_int_equal(hdms_home_status(bench.home, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "has erased record"));
	free(json);

	/* Told again, it answers again. */
	erase_at_institution(first, second);
	assert_string_equal(bench.sim.erasure, "kept");

	bench.sim.erasure[0] = '\0';
	assert_int_equal(hdms_home_erase(bench.home, bench.sim.versions[second].state.record, NULL), HDMS_NODE_OK);
	bench_run(&bench);
	assert_string_equal(bench.sim.erasure, "erased");
	assert_int_equal(bench_outbox(&bench), 0);
	bench_restart(&bench);
	assert_int_equal(bench_status(&bench, vk), VERSION_ERASED);
	assert_int_equal(bench_status(&bench, bench.sim.versions[first].state.vk), VERSION_ERASED);
	assert_int_equal(bench_status(&bench, bench.sim.versions[other].state.vk), VERSION_FINAL);
	json = shown(vk);
	assert_non_null(strstr(json, "\"content\":null"));
	assert_null(strstr(json, "Blood"));
	free(json);
	assert_int_equal(hdms_home_records(bench.home, &(HdmsRecordQuery) {.every_status = true}, &json, NULL), HDMS_NODE_OK);
	assert_null(strstr(json, "Blood"));
	free(json);
	assert_verifies(vk, "\"erased\"");
	assert_int_equal(hdms_home_erase(bench.home, vk, NULL), HDMS_NODE_OK);
	erase_at_institution(first, second);
	assert_string_equal(bench.sim.erasure, "erased");
	bench_close(&bench);
}

static void
a_person_may_have_erasures_followed(void **unused)
{
	char	   *json = NULL;
	size_t		one;

	(void) unused;
	bench_open(&bench, true);
	one = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(hdms_home_set_erasures(bench.home, "1", true, NULL), HDMS_NODE_OK);
	bench_restart(&bench);
	assert_int_equal(hdms_home_pairings(bench.home, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "\"erasures\":\"erase\""));
	assert_non_null(strstr(json, "\"policy\":\"accept\""));
	free(json);
	erase_at_institution(one, one);
	assert_string_equal(bench.sim.erasure, "erased");
	assert_int_equal(bench_status(&bench, bench.sim.versions[one].state.vk), VERSION_ERASED);
	assert_verifies(bench.sim.versions[one].state.vk, "\"erased\"");
	bench_close(&bench);
}

static void
what_waited_for_a_decision_ends(void **unused)
{
	size_t		asked;
	const char *vk;

	(void) unused;
	bench_open(&bench, false);
	asked = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	vk = bench.sim.versions[asked].state.vk;
	assert_int_equal(bench_status(&bench, vk), VERSION_ASKED);
	erase_at_institution(asked, asked);
	assert_int_equal(bench_status(&bench, vk), VERSION_WITHDRAWN);
	assert_int_equal(hdms_home_accept(bench.home, vk, NULL), HDMS_NODE_REFUSED);
	assert_int_equal(hdms_home_erase(bench.home, vk, NULL), HDMS_NODE_OK);
	bench_run(&bench);
	assert_string_equal(bench.sim.erasure, "erased");
	bench_close(&bench);
}

static void
of_a_record_that_is_not_here_nothing_is_kept(void **unused)
{
	size_t		one;
	char	   *tombstone;
	HdmsTombstone stranger = {.iat = bench_now / 1000, .vk_count = 1};
	char	   *jws = NULL;

	(void) unused;
	bench_open(&bench, true);
	one = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	stranger.iat = bench_now / 1000;
	strcpy(stranger.iss, bench.sim.institution.id);
	strcpy(stranger.sub, bench.pairing->node);
	strcpy(stranger.record, "0198c1f0-0000-7000-8000-000000000001");
	strcpy(stranger.reason, HDMS_ERASED_BEFORE_END);
	strcpy(stranger.vks[0], bench.sim.institution.id);
	MUST(hdms_tombstone_sign(&stranger, bench.sim.institution.key[HDMS_ROLE_SIGN], &jws));
	tell_erased(&bench.sim.institution, stranger.vks[0], jws);
	assert_string_equal(bench.sim.erasure, "erased");
	free(jws);

	/* A tombstone of another record does not reach a version by its key alone. */
	strcpy(stranger.vks[0], bench.sim.versions[one].state.vk);
	MUST(hdms_tombstone_sign(&stranger, bench.sim.institution.key[HDMS_ROLE_SIGN], &jws));
	assert_int_equal(hdms_home_set_erasures(bench.home, "1", true, NULL), HDMS_NODE_OK);
	tell_erased(&bench.sim.institution, stranger.vks[0], jws);
	assert_int_equal(bench_status(&bench, bench.sim.versions[one].state.vk), VERSION_FINAL);
	free(jws);

	/* Nor one that is not the institution's, comes from somebody else, or is for another version than the message says. */
	tombstone = tombstone_of(one, one);
	tell_erased(&bench.sim.notary[0], bench.sim.versions[one].state.vk, tombstone);
	assert_string_equal(bench.sim.erasure, "");
	tell_erased(&bench.sim.institution, bench.sim.institution.id, tombstone);
	assert_string_equal(bench.sim.erasure, "");
	tombstone[strlen(tombstone) - 10] ^= 1;
	tell_erased(&bench.sim.institution, bench.sim.versions[one].state.vk, tombstone);
	assert_string_equal(bench.sim.erasure, "");
	assert_int_equal(bench_status(&bench, bench.sim.versions[one].state.vk), VERSION_FINAL);
	free(tombstone);
	bench_close(&bench);
}

static void
tell_reads(const char *reads)
{
	HdmsBody	body = {.reads = (char *) reads};
	char		jti[37] = "";

	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_READS, "", &body, jti);
	bench_run(&bench);
}

static void
readings_are_kept_and_shown_by_record(void **unused)
{
	static char many[1001 * 120];
	char		reads[1000];
	char	   *json = NULL;
	size_t		one;
	const char *record;

	(void) unused;
	bench_open(&bench, true);
	one = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	record = bench.sim.versions[one].state.record;
	snprintf(reads, sizeof(reads), "[{\"record\":\"%s\",\"at\":1700000000,\"action\":\"read\",\"purpose\":\"treatment\",\"actor\":\"dr\"},"
			 "{\"record\":\"0198c1f0-0000-7000-8000-000000000001\",\"at\":1700000001,\"action\":\"export\"}]", record);
	tell_reads(reads);
	assert_int_equal(hdms_home_reads(bench.home, NULL, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "\"action\":\"export\""));
	assert_non_null(strstr(json, "treatment"));
	assert_null(strstr(json, "actor"));
	free(json);
	bench_restart(&bench);
	assert_int_equal(hdms_home_reads(bench.home, record, &json, NULL), HDMS_NODE_OK);
	assert_null(strstr(json, "\"action\":\"export\""));
	assert_non_null(strstr(json, "\"institution\":\"Hospital of Examples\""));
	free(json);

	/* What is not as it should be is refused as a whole. */
	snprintf(reads, sizeof(reads), "[{\"record\":\"%s\",\"at\":1700000000,\"action\":\"read\",\"purpose\":\"second\"},{\"record\":7}]", record);
	tell_reads(reads);
	snprintf(reads, sizeof(reads), "[{\"record\":\"%s\",\"at\":-1,\"action\":\"read\",\"purpose\":\"second\"}]", record);
	tell_reads(reads);
	snprintf(reads, sizeof(reads), "[{\"record\":\"%s\",\"at\":1,\"action\":\"second\"}]", record);
	tell_reads(reads);
	strcpy(many, "[");
	for (int i = 0; i <= 1000; i++)
		sprintf(many + strlen(many), "%s{\"record\":\"%s\",\"at\":1,\"action\":\"read\",\"purpose\":\"second\"}", i ? "," : "", record);
	strcat(many, "]");
	tell_reads(many);
	assert_int_equal(hdms_home_reads(bench.home, NULL, &json, NULL), HDMS_NODE_OK);
	assert_null(strstr(json, "second"));
	free(json);
	bench_close(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_copy_is_kept_until_the_person_erases_it),
		cmocka_unit_test(a_person_may_have_erasures_followed),
		cmocka_unit_test(what_waited_for_a_decision_ends),
		cmocka_unit_test(of_a_record_that_is_not_here_nothing_is_kept),
		cmocka_unit_test(readings_are_kept_and_shown_by_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
