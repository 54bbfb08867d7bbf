/*
 * puppet.h
 *		A node on strings: does exactly what a test tells it, also what no honest node would do.
 *
 * The program reads one JSON object per line ({"do": command, ...}) and answers each with one line:
 * {"ok": true, ...} or {"ok": false, "error": word}. It is one node: a person's or an institution's.
 */
#ifndef PUPPET_H
#define PUPPET_H

#include <jansson.h>

#include "message.h"
#include "notarisation.h"
#include "pairing.h"
#include "wire.h"

typedef struct Puppet
{
	HdmsNodeKind kind;
	char		id[HDMS_DIGEST_TEXT + 1];
	HdmsKey    *sign;
	HdmsKey    *encrypt;
	HdmsKey    *recovery;
	HdmsKey    *vrf;			/* persons */
	HdmsKey    *log;			/* institutions */
	HdmsKey    *cosigner;
	HdmsHistory *history;
	HdmsPairing pairing;		/* what a person was invited with */
	char	   *server;			/* base URL */
} Puppet;

extern Puppet puppet;

/* Results: {"ok": true} with members, or an error. New references. */
extern json_t *answer_status(HdmsStatus status, json_t *members);
extern json_t *answer_error(const char *word);

/* A string member of a command; NULL when it is absent. */
extern const char *text_of(const json_t *command, const char *name);
extern int64_t number_of(const json_t *command, const char *name, int64_t if_absent);

/* puppet_server.c: what is said to the server. */
extern json_t *command_pair(const json_t *command);
extern json_t *command_join(const json_t *command);
extern json_t *command_put(const json_t *command);
extern json_t *command_fetch(const json_t *command);
extern json_t *command_ack(const json_t *command);

/* Tells the server of the node and its keys. voucher: NULL where it is known. */
extern json_t *register_node(const char *voucher);

/* puppet_rotate.c: other keys of its own. */
extern json_t *command_rotate(const json_t *command);
extern json_t *command_switch(const json_t *command);

/* puppet_thief.c: somebody else's keys. */
extern json_t *command_steal(const json_t *command);

/* Histories are asked for anew. */
extern json_t *command_forget(const json_t *command);

/* A node's history from the server, kept; NULL when it is not to be had. */
extern const HdmsHistory *node_history(const char *id);

/* The newest list of notaries, or the one with that digest; false when it is not to be had. */
extern bool notary_list(const char *digest, HdmsNotaryList *list);

/* puppet_message.c: sealing and opening. */
extern json_t *command_seal(const json_t *command);
extern json_t *open_parcel(const HdmsParcel *parcel);

/* puppet_objects.c: what is signed. */
extern json_t *command_pair_body(const json_t *command);
extern json_t *command_accept(const json_t *command);
extern json_t *command_reject(const json_t *command);
extern json_t *command_state(const json_t *command);
extern json_t *command_receipt(const json_t *command);
extern json_t *command_check_receipt(const json_t *command);
extern json_t *command_voucher(const json_t *command);
extern json_t *command_invite(const json_t *command);
extern json_t *command_history(const json_t *command);
extern json_t *command_skip(const json_t *command);
extern json_t *command_checkpoint(const json_t *command);
extern json_t *command_cosign(const json_t *command);

#endif
