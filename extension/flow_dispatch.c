/*
 * flow_dispatch.c
 *		From a message's type to what is done about it.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "flow_erase.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "node.h"
#include "outbox.h"

/* What may be received by an institution, and from whom. */
typedef struct MessageRule
{
	const char *type;
	bool		from_person;
	bool		from_institution;
	bool		looks_at_question;	/* the handler itself looks up what "re" answers */
	FlowHandler handler;
} MessageRule;

static FlowOutcome flow_ack(const FlowMessage *message, char **reason);

static const MessageRule rules[] = {
	{HDMS_MSG_ACCEPTED, true, false, false, flow_accepted},
	{HDMS_MSG_NOTARISE, true, false, false, flow_notarise},
	{HDMS_MSG_ACK, true, true, false, flow_ack},
	{HDMS_MSG_REJECTED, true, false, false, flow_rejected},
	{HDMS_MSG_PAIR, true, false, false, flow_pair},
	{HDMS_MSG_KEYS, true, true, false, flow_keys},
	{HDMS_MSG_REFUSED, true, true, true, flow_refused},
	{HDMS_MSG_SILENT, true, false, false, flow_silent},
	{HDMS_MSG_PROBE, false, true, false, flow_probe},
	{HDMS_MSG_PROBE_REPLY, false, true, true, flow_probe_reply},
	{HDMS_MSG_ERASURE, true, false, false, flow_erasure},
	{HDMS_MSG_WITNESS, false, true, false, flow_witness},
	{HDMS_MSG_COSIGNED, false, true, false, flow_cosigned},
	{HDMS_MSG_WANT, true, false, false, flow_want},
	{HDMS_MSG_COPIES, true, false, true, flow_copies},
};

static FlowPlan set_delivered =
FLOW_PLAN("UPDATE hdms_internal.versions SET status = 'delivered', delivered_at = clock_timestamp()"
		  " WHERE id = $1 AND status = 'issued'",
		  INT8OID);

/* The device holds the record and will ask the person. */
static void
record_delivered(int64 version_id)
{
	VersionRow	row;

	if (flow_run(&set_delivered, flow_int64(version_id)) > 0 && version_load(version_id, &row))
		version_event(&row, "delivered", NULL);
}

static FlowOutcome
flow_ack(const FlowMessage *message, char **reason)
{
	for (size_t i = 0; i < message->body->ack_count; i++)
	{
		OutboxRow	answered;

		if (outbox_answered(message->body->acks[i], message->head->iss, &answered)
			&& strcmp(answered.type, HDMS_MSG_RECORD) == 0)
			record_delivered(answered.version_id);
	}
	return FLOW_DONE;
}

void
flow_answer(const FlowMessage *message, const char *type, int64 version_id, bool awaited, const HdmsBody *body)
{
	outbox_put(message->head->iss, type, message->head->jti, version_id, awaited, 0, body, NULL);
}

FlowOutcome
flow_answer_refused(const FlowMessage *message, const char *code, const char *detail, char *receipt, char **reason)
{
	HdmsBody	body = {0};

	body.code = (char *) code;
	body.detail = (char *) (detail == NULL ? code : detail);
	body.receipt = receipt;
	flow_answer(message, HDMS_MSG_REFUSED, 0, false, &body);
	*reason = pstrdup(code);
	return FLOW_REFUSED;
}

FlowOutcome
flow_drop(char **reason, const char *why)
{
	*reason = pstrdup(why);
	return FLOW_REFUSED;
}

FlowOutcome
flow_wait(char **reason, const char *why)
{
	*reason = pstrdup(why);
	return FLOW_WAIT;
}

void
flow_require(HdmsStatus status, const char *what)
{
	if (status != HDMS_OK)
		ereport(ERROR,
				(errcode(status == HDMS_OUT_OF_MEMORY ? ERRCODE_OUT_OF_MEMORY : ERRCODE_INTERNAL_ERROR),
				 errmsg("%s failed: %s", what, hdms_status_sentence(status))));
}

static const MessageRule *
find_rule(const char *type)
{
	for (size_t i = 0; i < lengthof(rules); i++)
	{
		if (strcmp(rules[i].type, type) == 0)
			return &rules[i];
	}
	return NULL;
}

static FlowOutcome
follow_rule(const FlowMessage *message, char **reason)
{
	const MessageRule *rule = find_rule(message->head->type);
	HdmsNodeKind kind = hdms_history_kind(message->sender);

	if (rule == NULL)
		return flow_drop(reason, "an institution does not take messages of this type");
	if (kind == HDMS_PERSON ? !rule->from_person : !rule->from_institution)
		return flow_drop(reason, "the sender is not of the kind that sends such messages");
	if (message->head->re[0] != '\0' && !rule->looks_at_question)
		(void) outbox_answered(message->head->re, message->head->iss, NULL);
	return rule->handler(message, reason);
}

FlowOutcome
flow_message(const FlowMessage *message, char **reason)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	FlowOutcome outcome;
	char	   *why = NULL;

	/* A child of the caller's: an error frees it, with all that was guarded in it. */
	context = AllocSetContextCreate(caller, "hdms message", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	outcome = follow_rule(message, &why);
	MemoryContextSwitchTo(caller);
	*reason = why == NULL ? NULL : pstrdup(why);
	MemoryContextDelete(context);
	return outcome;
}
