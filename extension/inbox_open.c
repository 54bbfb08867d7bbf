/*
 * inbox_open.c
 *		Opens one received envelope and acts on it.
 *
 * Everything here was written by somebody else and may be meant to do harm: what
 * cannot be opened or believed is refused with a word, which names the check that failed.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "jwe.h"

#include "directory.h"
#include "flow_plan.h"
#include "inbox_open.h"
#include "node.h"

#define UNKNOWN_SENDER_PATIENCE_S	86400

/* What protocol/ allocates for one message. */
typedef struct Opened
{
	MemoryContextCallback callback;
	HdmsMessage message;
	HdmsBody	body;
} Opened;

static void
opened_free(void *argument)
{
	Opened	   *opened = argument;

	hdms_message_free(&opened->message);
	hdms_body_free(&opened->body);
}

static Opened *
opened_make(void)
{
	Opened	   *opened = palloc0(sizeof(Opened));

	opened->callback.func = opened_free;
	opened->callback.arg = opened;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &opened->callback);
	return opened;
}

static void
refuse(InboxVerdict *verdict, HdmsStatus status)
{
	/* No fault of the message. */
	if (status == HDMS_OUT_OF_MEMORY || status == HDMS_CRYPTO_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not open a message: %s", hdms_status_sentence(status))));
	verdict->outcome = FLOW_REFUSED;
	verdict->reason = pstrdup(hdms_status_word(status));
}

static void
wait_for(InboxVerdict *verdict, const char *what)
{
	verdict->outcome = FLOW_WAIT;
	verdict->reason = pstrdup(what);
}

/* The sender's key that signed, or NULL with a verdict. */
static const HdmsKey *
sender_key(const InboxRow *row, const HdmsMessage *message, const HdmsHistory **sender, InboxVerdict *verdict)
{
	const HdmsMessageHead *head = &message->head;
	char		kid[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status = hdms_message_kid(message, kid);
	const HdmsKey *key;

	if (status != HDMS_OK)
	{
		refuse(verdict, status);
		return NULL;
	}
	*sender = directory_history(head->iss);
	if (*sender == NULL)
	{
		if (row->received_at + UNKNOWN_SENDER_PATIENCE_S < node_now() && directory_answer(head->iss, 0) == DIRECTORY_UNKNOWN)
		{
			verdict->outcome = FLOW_REFUSED;
			verdict->reason = pstrdup("unknown-node");
			return NULL;
		}
		directory_want_node(head->iss);
		wait_for(verdict, "the sender is not known yet");
		return NULL;
	}
	key = hdms_history_sender(*sender, kid, head->iat, row->received_at);
	if (key != NULL)
		return key;
	if (directory_answer(head->iss, row->received_at) == DIRECTORY_CHECKED)
		refuse(verdict, HDMS_UNKNOWN_KEY);
	else
	{
		directory_want_node(head->iss);
		wait_for(verdict, "the key that it is signed with is not known yet");
	}
	return NULL;
}

/* Notes the message as acted upon. False when it was before. */
static bool
note_processed(const HdmsMessageHead *head)
{
	static FlowPlan insert = FLOW_PLAN(
		"INSERT INTO hdms_internal.processed (jti, iss, expires_at) VALUES ($1::uuid, $2, to_timestamp($3))"
		" ON CONFLICT (jti, iss) DO NOTHING", TEXTOID, TEXTOID, INT8OID);

	return flow_run(&insert, flow_text(head->jti), flow_text(head->iss), flow_int64(head->exp + HDMS_CLOCK_SKEW)) > 0;
}

static void
forget_processed(const HdmsMessageHead *head)
{
	static FlowPlan remove = FLOW_PLAN(
		"DELETE FROM hdms_internal.processed WHERE jti = $1::uuid AND iss = $2", TEXTOID, TEXTOID);

	flow_run(&remove, flow_text(head->jti), flow_text(head->iss));
}

/* By the key that it is sealed to, which may have been replaced since. */
static HdmsStatus
open_envelope(const InboxRow *row, HdmsMessage *message)
{
	char		kid[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status = hdms_jwe_peek_kid(row->envelope, row->len, kid);
	const HdmsKey *key = status == HDMS_OK ? node_decryption_key(kid) : NULL;

	/* Where there is no such key, opening with the current one says what is wrong. */
	return hdms_message_open(row->envelope, row->len, key != NULL ? key : own_node.encryption, own_node.id, node_now(), message);
}

void
inbox_act(const InboxRow *row, InboxVerdict *verdict)
{
	Opened	   *opened = opened_make();
	HdmsMessage *message = &opened->message;
	const HdmsKey *key;
	FlowMessage flow = {0};
	HdmsStatus	status;

	memset(verdict, 0, sizeof(*verdict));
	status = open_envelope(row, message);
	if (status == HDMS_NOT_YET_VALID)
	{
		wait_for(verdict, "it is dated in the future");
		return;
	}
	if (status != HDMS_OK)
	{
		refuse(verdict, status);
		return;
	}
	strlcpy(verdict->sender, message->head.iss, sizeof(verdict->sender));
	strlcpy(verdict->type, message->head.type, sizeof(verdict->type));

	key = sender_key(row, message, &flow.sender, verdict);
	if (key == NULL)
		return;
	status = hdms_message_verify(message, key);
	if (status == HDMS_OK)
		status = hdms_body_parse(message->head.type, message->body.data, message->body.len, &opened->body);
	if (status != HDMS_OK)
	{
		refuse(verdict, status);
		return;
	}

	flow.head = &message->head;
	flow.body = &opened->body;
	flow.inbox_id = row->id;
	flow.duplicate = !note_processed(&message->head);
	verdict->outcome = flow_message(&flow, &verdict->reason);

	/* What was not acted upon is no duplicate when it comes again. */
	if (!flow.duplicate && (verdict->outcome == FLOW_WAIT || verdict->outcome == FLOW_REFUSED))
		forget_processed(&message->head);
}
