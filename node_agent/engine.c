/*
 * engine.c
 *		The event loop that moves the messages of any number of homes.
 *
 * One step waits for sockets, lets curl work, and then makes a round for each home that something arrived for: one transaction that
 * stores the envelopes and the answers to puts, one that acts upon the envelopes, and only then the acknowledgements. Everything that
 * arrived in a step shares those two transactions, so a busy home pays few of them.
 */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "catalogue.h"
#include "control.h"
#include "courier.h"
#include "flow.h"
#include "inbox.h"
#include "lookup.h"
#include "recovery.h"
#include "rotation.h"

#define EVENTS_AT_ONCE	256
#define ROUND_ITEMS		512
#define FAILURE_DELAY	INT64_C(5000)
#define TIMER_REST		20		/* milliseconds between looks at a home's timers */
#define PRUNE_INTERVAL	INT64_C(3600000)
#define RESUMES_AT_ONCE 8

/* What the engine keeps of a home. */
typedef struct HomeWork
{
	InboxItem  *items;			/* arrived, not yet stored */
	size_t		count;
	size_t		size;
	int64_t		arrived;		/* engine_clock() of the first */
	Courier    *answered;		/* puts whose answers are to be recorded */
	int64_t		timer;			/* engine_clock(): when the home's own timers are looked at */
	int64_t		timers_seen;	/* engine_clock(): when they were looked at last */
	int64_t		lookup_timer;
	int64_t		recovery_timer;
	int64_t		control_timer;
} HomeWork;

struct HdmsEngine
{
	int			epoll;
	Http	   *http;
	HdmsHome  **homes;
	size_t		home_count;
	Courier    *first_ready;
	Courier    *last_ready;
	int64_t		sweep;			/* engine_clock(): when all couriers are looked at */
};

int64_t
engine_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

Http *
engine_http(HdmsEngine *engine)
{
	return engine->http;
}

HdmsEngine *
hdms_engine_create(void)
{
	HdmsEngine *engine = calloc(1, sizeof(*engine));

	if (engine == NULL)
		return NULL;
	engine->sweep = INT64_MAX;
	engine->epoll = epoll_create1(EPOLL_CLOEXEC);
	engine->http = engine->epoll < 0 ? NULL : http_create(engine->epoll);
	if (engine->http == NULL)
	{
		if (engine->epoll >= 0)
			close(engine->epoll);
		free(engine);
		return NULL;
	}
	return engine;
}

void
hdms_engine_free(HdmsEngine *engine)
{
	if (engine == NULL)
		return;
	while (engine->home_count > 0)
		hdms_engine_detach(engine, engine->homes[engine->home_count - 1]);
	http_free(engine->http);
	close(engine->epoll);
	free(engine->homes);
	free(engine);
}

bool
engine_watch(HdmsEngine *engine, EngineWatch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	return epoll_ctl(engine->epoll, EPOLL_CTL_ADD, watch->descriptor, &event) == 0 ||
		epoll_ctl(engine->epoll, EPOLL_CTL_MOD, watch->descriptor, &event) == 0;
}

void
engine_unwatch(HdmsEngine *engine, EngineWatch *watch)
{
	(void) epoll_ctl(engine->epoll, EPOLL_CTL_DEL, watch->descriptor, NULL);
}

void
engine_wake(HdmsEngine *engine, Pairing *pairing)
{
	Courier    *courier = pairing->courier;
	HomeWork   *work = pairing->home->work;

	if (courier == NULL)
		courier = pairing->courier = courier_create(engine, pairing);
	if (work->timer > work->timers_seen + TIMER_REST)
		work->timer = work->timers_seen + TIMER_REST;
	if (courier == NULL || courier->is_ready)
		return;
	courier->is_ready = true;
	courier->next_ready = NULL;
	if (engine->last_ready)
		engine->last_ready->next_ready = courier;
	else
		engine->first_ready = courier;
	engine->last_ready = courier;
}

HdmsNodeResult
hdms_engine_attach(HdmsEngine *engine, HdmsHome *home, HdmsNodeError *error)
{
	HdmsHome  **bigger;

	if (home->engine != NULL)
		return node_error(error, HDMS_NODE_REFUSED, "the home has an engine already");
	bigger = realloc(engine->homes, (engine->home_count + 1) * sizeof(*bigger));
	if (bigger != NULL)
		engine->homes = bigger;
	home->work = calloc(1, sizeof(*home->work));
	if (bigger == NULL || home->work == NULL)
	{
		free(home->work);
		home->work = NULL;
		return node_error(error, HDMS_NODE_FAILED, "out of memory");
	}
	engine->homes[engine->home_count++] = home;
	home->engine = engine;
	for (size_t i = 0; i < home->pairing_count; i++)
		engine_wake(engine, home->pairings[i]);
	return HDMS_NODE_OK;
}

static void
work_clear(HomeWork *work)
{
	for (size_t i = 0; i < work->count; i++)
		free(work->items[i].envelope);
	work->count = 0;
}

void
hdms_engine_detach(HdmsEngine *engine, HdmsHome *home)
{
	Courier    *courier;
	Courier   **link = &engine->first_ready;

	if (home->engine != engine)
		return;
	control_stop(home);
	lookups_drop(home);
	recovery_drop(home);

	/* Out of the queue first, because its links go through the couriers. */
	engine->last_ready = NULL;
	while ((courier = *link) != NULL)
	{
		if (courier->pairing->home == home)
			*link = courier->next_ready;
		else
		{
			engine->last_ready = courier;
			link = &courier->next_ready;
		}
	}
	for (size_t i = 0; i < home->pairing_count; i++)
	{
		courier_free(home->pairings[i]->courier);
		home->pairings[i]->courier = NULL;
	}
	work_clear(home->work);
	free(home->work->items);
	free(home->work);
	home->work = NULL;
	home->engine = NULL;
	for (size_t i = 0; i < engine->home_count; i++)
		if (engine->homes[i] == home)
			engine->homes[i--] = engine->homes[--engine->home_count];
}

bool
engine_is_busy(HdmsEngine *engine)
{
	if (engine->first_ready != NULL)
		return true;
	for (size_t i = 0; i < engine->home_count; i++)
		for (size_t j = 0; j < engine->homes[i]->pairing_count; j++)
		{
			const Courier *courier = engine->homes[i]->pairings[j]->courier;

			if (courier != NULL && (courier->put != NULL || courier->put_answered || courier->round_pending))
				return true;
		}
	return false;
}

int
hdms_engine_descriptor(HdmsEngine *engine)
{
	return engine->epoll;
}

bool
engine_receive(HdmsEngine *engine, Pairing *pairing, const char *transport, char *data, size_t len)
{
	HomeWork   *work = pairing->home->work;
	InboxItem  *item;

	(void) engine;
	if (work->count == work->size)
	{
		size_t		size = work->size ? work->size * 2 : 16;
		InboxItem  *bigger = realloc(work->items, size * sizeof(*bigger));

		if (bigger == NULL)
			return false;
		work->items = bigger;
		work->size = size;
	}
	if (work->count == 0)
		work->arrived = engine_clock();
	item = &work->items[work->count++];
	memset(item, 0, sizeof(*item));
	item->pairing = pairing->id;
	strcpy(item->transport, transport);
	item->envelope = data;
	item->len = len;
	pairing->courier->round_pending = true;
	return true;
}

void
engine_put_answered(HdmsEngine *engine, Courier *courier)
{
	HomeWork   *work = courier->pairing->home->work;

	(void) engine;
	if (work->count == 0 && work->answered == NULL)
		work->arrived = engine_clock();
	courier->put_answered = true;
	courier->next_answered = work->answered;
	work->answered = courier;
}

/* The first transaction of a round. */
static bool
round_store(HdmsHome *home, HomeWork *work)
{
	bool		good = store_begin(home->store);

	for (Courier *courier = work->answered; good && courier != NULL; courier = courier->next_answered)
		good = courier_record_put(courier);
	if (good && inbox_store_rows(home, work->items, work->count) && store_commit(home->store))
		return true;
	home_log(home, "cannot store what arrived: %s", store_error(home->store));
	store_rollback(home->store);
	return false;
}

/* After the round: acknowledge what was done, or let the server keep it. */
static void
round_end(HdmsHome *home, HomeWork *work, bool done)
{
	int64_t		now = engine_clock();

	for (size_t i = 0; i < work->count; i++)
	{
		Pairing    *pairing = pairing_find(home, work->items[i].pairing);

		if (pairing == NULL)
			continue;
		pairing->courier->round_pending = false;
		if (!done || !courier_ack(pairing->courier, work->items[i].transport))
			pairing->courier->not_before = now + FAILURE_DELAY;
		engine_wake(home->engine, pairing);
	}
	while (work->answered != NULL)
	{
		Courier    *courier = work->answered;

		work->answered = courier->next_answered;
		courier->put_answered = false;
		outbox_items_free(courier->items, courier->item_count);
		courier->item_count = 0;
		courier->pairing->put_due = true;	/* there may be more than one put takes */
		if (!done)
			courier->put_not_before = now + FAILURE_DELAY;
		engine_wake(home->engine, courier->pairing);
	}
	work_clear(work);
}

static void
home_round(HdmsHome *home)
{
	HomeWork   *work = home->work;
	bool		done = round_store(home, work);

	if (done && work->count > 0)
		done = inbox_act(home, work->items, work->count);
	round_end(home, work, done);
}

static bool
round_is_due(const HdmsHome *home, int64_t now)
{
	const HomeWork *work = home->work;

	return (work->count > 0 || work->answered != NULL) && (work->count >= ROUND_ITEMS || now >= work->arrived + home->config.linger);
}

/* Rows that nobody will ask for again. */
static bool
home_prune(HdmsHome *home)
{
	sqlite3_stmt *statement;
	bool		good;

	home->pruned = engine_clock();
	if (!store_begin(home->store))
		return false;
	statement = store_statement(home->store, "DELETE FROM processed WHERE expires < ?1");
	if (statement != NULL)
		sqlite3_bind_int64(statement, 1, home_now(home) - HDMS_CLOCK_SKEW);
	good = store_run(home->store, statement) && outbox_expire(home) && store_commit(home->store) && store_shrink(home->store);
	if (!good)
		store_rollback(home->store);
	return good;
}

/* From the home's clock to the engine's. */
static int64_t
timer_of(const HdmsHome *home, int64_t at, int64_t now)
{
	int64_t		left;

	if (at == INT64_MAX)
		return INT64_MAX;
	left = at - home_now_ms(home);
	return now + (left > TIMER_REST ? left : TIMER_REST);
}

/* Flows whose time has come, messages that were left behind, envelopes to put again. */
static void
home_timers(HdmsHome *home)
{
	int64_t		now = engine_clock();
	int64_t		at[3] = {INT64_MAX, INT64_MAX, INT64_MAX};
	bool		more = home->inbox_due;
	bool		good = flows_run_timers(home) && rotation_run(home);

	home->work->timers_seen = now;
	for (int i = 0; good && i < RESUMES_AT_ONCE && (more || i == 0); i++)
		good = inbox_resume(home, &more);
	if (good && (home->pruned == 0 || now >= home->pruned + PRUNE_INTERVAL))
		good = home_prune(home);
	good = good && versions_next_timer(home, &at[0]) && inbox_next_timer(home, &at[1]) && outbox_next_timer(home, home_now_ms(home), &at[2]);
	if (!good)
		home_log(home, "cannot run timers: %s", store_error(home->store));
	for (size_t i = 0; i < home->pairing_count; i++)
		if (home->pairings[i]->put_due)
			engine_wake(home->engine, home->pairings[i]);
	home->work->timer = good ? home->pruned + PRUNE_INTERVAL : now + FAILURE_DELAY;
	if (good && (more || home->inbox_due))
		home->work->timer = now + TIMER_REST;
	for (int i = 0; i < 3; i++)
		if (timer_of(home, at[i], now) < home->work->timer)
			home->work->timer = timer_of(home, at[i], now);
}

/* Runs the couriers that were woken, and notes when the others want to be looked at. */
static void
couriers_run(HdmsEngine *engine)
{
	int64_t		now = engine_clock();
	Courier    *courier = engine->first_ready;
	int64_t		timer;

	if (now >= engine->sweep)
	{
		engine->sweep = INT64_MAX;
		for (size_t i = 0; i < engine->home_count; i++)
			for (size_t j = 0; j < engine->homes[i]->pairing_count; j++)
			{
				Courier    *each = engine->homes[i]->pairings[j]->courier;

				if (each == NULL)
					continue;
				courier_run(each);
				timer = courier_timer(each);
				if (timer < engine->sweep)
					engine->sweep = timer > now ? timer : now + TIMER_REST;
			}
	}
	engine->first_ready = NULL;
	engine->last_ready = NULL;
	while (courier != NULL)
	{
		Courier    *next = courier->next_ready;

		courier->is_ready = false;
		courier_run(courier);
		timer = courier_timer(courier);
		if (timer < engine->sweep)
			engine->sweep = timer > now ? timer : now + TIMER_REST;
		courier = next;
	}
}

int
hdms_engine_timeout(HdmsEngine *engine)
{
	int64_t		now = engine_clock();
	int64_t		next = http_timer(engine->http);

	if (engine->first_ready != NULL)
		return 0;
	if (engine->sweep < next)
		next = engine->sweep;
	for (size_t i = 0; i < engine->home_count; i++)
	{
		const HdmsHome *home = engine->homes[i];

		if (home->inbox_due)
			return 0;
		if (home->work->timer < next)
			next = home->work->timer;
		if (home->work->lookup_timer < next)
			next = home->work->lookup_timer;
		if (home->work->recovery_timer < next)
			next = home->work->recovery_timer;
		if (home->work->control_timer < next)
			next = home->work->control_timer;
		if ((home->work->count > 0 || home->work->answered != NULL) && home->work->arrived + home->config.linger < next)
			next = home->work->arrived + home->config.linger;
	}
	if (next <= now)
		return 0;
	return next - now > 3600000 ? 3600000 : (int) (next - now);
}

bool
hdms_engine_step(HdmsEngine *engine, int wait_ms)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int			timeout = hdms_engine_timeout(engine);
	int			count;
	bool		good;

	if (wait_ms >= 0 && wait_ms < timeout)
		timeout = wait_ms;
	count = epoll_wait(engine->epoll, events, EVENTS_AT_ONCE, timeout);
	good = count >= 0 || errno == EINTR;
	for (int i = 0; i < count; i++)
	{
		EngineWatch *watch = events[i].data.ptr;

		if (watch->descriptor >= 0)
			watch->ready(watch->arg, events[i].events);
	}
	if (engine_clock() >= http_timer(engine->http))
		http_ready(engine->http, -1, 0);
	for (size_t i = 0; i < engine->home_count; i++)
	{
		HdmsHome   *home = engine->homes[i];
		int64_t		now = engine_clock();

		if (round_is_due(home, now))
			home_round(home);
		if (now >= home->work->timer || home->inbox_due)
			home_timers(home);
		home->work->lookup_timer = home->want_count > 0 ? lookups_run(home) : INT64_MAX;
		home->work->recovery_timer = recovery_run(home);
		home->work->control_timer = control_run(home);
	}
	couriers_run(engine);
	return good;
}
