/*
 * node.h
 *		What the worker knows of its own node while it serves a database.
 */
#ifndef HDMS_EXT_NODE_H
#define HDMS_EXT_NODE_H

#include "admission.h"
#include "history.h"

typedef struct OwnNode
{
	bool		ready;			/* keys loaded and owned, node is active: may sign and send */
	bool		is_notary;		/* admitted as a notary */
	char		id[HDMS_DIGEST_TEXT + 1];
	char	   *server_url;
	char		fingerprint[HDMS_DIGEST_TEXT + 1];
	int64_t		ledger_epoch;	/* of the node's own log */
	HdmsKey    *network;		/* the network key, public */
	HdmsHistory *history;		/* own */
	HdmsKey    *signing;		/* private, current */
	HdmsKey    *encryption;
	HdmsKey   **former_encryption;	/* private, replaced: envelopes on their way may be sealed to them */
	int			former_count;
	HdmsKey    *log;			/* Ed25519 */
	HdmsKey    *cosigner;
} OwnNode;

/* The worker's only instance. Never in shared memory. Loaded by keyring.c and join.c. */
extern OwnNode own_node;

/* The private key that something was sealed to: "" asks for the current one. NULL when this node does not have it. */
extern const HdmsKey *node_decryption_key(const char *kid);

/* Seconds and milliseconds since 1970 by this machine's clock. */
extern int64_t node_now(void);
extern int64_t node_now_ms(void);

#endif
