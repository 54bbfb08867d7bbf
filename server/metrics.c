/*
 * metrics.c
 *		Counters, gauges and histograms of the process, and their Prometheus text.
 *
 * All are plain atomics: counting costs one relaxed addition. Nothing here is labelled by node, so that the metrics
 * tell nobody who writes to whom.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "metrics.h"

static const struct
{
	const char *name;
	const char *help;
}			counter_names[COUNTER_COUNT] = {
	[COUNTER_ENVELOPES_STORED] = {"hdms_envelopes_stored_total", "Envelopes that were put and stored"},
	[COUNTER_ENVELOPES_DUPLICATE] = {"hdms_envelopes_duplicate_total", "Envelopes that were put while still held"},
	[COUNTER_ENVELOPES_FETCHED] = {"hdms_envelopes_fetched_total", "Envelopes handed to their receivers, repetitions included"},
	[COUNTER_ENVELOPES_ACKNOWLEDGED] = {"hdms_envelopes_acknowledged_total", "Envelopes that their receivers acknowledged"},
	[COUNTER_ENVELOPES_EXPIRED] = {"hdms_envelopes_expired_total", "Envelopes deleted after their time to live"},
	[COUNTER_ENVELOPES_REFUSED_FULL] = {"hdms_envelopes_refused_full_total", "Envelopes refused because the mailbox was full"},
	[COUNTER_BYTES_STORED] = {"hdms_envelope_bytes_stored_total", "Bytes of stored envelopes"},
	[COUNTER_BYTES_ACKNOWLEDGED] = {"hdms_envelope_bytes_acknowledged_total", "Bytes of acknowledged envelopes"},
	[COUNTER_WAKES_LOCAL] = {"hdms_wakes_local_total", "Waiting requests woken by a put through this process"},
	[COUNTER_WAKES_REMOTE] = {"hdms_wakes_remote_total", "Waiting requests woken by another process"},
	[COUNTER_NOTIFICATIONS_SENT] = {"hdms_notifications_sent_total", "NOTIFY messages sent to other processes"},
	[COUNTER_RATE_LIMITED] = {"hdms_rate_limited_total", "Requests and envelopes refused by a rate limit"},
	[COUNTER_DATABASE_BATCHES] = {"hdms_database_batches_total", "Database transactions"},
	[COUNTER_DATABASE_RETRIES] = {"hdms_database_retries_total", "Database transactions repeated after a conflict"},
	[COUNTER_DATABASE_LOST] = {"hdms_database_lost_total", "Times that the database connection was lost"},
	[COUNTER_EPOCH_CHANGES] = {"hdms_epoch_changes_total", "Times that this process changed the epoch"},
	[COUNTER_NODE_CACHE_HITS] = {"hdms_node_cache_hits_total", "Nodes found in memory"},
	[COUNTER_NODE_CACHE_MISSES] = {"hdms_node_cache_misses_total", "Nodes loaded from the database"},
	[COUNTER_NODES_REGISTERED] = {"hdms_nodes_registered_total", "Nodes registered for the first time"},
	[COUNTER_NODES_FROZEN] = {"hdms_nodes_frozen_total", "Nodes frozen because of contradicting histories"},
	[COUNTER_NOTARY_LISTS_SIGNED] = {"hdms_notary_lists_signed_total", "Lists of notaries signed by this process"},
	[COUNTER_DIRECTORY_LOG_RESTARTS] = {"hdms_directory_log_restarts_total", "Times that this process began a new generation of the directory's log because leaves were lost"},
	[COUNTER_LOG_TILES_STORED] = {"hdms_log_tiles_stored_total", "Tiles and checkpoints that institutions put"},
	[COUNTER_LOG_TILES_SERVED] = {"hdms_log_tiles_served_total", "Tiles and checkpoints that were asked for and handed out"},
};

static const struct
{
	const char *name;
	const char *help;
}			gauge_names[GAUGE_COUNT] = {
	[GAUGE_WAITERS] = {"hdms_waiters", "Long polls and event streams"},
	[GAUGE_CONNECTIONS] = {"hdms_connections", "Open client connections"},
	[GAUGE_DATABASE_READY] = {"hdms_database_ready", "1 while the database can be used"},
	[GAUGE_DATABASE_QUEUE] = {"hdms_database_queue", "Operations that wait for a database connection"},
	[GAUGE_BODY_BYTES] = {"hdms_body_bytes", "Bytes of request and response bodies in memory"},
	[GAUGE_MAILBOX_BYTES] = {"hdms_mailbox_bytes", "Bytes in all mailboxes, counted now and then by one of the processes"},
	[GAUGE_MAILBOX_ENVELOPES] = {"hdms_mailbox_envelopes", "Envelopes in all mailboxes, counted now and then by one of the processes"},
	[GAUGE_NODE_CACHE_ENTRIES] = {"hdms_node_cache_entries", "Nodes held in memory"},
	[GAUGE_DIRECTORY_LOG_SIZE] = {"hdms_directory_log_size", "Leaves of the directory's log, as this process wrote it last"},
};

static const char *const failure_names[AUTHENTICATION_COUNT] = {
	[AUTHENTICATION_MISSING] = "missing", [AUTHENTICATION_UNKNOWN_NODE] = "unknown-node",
	[AUTHENTICATION_BAD_SIGNATURE] = "bad-signature", [AUTHENTICATION_CLOCK_SKEW] = "clock-skew",
	[AUTHENTICATION_UNKNOWN_SESSION] = "unknown-session", [AUTHENTICATION_REPLAYED] = "replayed",
	[AUTHENTICATION_FROZEN] = "frozen", [AUTHENTICATION_PENDING] = "pending",
};

static const int statuses[] = {200, 201, 202, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 429, 500, 503, 507, 0};

#define STATUS_COUNT	(sizeof(statuses) / sizeof(statuses[0]))
#define BUCKETS			10

static const struct
{
	const char *name;
	const char *help;
	double		unit;
	uint64_t	bounds[BUCKETS];
}			histogram_names[HISTOGRAM_COUNT] = {
	[HISTOGRAM_BATCH_SIZE] = {"hdms_database_batch_operations", "Operations in one transaction", 1, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}},
	[HISTOGRAM_BATCH_SECONDS] = {"hdms_database_batch_seconds", "Time of one transaction", 1e-6,
	{500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 500000, 2000000}},
};

static _Atomic uint64_t counters[COUNTER_COUNT];
static _Atomic int64_t gauges[GAUGE_COUNT];
static _Atomic uint64_t requests[ROUTE_COUNT][STATUS_COUNT];
static _Atomic uint64_t failures[AUTHENTICATION_COUNT];
static _Atomic uint64_t observations[HISTOGRAM_COUNT][BUCKETS + 1];
static _Atomic uint64_t observed_sum[HISTOGRAM_COUNT];

void
metrics_count(Counter counter, uint64_t by)
{
	atomic_fetch_add_explicit(&counters[counter], by, memory_order_relaxed);
}

void
metrics_gauge_add(Gauge gauge, int64_t by)
{
	atomic_fetch_add_explicit(&gauges[gauge], by, memory_order_relaxed);
}

void
metrics_gauge_set(Gauge gauge, int64_t value)
{
	atomic_store_explicit(&gauges[gauge], value, memory_order_relaxed);
}

int64_t
metrics_gauge_get(Gauge gauge)
{
	return atomic_load_explicit(&gauges[gauge], memory_order_relaxed);
}

void
metrics_request(RouteId route, int status)
{
	size_t		i = 0;

	while (statuses[i] != 0 && statuses[i] != status)
		i++;
	atomic_fetch_add_explicit(&requests[route][i], 1, memory_order_relaxed);
}

void
metrics_authentication_failed(AuthenticationFailure failure)
{
	atomic_fetch_add_explicit(&failures[failure], 1, memory_order_relaxed);
}

void
metrics_observe(Histogram histogram, uint64_t value)
{
	int			i = 0;

	while (i < BUCKETS && value > histogram_names[histogram].bounds[i])
		i++;
	atomic_fetch_add_explicit(&observations[histogram][i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&observed_sum[histogram], value, memory_order_relaxed);
}

static void
print_header(FILE *out, const char *name, const char *help, const char *type)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
print_requests(FILE *out)
{
	print_header(out, "hdms_requests_total", "Answered requests", "counter");
	for (int route = 0; route < ROUTE_COUNT; route++)
	{
		for (size_t i = 0; i < STATUS_COUNT; i++)
		{
			unsigned long long value = requests[route][i];

			if (value == 0)
				continue;
			if (statuses[i] == 0)
				fprintf(out, "hdms_requests_total{route=\"%s\",status=\"other\"} %llu\n", route_name((RouteId) route), value);
			else
				fprintf(out, "hdms_requests_total{route=\"%s\",status=\"%d\"} %llu\n", route_name((RouteId) route), statuses[i], value);
		}
	}
}

static void
print_histogram(FILE *out, Histogram histogram)
{
	const char *name = histogram_names[histogram].name;
	unsigned long long total = 0;

	print_header(out, name, histogram_names[histogram].help, "histogram");
	for (int i = 0; i < BUCKETS; i++)
	{
		total += observations[histogram][i];
		fprintf(out, "%s_bucket{le=\"%g\"} %llu\n", name, (double) histogram_names[histogram].bounds[i] * histogram_names[histogram].unit, total);
	}
	total += observations[histogram][BUCKETS];
	fprintf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %g\n%s_count %llu\n", name, total, name,
			(double) observed_sum[histogram] * histogram_names[histogram].unit, name, total);
}

char *
metrics_print(size_t *len)
{
	char	   *text = NULL;
	FILE	   *out = open_memstream(&text, len);

	if (out == NULL)
		return NULL;
	for (int i = 0; i < COUNTER_COUNT; i++)
	{
		print_header(out, counter_names[i].name, counter_names[i].help, "counter");
		fprintf(out, "%s %llu\n", counter_names[i].name, (unsigned long long) counters[i]);
	}
	for (int i = 0; i < GAUGE_COUNT; i++)
	{
		print_header(out, gauge_names[i].name, gauge_names[i].help, "gauge");
		fprintf(out, "%s %lld\n", gauge_names[i].name, (long long) gauges[i]);
	}
	print_header(out, "hdms_authentication_failures_total", "Requests whose sender could not be verified", "counter");
	for (int i = 0; i < AUTHENTICATION_COUNT; i++)
		fprintf(out, "hdms_authentication_failures_total{reason=\"%s\"} %llu\n", failure_names[i], (unsigned long long) failures[i]);
	print_requests(out);
	for (int i = 0; i < HISTOGRAM_COUNT; i++)
		print_histogram(out, (Histogram) i);
	if (fclose(out) != 0)
	{
		free(text);
		return NULL;
	}
	return text;
}
