/*
 * flow.c
 *		Which message does what, who may send it, and what its duplicate gets.
 */
#include "flow.h"

#include <stdlib.h>
#include <string.h>

static Outcome flow_ack(Arrival *arrival);

typedef enum Sender
{
	FROM_INSTITUTION, FROM_ANYONE
} Sender;

static const struct
{
	const char *type;
	Sender		sender;
	Outcome		(*act) (Arrival *arrival);
}			handlers[] = {
	{HDMS_MSG_RECORD, FROM_INSTITUTION, flow_record},
	{HDMS_MSG_RECEIPT, FROM_ANYONE, flow_receipt},
	{HDMS_MSG_COMMITTED, FROM_INSTITUTION, flow_committed},
	{HDMS_MSG_ACK, FROM_ANYONE, flow_ack},
	{HDMS_MSG_REFUSED, FROM_ANYONE, flow_refused},
	{HDMS_MSG_PAIRED, FROM_INSTITUTION, flow_paired},
	{HDMS_MSG_PAIR_REFUSED, FROM_INSTITUTION, flow_pair_refused},
	{HDMS_MSG_SKIP, FROM_INSTITUTION, flow_skip},
	{HDMS_MSG_ALIVE, FROM_INSTITUTION, flow_alive},
	{HDMS_MSG_WITHDRAWN, FROM_INSTITUTION, flow_withdrawn},
	{HDMS_MSG_KEYS, FROM_ANYONE, flow_keys},
	{HDMS_MSG_WANT, FROM_INSTITUTION, flow_want},
	{HDMS_MSG_UNPAIRED, FROM_INSTITUTION, flow_unpaired},
	{HDMS_MSG_COPIES, FROM_INSTITUTION, flow_copies},
	{HDMS_MSG_ERASED, FROM_INSTITUTION, flow_erased},
	{HDMS_MSG_READS, FROM_INSTITUTION, flow_reads},
};

Outcome
outcome_of(Arrival *arrival, HdmsStatus status)
{
	if (status == HDMS_OK)
		return OUTCOME_DONE;
	if (status == HDMS_OUT_OF_MEMORY || status == HDMS_CRYPTO_FAILED)
		return OUTCOME_FAILED;
	arrival->refusal = status;
	return OUTCOME_REFUSED;
}

Outcome
flow_act(Arrival *arrival)
{
	const HdmsMessageHead *head = &arrival->message.head;

	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
	{
		HdmsStatus	status;

		if (strcmp(head->type, handlers[i].type) != 0)
			continue;
		if (handlers[i].sender == FROM_INSTITUTION && strcmp(head->iss, arrival->pairing->peer) != 0)
			return outcome_of(arrival, HDMS_WRONG_SENDER);
		status = hdms_body_parse(head->type, arrival->message.body.data, arrival->message.body.len, &arrival->body);
		if (status != HDMS_OK && handlers[i].act == flow_record && status != HDMS_OUT_OF_MEMORY)
		{
			/* The institution shall know that this record will never be stored. */
			HdmsBody	body = {.code = (char *) "malformed", .detail = (char *) hdms_status_sentence(status)};
			char		jti[37] = "";

			arrival->answer = ANSWER_REFUSED;
			strcpy(arrival->word, "malformed");
			return outbox_add(arrival->pairing, arrival->sender, OUT_REFUSED, head->jti, 0, &body, jti) ? OUTCOME_DONE : OUTCOME_FAILED;
		}
		if (status != HDMS_OK)
			return outcome_of(arrival, status);
		return handlers[i].act(arrival);
	}
	return outcome_of(arrival, HDMS_BAD_TYPE);
}

/* "ack": those messages are answered. */
static Outcome
flow_ack(Arrival *arrival)
{
	for (size_t i = 0; i < arrival->body.ack_count; i++)
	{
		OutboxType	type;
		int64_t		version;
		bool		found;

		if (!outbox_look(arrival->pairing, arrival->sender->node, arrival->body.acks[i], &found, &type, &version))
			return OUTCOME_FAILED;

		/* A notary request and evidence are answered by what follows from them, and nothing else. */
		if (!found || type == OUT_NOTARISE || type == OUT_ACCEPTED)
			continue;
		if (!outbox_answered(arrival->pairing, arrival->sender->node, arrival->body.acks[i], &found, &type, &version))
			return OUTCOME_FAILED;
	}
	return OUTCOME_DONE;
}

static Outcome
repeat_flow(Arrival *arrival)
{
	Version		version;
	bool		found;
	bool		pending;
	bool		was_put;
	OutboxType	type;
	bool		good;

	if (!version_load(arrival->home, arrival->version, &version, &found))
		return OUTCOME_FAILED;
	if (!found || version.answer[0] == '\0')
		return pairing_ack(arrival->pairing, arrival->message.head.jti) ? OUTCOME_DONE : OUTCOME_FAILED;
	type = version.status == VERSION_REJECTED ? OUT_REJECTED : OUT_ACCEPTED;
	if (!outbox_pending(arrival->home, version.id, type, &pending, &was_put))
		return OUTCOME_FAILED;
	if (pending)
	{
		arrival->pairing->put_due = true;
		good = outbox_hurry(arrival->home, version.id, type);
	}
	else if (type == OUT_ACCEPTED)
		good = flow_send_accepted(arrival->pairing, &version, NULL);
	else
		good = flow_reject(arrival->pairing, &version, NULL) == HDMS_OK;
	return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

Outcome
flow_repeat(Arrival *arrival)
{
	HdmsBody	body = {.code = arrival->word, .detail = (char *) "refused before"};
	char		jti[37] = "";

	switch (arrival->answer)
	{
		case ANSWER_NONE:
			return OUTCOME_DONE;
		case ANSWER_ACK:
			return pairing_ack(arrival->pairing, arrival->message.head.jti) ? OUTCOME_DONE : OUTCOME_FAILED;
		case ANSWER_FLOW:
			return repeat_flow(arrival);
		case ANSWER_REFUSED:
			return outbox_add(arrival->pairing, arrival->sender, OUT_REFUSED, arrival->message.head.jti, 0, &body, jti) ? OUTCOME_DONE : OUTCOME_FAILED;
		case ANSWER_AGAIN:
			return flow_act(arrival);
	}
	return OUTCOME_DONE;
}

bool
flow_send_acks(Pairing *pairing)
{
	HdmsBody	body = {0};
	char	  **jtis;
	char		jti[37] = "";
	Peer	   *institution;
	bool		good;

	if (pairing->ack_count == 0)
		return true;
	if (!peer_find(pairing->home, pairing->peer, &institution))
		return false;
	if (institution == NULL)
		return store_fail(pairing->home->store, "the institution's key is not known");
	jtis = calloc(pairing->ack_count, sizeof(*jtis));
	if (jtis == NULL)
		return store_fail(pairing->home->store, "out of memory");
	for (size_t i = 0; i < pairing->ack_count; i++)
		jtis[i] = pairing->acks[i];
	body.acks = jtis;
	body.ack_count = pairing->ack_count;
	good = outbox_add(pairing, institution, OUT_ACK, "", 0, &body, jti);
	free(jtis);
	if (good)
		pairing->ack_count = 0;
	return good;
}
