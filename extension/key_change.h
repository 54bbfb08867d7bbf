/*
 * key_change.h
 *		Rotation, revocation and recovery of this node's keys: what hdms.rotate_keys() and its like asked for. Worker only.
 */
#ifndef HDMS_EXT_KEY_CHANGE_H
#define HDMS_EXT_KEY_CHANGE_H

#include "postgres.h"

#include "bytes.h"

/* A row of hdms_internal.key_changes that was not carried out. */
typedef struct KeyChange
{
	int64		id;				/* 0: there is none */
	bool		recovers;
	unsigned int roles;			/* keys to be replaced: bits 1 << HdmsRole */
	char		revoked_kid[HDMS_DIGEST_TEXT + 1];	/* "": none */
	int64		revoked_since;	/* seconds */
} KeyChange;

/* The oldest of them. In a transaction. */
extern void key_change_find(KeyChange *change);

/*
 * Carries it out: makes the keys, and stores the history that names them, in a transaction of its own. The keyring is open, unless the
 * change recovers. True: the keys have to be opened again. False: it was refused, which the row says.
 */
extern bool key_change_make(const KeyChange *change, const char *node_id, const char *history, const char *database);

/* The server has the history with so many entries; in a transaction of its own. What it replaced is destroyed. */
extern void key_change_registered(int entries);

/* The database learnt of a longer history from the key directory: keeps it. In a transaction of its own. */
extern void key_change_keep_history(void);

#endif
