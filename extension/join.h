/*
 * join.h
 *		How this database becomes a node, and stays one. Worker only.
 */
#ifndef HDMS_EXT_JOIN_H
#define HDMS_EXT_JOIN_H

#include "postgres.h"

/* Reads the node's row again, in a transaction of its own, makes or opens keys where needed. At the start, when woken, now and then. */
extern void join_refresh(void);

/* Registers, asks for the admission, or does nothing. Outside of transactions. */
extern void join_move(void);

/* The server does not know this node (any more): register again. */
extern void join_forgotten(void);

/*
 * The server refused this node's signature. True when that can be because it knows the node by an older key only: then the longer
 * history is registered again.
 */
extern bool join_key_refused(void);

/* The server is another one than before, perhaps with an older directory: look at what it says of this node. */
extern void join_look_again(void);

/* What was asked will not be answered. */
extern void join_reset(void);

/* Whether the server knows this node, so that there is sense in talking of anything else. */
extern bool join_is_registered(void);

/*
 * This database contradicts what the node signed before: it is older, or another. From now on nothing is signed, sent or fetched, also
 * after a restart, until a person has put that right. In the current transaction; why: a sentence for people.
 */
extern void join_halt(const char *why);

/* Milliseconds until join_move() has something to do; -1: nothing. */
extern long join_timeout(void);

#endif
