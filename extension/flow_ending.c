/*
 * flow_ending.c
 *		Versions that end without evidence: rejected, refused by the device, or expired.
 *
 * None of these ends is final: evidence that arrives later still commits (flow_storing.c).
 */
#include "postgres.h"

#include "flow_erase.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "node.h"
#include "outbox.h"
#include "settings.h"
#include "statement.h"

static FlowPlan store_rejection = FLOW_PLAN("UPDATE hdms_internal.payloads SET rejection = $2 WHERE id = $1", INT8OID, TEXTOID);

/* Whether the record message was put at least once is told by its row: a message that was answered has none. */
static FlowPlan find_expired =
FLOW_PLAN("SELECT v.id, v.status = 'delivered' OR NOT EXISTS (SELECT FROM hdms_internal.outbox o"
		  "  WHERE o.version_id = v.id AND o.type = 'record' AND o.status = 'queued' AND o.attempts = 0)"
		  " FROM hdms_internal.versions v WHERE v.status IN ('issued', 'delivered')"
		  " AND v.accept_until < to_timestamp($1) ORDER BY v.accept_until LIMIT $2",
		  INT8OID, INT8OID);

static void
answer_ended(const FlowMessage *message, const VersionRow *row)
{
	HdmsBody	body = {0};

	body.vk = (char *) row->vk;
	if (row->is_former)
	{
		body.code = "outdated";
		flow_answer(message, HDMS_MSG_WITHDRAWN, row->id, false, &body);
		return;
	}
	if (row->has_evidence)
	{
		if (!version_answer_again(row->id, HDMS_MSG_COMMITTED, message->head->jti))
			flow_answer(message, HDMS_MSG_COMMITTED, row->id, true, &body);
		return;
	}
	if (version_has_status(row, "erased"))
	{
		flow_answer_erased(message, row);
		return;
	}
	body.code = version_has_status(row, "expired") ? "expired" : "rejected";
	flow_answer(message, HDMS_MSG_WITHDRAWN, row->id, false, &body);
}

FlowOutcome
flow_rejected(const FlowMessage *message, char **reason)
{
	const HdmsBody *body = message->body;
	HdmsRejection rejection;
	VersionRow	row;
	char	   *former;
	HdmsStatus	status;

	if (!version_find(body->vk, &row) && !version_find_former(body->vk, &row, &former))
		return flow_answer_refused(message, "unknown-state", "There is no such state.", NULL, reason);
	if (strcmp(row.patient, message->head->iss) != 0)
		return flow_answer_refused(message, hdms_status_word(HDMS_WRONG_SENDER), "The state is another patient's.", NULL, reason);
	if (!row.is_former && version_is_open(&row))
	{
		/* with the keys that were the sender's when the message was made, like the message itself */
		status = hdms_rejection_verify(body->rejection, strlen(body->rejection), message->sender, message->head->iat, &rejection);
		if (status == HDMS_OK && (strcmp(rejection.iss, message->head->iss) != 0 || strcmp(rejection.aud, own_node.id) != 0
								  || strcmp(rejection.vk, row.vk) != 0))
			status = HDMS_BAD_CLAIM;
		if (status == HDMS_OUT_OF_MEMORY)
			flow_require(status, "a rejection");
		if (status != HDMS_OK)
			return flow_answer_refused(message, hdms_status_word(status), hdms_status_sentence(status), NULL, reason);
		flow_run(&store_rejection, flow_int64(row.id), flow_text(body->rejection));
		version_end(&row, "rejected", rejection.reason);
		strlcpy(row.status, "rejected", sizeof(row.status));
	}
	answer_ended(message, &row);
	return FLOW_DONE;
}

/* A machine's word from another node, fit to be stored and shown. */
static bool
is_word(const char *code)
{
	size_t		len = strlen(code);

	return len > 0 && len <= 40 && strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

/* The device could not make sense of a record that was sent to it. */
FlowOutcome
flow_refused(const FlowMessage *message, char **reason)
{
	const char *code = is_word(message->body->code) ? message->body->code : "malformed";
	OutboxRow	answered;
	VersionRow	row;

	if (message->head->re[0] == '\0' || !outbox_answered(message->head->re, message->head->iss, &answered))
		return message->duplicate ? FLOW_DONE : flow_drop(reason, "it answers nothing that is owed");
	if (strcmp(answered.type, HDMS_MSG_RECORD) == 0 && version_load(answered.version_id, &row) && version_is_open(&row))
		version_end(&row, "rejected", psprintf("refused: %s", code));
	return FLOW_DONE;
}

int
flow_expire(int limit)
{
	uint64		count = flow_run(&find_expired, flow_int64(node_now() - setting_expiry_grace), flow_int64(limit));
	int64	   *ids = palloc(sizeof(int64) * Max(count, 1));
	bool	   *was_told = palloc(sizeof(bool) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
	{
		ids[i] = row_int64(i, 1);
		was_told[i] = row_bool(i, 2);
	}
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
	{
		HdmsBody	body = {0};
		VersionRow	row;

		if (!version_load(ids[i], &row))
			continue;
		version_end(&row, "expired", "expired");
		if (!was_told[i] || row.patient[0] == '\0')
			continue;
		body.vk = row.vk;
		body.code = "expired";
		outbox_put(row.patient, HDMS_MSG_WITHDRAWN, NULL, row.id, true, 0, &body, NULL);
	}
	return (int) count;
}
