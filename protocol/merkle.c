/*
 * merkle.c
 *		Merkle trees after RFC 6962: appending, roots, proofs, and their verification.
 *
 * Only complete nodes are ever stored or asked for: a complete node never changes
 * while the tree grows, so what was written once stays true. The ragged right edge
 * is recomputed from complete nodes each time, which costs one hash for each level.
 * Sizes stay below 2^63, so that no proof is longer than HDMS_MERKLE_MAX_PROOF and a
 * size always fits a signed 64-bit column.
 */
#include "merkle.h"

#include <string.h>

#define MERKLE_MAX_SIZE		((uint64_t) INT64_MAX)

/* The largest power of two that is smaller than n, for n > 1. */
static uint64_t
split_point(uint64_t n)
{
	return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

/* Folds the hashes of neighbouring subtrees, largest first, into their root. */
static HdmsStatus
fold_peaks(const HdmsHash *peaks, int count, HdmsHash root)
{
	HdmsHash	acc;

	memcpy(acc, peaks[count - 1], sizeof(acc));
	for (int i = count - 2; i >= 0; i--)
	{
		HdmsStatus	status = hdms_merkle_node(peaks[i], acc, acc);

		if (status != HDMS_OK)
			return status;
	}
	memcpy(root, acc, sizeof(acc));
	return HDMS_OK;
}

/*
 * The hash of the n > 0 leaves from start on, where start is a multiple of the
 * smallest power of two that is not below n, as in all subtrees of RFC 6962.
 */
static HdmsStatus
range_root(uint64_t start, uint64_t n, HdmsMerkleFetch fetch, void *arg, HdmsHash root)
{
	HdmsHash	peaks[64];
	int			count = 0;

	for (int level = 63; level >= 0; level--)
	{
		HdmsStatus	status;

		if (((n >> level) & 1) == 0)
			continue;
		status = fetch(arg, level, start >> level, peaks[count]);
		if (status != HDMS_OK)
			return status;
		start += UINT64_C(1) << level;
		count++;
	}
	return fold_peaks(peaks, count, root);
}

/* A proof is collected from the root downwards and handed out from the leaf upwards. */
static void
hand_out_reversed(const HdmsHash *found, int found_count, HdmsHash *proof, int *count)
{
	for (int i = 0; i < found_count; i++)
		memcpy(proof[i], found[found_count - 1 - i], sizeof(HdmsHash));
	*count = found_count;
}

HdmsStatus
hdms_merkle_leaf(const void *leaf, size_t len, HdmsHash hash)
{
	static const unsigned char prefix[1] = {0x00};

	return hdms_sha256_pair(prefix, sizeof(prefix), leaf, len, hash);
}

HdmsStatus
hdms_merkle_node(const HdmsHash left, const HdmsHash right, HdmsHash hash)
{
	unsigned char input[1 + 2 * sizeof(HdmsHash)];

	input[0] = 0x01;
	memcpy(input + 1, left, sizeof(HdmsHash));
	memcpy(input + 1 + sizeof(HdmsHash), right, sizeof(HdmsHash));
	return hdms_sha256(input, sizeof(input), hash);
}

HdmsStatus
hdms_merkle_empty(HdmsHash root)
{
	return hdms_sha256("", 0, root);
}

HdmsStatus
hdms_merkle_append(HdmsMerkleFrontier *frontier, const HdmsHash leaf_hash, HdmsMerkleStore store, void *arg)
{
	HdmsHash	hash;
	int			count = frontier->count;
	int			level = 0;
	HdmsStatus	status;

	if (count < 0 || count != __builtin_popcountll(frontier->size))
		return HDMS_BAD_ARGUMENT;
	if (frontier->size >= MERKLE_MAX_SIZE)
		return HDMS_TOO_LARGE;

	/* The frontier changes only at the end, so that a failed store can be tried again. */
	memcpy(hash, leaf_hash, sizeof(hash));
	for (;;)
	{
		if (store != NULL)
		{
			status = store(arg, level, frontier->size >> level, hash);
			if (status != HDMS_OK)
				return status;
		}
		if (((frontier->size >> level) & 1) == 0)
			break;
		count--;
		status = hdms_merkle_node(frontier->peaks[count], hash, hash);
		if (status != HDMS_OK)
			return status;
		level++;
	}
	memcpy(frontier->peaks[count], hash, sizeof(hash));
	frontier->count = count + 1;
	frontier->size++;
	return HDMS_OK;
}

HdmsStatus
hdms_merkle_root(const HdmsMerkleFrontier *frontier, HdmsHash root)
{
	if (frontier->count < 0 || frontier->count != __builtin_popcountll(frontier->size))
		return HDMS_BAD_ARGUMENT;
	if (frontier->size == 0)
		return hdms_merkle_empty(root);
	return fold_peaks(frontier->peaks, frontier->count, root);
}

HdmsStatus
hdms_merkle_tree_root(uint64_t size, HdmsMerkleFetch fetch, void *arg, HdmsHash root)
{
	if (size > MERKLE_MAX_SIZE)
		return HDMS_TOO_LARGE;
	if (size == 0)
		return hdms_merkle_empty(root);
	return range_root(0, size, fetch, arg, root);
}

/* RFC 6962, 2.1.1. */
HdmsStatus
hdms_merkle_inclusion(uint64_t index, uint64_t size, HdmsMerkleFetch fetch, void *arg,
					  HdmsHash proof[HDMS_MERKLE_MAX_PROOF], int *count)
{
	HdmsHash	found[HDMS_MERKLE_MAX_PROOF];
	int			found_count = 0;
	uint64_t	start = 0;
	uint64_t	n = size;

	if (size > MERKLE_MAX_SIZE)
		return HDMS_TOO_LARGE;
	if (index >= size)
		return HDMS_BAD_ARGUMENT;
	while (n > 1)
	{
		uint64_t	k = split_point(n);
		HdmsStatus	status;

		if (index - start < k)
		{
			status = range_root(start + k, n - k, fetch, arg, found[found_count]);
			n = k;
		}
		else
		{
			status = range_root(start, k, fetch, arg, found[found_count]);
			start += k;
			n -= k;
		}
		if (status != HDMS_OK)
			return status;
		found_count++;
	}
	hand_out_reversed(found, found_count, proof, count);
	return HDMS_OK;
}

/* RFC 6962, 2.1.2: SUBPROOF, unrolled into a loop. */
HdmsStatus
hdms_merkle_consistency(uint64_t size1, uint64_t size2, HdmsMerkleFetch fetch, void *arg,
						HdmsHash proof[HDMS_MERKLE_MAX_PROOF], int *count)
{
	HdmsHash	found[HDMS_MERKLE_MAX_PROOF];
	int			found_count = 0;
	uint64_t	start = 0;
	uint64_t	m = size1;
	uint64_t	n = size2;
	bool		is_known = true;	/* the verifier has this subtree's hash: it is root1 */
	HdmsStatus	status;

	if (size2 > MERKLE_MAX_SIZE)
		return HDMS_TOO_LARGE;
	if (size1 == 0 || size1 > size2)
		return HDMS_BAD_ARGUMENT;
	while (m != n)
	{
		uint64_t	k = split_point(n);

		if (m <= k)
		{
			status = range_root(start + k, n - k, fetch, arg, found[found_count]);
			n = k;
		}
		else
		{
			status = range_root(start, k, fetch, arg, found[found_count]);
			start += k;
			m -= k;
			n -= k;
			is_known = false;
		}
		if (status != HDMS_OK)
			return status;
		found_count++;
	}
	if (!is_known)
	{
		status = range_root(start, m, fetch, arg, found[found_count]);
		if (status != HDMS_OK)
			return status;
		found_count++;
	}
	hand_out_reversed(found, found_count, proof, count);
	return HDMS_OK;
}

/* RFC 9162, 2.1.3.2. */
HdmsStatus
hdms_merkle_verify_inclusion(uint64_t index, uint64_t size, const HdmsHash leaf_hash,
							 const HdmsHash *proof, int count, const HdmsHash root)
{
	HdmsHash	hash;
	uint64_t	fn = index;
	uint64_t	sn = size - 1;

	if (index >= size || size > MERKLE_MAX_SIZE || count < 0 || count > HDMS_MERKLE_MAX_PROOF)
		return HDMS_BAD_PROOF;
	memcpy(hash, leaf_hash, sizeof(hash));
	for (int i = 0; i < count; i++)
	{
		HdmsStatus	status;

		if (sn == 0)
			return HDMS_BAD_PROOF;
		if ((fn & 1) != 0 || fn == sn)
		{
			status = hdms_merkle_node(proof[i], hash, hash);
			while ((fn & 1) == 0 && fn != 0)
			{
				fn >>= 1;
				sn >>= 1;
			}
		}
		else
			status = hdms_merkle_node(hash, proof[i], hash);
		if (status != HDMS_OK)
			return status;
		fn >>= 1;
		sn >>= 1;
	}
	if (sn != 0 || memcmp(hash, root, sizeof(hash)) != 0)
		return HDMS_BAD_PROOF;
	return HDMS_OK;
}

/* RFC 9162, 2.1.4.2. */
HdmsStatus
hdms_merkle_verify_consistency(uint64_t size1, uint64_t size2, const HdmsHash root1, const HdmsHash root2,
							   const HdmsHash *proof, int count)
{
	HdmsHash	hash1;
	HdmsHash	hash2;
	uint64_t	fn = size1 - 1;
	uint64_t	sn = size2 - 1;
	int			next = 0;

	if (size1 == 0 || size1 > size2 || size2 > MERKLE_MAX_SIZE || count < 0 || count > HDMS_MERKLE_MAX_PROOF)
		return HDMS_BAD_PROOF;
	if (size1 == size2)
		return count == 0 && memcmp(root1, root2, sizeof(HdmsHash)) == 0 ? HDMS_OK : HDMS_BAD_PROOF;
	if (count == 0)
		return HDMS_BAD_PROOF;

	/* Where the old tree is one complete subtree its root is the first hash of the path. */
	if ((size1 & (size1 - 1)) == 0)
		memcpy(hash1, root1, sizeof(hash1));
	else
		memcpy(hash1, proof[next++], sizeof(hash1));
	memcpy(hash2, hash1, sizeof(hash2));
	while ((fn & 1) != 0)
	{
		fn >>= 1;
		sn >>= 1;
	}
	for (; next < count; next++)
	{
		HdmsStatus	status;

		if (sn == 0)
			return HDMS_BAD_PROOF;
		if ((fn & 1) != 0 || fn == sn)
		{
			status = hdms_merkle_node(proof[next], hash1, hash1);
			if (status != HDMS_OK)
				return status;
			status = hdms_merkle_node(proof[next], hash2, hash2);
			while ((fn & 1) == 0 && fn != 0)
			{
				fn >>= 1;
				sn >>= 1;
			}
		}
		else
			status = hdms_merkle_node(hash2, proof[next], hash2);
		if (status != HDMS_OK)
			return status;
		fn >>= 1;
		sn >>= 1;
	}
	if (sn != 0 || memcmp(hash1, root1, sizeof(hash1)) != 0 || memcmp(hash2, root2, sizeof(hash2)) != 0)
		return HDMS_BAD_PROOF;
	return HDMS_OK;
}
