/*
 * metrics.h
 *		Counters, gauges and histograms of the process, and their Prometheus text.
 */
#ifndef HDMS_SERVER_METRICS_H
#define HDMS_SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "route.h"

typedef enum Counter
{
	COUNTER_ENVELOPES_STORED,
	COUNTER_ENVELOPES_DUPLICATE,
	COUNTER_ENVELOPES_FETCHED,
	COUNTER_ENVELOPES_ACKNOWLEDGED,
	COUNTER_ENVELOPES_EXPIRED,
	COUNTER_ENVELOPES_REFUSED_FULL,
	COUNTER_BYTES_STORED,
	COUNTER_BYTES_ACKNOWLEDGED,
	COUNTER_WAKES_LOCAL,
	COUNTER_WAKES_REMOTE,
	COUNTER_NOTIFICATIONS_SENT,
	COUNTER_RATE_LIMITED,
	COUNTER_DATABASE_BATCHES,
	COUNTER_DATABASE_RETRIES,
	COUNTER_DATABASE_LOST,
	COUNTER_EPOCH_CHANGES,
	COUNTER_NODE_CACHE_HITS,
	COUNTER_NODE_CACHE_MISSES,
	COUNTER_NODES_REGISTERED,
	COUNTER_NODES_FROZEN,
	COUNTER_NOTARY_LISTS_SIGNED,
	COUNTER_DIRECTORY_LOG_RESTARTS,
	COUNTER_LOG_TILES_STORED,
	COUNTER_LOG_TILES_SERVED,
	COUNTER_COUNT
} Counter;

typedef enum Gauge
{
	GAUGE_WAITERS,
	GAUGE_CONNECTIONS,
	GAUGE_DATABASE_READY,
	GAUGE_DATABASE_QUEUE,
	GAUGE_BODY_BYTES,
	GAUGE_MAILBOX_BYTES,
	GAUGE_MAILBOX_ENVELOPES,
	GAUGE_NODE_CACHE_ENTRIES,
	GAUGE_DIRECTORY_LOG_SIZE,
	GAUGE_COUNT
} Gauge;

typedef enum AuthenticationFailure
{
	AUTHENTICATION_MISSING,
	AUTHENTICATION_UNKNOWN_NODE,
	AUTHENTICATION_BAD_SIGNATURE,
	AUTHENTICATION_CLOCK_SKEW,
	AUTHENTICATION_UNKNOWN_SESSION,
	AUTHENTICATION_REPLAYED,
	AUTHENTICATION_FROZEN,
	AUTHENTICATION_PENDING,
	AUTHENTICATION_COUNT
} AuthenticationFailure;

typedef enum Histogram
{
	HISTOGRAM_BATCH_SIZE,		/* operations */
	HISTOGRAM_BATCH_SECONDS,	/* observed in microseconds */
	HISTOGRAM_COUNT
} Histogram;

extern void metrics_count(Counter counter, uint64_t by);
extern void metrics_gauge_add(Gauge gauge, int64_t by);
extern void metrics_gauge_set(Gauge gauge, int64_t value);
extern int64_t metrics_gauge_get(Gauge gauge);
extern void metrics_request(RouteId route, int status);
extern void metrics_authentication_failed(AuthenticationFailure failure);
extern void metrics_observe(Histogram histogram, uint64_t value);

/* Prometheus text format 0.0.4, malloc'ed; NULL when out of memory. */
extern char *metrics_print(size_t *len);

#endif
