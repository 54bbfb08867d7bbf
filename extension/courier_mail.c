/*
 * courier_mail.c
 *		Fetching, acknowledging and putting messages.
 *
 * One fetch is always under way, held by the server until there is something; what has been
 * acted upon is acknowledged with the next one. Puts go beside it, in batches, so that
 * nothing waits for a fetch to end.
 */
#include "postgres.h"

#include "wire.h"

#include "courier.h"
#include "inbox.h"
#include "outbox_delivery.h"

#define FETCH_WAIT_S		25
#define FETCH_LIMIT			100
#define FETCH_REPLY_MAX		(8 * 1024 * 1024)
#define PUTS_AT_ONCE		2
#define ACKS_MAX			8192	/* more are forgotten: the server gives those messages again, which does no harm */
#define ACKS_A_REQUEST		1000

static char acks[ACKS_MAX][HDMS_DIGEST_TEXT + 1];
static int	ack_count;
static int	acks_riding;		/* the first so many are in the fetch under way */
static bool fetching;
static int	puts_open;

void
mail_reset(void)
{
	fetching = false;
	acks_riding = 0;
	puts_open = 0;
	outbox_delivery_reset();
	inbox_reset();
}

void
mail_acknowledge(const char *transport)
{
	if (ack_count == ACKS_MAX)
		return;
	strlcpy(acks[ack_count++], transport, sizeof(acks[0]));
}

static void
fetch_answered(HttpExchange *exchange)
{
	HdmsParcel *parcels = NULL;
	size_t		count = 0;
	char		epoch[64];
	bool		more;
	HdmsStatus	status;
	int			riding = acks_riding;

	fetching = false;
	acks_riding = 0;
	if (exchange->status != 200)
	{
		courier_unexpected(exchange);
		return;
	}
	memmove(acks, acks + riding, sizeof(acks[0]) * (ack_count - riding));
	ack_count -= riding;

	status = hdms_wire_mailbox_parse(exchange->reply, exchange->reply_len, epoch, &parcels, &count, &more);
	if (status != HDMS_OK)
		courier_misunderstood(exchange, status);
	else
		inbox_take(parcels, count);
}

static void
fetch_begin(void)
{
	const char *ids[ACKS_A_REQUEST];
	int			count = Min(ack_count, ACKS_A_REQUEST);
	char	   *json = NULL;
	HttpExchange *exchange;

	for (int i = 0; i < count; i++)
		ids[i] = acks[i];
	if (hdms_wire_ack_print(ids, count, FETCH_WAIT_S, FETCH_LIMIT, &json) != HDMS_OK)
		return;
	exchange = http_exchange("POST", "/v1/mailbox/ack", NULL, json);
	if (exchange == NULL)
		return;
	exchange->signer = HTTP_BY_SESSION;
	exchange->waits = true;
	exchange->timeout = FETCH_WAIT_S + 30;
	exchange->reply_max = FETCH_REPLY_MAX;
	exchange->finished = fetch_answered;
	fetching = courier_send(exchange);
	acks_riding = fetching ? count : 0;
}

static void
put_answered(HttpExchange *exchange)
{
	OutboxBatch *batch = exchange->subject;
	HdmsPutResult *results = NULL;
	size_t		count = 0;
	char		epoch[64];
	char		failure[COURIER_TEXT];
	HdmsStatus	status;

	puts_open--;
	if (exchange->status != 200)
	{
		courier_describe(exchange, failure, NULL);
		outbox_put_ended(batch, NULL, failure);
		return;
	}
	status = hdms_wire_results_parse(exchange->reply, exchange->reply_len, epoch, &results, &count);
	if (status == HDMS_OK && count == (size_t) batch->count)
	{
		HdmsPutResult *copy = palloc(sizeof(HdmsPutResult) * (count + 1));

		memcpy(copy, results, sizeof(HdmsPutResult) * count);
		free(results);
		outbox_put_ended(batch, copy, NULL);
		return;
	}
	free(results);
	courier_misunderstood(exchange, status != HDMS_OK ? status : HDMS_BAD_FORMAT);
	outbox_put_ended(batch, NULL, "the server's answer could not be understood");
}

/* False when there is nothing to put, or it cannot be sent. */
static bool
put_begin(void)
{
	HdmsParcel *parcels;
	OutboxBatch *batch = outbox_claim(&parcels);
	HttpExchange *exchange = NULL;
	char	   *json = NULL;

	if (batch == NULL)
		return false;
	if (hdms_wire_put_print(parcels, batch->count, &json) == HDMS_OK)
		exchange = http_exchange("POST", "/v1/envelopes", NULL, json);
	for (int i = 0; i < batch->count; i++)
		pfree(parcels[i].data);
	if (exchange == NULL)
	{
		outbox_put_ended(batch, NULL, "out of memory");
		free(batch);
		return false;
	}
	exchange->signer = HTTP_BY_SESSION;
	exchange->subject = batch;
	exchange->finished = put_answered;
	if (!courier_send(exchange))
	{
		outbox_delivery_reset();
		return false;
	}
	puts_open++;
	return true;
}

void
mail_move(void)
{
	while (puts_open < PUTS_AT_ONCE && outbox_delivery_may_be_due() && courier_may_talk_much())
	{
		if (!put_begin())
			break;
	}
	if (!fetching && courier_may_talk_much())
		fetch_begin();
}
