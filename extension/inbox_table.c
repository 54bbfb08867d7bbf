/*
 * inbox_table.c
 *		The table hdms_internal.inbox, and what leaves it.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "courier.h"
#include "inbox.h"
#include "inbox_table.h"
#include "node.h"
#include "plan_array.h"
#include "transaction.h"

#define WAIT_LONGEST_S	600
#define REFUSALS_LOGGED	20		/* a minute; the rest is only counted and stored */

static int64 refused;

/* Columns id, transport, attempts, received_at and, where with_envelope, envelope. */
static InboxRow *
read_rows(uint64 count, bool with_envelope)
{
	MemoryContext before = MemoryContextSwitchTo(transaction_outside());
	InboxRow   *rows = palloc0(sizeof(InboxRow) * (count + 1));

	for (uint64 i = 0; i < count; i++)
	{
		rows[i].id = row_int64(i, 1);
		row_copy(i, 2, rows[i].transport, sizeof(rows[i].transport));
		rows[i].attempts = (int) row_int64(i, 3);
		rows[i].received_at = row_int64(i, 4);
		if (with_envelope)
		{
			rows[i].envelope = row_text(i, 5);
			rows[i].len = strlen(rows[i].envelope);
		}
	}
	flow_rows_free();
	MemoryContextSwitchTo(before);
	return rows;
}

/* An answer to a fetch that comes again although the message is here: the acknowledgement was lost. */
static void
acknowledge_known(char **transports, int count)
{
	static FlowPlan known = FLOW_PLAN(
		"SELECT transport FROM hdms_internal.inbox WHERE transport = ANY ($1) AND status <> 'new'", TEXTARRAYOID);
	uint64		found = flow_run(&known, flow_text_array(transports, count));

	for (uint64 i = 0; i < found; i++)
		mail_acknowledge(row_text(i, 1));
	flow_rows_free();
}

int
inbox_table_store(const HdmsParcel *parcels, size_t count, InboxRow **rows)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.inbox (transport, envelope, attempts)"
		" SELECT t, e, 1 FROM unnest($1, $2) AS fetched (t, e) ON CONFLICT (transport) DO NOTHING"
		" RETURNING id, transport, attempts, extract(epoch FROM received_at)::bigint", TEXTARRAYOID, TEXTARRAYOID);
	char	  **transports = palloc(sizeof(char *) * count);
	char	  **envelopes = palloc(sizeof(char *) * count);
	char		digest[HDMS_DIGEST_TEXT + 1];
	int			good = 0;
	int			stored;

	transaction_begin("storing messages");

	/* A server that mixes up ids must not make us take one message for another; what is no text cannot be stored. */
	for (size_t i = 0; i < count; i++)
	{
		if (parcels[i].len > HDMS_ENVELOPE_MAX || strlen(parcels[i].data) != parcels[i].len ||
			hdms_envelope_id(parcels[i].data, parcels[i].len, digest) != HDMS_OK ||
			strcmp(digest, parcels[i].id) != 0 || !hdms_is_utf8(parcels[i].data, parcels[i].len))
		{
			inbox_table_refuse(parcels[i].id, "", "", "envelope-id");
			mail_acknowledge(parcels[i].id);
			continue;
		}
		transports[good] = (char *) parcels[i].id;
		envelopes[good++] = parcels[i].data;
	}

	stored = (int) flow_run(&insert, flow_text_array(transports, good), flow_text_array(envelopes, good));
	*rows = read_rows(stored, false);
	if (stored < good)
		acknowledge_known(transports, good);
	transaction_commit();

	for (int i = 0, next = 0; i < stored; i++)
	{
		/* The rows come in the order of the arrays, as a rule: begin to look where the last was found. */
		for (int tried = 0; tried < good; tried++)
		{
			int			j = (next + tried) % good;

			if (strcmp(transports[j], (*rows)[i].transport) == 0)
			{
				(*rows)[i].envelope = envelopes[j];
				(*rows)[i].len = strlen(envelopes[j]);
				next = j + 1;
				break;
			}
		}
	}
	return stored;
}

int
inbox_table_leftovers(InboxRow **rows, int limit)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT id, transport, attempts, extract(epoch FROM received_at)::bigint, envelope"
		" FROM hdms_internal.inbox WHERE status = 'new' ORDER BY id LIMIT $1", INT8OID);
	int			count;

	transaction_begin("looking for messages that were left");
	count = (int) flow_run(&find, flow_int64(limit));
	*rows = read_rows(count, true);
	transaction_commit();
	return count;
}

int
inbox_table_claim_waiting(InboxRow **rows, int limit)
{
	static FlowPlan claim = FLOW_PLAN(
		"UPDATE hdms_internal.inbox i SET status = 'new', attempts = 1, problem = NULL"
		" FROM (SELECT id FROM hdms_internal.inbox WHERE status = 'waiting' AND next_try <= clock_timestamp()"
		"  ORDER BY next_try LIMIT $1) AS due WHERE i.id = due.id"
		" RETURNING i.id, i.transport, i.attempts, extract(epoch FROM i.received_at)::bigint, i.envelope", INT8OID);
	int			count;

	transaction_begin("claiming messages that waited");
	count = (int) flow_run(&claim, flow_int64(limit));
	*rows = read_rows(count, true);
	transaction_commit();
	return count;
}

void
inbox_table_waiting_now(void)
{
	static FlowPlan now = FLOW_PLAN_WITHOUT_ARGS(
		"UPDATE hdms_internal.inbox SET next_try = clock_timestamp() WHERE status = 'waiting' AND next_try > clock_timestamp()");

	flow_run_without_args(&now);
}

void
inbox_table_count_attempt(int64 id)
{
	static FlowPlan count = FLOW_PLAN("UPDATE hdms_internal.inbox SET attempts = attempts + 1 WHERE id = $1", INT8OID);

	flow_run(&count, flow_int64(id));
}

void
inbox_table_forgive(const int64 *ids, int count)
{
	static FlowPlan forgive = FLOW_PLAN(
		"UPDATE hdms_internal.inbox SET attempts = greatest(attempts - 1, 0) WHERE id = ANY ($1) AND status = 'new'", INT8ARRAYOID);

	flow_run(&forgive, flow_int64_array(ids, count));
}

void
inbox_table_remove(const int64 *ids, int count)
{
	static FlowPlan remove = FLOW_PLAN("DELETE FROM hdms_internal.inbox WHERE id = ANY ($1)", INT8ARRAYOID);

	if (count > 0)
		flow_run(&remove, flow_int64_array(ids, count));
}

void
inbox_table_wait(int64 id, const char *what_for, int64 received_at)
{
	static FlowPlan wait = FLOW_PLAN(
		"UPDATE hdms_internal.inbox SET status = 'waiting', attempts = 0, problem = $2,"
		" next_try = clock_timestamp() + make_interval(secs => $3) WHERE id = $1", INT8OID, TEXTOID, FLOAT8OID);
	int64		age = node_now() - received_at;
	double		seconds = Max(1, Min(age / 2, WAIT_LONGEST_S));

	flow_run(&wait, flow_int64(id), flow_text(what_for), (FlowArg) {Float8GetDatum(seconds), false});
}

void
inbox_table_quarantine(int64 id, const char *why)
{
	static FlowPlan keep = FLOW_PLAN(
		"UPDATE hdms_internal.inbox SET status = 'quarantined', problem = $2 WHERE id = $1 RETURNING transport", INT8OID, TEXTOID);

	if (flow_run(&keep, flow_int64(id), flow_text(why)) > 0)
	{
		char	   *transport = row_text(0, 1);

		event_write("quarantined", NULL, 0, NULL, NULL, NULL, transport);
		ereport(WARNING,
				(errmsg("message %s is quarantined: %s", transport, why),
				 errhint("It is kept and will not be tried again by itself: see hdms.quarantine, hdms.release_message() and hdms.discard_message().")));
	}
}

int64
inbox_refused(void)
{
	return refused;
}

static void
log_refusal(const char *transport, const char *sender, const char *type, const char *reason)
{
	static TimestampTz since;
	static int	logged;
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(since, now, 60000))
	{
		since = now;
		logged = 0;
	}
	if (++logged > REFUSALS_LOGGED)
		return;
	ereport(LOG,
			(errmsg("message %s was refused: %s", transport, reason),
			 sender[0] != '\0' ? errdetail("It is a \"%s\" and says that it is from %s.", type, sender) : 0,
			 logged == REFUSALS_LOGGED ? errhint("More refusals within a minute are only written to hdms_internal.refusals.") : 0));
}

void
inbox_table_refuse(const char *transport, const char *sender, const char *type, const char *reason)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.refusals (transport, sender, type, reason) VALUES ($1, $2, $3, $4)",
		TEXTOID, TEXTOID, TEXTOID, TEXTOID);

	refused++;
	log_refusal(transport, sender, type, reason);
	flow_run(&insert, flow_text(transport), flow_text(sender[0] != '\0' ? sender : NULL),
			 flow_text(type[0] != '\0' ? type : NULL), flow_text(reason));
}
