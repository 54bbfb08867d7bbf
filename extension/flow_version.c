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
	"  AND w.status IN ('waiting_for_patient', 'waiting_for_previous')), CAST(r.replaces AS text)" \
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

static FlowPlan keep_former =
FLOW_PLAN("INSERT INTO hdms_internal.former_states (vk, version_id, version, prev, accept_until, state)"
		  " SELECT v.vk, v.id, v.version, v.prev, v.accept_until, p.state FROM hdms_internal.versions v"
		  " JOIN hdms_internal.payloads p ON p.id = v.id WHERE v.id = $1 AND v.vk IS NOT NULL ON CONFLICT (vk) DO NOTHING",
		  INT8OID);

static FlowPlan unsign =
FLOW_PLAN("WITH p AS (UPDATE hdms_internal.payloads SET state = NULL, commit = NULL WHERE id = $1),"
		  " q AS (INSERT INTO hdms_internal.issue_queue (version_id) VALUES ($1))"
		  " UPDATE hdms_internal.versions SET status = 'queued', version = NULL, vk = NULL, prev = NULL,"
		  " accept_until = NULL, issued_at = NULL, delivered_at = NULL, reason = $2 WHERE id = $1",
		  INT8OID, TEXTOID);

static FlowPlan find_former =
FLOW_PLAN("SELECT version_id, CAST(version AS bigint), CAST(extract(epoch FROM accept_until) AS bigint), state"
		  " FROM hdms_internal.former_states WHERE vk = $1",
		  TEXTOID);

static FlowPlan restore_former =
FLOW_PLAN("WITH f AS (SELECT * FROM hdms_internal.former_states WHERE vk = $2),"
		  " q AS (DELETE FROM hdms_internal.issue_queue WHERE version_id = $1),"
		  " p AS (UPDATE hdms_internal.payloads SET state = $3, commit = NULL WHERE id = $1)"
		  " UPDATE hdms_internal.versions v SET version = f.version, vk = f.vk, prev = f.prev, accept_until = f.accept_until,"
		  " issued_at = coalesce(v.issued_at, clock_timestamp()) FROM f WHERE v.id = $1",
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
		row_copy(0, 13, version->replaces, sizeof(version->replaces));
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

/* The device shall forget a signature. */
static void
withdraw(const VersionRow *version, const char *vk)
{
	HdmsBody	body = {0};

	if (version->patient[0] == '\0')
		return;
	body.vk = (char *) vk;
	body.code = "outdated";
	outbox_put(version->patient, HDMS_MSG_WITHDRAWN, NULL, 0, true, 0, &body, NULL);	/* of no version: it outlives this one's flow */
}

void
version_sign_anew(const VersionRow *version, bool keep, const char *reason)
{
	outbox_drop(version->id, NULL);
	if (keep)
		flow_run(&keep_former, flow_int64(version->id));
	flow_run(&unsign, flow_int64(version->id), flow_text(reason));
	flow_issue_soon();
	withdraw(version, version->vk);
	version_event(version, "queued", reason);
}

bool
version_find_former(const char *vk, VersionRow *version, char **state)
{
	int64		id;
	int64		number;
	int64		accept_until;

	if (flow_run(&find_former, flow_text(vk)) == 0)
	{
		flow_rows_free();
		return false;
	}
	id = row_int64(0, 1);
	number = row_int64(0, 2);
	accept_until = row_int64(0, 3);
	*state = row_text(0, 4);
	flow_rows_free();
	if (!version_load(id, version))
		return false;
	strlcpy(version->vk, vk, sizeof(version->vk));
	version->version = number;
	version->accept_until = accept_until;
	version->is_former = true;
	return true;
}

void
version_restore_former(VersionRow *version, const char *state)
{
	VersionRow	later;
	bool		was_signed = version_load(version->id, &later) && later.vk[0] != '\0';

	outbox_drop(version->id, NULL);
	if (was_signed)
		flow_run(&keep_former, flow_int64(version->id));
	flow_run(&restore_former, flow_int64(version->id), flow_text(version->vk), flow_text(state));
	if (was_signed && version_is_open(&later))
		withdraw(version, later.vk);
	version->is_former = false;
}

bool
version_answer_again(int64 version_id, const char *type, const char *re)
{
	return flow_run(&answer_again, flow_int64(version_id), flow_text(type), flow_text(re)) > 0;
}
