/*
 * key_store.h
 *		Where private keys lie: a table of functions, so that a token or a key service can take the place of files.
 *
 * label says which key: "signing", "encryption", "log", "cosigner", "recovery"; one that is to follow is "signing.next", one
 * that was replaced "signing-" and its thumbprint. On failure the result is
 * NULL and *problem a palloc'ed sentence. Keys are malloc'ed: the caller frees them with hdms_key_free().
 */
#ifndef HDMS_EXT_KEY_STORE_H
#define HDMS_EXT_KEY_STORE_H

#include "postgres.h"

#include "key.h"

typedef struct KeyStore
{
	const char *name;
	HdmsKey    *(*make) (const char *folder, const char *label, HdmsKeyType type, int bits, char **problem);
	HdmsKey    *(*load) (const char *folder, const char *label, char **problem);
	bool		(*exists) (const char *folder, const char *label);

	/* Gives a key another label, durably; what had that label is gone. False with *problem. */
	bool		(*rename) (const char *folder, const char *from, const char *to, char **problem);

	/* No key has that label any more, and what it was is overwritten. False with *problem. */
	bool		(*destroy) (const char *folder, const char *label, char **problem);
} KeyStore;

/* JWK files of mode 0600. */
extern const KeyStore key_store_files;

/*
 * Writes a file of mode 0600 so that it is whole and durable, or not there: a temporary
 * file, fsync, rename, fsync of the folder. False with *problem.
 */
extern bool key_file_write(const char *folder, const char *name, const char *text, char **problem);

#define KEY_FILE_MAX	16384

/* Reads a file of at most max bytes; refuses one that others than its owner may read or that is not ours. malloc'ed; wipe it. NULL with *problem. */
extern char *key_file_read(const char *folder, const char *name, size_t max, char **problem);

#endif
