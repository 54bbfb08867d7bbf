/*
 * test_copies.c
 *		Copies of what both sides hold: the device gives them to the institution, and asks for them where its own are damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
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

/* What the device answers to a question. */
static HdmsBody
answer_to(const HdmsBody *question)
{
	HdmsBody	answer = {0};
	char		jti[37] = "";

	free(bench.sim.copies);
	bench.sim.copies = NULL;
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_WANT, "", question, jti);
	bench_run(&bench);
	if (bench.sim.copies != NULL)
		MUST(hdms_body_parse(HDMS_MSG_COPIES, bench.sim.copies, strlen(bench.sim.copies), &answer));
	return answer;
}

static void
assert_same_copy(const HdmsCopy *copy, const SimVersion *version)
{
	assert_string_equal(copy->state, version->text);
	assert_string_equal(copy->acceptance, version->acceptance);
	assert_string_equal(copy->request, version->request);
	assert_string_equal(copy->receipt, version->receipt);
	assert_null(copy->commit);
}

static void
the_institution_gets_back_what_it_issued_as_it_was_signed(void **unused)
{
	HdmsBody	question = {0};
	HdmsBody	answer;
	char	   *wanted[2];
	size_t		first;
	size_t		second;

	(void) unused;
	bench_open(&bench, true);
	first = bench_issue(&bench, CONTENT, 0);
	second = bench_issue(&bench, "{\"a\":2}", 0);
	bench_run(&bench);
	answer = answer_to(&question);
	assert_int_equal(answer.copy_count, 2);
	assert_same_copy(&answer.copies[0], issued(first));
	assert_same_copy(&answer.copies[1], issued(second));
	assert_null(answer.next);
	hdms_body_free(&answer);

	/* By name; of what is not there it is said so. */
	wanted[0] = issued(second)->state.vk;
	wanted[1] = (char *) "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	question.wanted = wanted;
	question.wanted_count = 2;
	answer = answer_to(&question);
	assert_int_equal(answer.copy_count, 1);
	assert_same_copy(&answer.copies[0], issued(second));
	assert_int_equal(answer.missing_count, 1);
	assert_string_equal(answer.missing[0], wanted[1]);
	hdms_body_free(&answer);
	assert_int_equal(bench_outbox(&bench), 0);
	bench_close(&bench);
}

static void
what_is_undecided_comes_with_its_commit_and_what_was_rejected_not_at_all(void **unused)
{
	HdmsBody	question = {0};
	HdmsBody	answer;
	size_t		open;
	size_t		rejected;

	(void) unused;
	bench_open(&bench, false);
	rejected = bench_issue(&bench, "{\"a\":1}", 0);
	open = bench_issue(&bench, "{\"a\":2}", 0);
	bench_run(&bench);
	assert_int_equal(hdms_home_reject(bench.home, issued(rejected)->state.record, "no", NULL), HDMS_NODE_OK);
	bench_run(&bench);
	answer = answer_to(&question);
	assert_int_equal(answer.copy_count, 1);
	assert_string_equal(answer.copies[0].state, issued(open)->text);
	assert_string_equal(answer.copies[0].commit, issued(open)->commit);
	assert_null(answer.copies[0].acceptance);
	hdms_body_free(&answer);
	bench_close(&bench);
}

static void
many_copies_come_page_by_page(void **unused)
{
	enum {MANY = 5, LARGE = 200000};
	static char content[LARGE + 32];
	HdmsBody	question = {0};
	char		after[65];
	size_t		seen = 0;
	int			pages = 0;

	(void) unused;
	bench_open(&bench, true);
	memset(content, 'x', sizeof(content));
	memcpy(content, "{\"text\":\"", 9);
	strcpy(content + LARGE, "\"}");
	for (int i = 0; i < MANY; i++)
		bench_issue(&bench, content, 0);
	bench_run(&bench);
	for (bool more = true; more; pages++)
	{
		HdmsBody	answer = answer_to(&question);

		for (size_t i = 0; i < answer.copy_count; i++, seen++)
			assert_same_copy(&answer.copies[i], issued(seen));
		assert_true(answer.copy_count > 0);
		more = answer.next != NULL;
		if (more)
			question.after = strcpy(after, answer.next);
		hdms_body_free(&answer);
	}
	assert_int_equal(seen, MANY);
	assert_true(pages > 1);
	bench_close(&bench);
}

static Fate
lose_first_copies(void *arg, const char *type, int number)
{
	(void) arg;
	return strcmp(type, "copies") == 0 && number == 0 ? FATE_LOSE : FATE_DELIVER;
}

static void
the_same_question_again_is_answered_again(void **unused)
{
	HdmsBody	question = {0};
	HdmsBody	answer;
	char		jti[37] = "";

	(void) unused;
	bench_open(&bench, true);
	bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	bench.fate = lose_first_copies;
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_WANT, "", &question, jti);
	bench_run(&bench);
	assert_null(bench.sim.copies);
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_WANT, "", &question, jti);
	bench_run(&bench);
	assert_non_null(bench.sim.copies);
	MUST(hdms_body_parse(HDMS_MSG_COPIES, bench.sim.copies, strlen(bench.sim.copies), &answer));
	assert_int_equal(answer.copy_count, 1);
	hdms_body_free(&answer);
	bench_close(&bench);
}

static void
nobody_but_the_institution_gets_copies(void **unused)
{
	HdmsBody	question = {0};
	char		jti[37] = "";

	(void) unused;
	bench_open(&bench, true);
	bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	sim_send(&bench.sim, &bench.sim.notary[0], bench.pairing->node, HDMS_MSG_WANT, "", &question, jti);
	bench_run(&bench);
	assert_int_equal(bench.seen[0].type[0] != '\0', 1);
	for (int i = 0; bench.seen[i].type[0] != '\0'; i++)
		assert_string_not_equal(bench.seen[i].type, "copies");
	assert_int_equal(bench.home->refused_messages, 1);
	bench_close(&bench);
}

/* Something outside the program changes the home's database. */
static void
damage(const char *sql)
{
	assert_true(store_run(bench.home->store, store_statement(bench.home->store, sql)));
}

/* How many records do not verify; their failures in words. */
static int
failures(void)
{
	char	   *json = NULL;
	const char *failed;
	int			count;
	HdmsNodeResult result = hdms_home_verify_all(bench.home, &json, NULL);

	assert_non_null(json);
	failed = strstr(json, "\"failed\":");
	assert_non_null(failed);
	count = atoi(failed + strlen("\"failed\":"));
	assert_int_equal(result, count == 0 ? HDMS_NODE_OK : HDMS_NODE_REFUSED);
	free(json);
	return count;
}

static void
repair(const char *id)
{
	char	   *json = NULL;

	assert_int_equal(hdms_home_repair(bench.home, id, &json, NULL), HDMS_NODE_OK);
	free(json);
	bench_run(&bench);
}

static bool
notice_says(const char *words)
{
	json_t	   *notices = notice_list(bench.home);
	char	   *text = json_dumps(notices, 0);
	bool		found = strstr(text, words) != NULL;

	json_decref(notices);
	free(text);
	return found;
}

/* Three versions of one record, and a record beside it. */
static void
open_with_records(void)
{
	size_t		first;
	size_t		second;

	bench_open(&bench, true);
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	second = bench_issue(&bench, "{\"a\":2}", first + 1);
	bench_run(&bench);
	bench_issue(&bench, "{\"a\":3}", second + 1);
	bench_run(&bench);
	bench_issue(&bench, "{\"b\":1}", 0);
	bench_run(&bench);
	assert_int_equal(failures(), 0);
}

static void
what_is_damaged_on_the_device_comes_back_from_the_institution(void **unused)
{
	static const char *const damages[] = {
		"UPDATE part SET sealed = zeroblob(200) WHERE id = (SELECT id * 64 FROM version WHERE number = 2)",
		"DELETE FROM part WHERE id = (SELECT id * 64 + 2 FROM version WHERE number = 1 LIMIT 1)",
		"DELETE FROM part",
		"DELETE FROM version WHERE number = 2",
		"UPDATE version SET number = 7 WHERE number = 3",
		"UPDATE version SET notary = NULL, prev = zeroblob(32) WHERE number = 3",
	};

	(void) unused;
	open_with_records();
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
	{
		damage(damages[i]);
		assert_int_not_equal(failures(), 0);
		repair(NULL);
		assert_int_equal(failures(), 0);
		assert_int_equal(bench_outbox(&bench), 0);
	}
	assert_true(notice_says("as it was signed again"));
	bench_restart(&bench);
	assert_int_equal(failures(), 0);
	bench_close(&bench);
}

static void
one_record_is_repaired_by_itself_and_the_question_survives_a_restart(void **unused)
{
	char	   *json = NULL;

	(void) unused;
	open_with_records();
	damage("DELETE FROM part");
	assert_int_equal(failures(), 2);
	assert_int_equal(hdms_home_repair(bench.home, issued(3)->state.record, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "\"asked\":1"));
	free(json);
	bench_restart(&bench);
	bench_wait(&bench, 1000);
	assert_int_equal(failures(), 1);
	bench_close(&bench);
}

static void
what_does_not_fit_one_answer_is_asked_for_again(void **unused)
{
	(void) unused;
	open_with_records();
	bench.sim.copies_at_once = 1;
	damage("DELETE FROM part");
	repair(NULL);
	assert_int_equal(failures(), 0);
	bench_close(&bench);
}

static void
a_copy_that_does_not_verify_is_left_alone_and_told_about(void **unused)
{
	(void) unused;
	open_with_records();
	damage("UPDATE part SET sealed = zeroblob(200) WHERE id = (SELECT id * 64 FROM version WHERE number = 3)");
	bench.sim.alters_copies = true;
	repair(NULL);
	assert_int_equal(failures(), 1);
	assert_true(notice_says("does not verify either"));
	bench.sim.alters_copies = false;
	bench.sim.has_no_copies = true;
	repair(NULL);
	assert_int_equal(failures(), 1);
	assert_true(notice_says("has no copy of it"));
	bench.sim.has_no_copies = false;
	repair(NULL);
	assert_int_equal(failures(), 0);
	bench_close(&bench);
}

static void
copies_that_nobody_asked_for_change_nothing(void **unused)
{
	SimVersion *version;
	HdmsCopy	copy;
	HdmsBody	body = {.copy_count = 1, .copies = &copy};
	char		jti[37] = "";

	(void) unused;
	open_with_records();
	damage("DELETE FROM part WHERE id = (SELECT id * 64 FROM version WHERE number = 3)");
	version = issued(2);
	copy = (HdmsCopy) {version->text, NULL, version->acceptance, version->request, version->receipt};
	sim_send(&bench.sim, &bench.sim.institution, bench.pairing->node, HDMS_MSG_COPIES, "", &body, jti);
	bench_run(&bench);
	assert_int_equal(failures(), 1);
	bench_close(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_institution_gets_back_what_it_issued_as_it_was_signed),
		cmocka_unit_test(what_is_undecided_comes_with_its_commit_and_what_was_rejected_not_at_all),
		cmocka_unit_test(many_copies_come_page_by_page),
		cmocka_unit_test(the_same_question_again_is_answered_again),
		cmocka_unit_test(nobody_but_the_institution_gets_copies),
		cmocka_unit_test(what_is_damaged_on_the_device_comes_back_from_the_institution),
		cmocka_unit_test(one_record_is_repaired_by_itself_and_the_question_survives_a_restart),
		cmocka_unit_test(what_does_not_fit_one_answer_is_asked_for_again),
		cmocka_unit_test(a_copy_that_does_not_verify_is_left_alone_and_told_about),
		cmocka_unit_test(copies_that_nobody_asked_for_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
