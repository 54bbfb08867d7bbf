/*
 * test_waiter.c
 *		No wake-up is lost, and a waiter has one owner at a time.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "server_clock.h"
#include "waiter.h"

#define NODE_A "AAAAAAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NODE_B "BBBBBBBBbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NODE_C "AAAAAAAAccccccccccccccccccccccccccccccccccc"	/* begins like A */

typedef struct Counted
{
	Waiter		waiter;
	_Atomic int mail;
	_Atomic int deadlines;
	_Atomic int stops;
} Counted;

static void
count(Waiter *waiter, WakeReason reason)
{
	Counted    *counted = (Counted *) (void *) waiter;

	atomic_fetch_add(reason == WAKE_MAIL ? &counted->mail : reason == WAKE_DEADLINE ? &counted->deadlines : &counted->stops, 1);
}

static int64_t
later(void)
{
	return monotonic_ms() + 60000;
}

static void
a_parked_waiter_is_woken_once(void **state)
{
	WaiterTable *table = waiter_table_new();
	Counted		a = {.waiter.wake = count};
	Counted		b = {.waiter.wake = count};

	(void) state;
	waiter_add(table, &a.waiter, NODE_A);
	waiter_add(table, &b.waiter, NODE_B);
	assert_int_equal(waiter_park(table, &a.waiter, later()), PARK_DONE);
	assert_int_equal(waiter_park(table, &b.waiter, later()), PARK_DONE);
	assert_int_equal(waiters_wake(table, NODE_A), 1);
	assert_int_equal(waiters_wake(table, NODE_A), 0);
	assert_int_equal(a.mail, 1);
	assert_int_equal(b.mail, 0);
	waiter_remove(table, &a.waiter);
	waiters_stop(table);
	waiter_remove(table, &b.waiter);
	waiter_table_free(table);
}

static void
a_wake_up_while_busy_is_remembered(void **state)
{
	WaiterTable *table = waiter_table_new();
	Counted		a = {.waiter.wake = count};

	(void) state;
	waiter_add(table, &a.waiter, NODE_A);
	assert_int_equal(waiters_wake(table, NODE_A), 0);
	assert_int_equal(waiter_park(table, &a.waiter, later()), PARK_WOKEN);
	assert_int_equal(waiter_park(table, &a.waiter, later()), PARK_DONE);
	assert_int_equal(a.mail, 0);
	waiters_stop(table);
	assert_int_equal(a.stops, 1);
	assert_int_equal(waiter_park(table, &a.waiter, later()), PARK_STOPPING);
	waiter_remove(table, &a.waiter);
	waiter_table_free(table);
}

static void
a_shortened_id_wakes_all_that_begin_so(void **state)
{
	WaiterTable *table = waiter_table_new();
	Counted		a = {.waiter.wake = count};
	Counted		c = {.waiter.wake = count};

	(void) state;
	waiter_add(table, &a.waiter, NODE_A);
	waiter_add(table, &c.waiter, NODE_C);
	waiter_park(table, &a.waiter, later());
	waiter_park(table, &c.waiter, later());
	assert_int_equal(waiters_wake(table, "AAAAAAAA"), 2);
	waiter_remove(table, &a.waiter);
	waiter_remove(table, &c.waiter);
	waiter_table_free(table);
}

static void
a_deadline_that_has_come_wakes_and_others_do_not(void **state)
{
	WaiterTable *table = waiter_table_new();
	Counted		past = {.waiter.wake = count};
	Counted		future = {.waiter.wake = count};
	int64_t		until = monotonic_ms() + 5000;

	(void) state;
	waiter_add(table, &past.waiter, NODE_A);
	waiter_add(table, &future.waiter, NODE_A);
	waiter_park(table, &past.waiter, monotonic_ms() - 1);
	waiter_park(table, &future.waiter, later());
	while (past.deadlines == 0 && monotonic_ms() < until)
		waiters_tick(table);
	assert_int_equal(past.deadlines, 1);
	assert_int_equal(future.deadlines, 0);
	assert_int_equal(waiters_wake(table, NODE_A), 1);
	assert_int_equal(past.mail, 0);
	assert_int_equal(future.mail, 1);
	waiter_remove(table, &past.waiter);
	waiter_remove(table, &future.waiter);
	waiter_table_free(table);
}

#define ROUNDS	20000

typedef struct Race
{
	WaiterTable *table;
	_Atomic int produced;
} Race;

static void *
produce(void *argument)
{
	Race	   *race = argument;

	for (int i = 0; i < ROUNDS; i++)
	{
		atomic_fetch_add(&race->produced, 1);
		waiters_wake(race->table, NODE_A);
	}
	return NULL;
}

/* A consumer that looks, parks when it saw nothing new, and waits to be woken: it must see the last item. */
static void
no_wake_up_is_lost_between_looking_and_parking(void **state)
{
	Race		race = {.table = waiter_table_new()};
	Counted		a = {.waiter.wake = count};
	pthread_t	thread;
	int			seen = 0;
	int			woken = 0;
	int64_t		until = monotonic_ms() + 30000;

	(void) state;
	waiter_add(race.table, &a.waiter, NODE_A);
	pthread_create(&thread, NULL, produce, &race);
	while (seen < ROUNDS && monotonic_ms() < until)
	{
		int			now = atomic_load(&race.produced);

		if (now > seen)
		{
			seen = now;
			continue;
		}
		if (waiter_park(race.table, &a.waiter, later()) != PARK_DONE)
			continue;
		while (atomic_load(&a.mail) == woken && monotonic_ms() < until)
			;
		woken++;
	}
	pthread_join(thread, NULL);
	assert_int_equal(seen, ROUNDS);
	waiter_remove(race.table, &a.waiter);
	waiter_table_free(race.table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_parked_waiter_is_woken_once),
		cmocka_unit_test(a_wake_up_while_busy_is_remembered),
		cmocka_unit_test(a_shortened_id_wakes_all_that_begin_so),
		cmocka_unit_test(a_deadline_that_has_come_wakes_and_others_do_not),
		cmocka_unit_test(no_wake_up_is_lost_between_looking_and_parking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
