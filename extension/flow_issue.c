/*
 * flow_issue.c
 *		From the issue queue to signed states on their way to patients.
 *
 * hdms.issue() only wrote rows. Here a version gets its number and its predecessor, is signed, and is sealed
 * to the patient's node; all of that and its leaving the queue are one transaction.
 *
 * Claims start at a low-water id: rows that were taken and deleted stay in the index
 * for as long as any snapshot elsewhere could see them, and walking over them again with each
 * claim is what makes queue tables collapse. Ids become visible out of order, though, so now and then a claim
 * starts from the beginning, as often as costs a twentieth of the time at most.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "directory.h"
#include "flow_erase.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "malloc_guard.h"
#include "node.h"
#include "notarisation.h"
#include "outbox.h"
#include "pending.h"
#include "plan_array.h"

#define FULL_CLAIM_SHARE	20	/* claims from the beginning may take a 20th of the time */
#define FULL_CLAIM_PAUSE	1000	/* milliseconds between them at least */
#define BATCH_BYTES			(8 * 1024 * 1024)	/* of states in one transaction: they are all in memory until it commits */

/* A row of the queue with everything that is needed to issue it. */
typedef struct QueuedVersion
{
	int64		queue_id;
	int64		id;
	char		record[37];
	char		status[24];
	bool		has_open_predecessor;
	int64		accept_within;	/* seconds */
	char	   *patient_ref;
	char	   *source_id;
	char	   *type;
	int64		committed;
	char		patient[HDMS_DIGEST_TEXT + 1];
	bool		is_paired;
	char		prev[HDMS_DIGEST_TEXT + 1];	/* vk of the current version; "" when there is none */
	bool		was_paired_since;	/* the patient was paired (again) after that version was signed */
	char		replaces[37];	/* the record that this one continues; "" mostly */
	bool		is_to_go;		/* somebody asked to erase the record */
	bool		was_given_up;	/* set when it turned out that it cannot be issued */
} QueuedVersion;

/* What is not claimed again before the next claim from the beginning. */
static int64 low_water = 0;
static int64 next_full_claim = 0;	/* milliseconds */

static bool is_due = false;

/* Bytes of states in the transaction so far. */
static size_t noted_bytes = 0;

/* The last call did not come to its end: something in the batch raised an error. */
static bool is_cautious = false;

static FlowPlan claim =
FLOW_PLAN("SELECT q.id, v.id, CAST(v.record AS text), v.status,"
		  " EXISTS (SELECT FROM hdms_internal.versions w WHERE w.record = v.record AND w.ordinal < v.ordinal"
		  "  AND w.status IN ('waiting_for_patient', 'waiting_for_previous', 'queued', 'issued', 'delivered')),"
		  " CAST(extract(epoch FROM v.accept_within) AS bigint), r.patient_ref, r.source_id, r.type,"
		  " CAST(r.committed AS bigint), p.node_id, p.status = 'paired',"
		  " c.vk, p.paired_at > c.issued_at, EXISTS (SELECT FROM hdms_internal.erasures e WHERE e.record = v.record), CAST(r.replaces AS text)"
		  " FROM hdms_internal.issue_queue q"
		  " JOIN hdms_internal.versions v ON v.id = q.version_id"
		  " JOIN hdms_internal.records r ON r.record = v.record"
		  " JOIN hdms_internal.patients p ON p.patient_ref = r.patient_ref"
		  " LEFT JOIN hdms_internal.versions c ON c.record = r.record AND c.version = r.committed"
		  "  AND c.status IN ('committed', 'erased')"
		  " WHERE q.id >= $1 ORDER BY q.id LIMIT $2",
		  INT8OID, INT8OID);

static FlowPlan find_content = FLOW_PLAN("SELECT CAST(content AS text) FROM hdms_internal.payloads WHERE id = $1", INT8OID);

static FlowPlan find_request =
FLOW_PLAN("SELECT p.request FROM hdms_internal.payloads p JOIN hdms_internal.versions v ON v.id = p.id WHERE v.vk = $1", TEXTOID);

static FlowPlan find_signed =
FLOW_PLAN("SELECT p.state, coalesce(p.commit, ''), v.vk, CAST(extract(epoch FROM v.accept_until) AS bigint)"
		  " FROM hdms_internal.payloads p JOIN hdms_internal.versions v ON v.id = p.id WHERE p.id = $1",
		  INT8OID);

static FlowPlan set_waiting =
FLOW_PLAN("UPDATE hdms_internal.versions SET status = $2, reason = $3 WHERE id = $1", INT8OID, TEXTOID, TEXTOID);

static FlowPlan say_why_queued =
FLOW_PLAN("UPDATE hdms_internal.versions SET reason = $1 WHERE status = 'queued' AND reason IS DISTINCT FROM $1"
		  " AND id IN (SELECT q.version_id FROM hdms_internal.issue_queue q ORDER BY q.id LIMIT $2)",
		  TEXTOID, INT8OID);

/* A version that was signed, to be written down. */
typedef struct IssuedVersion
{
	int64		id;
	int64		version;
	int64		accept_until;
	const char *vk;
	const char *prev;			/* NULL in version 1 */
	const char *state;
	const char *commit;
} IssuedVersion;

static void
issued_write(const void *entries, int count)
{
	static FlowPlan set_issued = FLOW_PLAN(
		"WITH issued AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)"
		"  AS u (id, version, accept_until, vk, prev, state, commit)),"
		" p AS (UPDATE hdms_internal.payloads p SET state = i.state, commit = i.commit FROM issued i WHERE p.id = i.id)"
		" UPDATE hdms_internal.versions v SET status = 'issued', version = i.version, vk = i.vk, prev = i.prev,"
		" accept_until = to_timestamp(i.accept_until), issued_at = clock_timestamp(), reason = NULL"
		" FROM issued i WHERE v.id = i.id",
		INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID);
	const IssuedVersion *issued = entries;

	flow_run(&set_issued, FLOW_INT64_COLUMN(issued, id, count), FLOW_INT64_COLUMN(issued, version, count),
			 FLOW_INT64_COLUMN(issued, accept_until, count), FLOW_TEXT_COLUMN(issued, vk, count),
			 FLOW_TEXT_COLUMN(issued, prev, count), FLOW_TEXT_COLUMN(issued, state, count),
			 FLOW_TEXT_COLUMN(issued, commit, count));
}

PendingList pending_issued = {.entry_size = sizeof(IssuedVersion), .write = issued_write};

static void
unqueued_write(const void *entries, int count)
{
	static FlowPlan unqueue = FLOW_PLAN("DELETE FROM hdms_internal.issue_queue WHERE id = ANY ($1)", INT8ARRAYOID);

	flow_run(&unqueue, flow_int64_array(entries, count));
}

PendingList pending_unqueued = {.entry_size = sizeof(int64), .write = unqueued_write};

static void
unqueue(const QueuedVersion *queued)
{
	*(int64 *) pending_add(&pending_unqueued) = queued->queue_id;
}

void
flow_issue_soon(void)
{
	is_due = true;
}

bool
flow_issue_is_due(void)
{
	bool		was_due = is_due;

	is_due = false;
	return was_due;
}

static void
as_row(const QueuedVersion *queued, VersionRow *version)
{
	memset(version, 0, sizeof(*version));
	version->id = queued->id;
	strlcpy(version->record, queued->record, sizeof(version->record));
	version->patient_ref = queued->patient_ref;
	version->source_id = queued->source_id;
}

/* Takes a version back out of the queue: somebody else's event will queue it again. */
static void
wait_for(const QueuedVersion *queued, const char *status)
{
	VersionRow	version;

	unqueue(queued);
	flow_run(&set_waiting, flow_int64(queued->id), flow_text(status), flow_text(NULL));
	as_row(queued, &version);
	version_event(&version, status, NULL);
}

/* A version that can never be issued ends here, so that it does not hold up the others. */
static void
give_up(QueuedVersion *queued, const char *why)
{
	VersionRow	version;

	queued->was_given_up = true;
	unqueue(queued);
	as_row(queued, &version);
	version_end(&version, "rejected", why);
}

/*
 * Whether the record's current version belongs to another node than the patient has now. Nobody
 * would notarise its successor: all versions of a record are between the same two nodes.
 */
static bool
is_another_node(const QueuedVersion *queued)
{
	HdmsRequest request;
	char	   *text = NULL;

	if (queued->prev[0] == '\0' || !queued->was_paired_since)
		return false;
	if (flow_run(&find_request, flow_text(queued->prev)) > 0)
		text = row_text(0, 1);
	flow_rows_free();
	return text != NULL && hdms_request_peek(text, strlen(text), &request) == HDMS_OK
		&& strcmp(request.iss, queued->patient) != 0;
}

/* Builds state and commit. The texts are guarded by the current memory context. */
static HdmsStatus
sign_version(const QueuedVersion *queued, const HdmsHistory *patient, const HdmsNotaryList *list, int64 now,
			 HdmsState *state, HdmsCommit *commit, char **state_text, char **commit_text)
{
	const HdmsKey *vrf = hdms_history_current(patient, HDMS_ROLE_VRF);
	char	   *content;
	HdmsStatus	status;

	if (vrf == NULL)
		return HDMS_BAD_KEY;
	memset(state, 0, sizeof(*state));
	strlcpy(state->iss, own_node.id, sizeof(state->iss));
	strlcpy(state->sub, queued->patient, sizeof(state->sub));
	strlcpy(state->record, queued->record, sizeof(state->record));
	strlcpy(state->type, queued->type, sizeof(state->type));
	strlcpy(state->prev, queued->prev, sizeof(state->prev));
	strlcpy(state->replaces, queued->replaces, sizeof(state->replaces));
	state->version = queued->committed + 1;
	state->iat = now;

	if (flow_run(&find_content, flow_int64(queued->id)) == 0)
		return HDMS_BAD_FORMAT;
	content = row_text(0, 1);
	flow_rows_free();
	if ((status = hdms_state_build(state, content, strlen(content), own_node.signing, state_text)) != HDMS_OK
		|| (status = hdms_commit_for(state, commit)) != HDMS_OK)
		return status;
	commit->iat = now;
	commit->accept_until = now + queued->accept_within;
	strlcpy(commit->notaries, list->digest, sizeof(commit->notaries));
	strlcpy(commit->vrf, hdms_key_thumbprint(vrf), sizeof(commit->vrf));
	return hdms_commit_sign(commit, own_node.signing, commit_text);
}

static void
note_issued(const QueuedVersion *queued, const HdmsState *state, const char *state_text, const HdmsCommit *commit,
			const char *commit_text)
{
	IssuedVersion *issued = pending_add(&pending_issued);

	issued->id = queued->id;
	issued->version = state->version;
	issued->accept_until = commit->accept_until;
	issued->vk = pending_text(state->vk);
	issued->prev = state->prev[0] == '\0' ? NULL : pending_text(state->prev);
	issued->state = pending_text(state_text);
	issued->commit = pending_text(commit_text);
	noted_bytes += strlen(state_text);
}

/* The message lives a little longer than the right to accept: the device then hears of the end. */
static void
put_record(const QueuedVersion *queued, char *state, char *commit, int64 accept_until, int64 now)
{
	HdmsBody	body = {0};
	int64		expires = Max(accept_until, now) + 86400;

	body.state = state;
	body.commit = commit;
	outbox_put(queued->patient, HDMS_MSG_RECORD, NULL, queued->id, true, expires, &body, NULL);
}

/* hdms.resend(): what was signed goes out again, byte for byte. */
static void
send_again(const QueuedVersion *queued, int64 now)
{
	HdmsBody	body = {0};
	char	   *state;
	char	   *commit;
	char	   *vk;
	int64		accept_until;
	bool		is_open = strcmp(queued->status, "issued") == 0 || strcmp(queued->status, "delivered") == 0;

	unqueue(queued);
	if (queued->patient[0] == '\0' || flow_run(&find_signed, flow_int64(queued->id)) == 0)
		return;
	state = row_text(0, 1);
	commit = row_text(0, 2);
	vk = row_text(0, 3);
	accept_until = row_int64(0, 4);
	flow_rows_free();
	if (is_open && state != NULL && commit[0] != '\0')
	{
		outbox_drop(queued->id, HDMS_MSG_RECORD);
		put_record(queued, state, commit, accept_until, now);
	}
	else if (strcmp(queued->status, "committed") == 0)
	{
		body.vk = vk;
		outbox_drop(queued->id, HDMS_MSG_COMMITTED);
		outbox_put(queued->patient, HDMS_MSG_COMMITTED, NULL, queued->id, true, 0, &body, NULL);
	}
}

static void
issue_one(QueuedVersion *queued, const HdmsNotaryList *list)
{
	int64		now = node_now();
	const HdmsHistory *patient;
	HdmsState	state;
	HdmsCommit	commit;
	char	  **state_text = guard_text();
	char	  **commit_text = guard_text();
	VersionRow	version;
	HdmsStatus	status;

	if (queued->is_to_go)
	{
		/* added while it was being erased: whoever added it did not see that */
		unqueue(queued);
		(void) flow_erase_is_due(queued->record);
		return;
	}
	if (strcmp(queued->status, "queued") != 0)
	{
		send_again(queued, now);
		return;
	}
	if (!queued->is_paired)
	{
		wait_for(queued, "waiting_for_patient");
		return;
	}
	if (queued->has_open_predecessor)
	{
		wait_for(queued, "waiting_for_previous");
		return;
	}
	patient = directory_history(queued->patient);
	if (patient == NULL)
	{
		directory_want_node(queued->patient);
		return;					/* stays in the queue; a later claim from the beginning comes by again */
	}
	if (is_another_node(queued))
	{
		give_up(queued, "patient-has-another-node");
		return;
	}
	status = sign_version(queued, patient, list, now, &state, &commit, state_text, commit_text);
	if (status == HDMS_OUT_OF_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory while signing a record")));
	if (status != HDMS_OK)
	{
		give_up(queued, hdms_status_word(status));
		return;
	}
	unqueue(queued);
	note_issued(queued, &state, *state_text, &commit, *commit_text);
	put_record(queued, *state_text, *commit_text, commit.accept_until, now);
	as_row(queued, &version);
	version_event(&version, "issued", NULL);
}

/* Whether an error will come again with the same version, whatever the machine's condition. */
static bool
is_permanent(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED
		|| category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION)
		|| category == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		|| category == ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR);
}

/*
 * Issues one version in a subtransaction: after a batch was rolled back, each version is tried by itself,
 * and the one that cannot be issued ends, with its reason, instead of holding up the queue for ever.
 */
static void
issue_one_cautiously(QueuedVersion *queued, const HdmsNotaryList *list)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		issue_one(queued, list);
		pending_write();
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_permanent(error))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ereport(LOG,
				(errmsg("a version of record %s cannot be issued: %s", queued->record, error->message)));
		give_up(queued, error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED ? "too-large" : "cannot-issue");
		FreeErrorData(error);
	}
	PG_END_TRY();
}

static QueuedVersion *
read_claimed(uint64 count)
{
	QueuedVersion *queued = palloc0(sizeof(QueuedVersion) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
	{
		QueuedVersion *row = &queued[i];

		row->queue_id = row_int64(i, 1);
		row->id = row_int64(i, 2);
		row_copy(i, 3, row->record, sizeof(row->record));
		row_copy(i, 4, row->status, sizeof(row->status));
		row->has_open_predecessor = row_bool(i, 5);
		row->accept_within = row_int64(i, 6);
		row->patient_ref = row_text(i, 7);
		row->source_id = row_text(i, 8);
		row->type = row_text(i, 9);
		row->committed = row_int64(i, 10);
		row_copy(i, 11, row->patient, sizeof(row->patient));
		row->is_paired = row_bool(i, 12);
		row_copy(i, 13, row->prev, sizeof(row->prev));
		row->was_paired_since = row_bool(i, 14);
		row->is_to_go = row_bool(i, 15);
		row_copy(i, 16, row->replaces, sizeof(row->replaces));
	}
	flow_rows_free();
	return queued;
}

/* The next rows of the queue; NULL when there are none that may be looked for now. */
static QueuedVersion *
claim_rows(int limit, int *count)
{
	int64		now = node_now_ms();
	instr_time	began,
				took;

	if (low_water > 0)
	{
		*count = (int) flow_run(&claim, flow_int64(low_water), flow_int64(limit));
		if (*count > 0)
			return read_claimed(*count);
		flow_rows_free();
		if (now < next_full_claim)
			return NULL;
	}
	INSTR_TIME_SET_CURRENT(began);
	*count = (int) flow_run(&claim, flow_int64(0), flow_int64(limit));
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, began);
	next_full_claim = now + Max(FULL_CLAIM_PAUSE, (int64) (INSTR_TIME_GET_MILLISEC(took) * FULL_CLAIM_SHARE));
	return read_claimed(*count);
}

/* Somebody must be left to be drawn besides this node. */
static bool
has_other_notary(const HdmsNotaryList *list)
{
	return list->count > (hdms_notaries_find(list, own_node.id) != NULL ? 1 : 0);
}

/* At most every few seconds: tells, on the versions that come next, why nothing moves. */
static void
explain_standstill(const char *why, int limit)
{
	static int64 next = 0;
	int64		now = node_now_ms();

	if (now < next)
		return;
	next = now + 5000;
	flow_run(&say_why_queued, flow_text(why), flow_int64(limit));
}

int
flow_issue(int limit)
{
	const HdmsNotaryList *list;
	QueuedVersion *queued;
	MemoryContext batch;
	MemoryContext context;
	bool		cautious = is_cautious;
	int			claimed = 0;
	int			count = 0;

	if (!own_node.ready)
		return 0;
	list = directory_newest_list(node_now());
	if (list == NULL || !has_other_notary(list))
	{
		explain_standstill(list == NULL ? "no-notary-list" : "no-notary", limit);
		return 0;
	}
	is_cautious = true;
	if (cautious)
		low_water = next_full_claim = 0;	/* the last batch is still there */
	batch = AllocSetContextCreate(CurrentMemoryContext, "hdms issue", ALLOCSET_DEFAULT_SIZES);
	context = MemoryContextSwitchTo(batch);
	queued = claim_rows(limit, &claimed);
	if (queued == NULL)
		claimed = 0;
	noted_bytes = 0;
	for (count = 0; count < claimed && noted_bytes < BATCH_BYTES; count++)
	{
		MemoryContext one = AllocSetContextCreate(batch, "hdms issue one", ALLOCSET_DEFAULT_SIZES);

		MemoryContextSwitchTo(one);
		if (cautious)
			issue_one_cautiously(&queued[count], list);
		else
			issue_one(&queued[count], list);
		MemoryContextSwitchTo(batch);
		MemoryContextDelete(one);
		low_water = Max(low_water, queued[count].queue_id + 1);
	}

	/* A version that was given up may have been waited for by one further on in this same batch. */
	for (int i = 0; i < count; i++)
	{
		if (queued[i].was_given_up)
			version_queue_next(queued[i].record);
	}
	pending_write();			/* what goes wrong with it goes wrong here: the next call is cautious */
	MemoryContextSwitchTo(context);
	MemoryContextDelete(batch);
	is_cautious = false;
	return count < claimed ? limit : count;
}
