/*
 * home.h
 *		A home from the inside: what its parts share.
 *
 * Layers, each knowing only those above it in this list: store and vault; rows (pairing, peer, notary_list, version, outbox, notice,
 * catalogue); flows; inbox; courier, mailbox, dispatch and lookup, which speak HTTP; engine; control; command line. Flows never talk to the
 * network: they leave rows in the outbox and wants, which the engine serves.
 */
#ifndef NODE_HOME_H
#define NODE_HOME_H

#include "admission.h"
#include "config.h"
#include "store.h"

typedef struct Pairing Pairing;
typedef struct Peer Peer;
typedef struct Catalogue Catalogue;
typedef struct Courier Courier;
typedef struct Control Control;

/* Something that only the server can give: a node's history or a list of notaries. */
typedef enum WantKind
{
	WANT_NODE, WANT_LIST
} WantKind;

typedef struct Want
{
	WantKind	kind;
	char		id[HDMS_DIGEST_TEXT + 1];
	int64_t		pairing;		/* through whose server it is asked for */
	int64_t		next_try;		/* engine_clock(); 0: at once */
	int			failures;
	bool		in_flight;
} Want;

struct HdmsHome
{
	char	   *path;
	int			lock;
	HdmsHomeOptions options;
	NodeConfig	config;
	Store	   *store;
	unsigned char seed[32];
	HdmsSuite	suite;
	int64_t		clock_offset;	/* milliseconds that the server's clock is ahead, learnt from refusals */

	Pairing   **pairings;		/* by ascending id */
	size_t		pairing_count;
	size_t		pairing_size;
	Peer	  **peers;			/* by node id */
	size_t		peer_count;
	HdmsNotaryList **lists;
	size_t		list_count;
	Catalogue  *catalogue;
	Want	   *wants;
	size_t		want_count;
	struct Lookup *lookups;		/* under way */
	struct Recovery *recovery;	/* the search for the nodes of a lost device; NULL: none */

	HdmsEngine *engine;			/* NULL: not attached */
	struct HomeWork *work;		/* the engine's part */
	Control    *control;
	/* Told of each version that becomes final (the load driver); received in milliseconds. May be NULL. */
	void		(*finished) (void *arg, int64_t received);
	void	   *finished_arg;

	bool		inbox_due;		/* rows of the inbox may be taken up */
	int64_t		outbox_seen;	/* milliseconds: rows due until then have marked their pairings */
	int64_t		pruned;			/* milliseconds: when old rows were removed last */
	struct RequestFacts *request_facts; /* of requests that were made lately; NULL: none yet */
	uint64_t	refused_messages;
	unsigned char recent_notices[16][HDMS_DIGEST_SIZE]; /* so that one fault is not told a thousand times */
	int			recent_notice;
};

/* Makes a home with that seed. */
extern HdmsNodeResult home_make(const char *path, const HdmsNodeSecret *secret, HdmsSuite suite, const unsigned char seed[32], HdmsNodeError *error);

/* Opens a home only to look at its keys and pairings, without its lock: a service may have it open. */
extern HdmsNodeResult home_look(const char *path, const HdmsNodeSecret *secret, HdmsHome **home, HdmsNodeError *error);

/* Milliseconds and seconds since 1970, by the server's clock as far as it is known to differ. */
extern int64_t home_now_ms(const HdmsHome *home);
extern int64_t home_now(const HdmsHome *home);

/* The server's clock is that many milliseconds ahead; kept for the next start. */
extern bool home_clock_learn(HdmsHome *home, int64_t offset);

/* A line for the log: no secrets, no health data. */
extern void home_log(const HdmsHome *home, const char *format,...) __attribute__((format(printf, 2, 3)));

/* Tells the application that something visible changed. */
extern void home_changed(const HdmsHome *home);

/* Fills an error, and returns result. error may be NULL. */
extern HdmsNodeResult node_error(HdmsNodeError *error, HdmsNodeResult result, const char *format,...) __attribute__((format(printf, 3, 4)));

/* Asks the engine for something, unless it was asked for already. */
extern void want_add(HdmsHome *home, const Pairing *pairing, WantKind kind, const char *id);

/* Row counts and settings that several parts need. */
extern bool notice_add(HdmsHome *home, const char *kind, const char *format,...) __attribute__((format(printf, 3, 4)));

/* The newest notices as a JSON array, to be json_decref()ed; NULL on failure. */
extern json_t *notice_list(HdmsHome *home);

/* Exponential back-off with jitter: initial doubled failures times, at most max, give or take a quarter. Milliseconds. */
extern int64_t backoff(int64_t initial, int64_t max, int failures);

#endif
