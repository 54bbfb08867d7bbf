/*
 * outbox.c
 *		Messages that this node owes to others, until they are answered.
 *
 * A message is signed, sealed and written in the caller's own transaction, so it
 * exists if and only if what it reports exists. outbox_delivery.c puts it later; no transaction
 * is open while the network is being talked to.
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
#include "plan_array.h"
#include "roster.h"

#define DEFAULT_LIFE_S	(30 * 86400)
#define ACKS_A_MESSAGE	256

/* A bare ack that is owed. */
typedef struct OwedAck
{
	char		to[HDMS_DIGEST_TEXT + 1];
	char		jti[37];
} OwedAck;

static OwedAck *owed;			/* in TopMemoryContext */
static int	owed_count;
static int	owed_size;

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
outbox_insert(const HdmsMessageHead *head, const char *transport, int64 version_id, bool awaited, const char *envelope)
{
	static FlowPlan insert = FLOW_PLAN(
		"WITH message AS ("
		" INSERT INTO hdms_internal.outbox (jti, receiver, type, re, version_id, transport, awaited, expires_at)"
		" VALUES ($1::uuid, $2, $3, $4::uuid, nullif($5, 0), $6, $7, to_timestamp($8)) RETURNING id)"
		"INSERT INTO hdms_internal.outbox_envelopes (id, envelope) SELECT id, $9 FROM message",
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, BOOLOID, INT8OID, TEXTOID);

	flow_run(&insert, flow_text(head->jti), flow_text(head->aud), flow_text(head->type),
			 flow_text(head->re[0] != '\0' ? head->re : NULL), flow_int64(version_id), flow_text(transport),
			 flow_bool(awaited), flow_int64(head->exp), flow_text(envelope));
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
	outbox_insert(&head, transport, version_id, awaited, *envelope);
	outbox_delivery_is_due();
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

void
outbox_ack(const char *to, const char *jti)
{
	if (owed_count == owed_size)
	{
		int			size = Max(64, owed_size * 2);

		owed = owed == NULL ? MemoryContextAlloc(TopMemoryContext, size * sizeof(OwedAck)) : repalloc(owed, size * sizeof(OwedAck));
		owed_size = size;
	}
	strlcpy(owed[owed_count].to, to, sizeof(owed->to));
	strlcpy(owed[owed_count].jti, jti, sizeof(owed->jti));
	owed_count++;
}

int
outbox_acks_noted(void)
{
	return owed_count;
}

void
outbox_acks_truncate(int count)
{
	owed_count = Min(owed_count, count);
}

static int
owed_compare(const void *a, const void *b)
{
	int			order = strcmp(((const OwedAck *) a)->to, ((const OwedAck *) b)->to);

	return order != 0 ? order : strcmp(((const OwedAck *) a)->jti, ((const OwedAck *) b)->jti);
}

void
outbox_flush_acks(void)
{
	int			first = 0;

	if (owed_count == 0)
		return;
	qsort(owed, owed_count, sizeof(OwedAck), owed_compare);
	while (first < owed_count)
	{
		char	   *jtis[ACKS_A_MESSAGE];
		HdmsBody	body = {0};
		int			next = first;

		while (next < owed_count && body.ack_count < ACKS_A_MESSAGE && strcmp(owed[next].to, owed[first].to) == 0)
		{
			if (next == first || strcmp(owed[next].jti, owed[next - 1].jti) != 0)
				jtis[body.ack_count++] = owed[next].jti;
			next++;
		}
		body.acks = jtis;
		outbox_put(owed[first].to, HDMS_MSG_ACK, NULL, 0, false, 0, &body, NULL);
		first = next;
	}
	owed_count = 0;
}
