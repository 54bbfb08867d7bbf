/*
 * dispatch.c
 *		Puts what the outbox owes: many envelopes in one signed request.
 *
 * The items of a put stay with the courier until the next round records what the server said of each; a put that got no answer leaves the
 * rows as they are, so they are put again.
 */
#include <stdlib.h>
#include <string.h>

#include "courier.h"
#include "wire.h"

#define RESULTS_ANSWER	(256 * 1024)

static void
put_failed(Courier *courier, const HttpAnswer *answer)
{
	const NodeConfig *config = &courier->pairing->home->config;
	int64_t		delay = backoff(config->retry_initial, config->retry_max, courier->put_failures);

	if (answer != NULL && answer->retry_after > delay)
		delay = answer->retry_after < config->retry_max ? answer->retry_after : config->retry_max;
	if (courier->put_failures == (answer != NULL && answer->status == 429))
		home_log(courier->pairing->home, "pairing %lld: sending failed: %s (HTTP %d)", (long long) courier->pairing->id,
				 answer && answer->problem ? answer->problem : "no usable answer", answer ? answer->status : 0);
	courier->put_failures++;
	courier->put_not_before = engine_clock() + delay;
	courier->pairing->put_due = true;
	outbox_items_free(courier->items, courier->item_count);
	courier->item_count = 0;
}

/* The status of each item, by its transport id: the server may leave some out. */
static bool
results_take(Courier *courier, const HttpAnswer *answer)
{
	HdmsPutResult *results = NULL;
	size_t		count = 0;
	char		epoch[64];

	if (hdms_wire_results_parse(answer->body, answer->len, epoch, &results, &count) != HDMS_OK)
		return false;
	for (size_t i = 0; i < courier->item_count; i++)
	{
		courier->item_status[i] = 0;
		for (size_t j = 0; j < count; j++)
			if (strcmp(results[j].id, courier->items[i].transport) == 0)
				courier->item_status[i] = results[j].status;
	}
	free(results);
	return true;
}

static void
put_done(void *arg, const HttpAnswer *answer)
{
	Courier    *courier = arg;
	int			failures = courier->failures;

	courier->put = NULL;
	engine_wake(courier->engine, courier->pairing);
	if (courier_common(courier, answer))
	{
		/* The step deals with registration, clock or session; then it is put again. */
		courier->failures = failures;
		outbox_items_free(courier->items, courier->item_count);
		courier->item_count = 0;
		courier->pairing->put_due = true;
		courier->put_not_before = engine_clock() + (courier->put_failures++ > 2 ? 1000 : 0);
	}
	else if (answer->status == 413 && courier->item_count > 1)
	{
		courier->put_limit = 1;
		put_failed(courier, answer);
	}
	else if (answer->status != 200 || !results_take(courier, answer))
		put_failed(courier, answer);
	else
	{
		courier->put_failures = 0;
		courier->put_limit = PUT_LIMIT;
		engine_put_answered(courier->engine, courier);
	}
}

bool
courier_record_put(Courier *courier)
{
	bool		good = true;

	for (size_t i = 0; good && i < courier->item_count; i++)
		if (courier->item_status[i] != 0)
			good = outbox_put_done(courier->pairing, &courier->items[i], courier->item_status[i]);
	return good;
}

void
dispatch_put(Courier *courier)
{
	Pairing    *pairing = courier->pairing;
	HdmsHome   *home = pairing->home;
	HttpRequest request = {.pairing = pairing, .method = "POST", .path = "/v1/envelopes", .query = "", .max_answer = RESULTS_ANSWER, .done = put_done,
	.timeout = home->config.request_timeout, .arg = courier};
	HdmsParcel	parcels[PUT_LIMIT];
	int64_t		now = home_now(home);

	pairing->put_due = false;
	if (!outbox_due(pairing, home_now_ms(home), courier->put_limit, PUT_BYTES, courier->items, &courier->item_count) || courier->item_count == 0)
		return;
	memset(parcels, 0, sizeof(parcels[0]) * courier->item_count);
	for (size_t i = 0; i < courier->item_count; i++)
	{
		const OutboxItem *item = &courier->items[i];

		strcpy(parcels[i].to, item->receiver);
		strcpy(parcels[i].id, item->transport);
		parcels[i].ttl = item->expires > now ? item->expires - now : 1;
		parcels[i].data = item->envelope;
		parcels[i].len = item->len;
	}
	if (hdms_wire_put_print(parcels, courier->item_count, &request.body) == HDMS_OK)
	{
		request.body_len = strlen(request.body);
		courier_signing(courier, &request);
		courier->put = http_start(engine_http(courier->engine), &request);
	}
	if (courier->put == NULL)
		put_failed(courier, NULL);
}
