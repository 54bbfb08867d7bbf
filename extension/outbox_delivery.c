/*
 * outbox_delivery.c
 *		Which messages of the outbox are to be put now, and what became of them.
 *
 * A row that another session's old snapshot still sees cannot be cleaned up, so a queue
 * that is read from its beginning gets slower with each message. New messages are
 * therefore read from the id on where the last reading ended: only this process writes
 * them, so ids are committed in order. Repetitions are read from the time on where the last
 * reading ended. From the very beginning both are read after a start, after an
 * error, and once a minute.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "flow.h"
#include "node.h"
#include "outbox.h"
#include "outbox_delivery.h"
#include "plan_array.h"
#include "settings.h"
#include "transaction.h"

#define FULL_SCAN_MS	60000
#define IN_FLIGHT_MAX	1024
#define LEAST_TTL_S		60

static bool new_due = true;
static int64 new_from;			/* ids up to this one have been claimed once */
static bool again_due = true;
static TimestampTz again_from = DT_NOBEGIN; /* next_try up to this has been looked at */
static TimestampTz again_at;	/* when to look for repetitions next */
static TimestampTz full_scan_at;
static TimestampTz expire_at;
static int64 in_flight[IN_FLIGHT_MAX];
static int	in_flight_count;
static int64 sent;

void
outbox_delivery_is_due(void)
{
	new_due = true;
}

void
outbox_delivery_reset(void)
{
	new_due = again_due = true;
	new_from = 0;
	again_from = DT_NOBEGIN;
	in_flight_count = 0;
}

int64
outbox_sent(void)
{
	return sent;
}

static void
look_at_clock(TimestampTz now)
{
	if (now >= full_scan_at)
	{
		again_from = DT_NOBEGIN;
		again_due = true;
		full_scan_at = TimestampTzPlusMilliseconds(now, FULL_SCAN_MS);
	}
	if (now >= again_at)
		again_due = true;
}

bool
outbox_delivery_may_be_due(void)
{
	look_at_clock(GetCurrentTimestamp());
	return (new_due || again_due) && in_flight_count + OUTBOX_BATCH <= IN_FLIGHT_MAX;
}

long
outbox_delivery_timeout(void)
{
	TimestampTz now = GetCurrentTimestamp();

	return Max(0, Min(TimestampDifferenceMilliseconds(now, again_at), TimestampDifferenceMilliseconds(now, full_scan_at)));
}

/* Reads the rows of the last statement as parcels. */
static OutboxBatch *
take_rows(uint64 rows, HdmsParcel **parcels)
{
	MemoryContext before = MemoryContextSwitchTo(transaction_outside());
	OutboxBatch *batch = malloc(offsetof(OutboxBatch, ids) + sizeof(int64) * rows);
	HdmsParcel *made = palloc0(sizeof(HdmsParcel) * rows);

	if (batch == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	batch->count = (int) rows;
	for (uint64 i = 0; i < rows; i++)
	{
		batch->ids[i] = row_int64(i, 1);
		row_copy(i, 2, made[i].to, sizeof(made[i].to));
		row_copy(i, 3, made[i].id, sizeof(made[i].id));
		made[i].ttl = Max(row_int64(i, 4), LEAST_TTL_S);
		made[i].data = row_text(i, 5);
		made[i].len = strlen(made[i].data);
		in_flight[in_flight_count++] = batch->ids[i];
	}
	flow_rows_free();
	MemoryContextSwitchTo(before);
	*parcels = made;
	return batch;
}

/* The columns that both claims give, cut off where a batch is full. */
#define CLAIM_COLUMNS \
	"SELECT id, receiver, transport, ttl, envelope FROM (" \
	"SELECT o.id, o.receiver, o.transport, extract(epoch FROM o.expires_at - clock_timestamp())::bigint AS ttl, e.envelope," \
	" sum(octet_length(e.envelope)) OVER (ORDER BY "
#define CLAIM_FROM \
	") - octet_length(e.envelope) AS before" \
	" FROM hdms_internal.outbox o JOIN hdms_internal.outbox_envelopes e ON e.id = o.id "

static uint64
claim_new(void)
{
	static FlowPlan claim = FLOW_PLAN(
		CLAIM_COLUMNS "o.id" CLAIM_FROM
		"WHERE o.id > $1 AND o.attempts = 0 AND o.status = 'queued' AND NOT o.id = ANY ($2)"
		" ORDER BY o.id LIMIT $3) AS due WHERE before < $4 ORDER BY id",
		INT8OID, INT8ARRAYOID, INT8OID, INT8OID);
	uint64		rows = flow_run(&claim, flow_int64(new_from), flow_int64_array(in_flight, in_flight_count),
								flow_int64(OUTBOX_BATCH), flow_int64(OUTBOX_BATCH_BYTES));

	if (rows == 0)
		new_due = false;
	else
		new_from = row_int64(rows - 1, 1);
	return rows;
}

static uint64
claim_again(TimestampTz now)
{
	static FlowPlan claim = FLOW_PLAN(
		CLAIM_COLUMNS "o.next_try, o.id" CLAIM_FROM
		"WHERE o.next_try > $1 AND o.next_try <= $2 AND o.attempts > 0 AND NOT o.id = ANY ($3)"
		" ORDER BY o.next_try, o.id LIMIT $4) AS due WHERE before < $5 ORDER BY id",
		TIMESTAMPTZOID, TIMESTAMPTZOID, INT8ARRAYOID, INT8OID, INT8OID);
	uint64		rows = flow_run(&claim, (FlowArg) {TimestampTzGetDatum(again_from), false},
								(FlowArg) {TimestampTzGetDatum(now), false},
								flow_int64_array(in_flight, in_flight_count),
								flow_int64(OUTBOX_BATCH), flow_int64(OUTBOX_BATCH_BYTES));

	/* What was found gets a later time when it has been put; what remains is found by reading on until there is nothing. */
	if (rows == 0)
	{
		again_due = false;
		again_from = now;
		again_at = TimestampTzPlusMilliseconds(now, Min(setting_poll_interval, setting_resend_interval) * INT64CONST(1000));
	}
	return rows;
}

OutboxBatch *
outbox_claim(HdmsParcel **parcels)
{
	TimestampTz now = GetCurrentTimestamp();
	OutboxBatch *batch = NULL;
	uint64		rows = 0;

	transaction_begin("claiming messages to put");
	if (new_due)
		rows = claim_new();
	if (rows == 0 && again_due)
		rows = claim_again(now);
	if (rows > 0)
		batch = take_rows(rows, parcels);
	transaction_commit();
	return batch;
}

static void
in_flight_remove(const OutboxBatch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		for (int j = 0; j < in_flight_count; j++)
		{
			if (in_flight[j] == batch->ids[i])
			{
				in_flight[j] = in_flight[--in_flight_count];
				break;
			}
		}
	}
}

/* Put: what is awaited stays until it is answered, the rest has done its work. */
static void
record_sent(const int64 *ids, int count)
{
	static FlowPlan keep = FLOW_PLAN(
		"UPDATE hdms_internal.outbox SET status = 'sent', attempts = attempts + 1, last_error = NULL,"
		" next_try = clock_timestamp() + make_interval(secs =>"
		"  least($2 * 2.0 ^ least(attempts, 20), greatest($2, 86400)) * (0.8 + 0.4 * random()))"
		" WHERE id = ANY ($1) AND awaited", INT8ARRAYOID, INT8OID);
	static FlowPlan forget = FLOW_PLAN(
		"WITH gone AS (DELETE FROM hdms_internal.outbox WHERE id = ANY ($1) AND NOT awaited RETURNING id)"
		"DELETE FROM hdms_internal.outbox_envelopes e USING gone WHERE e.id = gone.id", INT8ARRAYOID);

	if (count == 0)
		return;
	flow_run(&keep, flow_int64_array(ids, count), flow_int64(setting_resend_interval));
	flow_run(&forget, flow_int64_array(ids, count));
	sent += count;
}

static void
record_failed(int64 id, const char *failure)
{
	static FlowPlan fail = FLOW_PLAN(
		"UPDATE hdms_internal.outbox SET attempts = attempts + 1, last_error = $2,"
		" next_try = clock_timestamp() + make_interval(secs => least(2 * 2.0 ^ least(attempts, 12), 3600) * (0.8 + 0.4 * random()))"
		" WHERE id = $1", INT8OID, TEXTOID);

	flow_run(&fail, flow_int64(id), flow_text(failure));
}

/* Removes messages that will never arrive, and says so. condition is about outbox. */
static void
undeliverable(FlowPlan *remove, FlowArg argument, const char *reason)
{
	uint64		rows = flow_run(remove, argument);
	SPITupleTable *gone = SPI_tuptable;

	for (uint64 i = 0; i < rows; i++)
	{
		int64		version_id;

		SPI_tuptable = gone;
		version_id = row_int64(i, 1);
		if (row_bool(i, 2))
			event_write("undeliverable", NULL, version_id, NULL, NULL, NULL, reason);
	}
	SPI_freetuptable(gone);
}

#define REMOVE_UNDELIVERABLE(condition) \
	"WITH gone AS (DELETE FROM hdms_internal.outbox WHERE " condition " RETURNING id, version_id, awaited)," \
	" envelope AS (DELETE FROM hdms_internal.outbox_envelopes e USING gone WHERE e.id = gone.id)" \
	"SELECT version_id, awaited FROM gone ORDER BY id"

static void
record_too_large(int64 id)
{
	static FlowPlan remove = FLOW_PLAN(REMOVE_UNDELIVERABLE("id = $1"), INT8OID);

	undeliverable(&remove, flow_int64(id), "too-large");
}

static const char *
refusal_text(int status)
{
	switch (status)
	{
		case 404:
			return "the server does not know the receiver (404)";
		case 429:
			return "too many messages for the receiver (429)";
		case 507:
			return "the receiver's mailbox is full (507)";
		default:
			return psprintf("the server refused the message (%d)", status);
	}
}

void
outbox_put_ended(OutboxBatch *batch, const HdmsPutResult *results, const char *failure)
{
	int64	   *good = palloc(sizeof(int64) * (batch->count + 1));
	int			good_count = 0;

	transaction_begin("recording what became of messages");
	for (int i = 0; i < batch->count; i++)
	{
		int			status = results != NULL ? results[i].status : 0;

		if (status == 200 || status == 201)
			good[good_count++] = batch->ids[i];
		else if (status == 413)
			record_too_large(batch->ids[i]);
		else
			record_failed(batch->ids[i], results != NULL ? refusal_text(status) : failure);
	}
	record_sent(good, good_count);
	transaction_commit();
	in_flight_remove(batch);
}

void
outbox_put_again(void)
{
	static FlowPlan again = FLOW_PLAN_WITHOUT_ARGS(
		"UPDATE hdms_internal.outbox SET next_try = clock_timestamp() WHERE status = 'sent'");

	flow_run_without_args(&again);
	again_from = DT_NOBEGIN;
	again_due = true;
}

void
outbox_expire(void)
{
	static FlowPlan remove = FLOW_PLAN(REMOVE_UNDELIVERABLE("expires_at <= to_timestamp($1)"), INT8OID);
	TimestampTz now = GetCurrentTimestamp();

	if (now < expire_at)
		return;
	transaction_begin("dropping messages that have expired");
	undeliverable(&remove, flow_int64(node_now()), "expired");
	transaction_commit();
	expire_at = TimestampTzPlusMilliseconds(now, FULL_SCAN_MS);
}
