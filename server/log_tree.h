/*
 * log_tree.h
 *		The tree of a log as tiles: reading nodes out of them, and growing its right edge.
 */
#ifndef HDMS_SERVER_LOG_TREE_H
#define HDMS_SERVER_LOG_TREE_H

#include "directory_log.h"

#define LOG_TILE_LEVELS	7		/* of 8 levels of the tree each: enough for 2^56 leaves */
#define LOG_ENTRIES		(-1)	/* the "level" of bundles */
#define LOG_BUNDLE_MAX	(HDMS_TILE_WIDTH * (2 + HDMS_DIRECTORY_LEAF_SIZE))

/* A tile that was read: data is borrowed. */
typedef struct LogTile
{
	int			level;
	uint64_t	index;
	int			width;
	const unsigned char *data;
} LogTile;

typedef struct LogTiles
{
	size_t		count;
	LogTile		tiles[2 * LOG_TILE_LEVELS];
} LogTiles;

/* An HdmsMerkleFetch out of LogTiles. HDMS_BAD_PROOF when the tile is not there. */
extern HdmsStatus log_tiles_fetch(void *tiles, int level, uint64_t index, HdmsHash hash);

/* A tile that still grows. */
typedef struct LogEdge
{
	uint64_t	index;
	int			width;
	bool		is_changed;
	unsigned char data[HDMS_TILE_WIDTH * HDMS_DIGEST_SIZE];
} LogEdge;

/* The right edge of the directory's log: all that appending needs. */
typedef struct LogGrowth
{
	HdmsMerkleFrontier frontier;
	LogEdge		edges[LOG_TILE_LEVELS];
	unsigned char bundle[LOG_BUNDLE_MAX];
	size_t		bundle_len;
	bool		(*save) (void *context, int level, uint64_t index, int width, const unsigned char *data, size_t len);
	void	   *context;
} LogGrowth;

/* What tile of a level the tree of that size ends with; width 0: it ends with a full one. */
extern void log_edge_place(uint64_t size, int level, uint64_t *index, int *width);

/* Computes the frontier once the edges are filled in. */
extern HdmsStatus log_growth_begin(LogGrowth *growth, uint64_t size);

/* Appends a leaf; full tiles are saved at once. */
extern HdmsStatus log_growth_append(LogGrowth *growth, const unsigned char *leaf, size_t len);

/* Saves the partial tiles that changed. */
extern bool log_growth_save(LogGrowth *growth);

#endif
