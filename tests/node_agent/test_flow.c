/*
 * test_flow.c
 *		The storing flow on the device, with every way it can go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench.h"

static Bench bench;

static SimVersion *
issued(size_t index)
{
	return &bench.sim.versions[index];
}

static void
accept(size_t index)
{
	HdmsNodeError error;

	assert_int_equal(hdms_home_accept(bench.home, issued(index)->state.record, &error), HDMS_NODE_OK);
}

static void
a_record_under_the_policy_accept_becomes_final_on_both_sides(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	assert_int_equal(bench_outbox(&bench), 0);
	assert_int_equal(bench.sim.bad_messages, 0);
	bench_close(&bench);
}

static void
a_record_under_the_policy_ask_waits_for_the_person(void **unused)
{
	size_t		index;
	char	   *json;

	(void) unused;
	bench_open(&bench, false);
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(issued(index)->status, SIM_DELIVERED);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_ASKED);
	assert_int_equal(hdms_home_inbox(bench.home, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "Blood pressure"));
	free(json);
	accept(index);
	bench_run(&bench);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	bench_close(&bench);
}

static void
a_rejection_reaches_the_institution_with_its_signed_reason(void **unused)
{
	size_t		index;
	HdmsNodeError error;

	(void) unused;
	bench_open(&bench, false);
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(hdms_home_reject(bench.home, issued(index)->state.record, "not my arm", &error), HDMS_NODE_OK);
	bench_run(&bench);
	assert_int_equal(issued(index)->status, SIM_REJECTED);
	assert_string_equal(issued(index)->reason, "not my arm");
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_REJECTED);
	assert_int_equal(bench_outbox(&bench), 0);
	assert_int_equal(hdms_home_accept(bench.home, issued(index)->state.record, &error), HDMS_NODE_NOT_FOUND);
	bench_close(&bench);
}

static void
an_amended_version_supersedes_the_one_before_at_the_same_notary(void **unused)
{
	size_t		first;
	size_t		second;
	Version		versions[2];
	bool		found;

	(void) unused;
	bench_open(&bench, true);
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	second = bench_issue(&bench, "{\"resourceType\":\"Observation\",\"status\":\"amended\"}", first + 1);
	bench_run(&bench);
	assert_int_equal(issued(second)->status, SIM_COMMITTED);
	assert_true(version_by_vk(bench.home, 0, issued(first)->state.vk, &versions[0], &found));
	assert_true(version_by_vk(bench.home, 0, issued(second)->state.vk, &versions[1], &found));
	assert_int_equal(versions[0].status, VERSION_SUPERSEDED);
	assert_int_equal(versions[1].status, VERSION_FINAL);
	assert_string_equal(versions[0].notary, versions[1].notary);
	bench_close(&bench);
}

static Fate
lose_first_committed(void *arg, const char *type, int number)
{
	(void) arg;
	return strcmp(type, "committed") == 0 && number == 0 ? FATE_LOSE : FATE_DELIVER;
}

static void
a_version_that_comes_before_the_confirmation_of_its_predecessor_waits(void **unused)
{
	size_t		first;
	size_t		second;

	(void) unused;
	bench_open(&bench, true);
	bench.fate = lose_first_committed;
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(first)->state.vk), VERSION_NOTARISED);
	second = bench_issue(&bench, "{\"a\":2}", first + 1);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(second)->state.vk), VERSION_STATUS_COUNT);

	/* The evidence is put again, confirmed again, and then the second goes on; even after a restart. */
	bench_restart(&bench);
	bench_wait(&bench, 1000);
	assert_int_equal(bench_status(&bench, issued(first)->state.vk), VERSION_SUPERSEDED);
	assert_int_equal(bench_status(&bench, issued(second)->state.vk), VERSION_FINAL);
	bench_close(&bench);
}

static void
a_version_that_overtakes_its_predecessor_waits_for_it(void **unused)
{
	SimMail		mail[2];
	size_t		first;
	size_t		second;

	(void) unused;
	bench_open(&bench, true);
	first = bench_issue(&bench, CONTENT, 0);
	second = bench_issue(&bench, "{\"a\":2}", first + 1);
	assert_true(sim_take(&bench.sim, &mail[0]) && sim_take(&bench.sim, &mail[1]));
	bench_arrive(&bench, mail[1].envelope);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(second)->state.vk), VERSION_STATUS_COUNT);
	bench_arrive(&bench, mail[0].envelope);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(first)->state.vk), VERSION_SUPERSEDED);
	assert_int_equal(bench_status(&bench, issued(second)->state.vk), VERSION_FINAL);
	free(mail[0].envelope);
	free(mail[1].envelope);
	bench_close(&bench);
}

static void
a_second_first_version_of_a_final_record_is_refused(void **unused)
{
	SimVersion	forged;
	size_t		first;
	size_t		second;

	(void) unused;
	bench_open(&bench, true);
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);

	/* The record's id, as version 1 again: what sim_issue() does when the version before is number 0. */
	forged = *issued(first);
	forged.state.version = 0;
	second = sim_issue(&bench.sim, bench.pairing->node, "{\"a\":2}", &forged);
	assert_int_equal(issued(second)->state.version, 1);
	bench_run(&bench);
	assert_int_equal(issued(second)->status, SIM_REFUSED);
	assert_string_equal(issued(second)->code, "bad-chain");
	assert_int_equal(bench_status(&bench, issued(first)->state.vk), VERSION_FINAL);
	bench_close(&bench);
}

/* Mutes whoever was drawn for the version. */
static int
mute_drawn(size_t index)
{
	Version		version;
	bool		found;
	int			drawn = 0;

	assert_true(version_by_vk(bench.home, 0, issued(index)->state.vk, &version, &found) && found);
	while (drawn < SIM_NOTARIES - 1 && strcmp(bench.sim.notary[drawn].id, version.notary) != 0)
		drawn++;
	assert_string_equal(bench.sim.notary[drawn].id, version.notary);
	bench.sim.notary[drawn].mute = true;
	return drawn;
}

static void
mute_all(bool mute)
{
	for (int i = 0; i < SIM_NOTARIES; i++)
		bench.sim.notary[i].mute = mute;
}

static void
a_silent_notary_is_skipped_with_the_institutions_consent(void **unused)
{
	size_t		index;
	int			silent;
	HdmsRequest request;

	(void) unused;
	bench_open(&bench, true);
	mute_all(true);
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_NOTARISING);
	mute_all(false);
	silent = mute_drawn(index);
	bench_wait(&bench, 601);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	MUST(hdms_request_peek(issued(index)->request, strlen(issued(index)->request), &request));
	assert_string_not_equal(request.aud, bench.sim.notary[silent].id);
	bench_close(&bench);
}

static void
a_notary_that_is_alive_is_waited_for(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.skip_silent = false;
	mute_all(true);
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	bench_wait(&bench, 601);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_NOTARISING);
	mute_all(false);
	bench_wait(&bench, 3000);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	bench_close(&bench);
}

static Fate
delay_first_receipt(void *arg, const char *type, int number)
{
	(void) arg;
	return strcmp(type, "receipt") == 0 && number == 0 ? FATE_DELAY : FATE_DELIVER;
}

static void
a_late_receipt_of_a_skipped_notary_is_as_good_as_any(void **unused)
{
	size_t		index;
	HdmsRequest request;
	Version		version;
	bool		found;

	(void) unused;
	bench_open(&bench, true);
	bench.fate = delay_first_receipt;
	bench.hold = true;
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench.late_count, 1);

	/* Silent, skip, and a second request that is not answered either. */
	mute_all(true);
	bench_wait(&bench, 601);
	assert_true(version_by_vk(bench.home, 0, issued(index)->state.vk, &version, &found));
	assert_int_equal(version.status, VERSION_NOTARISING);
	assert_string_not_equal(version.notary, bench.late[0].from->id);
	bench.hold = false;
	bench_run(&bench);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	assert_true(version_by_vk(bench.home, 0, issued(index)->state.vk, &version, &found));
	MUST(hdms_request_peek(issued(index)->request, strlen(issued(index)->request), &request));
	assert_string_equal(request.aud, version.notary);
	bench_close(&bench);
}

static void
what_the_notary_cannot_do_yet_is_asked_of_it_again(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.notary_refuses = true;
	strcpy(bench.sim.refuse_code, "unknown-list");
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_ACCEPTED);
	bench_wait(&bench, 400);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	bench_close(&bench);
}

static void
what_the_notary_refuses_for_good_ends_the_flow_and_is_told(void **unused)
{
	size_t		index;
	char	   *json;

	(void) unused;
	bench_open(&bench, true);
	bench.sim.notary_refuses = true;
	strcpy(bench.sim.refuse_code, "bad-draw");
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FAILED);
	assert_int_equal(hdms_home_status(bench.home, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "bad-draw"));
	free(json);
	bench_close(&bench);
}

static void
what_is_not_decided_in_time_expires_and_cannot_be_accepted(void **unused)
{
	size_t		index;
	HdmsNodeError error;

	(void) unused;
	bench_open(&bench, false);
	bench.sim.accept_within = 1000;
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	bench_now += 1001 * 1000;
	assert_int_equal(hdms_home_accept(bench.home, issued(index)->state.record, &error), HDMS_NODE_REFUSED);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_EXPIRED);
	bench_close(&bench);
}

static void
evidence_counts_even_after_the_institution_withdrew_the_version(void **unused)
{
	size_t		index;
	HdmsBody	withdrawn = {.code = (char *) "expired"};
	char		jti[37] = "";

	(void) unused;
	bench_open(&bench, true);
	mute_all(true);
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	withdrawn.vk = issued(index)->state.vk;
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_WITHDRAWN, "", &withdrawn, jti);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_EXPIRED);

	/* The notary had only been slow: the request is put again, and its receipt comes after all. */
	mute_all(false);
	bench_wait(&bench, 1500);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	bench_close(&bench);
}

static void
the_evidence_file_verifies_from_the_fingerprint_alone(void **unused)
{
	size_t		first;
	char	   *json;
	char		record[37];
	HdmsBytes	content = {0};
	HdmsNodeError error;

	(void) unused;
	bench_open(&bench, true);
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	bench_issue(&bench, "{\"resourceType\":\"Observation\",\"valueQuantity\":{\"value\":12345678901234567890.10}}", first + 1);
	bench_run(&bench);
	assert_int_equal(hdms_home_verify(bench.home, issued(first)->state.record, &json, &error), HDMS_NODE_OK);
	assert_non_null(strstr(json, "\"ok\":true,\"checks\""));
	free(json);
	assert_int_equal(hdms_home_export(bench.home, issued(first)->state.record, &json, &error), HDMS_NODE_OK);
	MUST(hdms_evidence_verify_file(json, strlen(json), hdms_key_thumbprint(bench.sim.network), NULL, NULL, record, &content));
	assert_string_equal(record, issued(first)->state.record);
	assert_non_null(strstr((char *) content.data, "12345678901234567890.10"));
	hdms_bytes_free(&content);
	free(json);
	bench_close(&bench);
}

/* The rows of a version as they were before one row held the evidence. */
static void
write_apart(const char *vk)
{
	Evidence	evidence;
	Version		version;
	bool		found;

	assert_true(version_by_vk(bench.home, 0, vk, &version, &found) && found);
	assert_true(evidence_get(bench.home, version.id, &evidence));
	assert_true(part_put(bench.home, version.id, PART_EVIDENCE, evidence.acceptance));
	assert_true(part_put(bench.home, version.id, PART_REQUEST(0), evidence.request));
	assert_true(evidence.receipt == NULL || part_put(bench.home, version.id, PART_RECEIPT, evidence.receipt));
	evidence_free(&evidence);
}

static void
evidence_that_was_written_in_three_rows_is_read_and_completed(void **unused)
{
	size_t		first;
	size_t		second;
	Version		version;
	Evidence	evidence;
	HdmsBytes	text;
	char	   *json;
	bool		found;
	int			count;
	HdmsNodeError error;

	(void) unused;
	bench_open(&bench, true);
	bench.fate = delay_first_receipt;
	bench.hold = true;
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(first)->state.vk), VERSION_NOTARISING);
	write_apart(issued(first)->state.vk);
	bench_restart(&bench);
	bench.hold = false;
	bench_run(&bench);
	assert_int_equal(issued(first)->status, SIM_COMMITTED);
	assert_true(version_by_vk(bench.home, 0, issued(first)->state.vk, &version, &found));
	assert_int_equal(version.status, VERSION_FINAL);
	assert_true(evidence_get(bench.home, version.id, &evidence));
	assert_non_null(evidence.receipt);
	evidence_free(&evidence);
	assert_true(part_get(bench.home, version.id, PART_REQUEST(0), &text) && text.data == NULL);
	assert_true(part_get(bench.home, version.id, PART_COMMIT, &text) && text.data == NULL);
	assert_true(request_count(bench.home, version.id, &count) && count == 1);

	write_apart(issued(first)->state.vk);
	bench_restart(&bench);
	second = bench_issue(&bench, "{\"resourceType\":\"Observation\",\"status\":\"amended\"}", first + 1);
	bench_run(&bench);
	assert_int_equal(issued(second)->status, SIM_COMMITTED);
	assert_int_equal(hdms_home_verify(bench.home, issued(first)->state.record, &json, &error), HDMS_NODE_OK);
	assert_non_null(strstr(json, "\"ok\":true,\"checks\""));
	free(json);
	bench_close(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_under_the_policy_accept_becomes_final_on_both_sides),
		cmocka_unit_test(a_record_under_the_policy_ask_waits_for_the_person),
		cmocka_unit_test(a_rejection_reaches_the_institution_with_its_signed_reason),
		cmocka_unit_test(an_amended_version_supersedes_the_one_before_at_the_same_notary),
		cmocka_unit_test(a_version_that_comes_before_the_confirmation_of_its_predecessor_waits),
		cmocka_unit_test(a_version_that_overtakes_its_predecessor_waits_for_it),
		cmocka_unit_test(a_second_first_version_of_a_final_record_is_refused),
		cmocka_unit_test(a_silent_notary_is_skipped_with_the_institutions_consent),
		cmocka_unit_test(a_notary_that_is_alive_is_waited_for),
		cmocka_unit_test(a_late_receipt_of_a_skipped_notary_is_as_good_as_any),
		cmocka_unit_test(what_the_notary_cannot_do_yet_is_asked_of_it_again),
		cmocka_unit_test(what_the_notary_refuses_for_good_ends_the_flow_and_is_told),
		cmocka_unit_test(what_is_not_decided_in_time_expires_and_cannot_be_accepted),
		cmocka_unit_test(evidence_counts_even_after_the_institution_withdrew_the_version),
		cmocka_unit_test(the_evidence_file_verifies_from_the_fingerprint_alone),
		cmocka_unit_test(evidence_that_was_written_in_three_rows_is_read_and_completed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
