/*
 * route_put.c
 *		Putting envelopes into mailboxes, one or many.
 */
#include <stdlib.h>
#include <string.h>

#include "authenticate.h"
#include "jwe.h"
#include "routes.h"

#define PUT_MAX_ENVELOPES	256
#define PUT_MAX_BYTES		(8 * 1024 * 1024)

typedef struct Putting
{
	HdmsParcel *parcels;
	HdmsPutResult *results;
	size_t		count;
} Putting;

static void
putting_free(Request *request)
{
	Putting    *putting = request->state;

	hdms_parcels_free(putting->parcels, putting->count);
	free(putting->results);
	free(putting);
}

static Putting *
putting_new(Request *request)
{
	Putting    *putting = calloc(1, sizeof(Putting));

	if (putting == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return NULL;
	}
	request->state = putting;
	request->free_state = putting_free;
	return putting;
}

/* Whether the text has the form of a compact JWE: five parts of base64url. Anything else has no business in a mailbox. */
static bool
is_envelope(const char *data, size_t len)
{
	int			dots = 0;

	for (size_t i = 0; i < len; i++)
	{
		char		c = data[i];

		if (c == '.')
			dots++;
		else if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return dots == 4 && len > 0;
}

/* What is wrong with a parcel by itself: NULL for nothing. */
static const char *
parcel_fault(const HdmsParcel *parcel)
{
	char		digest[HDMS_DIGEST_TEXT + 1];

	if (hdms_sha256_text(parcel->data, parcel->len, digest) != HDMS_OK || strcmp(digest, parcel->id) != 0)
		return "bad-id";
	if (!is_envelope(parcel->data, parcel->len))
		return "bad-format";
	return NULL;
}

static void
submit_putting(Request *request, RequestStep next)
{
	Putting    *putting = request->state;
	size_t		bytes = 0;

	for (size_t i = 0; i < putting->count; i++)
		bytes += putting->parcels[i].len;
	request->operation.kind = OPERATION_PUT;
	request->operation.put.parcels = putting->parcels;
	request->operation.put.results = putting->results;
	request->operation.put.count = putting->count;
	request->operation.put.bytes = bytes;
	request_submit(request, next);
}

static void
reply_put(Request *request)
{
	static const char done[] = "{}";
	Putting    *putting = request->state;
	int			status = putting->results[0].status;

	if (request_operation_failed(request))
		return;
	if (status == 404)
		request_problem(request, 404, "unknown-node", "the receiver is not a node of this network");
	else if (status == 507)
		request_problem(request, 507, "mailbox-full", "the receiver has to empty its mailbox first");
	else
		request_reply_json(request, status, strdup(done));
}

static void
put_authenticated(Request *request)
{
	Putting    *putting = putting_new(request);
	const char *fault;
	int64_t		ttl;

	if (putting == NULL)
		return;
	if (!request_number(request, "ttl", INT64_C(1) << 40, 0, &ttl))
	{
		request_problem(request, 400, "bad-argument", "\"ttl\" is a number of seconds");
		return;
	}
	putting->parcels = calloc(1, sizeof(HdmsParcel));
	putting->results = calloc(1, sizeof(HdmsPutResult));
	if (putting->parcels == NULL || putting->results == NULL || request->body_len == 0)
	{
		request_problem(request, request->body_len == 0 ? 400 : 500, request->body_len == 0 ? "bad-id" : "internal-error", NULL);
		return;
	}
	putting->count = 1;
	memcpy(putting->parcels[0].to, request->match.ids[0], HDMS_DIGEST_TEXT + 1);
	memcpy(putting->parcels[0].id, request->match.ids[1], HDMS_DIGEST_TEXT + 1);
	putting->parcels[0].ttl = ttl;
	putting->parcels[0].data = request->body;
	putting->parcels[0].len = request->body_len;
	request->body = NULL;
	fault = parcel_fault(&putting->parcels[0]);
	if (fault != NULL)
		request_problem(request, 400, fault, strcmp(fault, "bad-id") == 0 ? "the id is not the digest of the body" : "the body is not a compact JWE");
	else
		submit_putting(request, reply_put);
}

void
route_put(Request *request)
{
	authenticate(request, put_authenticated);
}

static void
reply_put_many(Request *request)
{
	Putting    *putting = request->state;
	char	   *json = NULL;

	if (request_operation_failed(request))
		return;
	if (hdms_wire_results_print(request->operation.epoch, putting->results, putting->count, &json) != HDMS_OK)
		json = NULL;
	request_reply_json(request, 200, json);
}

/* Settles what needs no database: parcels with faults. The others are paid for. */
static void
judge_parcels(Request *request)
{
	Putting    *putting = request->state;
	const Config *config = request->server->config;
	bool		institution = request->node->kind == HDMS_INSTITUTION;
	int64_t		good = 0;

	for (size_t i = 0; i < putting->count; i++)
	{
		const HdmsParcel *parcel = &putting->parcels[i];

		memcpy(putting->results[i].id, parcel->id, sizeof(parcel->id));
		if (parcel->len > HDMS_ENVELOPE_MAX)
			putting->results[i].status = 413;
		else if (parcel_fault(parcel) != NULL)
			putting->results[i].status = 400;
		else
			good++;
	}
	rate_charge(request->server->node_rates, request->node->id, HDMS_DIGEST_TEXT,
				60 * (institution ? config->institution_rate_per_second : config->rate_per_second),
				institution ? config->institution_rate_burst : config->rate_burst, good);
}

static void
put_many_authenticated(Request *request)
{
	Putting    *putting = putting_new(request);
	HdmsStatus	status;
	size_t		bytes = 0;

	if (putting == NULL)
		return;
	status = hdms_wire_put_parse(request->body, request->body_len, &putting->parcels, &putting->count);
	if (status != HDMS_OK)
	{
		request_problem(request, status == HDMS_TOO_LARGE ? 413 : 400, hdms_status_word(status), hdms_status_sentence(status));
		return;
	}
	/* the parcels have it now: it stays counted */
	free(request->body);
	request->body = NULL;
	for (size_t i = 0; i < putting->count; i++)
		bytes += putting->parcels[i].len;
	if (putting->count > PUT_MAX_ENVELOPES || bytes > PUT_MAX_BYTES)
	{
		request_problem(request, 413, "too-large", "at most 256 envelopes and 8 MiB in one request");
		return;
	}
	putting->results = calloc(putting->count + 1, sizeof(HdmsPutResult));
	if (putting->results == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return;
	}
	judge_parcels(request);
	submit_putting(request, reply_put_many);
}

void
route_put_many(Request *request)
{
	authenticate(request, put_many_authenticated);
}
