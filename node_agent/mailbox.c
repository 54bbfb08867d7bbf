/*
 * mailbox.c
 *		The long poll: acknowledges what was processed and waits for more, in one request.
 */
#include <stdlib.h>
#include <string.h>

#include "courier.h"
#include "wire.h"

#define FETCH_LIMIT		32
#define ACKS_AT_ONCE	1000
#define MAX_WAIT		INT64_C(60000)	/* more the server does not grant */

/* The server sends at most 4 MiB of envelopes; the rest is what JSON adds. */
#define MAILBOX_ANSWER	(6 * 1024 * 1024)

static void
fetch_done(void *arg, const HttpAnswer *answer)
{
	Courier    *courier = arg;
	HdmsParcel *parcels = NULL;
	char		epoch[64];
	size_t		count = 0;
	bool		more;

	courier->step = NULL;
	engine_wake(courier->engine, courier->pairing);
	if (courier_common(courier, answer))
		return;
	if (answer->status != 200 ||
		(courier->pairing->status != PAIRING_REFUSED && hdms_wire_mailbox_parse(answer->body, answer->len, epoch, &parcels, &count, &more) != HDMS_OK))
	{
		courier_failed(courier, answer, "fetching the mailbox");
		return;
	}
	courier->failures = 0;
	courier->not_before = 0;

	/* What this request acknowledged is gone at the server. */
	if (courier->acks_sent > 0)
		memmove(courier->acks, courier->acks + courier->acks_sent, (courier->ack_count - courier->acks_sent) * sizeof(*courier->acks));
	courier->ack_count -= courier->acks_sent;
	courier->acks_sent = 0;
	for (size_t i = 0; i < count; i++)
	{
		if (!engine_receive(courier->engine, courier->pairing, parcels[i].id, parcels[i].data, parcels[i].len))
			break;				/* no memory: the server keeps it */
		parcels[i].data = NULL;
	}
	hdms_parcels_free(parcels, count);
}

void
mailbox_fetch(Courier *courier)
{
	Pairing    *pairing = courier->pairing;
	const NodeConfig *config = &pairing->home->config;
	HttpRequest request = {.pairing = pairing, .method = "POST", .path = "/v1/mailbox/ack", .query = "", .max_answer = MAILBOX_ANSWER, .done = fetch_done,
	.arg = courier};
	const char *ids[ACKS_AT_ONCE];
	int64_t		held = config->poll_wait < MAX_WAIT ? config->poll_wait : MAX_WAIT;
	int			wait = pairing->status == PAIRING_REFUSED ? -1 : (int) (held / 1000);

	courier->acks_sent = courier->ack_count < ACKS_AT_ONCE ? courier->ack_count : ACKS_AT_ONCE;
	for (size_t i = 0; i < courier->acks_sent; i++)
		ids[i] = courier->acks[i];
	if (hdms_wire_ack_print(ids, courier->acks_sent, wait, wait < 0 ? 0 : FETCH_LIMIT, &request.body) == HDMS_OK)
	{
		request.body_len = strlen(request.body);
		request.held = held;
		request.timeout = held + config->request_timeout;
		courier_signing(courier, &request);
		courier->step = http_start(engine_http(courier->engine), &request);
	}
	if (courier->step == NULL)
		courier_failed(courier, NULL, "fetching the mailbox");
}
