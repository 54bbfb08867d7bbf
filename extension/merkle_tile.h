/*
 * merkle_tile.h
 *		The hashes of a log's tree, in tiles: the right edge in memory, the rest in a table.
 *
 * A tile of level t covers 8 levels of the tree from 8 t on; its row keeps the lowest of them.
 */
#ifndef HDMS_EXT_MERKLE_TILE_H
#define HDMS_EXT_MERKLE_TILE_H

#include "postgres.h"

#include "utils/hsearch.h"

#include "flow_plan.h"
#include "merkle.h"

/* The tiles of one log. The statements take a table with the columns level, index and hashes. */
typedef struct MerkleTiles
{
	FlowPlan	find_last;		/* level -> index, hashes */
	FlowPlan	find;			/* level, index -> index, hashes */
	FlowPlan	upsert;			/* level, index, hashes */
	MemoryContext context;
	HTAB	   *cache;			/* NULL: empty */
} MerkleTiles;

#define MERKLE_TILES(table) { \
	.find_last = FLOW_PLAN("SELECT index, hashes FROM hdms_internal." table \
						   " WHERE level = CAST($1 AS smallint) ORDER BY index DESC LIMIT 1", INT8OID), \
	.find = FLOW_PLAN("SELECT index, hashes FROM hdms_internal." table \
					  " WHERE level = CAST($1 AS smallint) AND index = $2", INT8OID, INT8OID), \
	.upsert = FLOW_PLAN("INSERT INTO hdms_internal." table " (level, index, hashes) VALUES (CAST($1 AS smallint), $2, $3)" \
						" ON CONFLICT (level, index) DO UPDATE SET hashes = excluded.hashes", INT8OID, INT8OID, BYTEAOID)}

/* Forgets all tiles and reads the last one of each level. Returns the number of leaves; -1 when the tiles do not fit together. */
extern int64 tiles_load(MerkleTiles *tiles);
extern void tiles_forget(MerkleTiles *tiles);

/* A complete node from the tiles that are in memory. False when it is not there. */
extern bool tiles_node(MerkleTiles *tiles, int level, uint64 index, HdmsHash hash);

/* Makes sure that there are tiles for what appending the leaf with this index will store. */
extern void tiles_make_room(MerkleTiles *tiles, uint64 leaf);

/* Reads the tiles above a leaf into memory. */
extern void tiles_fetch_path(MerkleTiles *tiles, uint64 leaf);

/* The first width hashes of a tile, one after the other, in palloc'ed memory; NULL when it has not that many. */
extern bytea *tiles_hashes(MerkleTiles *tiles, int level, uint64 index, int width);

/* For hdms_merkle_append() after tiles_make_room(), and for proofs after tiles_fetch_path(). arg: the tiles. They raise no errors. */
extern HdmsStatus tiles_store(void *arg, int level, uint64 index, const HdmsHash hash);
extern HdmsStatus tiles_fetch(void *arg, int level, uint64 index, HdmsHash hash);

/* Writes the tiles that changed, and forgets old ones where there are many. size: leaves in the tree. */
extern void tiles_save(MerkleTiles *tiles, uint64 size);

#endif
