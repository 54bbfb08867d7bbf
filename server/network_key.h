/*
 * network_key.h
 *		The network key: an Ed25519 JWK in a file of mode 0600, never in the database.
 */
#ifndef HDMS_SERVER_NETWORK_KEY_H
#define HDMS_SERVER_NETWORK_KEY_H

#include "key.h"

/* Loads the key; prints to stderr what is wrong and returns NULL. A file that others may read is refused. */
extern HdmsKey *network_key_load(const char *path);

/* Makes the file unless it is there, and loads it. *made says whether it was made. */
extern HdmsKey *network_key_make(const char *path, bool *made);

#endif
