/*
 * sim.h
 *		The others: an institution and two notaries with real cryptography and simple memories.
 *
 * They are scripted peers for tests: what a patient's node sends them they verify as the real ones do, and what they answer is queued as
 * envelopes. Whoever uses them carries the envelopes: a test in the same process, or fake_institution.c over HTTP. A failure inside ends the program.
 */
#ifndef SIM_H
#define SIM_H

#include "evidence.h"
#include "flow_body.h"
#include "message.h"
#include "pairing.h"

#define SIM_NOTARIES 2

/* Ends the program unless the call gives HDMS_OK. */
#define MUST(call) sim_must(call, #call, __FILE__, __LINE__)
extern void sim_must(HdmsStatus status, const char *what, const char *file, int line);

typedef struct SimNode
{
	char		id[HDMS_DIGEST_TEXT + 1];
	HdmsKey    *key[HDMS_ROLE_COUNT];
	HdmsHistory *history;
	char	   *admission;
	bool		mute;			/* receives, and answers nothing */
} SimNode;

/* A notary's log, all of it in memory. */
typedef struct SimLog
{
	HdmsMerkleFrontier frontier;
	HdmsHash   *nodes[48];		/* complete nodes by level */
	size_t		count[48];
	struct SimLeaf
	{
		unsigned char tag[HDMS_DIGEST_SIZE];
		unsigned char request[HDMS_DIGEST_SIZE];
		char	   *receipt;
	}		   *leaves;
	size_t		leaf_count;
} SimLog;

typedef enum SimStatus
{
	SIM_ISSUED, SIM_DELIVERED, SIM_COMMITTED, SIM_REJECTED, SIM_REFUSED
} SimStatus;

typedef struct SimVersion
{
	HdmsState	state;
	char	   *text;			/* SD-JWT */
	char	   *commit;
	char		jti[37];		/* of the record message */
	char		patient[HDMS_DIGEST_TEXT + 1];
	SimStatus	status;
	char		code[64];		/* of a refusal */
	char		reason[HDMS_REASON_MAX + 1];	/* of a rejection */
	char	   *acceptance;
	char	   *request;
	char	   *receipt;
	int64_t		issued_ms;
	int64_t		committed_ms;
} SimVersion;

/* An envelope on its way to a person's node. */
typedef struct SimMail
{
	char		to[HDMS_DIGEST_TEXT + 1];
	char	   *envelope;
	char		type[HDMS_MESSAGE_TYPE_MAX];
	const SimNode *from;
} SimMail;

typedef struct SimPatient
{
	HdmsHistory *history;
	bool		paired;
} SimPatient;

typedef struct Sim
{
	int64_t		(*clock) (void);	/* milliseconds */
	HdmsKey    *network;
	SimNode		institution;
	SimNode		notary[SIM_NOTARIES];
	SimLog		log[SIM_NOTARIES];
	HdmsNotaryList list;
	int64_t		accept_within;	/* seconds */
	bool		confirm;		/* pairings ask for the code */
	bool		skip_silent;	/* the institution answers "silent" with a skip, otherwise "alive" */
	bool		notary_refuses; /* the next notarise is refused with refuse_code */
	char		refuse_code[40];
	bool		refuse_own;		/* and the refusal comes with the request's own receipt */
	int64_t		leaf_shift;		/* milliseconds that notaries' leaves are dated too late */
	bool		wrong_leaf;		/* notaries log another request than they were sent */

	SimPatient *patients;
	size_t		patient_count;
	SimVersion *versions;
	size_t		version_count;
	HdmsPairing *invitations;
	size_t		invitation_count;
	SimMail    *mail;			/* a queue: mail_first is the oldest */
	size_t		mail_first;
	size_t		mail_count;		/* the end */
	size_t		verified_accepted;	/* "accepted" messages whose evidence verified */
	size_t		bad_messages;	/* from patients, that did not open or verify */
	char	   *copies;			/* the body of the newest "copies" */
	size_t		copies_at_once; /* that the institution gives; 0: all */
	bool		has_no_copies;
	bool		alters_copies;	/* their receipts */
	char		erasure[16];	/* the code of the newest "erasure"; "" for none */
	char		erasure_vk[HDMS_DIGEST_TEXT + 1];
} Sim;

/* network: the operator's key, taken; NULL: a fresh one. */
extern void sim_open(Sim *sim, int64_t (*clock) (void), HdmsKey *network);
extern void sim_close(Sim *sim);

/* A pairing URI for a new invitation. malloc'ed. */
extern char *sim_invite(Sim *sim, const char *server);

/* Lets the sim know a person's history, as the directory would tell it. */
extern void sim_learn(Sim *sim, const char *history);
extern const HdmsHistory *sim_history(const Sim *sim, const char *node);
extern bool sim_is_paired(const Sim *sim, const char *node);

/* An envelope for one of the sim's nodes. False when the node is not of the sim. */
extern bool sim_deliver(Sim *sim, const char *to, const char *envelope);

/*
 * Issues content to a patient: version 1 of a new record (before NULL), or the version after before (an index). Gives its index; the message
 * is queued.
 */
extern size_t sim_issue(Sim *sim, const char *patient, const char *content, const SimVersion *before);

/* Queues the record message of a version again, as a new envelope with the same jti. */
extern void sim_send_record(Sim *sim, size_t version);

/* Queues any message from one of the sim's nodes. jti "": a new one, which is given back. */
extern void sim_send(Sim *sim, const SimNode *from, const char *to, const char *type, const char *re, const HdmsBody *body, char jti[37]);

/* Takes the oldest queued mail out; false when there is none. The caller frees the envelope. */
extern bool sim_take(Sim *sim, SimMail *mail);

extern SimVersion *sim_version(Sim *sim, const char *vk);

#endif
