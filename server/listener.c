/*
 * listener.c
 *		What server processes tell each other through the database: LISTEN and NOTIFY.
 *
 * A NOTIFY in each transaction would serialise all commits of the database. So wake-ups are collected for a few
 * milliseconds and sent as one message of many shortened ids, over the listener's own connection. A shortened id may
 * wake a stranger: who is woken looks for itself. While the connection is down, nodes are not kept in memory, because
 * nobody would say when they change; afterwards everybody who waits looks again.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bytes.h"
#include "listener.h"
#include "log.h"
#include "metrics.h"
#include "query.h"

#define SHORT_ID		8		/* characters */
#define MESSAGE_IDS		900		/* in one NOTIFY, whose payload is below 8000 bytes */
#define PENDING_MAX		(16 * MESSAGE_IDS)
#define COLLECT_MS		5
#define RETRY_MS		500
#define TAG_SIZE		9		/* with its NUL */

struct Listener
{
	const Config *_Atomic *config;
	NodeCache  *nodes;
	Usage	   *usage;
	WaiterTable *waiters;
	char		tag[TAG_SIZE];	/* of this process, so that it ignores what it said itself */
	int			event;			/* written to when there is something to send, or to stop for */
	pthread_t	thread;
	pthread_mutex_t lock;
	bool		stopping;
	bool		connected;
	bool		overflowed;		/* more was put than could be said: everybody is to look */
	size_t		pending_count;
	char		pending[PENDING_MAX][SHORT_ID];
};

static void
listener_signal(Listener *listener)
{
	uint64_t	one = 1;

	(void) !write(listener->event, &one, sizeof(one));
}

void
listener_announce(Listener *listener, const char *node)
{
	bool		first = false;
	bool		is_double = false;

	pthread_mutex_lock(&listener->lock);
	if (listener->connected)
	{
		size_t		look = listener->pending_count > 16 ? listener->pending_count - 16 : 0;

		for (size_t i = look; i < listener->pending_count; i++)
			is_double = is_double || memcmp(listener->pending[i], node, SHORT_ID) == 0;
		if (listener->pending_count == PENDING_MAX)
			listener->overflowed = true;
		else if (!is_double)
		{
			first = (listener->pending_count == 0);
			memcpy(listener->pending[listener->pending_count++], node, SHORT_ID);
		}
	}
	pthread_mutex_unlock(&listener->lock);
	if (first)
		listener_signal(listener);
}

static bool
listener_is_stopping(Listener *listener)
{
	bool		stopping;

	pthread_mutex_lock(&listener->lock);
	stopping = listener->stopping;
	pthread_mutex_unlock(&listener->lock);
	return stopping;
}

/* Waits for the event or the time, whichever is first. */
static void
listener_sleep(Listener *listener, int milliseconds)
{
	struct pollfd descriptor = {.fd = listener->event, .events = POLLIN};

	(void) poll(&descriptor, 1, milliseconds);
}

static bool
send_message(PGconn *conn, const char *payload)
{
	const char *values[] = {payload};

	metrics_count(COUNTER_NOTIFICATIONS_SENT, 1);
	return query_do(conn, "SELECT pg_notify('hdms_wake', $1)", 1, values);
}

/* Sends what was collected. */
static bool
send_pending(Listener *listener, PGconn *conn)
{
	char		payload[TAG_SIZE + MESSAGE_IDS * SHORT_ID + 1];
	bool		ok = true;
	bool		everybody;
	size_t		count;

	do
	{
		pthread_mutex_lock(&listener->lock);
		everybody = listener->overflowed;
		listener->overflowed = false;
		count = listener->pending_count < MESSAGE_IDS ? listener->pending_count : MESSAGE_IDS;
		listener->pending_count -= count;
		memcpy(payload + TAG_SIZE, listener->pending[listener->pending_count], count * SHORT_ID);
		pthread_mutex_unlock(&listener->lock);
		memcpy(payload, listener->tag, TAG_SIZE - 1);
		payload[TAG_SIZE - 1] = ' ';
		payload[TAG_SIZE + count * SHORT_ID] = '\0';
		if (everybody)
		{
			char		all[TAG_SIZE + 2];

			snprintf(all, sizeof(all), "%s *", listener->tag);
			ok = send_message(conn, all);
		}
		if (ok && count > 0)
			ok = send_message(conn, payload);
	}
	while (ok && count > 0);
	return ok;
}

static void
receive_wake(Listener *listener, const char *payload)
{
	size_t		len = strlen(payload);
	int			woken = 0;

	if (len < TAG_SIZE || strncmp(payload, listener->tag, TAG_SIZE - 1) == 0)
		return;
	payload += TAG_SIZE;
	len -= TAG_SIZE;
	if (strcmp(payload, "*") == 0)
	{
		waiters_wake_all(listener->waiters);
		return;
	}
	for (; len >= SHORT_ID; len -= SHORT_ID, payload += SHORT_ID)
		woken += waiters_wake(listener->waiters, payload);
	metrics_count(COUNTER_WAKES_REMOTE, (uint64_t) woken);
}

static void
receive_all(Listener *listener, PGconn *conn)
{
	PGnotify   *notification;

	while ((notification = PQnotifies(conn)) != NULL)
	{
		if (strcmp(notification->relname, "hdms_wake") == 0)
			receive_wake(listener, notification->extra);
		else if (strcmp(notification->relname, "hdms_nodes") == 0 && strlen(notification->extra) == HDMS_DIGEST_TEXT)
		{
			node_cache_forget(listener->nodes, notification->extra);
			usage_forget(listener->usage, notification->extra);
		}
		PQfreemem(notification);
	}
}

/* Listens and sends until the connection breaks or the server stops. */
static void
listener_work(Listener *listener, PGconn *conn)
{
	while (!listener_is_stopping(listener))
	{
		struct pollfd descriptors[2] = {{.fd = PQsocket(conn), .events = POLLIN}, {.fd = listener->event, .events = POLLIN}};

		if (poll(descriptors, 2, 10000) < 0 && errno != EINTR)
			return;
		if ((descriptors[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && PQconsumeInput(conn) != 1)
			return;
		receive_all(listener, conn);
		if ((descriptors[1].revents & POLLIN) != 0)
		{
			uint64_t	count;
			const struct timespec collect = {.tv_nsec = COLLECT_MS * 1000000};

			(void) !read(listener->event, &count, sizeof(count));
			nanosleep(&collect, NULL);
			if (!send_pending(listener, conn))
				return;
			receive_all(listener, conn);
		}
	}
}

static void
listener_switch(Listener *listener, bool connected)
{
	pthread_mutex_lock(&listener->lock);
	listener->connected = connected;
	listener->pending_count = 0;
	listener->overflowed = false;
	pthread_mutex_unlock(&listener->lock);
	node_cache_switch(listener->nodes, connected);
	usage_forget_all(listener->usage);
	if (connected)
		waiters_wake_all(listener->waiters);
}

static void *
listener_thread(void *argument)
{
	Listener   *listener = argument;

	while (!listener_is_stopping(listener))
	{
		PGconn	   *conn = query_connect((*listener->config)->database);

		if (conn != NULL && query_do(conn, "LISTEN hdms_wake", 0, NULL) && query_do(conn, "LISTEN hdms_nodes", 0, NULL))
		{
			listener_switch(listener, true);
			listener_work(listener, conn);
			listener_switch(listener, false);
		}
		PQfinish(conn);
		if (!listener_is_stopping(listener))
			listener_sleep(listener, RETRY_MS);
	}
	return NULL;
}

Listener *
listener_start(const Config *_Atomic *config, NodeCache *nodes, Usage *usage, WaiterTable *waiters)
{
	Listener   *listener = calloc(1, sizeof(Listener));
	unsigned char tag[6];

	if (listener == NULL)
		return NULL;
	listener->config = config;
	listener->nodes = nodes;
	listener->usage = usage;
	listener->waiters = waiters;
	listener->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&listener->lock, NULL);
	if (listener->event < 0 || hdms_random(tag, sizeof(tag)) != HDMS_OK)
	{
		free(listener);
		return NULL;
	}
	hdms_base64url_write(tag, sizeof(tag), listener->tag);
	if (pthread_create(&listener->thread, NULL, listener_thread, listener) != 0)
	{
		close(listener->event);
		free(listener);
		return NULL;
	}
	return listener;
}

void
listener_stop(Listener *listener)
{
	if (listener == NULL)
		return;
	pthread_mutex_lock(&listener->lock);
	listener->stopping = true;
	pthread_mutex_unlock(&listener->lock);
	listener_signal(listener);
	pthread_join(listener->thread, NULL);
	close(listener->event);
	pthread_mutex_destroy(&listener->lock);
	free(listener);
}
