/*
 * courier.h
 *		Speaks with the server for one pairing: registers, opens sessions, fetches, acknowledges, puts.
 *
 * At most two requests of a pairing are under way: its step (registration, session, mailbox ...), and its put.
 */
#ifndef NODE_COURIER_H
#define NODE_COURIER_H

#include "engine.h"
#include "outbox.h"

#define PUT_LIMIT		64
#define PUT_BYTES		(4 * 1024 * 1024)

struct Courier
{
	Pairing    *pairing;
	HdmsEngine *engine;
	bool		is_ready;		/* in the engine's queue */
	Courier    *next_ready;

	HttpCall   *step;
	int			failures;
	int64_t		not_before;		/* engine_clock() */
	bool		must_register;	/* the server does not know this node any more, or not its present keys */
	int64_t		no_register_before; /* engine_clock(): not again for a refused signature */
	bool		tells;			/* the registration under way has the membership */
	bool		round_pending;	/* envelopes are being acted upon: fetch again after that */

	char		session[200];	/* "" when there is none */
	unsigned char secret[32];
	int64_t		session_ends;	/* engine_clock() */
	int64_t		no_session_before;	/* engine_clock(): signed by key until then */

	char		(*acks)[HDMS_DIGEST_TEXT + 1];	/* transports to acknowledge */
	size_t		ack_count;
	size_t		ack_size;
	size_t		acks_sent;		/* how many of them the request under way carries */

	HttpCall   *put;
	OutboxItem	items[PUT_LIMIT];
	int			item_status[PUT_LIMIT];
	size_t		item_count;
	bool		put_answered;	/* item_status is to be recorded in the next round */
	size_t		put_limit;		/* 1 after the server found a body too large */
	int			put_failures;
	int64_t		put_not_before;
	Courier    *next_answered;
};

extern Courier *courier_create(HdmsEngine *engine, Pairing *pairing);
extern void courier_free(Courier *courier);

/* The pairing has new keys: nothing goes on with the old ones before the server has them. */
extern void courier_rotated(Pairing *pairing);

/* Starts whatever can be started. */
extern void courier_run(Courier *courier);

/* engine_clock() of the next time that courier_run() is worth while; INT64_MAX: when it is woken. */
extern int64_t courier_timer(const Courier *courier);

/* A transport to acknowledge with the next fetch. */
extern bool courier_ack(Courier *courier, const char *transport);

/* Records what a put answered. Inside a transaction. */
extern bool courier_record_put(Courier *courier);

/* Shared by courier.c, mailbox.c, dispatch.c. */

/* Signs with the session where there is one. */
extern void courier_signing(const Courier *courier, HttpRequest *request);

/* A request of the step failed: wait before the next, longer each time. */
extern void courier_failed(Courier *courier, const HttpAnswer *answer, const char *what);

/* What every signed answer may say: the epoch, a wrong clock, an unknown node or session. True when the caller need not look further. */
extern bool courier_common(Courier *courier, const HttpAnswer *answer);

/* Fetches (mailbox.c), puts (dispatch.c). */
extern void mailbox_fetch(Courier *courier);
extern void dispatch_put(Courier *courier);

#endif
