/*
 * database.c
 *		The queue of operations and the threads that run them, each with a connection of its own.
 *
 * All connections of a process live in one generation. Whoever notices that its connection is gone ends the generation:
 * everybody connects anew, and the first one there enters the new generation by changing the epoch. While no
 * connection of the generation is usable, operations are answered at once with OUTCOME_NOT_READY.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "batch.h"
#include "database.h"
#include "log.h"
#include "metrics.h"
#include "migrate.h"
#include "query.h"
#include "server_clock.h"

#define QUEUE_MAX			20000	/* operations */
#define QUEUE_MAX_BYTES		(256 * 1024 * 1024)
#define IDLE_CHECK_MS		250
#define BACKOFF_FIRST_MS	50
#define BACKOFF_MAX_MS		2000
#define CONFLICT_TRIES		5

struct Database
{
	const Config *_Atomic *config;
	Usage	   *usage;
	Floors	   *floors;
	DatabaseEvents events;

	pthread_mutex_t lock;
	pthread_cond_t available;
	pthread_cond_t stopped;		/* what somebody who backs off waits for */
	Operation  *first;
	Operation **last;
	size_t		queued;
	size_t		queued_bytes;
	bool		stopping;
	uint64_t	generation;
	int			connected;		/* threads that can work in this generation */
	bool		entered;		/* the epoch was changed for this generation */
	bool		unusable_logged;
	char		epoch[EPOCH_SIZE];
	unsigned char session_secret[32];
	int64_t		mailbox_file;

	pthread_mutex_t enter_lock;
	pthread_t	threads[32];
	int			threads_count;
};

static size_t
operation_bytes(const Operation *operation)
{
	return operation->kind == OPERATION_PUT ? operation->put.bytes : 0;
}

static void
operations_complete(Operation *operation, OperationOutcome outcome)
{
	while (operation != NULL)
	{
		Operation  *next = operation->next;

		operation->outcome = outcome;
		operation->complete(operation);
		operation = next;
	}
}

/* Takes everything out of the queue. The lock is held. */
static Operation *
queue_empty(Database *database)
{
	Operation  *all = database->first;

	database->first = NULL;
	database->last = &database->first;
	database->queued = 0;
	database->queued_bytes = 0;
	metrics_gauge_set(GAUGE_DATABASE_QUEUE, 0);
	return all;
}

/* Ends a generation, unless somebody did already. */
static void
database_lose(Database *database, uint64_t generation, const char *why)
{
	Operation  *orphans = NULL;
	bool		is_news;

	pthread_mutex_lock(&database->lock);
	is_news = (generation == database->generation);
	if (is_news)
	{
		database->generation++;
		database->connected = 0;
		database->entered = false;
		metrics_gauge_set(GAUGE_DATABASE_READY, 0);
		orphans = queue_empty(database);
		pthread_cond_broadcast(&database->available);
	}
	pthread_mutex_unlock(&database->lock);
	if (is_news)
	{
		metrics_count(COUNTER_DATABASE_LOST, 1);
		log_event(LEVEL_WARNING, "database_lost", "why=s", why, NULL);
	}
	operations_complete(orphans, OUTCOME_NOT_READY);
}

/* Changes the epoch and learns what this database is. */
static bool
change_epoch(Database *database, PGconn *conn)
{
	unsigned char random[12];
	char		epoch[HDMS_BASE64URL_SIZE(sizeof(random))];
	const char *values[] = {epoch};
	PGresult   *result;
	size_t		secret_len = 0;
	unsigned char *secret;
	bool		ok;

	if (hdms_random(random, sizeof(random)) != HDMS_OK)
		return false;
	hdms_base64url_write(random, sizeof(random), epoch);
	result = query_run(conn, "UPDATE hdms_server.server_meta SET epoch = $1"
					   " RETURNING session_secret, COALESCE(pg_relation_filenode('hdms_server.mailbox')::int8, 0)", 1, values);
	if (result == NULL || PQntuples(result) != 1)
	{
		PQclear(result);
		return false;
	}
	secret = PQunescapeBytea((const unsigned char *) PQgetvalue(result, 0, 0), &secret_len);
	ok = secret != NULL && secret_len == sizeof(database->session_secret);
	if (ok)
	{
		pthread_mutex_lock(&database->lock);
		memcpy(database->epoch, epoch, sizeof(epoch));
		memcpy(database->session_secret, secret, secret_len);
		database->mailbox_file = atoll(PQgetvalue(result, 0, 1));
		pthread_mutex_unlock(&database->lock);
		metrics_count(COUNTER_EPOCH_CHANGES, 1);
		log_event(LEVEL_INFO, "epoch_changed", "epoch=s", epoch, NULL);
	}
	if (secret != NULL)
		OPENSSL_cleanse(secret, secret_len);
	PQfreemem(secret);
	PQclear(result);
	return ok;
}

/* Makes a connection part of a generation. */
static bool
database_enter(Database *database, PGconn *conn, uint64_t generation)
{
	bool		entered;
	bool		ok;

	pthread_mutex_lock(&database->enter_lock);
	pthread_mutex_lock(&database->lock);
	entered = database->entered;
	pthread_mutex_unlock(&database->lock);
	ok = entered || change_epoch(database, conn);
	if (ok && !entered)
	{
		usage_forget_all(database->usage);
		floors_forget_all(database->floors);
		database->events.entered(database->events.context);
	}
	pthread_mutex_lock(&database->lock);
	ok = ok && generation == database->generation;
	if (ok)
	{
		database->entered = true;
		database->connected++;
		database->unusable_logged = false;
		metrics_gauge_set(GAUGE_DATABASE_READY, 1);
	}
	pthread_mutex_unlock(&database->lock);
	pthread_mutex_unlock(&database->enter_lock);
	if (ok && !entered)
		database->events.ready(database->events.context);
	return ok;
}

/* Whether the tables are those that this program knows. Says so once when they are not. */
static bool
schema_fits(Database *database, PGconn *conn)
{
	int			current = migrate_current(conn);
	bool		is_news;

	if (current == migrate_newest())
		return true;
	pthread_mutex_lock(&database->lock);
	is_news = !database->unusable_logged;
	database->unusable_logged = true;
	pthread_mutex_unlock(&database->lock);
	if (is_news)
		log_event(LEVEL_ERROR, "database_not_ready", "schema=i", (int64_t) current, "needed=i", (int64_t) migrate_newest(),
				  "hint=s", current > migrate_newest() ? "this program is older than the database" : "run hdms-server migrate", NULL);
	return false;
}

/* One attempt. On success the pipeline is open and belongs to the generation. */
static bool
database_connect(Database *database, Pipeline *pipeline, uint64_t *generation)
{
	PGconn	   *conn;

	pthread_mutex_lock(&database->lock);
	*generation = database->generation;
	pthread_mutex_unlock(&database->lock);
	conn = query_connect((*database->config)->database);
	if (conn == NULL)
		return false;
	if (!schema_fits(database, conn) || !database_enter(database, conn, *generation))
	{
		PQfinish(conn);
		return false;
	}
	if (!query_do(conn, "SET synchronous_commit = off", 0, NULL) || !pipeline_open(pipeline, conn))
	{
		PQfinish(conn);
		database_lose(database, *generation, "prepare");
		return false;
	}
	return true;
}

/* Waits, unless the server stops. */
static void
back_off(Database *database, int64_t milliseconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (milliseconds % 1000) * 1000000;
	until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&database->lock);
	while (!database->stopping && pthread_cond_timedwait(&database->stopped, &database->lock, &until) == 0)
		;
	pthread_mutex_unlock(&database->lock);
}

/* Moves queued operations into a batch, up to its bounds. The lock is held. */
static void
batch_take(Database *database, Batch *batch)
{
	size_t		bytes = 0;
	int			fetches = 0;
	int			registrations = 0;

	batch->count = 0;
	while (database->first != NULL && batch->count < BATCH_MAX)
	{
		Operation  *operation = database->first;

		bytes += operation_bytes(operation);
		fetches += operation->kind == OPERATION_MAILBOX && operation->mailbox.limit > 0;
		registrations += operation->kind == OPERATION_REGISTER;
		if (batch->count > 0 && (bytes > BATCH_MAX_BYTES || fetches > BATCH_MAX_FETCHES || registrations > BATCH_MAX_REGISTRATIONS))
			break;
		database->first = operation->next;
		if (database->first == NULL)
			database->last = &database->first;
		database->queued--;
		database->queued_bytes -= operation_bytes(operation);
		operation->next = NULL;
		batch->operations[batch->count++] = operation;
	}
	metrics_gauge_set(GAUGE_DATABASE_QUEUE, (int64_t) database->queued);
}

/* Tells what a committed batch changed, then answers. */
static void
batch_announce(Database *database, const Batch *batch)
{
	const DatabaseEvents *events = &database->events;

	for (int i = 0; i < batch->count; i++)
	{
		const Operation *operation = batch->operations[i];
		const char *previous = NULL;

		if (!batch->active[i])
			continue;
		for (size_t p = 0; operation->kind == OPERATION_PUT && p < operation->put.count; p++)
		{
			const char *to = operation->put.parcels[p].to;

			if (operation->put.results[p].status != 201 || (previous != NULL && strcmp(previous, to) == 0))
				continue;
			previous = to;
			events->mail_stored(events->context, to);
		}
		if (operation->kind == OPERATION_REGISTER)
		{
			events->node_changed(events->context, hdms_history_node_id(operation->registration->history));
			if (operation->registration->lists_changed)
				events->lists_wanted(events->context);
		}
	}
}

static void
batch_complete(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
		batch->operations[i]->complete(batch->operations[i]);
}

static void
batch_refuse(Batch *batch, OperationOutcome outcome)
{
	for (int i = 0; i < batch->count; i++)
		batch->operations[i]->outcome = outcome;
	batch_complete(batch);
}

/* Learns the newest epoch; false when the mailbox is not the one that this generation was entered with. */
static bool
adopt_meta(Database *database, const Batch *batch)
{
	bool		same;

	pthread_mutex_lock(&database->lock);
	same = batch->epoch[0] != '\0' && batch->mailbox_file == database->mailbox_file;
	if (same)
		memcpy(database->epoch, batch->epoch, EPOCH_SIZE);
	pthread_mutex_unlock(&database->lock);
	return same;
}

static PipelineStatus
batch_attempt(Database *database, Batch *batch)
{
	int64_t		started = monotonic_us();
	PipelineStatus status;

	batch->usage = database->usage;
	batch->floors = database->floors;
	batch->config = *database->config;
	batch->now = wall_seconds();
	status = batch_run(batch);
	metrics_count(COUNTER_DATABASE_BATCHES, 1);
	metrics_observe(HISTOGRAM_BATCH_SIZE, (uint64_t) batch->count);
	metrics_observe(HISTOGRAM_BATCH_SECONDS, (uint64_t) (monotonic_us() - started));
	if (status != PIPELINE_OK && status != PIPELINE_LOST && pipeline_roll_back(batch->pipeline) != PIPELINE_OK)
		return PIPELINE_LOST;
	return status;
}

/*
 * Runs a batch to its end. When PostgreSQL refuses it, each operation is run by itself, so that one bad operation
 * fails alone. False when the connection cannot be used any more.
 */
static bool
database_work(Database *database, Batch *batch)
{
	PipelineStatus status = batch_attempt(database, batch);

	for (int tries = 1; status == PIPELINE_CONFLICT && batch->count == 1 && tries < CONFLICT_TRIES; tries++)
	{
		metrics_count(COUNTER_DATABASE_RETRIES, 1);
		status = batch_attempt(database, batch);
	}
	if ((status == PIPELINE_CONFLICT || status == PIPELINE_ERROR) && batch->count > 1)
	{
		Batch		single = {.pipeline = batch->pipeline};

		metrics_count(COUNTER_DATABASE_RETRIES, 1);
		for (int i = 0; i < batch->count; i++)
		{
			single.operations[0] = batch->operations[i];
			single.count = 1;
			if (database_work(database, &single))
				continue;
			memmove(batch->operations, batch->operations + i + 1, sizeof(Operation *) * (size_t) (batch->count - i - 1));
			batch->count -= i + 1;
			batch_refuse(batch, OUTCOME_NOT_READY);
			return false;
		}
		return true;
	}
	switch (status)
	{
		case PIPELINE_OK:
			batch_announce(database, batch);
			if (!adopt_meta(database, batch))
			{
				batch_complete(batch);
				return false;
			}
			batch_complete(batch);
			return true;
		case PIPELINE_CONFLICT:
		case PIPELINE_BUSY:
			batch_refuse(batch, OUTCOME_BUSY);
			return true;
		case PIPELINE_ERROR:
			batch_refuse(batch, OUTCOME_FAILED);
			return true;
		default:
			batch_refuse(batch, OUTCOME_NOT_READY);
			return false;
	}
}

/* Whether an idle connection was closed from the other side. */
static bool
connection_is_dead(PGconn *conn)
{
	struct pollfd descriptor = {.fd = PQsocket(conn), .events = POLLIN};

	if (descriptor.fd < 0)
		return true;
	if (poll(&descriptor, 1, 0) <= 0)
		return false;
	return PQconsumeInput(conn) != 1 || PQstatus(conn) != CONNECTION_OK;
}

/* Waits for work. False when the generation is over or the server stops and nothing is queued. */
static bool
database_next(Database *database, Batch *batch, uint64_t generation)
{
	bool		usable = true;

	pthread_mutex_lock(&database->lock);
	while (database->first == NULL && !database->stopping && generation == database->generation && usable)
	{
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += IDLE_CHECK_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&database->available, &database->lock, &until) == ETIMEDOUT)
			usable = !connection_is_dead(batch->pipeline->conn);
	}
	usable = usable && generation == database->generation && database->first != NULL;
	if (usable)
		batch_take(database, batch);
	pthread_mutex_unlock(&database->lock);
	return usable;
}

static bool
database_is_stopping(Database *database)
{
	bool		stopping;

	pthread_mutex_lock(&database->lock);
	stopping = database->stopping;
	pthread_mutex_unlock(&database->lock);
	return stopping;
}

static void *
database_thread(void *argument)
{
	Database   *database = argument;
	int64_t		wait = BACKOFF_FIRST_MS;

	while (!database_is_stopping(database))
	{
		Pipeline	pipeline = {0};
		Batch	   *batch;
		uint64_t	generation;
		bool		usable = true;

		if (!database_connect(database, &pipeline, &generation))
		{
			back_off(database, wait);
			wait = wait * 2 < BACKOFF_MAX_MS ? wait * 2 : BACKOFF_MAX_MS;
			continue;
		}
		wait = BACKOFF_FIRST_MS;
		log_event(LEVEL_INFO, "database_connected", NULL);
		batch = calloc(1, sizeof(Batch));
		if (batch != NULL)
			batch->pipeline = &pipeline;
		while (batch != NULL && usable && database_next(database, batch, generation))
			usable = database_work(database, batch);
		free(batch);
		if (!usable || !database_is_stopping(database))
			database_lose(database, generation, usable ? "closed" : "failed");
		pipeline_close(&pipeline);
	}
	return NULL;
}

Database *
database_start(const Config *_Atomic *config, Usage *usage, const DatabaseEvents *events)
{
	Database   *database = calloc(1, sizeof(Database));

	if (database == NULL)
		return NULL;
	database->floors = floors_new();
	if (database->floors == NULL)
	{
		free(database);
		return NULL;
	}
	database->config = config;
	database->usage = usage;
	database->events = *events;
	database->last = &database->first;
	pthread_mutex_init(&database->lock, NULL);
	pthread_mutex_init(&database->enter_lock, NULL);
	pthread_cond_init(&database->available, NULL);
	pthread_cond_init(&database->stopped, NULL);
	for (int i = 0; i < (*config)->database_connections; i++)
	{
		if (pthread_create(&database->threads[i], NULL, database_thread, database) != 0)
			break;
		database->threads_count++;
	}
	return database;
}

void
database_stop(Database *database)
{
	Operation  *orphans;

	if (database == NULL)
		return;
	pthread_mutex_lock(&database->lock);
	database->stopping = true;
	pthread_cond_broadcast(&database->available);
	pthread_cond_broadcast(&database->stopped);
	pthread_mutex_unlock(&database->lock);
	for (int i = 0; i < database->threads_count; i++)
		pthread_join(database->threads[i], NULL);
	pthread_mutex_lock(&database->lock);
	orphans = queue_empty(database);
	pthread_mutex_unlock(&database->lock);
	operations_complete(orphans, OUTCOME_NOT_READY);
	pthread_mutex_destroy(&database->lock);
	pthread_mutex_destroy(&database->enter_lock);
	pthread_cond_destroy(&database->available);
	pthread_cond_destroy(&database->stopped);
	OPENSSL_cleanse(database->session_secret, sizeof(database->session_secret));
	floors_free(database->floors);
	free(database);
}

void
database_submit(Database *database, Operation *operation)
{
	OperationOutcome refusal = OUTCOME_DONE;

	operation->next = NULL;
	operation->epoch[0] = '\0';
	pthread_mutex_lock(&database->lock);
	if (database->connected == 0 || database->stopping)
		refusal = OUTCOME_NOT_READY;
	else if (database->queued >= QUEUE_MAX || database->queued_bytes + operation_bytes(operation) > QUEUE_MAX_BYTES)
		refusal = OUTCOME_BUSY;
	else
	{
		*database->last = operation;
		database->last = &operation->next;
		database->queued++;
		database->queued_bytes += operation_bytes(operation);
		pthread_cond_signal(&database->available);
	}
	pthread_mutex_unlock(&database->lock);
	if (refusal != OUTCOME_DONE)
		operations_complete(operation, refusal);
}

bool
database_is_ready(Database *database)
{
	bool		ready;

	pthread_mutex_lock(&database->lock);
	ready = database->connected > 0;
	pthread_mutex_unlock(&database->lock);
	return ready;
}

void
database_epoch(Database *database, char epoch[EPOCH_SIZE])
{
	pthread_mutex_lock(&database->lock);
	memcpy(epoch, database->epoch, EPOCH_SIZE);
	pthread_mutex_unlock(&database->lock);
}

bool
database_session_secret(Database *database, unsigned char secret[32])
{
	bool		known;

	pthread_mutex_lock(&database->lock);
	known = database->epoch[0] != '\0';
	memcpy(secret, database->session_secret, 32);
	pthread_mutex_unlock(&database->lock);
	return known;
}
