/*
 * test_memory.c
 *		What a process remembers: sessions, rates, nodes, the usage of mailboxes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node_cache.h"
#include "rate_limit.h"
#include "session.h"
#include "usage.h"

static const unsigned char server_secret[32] = {1, 2, 3};
static const unsigned char other_secret[32] = {1, 2, 4};

static SessionClaim
sample_claim(int64_t expires)
{
	SessionClaim claim = {.expires = expires, .key_mark = {9, 8, 7}};
	unsigned char id[32] = {5};

	hdms_base64url_write(id, sizeof(id), claim.node);
	return claim;
}

static void
a_session_opens_with_the_secret_it_was_made_with(void **state)
{
	SessionClaim claim = sample_claim(1000);
	SessionClaim opened;
	char		id[SESSION_ID_TEXT + 1];
	unsigned char secret[32];
	unsigned char again[32];

	(void) state;
	assert_int_equal(session_make(server_secret, &claim, id, secret), HDMS_OK);
	assert_int_equal(strlen(id), SESSION_ID_TEXT);
	assert_int_equal(session_open(server_secret, id, 999, &opened, again), HDMS_OK);
	assert_string_equal(opened.node, claim.node);
	assert_int_equal(opened.expires, 1000);
	assert_memory_equal(opened.key_mark, claim.key_mark, 8);
	assert_memory_equal(secret, again, 32);
	assert_int_equal(session_open(server_secret, id, 1000, &opened, again), HDMS_EXPIRED);
	assert_int_equal(session_open(other_secret, id, 999, &opened, again), HDMS_BAD_SIGNATURE);
}

static void
two_sessions_of_a_node_have_two_secrets(void **state)
{
	SessionClaim claim = sample_claim(1000);
	char		ids[2][SESSION_ID_TEXT + 1];
	unsigned char secrets[2][32];

	(void) state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(session_make(server_secret, &claim, ids[i], secrets[i]), HDMS_OK);
	assert_string_not_equal(ids[0], ids[1]);
	assert_memory_not_equal(secrets[0], secrets[1], 32);
}

static void
no_altered_session_opens(void **state)
{
	SessionClaim claim = sample_claim(1000);
	SessionClaim opened;
	char		id[SESSION_ID_TEXT + 1];
	unsigned char secret[32];

	(void) state;
	assert_int_equal(session_make(server_secret, &claim, id, secret), HDMS_OK);
	for (size_t i = 0; i < SESSION_ID_TEXT; i++)
	{
		char		kept = id[i];

		id[i] = kept == 'A' ? 'B' : 'A';
		assert_int_not_equal(session_open(server_secret, id, 0, &opened, secret), HDMS_OK);
		id[i] = kept;
	}
	id[SESSION_ID_TEXT - 1] = '\0';
	assert_int_equal(session_open(server_secret, id, 0, &opened, secret), HDMS_BAD_ENCODING);
}

static void
a_bucket_gives_its_burst_and_no_more(void **state)
{
	RateLimiter *limiter = rate_limiter_new();
	int64_t		retry_after = 0;

	(void) state;
	for (int i = 0; i < 10; i++)
		assert_true(rate_take(limiter, "a", 1, 1, 10, &retry_after));
	assert_false(rate_take(limiter, "a", 1, 1, 10, &retry_after));
	assert_in_range(retry_after, 1, 61);
	assert_true(rate_take(limiter, "b", 1, 1, 10, &retry_after));
	rate_limiter_free(limiter);
}

static void
what_was_taken_on_credit_is_waited_for(void **state)
{
	RateLimiter *limiter = rate_limiter_new();
	time_t		until = time(NULL) + 10;
	int64_t		retry_after = 0;
	int			refused = 0;

	(void) state;
	assert_true(rate_take(limiter, "a", 1, 1, 10, &retry_after));
	rate_charge(limiter, "a", 1, 1, 10, 29);
	assert_false(rate_take(limiter, "a", 1, 1, 10, &retry_after));
	assert_in_range(retry_after, 20 * 60, 21 * 60 + 1);

	/* 300 tokens of debt at 600 a second */
	assert_true(rate_take(limiter, "b", 1, 36000, 1, &retry_after));
	rate_charge(limiter, "b", 1, 36000, 1, 300);
	while (!rate_take(limiter, "b", 1, 36000, 1, &retry_after) && time(NULL) < until)
		refused++;
	assert_true(time(NULL) < until);
	assert_true(refused > 0);
	rate_limiter_free(limiter);
}

static void
a_bucket_fills_again(void **state)
{
	RateLimiter *limiter = rate_limiter_new();
	time_t		until = time(NULL) + 10;
	int64_t		retry_after;
	bool		got = false;

	(void) state;
	assert_true(rate_take(limiter, "a", 1, 6000, 1, &retry_after));
	while (!got && time(NULL) < until)
		got = rate_take(limiter, "a", 1, 6000, 1, &retry_after);
	assert_true(got);
	rate_limiter_free(limiter);
}

static void
a_flood_of_others_does_not_refill_an_empty_bucket(void **state)
{
	RateLimiter *limiter = rate_limiter_new();
	int64_t		retry_after;

	(void) state;
	assert_true(rate_take(limiter, "spent", 5, 1, 10, &retry_after));
	rate_charge(limiter, "spent", 5, 1, 10, 9);
	for (int i = 0; i < 500000; i++)
		rate_take(limiter, &i, sizeof(i), 1, 10, &retry_after);
	assert_false(rate_take(limiter, "spent", 5, 1, 10, &retry_after));
	rate_limiter_free(limiter);
}

static void
usage_counts_what_is_reserved_and_released(void **state)
{
	Usage	   *usage = usage_new();
	SessionClaim claim = sample_claim(0);

	(void) state;
	assert_int_equal(usage_reserve(usage, claim.node, 10, 100, 5), USAGE_UNKNOWN);
	usage_set(usage, claim.node, 80, 3);
	assert_int_equal(usage_reserve(usage, claim.node, 10, 100, 5), USAGE_RESERVED);
	assert_int_equal(usage_reserve(usage, claim.node, 11, 100, 5), USAGE_FULL);
	assert_int_equal(usage_reserve(usage, claim.node, 10, 100, 5), USAGE_RESERVED);
	assert_int_equal(usage_reserve(usage, claim.node, 0, 100, 5), USAGE_FULL);
	usage_release(usage, claim.node, 10);
	assert_int_equal(usage_reserve(usage, claim.node, 10, 100, 5), USAGE_RESERVED);
	usage_forget(usage, claim.node);
	assert_int_equal(usage_reserve(usage, claim.node, 10, 100, 5), USAGE_UNKNOWN);
	usage_free(usage);
}

/* A row of a new person's node. */
static NodeRow *
sample_row(void)
{
	NodeRow    *row = calloc(1, sizeof(NodeRow));
	HdmsKey    *keys[4] = {0};
	HdmsHistory *history = NULL;
	HdmsNodeKeys roles = {0};

	for (int i = 0; i < 4; i++)
		assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &keys[i]), HDMS_OK);
	roles.role[HDMS_ROLE_SIGN] = keys[0];
	roles.role[HDMS_ROLE_ENCRYPT] = keys[1];
	roles.role[HDMS_ROLE_VRF] = keys[2];
	roles.recovery = keys[3];
	assert_int_equal(hdms_history_create(HDMS_PERSON, NULL, &roles, 1700000000, &row->history), HDMS_OK);
	assert_int_equal(hdms_history_parse(row->history, strlen(row->history), &history), HDMS_OK);
	snprintf(row->id, sizeof(row->id), "%s", hdms_history_node_id(history));
	row->kind = HDMS_PERSON;
	row->status = NODE_ACTIVE;
	hdms_history_free(history);
	for (int i = 0; i < 4; i++)
		hdms_key_free(keys[i]);
	return row;
}

static bool
cache_has(NodeCache *cache, const char *id)
{
	Node	   *node = node_cache_find(cache, id);

	node_release(node);
	return node != NULL;
}

static void
nothing_is_kept_while_nobody_listens(void **state)
{
	NodeCache  *cache = node_cache_new();
	NodeRow    *row = sample_row();

	(void) state;
	node_release(node_cache_add(cache, row, node_cache_moment(cache), 10));
	assert_false(cache_has(cache, row->id));
	node_cache_switch(cache, true);
	node_release(node_cache_add(cache, row, node_cache_moment(cache), 10));
	assert_true(cache_has(cache, row->id));
	node_cache_switch(cache, false);
	assert_false(cache_has(cache, row->id));
	node_row_free(row);
	node_cache_free(cache);
}

static void
a_row_that_was_read_before_a_change_is_not_kept(void **state)
{
	NodeCache  *cache = node_cache_new();
	NodeRow    *row = sample_row();
	NodeRow    *other = sample_row();
	uint64_t	moment;

	(void) state;
	node_cache_switch(cache, true);
	moment = node_cache_moment(cache);
	node_cache_forget(cache, row->id);
	node_release(node_cache_add(cache, row, moment, 10));
	node_release(node_cache_add(cache, other, moment, 10));
	assert_false(cache_has(cache, row->id));
	assert_true(cache_has(cache, other->id));
	for (int i = 0; i < 5000; i++)
		node_cache_forget(cache, other->id);
	node_release(node_cache_add(cache, row, moment, 10));
	assert_false(cache_has(cache, row->id));
	node_release(node_cache_add(cache, row, node_cache_moment(cache), 10));
	assert_true(cache_has(cache, row->id));
	node_row_free(row);
	node_row_free(other);
	node_cache_free(cache);
}

static void
the_least_recently_used_node_gives_way(void **state)
{
	NodeCache  *cache = node_cache_new();
	NodeRow    *rows[3] = {sample_row(), sample_row(), sample_row()};
	Node	   *held;

	(void) state;
	node_cache_switch(cache, true);
	held = node_cache_add(cache, rows[0], node_cache_moment(cache), 2);
	node_release(node_cache_add(cache, rows[1], node_cache_moment(cache), 2));
	assert_true(cache_has(cache, rows[0]->id));
	node_release(node_cache_add(cache, rows[2], node_cache_moment(cache), 2));
	assert_true(cache_has(cache, rows[0]->id));
	assert_false(cache_has(cache, rows[1]->id));
	assert_true(cache_has(cache, rows[2]->id));
	node_cache_forget_all(cache);
	assert_string_equal(held->id, rows[0]->id);	/* who holds it may go on */
	node_release(held);
	for (int i = 0; i < 3; i++)
		node_row_free(rows[i]);
	node_cache_free(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_opens_with_the_secret_it_was_made_with),
		cmocka_unit_test(two_sessions_of_a_node_have_two_secrets),
		cmocka_unit_test(no_altered_session_opens),
		cmocka_unit_test(a_bucket_gives_its_burst_and_no_more),
		cmocka_unit_test(what_was_taken_on_credit_is_waited_for),
		cmocka_unit_test(a_bucket_fills_again),
		cmocka_unit_test(a_flood_of_others_does_not_refill_an_empty_bucket),
		cmocka_unit_test(usage_counts_what_is_reserved_and_released),
		cmocka_unit_test(nothing_is_kept_while_nobody_listens),
		cmocka_unit_test(a_row_that_was_read_before_a_change_is_not_kept),
		cmocka_unit_test(the_least_recently_used_node_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
