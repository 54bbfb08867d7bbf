/*
 * housekeeper.c
 *		What is to be done now and then: one process at a time does it for all.
 *
 * Expired envelopes, old nonces, expired vouchers and forgotten registrations are deleted in small batches, so that no transaction is long and
 * nobody waits for a lock; the list of notaries is signed anew before it gets too old; mailboxes are counted for the
 * metrics. Each kind of work is under an advisory lock that is only tried: who does not get it leaves it to whoever has it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "housekeeper.h"
#include "log.h"
#include "metrics.h"
#include "migrate.h"
#include "notary_list.h"
#include "query.h"
#include "server_clock.h"

#define ROUND_MS		2000
#define LISTS_EVERY_MS	30000	/* at most */
#define COUNT_EVERY_MS	60000
#define BATCH_ROWS		"1000"
#define BATCHES_MAX		50		/* of one kind in one round */
#define NONCE_SECONDS	600
#define SEEN_MAX		256

struct Housekeeper
{
	const Config *_Atomic *config;
	const HdmsKey *network;
	pthread_t	thread;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	bool		stopping;
	bool		lists_wanted;
	bool		directory_wanted;
	SeenCheckpoint shown;		/* by a node; generation 0: none since the last round */
	size_t		seen_count;
	char		seen[SEEN_MAX][HDMS_DIGEST_TEXT + 1];	/* pending institutions that were heard of */
};

/* Deletes in batches what a statement with a time and a limit selects; returns how many, or -1. */
static int64_t
delete_batches(PGconn *conn, const char *sql, int64_t time)
{
	char		text[24];
	const char *values[] = {text};
	int64_t		total = 0;

	snprintf(text, sizeof(text), "%lld", (long long) time);
	for (int i = 0; i < BATCHES_MAX; i++)
	{
		PGresult   *result = query_run(conn, sql, 1, values);
		int64_t		deleted;

		if (result == NULL)
			return -1;
		deleted = atoll(PQcmdTuples(result));
		PQclear(result);
		total += deleted;
		if (deleted < atoll(BATCH_ROWS))
			break;
	}
	return total;
}

static bool
delete_expired(PGconn *conn, int64_t now)
{
	int64_t		envelopes = delete_batches(conn, "DELETE FROM hdms_server.mailbox USING (SELECT recipient, id FROM hdms_server.mailbox"
										   " WHERE expires <= $1::int8 ORDER BY expires LIMIT " BATCH_ROWS " FOR UPDATE SKIP LOCKED) AS old"
										   " WHERE mailbox.recipient = old.recipient AND mailbox.id = old.id", now);

	if (envelopes > 0)
		metrics_count(COUNTER_ENVELOPES_EXPIRED, (uint64_t) envelopes);
	return envelopes >= 0
		&& delete_batches(conn, "DELETE FROM hdms_server.nonces USING (SELECT node, nonce FROM hdms_server.nonces"
						  " WHERE seen < $1::int8 ORDER BY seen LIMIT " BATCH_ROWS " FOR UPDATE SKIP LOCKED) AS old"
						  " WHERE nonces.node = old.node AND nonces.nonce = old.nonce", now - NONCE_SECONDS) >= 0
		&& delete_batches(conn, "DELETE FROM hdms_server.vouchers_used USING (SELECT issuer, jti FROM hdms_server.vouchers_used"
						  " WHERE expires < $1::int8 ORDER BY expires LIMIT " BATCH_ROWS " FOR UPDATE SKIP LOCKED) AS old"
						  " WHERE vouchers_used.issuer = old.issuer AND vouchers_used.jti = old.jti", now - 86400) >= 0;
}

/*
 * Institutions that nobody admitted and that do not ask any more. One that asks after all is told that it is unknown,
 * and registers again.
 */
static bool
delete_pending(PGconn *conn, int64_t before)
{
	int64_t		deleted = delete_batches(conn, "WITH gone AS (DELETE FROM hdms_server.nodes USING (SELECT id FROM hdms_server.nodes"
										 " WHERE status = 'pending' AND registered < $1::int8 AND COALESCE(seen, 0) < $1::int8"
										 " ORDER BY registered LIMIT " BATCH_ROWS " FOR UPDATE SKIP LOCKED) AS old"
										 " WHERE nodes.id = old.id RETURNING nodes.id) SELECT pg_notify('hdms_nodes', id) FROM gone", before);

	if (deleted > 0)
		log_event(LEVEL_INFO, "pending_removed", "nodes=i", deleted, NULL);
	return deleted >= 0;
}

/* Writes down which pending institutions this process heard of. */
static bool
write_seen(Housekeeper *housekeeper, PGconn *conn, int64_t now)
{
	char		ids[SEEN_MAX * (HDMS_DIGEST_TEXT + 1) + 2];
	char		time[24];
	const char *values[] = {ids, time};
	size_t		len = 0;

	pthread_mutex_lock(&housekeeper->lock);
	for (size_t i = 0; i < housekeeper->seen_count; i++)
	{
		ids[len++] = i == 0 ? '{' : ',';
		memcpy(ids + len, housekeeper->seen[i], HDMS_DIGEST_TEXT);
		len += HDMS_DIGEST_TEXT;
	}
	housekeeper->seen_count = 0;
	pthread_mutex_unlock(&housekeeper->lock);
	if (len == 0)
		return true;
	memcpy(ids + len, "}", 2);
	snprintf(time, sizeof(time), "%lld", (long long) now);
	return query_do(conn, "UPDATE hdms_server.nodes SET seen = $2::int8 WHERE id = ANY ($1::text[]) AND status = 'pending'", 2, values);
}

/* Counts by the index alone. A count that takes too long is given up: the old figure stays. */
static void
count_mailboxes(PGconn *conn)
{
	PGresult   *result = query_run(conn, "SELECT count(*), COALESCE(sum(bytes), 0)::int8 FROM hdms_server.mailbox", 0, NULL);

	if (result != NULL)
	{
		metrics_gauge_set(GAUGE_MAILBOX_ENVELOPES, atoll(PQgetvalue(result, 0, 0)));
		metrics_gauge_set(GAUGE_MAILBOX_BYTES, atoll(PQgetvalue(result, 0, 1)));
	}
	PQclear(result);
}

static bool
try_lock(PGconn *conn, bool *locked)
{
	char		sql[96];
	PGresult   *result;

	snprintf(sql, sizeof(sql), "SELECT pg_try_advisory_lock(%d, %d)", QUERY_LOCK_CLASS, QUERY_LOCK_HOUSEKEEPING);
	result = query_run(conn, sql, 0, NULL);
	*locked = result != NULL && PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	return result != NULL;
}

static bool
unlock(PGconn *conn)
{
	char		sql[96];

	snprintf(sql, sizeof(sql), "SELECT pg_advisory_unlock(%d, %d)", QUERY_LOCK_CLASS, QUERY_LOCK_HOUSEKEEPING);
	return query_do(conn, sql, 0, NULL);
}

/* How often to look whether the list of notaries is old. */
static int64_t
lists_interval(const Housekeeper *housekeeper)
{
	int64_t		interval = (*housekeeper->config)->notary_list_max_age * 1000 / 40;

	return interval < LISTS_EVERY_MS ? interval : LISTS_EVERY_MS;
}

/* Waits for the next round, or for somebody who wants the lists looked at. */
static void
housekeeper_wait(Housekeeper *housekeeper, bool *lists_wanted, bool *stopping)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ROUND_MS / 1000;
	pthread_mutex_lock(&housekeeper->lock);
	while (!housekeeper->stopping && !housekeeper->lists_wanted && !housekeeper->directory_wanted
		   && pthread_cond_timedwait(&housekeeper->wanted, &housekeeper->lock, &until) == 0)
		;
	*lists_wanted = *lists_wanted || housekeeper->lists_wanted;
	housekeeper->lists_wanted = false;
	housekeeper->directory_wanted = false;
	*stopping = housekeeper->stopping;
	pthread_mutex_unlock(&housekeeper->lock);
}

/* Brings the directory's log up to date, and looks at what a node showed of it. */
static bool
sequence_directory(Housekeeper *housekeeper, PGconn *conn)
{
	SeenCheckpoint shown;

	pthread_mutex_lock(&housekeeper->lock);
	shown = housekeeper->shown;
	housekeeper->shown.generation = 0;
	pthread_mutex_unlock(&housekeeper->lock);
	return directory_sequence(conn, housekeeper->network, &shown, wall_seconds());
}

/* One round. False when the connection is of no use any more. */
static bool
housekeeper_round(Housekeeper *housekeeper, PGconn *conn, bool *lists_wanted, int64_t *count_due)
{
	bool		locked = false;
	bool		ok = true;

	if (!sequence_directory(housekeeper, conn))
		return false;
	if (*lists_wanted)
	{
		ok = notary_list_refresh(conn, housekeeper->network, (*housekeeper->config)->notary_list_max_age, wall_seconds()) != NOTARY_LIST_FAILED;
		*lists_wanted = !ok;
	}
	if (!ok || !write_seen(housekeeper, conn, wall_seconds()) || !try_lock(conn, &locked))
		return false;
	if (locked)
	{
		ok = delete_expired(conn, wall_seconds()) && delete_pending(conn, wall_seconds() - (*housekeeper->config)->pending_ttl);
		if (ok && monotonic_ms() >= *count_due)
		{
			count_mailboxes(conn);
			*count_due = monotonic_ms() + COUNT_EVERY_MS;
		}
		ok = unlock(conn) && ok;
	}
	return ok;
}

static void *
housekeeper_thread(void *argument)
{
	Housekeeper *housekeeper = argument;
	PGconn	   *conn = NULL;
	bool		stopping = false;
	bool		lists_wanted = true;
	int64_t		lists_due = 0;
	int64_t		count_due = 0;

	while (!stopping)
	{
		if (conn == NULL)
		{
			conn = query_connect((*housekeeper->config)->database);
			if (conn != NULL && migrate_current(conn) != migrate_newest())
			{
				PQfinish(conn);
				conn = NULL;
			}
			lists_wanted = true;
		}
		if (monotonic_ms() >= lists_due)
		{
			lists_wanted = true;
			lists_due = monotonic_ms() + lists_interval(housekeeper);
		}
		if (conn != NULL && !housekeeper_round(housekeeper, conn, &lists_wanted, &count_due))
		{
			PQfinish(conn);
			conn = NULL;
		}
		housekeeper_wait(housekeeper, &lists_wanted, &stopping);
	}
	PQfinish(conn);
	return NULL;
}

Housekeeper *
housekeeper_start(const Config *_Atomic *config, const HdmsKey *network)
{
	Housekeeper *housekeeper = calloc(1, sizeof(Housekeeper));

	if (housekeeper == NULL)
		return NULL;
	housekeeper->config = config;
	housekeeper->network = network;
	pthread_mutex_init(&housekeeper->lock, NULL);
	pthread_cond_init(&housekeeper->wanted, NULL);
	if (pthread_create(&housekeeper->thread, NULL, housekeeper_thread, housekeeper) != 0)
	{
		free(housekeeper);
		return NULL;
	}
	return housekeeper;
}

void
housekeeper_stop(Housekeeper *housekeeper)
{
	if (housekeeper == NULL)
		return;
	pthread_mutex_lock(&housekeeper->lock);
	housekeeper->stopping = true;
	pthread_cond_broadcast(&housekeeper->wanted);
	pthread_mutex_unlock(&housekeeper->lock);
	pthread_join(housekeeper->thread, NULL);
	pthread_mutex_destroy(&housekeeper->lock);
	pthread_cond_destroy(&housekeeper->wanted);
	free(housekeeper);
}

void
housekeeper_saw_pending(Housekeeper *housekeeper, const char *node)
{
	bool		is_double = false;

	pthread_mutex_lock(&housekeeper->lock);
	for (size_t i = 0; i < housekeeper->seen_count; i++)
		is_double = is_double || strcmp(housekeeper->seen[i], node) == 0;
	if (!is_double && housekeeper->seen_count < SEEN_MAX)
		memcpy(housekeeper->seen[housekeeper->seen_count++], node, HDMS_DIGEST_TEXT + 1);
	pthread_mutex_unlock(&housekeeper->lock);
}

void
housekeeper_look_at_lists(Housekeeper *housekeeper)
{
	pthread_mutex_lock(&housekeeper->lock);
	housekeeper->lists_wanted = true;
	pthread_cond_signal(&housekeeper->wanted);
	pthread_mutex_unlock(&housekeeper->lock);
}

void
housekeeper_look_at_directory(Housekeeper *housekeeper)
{
	pthread_mutex_lock(&housekeeper->lock);
	housekeeper->directory_wanted = true;
	pthread_cond_signal(&housekeeper->wanted);
	pthread_mutex_unlock(&housekeeper->lock);
}

void
housekeeper_was_shown(Housekeeper *housekeeper, const SeenCheckpoint *shown)
{
	SeenCheckpoint *kept = &housekeeper->shown;

	pthread_mutex_lock(&housekeeper->lock);
	if (shown->generation > kept->generation || (shown->generation == kept->generation && shown->size > kept->size))
		*kept = *shown;
	housekeeper->directory_wanted = true;
	pthread_cond_signal(&housekeeper->wanted);
	pthread_mutex_unlock(&housekeeper->lock);
}
