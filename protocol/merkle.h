/*
 * merkle.h
 *		Merkle trees after RFC 6962, 2.1, and their storage as C2SP tlog-tiles.
 *
 * A log keeps its tree as tiles of up to 256 hashes (8 levels). The functions
 * here are pure: stored hashes are asked for through a callback.
 */
#ifndef HDMS_MERKLE_H
#define HDMS_MERKLE_H

#include "bytes.h"

#define HDMS_MERKLE_MAX_PROOF	64	/* hashes */

typedef unsigned char HdmsHash[HDMS_DIGEST_SIZE];

/* SHA-256(0x00 || leaf) and SHA-256(0x01 || left || right). */
extern HdmsStatus hdms_merkle_leaf(const void *leaf, size_t len, HdmsHash hash);
extern HdmsStatus hdms_merkle_node(const HdmsHash left, const HdmsHash right, HdmsHash hash);

/* The root of the empty tree: SHA-256(""). */
extern HdmsStatus hdms_merkle_empty(HdmsHash root);

/*
 * The complete subtrees of a growing tree, largest first: all that appending needs.
 * peaks[i] belongs to the i-th set bit of size from the top.
 */
typedef struct HdmsMerkleFrontier
{
	uint64_t	size;
	int			count;
	HdmsHash	peaks[64];
} HdmsMerkleFrontier;

/*
 * Called for each complete node that appending a leaf finishes: level 0 is the
 * leaf itself; index counts nodes of that level from the left. Return non-OK to stop.
 */
typedef HdmsStatus (*HdmsMerkleStore) (void *arg, int level, uint64_t index, const HdmsHash hash);

extern HdmsStatus hdms_merkle_append(HdmsMerkleFrontier *frontier, const HdmsHash leaf_hash, HdmsMerkleStore store, void *arg);
extern HdmsStatus hdms_merkle_root(const HdmsMerkleFrontier *frontier, HdmsHash root);

/* Gives the complete node (level, index). */
typedef HdmsStatus (*HdmsMerkleFetch) (void *arg, int level, uint64_t index, HdmsHash hash);

/* The root of the first size leaves, and proofs, from stored complete nodes. RFC 6962, 2.1.1 and 2.1.2. */
extern HdmsStatus hdms_merkle_tree_root(uint64_t size, HdmsMerkleFetch fetch, void *arg, HdmsHash root);
extern HdmsStatus hdms_merkle_inclusion(uint64_t index, uint64_t size, HdmsMerkleFetch fetch, void *arg,
										HdmsHash proof[HDMS_MERKLE_MAX_PROOF], int *count);
extern HdmsStatus hdms_merkle_consistency(uint64_t size1, uint64_t size2, HdmsMerkleFetch fetch, void *arg,
										  HdmsHash proof[HDMS_MERKLE_MAX_PROOF], int *count);

/* RFC 9162, 2.1.3.2 and 2.1.4.2. HDMS_BAD_PROOF when wrong; size1 = 0 is an error. */
extern HdmsStatus hdms_merkle_verify_inclusion(uint64_t index, uint64_t size, const HdmsHash leaf_hash,
											   const HdmsHash *proof, int count, const HdmsHash root);
extern HdmsStatus hdms_merkle_verify_consistency(uint64_t size1, uint64_t size2, const HdmsHash root1, const HdmsHash root2,
												 const HdmsHash *proof, int count);

/*
 * The C2SP path of a tile below the log's prefix, e.g. "tile/0/x001/234" or
 * "tile/entries/000.p/17"; width 256 for a full tile. level -1 is "entries".
 * The inverse refuses everything that is not canonical.
 */
extern HdmsStatus hdms_tile_path(int level, uint64_t index, int width, char path[96]);
extern HdmsStatus hdms_tile_parse(const char *path, int *level, uint64_t *index, int *width);

#endif
