/*
 * peer.h
 *		Other nodes' key histories, pinned.
 */
#ifndef NODE_PEER_H
#define NODE_PEER_H

#include "history.h"
#include "home.h"

struct Peer
{
	int64_t		id;
	char		node[HDMS_DIGEST_TEXT + 1];
	int64_t		fetched;		/* milliseconds: when the directory was asked last */
	HdmsHistory *history;
	char	   *admission;		/* the network's certificate; NULL when there is none */
};

extern void peer_free(Peer *peer);

/* A pinned node: from memory, or from the database. *peer NULL when it is not known. False on a failure of the store. */
extern bool peer_find(HdmsHome *home, const char *node, Peer **peer);

typedef enum PeerLesson
{
	PEER_PINNED,				/* was unknown, is pinned now */
	PEER_SAME,					/* nothing new */
	PEER_CONTINUED,				/* the pinned history was continued */
	PEER_FALSE,					/* what was offered contradicts what is pinned, or is not that node's: refused */
	PEER_FAILED					/* the store or memory failed */
} PeerLesson;

/*
 * What the directory says about a node. history: JSON array; admission may be NULL. A false history becomes a notice. Inside a transaction. *peer
 * may be NULL.
 */
extern PeerLesson peer_learn(HdmsHome *home, const char *node, const char *history, const char *admission, Peer **peer);

/* The directory was asked and has no such node, or nothing new. */
extern bool peer_asked(HdmsHome *home, const char *node);

#endif
