/*
 * vault.h
 *		Encryption at rest: the data key, how it is wrapped, and sealed columns.
 */
#ifndef NODE_VAULT_H
#define NODE_VAULT_H

#include <openssl/evp.h>

#include "bytes.h"
#include "hdms_node.h"

#define VAULT_KEY_SIZE		32
#define VAULT_NONCE_SIZE	12
#define VAULT_TAG_SIZE		16
#define VAULT_OVERHEAD		(VAULT_NONCE_SIZE + VAULT_TAG_SIZE)

/* scrypt with N = 2^13, r = 8 needs 8 MiB for a moment; p = 10 makes up for the memory that a phone's service should not take. */
#define VAULT_SCRYPT_LOG_N	13
#define VAULT_SCRYPT_R		8
#define VAULT_SCRYPT_P		10

typedef struct Vault Vault;

/* A vault under a fresh data key. *wrapped: the data key under the secret, with the parameters, to be stored. */
extern HdmsStatus vault_create(const HdmsNodeSecret *secret, HdmsBytes *wrapped, Vault **vault);

/* The same data key under another secret, to be stored instead: nothing that was sealed has to be written again. */
extern HdmsStatus vault_rewrap(const Vault *vault, const HdmsNodeSecret *secret, HdmsBytes *wrapped);

/* HDMS_CANNOT_DECRYPT when the secret is not the right one (or wrapped was altered). */
extern HdmsStatus vault_unlock(const HdmsNodeSecret *secret, const void *wrapped, size_t len, Vault **vault);

/* Wipes the key. Safe on NULL. */
extern void vault_free(Vault *vault);

/* AES-256-GCM: nonce, ciphertext, tag; bound to the column's name and the row. */
extern HdmsStatus vault_seal(Vault *vault, const char *column, int64_t row, const void *plaintext, size_t len, HdmsBytes *sealed);
extern HdmsStatus vault_open(Vault *vault, const char *column, int64_t row, const void *sealed, size_t len, HdmsBytes *plaintext);

#endif
