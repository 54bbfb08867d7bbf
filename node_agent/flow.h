/*
 * flow.h
 *		The device's side of pairing and storing: what each message, decision and timer does (docs/protocol.md, sections 3 and 4).
 *
 * Everything here runs inside a transaction of the caller. Nothing here talks to the network.
 */
#ifndef NODE_FLOW_H
#define NODE_FLOW_H

#include "message.h"
#include "outbox.h"
#include "statement.h"
#include "version.h"

typedef enum Outcome
{
	OUTCOME_DONE,				/* acted upon */
	OUTCOME_WAIT,				/* want says for what, next_try until when at most */
	OUTCOME_REFUSED,			/* for good; refusal says why */
	OUTCOME_FAILED				/* memory or storage: to be undone and tried again */
} Outcome;

/* What a duplicate of a processed message gets. Stored as a number. */
typedef enum Answer
{
	ANSWER_NONE, ANSWER_ACK, ANSWER_FLOW, ANSWER_REFUSED,
	ANSWER_AGAIN				/* a question that changes nothing: it is answered anew */
} Answer;

/* A verified message on its way through a flow. */
typedef struct Arrival
{
	HdmsHome   *home;
	Pairing    *pairing;
	Peer	   *sender;
	HdmsMessage message;
	HdmsBody	body;
	int64_t		received;		/* milliseconds */

	char		want[HDMS_DIGEST_TEXT + 1];
	int64_t		next_try;		/* milliseconds; 0: until the message expires */
	HdmsStatus	refusal;

	Answer		answer;
	int64_t		version;		/* 0: none */
	char		word[40];		/* of ANSWER_REFUSED */
} Arrival;

/* Acts on a message that was not processed before. */
extern Outcome flow_act(Arrival *arrival);

/* Answers a duplicate as before. */
extern Outcome flow_repeat(Arrival *arrival);

/* One for each message type; the sender was verified to be who sends that type. */
extern Outcome flow_paired(Arrival *arrival);
extern Outcome flow_pair_refused(Arrival *arrival);
extern Outcome flow_unpaired(Arrival *arrival);
extern Outcome flow_record(Arrival *arrival);
extern Outcome flow_receipt(Arrival *arrival);
extern Outcome flow_refused(Arrival *arrival);
extern Outcome flow_skip(Arrival *arrival);
extern Outcome flow_alive(Arrival *arrival);
extern Outcome flow_committed(Arrival *arrival);
extern Outcome flow_withdrawn(Arrival *arrival);
extern Outcome flow_erased(Arrival *arrival);
extern Outcome flow_keys(Arrival *arrival);
extern Outcome flow_reads(Arrival *arrival);
extern Outcome flow_want(Arrival *arrival);

/* DONE, FAILED (memory, OpenSSL), or REFUSED with the status as its reason. */
extern Outcome outcome_of(Arrival *arrival, HdmsStatus status);

/* Sends the message "pair": the institution's history is pinned. */
extern bool flow_pair(Pairing *pairing, const Peer *institution);

/* Copies that this node asked for (flow_recover.c). */
extern Outcome flow_copies(Arrival *arrival);

/* Tells the institution the node's new keys. */
extern bool flow_send_keys(Pairing *pairing, const Peer *institution);

/*
 * The institution of a node that was recovered is known and admitted: tells it the new keys and asks for all records. NULL; or why the pairing ends;
 * "": to be tried again.
 */
extern const char *flow_recover(Pairing *pairing, const Peer *institution);

/* What an acceptance is about. */
typedef struct FlowTexts
{
	const char *state;
	const char *commit;
	const HdmsState *parsed;	/* the state, verified */
	const HdmsCommit *claims;	/* the commit's */
} FlowTexts;

/*
 * Signs acceptance and request, and sends the request where the notary's key is known. texts NULL: the stored ones are
 * read. HDMS_BAD_ARGUMENT: a failure of the store.
 */
extern HdmsStatus flow_accept(Pairing *pairing, Version *version, const FlowTexts *texts);

/* Signs the rejection and sends it. */
extern HdmsStatus flow_reject(Pairing *pairing, Version *version, const char *reason);

/* Sends the newest request (NULL: it is read) to its notary, or asks for the notary's key first. */
extern bool flow_send_request(Pairing *pairing, Version *version, const char *request);

/*
 * Sends acceptance, request and receipt to the institution (again, under the same jti, where there was one). evidence may be NULL: then it is
 * read.
 */
extern bool flow_send_accepted(Pairing *pairing, Version *version, const Evidence *evidence);

/* A version's timer came. */
extern bool flow_timer(HdmsHome *home, int64_t version);

/* All timers that have come. In transactions of its own. */
extern bool flows_run_timers(HdmsHome *home);

/* One "ack" for all that was processed for this pairing in this transaction. */
extern bool flow_send_acks(Pairing *pairing);

#endif
