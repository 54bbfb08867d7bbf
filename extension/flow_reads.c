/*
 * flow_reads.c
 *		Tells patients who are paired when their records were read or exported, and for what purpose: where the institution has that on.
 *
 * What the node's own log has is told, a span of the audit trail at a time, once: the last row told is written down in the transaction that
 * queues the messages. Who read it stays here: the patient may ask for that. From when the setting is turned on, not before.
 */
#include "postgres.h"

#include "directory.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_reads.h"
#include "outbox.h"
#include "settings.h"

#define ROWS_AT_ONCE	400		/* with the longest purposes that is within an envelope, if all are one patient's */
#define PAUSE_S			5
#define OFF_PAUSE_S		10

static FlowPlan find_place =
FLOW_PLAN_WITHOUT_ARGS("SELECT n.reads_told IS NOT NULL, coalesce(n.reads_told, 0), (SELECT coalesce(max(a.id), 0) FROM hdms_internal.audit a)"
					   " FROM hdms_internal.node n");

static FlowPlan set_place = FLOW_PLAN("UPDATE hdms_internal.node SET reads_told = $1", INT8OID);
static FlowPlan forget_place = FLOW_PLAN_WITHOUT_ARGS("UPDATE hdms_internal.node SET reads_told = NULL WHERE reads_told IS NOT NULL");

static FlowPlan find_reads =
FLOW_PLAN("SELECT p.node_id, CAST(json_agg(json_strip_nulls(json_build_object('record', a.record, 'version', v.version,"
		  "  'at', CAST(extract(epoch FROM a.at) AS bigint), 'action', CASE a.action WHEN 'read' THEN 'read' ELSE 'export' END,"
		  "  'purpose', a.purpose)) ORDER BY a.id) AS text)"
		  " FROM hdms_internal.audit a JOIN hdms_internal.patients p ON p.patient_ref = a.patient_ref AND p.status = 'paired'"
		  " LEFT JOIN hdms_internal.versions v ON v.id = a.version_id"
		  " WHERE a.id > $1 AND a.id <= $2 AND a.action IN ('read', 'export evidence') AND a.record IS NOT NULL AND p.node_id IS NOT NULL"
		  " GROUP BY p.node_id",
		  INT8OID, INT8OID);

static void
tell_span(int64 after, int64 last)
{
	uint64		count = flow_run(&find_reads, flow_int64(after), flow_int64(last));
	char	  **nodes = palloc(sizeof(char *) * Max(count, 1));
	char	  **reads = palloc(sizeof(char *) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
	{
		nodes[i] = row_text(i, 1);
		reads[i] = row_text(i, 2);
	}
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
	{
		HdmsBody	body = {0};

		if (directory_history(nodes[i]) == NULL)
			continue;
		body.reads = reads[i];
		outbox_put(nodes[i], HDMS_MSG_READS, NULL, 0, true, 0, &body, NULL);
	}
}

int
flow_tell_reads(void)
{
	bool		has_place;
	int64		place;
	int64		newest;
	int64		last;

	if (!setting_tell_patients_of_reads)
	{
		flow_run_without_args(&forget_place);
		return OFF_PAUSE_S;
	}
	if (flow_run_without_args(&find_place) == 0)
		return OFF_PAUSE_S;
	has_place = row_bool(0, 1);
	place = row_int64(0, 2);
	newest = row_int64(0, 3);
	flow_rows_free();
	last = has_place ? Min(newest, place + ROWS_AT_ONCE) : newest;
	if (has_place && last <= place)
		return PAUSE_S;
	if (has_place)
		tell_span(place, last);
	flow_run(&set_place, flow_int64(last));
	return last < newest ? 1 : PAUSE_S;
}
