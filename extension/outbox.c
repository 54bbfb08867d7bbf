/*
 * outbox.c
 *		Messages that this node owes to others, until they are answered.
 *
 * A message is signed, sealed and written in the caller's own transaction, so it
 * exists if and only if what it reports exists; all messages of a transaction are written when it commits.
 * outbox_delivery.c puts them later; no transaction is open while the network is being talked to.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "utils/memutils.h"

#include "jwe.h"

#include "directory.h"
#include "flow_plan.h"
#include "malloc_guard.h"
#include "node.h"
#include "outbox.h"
#include "outbox_delivery.h"
#include "pending.h"
#include "plan_array.h"
#include "roster.h"

#define DEFAULT_LIFE_S	(30 * 86400)
#define ACKS_A_MESSAGE	256
#define WRITTEN_AT_ONCE	(4 * 1024 * 1024)	/* bytes of envelopes */

/* A bare ack that is owed. */
typedef struct OwedAck
{
	char		to[HDMS_DIGEST_TEXT + 1];
	char		jti[37];
} OwedAck;

/* A message as a row of the outbox and one of its envelopes. */
typedef struct PendingMessage
{
	const char *jti;
	const char *receiver;
	const char *type;
	const char *re;				/* NULL: it answers nothing */
	const char *transport;
	const char *envelope;
	int64		version_id;		/* 0: it is about none */
	int64		awaited;
	int64		expires;		/* seconds */
} PendingMessage;

static void
refuse_status(HdmsStatus status, const char *type)
{
	if (status == HDMS_OK)
		return;
	if (status == HDMS_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a message of type \"%s\" is larger than an envelope may be", type),
				 errdetail("An envelope has at most %d bytes.", HDMS_ENVELOPE_MAX)));
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not make a message of type \"%s\": %s", type, hdms_status_sentence(status))));
}

/* Prints, signs and seals. *envelope is malloc'ed. */
static HdmsStatus
message_seal(const HdmsMessageHead *head, const HdmsBody *body, const HdmsKey *recipient, char **envelope)
{
	char	   *json = NULL;
	HdmsStatus	status = hdms_body_print(head->type, body, &json);

	if (status == HDMS_OK)
		status = hdms_message_seal(head, json, strlen(json), own_node.signing, recipient, envelope);
	hdms_string_wipe(json);
	return status;
}

static void
messages_write(const void *entries, int count)
{
	static FlowPlan insert = FLOW_PLAN(
		"WITH made AS MATERIALIZED (SELECT nextval('hdms_internal.outbox_id_seq') AS id, u.*"
		"  FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)"
		"   AS u (jti, receiver, type, re, version_id, transport, awaited, expires, envelope)),"
		" message AS (INSERT INTO hdms_internal.outbox (id, jti, receiver, type, re, version_id, transport, awaited, expires_at)"
		"  OVERRIDING SYSTEM VALUE SELECT id, jti::uuid, receiver, type, re::uuid, nullif(version_id, 0), transport,"
		"   awaited <> 0, to_timestamp(expires) FROM made)"
		" INSERT INTO hdms_internal.outbox_envelopes (id, envelope) SELECT id, envelope FROM made",
		TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
		TEXTARRAYOID);
	const PendingMessage *messages = entries;
	int			written;

	/* Envelopes can be large: not too many of them twice in memory. */
	for (int first = 0; first < count; first += written)
	{
		const PendingMessage *part = messages + first;
		size_t		bytes = 0;

		for (written = 0; first + written < count && bytes < WRITTEN_AT_ONCE; written++)
			bytes += strlen(part[written].envelope);
		flow_run(&insert, FLOW_TEXT_COLUMN(part, jti, written), FLOW_TEXT_COLUMN(part, receiver, written),
				 FLOW_TEXT_COLUMN(part, type, written), FLOW_TEXT_COLUMN(part, re, written),
				 FLOW_INT64_COLUMN(part, version_id, written), FLOW_TEXT_COLUMN(part, transport, written),
				 FLOW_INT64_COLUMN(part, awaited, written), FLOW_INT64_COLUMN(part, expires, written),
				 FLOW_TEXT_COLUMN(part, envelope, written));
	}
	outbox_delivery_is_due();
}

PendingList pending_messages = {.entry_size = sizeof(PendingMessage), .write = messages_write};

static void
message_note(const HdmsMessageHead *head, const char *transport, int64 version_id, bool awaited, const char *envelope)
{
	PendingMessage *message = pending_add(&pending_messages);

	message->jti = pending_text(head->jti);
	message->receiver = pending_text(head->aud);
	message->type = pending_text(head->type);
	message->re = head->re[0] != '\0' ? pending_text(head->re) : NULL;
	message->transport = pending_text(transport);
	message->envelope = pending_text(envelope);
	message->version_id = version_id;
	message->awaited = awaited;
	message->expires = head->exp;
}

void
outbox_put(const char *to, const char *type, const char *re, int64 version_id, bool awaited,
		   int64 expires, const HdmsBody *body, char *jti)
{
	const HdmsHistory *receiver = directory_history(to);
	const HdmsKey *recipient = receiver != NULL ? hdms_history_current(receiver, HDMS_ROLE_ENCRYPT) : NULL;
	HdmsMessageHead head = {0};
	char		transport[HDMS_DIGEST_TEXT + 1];
	char	  **envelope = guard_text();
	HdmsStatus	status;

	if (recipient == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node %s is not known well enough to write to it", to)));
	if (own_node.signing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this node has no keys to write with")));
	strlcpy(head.iss, own_node.id, sizeof(head.iss));
	strlcpy(head.aud, to, sizeof(head.aud));
	strlcpy(head.type, type, sizeof(head.type));
	strlcpy(head.re, re != NULL ? re : "", sizeof(head.re));
	head.iat = node_now();
	head.exp = expires != 0 ? expires : head.iat + DEFAULT_LIFE_S;

	status = hdms_uuid7(node_now_ms(), head.jti);
	if (status == HDMS_OK)
		status = message_seal(&head, body, recipient, envelope);
	if (status == HDMS_OK)
		status = hdms_envelope_id(*envelope, strlen(*envelope), transport);
	refuse_status(status, type);
	message_note(&head, transport, version_id, awaited, *envelope);
	if (jti != NULL)
		strlcpy(jti, head.jti, sizeof(head.jti));
}

bool
outbox_answered(const char *jti, const char *by, OutboxRow *row)
{
	static FlowPlan remove = FLOW_PLAN(
		"WITH gone AS (DELETE FROM hdms_internal.outbox WHERE jti = $1::uuid AND receiver = $2 RETURNING id, type, version_id),"
		" envelope AS (DELETE FROM hdms_internal.outbox_envelopes e USING gone WHERE e.id = gone.id)"
		"SELECT type, version_id FROM gone", TEXTOID, TEXTOID);
	bool		found = flow_run(&remove, flow_text(jti), flow_text(by)) > 0;

	if (found && row != NULL)
	{
		row_copy(0, 1, row->type, sizeof(row->type));
		row->version_id = row_int64(0, 2);
	}
	flow_rows_free();
	return found;
}

void
outbox_drop(int64 version_id, const char *type)
{
	static FlowPlan drop = FLOW_PLAN(
		"WITH gone AS (DELETE FROM hdms_internal.outbox WHERE version_id = $1 AND type = coalesce($2, type) RETURNING id)"
		"DELETE FROM hdms_internal.outbox_envelopes e USING gone WHERE e.id = gone.id", INT8OID, TEXTOID);

	flow_run(&drop, flow_int64(version_id), flow_text(type));
}

static int
owed_compare(const void *a, const void *b)
{
	int			order = strcmp(((const OwedAck *) a)->to, ((const OwedAck *) b)->to);

	return order != 0 ? order : strcmp(((const OwedAck *) a)->jti, ((const OwedAck *) b)->jti);
}

static void
acks_write(const void *entries, int count)
{
	OwedAck    *owed = palloc(sizeof(OwedAck) * count);
	int			first = 0;

	memcpy(owed, entries, sizeof(OwedAck) * count);
	qsort(owed, count, sizeof(OwedAck), owed_compare);
	while (first < count)
	{
		char	   *jtis[ACKS_A_MESSAGE];
		HdmsBody	body = {0};
		int			next = first;

		while (next < count && body.ack_count < ACKS_A_MESSAGE && strcmp(owed[next].to, owed[first].to) == 0)
		{
			if (next == first || strcmp(owed[next].jti, owed[next - 1].jti) != 0)
				jtis[body.ack_count++] = owed[next].jti;
			next++;
		}
		body.acks = jtis;
		outbox_put(owed[first].to, HDMS_MSG_ACK, NULL, 0, false, 0, &body, NULL);
		first = next;
	}
}

PendingList pending_acks = {.entry_size = sizeof(OwedAck), .write = acks_write};

void
outbox_ack(const char *to, const char *jti)
{
	OwedAck    *owed = pending_add(&pending_acks);

	strlcpy(owed->to, to, sizeof(owed->to));
	strlcpy(owed->jti, jti, sizeof(owed->jti));
}
