/*
 * receipt.h
 *		A notary's leaf and receipt.
 *
 * leaf = time (8 bytes big endian, milliseconds since 1970) || tag (32) || SHA-256 of the notary request (32).
 * A receipt is a C2SP tlog-proof: "c2sp.org/tlog-proof@v1", "extra" with the leaf,
 * "index", the inclusion proof's hashes, an empty line, the checkpoint.
 */
#ifndef HDMS_RECEIPT_H
#define HDMS_RECEIPT_H

#include "note.h"

#define HDMS_LEAF_SIZE	72

typedef struct HdmsLeaf
{
	int64_t		time_ms;
	unsigned char tag[HDMS_DIGEST_SIZE];
	unsigned char request[HDMS_DIGEST_SIZE];
} HdmsLeaf;

extern void hdms_leaf_write(const HdmsLeaf *leaf, unsigned char out[HDMS_LEAF_SIZE]);
extern HdmsStatus hdms_leaf_read(const void *data, size_t len, HdmsLeaf *leaf);

/* *receipt is malloc'ed text. */
extern HdmsStatus hdms_receipt_build(const HdmsLeaf *leaf, uint64_t index, const HdmsHash *proof, int count,
									 const char *checkpoint_note, char **receipt);

/* What a receipt says, unverified. leaf and index may be NULL. */
extern HdmsStatus hdms_receipt_peek(const char *receipt, size_t len, HdmsLeaf *leaf, uint64_t *index);

/*
 * Verifies the proof and the checkpoint's signature by the notary's log key.
 * Gives the leaf, its index and the checkpoint (each may be NULL).
 */
extern HdmsStatus hdms_receipt_verify(const char *receipt, size_t len, const char *notary_id, const HdmsKey *log_key,
									  HdmsLeaf *leaf, uint64_t *index, HdmsCheckpoint *checkpoint);

#endif
