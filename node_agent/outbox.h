/*
 * outbox.h
 *		Messages that this node owes to others, until they are answered.
 */
#ifndef NODE_OUTBOX_H
#define NODE_OUTBOX_H

#include "flow_body.h"
#include "pairing_row.h"
#include "peer.h"

typedef enum OutboxType
{
	OUT_PAIR, OUT_NOTARISE, OUT_SILENT, OUT_ACCEPTED, OUT_REJECTED,
	OUT_ACK, OUT_REFUSED,		/* never awaited: gone once the server has them */
	OUT_COPIES,					/* likewise */
	OUT_WANT, OUT_KEYS, OUT_ERASURE,
	OUT_REPAIR,					/* a question like OUT_WANT, for damaged versions by name */
	OUT_TYPE_COUNT
} OutboxType;

/*
 * Seals a message and keeps it. re: the jti that it answers, or "". version 0: of no flow. jti: "" for a new one, which is then
 * filled in; otherwise the message is sealed anew under that id.
 */
extern bool outbox_add(Pairing *pairing, const Peer *receiver, OutboxType type, const char *re, int64_t version, const HdmsBody *body,
					   char jti[37]);

/* A message on its way to the server. */
typedef struct OutboxItem
{
	int64_t		id;
	OutboxType	type;
	int64_t		version;		/* 0: none */
	int			attempts;
	bool		was_put;
	int64_t		expires;		/* seconds */
	char		receiver[HDMS_DIGEST_TEXT + 1];
	char		transport[HDMS_DIGEST_TEXT + 1];
	char	   *envelope;
	size_t		len;
} OutboxItem;

/* What is due for a pairing: at most limit items and max_bytes bytes (but one at least). */
extern bool outbox_due(Pairing *pairing, int64_t now_ms, size_t limit, size_t max_bytes, OutboxItem *items, size_t *count);
extern void outbox_items_free(OutboxItem *items, size_t count);

/*
 * Records what the server answered to a put: the HTTP status (0: no answer; the row stays due). Inside a transaction. The first put of a
 * notary request starts the notary's patience.
 */
extern bool outbox_put_done(Pairing *pairing, const OutboxItem *item, int status);

/* Removes the message with that jti to that receiver, if it is there; gives what it was. */
extern bool outbox_answered(Pairing *pairing, const char *receiver, const char *jti, bool *found, OutboxType *type, int64_t *version);

/* Looks without removing. */
extern bool outbox_look(Pairing *pairing, const char *receiver, const char *jti, bool *found, OutboxType *type, int64_t *version);

/* Removes all messages of that type that belong to a version; OUT_TYPE_COUNT: of every type. */
extern bool outbox_forget(HdmsHome *home, int64_t version, OutboxType type);

/* Whether a message of that type is under way for a version, and whether the server has had it. */
extern bool outbox_pending(HdmsHome *home, int64_t version, OutboxType type, bool *pending, bool *was_put);

/* Puts a version's messages of that type again now. */
extern bool outbox_hurry(HdmsHome *home, int64_t version, OutboxType type);

/* The server's epoch changed: everything unanswered is due. */
extern bool outbox_again(Pairing *pairing);

/* Reports and removes what nobody answered until it expired. */
extern bool outbox_expire(HdmsHome *home);

/* Milliseconds of the first row that is due; INT64_MAX when there is none. Pairings that have something due now are marked put_due. */
extern bool outbox_next_timer(HdmsHome *home, int64_t now_ms, int64_t *at);
extern bool outbox_count(HdmsHome *home, int64_t *count);

#endif
