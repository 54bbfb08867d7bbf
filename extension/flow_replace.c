/*
 * flow_replace.c
 *		A patient lost the device and its recovery kit, and has another node now: the binding has moved, and the records follow.
 *
 * All versions of a record are between the same two nodes, so a record cannot go on with another one. Each committed record
 * is continued by a new one with the same content, whose signed state names the old one ("replaces"); the person accepts it on the new
 * device like any record. The old one stays what it was, and verifiable, until the new one commits and supersedes it. What was
 * asked of the old node and not decided is asked of the new one instead. The source_id moves, so that the EMR's next issue() amends the right record.
 */
#include "postgres.h"

#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "node.h"
#include "outbox.h"
#include "plan_array.h"

/* Every version that did not end and is to be taken back, and whether the record has a committed one. */
static FlowPlan find_unended =
FLOW_PLAN("SELECT v.id, r.committed > 0 FROM hdms_internal.records r JOIN hdms_internal.versions v ON v.record = r.record"
		  " WHERE r.patient_ref = $1 AND (v.status IN ('waiting_for_previous', 'queued', 'issued', 'delivered')"
		  "  OR (v.status = 'waiting_for_patient' AND r.committed > 0)) ORDER BY v.id",
		  TEXTOID);

/* Each record with a current version, and the version that the EMR asked for last. */
static FlowPlan find_current =
FLOW_PLAN("SELECT CAST(r.record AS text), r.source_id, n.id FROM hdms_internal.records r"
		  " JOIN hdms_internal.versions c ON c.record = r.record AND c.version = r.committed AND c.status = 'committed',"
		  " LATERAL (SELECT w.id FROM hdms_internal.versions w WHERE w.record = r.record AND w.status IN ('waiting_for_previous',"
		  "  'waiting_for_patient', 'queued', 'issued', 'delivered', 'committed') ORDER BY w.ordinal DESC LIMIT 1) n"
		  " WHERE r.patient_ref = $1"
		  " AND NOT EXISTS (SELECT FROM hdms_internal.erasures e WHERE e.record = r.record) ORDER BY r.record",
		  TEXTOID);

/* A first version that nobody decided: signed again when its turn comes. */
static FlowPlan unsign =
FLOW_PLAN("WITH p AS (UPDATE hdms_internal.payloads SET state = NULL, commit = NULL WHERE id = $1),"
		  " q AS (DELETE FROM hdms_internal.issue_queue WHERE version_id = $1)"
		  " UPDATE hdms_internal.versions SET status = 'waiting_for_patient', version = NULL, vk = NULL, prev = NULL,"
		  " accept_until = NULL, issued_at = NULL, delivered_at = NULL, reason = 'replaced' WHERE id = $1",
		  INT8OID);

static FlowPlan end_unended =
FLOW_PLAN("WITH q AS (DELETE FROM hdms_internal.issue_queue WHERE version_id = $1)"
		  " UPDATE hdms_internal.versions SET status = 'rejected', reason = 'replaced', ended_at = clock_timestamp() WHERE id = $1",
		  INT8OID);

static FlowPlan take_source_ids =
FLOW_PLAN("UPDATE hdms_internal.records SET source_id = NULL WHERE record = ANY (CAST($1 AS uuid[])) AND source_id IS NOT NULL", TEXTARRAYOID);

static FlowPlan insert_records =
FLOW_PLAN("INSERT INTO hdms_internal.records (record, patient_ref, source_id, type, retain_until, replaces)"
		  " SELECT CAST(u.fresh AS uuid), r.patient_ref, u.source_id, r.type, r.retain_until, r.record"
		  " FROM unnest($1, $2, $3) AS u (fresh, old, source_id) JOIN hdms_internal.records r ON r.record = CAST(u.old AS uuid)",
		  TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID);

static FlowPlan insert_versions =
FLOW_PLAN("WITH v AS (INSERT INTO hdms_internal.versions (record, ordinal, content_digest, status, accept_within, created_by, created_at)"
		  "  SELECT CAST(u.fresh AS uuid), 1, o.content_digest, 'waiting_for_patient', o.accept_within, o.created_by, o.created_at"
		  "  FROM unnest($1, $2) AS u (fresh, version) JOIN hdms_internal.versions o ON o.id = u.version RETURNING id, record)"
		  " INSERT INTO hdms_internal.payloads (id, content) SELECT v.id, o.content"
		  " FROM v JOIN unnest($1, $2) AS u (fresh, version) ON CAST(u.fresh AS uuid) = v.record"
		  " JOIN hdms_internal.payloads o ON o.id = u.version",
		  TEXTARRAYOID, INT8ARRAYOID);

/* A record and the one that continues it. */
typedef struct Continued
{
	char	   *old;
	char	   *fresh;
	char	   *source_id;
	int64		version_id;		/* whose content it takes */
} Continued;

/* The new records, as rows that wait for the patient: unsigned, like any that is issued before a pairing. */
static void
continue_records(const char *patient_ref)
{
	uint64		count = flow_run(&find_current, flow_text(patient_ref));
	Continued  *continued = palloc0(sizeof(Continued) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
	{
		continued[i].old = row_text(i, 1);
		continued[i].source_id = row_text(i, 2);
		continued[i].version_id = row_int64(i, 3);
	}
	flow_rows_free();
	if (count == 0)
		return;
	for (uint64 i = 0; i < count; i++)
	{
		continued[i].fresh = palloc(37);
		flow_require(hdms_uuid7(node_now_ms(), continued[i].fresh), "making a UUID");
	}
	flow_run(&take_source_ids, FLOW_TEXT_COLUMN(continued, old, (int) count));
	flow_run(&insert_records, FLOW_TEXT_COLUMN(continued, fresh, (int) count), FLOW_TEXT_COLUMN(continued, old, (int) count),
			 FLOW_TEXT_COLUMN(continued, source_id, (int) count));
	flow_run(&insert_versions, FLOW_TEXT_COLUMN(continued, fresh, (int) count), FLOW_INT64_COLUMN(continued, version_id, (int) count));
}

/* What the old node was asked, and will not be any more. */
static void
take_back(const char *patient_ref)
{
	uint64		count = flow_run(&find_unended, flow_text(patient_ref));
	int64	   *ids = palloc(sizeof(int64) * Max(count, 1));
	bool	   *is_amendment = palloc(sizeof(bool) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
	{
		ids[i] = row_int64(i, 1);
		is_amendment[i] = row_bool(i, 2);
	}
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
	{
		VersionRow	row;

		if (!version_load(ids[i], &row))
			continue;
		outbox_drop(ids[i], NULL);
		flow_run(is_amendment[i] ? &end_unended : &unsign, flow_int64(ids[i]));
		version_event(&row, is_amendment[i] ? "rejected" : "waiting_for_patient", "replaced");
	}
}

void
flow_replace(const char *patient_ref, const char *old_node)
{
	HdmsBody	body = {0};

	continue_records(patient_ref);
	take_back(patient_ref);
	body.code = "replaced";
	outbox_put(old_node, HDMS_MSG_UNPAIRED, NULL, 0, true, 0, &body, NULL);
	flow_timers_soon();
}
