/*
 * waiter.c
 *		Requests that wait for mail: long polls and event streams.
 *
 * One table by the beginning of the node id, and one wheel of deadlines. Waking collects under the lock and calls
 * outside it; that is safe because a waiter that was made busy belongs to the collector alone.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "server_clock.h"
#include "waiter.h"

#define BUCKETS			16384
#define WHEEL_SLOTS		1024
#define WHEEL_STEP_MS	100

struct WaiterTable
{
	pthread_mutex_t lock;
	Waiter	   *buckets[BUCKETS];
	Waiter	   *wheel[WHEEL_SLOTS];
	int64_t		wheel_step;		/* the next step to look at */
	bool		stopping;
};

WaiterTable *
waiter_table_new(void)
{
	WaiterTable *table = calloc(1, sizeof(WaiterTable));

	if (table != NULL)
	{
		pthread_mutex_init(&table->lock, NULL);
		table->wheel_step = monotonic_ms() / WHEEL_STEP_MS;
	}
	return table;
}

void
waiter_table_free(WaiterTable *table)
{
	if (table == NULL)
		return;
	pthread_mutex_destroy(&table->lock);
	free(table);
}

static uint64_t
key_of(const char *node)
{
	uint64_t	key;

	memcpy(&key, node, sizeof(key));
	return key;
}

static Waiter **
bucket_of(WaiterTable *table, uint64_t key)
{
	return &table->buckets[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 50];
}

static void
wheel_link(WaiterTable *table, Waiter *waiter)
{
	int64_t		step = waiter->deadline / WHEEL_STEP_MS + 1;
	Waiter	  **slot;

	if (step < table->wheel_step)
		step = table->wheel_step;
	slot = &table->wheel[step % WHEEL_SLOTS];
	waiter->wheel_next = *slot;
	waiter->wheel_place = slot;
	if (*slot != NULL)
		(*slot)->wheel_place = &waiter->wheel_next;
	*slot = waiter;
}

static void
wheel_unlink(Waiter *waiter)
{
	*waiter->wheel_place = waiter->wheel_next;
	if (waiter->wheel_next != NULL)
		waiter->wheel_next->wheel_place = waiter->wheel_place;
	waiter->wheel_next = NULL;
	waiter->wheel_place = NULL;
}

/* Parked to busy, on a list of its collector that uses the wheel's link. The lock is held. */
static void
collect(Waiter *waiter, Waiter **collected)
{
	wheel_unlink(waiter);
	waiter->parked = false;
	waiter->wheel_next = *collected;
	*collected = waiter;
}

static int
wake_collected(Waiter *collected, WakeReason reason)
{
	int			count = 0;

	while (collected != NULL)
	{
		Waiter	   *waiter = collected;

		collected = waiter->wheel_next;
		waiter->wheel_next = NULL;
		waiter->wake(waiter, reason);
		count++;
	}
	return count;
}

void
waiter_add(WaiterTable *table, Waiter *waiter, const char *node)
{
	Waiter	  **bucket;

	waiter->key = key_of(node);
	waiter->parked = false;
	waiter->woken = false;
	bucket = bucket_of(table, waiter->key);
	pthread_mutex_lock(&table->lock);
	waiter->next = *bucket;
	waiter->place = bucket;
	if (*bucket != NULL)
		(*bucket)->place = &waiter->next;
	*bucket = waiter;
	pthread_mutex_unlock(&table->lock);
	metrics_gauge_add(GAUGE_WAITERS, 1);
}

ParkAnswer
waiter_park(WaiterTable *table, Waiter *waiter, int64_t deadline)
{
	ParkAnswer	answer = PARK_DONE;

	pthread_mutex_lock(&table->lock);
	if (table->stopping)
		answer = PARK_STOPPING;
	else if (waiter->woken)
	{
		waiter->woken = false;
		answer = PARK_WOKEN;
	}
	else
	{
		waiter->deadline = deadline;
		waiter->parked = true;
		wheel_link(table, waiter);
	}
	pthread_mutex_unlock(&table->lock);
	return answer;
}

void
waiter_reset(WaiterTable *table, Waiter *waiter)
{
	pthread_mutex_lock(&table->lock);
	waiter->woken = false;
	pthread_mutex_unlock(&table->lock);
}

void
waiter_remove(WaiterTable *table, Waiter *waiter)
{
	pthread_mutex_lock(&table->lock);
	*waiter->place = waiter->next;
	if (waiter->next != NULL)
		waiter->next->place = waiter->place;
	waiter->place = NULL;
	pthread_mutex_unlock(&table->lock);
	metrics_gauge_add(GAUGE_WAITERS, -1);
}

int
waiters_wake(WaiterTable *table, const char *node)
{
	uint64_t	key = key_of(node);
	Waiter	   *collected = NULL;

	pthread_mutex_lock(&table->lock);
	for (Waiter *waiter = *bucket_of(table, key); waiter != NULL; waiter = waiter->next)
	{
		if (waiter->key != key)
			continue;
		if (waiter->parked)
			collect(waiter, &collected);
		else
			waiter->woken = true;
	}
	pthread_mutex_unlock(&table->lock);
	return wake_collected(collected, WAKE_MAIL);
}

static void
wake_every(WaiterTable *table, WakeReason reason)
{
	Waiter	   *collected = NULL;

	pthread_mutex_lock(&table->lock);
	if (reason == WAKE_STOP)
		table->stopping = true;
	for (size_t i = 0; i < BUCKETS; i++)
	{
		for (Waiter *waiter = table->buckets[i]; waiter != NULL; waiter = waiter->next)
		{
			if (waiter->parked)
				collect(waiter, &collected);
			else
				waiter->woken = true;
		}
	}
	pthread_mutex_unlock(&table->lock);
	wake_collected(collected, reason);
}

void
waiters_wake_all(WaiterTable *table)
{
	wake_every(table, WAKE_MAIL);
}

void
waiters_stop(WaiterTable *table)
{
	wake_every(table, WAKE_STOP);
}

void
waiters_tick(WaiterTable *table)
{
	int64_t		now = monotonic_ms();
	Waiter	   *collected = NULL;

	pthread_mutex_lock(&table->lock);
	for (; table->wheel_step <= now / WHEEL_STEP_MS; table->wheel_step++)
	{
		Waiter	   *waiter = table->wheel[table->wheel_step % WHEEL_SLOTS];

		while (waiter != NULL)
		{
			Waiter	   *next = waiter->wheel_next;

			if (waiter->deadline <= now)
				collect(waiter, &collected);
			waiter = next;
		}
	}
	pthread_mutex_unlock(&table->lock);
	wake_collected(collected, WAKE_DEADLINE);
}
