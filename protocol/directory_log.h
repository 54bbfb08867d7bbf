/*
 * directory_log.h
 *		The directory as a log: what its leaves say, and how its checkpoints are told from others.
 *
 * Each key entry and each admission that the directory accepts becomes one leaf of an RFC 6962 tree, so that a key
 * which it swapped, hid or showed to some only is found by whoever follows the log. A leaf names its node by a digest:
 * who knows a node finds it, and nobody learns from the log which nodes there are. A statement is named by the digest
 * of what is signed of it, as an ECDSA signature can be altered into another valid one. A leaf is
 *
 *   kind (1 byte) || SHA-256(node id) || seq (4 bytes) || SHA-256(JWS without its last dot and signature)
 *
 * where seq is the entry's number, and 0 of an admission. Entry bundles have each leaf behind its length in 2 bytes
 * (C2SP tlog-tiles). All numbers are big-endian.
 *
 * The log's origin is "hdms.v1/directory/" || the network key's thumbprint || "/" || generation, a time in milliseconds.
 * A directory that lost leaves begins a later generation from nothing; within one generation the tree only grows.
 */
#ifndef HDMS_DIRECTORY_LOG_H
#define HDMS_DIRECTORY_LOG_H

#include "note.h"

#define HDMS_DIRECTORY_LEAF_SIZE	(1 + HDMS_DIGEST_SIZE + 4 + HDMS_DIGEST_SIZE)
#define HDMS_TILE_WIDTH				256

typedef enum HdmsDirectoryKind
{
	HDMS_DIRECTORY_KEYS, HDMS_DIRECTORY_ADMISSION
} HdmsDirectoryKind;

typedef struct HdmsDirectoryLeaf
{
	HdmsDirectoryKind kind;
	unsigned char subject[HDMS_DIGEST_SIZE];	/* SHA-256 of the node id's text */
	uint32_t	seq;
	unsigned char statement[HDMS_DIGEST_SIZE];
} HdmsDirectoryLeaf;

extern HdmsStatus hdms_directory_leaf_make(HdmsDirectoryKind kind, const char *node_id, uint32_t seq, const char *jws,
										   HdmsDirectoryLeaf *leaf);
extern void hdms_directory_leaf_write(const HdmsDirectoryLeaf *leaf, unsigned char bytes[HDMS_DIRECTORY_LEAF_SIZE]);
extern HdmsStatus hdms_directory_leaf_read(const unsigned char *bytes, size_t len, HdmsDirectoryLeaf *leaf);

/* generation: 1 or more. */
extern void hdms_directory_origin(const char *network_thumbprint, int64_t generation, char origin[HDMS_ORIGIN_MAX]);

/* A checkpoint of any generation of the directory's log, signed by the network key. */
extern HdmsStatus hdms_directory_checkpoint_verify(const char *note, size_t len, const HdmsKey *network,
												   HdmsCheckpoint *checkpoint, int64_t *generation);

/* The next entry of a bundle, borrowed; *at moves behind it. HDMS_BAD_FORMAT when what is left is no whole entry, or nothing. */
extern HdmsStatus hdms_bundle_next(const unsigned char **at, const unsigned char *end, const unsigned char **entry, size_t *len);

#endif
