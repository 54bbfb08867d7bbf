/*
 * test_delivery.c
 *		Nothing lost, nothing twice: each message lost, doubled, delayed, altered, forged, and the process dying in between.
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

static void
assert_inbox_empty(void)
{
	int64_t		waiting;
	int64_t		quarantined;

	assert_true(inbox_counts(bench.home, &waiting, &quarantined));
	assert_int_equal(waiting + quarantined, 0);
}

/* One message of a type meets a fate; all others are delivered. */
typedef struct Accident
{
	const char *type;
	int			number;			/* -1: each of that type */
	Fate		fate;
} Accident;

static Fate
accident(void *arg, const char *type, int number)
{
	const Accident *plan = arg;

	return strcmp(type, plan->type) == 0 && (plan->number < 0 || plan->number == number) ? plan->fate : FATE_DELIVER;
}

static const char *const storing_types[] = {"record", "notarise", "receipt", "accepted", "committed", "ack"};

/* Two versions of a record, with the accident, and time for everything to be put again. The institution repeats its record as it would. */
static void
store_two_versions(Accident *plan)
{
	size_t		first;
	size_t		second;

	bench_open(&bench, true);
	bench.fate = accident;
	bench.fate_arg = plan;
	first = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	for (int i = 0; i < 3 && issued(first)->status != SIM_COMMITTED; i++)
	{
		sim_send_record(&bench.sim, first);
		bench_wait(&bench, 1000);
	}
	bench_wait(&bench, 1000);
	second = bench_issue(&bench, "{\"resourceType\":\"Observation\",\"status\":\"amended\"}", first + 1);
	bench_run(&bench);
	for (int i = 0; i < 3 && issued(second)->status != SIM_COMMITTED; i++)
	{
		sim_send_record(&bench.sim, second);
		bench_wait(&bench, 1000);
	}
	bench_wait(&bench, 3000);
	assert_int_equal(issued(first)->status, SIM_COMMITTED);
	assert_int_equal(issued(second)->status, SIM_COMMITTED);
	assert_int_equal(bench_status(&bench, issued(first)->state.vk), VERSION_SUPERSEDED);
	assert_int_equal(bench_status(&bench, issued(second)->state.vk), VERSION_FINAL);
	assert_int_equal(bench_outbox(&bench), 0);
	assert_inbox_empty();
	assert_int_equal(bench.sim.bad_messages, 0);

	/* One leaf for each version, whatever was repeated. */
	assert_int_equal(bench.sim.log[0].leaf_count + bench.sim.log[1].leaf_count, 2);
	bench_close(&bench);
}

static void
each_message_may_be_lost_once(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < sizeof(storing_types) / sizeof(storing_types[0]); i++)
		for (int number = 0; number < 2; number++)
		{
			Accident	plan = {storing_types[i], number, FATE_LOSE};

			store_two_versions(&plan);
		}
}

static void
each_message_may_come_twice(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < sizeof(storing_types) / sizeof(storing_types[0]); i++)
	{
		Accident	plan = {storing_types[i], -1, FATE_DOUBLE};

		store_two_versions(&plan);
	}
}

static void
each_message_may_come_late(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < sizeof(storing_types) / sizeof(storing_types[0]); i++)
	{
		Accident	plan = {storing_types[i], -1, FATE_DELAY};

		if (strcmp(storing_types[i], "notarise") != 0 && strcmp(storing_types[i], "accepted") != 0)
			store_two_versions(&plan);
	}
}

static void
the_process_may_die_between_storing_and_acting_each_time(void **unused)
{
	size_t		index;

	(void) unused;
	bench_open(&bench, true);
	bench.crash_between = true;
	index = bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_int_equal(issued(index)->status, SIM_COMMITTED);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	assert_int_equal(bench_outbox(&bench), 0);
	bench_close(&bench);
}

static void
a_message_that_ends_two_attempts_without_outcome_is_put_aside(void **unused)
{
	SimMail		mail;
	InboxItem	item = {0};
	sqlite3_stmt *statement;
	int64_t		waiting;
	int64_t		quarantined;
	bool		more;
	char	   *json;

	(void) unused;
	bench_open(&bench, true);
	bench_issue(&bench, CONTENT, 0);
	assert_true(sim_take(&bench.sim, &mail));
	item.pairing = bench.pairing->id;
	item.envelope = mail.envelope;
	item.len = strlen(mail.envelope);
	MUST(hdms_envelope_id(mail.envelope, item.len, item.transport));
	assert_true(inbox_store(bench.home, &item, 1));

	/* The second attempt was counted as well, and then the process died again. */
	statement = store_statement(bench.home->store, "UPDATE inbox SET attempts = 2");
	assert_true(store_run(bench.home->store, statement));
	bench_restart(&bench);
	assert_true(inbox_resume(bench.home, &more));
	assert_true(inbox_counts(bench.home, &waiting, &quarantined));
	assert_int_equal(waiting, 0);
	assert_int_equal(quarantined, 1);

	/* It stays so, also when the server gives it again; and the person is told. */
	bench_arrive(&bench, mail.envelope);
	assert_true(inbox_counts(bench.home, &waiting, &quarantined));
	assert_int_equal(quarantined, 1);
	assert_int_equal(hdms_home_status(bench.home, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "\"quarantined\":1"));
	free(json);
	free(mail.envelope);
	bench_close(&bench);
}

/* Nothing came of an envelope, and it is not kept. */
static void
assert_refused(const char *envelope)
{
	uint64_t	before = bench.home->refused_messages;
	size_t		count;

	bench_arrive(&bench, envelope);
	assert_int_equal(bench.home->refused_messages, before + 1);
	assert_inbox_empty();
	(void) catalogue_entries(bench.home, &count);
	assert_int_equal(count, 0);
}

static void
an_altered_envelope_is_refused_wherever_it_was_altered(void **unused)
{
	SimMail		mail;
	size_t		len;

	(void) unused;
	bench_open(&bench, true);
	bench_issue(&bench, CONTENT, 0);
	assert_true(sim_take(&bench.sim, &mail));
	len = strlen(mail.envelope);
	for (size_t at = 1; at < len; at += len / 23)
	{
		char		before = mail.envelope[at];

		if (before == '.')
			continue;
		mail.envelope[at] = before == 'A' ? 'B' : 'A';
		assert_refused(mail.envelope);
		mail.envelope[at] = before;
	}
	mail.envelope[len - 30] = '\0';
	assert_refused(mail.envelope);
	free(mail.envelope);
	bench_close(&bench);
}

/* Seals a record message by hand: who says to be the sender, who signs, whom it is for, whose key it is sealed to. */
static char *
seal(size_t index, const char *iss, const HdmsKey *signer, const char *aud, const HdmsKey *recipient, int64_t iat)
{
	HdmsMessageHead head = {.iat = iat, .exp = iat + 86400, .type = HDMS_MSG_RECORD};
	HdmsBody	body = {.state = issued(index)->text, .commit = issued(index)->commit};
	char	   *json;
	char	   *envelope;

	strcpy(head.iss, iss);
	strcpy(head.aud, aud);
	MUST(hdms_uuid7(bench_now, head.jti));
	MUST(hdms_body_print(head.type, &body, &json));
	MUST(hdms_message_seal(&head, json, strlen(json), signer, recipient, &envelope));
	free(json);
	return envelope;
}

static void
a_message_by_the_wrong_signer_for_the_wrong_receiver_or_to_the_wrong_key_is_refused(void **unused)
{
	const SimNode *institution = &bench.sim.institution;
	const SimNode *notary = &bench.sim.notary[0];
	size_t		index;
	int64_t		now;
	SimMail		mail;
	char	   *envelope;

	(void) unused;
	bench_open(&bench, true);

	/* Long enough that the institution's key was valid when the expired message was written. */
	bench_wait(&bench, 3 * 86400);
	now = bench_now / 1000;
	index = bench_issue(&bench, CONTENT, 0);
	assert_true(sim_take(&bench.sim, &mail));
	free(mail.envelope);

	/* The notary is known, so that only its role can be wrong. */
	assert_true(store_begin(bench.home->store));
	assert_int_equal(peer_learn(bench.home, notary->id, hdms_history_json(notary->history), NULL, NULL), PEER_PINNED);
	assert_true(store_commit(bench.home->store));
	struct
	{
		const char *iss;
		const HdmsKey *signer;
		const char *aud;
		const HdmsKey *recipient;
		int64_t		iat;
	}			cases[] = {
		{institution->id, notary->key[HDMS_ROLE_SIGN], bench.pairing->node, bench.pairing->encrypt, now},
		{notary->id, notary->key[HDMS_ROLE_SIGN], bench.pairing->node, bench.pairing->encrypt, now},
		{institution->id, institution->key[HDMS_ROLE_SIGN], notary->id, bench.pairing->encrypt, now},
		{institution->id, institution->key[HDMS_ROLE_SIGN], bench.pairing->node, notary->key[HDMS_ROLE_ENCRYPT], now},
		{institution->id, institution->key[HDMS_ROLE_SIGN], bench.pairing->node, bench.pairing->encrypt, now - 86401},
		{institution->id, institution->key[HDMS_ROLE_SIGN], bench.pairing->node, bench.pairing->encrypt, now + 2 * 86400},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		/* An unknown kid makes the node ask the directory once, which has nothing new: so it must have been asked since. */
		Peer	   *peer;

		assert_true(peer_find(bench.home, institution->id, &peer));
		peer->fetched = bench_now + 1000;
		envelope = seal(index, cases[i].iss, cases[i].signer, cases[i].aud, cases[i].recipient, cases[i].iat);
		assert_refused(envelope);
		free(envelope);
	}
	envelope = seal(index, institution->id, institution->key[HDMS_ROLE_SIGN], bench.pairing->node, bench.pairing->encrypt, now);
	bench_arrive(&bench, envelope);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	free(envelope);
	bench_close(&bench);
}

static void
a_record_from_a_clock_that_is_ahead_waits_until_it_is_valid(void **unused)
{
	size_t		index;
	SimMail		mail;
	char	   *envelope;

	(void) unused;
	bench_open(&bench, true);
	index = bench_issue(&bench, CONTENT, 0);
	assert_true(sim_take(&bench.sim, &mail));
	envelope = seal(index, bench.sim.institution.id, bench.sim.institution.key[HDMS_ROLE_SIGN], bench.pairing->node, bench.pairing->encrypt, bench_now / 1000 + 3600);
	bench_arrive(&bench, envelope);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_STATUS_COUNT);
	bench_wait(&bench, 3600);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	free(envelope);
	free(mail.envelope);
	bench_close(&bench);
}

static void
a_message_of_an_unknown_sender_waits_for_the_directory_and_then_is_judged(void **unused)
{
	size_t		index;
	int64_t		waiting;
	int64_t		quarantined;
	char	   *envelope;
	SimMail		mail;

	(void) unused;
	bench_open(&bench, true);
	bench.no_directory = true;
	index = bench_issue(&bench, CONTENT, 0);
	assert_true(sim_take(&bench.sim, &mail));
	free(mail.envelope);
	envelope = seal(index, bench.sim.notary[1].id, bench.sim.notary[1].key[HDMS_ROLE_SIGN], bench.pairing->node, bench.pairing->encrypt, bench_now / 1000);
	bench_arrive(&bench, envelope);
	assert_true(inbox_counts(bench.home, &waiting, &quarantined));
	assert_int_equal(waiting, 1);
	bench.no_directory = false;
	bench_run(&bench);
	assert_true(inbox_counts(bench.home, &waiting, &quarantined));
	assert_int_equal(waiting + quarantined, 0);
	assert_int_equal(bench.home->refused_messages, 1);
	free(envelope);
	bench_close(&bench);
}

static void
a_replayed_answer_changes_nothing(void **unused)
{
	SimMail		kept[8];
	size_t		count = 0;
	size_t		index;
	size_t		leaves;

	(void) unused;
	bench_open(&bench, true);
	index = bench_issue(&bench, CONTENT, 0);

	/* Keep a copy of everything that comes to the patient. */
	for (int round = 0; round < 10; round++)
	{
		SimMail		mail;
		OutboxItem	items[8];
		size_t		items_count;

		while (count < 8 && sim_take(&bench.sim, &mail))
		{
			kept[count++] = mail;
			bench_arrive(&bench, mail.envelope);
		}
		assert_true(outbox_due(bench.pairing, bench_now, 8, 8 << 20, items, &items_count));
		assert_true(store_begin(bench.home->store));
		for (size_t i = 0; i < items_count; i++)
			assert_true(outbox_put_done(bench.pairing, &items[i], 201));
		assert_true(store_commit(bench.home->store));
		for (size_t i = 0; i < items_count; i++)
			sim_deliver(&bench.sim, items[i].receiver, items[i].envelope);
		outbox_items_free(items, items_count);
		if (bench.home->want_count > 0)
			bench_run(&bench);
	}
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	leaves = bench.sim.log[0].leaf_count + bench.sim.log[1].leaf_count;
	for (int times = 0; times < 2; times++)
		for (size_t i = 0; i < count; i++)
			bench_arrive(&bench, kept[i].envelope);
	bench_run(&bench);
	assert_int_equal(bench_status(&bench, issued(index)->state.vk), VERSION_FINAL);
	assert_int_equal(bench.sim.log[0].leaf_count + bench.sim.log[1].leaf_count, leaves);
	assert_int_equal(bench_outbox(&bench), 0);
	assert_inbox_empty();
	assert_int_equal(bench.home->refused_messages, 0);
	for (size_t i = 0; i < count; i++)
		free(kept[i].envelope);
	bench_close(&bench);
}

static void
a_false_key_from_the_directory_is_refused_and_shown(void **unused)
{
	const SimNode *institution = &bench.sim.institution;
	HdmsNodeKeys keys = {.recovery = NULL};
	HdmsKey    *other;
	char	   *fork;
	char	   *json;
	Peer	   *peer;

	(void) unused;
	bench_open(&bench, true);
	MUST(hdms_key_generate(HDMS_KEY_P256, 0, &other));
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		keys.role[i] = institution->key[i];
	keys.recovery = other;

	/* The same signing key begins another history: the same node id, but not what was pinned. */
	MUST(hdms_history_create(HDMS_INSTITUTION, "Hospital of Examples", &keys, bench_now / 1000 + 5, &fork));
	assert_true(store_begin(bench.home->store));
	assert_int_equal(peer_learn(bench.home, institution->id, fork, NULL, &peer), PEER_FALSE);
	assert_true(store_commit(bench.home->store));
	assert_string_equal(hdms_history_json(peer->history), hdms_history_json(institution->history));
	assert_int_equal(hdms_home_status(bench.home, &json, NULL), HDMS_NODE_OK);
	assert_non_null(strstr(json, "false-key"));
	free(json);

	/* A continuation is taken. */
	free(fork);
	keys.recovery = NULL;
	MUST(hdms_history_extend(institution->history, &keys, institution->key[HDMS_ROLE_SIGN], NULL, 0, bench_now / 1000 + 10, &fork));
	assert_true(store_begin(bench.home->store));
	assert_int_equal(peer_learn(bench.home, institution->id, fork, NULL, &peer), PEER_CONTINUED);
	assert_true(store_commit(bench.home->store));
	bench_restart(&bench);
	assert_true(peer_find(bench.home, institution->id, &peer));
	assert_int_equal(hdms_history_length(peer->history), 2);
	free(fork);
	hdms_key_free(other);
	bench_close(&bench);
}

static void
a_changed_epoch_puts_everything_unanswered_again(void **unused)
{
	OutboxItem	items[4];
	size_t		count;

	(void) unused;
	bench_open(&bench, true);
	for (int i = 0; i < SIM_NOTARIES; i++)
		bench.sim.notary[i].mute = true;
	bench_issue(&bench, CONTENT, 0);
	bench_run(&bench);
	assert_true(outbox_due(bench.pairing, bench_now, 4, 8 << 20, items, &count));
	assert_int_equal(count, 0);
	assert_true(outbox_again(bench.pairing));
	assert_true(outbox_due(bench.pairing, bench_now, 4, 8 << 20, items, &count));
	assert_int_equal(count, 1);
	outbox_items_free(items, count);
	bench_close(&bench);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_may_be_lost_once),
		cmocka_unit_test(each_message_may_come_twice),
		cmocka_unit_test(each_message_may_come_late),
		cmocka_unit_test(the_process_may_die_between_storing_and_acting_each_time),
		cmocka_unit_test(a_message_that_ends_two_attempts_without_outcome_is_put_aside),
		cmocka_unit_test(an_altered_envelope_is_refused_wherever_it_was_altered),
		cmocka_unit_test(a_message_by_the_wrong_signer_for_the_wrong_receiver_or_to_the_wrong_key_is_refused),
		cmocka_unit_test(a_record_from_a_clock_that_is_ahead_waits_until_it_is_valid),
		cmocka_unit_test(a_message_of_an_unknown_sender_waits_for_the_directory_and_then_is_judged),
		cmocka_unit_test(a_replayed_answer_changes_nothing),
		cmocka_unit_test(a_false_key_from_the_directory_is_refused_and_shown),
		cmocka_unit_test(a_changed_epoch_puts_everything_unanswered_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
