/*
 * event.c
 *		hdms.events: what became of records, in commit order and without gaps.
 *
 * A sequence would leave gaps, and numbers that become visible out of order; an EMR
 * that polls by id would miss rows. Only the worker writes events, one transaction
 * after the other, so each transaction goes on where the one before ended. What it wrote is
 * promised by the node's own log in the same transaction.
 */
#include "postgres.h"

#include "flow.h"
#include "ledger_log.h"
#include "pending.h"
#include "plan_array.h"

typedef struct PendingEvent
{
	const char *kind;
	const char *record;			/* this and what follows may be NULL */
	const char *patient_ref;
	const char *source_id;
	const char *status;
	const char *reason;
	const char *node_id;
	const char *evidence;		/* hexadecimal */
	int64		version_id;		/* 0: none */
} PendingEvent;

static void
events_write(const void *entries, int count)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.events (id, kind, record, version_id, patient_ref, source_id, status, reason, node_id, evidence)"
		" SELECT coalesce((SELECT max(e.id) FROM hdms_internal.events e), 0) + n, kind, CAST(record AS uuid),"
		"  nullif(version_id, 0), patient_ref, source_id, status, reason, node_id, decode(evidence, 'hex')"
		" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY"
		"  AS u (kind, record, version_id, patient_ref, source_id, status, reason, node_id, evidence, n)"
		" RETURNING " LEDGER_EVENT_COLUMNS,
		TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID);
	const PendingEvent *events = entries;
	uint64		written;

	written = flow_run(&insert, FLOW_TEXT_COLUMN(events, kind, count), FLOW_TEXT_COLUMN(events, record, count),
					   FLOW_INT64_COLUMN(events, version_id, count), FLOW_TEXT_COLUMN(events, patient_ref, count),
					   FLOW_TEXT_COLUMN(events, source_id, count), FLOW_TEXT_COLUMN(events, status, count),
					   FLOW_TEXT_COLUMN(events, reason, count), FLOW_TEXT_COLUMN(events, node_id, count),
					   FLOW_TEXT_COLUMN(events, evidence, count));
	ledger_log_rows(LEDGER_EVENTS, written);
}

PendingList pending_events = {.entry_size = sizeof(PendingEvent), .write = events_write};

static PendingEvent *
event_add(const char *kind, const char *patient_ref, const char *status, const char *reason)
{
	PendingEvent *event = pending_add(&pending_events);

	event->kind = pending_text(kind);
	event->patient_ref = pending_text(patient_ref);
	event->status = pending_text(status);
	event->reason = pending_text(reason);
	return event;
}

void
event_write(const char *kind, const char *record, int64 version_id, const char *patient_ref,
			const char *source_id, const char *status, const char *reason)
{
	event_write_evidence(kind, record, version_id, patient_ref, source_id, status, reason, NULL);
}

void
event_write_evidence(const char *kind, const char *record, int64 version_id, const char *patient_ref,
					 const char *source_id, const char *status, const char *reason, const unsigned char *evidence)
{
	PendingEvent *event = event_add(kind, patient_ref, status, reason);

	event->record = pending_text(record);
	event->source_id = pending_text(source_id);
	event->version_id = version_id;
	if (evidence != NULL)
	{
		char		hex[2 * HDMS_DIGEST_SIZE + 1];

		hex[hex_encode((const char *) evidence, HDMS_DIGEST_SIZE, hex)] = '\0';
		event->evidence = pending_text(hex);
	}
}

void
event_write_binding(const char *kind, const char *patient_ref, const char *node_id, const char *status, const char *reason)
{
	PendingEvent *event = event_add(kind, patient_ref, status, reason);

	event->node_id = pending_text(node_id);
}
