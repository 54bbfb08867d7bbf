/*
 * keyring_inside.h
 *		What keyring.c, which knows whose the keys are, and keyring_change.c, which makes and replaces them, share.
 */
#ifndef HDMS_EXT_KEYRING_INSIDE_H
#define HDMS_EXT_KEYRING_INSIDE_H

#include "postgres.h"

#include "history.h"
#include "key_store.h"

/* Which keys a node has, where they go, and whether own_node keeps them. */
typedef struct KeyPlace
{
	const char *label;
	HdmsRole	role;
	HdmsKey   **own;
} KeyPlace;

#define KEY_PLACES	4

extern const KeyPlace key_places[KEY_PLACES];
extern const KeyStore *const key_store;

/* The folder of a node's keys. */
extern char *keyring_folder(const char *node_id);

/* Locks the folder of a node whose keys are gone, and makes it this database's. False with *problem. */
extern bool keyring_take_over(const char *node_id, const char *database, char **problem);

/*
 * Loads all keys and the history, and finishes a change that was stored but not carried through in the folder. history is the
 * database's; the folder's is taken where it is longer. False with *problem.
 */
extern bool keyring_load(const char *folder, const char *history, char **problem);

#endif
