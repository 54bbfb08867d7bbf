/*
 * keyring.h
 *		The node's private keys, and whether this database is the one that may use them. Worker only.
 */
#ifndef HDMS_EXT_KEYRING_H
#define HDMS_EXT_KEYRING_H

#include "postgres.h"

#include "datatype/timestamp.h"

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

/*
 * Makes the keys that are to follow in some roles (bits 1 << HdmsRole) beside the present ones, durably, and returns the history
 * (malloc'ed) that names them and may revoke a key. The caller stores it durably and opens the keys again; keyring_drop_next()
 * when it does not come to that. NULL with *problem.
 */
extern char *keyring_change(unsigned int roles, const char *revoked_kid, int64 revoked_since, char **problem);
extern void keyring_drop_next(void);

/*
 * The same for all keys of a node that has lost them, by the recovery key that lies in its folder. history is the database's.
 * The keys are not open afterwards.
 */
extern char *keyring_recover(const char *node_id, const char *history, const char *database, char **problem);

/* Destroys what was replaced, but for keys that envelopes may be sealed to: the longer history is registered. */
extern void keyring_destroy_replaced(void);
/* When the keys were opened. */
extern TimestampTz keyring_opened_at(void);

/* Wipes the keys and gives up the lock. */
extern void keyring_close(void);

#endif
