/*
 * flow_timers.c
 *		What happens because time passes, or because a backend wrote something that no message announces.
 *
 * Each duty looks at little and says when it wants to be called again; the worker also calls whenever it was
 * woken, so that a patient who was confirmed or a stock of vouchers that ran out is noticed at once.
 */
#include "postgres.h"

#include "directory.h"
#include "flow_erase.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_reads.h"
#include "malloc_guard.h"
#include "node.h"
#include "admission.h"
#include "plan_array.h"
#include "roster.h"

#define IDLE_SECONDS		60

/* Vouchers in stock. */
#define VOUCHERS_LEAST		100
#define VOUCHERS_FULL		200
#define VOUCHERS_AT_ONCE	50		/* an RSA signature takes milliseconds */
#define VOUCHER_TERM		((int64) 90 * 86400)

/* Waiting versions that one look takes in, and the pause after all were looked at. */
#define WAITING_AT_ONCE		2000
#define WAITING_PAUSE_MS	60000

/* A transaction that confirmed a patient may take this long to commit, seconds. */
#define CONFIRMATION_LAG	600

#define PURGE_AT_ONCE		5000

static FlowPlan count_vouchers =
FLOW_PLAN_WITHOUT_ARGS("SELECT count(*) FROM hdms_internal.vouchers WHERE expires_at > clock_timestamp() + interval '30 days'");

static FlowPlan drop_old_vouchers =
FLOW_PLAN_WITHOUT_ARGS("DELETE FROM hdms_internal.vouchers WHERE expires_at <= clock_timestamp() + interval '30 days'");

static FlowPlan insert_vouchers =
FLOW_PLAN("INSERT INTO hdms_internal.vouchers (jti, voucher, expires_at)"
		  " SELECT CAST(j AS uuid), v, to_timestamp($3) FROM unnest($1, $2) AS u (j, v)",
		  TEXTARRAYOID, TEXTARRAYOID, INT8OID);

static FlowPlan end_invitations =
FLOW_PLAN_WITHOUT_ARGS("UPDATE hdms_internal.invitations SET secret = NULL,"
					   " status = CASE status WHEN 'open' THEN 'expired' ELSE status END"
					   " WHERE secret IS NOT NULL AND expires_at <= clock_timestamp()");

/* Queues those of the waiting versions after $1 that may go; tells how many it saw, and the last of them. */
static FlowPlan queue_waiting =
FLOW_PLAN("WITH seen AS (SELECT v.id, p.status = 'paired' AND NOT EXISTS (SELECT FROM hdms_internal.versions w"
		  "   WHERE w.record = v.record AND w.ordinal < v.ordinal AND w.status IN ('waiting_for_patient',"
		  "    'waiting_for_previous', 'queued', 'issued', 'delivered')) AS may_go"
		  "  FROM hdms_internal.versions v JOIN hdms_internal.records r ON r.record = v.record"
		  "  JOIN hdms_internal.patients p ON p.patient_ref = r.patient_ref"
		  "  WHERE v.id > $1 AND v.status IN ('waiting_for_patient', 'waiting_for_previous') ORDER BY v.id LIMIT $2),"
		  " woken AS (UPDATE hdms_internal.versions u SET status = 'queued' FROM seen WHERE u.id = seen.id AND seen.may_go"
		  "  RETURNING u.id),"
		  " queued AS (INSERT INTO hdms_internal.issue_queue (version_id) SELECT id FROM woken ORDER BY id RETURNING id)"
		  " SELECT count(*), max(id), (SELECT count(*) FROM queued) FROM seen",
		  INT8OID, INT8OID);

static FlowPlan find_last_paired =
FLOW_PLAN_WITHOUT_ARGS("SELECT CAST(extract(epoch FROM max(paired_at)) * 1000000 AS bigint) FROM hdms_internal.patients");

static FlowPlan queue_paired =
FLOW_PLAN("WITH ready AS (SELECT v.id FROM hdms_internal.patients p"
		  "  JOIN hdms_internal.records r ON r.patient_ref = p.patient_ref"
		  "  JOIN hdms_internal.versions v ON v.record = r.record"
		  "  WHERE p.status = 'paired' AND p.paired_at > to_timestamp($1) AND v.status = 'waiting_for_patient'"
		  "  ORDER BY v.id LIMIT $2),"
		  " woken AS (UPDATE hdms_internal.versions u SET status = 'queued' FROM ready WHERE u.id = ready.id RETURNING u.id)"
		  " INSERT INTO hdms_internal.issue_queue (version_id) SELECT id FROM woken ORDER BY id",
		  INT8OID, INT8OID);

static FlowPlan purge_processed =
FLOW_PLAN("DELETE FROM hdms_internal.processed WHERE (jti, iss) IN (SELECT p.jti, p.iss FROM hdms_internal.processed p"
		  " WHERE p.expires_at < clock_timestamp() ORDER BY p.expires_at LIMIT $1)",
		  INT8OID);

static FlowPlan purge_refusals =
FLOW_PLAN("DELETE FROM hdms_internal.refusals WHERE id IN (SELECT f.id FROM"
		  " (SELECT r.id, r.at FROM hdms_internal.refusals r ORDER BY r.id LIMIT $1) f"
		  " WHERE f.at < clock_timestamp() - interval '90 days')",
		  INT8OID);

/* The newest checkpoint stays whatever its age: nothing shorter may ever be signed. */
static FlowPlan purge_checkpoints =
FLOW_PLAN("DELETE FROM hdms_internal.log_checkpoints WHERE size IN (SELECT f.size FROM"
		  " (SELECT c.size, c.signed_at FROM hdms_internal.log_checkpoints c ORDER BY c.size LIMIT $1) f"
		  " WHERE f.signed_at < clock_timestamp() - interval '1 day'"
		  " AND f.size < (SELECT max(m.size) FROM hdms_internal.log_checkpoints m))",
		  INT8OID);

static void
make_vouchers(int count)
{
	char	  **ids = palloc(sizeof(char *) * count);
	char	  **texts = palloc(sizeof(char *) * count);
	int64		now = node_now();

	for (int i = 0; i < count; i++)
	{
		HdmsVoucher voucher = {0};
		char	  **text = guard_text();

		strlcpy(voucher.iss, own_node.id, sizeof(voucher.iss));
		flow_require(hdms_uuid7(node_now_ms(), voucher.jti), "making a UUID");
		voucher.iat = now;
		voucher.exp = now + VOUCHER_TERM;
		flow_require(hdms_voucher_sign(own_node.signing, &voucher, text), "signing a voucher");
		ids[i] = pstrdup(voucher.jti);
		texts[i] = *text;
	}
	flow_run(&insert_vouchers, flow_text_array(ids, count), flow_text_array(texts, count), flow_int64(now + VOUCHER_TERM));
}

/*
 * Keeps the stock between its marks: filling begins below the lower one and goes on to the upper one. A transaction that
 * invites many patients takes more than the stock while the worker, who does not see that yet, finds it full: it asks.
 */
static int
stock_vouchers(void)
{
	static bool is_filling = false;
	int64		count;

	if (roster_vouchers_wanted())
	{
		make_vouchers(VOUCHERS_AT_ONCE);
		return 0;
	}

	flow_run_without_args(&count_vouchers);
	count = row_int64(0, 1);
	flow_rows_free();
	if (count < VOUCHERS_LEAST)
		is_filling = true;
	if (count >= VOUCHERS_FULL)
		is_filling = false;
	if (!is_filling)
		return IDLE_SECONDS;
	if (count < VOUCHERS_LEAST)
		flow_run_without_args(&drop_old_vouchers);
	make_vouchers(Min(VOUCHERS_AT_ONCE, VOUCHERS_FULL - (int) count));
	return 0;
}

static int
expire_invitations(void)
{
	flow_run_without_args(&end_invitations);
	return 30;
}

static int
expire_versions(void)
{
	return flow_expire(FLOW_BATCH) == FLOW_BATCH ? 0 : 5;
}

/*
 * A backend decides by what it sees whether a version has to wait, and may be wrong by the time it commits.
 * New rows are looked at as they appear; all of them, in pieces, once a minute.
 */
static int
look_at_waiting(void)
{
	static int64 newest = 0;	/* of the last row that was new */
	static int64 round_at = 0;	/* how far the round through all of them is; 0: none is under way */
	static int64 next_round = 0;	/* milliseconds */
	int64		now = node_now_ms();
	int64		seen;
	int64		last;

	flow_run(&queue_waiting, flow_int64(newest), flow_int64(WAITING_AT_ONCE));
	seen = row_int64(0, 1);
	newest = Max(newest, row_int64(0, 2));
	if (row_int64(0, 3) > 0)
		flow_issue_soon();
	flow_rows_free();
	if (seen == WAITING_AT_ONCE)
		return 0;
	if (round_at == 0 && now < next_round)
		return IDLE_SECONDS;

	flow_run(&queue_waiting, flow_int64(round_at), flow_int64(WAITING_AT_ONCE));
	seen = row_int64(0, 1);
	last = row_int64(0, 2);
	if (row_int64(0, 3) > 0)
		flow_issue_soon();
	flow_rows_free();
	round_at = seen == WAITING_AT_ONCE ? last : 0;
	next_round = now + WAITING_PAUSE_MS;
	return round_at == 0 ? IDLE_SECONDS : 1;
}

/* Patients who have paired, or were confirmed, since the last look: what waited for them goes out. */
static int
look_at_paired(void)
{
	static int64 since = 0;		/* seconds: what was paired earlier is done */
	static int64 last_seen = -1;	/* microseconds: the newest pairing at the last look */
	int64		last;
	uint64		count;

	flow_run_without_args(&find_last_paired);
	last = row_int64(0, 1);
	flow_rows_free();
	if (last == last_seen)
		return IDLE_SECONDS;
	count = flow_run(&queue_paired, flow_int64(since), flow_int64(WAITING_AT_ONCE));
	if (count > 0)
		flow_issue_soon();
	if (count == WAITING_AT_ONCE)
		return 0;
	last_seen = last;
	since = Max(since, last / 1000000 - CONFIRMATION_LAG);
	return IDLE_SECONDS;
}

static int
purge(void)
{
	uint64		most;

	most = flow_run(&purge_processed, flow_int64(PURGE_AT_ONCE));
	most = Max(most, flow_run(&purge_refusals, flow_int64(PURGE_AT_ONCE)));
	most = Max(most, flow_run(&purge_checkpoints, flow_int64(PURGE_AT_ONCE)));
	return most == PURGE_AT_ONCE ? 1 : IDLE_SECONDS;
}

static bool is_due = false;

void
flow_timers_soon(void)
{
	is_due = true;
}

bool
flow_timers_are_due(void)
{
	bool		was_due = is_due;

	is_due = false;
	return was_due;
}

typedef struct Duty
{
	int			(*look) (void); /* returns the seconds until it wants to look again */
	bool		is_urgent;		/* looks whenever the worker was woken, not only when its time has come */
	int64		due;			/* milliseconds */
} Duty;

static Duty duties[] = {
	{flow_erase_asked, true, 0},
	{flow_erase_compare, false, 0},
	{flow_tell_reads, false, 0},
	{stock_vouchers, true, 0},
	{look_at_paired, true, 0},
	{look_at_waiting, true, 0},
	{flow_probe_timers, true, 0},
	{flow_repair_timers, true, 0},
	{flow_rekey, true, 0},
	{flow_witness_timers, true, 0},
	{expire_versions, false, 0},
	{expire_invitations, false, 0},
	{purge, false, 0},
};

int
flow_timers(void)
{
	int64		soonest = (int64) IDLE_SECONDS * 1000;

	if (!own_node.ready)
		return IDLE_SECONDS;
	for (size_t i = 0; i < lengthof(duties); i++)
	{
		Duty	   *duty = &duties[i];
		int64		now = node_now_ms();

		/* a clock that was set back must not put a duty off for long */
		if (!duty->is_urgent && duty->due > now && duty->due <= now + (int64) IDLE_SECONDS * 1000)
		{
			soonest = Min(soonest, duty->due - now);
			continue;
		}
		duty->due = now + (int64) duty->look() * 1000;
		soonest = Min(soonest, duty->due - now);
	}
	return (int) ((Max(soonest, 0) + 999) / 1000);
}
