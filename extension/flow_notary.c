/*
 * flow_notary.c
 *		"notarise": this node as a notary promises that a tag is used once.
 *
 * A request is verified and its entry written in the transaction of its message. When that is durable, one checkpoint is
 * signed for all entries of the batch, and each requester gets its own proof. A request that
 * is in the log already goes the same way and gets a fresh proof for its old leaf, so a
 * crash between the two transactions costs nothing but time.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "directory.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "node.h"
#include "notarisation.h"
#include "notary_log.h"
#include "outbox.h"

/* A request whose receipt is owed. */
typedef struct PendingReceipt
{
	int64		inbox_id;
	SubTransactionId subtransaction;	/* that took it, until that is durable */
	char		requester[HDMS_DIGEST_TEXT + 1];
	char		jti[37];
	bool		is_rival;		/* the entry is another request's: the receipt proves the conflict */
	LogEntry	entry;
} PendingReceipt;

static struct
{
	PendingReceipt *receipts;	/* in TopMemoryContext */
	int			count;
	int			size;
	bool		is_durable;		/* the transaction that collected them is committed */
} batch;

static const char *const conflict_detail = "Another request with this tag is in the log.";

static FlowPlan find_checked =
FLOW_PLAN("SELECT EXISTS (SELECT FROM hdms_internal.peers p WHERE p.node_id IN ($2, $3) AND p.checked_at <= i.received_at)"
		  " FROM hdms_internal.inbox i WHERE i.id = $1",
		  INT8OID, TEXTOID, TEXTOID);

static void
batch_at_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		batch.is_durable = true;
	else if (event == XACT_EVENT_ABORT && !batch.is_durable)
		batch.count = 0;
}

/* What an aborted subtransaction took was rolled back with it; it is always at the end of the batch. */
static void
batch_at_subend(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (batch.is_durable)
		return;
	for (int i = batch.count; i > 0 && batch.receipts[i - 1].subtransaction == id; i--)
	{
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			batch.receipts[i - 1].subtransaction = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			batch.count--;
	}
}

/* Room for one more, before anything is written. */
static void
batch_make_room(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(batch_at_end, NULL);
		RegisterSubXactCallback(batch_at_subend, NULL);
		registered = true;
	}
	if (batch.receipts == NULL)
	{
		batch.size = 64;
		batch.receipts = MemoryContextAlloc(TopMemoryContext, sizeof(PendingReceipt) * batch.size);
	}
	else if (batch.count == batch.size)
	{
		batch.receipts = repalloc(batch.receipts, sizeof(PendingReceipt) * batch.size * 2);
		batch.size *= 2;
	}
}

static FlowOutcome
batch_add(const FlowMessage *message, const LogEntry *entry, bool is_rival)
{
	PendingReceipt *receipt = &batch.receipts[batch.count];

	receipt->inbox_id = message->inbox_id;
	receipt->subtransaction = GetCurrentSubTransactionId();
	strlcpy(receipt->requester, message->head->iss, sizeof(receipt->requester));
	strlcpy(receipt->jti, message->head->jti, sizeof(receipt->jti));
	receipt->is_rival = is_rival;
	receipt->entry = *entry;
	batch.is_durable = false;
	batch.count++;
	return FLOW_BATCHED;
}

/* Whether both histories were asked for after the message came. */
static bool
histories_are_fresh(const FlowMessage *message, const HdmsRequest *request)
{
	bool		is_stale = flow_run(&find_checked, flow_int64(message->inbox_id), flow_text(request->iss),
									flow_text(request->commit.iss)) > 0 && row_bool(0, 1);

	flow_rows_free();
	return !is_stale;
}

static FlowOutcome
wait_for_issuer(const FlowMessage *message, const char *issuer, char **reason)
{
	if (node_now() - message->head->iat > FLOW_LOOKUP_PATIENCE)
		return flow_answer_refused(message, "unknown-node", "The issuer is not in the directory.", NULL, reason);
	directory_want_node(issuer);
	return flow_wait(reason, psprintf("the issuer %s", issuer));
}

static FlowOutcome
wait_for_keys(const FlowMessage *message, const HdmsRequest *request, char **reason)
{
	if (node_now() - message->head->iat > FLOW_LOOKUP_PATIENCE)
		return flow_answer_refused(message, hdms_status_word(HDMS_UNKNOWN_KEY), NULL, NULL, reason);
	directory_want_node(request->iss);
	directory_want_node(request->commit.iss);
	return flow_wait(reason, "newer keys of the requester or the issuer");
}

static FlowOutcome
wait_for_list(const FlowMessage *message, const char *digest, char **reason)
{
	if (node_now() - message->head->iat > FLOW_LOOKUP_PATIENCE)
		return flow_answer_refused(message, "unknown-list", "The list of notaries is not to be had.", NULL, reason);
	directory_want_list(digest);
	return flow_wait(reason, psprintf("the list of notaries %s", digest));
}

/* Nothing is promised that could contradict an earlier promise; it is no fault of the message. */
static FlowOutcome
wait_for_log(const char *damage, char **reason)
{
	static int64 next_warning = 0;
	int64		now = node_now();

	if (now >= next_warning)
	{
		next_warning = now + 60;
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the notary's log is damaged: %s", damage),
				 errdetail("Nothing is notarised, so that no promise is broken."),
				 errhint("Restore all of the schema hdms_internal from one backup.")));
	}
	return flow_wait(reason, psprintf("the notary's log is damaged: %s", damage));
}

/* Another request has the tag: its leaf and the proof for it show that. One of this same batch has no proof before its end. */
static FlowOutcome
answer_conflict(const FlowMessage *message, const LogEntry *rival, char **reason)
{
	if (!notary_log_is_signed(rival))
		return batch_add(message, rival, true);
	return flow_answer_refused(message, "conflict", conflict_detail, notary_log_receipt(rival), reason);
}

/* The rules that need no other node's keys. Gives the request as it describes itself. */
static const char *
check_form(const FlowMessage *message, HdmsRequest *request)
{
	const HdmsBody *body = message->body;
	unsigned char digest[HDMS_DIGEST_SIZE];
	char		text[HDMS_DIGEST_TEXT + 1];
	LogEntry	previous;
	HdmsStatus	status;

	if (!own_node.is_notary)
		return "not-a-notary";
	status = hdms_request_peek(body->request, strlen(body->request), request);
	if (status != HDMS_OK)
		return hdms_status_word(status);
	if (strcmp(request->iss, message->head->iss) != 0)
		return hdms_status_word(HDMS_WRONG_SENDER);
	if (strcmp(request->aud, own_node.id) != 0)
		return hdms_status_word(HDMS_WRONG_RECEIVER);
	if (strcmp(request->commit.iss, own_node.id) == 0)
		return hdms_status_word(HDMS_BAD_DRAW);		/* nobody is the notary of its own records */
	if (request->prev[0] == '\0')
		return NULL;
	if (body->prev_request == NULL
		|| hdms_sha256(body->prev_request, strlen(body->prev_request), digest) != HDMS_OK)
		return "unknown-predecessor";
	hdms_base64url_write(digest, sizeof(digest), text);
	if (strcmp(text, request->prev) != 0 || !notary_log_find_request(digest, &previous))
		return "unknown-predecessor";
	return NULL;
}

FlowOutcome
flow_notarise(const FlowMessage *message, char **reason)
{
	const HdmsBody *body = message->body;
	const HdmsHistory *issuer;
	const HdmsNotaryList *list = NULL;
	HdmsRequest request;
	HdmsLeaf	leaf;
	LogEntry	entry;
	const char *problem = check_form(message, &request);
	bool		is_known;
	HdmsStatus	status;

	if (problem != NULL)
		return flow_answer_refused(message, problem, NULL, NULL, reason);
	if ((problem = notary_log_damage()) != NULL)
		return wait_for_log(problem, reason);
	batch_make_room();
	is_known = notary_log_find_tag(request.commit.tag, &entry);
	if (is_known && memcmp(entry.request, request.digest, HDMS_DIGEST_SIZE) == 0)
		return batch_add(message, &entry, false);

	issuer = directory_history(request.commit.iss);
	if (issuer == NULL)
		return wait_for_issuer(message, request.commit.iss, reason);
	if (hdms_history_kind(issuer) != HDMS_INSTITUTION)
		return flow_answer_refused(message, hdms_status_word(HDMS_NOT_ADMITTED), NULL, NULL, reason);
	if (request.prev[0] == '\0' && (list = directory_list(request.commit.notaries)) == NULL)
		return wait_for_list(message, request.commit.notaries, reason);

	/* What holds at the leaf's time holds for every later verifier. */
	leaf.time_ms = node_now_ms();
	status = hdms_request_verify(body->request, strlen(body->request), issuer, message->sender, list,
								 request.prev[0] == '\0' ? NULL : body->prev_request, leaf.time_ms / 1000, &request);
	if (status == HDMS_OUT_OF_MEMORY)
		flow_require(status, "verifying a request");
	if (status == HDMS_UNKNOWN_KEY && !histories_are_fresh(message, &request))
		return wait_for_keys(message, &request, reason);
	if (status == HDMS_OK && leaf.time_ms / 1000 > request.commit.accept_until)
		status = HDMS_TOO_LATE;
	if (status != HDMS_OK)
		return flow_answer_refused(message, hdms_status_word(status), hdms_status_sentence(status), NULL, reason);
	if (is_known)
		return answer_conflict(message, &entry, reason);
	memcpy(leaf.tag, request.commit.tag, sizeof(leaf.tag));
	memcpy(leaf.request, request.digest, sizeof(leaf.request));
	notary_log_append(&leaf, body->request, &entry);
	return batch_add(message, &entry, false);
}

bool
flow_notary_pending(void)
{
	return batch.count > 0;
}

void
flow_notary_abort(void)
{
	batch.count = 0;
	notary_log_forget();
}

void
flow_notary_finish(int64 **inbox_ids, int *count)
{
	MemoryContext caller = CurrentMemoryContext;

	*count = batch.count;
	*inbox_ids = palloc(sizeof(int64) * Max(batch.count, 1));
	notary_log_sign();
	for (int i = 0; i < batch.count; i++)
	{
		PendingReceipt *receipt = &batch.receipts[i];
		MemoryContext context = AllocSetContextCreate(caller, "hdms receipt", ALLOCSET_DEFAULT_SIZES);
		HdmsBody	body = {0};

		MemoryContextSwitchTo(context);
		body.receipt = notary_log_receipt(&receipt->entry);
		if (receipt->is_rival)
		{
			body.code = "conflict";
			body.detail = (char *) conflict_detail;
		}
		outbox_put(receipt->requester, receipt->is_rival ? HDMS_MSG_REFUSED : HDMS_MSG_RECEIPT, receipt->jti, 0, false, 0,
				   &body, NULL);
		(*inbox_ids)[i] = receipt->inbox_id;
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(context);
	}
	batch.count = 0;
}
