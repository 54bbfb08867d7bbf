/*
 * flow_keys.c
 *		Another node has replaced keys.
 *
 * The history that the message carries continues the pinned one, or it is refused like one from the directory.
 */
#include <string.h>

#include "flow.h"
#include "inbox.h"

/* Only the institution is answered by the acknowledgements that are collected. */
static bool
keys_answer(Arrival *arrival)
{
	char	   *acks[1] = {arrival->message.head.jti};
	HdmsBody	body = {.acks = acks, .ack_count = 1};
	char		jti[37] = "";

	if (strcmp(arrival->sender->node, arrival->pairing->peer) == 0)
	{
		arrival->answer = ANSWER_ACK;
		return pairing_ack(arrival->pairing, arrival->message.head.jti);
	}
	return outbox_add(arrival->pairing, arrival->sender, OUT_ACK, "", 0, &body, jti);
}

Outcome
flow_keys(Arrival *arrival)
{
	switch (peer_learn(arrival->home, arrival->sender->node, arrival->body.history, NULL, NULL))
	{
		case PEER_FAILED:
			return OUTCOME_FAILED;
		case PEER_FALSE:
			return outcome_of(arrival, HDMS_BAD_CHAIN);
		default:
			return keys_answer(arrival) && inbox_wake(arrival->home, arrival->sender->node) ? OUTCOME_DONE : OUTCOME_FAILED;
	}
}
