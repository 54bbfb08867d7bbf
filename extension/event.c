/*
 * event.c
 *		hdms.events: what became of records, in commit order and without gaps.
 *
 * A sequence would leave gaps, and numbers that become visible out of order; an EMR
 * that polls by id would miss rows. Only the worker writes events, one transaction
 * after the other, so it counts by itself. A number that was given out in a
 * (sub)transaction that aborted is given out again: whoever catches an error says so with event_forget().
 */
#include "postgres.h"

#include "flow.h"
#include "flow_plan.h"

/* The id of the last event; -1: to be read. */
static int64 last_event = -1;

static FlowPlan find_last = FLOW_PLAN_WITHOUT_ARGS("SELECT id FROM hdms_internal.events ORDER BY id DESC LIMIT 1");

static FlowPlan insert_event =
FLOW_PLAN("INSERT INTO hdms_internal.events (id, kind, record, version_id, patient_ref, source_id, status, reason)"
		  " VALUES ($1, $2, CAST($3 AS uuid), NULLIF($4, 0), $5, $6, $7, $8)",
		  INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);

void
event_forget(void)
{
	last_event = -1;
}

static void
read_last(void)
{
	last_event = flow_run_without_args(&find_last) > 0 ? row_int64(0, 1) : 0;
	flow_rows_free();
}

void
event_write(const char *kind, const char *record, int64 version_id, const char *patient_ref,
			const char *source_id, const char *status, const char *reason)
{
	if (last_event < 0)
		read_last();
	flow_run(&insert_event, flow_int64(last_event + 1), flow_text(kind), flow_text(record), flow_int64(version_id),
			 flow_text(patient_ref), flow_text(source_id), flow_text(status), flow_text(reason));
	last_event++;
}
