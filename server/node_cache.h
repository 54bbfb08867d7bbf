/*
 * node_cache.h
 *		Nodes in memory: the keys that requests are verified with.
 *
 * Only nodes that exist are kept. Entries are dropped when the directory says so (NOTIFY), and nothing is kept while
 * nobody listens to the directory.
 */
#ifndef HDMS_SERVER_NODE_CACHE_H
#define HDMS_SERVER_NODE_CACHE_H

#include "operation.h"

/* What requests need to know of a node. Immutable but for the two last, counted. */
typedef struct Node
{
	char		id[HDMS_DIGEST_TEXT + 1];
	HdmsNodeKind kind;
	NodeStatus	status;
	HdmsKey    *signing;
	HdmsKey    *encryption;
	char		recovery[HDMS_DIGEST_TEXT + 1];	/* thumbprint of the recovery key that is committed to */
	HdmsHistory *history;		/* institutions only: to verify vouchers; NULL for persons, who are many */
	_Atomic int64_t noted;		/* monotonic ms: when the housekeeper was told that a pending one asks; 0: never */
	_Atomic int references;
} Node;

typedef struct NodeCache NodeCache;

extern NodeCache *node_cache_new(void);
extern void node_cache_free(NodeCache *cache);

/* A reference, or NULL. */
extern Node *node_cache_find(NodeCache *cache, const char *id);

/* What to hand to node_cache_add(): taken before the database is asked. */
extern uint64_t node_cache_moment(NodeCache *cache);

/*
 * Makes a node of a row, and keeps it unless something was dropped since moment that may have been it. The
 * returned reference is the caller's; NULL when the stored history is unusable or out of memory.
 */
extern Node *node_cache_add(NodeCache *cache, const NodeRow *row, uint64_t moment, int64_t limit);

extern void node_cache_forget(NodeCache *cache, const char *id);
extern void node_cache_forget_all(NodeCache *cache);

/* While off, nothing is found and nothing kept. */
extern void node_cache_switch(NodeCache *cache, bool on);

extern Node *node_share(Node *node);
extern void node_release(Node *node);	/* safe on NULL */

#endif
