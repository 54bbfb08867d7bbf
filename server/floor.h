/*
 * floor.h
 *		Where each mailbox begins, so that a fetch does not walk through what was acknowledged long ago.
 *
 * While a snapshot is held anywhere in the database (a backup), no deleted row and no index entry of one can go away, and
 * each fetch would read all of them again. So this process remembers for each mailbox a sequence number below which
 * there is nothing any more and never will be. The second half is the difficult one: a transaction may take a number and
 * commit late. Therefore a number counts as settled only when every transaction that could have taken one up to it is
 * known to have ended: each takes its transaction id before its numbers; some batch reads the last number, a batch that
 * begins after it takes an id, and when a snapshot has nothing in progress below that id, the number is settled.
 * (The end of a snapshot would not do in place of the id: transactions above it may be in progress.)
 */
#ifndef HDMS_SERVER_FLOOR_H
#define HDMS_SERVER_FLOOR_H

#include <stdint.h>

typedef struct Floors Floors;

/* What a batch may rely on: taken before its statements are sent, given back with what they found. */
typedef struct FloorView
{
	uint64_t	generation;
	uint64_t	candidate;		/* which one there was, 0: none */
	int64_t		settled;
} FloorView;

extern Floors *floors_new(void);
extern void floors_free(Floors *floors);

extern FloorView floors_view(Floors *floors);

/* The number at which a look into that mailbox may begin; 0: it is not known. */
extern int64_t floor_of(Floors *floors, const char *node);

/* A fetch that began at floor_of() found this number first; 0: it found nothing. */
extern void floor_found(Floors *floors, const FloorView *view, const char *node, int64_t first);

/* last: of the sequence; id: the transaction's own, 0 if it took none; oldest: xmin of one of its snapshots. */
extern void floors_settle(Floors *floors, const FloorView *view, int64_t last, int64_t id, int64_t oldest);

/* The database may be another one. */
extern void floors_forget_all(Floors *floors);

#endif
