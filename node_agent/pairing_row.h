/*
 * pairing_row.h
 *		One node of the network: the keys and the state of a pairing with an institution.
 */
#ifndef NODE_PAIRING_ROW_H
#define NODE_PAIRING_ROW_H

#include "pairing.h"
#include "home.h"

typedef enum PairingStatus
{
	PAIRING_NEW,				/* not registered with the server yet */
	PAIRING_REGISTERED,			/* the institution's key is not known yet */
	PAIRING_SENT,				/* "pair" is on its way */
	PAIRING_PAIRED,
	PAIRING_REFUSED				/* ended; problem says why */
} PairingStatus;

#define PAIRING_OLD_KEYS 4

struct Pairing
{
	HdmsHome   *home;
	int64_t		id;
	uint32_t	number;			/* which keys under the seed */
	PairingStatus status;
	bool		accept;			/* the policy */
	bool		follows_erasures;	/* what the institution erases is erased here, too */
	char		node[HDMS_DIGEST_TEXT + 1];
	char		peer[HDMS_DIGEST_TEXT + 1];		/* the institution */
	char		network[HDMS_DIGEST_TEXT + 1];	/* the network key's thumbprint */
	char		invitation[37];
	unsigned char secret[HDMS_PAIRING_SECRET_SIZE];
	char	   *server;
	char	   *voucher;
	char	   *membership;		/* NULL until paired */
	bool		is_told;		/* the server has the membership, too */
	bool		is_replaced;	/* the institution has another node of this person: what is here stays, nothing more comes */
	bool		rotate_due;		/* its keys are to be replaced once nothing is with a notary */
	bool		keys_due;		/* the institution is to be told of new keys once the server has them */
	bool		is_recovering;	/* on a new device: copies of the records are being fetched */
	char	   *name;			/* of the institution; NULL until known */
	char	   *history;		/* JSON */
	char		code[7];		/* "" when there is none to show */
	char		problem[120];	/* "" or why it ended */
	char		unreachable[120];	/* "" or why the server could not be talked to just now; not stored */
	HdmsKey    *network_key;	/* NULL until fetched */
	HdmsKey    *sign;
	HdmsKey    *encrypt;
	HdmsKey    *vrf;
	bool		keeps_keys;		/* signing and encryption keys are not from the seed, but kept in the row */
	HdmsKey    *encrypt_before[PAIRING_OLD_KEYS];	/* newest first: what was sealed before the sender knew of a rotation */
	int			encrypt_before_count;
	char		epoch[64];		/* of the server, when the outbox was put */

	/* jtis that one "ack" will answer at the end of this transaction. */
	char		(*acks)[37];
	size_t		ack_count;
	size_t		ack_size;

	bool		put_due;		/* the outbox may have something to put now */
	Courier    *courier;		/* the engine's part */
};

/* Makes the keys and the row of a new pairing from an invitation. The same invitation again gives the same pairing. */
extern HdmsNodeResult pairing_create(HdmsHome *home, const char *uri, Pairing **pairing, HdmsNodeError *error);

/* What the directory says of a node of this seed whose device is lost. */
typedef struct LostNode
{
	uint32_t	number;
	uint32_t	generation;		/* of the recovery key that is committed to */
	const HdmsHistory *history;
	const char *membership;
	const char *institution;	/* node id: who signed the membership */
	const char *server;
	const char *network;		/* fingerprint */
	const HdmsKey *network_key;
} LostNode;

/*
 * A pairing that goes on here: fresh signing and encryption keys, brought in by the recovery key, which revokes the old
 * device's signing key as of now. Inside a transaction.
 */
extern HdmsStatus pairing_recover(HdmsHome *home, const LostNode *lost, Pairing **pairing);

/*
 * Fresh signing and encryption keys, brought in by the current signing key; the courier registers them. In a transaction of its own. HDMS_BAD_ARGUMENT:
 * a failure of the store; then nothing has changed.
 */
extern HdmsStatus pairing_rotate(Pairing *pairing);

/* The recovery key of a pairing number after so many recoveries. */
extern HdmsStatus pairing_recovery_key(const HdmsHome *home, uint32_t number, uint32_t generation, HdmsKey **key);

/* Forgets a pairing that was added in a transaction that failed. */
extern void pairing_drop(HdmsHome *home, Pairing *pairing);

/* Loads all pairings of the home. */
extern bool pairings_load(HdmsHome *home);

/* Writes what changed (status, policy, epoch, texts). Inside a transaction. */
extern bool pairing_save(Pairing *pairing);

extern Pairing *pairing_find(const HdmsHome *home, int64_t id);
extern void pairing_free(Pairing *pairing);
extern const char *pairing_status_word(PairingStatus status);

/* A jti for the next "ack". */
extern bool pairing_ack(Pairing *pairing, const char *jti);

#endif
