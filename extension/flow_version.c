/*
 * flow_version.c
 *		Rows of hdms_internal.versions, and the steps that several flows take with them.
 */
#include "postgres.h"

#include "flow.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "outbox.h"

#define SELECT_VERSION \
	"SELECT v.id, CAST(v.record AS text), v.status, CAST(coalesce(v.version, 0) AS bigint), v.vk," \
	" CAST(extract(epoch FROM v.accept_until) AS bigint), v.leaf_at IS NOT NULL, CAST(r.committed AS bigint)," \
	" r.patient_ref, r.source_id, p.node_id," \
	" EXISTS (SELECT FROM hdms_internal.versions w WHERE w.record = v.record" \
	"  AND w.status IN ('waiting_for_patient', 'waiting_for_previous'))" \
	" FROM hdms_internal.versions v" \
	" JOIN hdms_internal.records r ON r.record = v.record" \
	" JOIN hdms_internal.patients p ON p.patient_ref = r.patient_ref"

static FlowPlan find_by_vk = FLOW_PLAN(SELECT_VERSION " WHERE v.vk = $1", TEXTOID);
static FlowPlan find_by_id = FLOW_PLAN(SELECT_VERSION " WHERE v.id = $1", INT8OID);

static FlowPlan end_version =
FLOW_PLAN("UPDATE hdms_internal.versions SET status = $2, reason = $3, ended_at = clock_timestamp() WHERE id = $1",
		  INT8OID, TEXTOID, TEXTOID);

static FlowPlan queue_next =
FLOW_PLAN("WITH next AS (UPDATE hdms_internal.versions SET status = 'queued' WHERE id ="
		  "  (SELECT w.id FROM hdms_internal.versions w WHERE w.record = CAST($1 AS uuid)"
		  "   AND w.status IN ('waiting_for_previous', 'waiting_for_patient') ORDER BY w.ordinal LIMIT 1) RETURNING id)"
		  " INSERT INTO hdms_internal.issue_queue (version_id) SELECT id FROM next",
		  TEXTOID);

static FlowPlan answer_again =
FLOW_PLAN("UPDATE hdms_internal.outbox SET status = 'queued', next_try = clock_timestamp()"
		  " WHERE version_id = $1 AND type = $2 AND re = CAST($3 AS uuid)",
		  INT8OID, TEXTOID, TEXTOID);

static bool
read_version(uint64 found, VersionRow *version)
{
	if (found > 0)
	{
		memset(version, 0, sizeof(*version));
		version->id = row_int64(0, 1);
		row_copy(0, 2, version->record, sizeof(version->record));
		row_copy(0, 3, version->status, sizeof(version->status));
		version->version = row_int64(0, 4);
		row_copy(0, 5, version->vk, sizeof(version->vk));
		version->accept_until = row_int64(0, 6);
		version->has_evidence = row_bool(0, 7);
		version->committed = row_int64(0, 8);
		version->patient_ref = row_text(0, 9);
		version->source_id = row_text(0, 10);
		row_copy(0, 11, version->patient, sizeof(version->patient));
		version->has_waiting = row_bool(0, 12);
	}
	flow_rows_free();
	return found > 0;
}

bool
version_find(const char *vk, VersionRow *version)
{
	return read_version(flow_run(&find_by_vk, flow_text(vk)), version);
}

bool
version_load(int64 id, VersionRow *version)
{
	return read_version(flow_run(&find_by_id, flow_int64(id)), version);
}

bool
version_has_status(const VersionRow *version, const char *status)
{
	return strcmp(version->status, status) == 0;
}

bool
version_is_open(const VersionRow *version)
{
	return version_has_status(version, "issued") || version_has_status(version, "delivered");
}

void
version_event(const VersionRow *version, const char *status, const char *reason)
{
	event_write("status", version->record, version->id, version->patient_ref, version->source_id, status, reason);
}

void
version_event_evidence(const VersionRow *version, const char *status, const char *reason, const unsigned char *evidence)
{
	event_write_evidence("status", version->record, version->id, version->patient_ref, version->source_id, status, reason, evidence);
}

void
version_end(const VersionRow *version, const char *status, const char *reason)
{
	flow_run(&end_version, flow_int64(version->id), flow_text(status), flow_text(reason));
	outbox_drop(version->id, HDMS_MSG_RECORD);
	version_event(version, status, reason);
	version_queue_next(version->record);
}

void
version_queue_next(const char *record)
{
	if (flow_run(&queue_next, flow_text(record)) > 0)
		flow_issue_soon();
}

bool
version_answer_again(int64 version_id, const char *type, const char *re)
{
	return flow_run(&answer_again, flow_int64(version_id), flow_text(type), flow_text(re)) > 0;
}
