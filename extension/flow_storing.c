/*
 * flow_storing.c
 *		"accepted": the evidence of one version, verified and committed.
 *
 * Everything is checked as evidence.h lists it, with keys as they were valid at the notary's leaf, and
 * the check decides, not the status: a version that was called expired or rejected
 * commits when its evidence arrives late. The state's own signature is not
 * verified once more: its verification key is the digest of the state's bytes, and the commit, whose
 * signature is verified here, vouches for that key.
 */
#include "postgres.h"

#include "directory.h"
#include "flow_erase.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "ledger_digest.h"
#include "node.h"
#include "notarisation.h"
#include "outbox.h"

/* What the institution holds of a version that was accepted. */
typedef struct StoredVersion
{
	VersionRow	row;
	char	   *state_text;
	HdmsState	state;
	char	   *prev_request;	/* the predecessor's; NULL in version 1 */
	char		list[HDMS_DIGEST_TEXT + 1];	/* the pinned list that the record's first notary was drawn from */
} StoredVersion;

/* What the evidence says once it was verified. */
typedef struct VerifiedEvidence
{
	HdmsRequest request;
	HdmsLeaf	leaf;
} VerifiedEvidence;

static FlowPlan find_state = FLOW_PLAN("SELECT state FROM hdms_internal.payloads WHERE id = $1", INT8OID);

static FlowPlan find_requests =
FLOW_PLAN("SELECT a.request,"
		  " (SELECT b.request FROM hdms_internal.versions w JOIN hdms_internal.payloads b ON b.id = w.id"
		  "  WHERE w.record = v.record AND w.version = 1 AND w.notary = v.notary AND w.leaf_at IS NOT NULL"
		  "  ORDER BY w.ordinal LIMIT 1)"
		  " FROM hdms_internal.versions v JOIN hdms_internal.payloads a ON a.id = v.id WHERE v.vk = $1",
		  TEXTOID);

static FlowPlan store_evidence =
FLOW_PLAN("WITH p AS (UPDATE hdms_internal.payloads SET acceptance = $5, request = $6, receipt = $7, commit = NULL WHERE id = $1)"
		  " UPDATE hdms_internal.versions SET status = $2, notary = $3, leaf_at = to_timestamp($4 / 1000.0), reason = $8,"
		  " ended_at = clock_timestamp() WHERE id = $1",
		  INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);

static FlowPlan set_committed =
FLOW_PLAN("UPDATE hdms_internal.records SET committed = $2 WHERE record = CAST($1 AS uuid)", TEXTOID, INT4OID);

static FlowPlan supersede =
FLOW_PLAN("UPDATE hdms_internal.versions SET status = 'superseded' WHERE record = CAST($1 AS uuid)"
		  " AND version = $2 AND status = 'committed' RETURNING id",
		  TEXTOID, INT4OID);

/* A record that this one continues. */
static FlowPlan supersede_replaced =
FLOW_PLAN("UPDATE hdms_internal.versions SET status = 'superseded', reason = 'replaced' WHERE record = CAST($1 AS uuid)"
		  " AND status = 'committed' RETURNING id",
		  TEXTOID);

static FlowPlan find_outdated =
FLOW_PLAN("SELECT id, vk FROM hdms_internal.versions WHERE record = CAST($1 AS uuid) AND id <> $2"
		  " AND status IN ('issued', 'delivered')",
		  TEXTOID, INT8OID);

/* The state as it is stored. It was signed here: whatever is wrong with it happened to this database. */
static void
load_state(StoredVersion *stored)
{
	if (!stored->row.is_former)
	{
		if (flow_run(&find_state, flow_int64(stored->row.id)) > 0)
			stored->state_text = row_text(0, 1);
		flow_rows_free();
	}
	if (stored->state_text == NULL
		|| hdms_state_parse(stored->state_text, strlen(stored->state_text), true, &stored->state) != HDMS_OK
		|| strcmp(stored->state.vk, stored->row.vk) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the stored state of a version of record %s is not the one that was signed", stored->row.record),
				 errhint("Call hdms.verify() for the record.")));
}

/* The predecessor's request and the list of the record's first version. */
static HdmsStatus
load_predecessor(StoredVersion *stored)
{
	HdmsRequest first;
	char	   *first_request = NULL;

	if (flow_run(&find_requests, flow_text(stored->state.prev)) > 0)
	{
		stored->prev_request = row_text(0, 1);
		first_request = row_text(0, 2);
	}
	flow_rows_free();
	if (stored->prev_request == NULL || first_request == NULL
		|| hdms_request_peek(first_request, strlen(first_request), &first) != HDMS_OK)
		return HDMS_BAD_CHAIN;
	strlcpy(stored->list, first.commit.notaries, sizeof(stored->list));
	return HDMS_OK;
}

static HdmsStatus
verify_receipt(const HdmsBody *body, const HdmsRequest *request, const HdmsNotaryList *list, HdmsLeaf *leaf)
{
	const HdmsNotary *notary = hdms_notaries_find(list, request->aud);
	HdmsStatus	status;

	if (notary == NULL)
		return HDMS_BAD_DRAW;
	status = hdms_receipt_verify(body->receipt, strlen(body->receipt), notary->node, notary->log, leaf, NULL, NULL);
	if (status != HDMS_OK)
		return status;
	if (leaf->time_ms < 1000)
		return HDMS_BAD_CLAIM;	/* 0 would mean "now" to the key histories */
	return HDMS_OK;
}

static HdmsStatus
verify_evidence(const FlowMessage *message, const StoredVersion *stored, const HdmsNotaryList *list,
				VerifiedEvidence *evidence)
{
	const HdmsBody *body = message->body;
	HdmsRequest *request = &evidence->request;
	char		digest[HDMS_DIGEST_TEXT + 1];
	int64		time;
	HdmsStatus	status;

	if ((status = hdms_request_peek(body->request, strlen(body->request), request)) != HDMS_OK
		|| (status = verify_receipt(body, request, list, &evidence->leaf)) != HDMS_OK)
		return status;
	time = evidence->leaf.time_ms / 1000;
	if ((status = hdms_request_verify(body->request, strlen(body->request), own_node.history, message->sender,
									  list, stored->prev_request, time, request)) != HDMS_OK
		|| (status = hdms_commit_matches(&request->commit, &stored->state)) != HDMS_OK
		|| (status = hdms_sha256_text(body->acceptance, strlen(body->acceptance), digest)) != HDMS_OK)
		return status;
	if (strcmp(digest, request->acceptance) != 0)
		return HDMS_DIGEST_MISMATCH;
	if (!hdms_equal(evidence->leaf.tag, request->commit.tag, HDMS_DIGEST_SIZE)
		|| !hdms_equal(evidence->leaf.request, request->digest, HDMS_DIGEST_SIZE))
		return HDMS_DIGEST_MISMATCH;
	if (time > request->commit.accept_until)
		return HDMS_TOO_LATE;
	return hdms_acceptance_verify(body->acceptance, strlen(body->acceptance), stored->state_text,
								  strlen(stored->state_text), message->sender, time);
}

/*
 * Versions of the record that were signed before this late one committed name the wrong predecessor: they can never
 * be chained. They are signed anew, and the patient's device is told to forget the old ones.
 */
static void
sign_outdated_anew(const StoredVersion *stored)
{
	uint64		count = flow_run(&find_outdated, flow_text(stored->row.record), flow_int64(stored->row.id));
	int64	   *ids = palloc(sizeof(int64) * Max(count, 1));
	char	  **vks = palloc(sizeof(char *) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
	{
		ids[i] = row_int64(i, 1);
		vks[i] = row_text(i, 2);
	}
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
	{
		VersionRow	outdated = stored->row;

		outdated.id = ids[i];
		strlcpy(outdated.vk, vks[i], sizeof(outdated.vk));
		version_sign_anew(&outdated, false, "outdated");
	}
}

/* The record that this one continues is not current any more. */
static void
end_replaced(const VersionRow *row)
{
	VersionRow	replaced = *row;
	uint64		count = flow_run(&supersede_replaced, flow_text(row->replaces));

	replaced.id = count > 0 ? row_int64(0, 1) : 0;
	flow_rows_free();
	strlcpy(replaced.record, row->replaces, sizeof(replaced.record));
	replaced.source_id = NULL;
	if (count > 0)
		version_event(&replaced, "superseded", "replaced");
}

/* The version becomes the record's current one. */
static void
make_current(const StoredVersion *stored)
{
	const VersionRow *row = &stored->row;

	flow_run(&set_committed, flow_text(row->record), (FlowArg) {Int32GetDatum((int32) row->version), false});
	if (row->version > 1)
	{
		VersionRow	previous = *row;
		uint64		count = flow_run(&supersede, flow_text(row->record),
									 (FlowArg) {Int32GetDatum((int32) row->version - 1), false});

		previous.id = count > 0 ? row_int64(0, 1) : 0;
		flow_rows_free();
		if (count > 0)
			version_event(&previous, "superseded", NULL);
	}
	if (row->version == 1 && row->replaces[0] != '\0')
		end_replaced(row);
	if (!version_is_open(row))
		sign_outdated_anew(stored);
	if (row->has_waiting)
		version_queue_next(row->record);
}

static void
commit_version(const FlowMessage *message, StoredVersion *stored, const VerifiedEvidence *evidence)
{
	VersionRow *row = &stored->row;
	const HdmsBody *body = message->body;

	/*
	 * A first version that had expired, whose successor was therefore signed as a first version too and is committed by now:
	 * its evidence is good, but it is not the record's current state any more.
	 */
	bool		is_overtaken = row->version <= row->committed;
	const char *status = is_overtaken ? "superseded" : "committed";
	const char *reason = is_overtaken ? "late" : NULL;
	unsigned char digest[HDMS_DIGEST_SIZE];

	if (row->is_former)
		version_restore_former(row, stored->state_text);
	flow_run(&store_evidence, flow_int64(row->id), flow_text(status), flow_text(evidence->request.aud),
			 flow_int64(evidence->leaf.time_ms), flow_text(body->acceptance), flow_text(body->request),
			 flow_text(body->receipt), flow_text(reason));
	outbox_drop(row->id, NULL);
	ledger_evidence_digest(row->vk, stored->state_text, body->acceptance, body->request, body->receipt, digest);
	version_event_evidence(row, status, reason, digest);
	if (!is_overtaken)
		make_current(stored);
}

static void
confirm(const FlowMessage *message, const VersionRow *row)
{
	HdmsBody	body = {0};

	body.vk = (char *) row->vk;
	flow_answer(message, HDMS_MSG_COMMITTED, row->id, true, &body);
}

FlowOutcome
flow_accepted(const FlowMessage *message, char **reason)
{
	StoredVersion stored = {0};
	VerifiedEvidence evidence;
	const HdmsNotaryList *list;
	HdmsRequest request;
	HdmsStatus	status;

	if (!version_find(message->body->vk, &stored.row) && !version_find_former(message->body->vk, &stored.row, &stored.state_text))
		return flow_answer_refused(message, "unknown-state", "There is no such state.", NULL, reason);
	if (strcmp(stored.row.patient, message->head->iss) != 0)
		return flow_answer_refused(message, hdms_status_word(HDMS_WRONG_SENDER), "The state is another patient's.", NULL, reason);
	if (stored.row.is_former && (stored.row.has_evidence || stored.state_text == NULL))
		return flow_answer_refused(message, "outdated", "The version was committed by another signature, or erased.", NULL, reason);
	if (stored.row.has_evidence)
	{
		if (!version_answer_again(stored.row.id, HDMS_MSG_COMMITTED, message->head->jti))
			confirm(message, &stored.row);
		return FLOW_DONE;
	}
	if (version_has_status(&stored.row, "erased"))
	{
		flow_answer_erased(message, &stored.row);
		return FLOW_DONE;
	}
	load_state(&stored);
	if (strcmp(stored.state.sub, message->head->iss) != 0)
		return flow_answer_refused(message, hdms_status_word(HDMS_WRONG_SENDER), "The state is another node's.", NULL, reason);

	status = hdms_request_peek(message->body->request, strlen(message->body->request), &request);
	if (status == HDMS_OK)
		strlcpy(stored.list, request.commit.notaries, sizeof(stored.list));
	if (status == HDMS_OK && stored.state.version > 1)
		status = load_predecessor(&stored);
	if (status == HDMS_OK)
	{
		list = directory_list(stored.list);
		if (list != NULL)
			status = verify_evidence(message, &stored, list, &evidence);
		else if (node_now() - message->head->iat > FLOW_LOOKUP_PATIENCE)
			return flow_answer_refused(message, "unknown-list", "The list of notaries is not to be had.", NULL, reason);
		else
		{
			directory_want_list(stored.list);
			return flow_wait(reason, psprintf("the list of notaries %s", stored.list));
		}
	}
	if (status == HDMS_OUT_OF_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory while verifying evidence")));
	if (status != HDMS_OK)
		return flow_answer_refused(message, hdms_status_word(status), hdms_status_sentence(status), NULL, reason);
	commit_version(message, &stored, &evidence);
	confirm(message, &stored.row);
	return FLOW_DONE;
}
