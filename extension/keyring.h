/*
 * keyring.h
 *		The node's private keys, and whether this database is the one that may use them. Worker only.
 */
#ifndef HDMS_EXT_KEYRING_H
#define HDMS_EXT_KEYRING_H

#include "postgres.h"

/* Whether own_node has its keys: locked, owned, loaded, from what hdms.key_directory is now. */
extern bool keyring_is_open(void);

/*
 * Makes the keys of a new node in a folder that is not yet the node's, loads them into own_node and
 * returns its history (malloc'ed). The caller stores it durably and then calls keyring_settle().
 * NULL with *problem (palloc'ed) on failure.
 */
extern char *keyring_make(const char *display_name, const char *database, char **problem);

/* Gives the new keys' folder its name, the node's id. */
extern bool keyring_settle(const char *node_id, char **problem);

/*
 * Opens the keys of a node. history is the node's own, as stored in the database: the keys must be its
 * newest. adopt: this database takes them over from whom they belonged to. database: its name, for people.
 * False with *problem.
 */
extern bool keyring_open(const char *node_id, const char *history, const char *database, bool adopt, char **problem);

/* Wipes the keys and gives up the lock. */
extern void keyring_close(void);

#endif
