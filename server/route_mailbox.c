/*
 * route_mailbox.c
 *		Fetching and acknowledging, with or without waiting.
 *
 * A long poll stays suspended from its first look at the mailbox to its answer. It is registered as a waiter before
 * that look; when the look finds nothing it is parked, and what wakes it submits the same look again, without
 * any HTTP thread taking part.
 */
#include <stdlib.h>
#include <string.h>

#include "authenticate.h"
#include "routes.h"
#include "server_clock.h"

#define WAIT_MAX		60
#define LIMIT_DEFAULT	100
#define LIMIT_MAX		1000
#define ACK_MAX			10000

typedef struct Fetching
{
	Waiter		waiter;			/* must be first */
	Request    *request;
	bool		waiting;		/* the waiter is in the table */
	bool		looked;			/* at least once */
	int64_t		deadline;
	char	  **ids;
	size_t		ids_count;
} Fetching;

static void
fetching_free(Request *request)
{
	Fetching   *fetching = request->state;

	if (fetching->waiting)
		waiter_remove(request->server->waiters, &fetching->waiter);
	hdms_parcels_free(request->operation.mailbox.parcels, request->operation.mailbox.count);
	for (size_t i = 0; i < fetching->ids_count; i++)
		free(fetching->ids[i]);
	free(fetching->ids);
	free(fetching);
}

/* Answers with what there is, possibly nothing. */
static void
reply_mailbox(Request *request)
{
	Fetching   *fetching = request->state;
	char	   *json = NULL;

	if (fetching->waiting)
	{
		waiter_remove(request->server->waiters, &fetching->waiter);
		fetching->waiting = false;
	}
	if (request_operation_failed(request))
		return;
	if (hdms_wire_mailbox_print(request->operation.epoch, request->operation.mailbox.parcels, request->operation.mailbox.count,
								request->operation.mailbox.more, &json) != HDMS_OK)
		json = NULL;
	hdms_parcels_free(request->operation.mailbox.parcels, request->operation.mailbox.count);
	request->operation.mailbox.parcels = NULL;
	request->operation.mailbox.count = 0;
	request_reply_json(request, 200, json);
}

/*
 * Whether there is reason to wait on. A database that is away for a moment is waited for, too, once it has answered:
 * when it is back everybody looks again.
 */
static bool
nothing_yet(const Operation *operation, const Fetching *fetching)
{
	return (operation->outcome == OUTCOME_DONE && operation->mailbox.count == 0)
		|| (operation->outcome == OUTCOME_NOT_READY && fetching->looked);
}

/* After a look at the mailbox, in a database thread. The waiter is busy, and ours. */
static void
look_completed(Operation *operation)
{
	Request    *request = (Request *) operation;
	Fetching   *fetching = request->state;
	Server	   *server = request->server;
	int64_t		deadline = fetching->deadline;

	operation->nonce = NULL;	/* used up */
	if (operation->outcome == OUTCOME_DONE)
	{
		operation->mailbox.ids_count = 0;	/* acknowledged */
		fetching->looked = true;
	}
	if (nothing_yet(operation, fetching) && monotonic_ms() < deadline)
	{
		switch (waiter_park(server->waiters, &fetching->waiter, deadline))
		{
			case PARK_DONE:
				return;			/* it belongs to the table now */
			case PARK_WOKEN:
				database_submit(server->database, operation);
				return;
			case PARK_STOPPING:
				break;
		}
	}
	request_resume(request);
}

/* At the deadline it looks once more, so that the answer has the newest epoch and no lost wake-up lasts. */
static void
look_again(Waiter *waiter, WakeReason reason)
{
	Request    *request = ((Fetching *) (void *) waiter)->request;

	if (reason != WAKE_STOP)
		database_submit(request->server->database, &request->operation);
	else
		request_resume(request);
}

/* Starts looking; state is a Fetching, the operation's mailbox part is filled in. wait in seconds. */
static void
fetch(Request *request, int64_t wait, RequestStep reply)
{
	Fetching   *fetching = request->state;

	request->operation.kind = OPERATION_MAILBOX;
	request_drop_body(request);
	if (wait <= 0)
	{
		request_submit(request, reply);
		return;
	}
	fetching->deadline = monotonic_ms() + wait * 1000;
	fetching->waiter.wake = look_again;
	fetching->waiting = true;
	waiter_add(request->server->waiters, &fetching->waiter, request->node->id);
	request_submit_with(request, reply, look_completed);
}

static Fetching *
fetching_new(Request *request)
{
	Fetching   *fetching = calloc(1, sizeof(Fetching));

	if (fetching == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return NULL;
	}
	memset(&request->operation.mailbox, 0, sizeof(request->operation.mailbox));
	request->operation.mailbox.node = request->node->id;
	fetching->request = request;
	request->state = fetching;
	request->free_state = fetching_free;
	return fetching;
}

static void
mailbox_authenticated(Request *request)
{
	const char *accept = request_header(request, "Accept");
	int64_t		wait;
	int64_t		limit;

	if (!request_number(request, "wait", 1000000, 0, &wait) || !request_number(request, "limit", 1000000, LIMIT_DEFAULT, &limit) || limit == 0)
	{
		request_problem(request, 400, "bad-argument", "\"wait\" is a number of seconds, \"limit\" a number of envelopes");
		return;
	}
	if (accept != NULL && strstr(accept, "text/event-stream") != NULL)
	{
		event_stream_begin(request);
		return;
	}
	if (fetching_new(request) == NULL)
		return;
	request->operation.mailbox.limit = (int) (limit < LIMIT_MAX ? limit : LIMIT_MAX);
	fetch(request, wait < WAIT_MAX ? wait : WAIT_MAX, reply_mailbox);
}

void
route_mailbox(Request *request)
{
	authenticate(request, mailbox_authenticated);
}

static void
reply_acknowledged(Request *request)
{
	static const char done[] = "{}";

	if (!request_operation_failed(request))
		request_reply_json(request, 200, strdup(done));
}

static void
acknowledge_authenticated(Request *request)
{
	Fetching   *fetching = fetching_new(request);
	HdmsStatus	status;
	int			wait = -1;
	int			limit = 0;

	if (fetching == NULL)
		return;
	status = hdms_wire_ack_parse(request->body, request->body_len, &fetching->ids, &fetching->ids_count, &wait, &limit);
	if (status != HDMS_OK || fetching->ids_count > ACK_MAX)
	{
		if (status == HDMS_OK)
			status = HDMS_TOO_LARGE;
		request_problem(request, status == HDMS_TOO_LARGE ? 413 : 400, hdms_status_word(status), hdms_status_sentence(status));
		return;
	}
	request->operation.mailbox.ids = fetching->ids;
	request->operation.mailbox.ids_count = fetching->ids_count;
	if (wait < 0)
	{
		fetch(request, 0, reply_acknowledged);
		return;
	}
	if (limit <= 0)
		limit = LIMIT_DEFAULT;
	request->operation.mailbox.limit = limit < LIMIT_MAX ? limit : LIMIT_MAX;
	fetch(request, wait < WAIT_MAX ? wait : WAIT_MAX, reply_mailbox);
}

void
route_acknowledge(Request *request)
{
	authenticate(request, acknowledge_authenticated);
}
