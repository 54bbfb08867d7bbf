/*
 * flow_body.h
 *		The bodies of the messages between nodes. docs/protocol.md has the flows.
 *
 * Each body is one strict JSON object. Strings are owned by the struct and freed by
 * hdms_body_free(); unused ones are NULL. Which members a type needs is in the table
 * in flow_body.c; parsing refuses a body that lacks one.
 */
#ifndef HDMS_FLOW_BODY_H
#define HDMS_FLOW_BODY_H

#include "claims.h"

/* Message types. */
#define HDMS_MSG_PAIR			"pair"			/* person -> institution: invitation, mac, history */
#define HDMS_MSG_PAIRED			"paired"		/* institution -> person: membership, name, confirm; re */
#define HDMS_MSG_PAIR_REFUSED	"pair_refused"	/* institution -> person: code, detail; re */
#define HDMS_MSG_RECORD			"record"		/* institution -> person: state, commit */
#define HDMS_MSG_NOTARISE		"notarise"		/* person -> notary: request, prev_request, prev_receipt */
#define HDMS_MSG_RECEIPT		"receipt"		/* notary -> person: receipt; re */
#define HDMS_MSG_REFUSED		"refused"		/* notary -> person, institution -> person: code, detail, receipt (the rival's, on "conflict"); re */
#define HDMS_MSG_SILENT			"silent"		/* person -> institution: vk, notary */
#define HDMS_MSG_SKIP			"skip"			/* institution -> person: vk, skip; re */
#define HDMS_MSG_ALIVE			"alive"			/* institution -> person: vk, notary: it answered, wait on; re */
#define HDMS_MSG_PROBE			"probe"			/* institution -> notary */
#define HDMS_MSG_PROBE_REPLY	"probe_reply"	/* notary -> institution; re */
#define HDMS_MSG_ACCEPTED		"accepted"		/* person -> institution: vk, acceptance, request, receipt */
#define HDMS_MSG_REJECTED		"rejected"		/* person -> institution: vk, rejection */
#define HDMS_MSG_COMMITTED		"committed"		/* institution -> person: vk; re */
#define HDMS_MSG_WITHDRAWN		"withdrawn"		/* institution -> person: vk, code ("expired", "rejected"): the flow has ended; re where it answers */
#define HDMS_MSG_ACK			"ack"			/* anyone: acks = jtis of messages that are hereby answered */
#define HDMS_MSG_WANT			"want"			/* person <-> institution: wanted (vks; absent: all), after (where the last answer ended) */
#define HDMS_MSG_COPIES			"copies"		/* answers want: copies, missing (vks), next (absent: these were the last); re */
#define HDMS_MSG_KEYS			"keys"			/* anyone -> its correspondents: history, after a rotation */
#define HDMS_MSG_WITNESS		"witness"		/* institution -> institution: checkpoint = a C2SP add-checkpoint request */
#define HDMS_MSG_COSIGNED		"cosigned"		/* institution -> institution: cosignatures; or code, size, checkpoint (what it saw last); re */
#define HDMS_MSG_ERASED			"erased"		/* institution -> person: vk, tombstone */
#define HDMS_MSG_ERASURE		"erasure"		/* person -> institution: vk, code ("erased", "kept"); re */
#define HDMS_MSG_READS			"reads"			/* institution -> person: reads = JSON array of who read what, when, why */
#define HDMS_MSG_UNPAIRED		"unpaired"		/* institution -> person: code ("replaced"): the patient has another node now */

/* One version as its holder has it: all that a repair needs. NULL: the holder has none of it. */
typedef struct HdmsCopy
{
	char	   *state;			/* SD-JWT with all disclosures; never NULL */
	char	   *commit;			/* JWS, where there is no request yet */
	char	   *acceptance;		/* JWT */
	char	   *request;		/* JWS */
	char	   *receipt;		/* text */
} HdmsCopy;

typedef struct HdmsBody
{
	char	   *invitation;		/* UUID */
	char	   *mac;			/* base64url, 32 bytes */
	char	   *history;		/* JSON array text */
	char	   *membership;		/* JWS */
	char	   *name;
	bool		confirm;		/* a code must be confirmed before records flow */
	char	   *code;			/* a stable word */
	char	   *detail;			/* a sentence without health data */
	char	   *state;			/* SD-JWT */
	char	   *commit;			/* JWS */
	char	   *acceptance;		/* JWT */
	char	   *rejection;		/* JWS */
	char	   *request;		/* JWS */
	char	   *receipt;		/* text */
	char	   *prev_request;
	char	   *prev_receipt;
	char	   *skip;			/* JWS */
	char	   *vk;
	char	   *notary;			/* node id */
	char	   *after;			/* a holder's own text for a place in its list */
	char	   *next;
	char	   *checkpoint;		/* C2SP note, or add-checkpoint request */
	char	   *cosignatures;	/* lines of a C2SP note */
	char	   *size;			/* decimal: leaves of the checkpoint that the witness saw last */
	char	   *tombstone;		/* JWS */
	char	   *reads;			/* JSON array text */
	size_t		ack_count;
	char	  **acks;			/* UUIDs */
	size_t		wanted_count;
	char	  **wanted;			/* vks */
	size_t		missing_count;
	char	  **missing;		/* vks */
	size_t		copy_count;
	HdmsCopy   *copies;
} HdmsBody;

/* HDMS_BAD_TYPE for an unknown message type, HDMS_BAD_CLAIM for a missing or malformed member. */
extern HdmsStatus hdms_body_parse(const char *type, const void *json, size_t len, HdmsBody *body);
extern HdmsStatus hdms_body_print(const char *type, const HdmsBody *body, char **json);
extern void hdms_body_free(HdmsBody *body);

#endif
