/*
 * log_tree.c
 *		The tree of a log as tiles: reading nodes out of them, and growing its right edge.
 *
 * A tile keeps the lowest of its 8 tree levels; the nodes above are hashed when they are wanted. To append, only the
 * last, partial tile of each level is needed: the complete subtrees that an RFC 6962 tree ends with lie in them.
 */
#include <string.h>

#include "log_tree.h"

#define TILE_HEIGHT 8

/* The root of 2^height neighbouring hashes. */
static HdmsStatus
fold(const unsigned char *hashes, int height, HdmsHash root)
{
	HdmsHash	nodes[HDMS_TILE_WIDTH / 2];
	int			count = 1 << height;
	HdmsStatus	status = HDMS_OK;

	if (height == 0)
	{
		memcpy(root, hashes, sizeof(HdmsHash));
		return HDMS_OK;
	}
	for (int i = 0; i < count / 2 && status == HDMS_OK; i++)
		status = hdms_merkle_node(hashes + 2 * (size_t) i * sizeof(HdmsHash), hashes + (2 * (size_t) i + 1) * sizeof(HdmsHash), nodes[i]);
	for (count /= 2; count > 1; count /= 2)
	{
		for (int i = 0; i < count / 2 && status == HDMS_OK; i++)
			status = hdms_merkle_node(nodes[2 * i], nodes[2 * i + 1], nodes[i]);
	}
	memcpy(root, nodes[0], sizeof(HdmsHash));
	return status;
}

HdmsStatus
log_tiles_fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	const LogTiles *tiles = arg;
	int			height = level % TILE_HEIGHT;
	uint64_t	place = (index << height) % HDMS_TILE_WIDTH;

	for (size_t i = 0; i < tiles->count; i++)
	{
		const LogTile *tile = &tiles->tiles[i];

		if (tile->level != level / TILE_HEIGHT || tile->index != index >> (TILE_HEIGHT - height))
			continue;
		if (place + (UINT64_C(1) << height) > (uint64_t) tile->width)
			return HDMS_BAD_PROOF;
		return fold(tile->data + place * sizeof(HdmsHash), height, hash);
	}
	return HDMS_BAD_PROOF;
}

void
log_edge_place(uint64_t size, int level, uint64_t *index, int *width)
{
	uint64_t	hashes = size >> (TILE_HEIGHT * level);

	*index = hashes / HDMS_TILE_WIDTH;
	*width = (int) (hashes % HDMS_TILE_WIDTH);
}

HdmsStatus
log_growth_begin(LogGrowth *growth, uint64_t size)
{
	HdmsMerkleFrontier *frontier = &growth->frontier;

	frontier->size = size;
	frontier->count = 0;
	for (int bit = TILE_HEIGHT * LOG_TILE_LEVELS - 1; bit >= 0; bit--)
	{
		const LogEdge *edge = &growth->edges[bit / TILE_HEIGHT];
		int			height = bit % TILE_HEIGHT;
		int			place;
		HdmsStatus	status;

		if (((size >> bit) & 1) == 0)
			continue;
		/* in an edge, the larger subtrees come first */
		place = (edge->width >> (height + 1)) << (height + 1);
		status = fold(edge->data + (size_t) place * sizeof(HdmsHash), height, frontier->peaks[frontier->count]);
		if (status != HDMS_OK)
			return status;
		frontier->count++;
	}
	return HDMS_OK;
}

/* An HdmsMerkleStore: keeps what tiles keep. */
static HdmsStatus
edge_store(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	LogGrowth  *growth = arg;
	LogEdge    *edge = &growth->edges[level / TILE_HEIGHT];

	if (level % TILE_HEIGHT != 0)
		return HDMS_OK;
	if (level / TILE_HEIGHT >= LOG_TILE_LEVELS || index != edge->index * HDMS_TILE_WIDTH + (uint64_t) edge->width)
		return HDMS_BAD_ARGUMENT;
	memcpy(edge->data + (size_t) edge->width * sizeof(HdmsHash), hash, sizeof(HdmsHash));
	edge->width++;
	edge->is_changed = true;
	if (edge->width < HDMS_TILE_WIDTH)
		return HDMS_OK;
	if (!growth->save(growth->context, level / TILE_HEIGHT, edge->index, edge->width, edge->data, sizeof(edge->data)))
		return HDMS_TOO_LARGE;
	edge->index++;
	edge->width = 0;
	edge->is_changed = false;
	return HDMS_OK;
}

HdmsStatus
log_growth_append(LogGrowth *growth, const unsigned char *leaf, size_t len)
{
	uint64_t	bundle_index = growth->frontier.size / HDMS_TILE_WIDTH;
	HdmsHash	hash;
	HdmsStatus	status;

	if (len > HDMS_DIRECTORY_LEAF_SIZE)
		return HDMS_TOO_LARGE;
	growth->bundle[growth->bundle_len++] = (unsigned char) (len >> 8);
	growth->bundle[growth->bundle_len++] = (unsigned char) len;
	memcpy(growth->bundle + growth->bundle_len, leaf, len);
	growth->bundle_len += len;
	status = hdms_merkle_leaf(leaf, len, hash);
	if (status == HDMS_OK)
		status = hdms_merkle_append(&growth->frontier, hash, edge_store, growth);
	if (status != HDMS_OK || growth->frontier.size % HDMS_TILE_WIDTH != 0)
		return status;
	if (!growth->save(growth->context, LOG_ENTRIES, bundle_index, HDMS_TILE_WIDTH, growth->bundle, growth->bundle_len))
		return HDMS_TOO_LARGE;
	growth->bundle_len = 0;
	return HDMS_OK;
}

bool
log_growth_save(LogGrowth *growth)
{
	if (growth->edges[0].is_changed && growth->bundle_len > 0
		&& !growth->save(growth->context, LOG_ENTRIES, growth->edges[0].index, growth->edges[0].width, growth->bundle, growth->bundle_len))
		return false;
	for (int level = 0; level < LOG_TILE_LEVELS; level++)
	{
		LogEdge    *edge = &growth->edges[level];

		if (edge->is_changed
			&& !growth->save(growth->context, level, edge->index, edge->width, edge->data, (size_t) edge->width * sizeof(HdmsHash)))
			return false;
		edge->is_changed = false;
	}
	return true;
}
