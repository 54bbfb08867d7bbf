/*
 * restore_rows.c
 *		The rows of a record as they lie in the tables, and how they are put right.
 *
 * Whatever is overwritten is kept first, as the row that it was, in hdms_internal.incidents: it may be evidence of who did it.
 */
#include "postgres.h"

#include "bytes.h"
#include "flow.h"
#include "flow_plan.h"
#include "json_scan.h"
#include "plan_array.h"
#include "restore_rows.h"

static FlowPlan find_rows =
FLOW_PLAN("SELECT v.id, v.record::text, v.ordinal::bigint, v.status, v.version::bigint, v.vk, v.prev, v.notary, v.reason,"
		  " round(extract(epoch FROM v.leaf_at) * 1000)::bigint, v.content_digest, p.content::text, p.state, p.commit, p.acceptance,"
		  " p.request, p.receipt"
		  " FROM hdms_internal.versions v LEFT JOIN hdms_internal.payloads p ON p.id = v.id"
		  " WHERE v.record = CAST($1 AS uuid) OR v.vk = ANY ($2) ORDER BY v.ordinal, v.id",
		  TEXTOID, TEXTARRAYOID);

static FlowPlan keep_version =
FLOW_PLAN("INSERT INTO hdms_internal.incidents (record, version_id, what, damaged)"
		  " SELECT CAST($2 AS uuid), v.id, 'versions', row_to_json(v) FROM hdms_internal.versions v WHERE v.id = $1",
		  INT8OID, TEXTOID);

/* holds: whose content it was, where two payloads were exchanged. */
static FlowPlan keep_payload =
FLOW_PLAN("INSERT INTO hdms_internal.incidents (record, version_id, what, damaged, holds)"
		  " SELECT CAST($2 AS uuid), p.id, 'payloads', row_to_json(p), nullif(hdms_internal.state_record(p.state), CAST($2 AS uuid))"
		  " FROM hdms_internal.payloads p WHERE p.id = $1",
		  INT8OID, TEXTOID);

static FlowPlan keep_record =
FLOW_PLAN("INSERT INTO hdms_internal.incidents (record, what, damaged)"
		  " SELECT r.record, 'records', row_to_json(r) FROM hdms_internal.records r WHERE r.record = CAST($1 AS uuid)",
		  TEXTOID);

/* A vk is unique: where another row has come to carry it, that row is damaged and will be repaired by itself. */
static FlowPlan take_vk =
FLOW_PLAN("WITH other AS (SELECT v.* FROM hdms_internal.versions v WHERE v.vk = $1 AND v.id <> $2),"
		  " kept AS (INSERT INTO hdms_internal.incidents (record, version_id, what, damaged)"
		  "  SELECT o.record, o.id, 'versions', row_to_json(o) FROM other o)"
		  " UPDATE hdms_internal.versions v SET vk = NULL FROM other o WHERE v.id = o.id",
		  TEXTOID, INT8OID);

static FlowPlan update_version =
FLOW_PLAN("UPDATE hdms_internal.versions SET record = CAST($2 AS uuid), content_digest = $3, status = $4, version = $5, vk = $6, prev = $7,"
		  " notary = $8, leaf_at = to_timestamp($9 / 1000.0), accept_until = to_timestamp($10), reason = $11,"
		  " issued_at = coalesce(issued_at, to_timestamp($12)),"
		  " ended_at = CASE WHEN $9 IS NULL THEN NULL ELSE coalesce(ended_at, to_timestamp($9 / 1000.0)) END WHERE id = $1",
		  INT8OID, TEXTOID, BYTEAOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, TEXTOID, INT8OID);

/* The ordinal is the first free one after that of the version before ($11). An id of 0: a new one. */
static FlowPlan insert_version =
FLOW_PLAN("INSERT INTO hdms_internal.versions (id, record, ordinal, content_digest, status, accept_within, version, vk, prev, accept_until,"
		  " created_by, created_at, issued_at)"
		  " OVERRIDING SYSTEM VALUE SELECT CASE $1 WHEN 0 THEN nextval('hdms_internal.versions_id_seq') ELSE $1 END, CAST($2 AS uuid),"
		  "  (SELECT min(n) FROM generate_series($11 + 1, $11 + 1 + (SELECT count(*) FROM hdms_internal.versions WHERE record = CAST($2 AS uuid))) n"
		  "   WHERE NOT EXISTS (SELECT FROM hdms_internal.versions w WHERE w.record = CAST($2 AS uuid) AND w.ordinal = n)),"
		  "  $3, $4, make_interval(secs => $9 - $8), $5, $6, $7, to_timestamp($9), 'recovered', to_timestamp($10), to_timestamp($10)"
		  " RETURNING id",
		  INT8OID, TEXTOID, BYTEAOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID);

static FlowPlan write_payload =
FLOW_PLAN("INSERT INTO hdms_internal.payloads AS p (id, content, state, commit, acceptance, request, receipt)"
		  " VALUES ($1, CAST($2 AS json), $3, $4, $5, $6, $7)"
		  " ON CONFLICT (id) DO UPDATE SET content = CASE WHEN $8 THEN p.content ELSE excluded.content END, state = excluded.state,"
		  " commit = excluded.commit, acceptance = excluded.acceptance, request = excluded.request, receipt = excluded.receipt",
		  INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID);

/* An id that was not taken from the sequence: never again from it. */
static FlowPlan advance_ids =
FLOW_PLAN("SELECT setval('hdms_internal.versions_id_seq', $1) FROM hdms_internal.versions_id_seq WHERE last_value < $1", INT8OID);

/* The id that a committed version of a record had, by the events of those days, where nothing has it now. */
static FlowPlan find_old_id =
FLOW_PLAN("SELECT e.version_id FROM (SELECT version_id FROM hdms_internal.events WHERE record = CAST($1 AS uuid) AND kind = 'status'"
		  "  AND status = 'committed' GROUP BY version_id ORDER BY min(id) OFFSET $2 - 1 LIMIT 1) e"
		  " WHERE NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.id = e.version_id)"
		  " AND NOT EXISTS (SELECT FROM hdms_internal.payloads p WHERE p.id = e.version_id)",
		  TEXTOID, INT8OID);

/* The same of one that the patient had not answered. */
static FlowPlan find_open_id =
FLOW_PLAN("SELECT e.version_id FROM (SELECT DISTINCT ON (version_id) version_id, status FROM hdms_internal.events"
		  "  WHERE record = CAST($1 AS uuid) AND kind = 'status' ORDER BY version_id, id DESC) e WHERE e.status IN ('issued', 'delivered')"
		  " AND NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.id = e.version_id)"
		  " AND NOT EXISTS (SELECT FROM hdms_internal.payloads p WHERE p.id = e.version_id) ORDER BY e.version_id DESC LIMIT 1",
		  TEXTOID);

/* How many versions were once reported as committed: more than that were never counted. */
static FlowPlan count_committed =
FLOW_PLAN("SELECT count(DISTINCT version_id) FROM hdms_internal.events WHERE record = CAST($1 AS uuid) AND kind = 'status' AND status = 'committed'", TEXTOID);

/* A patient whom no row of patients names any more is known from the record's events, or by the node. */
static FlowPlan find_record =
FLOW_PLAN("SELECT r.patient_ref, r.type, CAST(r.committed AS bigint), p.patient_ref, coalesce(CAST(r.replaces AS text), '')"
		  " FROM (SELECT 1) AS one LEFT JOIN hdms_internal.records r ON r.record = CAST($1 AS uuid)"
		  " LEFT JOIN hdms_internal.patients p ON p.node_id = $2",
		  TEXTOID, TEXTOID);

static FlowPlan insert_patient =
FLOW_PLAN("WITH named AS (SELECT coalesce((SELECT e.patient_ref FROM hdms_internal.events e WHERE e.record = CAST($2 AS uuid)"
		  "   AND e.patient_ref IS NOT NULL ORDER BY e.id DESC LIMIT 1), 'node:' || $1) AS patient_ref),"
		  " made AS (INSERT INTO hdms_internal.patients (patient_ref, node_id, status, paired_at)"
		  "  SELECT n.patient_ref, $1, 'paired', clock_timestamp() FROM named n ON CONFLICT (patient_ref) DO NOTHING)"
		  " SELECT patient_ref FROM named",
		  TEXTOID, TEXTOID);

/* Its source_id is known from its events, where those are still there. */
static FlowPlan write_record =
FLOW_PLAN("INSERT INTO hdms_internal.records AS r (record, patient_ref, source_id, type, committed, replaces)"
		  " VALUES (CAST($1 AS uuid), $2, (SELECT e.source_id FROM hdms_internal.events e WHERE e.record = CAST($1 AS uuid)"
		  "   AND e.source_id IS NOT NULL AND NOT EXISTS (SELECT FROM hdms_internal.records o WHERE o.source_id = e.source_id)"
		  "   ORDER BY e.id DESC LIMIT 1), $3, $4, (SELECT CAST($5 AS uuid) WHERE NOT EXISTS (SELECT FROM hdms_internal.records c"
		  "   WHERE c.replaces = CAST($5 AS uuid) AND c.record <> CAST($1 AS uuid))))"
		  " ON CONFLICT (record) DO UPDATE SET patient_ref = excluded.patient_ref, type = excluded.type, committed = excluded.committed,"
		  " replaces = excluded.replaces",
		  TEXTOID, TEXTOID, TEXTOID, INT4OID, TEXTOID);

static FlowPlan renumber_away =
FLOW_PLAN("UPDATE hdms_internal.versions SET ordinal = -1 - ordinal WHERE record = CAST($1 AS uuid) AND ordinal >= 0", TEXTOID);

static FlowPlan renumber =
FLOW_PLAN("UPDATE hdms_internal.versions v SET ordinal = o.n FROM (SELECT w.id, row_number() OVER"
		  "  (ORDER BY coalesce(array_position($2, w.id), 1000000), -1 - w.ordinal) AS n"
		  "  FROM hdms_internal.versions w WHERE w.record = CAST($1 AS uuid)) o WHERE v.id = o.id",
		  TEXTOID, INT8ARRAYOID);

static void
read_row(uint64 row, LedgerRow *out)
{
	bytea	   *digest = row_bytea(row, 11);

	out->id = row_int64(row, 1);
	row_copy(row, 2, out->record, sizeof(out->record));
	out->ordinal = row_int64(row, 3);
	out->status = row_text(row, 4);
	out->version = row_int64(row, 5);
	out->vk = row_text(row, 6);
	out->prev = row_text(row, 7);
	out->notary = row_text(row, 8);
	out->reason = row_text(row, 9);
	out->leaf_ms = row_int64(row, 10);
	memcpy(out->digest, VARDATA_ANY(digest), Min(VARSIZE_ANY_EXHDR(digest), HDMS_DIGEST_SIZE));
	out->content = row_text(row, 12);
	out->state = row_text(row, 13);
	out->commit = row_text(row, 14);
	out->acceptance = row_text(row, 15);
	out->request = row_text(row, 16);
	out->receipt = row_text(row, 17);
}

LedgerRow *
ledger_rows(const char *record, char **vks, int vk_count, int *count)
{
	uint64		found = flow_run(&find_rows, flow_text(record), flow_text_array(vks, vk_count));
	LedgerRow  *rows = palloc0(sizeof(LedgerRow) * Max(found, 1));

	for (uint64 row = 0; row < found; row++)
		read_row(row, &rows[row]);
	flow_rows_free();
	*count = (int) found;
	return rows;
}

static bool
same(const char *stored, const char *right)
{
	return strcmp(stored != NULL ? stored : "", right != NULL ? right : "") == 0;
}

/* SHA-256 of content without insignificant white space. */
static bool
digest_of(const char *content, size_t len, unsigned char digest[HDMS_DIGEST_SIZE])
{
	HdmsBytes	compact = {0};
	HdmsStatus	status = hdms_json_compact(content, len, &compact);

	if (status == HDMS_OK)
		status = hdms_sha256(compact.data, compact.len, digest);
	hdms_bytes_wipe(&compact);
	return status == HDMS_OK;
}

/* The content that was signed, palloc'ed, and its digest. The state was verified: only memory can be short. */
static char *
signed_content(const char *state, unsigned char digest[HDMS_DIGEST_SIZE])
{
	HdmsBytes	content = {0};
	char	   *copy = NULL;

	if (hdms_state_content(state, strlen(state), &content) == HDMS_OK && digest_of((const char *) content.data, content.len, digest))
		copy = palloc_extended(content.len + 1, MCXT_ALLOC_NO_OOM);
	if (copy != NULL)
	{
		memcpy(copy, content.data, content.len);
		copy[content.len] = '\0';
	}
	hdms_bytes_wipe(&content);
	if (copy == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory while a record is put back")));
	return copy;
}

static bool
content_is_right(const LedgerRow *row, const unsigned char digest[HDMS_DIGEST_SIZE])
{
	unsigned char stored[HDMS_DIGEST_SIZE];

	return row->content != NULL && digest_of(row->content, strlen(row->content), stored) && hdms_equal(stored, digest, HDMS_DIGEST_SIZE);
}

static bool
payload_is_right(const LedgerRow *row, const RightVersion *right, const unsigned char digest[HDMS_DIGEST_SIZE])
{
	return content_is_right(row, digest) && same(row->state, right->state_text) && same(row->commit, right->commit) &&
		same(row->acceptance, right->acceptance) && same(row->request, right->request) && same(row->receipt, right->receipt);
}

/* An open version may be called issued or delivered: both are true until it is answered. */
static bool
status_is_right(const LedgerRow *row, const RightVersion *right)
{
	return same(row->status, right->status) || (strcmp(right->status, "delivered") == 0 && same(row->status, "issued"));
}

static bool
columns_are_right(const LedgerRow *row, const char *record, const RightVersion *right, const unsigned char digest[HDMS_DIGEST_SIZE])
{
	const HdmsState *state = right->state;

	return strcmp(row->record, record) == 0 && status_is_right(row, right) && row->version == state->version && same(row->vk, state->vk) &&
		same(row->prev, state->prev) && same(row->notary, right->notary) && row->leaf_ms == right->leaf_ms &&
		(right->reason == NULL ? !same(row->reason, "late") : same(row->reason, right->reason)) && hdms_equal(row->digest, digest, HDMS_DIGEST_SIZE);
}

bool
ledger_row_is_right(const LedgerRow *row, const char *record, const RightVersion *right)
{
	unsigned char digest[HDMS_DIGEST_SIZE];

	(void) signed_content(right->state_text, digest);
	return columns_are_right(row, record, right, digest) && payload_is_right(row, right, digest);
}

static FlowArg
optional_int64(int64 value)
{
	return (FlowArg) {Int64GetDatum(value), value == 0};
}

/* An id for a version whose row is gone: of its payload, or that it had; 0: a new one. */
static int64
old_id(const char *record, const RightVersion *right)
{
	int64		id = right->payload;

	if (id == 0)
	{
		uint64		found = right->receipt != NULL ? flow_run(&find_old_id, flow_text(record), flow_int64(right->state->version)) :
			flow_run(&find_open_id, flow_text(record));

		if (found > 0)
			id = row_int64(0, 1);
		flow_rows_free();
	}
	return id;
}

int64
ledger_row_restore(const LedgerRow *row, const char *record, const RightVersion *right)
{
	const HdmsState *state = right->state;
	const char *prev = state->prev[0] != '\0' ? state->prev : NULL;
	FlowArg		version = {Int32GetDatum((int32) state->version), false};
	unsigned char digest[HDMS_DIGEST_SIZE];
	char	   *content = signed_content(right->state_text, digest);
	int64		id = row != NULL ? row->id : old_id(record, right);

	flow_run(&take_vk, flow_text(state->vk), flow_int64(id));
	if (row == NULL)
	{
		flow_run(&insert_version, flow_int64(id), flow_text(record), flow_bytes(digest, sizeof(digest)), flow_text(right->status), version,
				 flow_text(state->vk), flow_text(prev), flow_int64(right->accept_from), flow_int64(right->accept_until), flow_int64(state->iat),
				 flow_int64(right->ordinal_after));
		id = row_int64(0, 1);
		flow_rows_free();
		flow_run(&advance_ids, flow_int64(id));
		flow_rows_free();
	}
	else if (!columns_are_right(row, record, right, digest))
		flow_run(&keep_version, flow_int64(id), flow_text(record));
	if (row == NULL || !columns_are_right(row, record, right, digest))
		flow_run(&update_version, flow_int64(id), flow_text(record), flow_bytes(digest, sizeof(digest)), flow_text(right->status), version,
				 flow_text(state->vk), flow_text(prev), flow_text(right->notary), optional_int64(right->leaf_ms), flow_int64(right->accept_until),
				 flow_text(right->reason), flow_int64(state->iat));
	if (row == NULL || !payload_is_right(row, right, digest))
	{
		flow_run(&keep_payload, flow_int64(id), flow_text(record));
		flow_run(&write_payload, flow_int64(id), flow_text(content), flow_text(right->state_text), flow_text(right->commit),
				 flow_text(right->acceptance), flow_text(right->request), flow_text(right->receipt),
				 flow_bool(row != NULL && content_is_right(row, digest)));
	}
	return id;
}

/* Whose the record is. palloc'ed. */
static char *
patient_of(const char *node, const char *record)
{
	char	   *patient;

	flow_run(&insert_patient, flow_text(node), flow_text(record));
	patient = row_text(0, 1);
	flow_rows_free();
	return patient;
}

bool
ledger_record_restore(const char *record, const char *node, const char *type, const char *replaces, int64 committed)
{
	char	   *stored_patient;
	char	   *stored_type;
	char	   *stored_replaces;
	char	   *patient;
	int64		stored_committed;

	flow_run(&find_record, flow_text(record), flow_text(node));
	stored_patient = row_text(0, 1);
	stored_type = row_text(0, 2);
	stored_committed = row_int64(0, 3);
	patient = row_text(0, 4);
	stored_replaces = row_text(0, 5);
	flow_rows_free();
	if (stored_committed > committed)
	{
		flow_run(&count_committed, flow_text(record));
		committed = Min(stored_committed, Max(committed, row_int64(0, 1)));
		flow_rows_free();
	}

	/* A patient who has another node by now keeps the record; nobody else may have it. */
	if (patient == NULL)
		patient = stored_patient != NULL ? stored_patient : patient_of(node, record);
	if (stored_patient != NULL && strcmp(stored_patient, patient) == 0 && same(stored_type, type) && stored_committed == committed &&
		strcmp(stored_replaces, replaces) == 0)
		return false;
	if (stored_patient != NULL)
		flow_run(&keep_record, flow_text(record));
	flow_run(&write_record, flow_text(record), flow_text(patient), flow_text(type),
			 (FlowArg) {Int32GetDatum((int32) committed), false}, flow_text(replaces[0] != '\0' ? replaces : NULL));
	return true;
}

void
ledger_renumber(const char *record, const int64 *ids, int count)
{
	for (int i = 0; i < count; i++)
		flow_run(&keep_version, flow_int64(ids[i]), flow_text(record));
	flow_run(&renumber_away, flow_text(record));
	flow_run(&renumber, flow_text(record), flow_int64_array(ids, count));
}
