/*
 * event_stream.c
 *		GET /v1/mailbox as server-sent events.
 *
 * A stream looks at the mailbox when it is woken, and every 15 seconds. Because there is no cursor (one would lose
 * envelopes that commit late), it remembers which unacknowledged envelopes it has sent, and sends no more while a
 * thousand of them are out. Only the HTTP thread writes text; it parks the stream when there is nothing to write, and
 * whoever wakes the stream submits the next look.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"
#include "server_clock.h"

#define HEARTBEAT_MS	15000
#define LIFETIME_MS		(3600 * 1000)	/* then the node's key and status are verified again */
#define SENT_MAX		1000
#define LOOK_LIMIT		100

typedef struct EventStream
{
	Waiter		waiter;			/* must be first */
	Request    *request;
	char		epoch[EPOCH_SIZE];	/* the last one that was sent */
	int64_t    *sent;			/* sequence numbers; at most SENT_MAX */
	size_t		sent_count;
	char	   *text;			/* to be written */
	size_t		text_len;
	size_t		text_sent;
	size_t		counted;		/* of the memory for bodies */
	int64_t		ends;			/* monotonic ms */
	bool		looked;			/* the operation has results that are not text yet */
	bool		more;			/* the last look left something */
	bool		ending;
} EventStream;

static void
stream_drop_results(Request *request)
{
	hdms_parcels_free(request->operation.mailbox.parcels, request->operation.mailbox.count);
	free(request->operation.mailbox.seqs);
	free(request->operation.mailbox.held);
	request->operation.mailbox.parcels = NULL;
	request->operation.mailbox.seqs = NULL;
	request->operation.mailbox.held = NULL;
	request->operation.mailbox.count = request->operation.mailbox.held_count = 0;
	request->operation.mailbox.more = false;
}

static void
stream_free(Request *request)
{
	EventStream *stream = request->state;

	waiter_remove(request->server->waiters, &stream->waiter);
	metrics_gauge_add(GAUGE_BODY_BYTES, -(int64_t) stream->counted);
	stream_drop_results(request);
	free(stream->sent);
	free(stream->text);
	free(stream);
}

static void
stream_looked(Operation *operation)
{
	Request    *request = (Request *) operation;
	EventStream *stream = request->state;

	stream->looked = true;
	request_resume(request);
}

/* The connection is suspended; the stream is ours. */
static void
stream_look(EventStream *stream)
{
	Operation  *operation = &stream->request->operation;

	waiter_reset(stream->request->server->waiters, &stream->waiter);
	operation->nonce = NULL;
	operation->mailbox.sent = stream->sent;
	operation->mailbox.sent_count = stream->sent_count;
	operation->mailbox.limit = LOOK_LIMIT;
	if (stream->sent_count + LOOK_LIMIT > SENT_MAX)
		operation->mailbox.limit = (int) (SENT_MAX - stream->sent_count);
	operation->complete = stream_looked;
	database_submit(stream->request->server->database, operation);
}

static void
stream_woken(Waiter *waiter, WakeReason reason)
{
	EventStream *stream = (EventStream *) (void *) waiter;

	if (reason == WAKE_STOP)
	{
		stream->ending = true;
		request_resume(stream->request);
	}
	else
		stream_look(stream);
}

/* Keeps of what was sent only what is still in the mailbox, and adds what is sent now. */
static bool
stream_remember(EventStream *stream)
{
	Operation  *operation = &stream->request->operation;
	size_t		count = operation->mailbox.held_count + operation->mailbox.count;
	int64_t    *sent = count > 0 ? malloc(count * sizeof(int64_t)) : NULL;

	if (count > 0 && sent == NULL)
		return false;
	for (size_t i = 0; i < operation->mailbox.held_count; i++)
		sent[i] = operation->mailbox.held[i];
	for (size_t i = 0; i < operation->mailbox.count; i++)
		sent[operation->mailbox.held_count + i] = operation->mailbox.seqs[i];
	free(stream->sent);
	stream->sent = sent;
	stream->sent_count = count;
	return true;
}

/* Turns the results of a look into text. False: the stream has to end. */
static bool
stream_compose(EventStream *stream)
{
	Request    *request = stream->request;
	Operation  *operation = &request->operation;
	FILE	   *out;
	bool		ok;

	stream->looked = false;
	if (operation->outcome != OUTCOME_DONE || !stream_remember(stream))
	{
		stream_drop_results(request);
		return false;
	}
	free(stream->text);
	stream->text = NULL;
	stream->text_len = stream->text_sent = 0;
	out = open_memstream(&stream->text, &stream->text_len);
	if (out == NULL)
	{
		stream_drop_results(request);
		return false;
	}
	if (strcmp(stream->epoch, operation->epoch) != 0)
	{
		memcpy(stream->epoch, operation->epoch, EPOCH_SIZE);
		fprintf(out, "event: epoch\ndata: %s\n\n", stream->epoch);
	}
	/* ids and envelopes are base64url and dots: nothing that JSON or an event would have to escape */
	for (size_t i = 0; i < operation->mailbox.count; i++)
		fprintf(out, "event: envelope\ndata: {\"id\":\"%s\",\"data\":\"%s\"}\n\n", operation->mailbox.parcels[i].id, operation->mailbox.parcels[i].data);
	if (ftell(out) == 0)
		fputs(":\n\n", out);
	stream->more = operation->mailbox.more && stream->sent_count < SENT_MAX;
	ok = fclose(out) == 0;
	stream_drop_results(request);
	metrics_gauge_add(GAUGE_BODY_BYTES, (int64_t) stream->text_len - (int64_t) stream->counted);
	stream->counted = stream->text_len;
	return ok;
}

/* Everything was written: look again, or wait. The connection is suspended either way. */
static void
stream_idle(EventStream *stream)
{
	Server	   *server = stream->request->server;

	free(stream->text);
	stream->text = NULL;
	metrics_gauge_add(GAUGE_BODY_BYTES, -(int64_t) stream->counted);
	stream->counted = stream->text_len = stream->text_sent = 0;
	request_suspend(stream->request);
	if (stream->more)
	{
		stream->more = false;
		stream_look(stream);
		return;
	}
	switch (waiter_park(server->waiters, &stream->waiter, monotonic_ms() + HEARTBEAT_MS))
	{
		case PARK_DONE:
			break;
		case PARK_WOKEN:
			stream_look(stream);
			break;
		case PARK_STOPPING:
			stream->ending = true;
			request_resume(stream->request);
			break;
	}
}

static ssize_t
stream_read(void *argument, uint64_t position, char *buffer, size_t max)
{
	EventStream *stream = argument;
	size_t		len;

	(void) position;
	if (stream->ending)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (stream->looked && !stream_compose(stream))
		return MHD_CONTENT_READER_END_OF_STREAM;
	len = stream->text_len - stream->text_sent;
	if (len == 0)
	{
		if (monotonic_ms() > stream->ends)
			return MHD_CONTENT_READER_END_OF_STREAM;
		stream_idle(stream);
		return 0;
	}
	if (len > max)
		len = max;
	memcpy(buffer, stream->text + stream->text_sent, len);
	stream->text_sent += len;
	return (ssize_t) len;
}

/* The first look has been made: only now is it known that the database answers. */
static void
stream_reply(Request *request)
{
	EventStream *stream = request->state;

	if (request_operation_failed(request))
		return;
	request->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 2048, stream_read, stream, NULL);
	if (request->response == NULL)
		return;
	request->status = 200;
	MHD_add_response_header(request->response, "Content-Type", "text/event-stream");
	MHD_add_response_header(request->response, "Cache-Control", "no-store");
	MHD_add_response_header(request->response, "X-Accel-Buffering", "no");
	MHD_add_response_header(request->response, "HDMS-Epoch", request->operation.epoch);
}

void
event_stream_begin(Request *request)
{
	EventStream *stream = calloc(1, sizeof(EventStream));

	if (stream == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return;
	}
	request->operation.kind = OPERATION_MAILBOX;
	memset(&request->operation.mailbox, 0, sizeof(request->operation.mailbox));
	request->operation.mailbox.node = request->node->id;
	request->operation.mailbox.limit = LOOK_LIMIT;
	request->operation.mailbox.streaming = true;
	stream->request = request;
	stream->ends = monotonic_ms() + LIFETIME_MS;
	stream->waiter.wake = stream_woken;
	waiter_add(request->server->waiters, &stream->waiter, request->node->id);
	request->state = stream;
	request->free_state = stream_free;
	request_submit_with(request, stream_reply, stream_looked);
}
