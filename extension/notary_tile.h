/*
 * notary_tile.h
 *		The hashes of the notary's tree, in tiles: the right edge in memory, the rest in hdms_internal.log_tiles.
 *
 * A tile of level t covers 8 levels of the tree from 8 t on; its row keeps the lowest of them.
 */
#ifndef HDMS_EXT_NOTARY_TILE_H
#define HDMS_EXT_NOTARY_TILE_H

#include "postgres.h"

#include "merkle.h"

/* Forgets all tiles and reads the last one of each level. Returns the number of leaves; -1 when the tiles do not fit together. */
extern int64 tiles_load(void);
extern void tiles_forget(void);

/* A complete node from the tiles that are in memory. False when it is not there. */
extern bool tiles_node(int level, uint64 index, HdmsHash hash);

/* Makes sure that there are tiles for what appending the leaf with this index will store. */
extern void tiles_make_room(uint64 leaf);

/* Reads the tiles above a leaf into memory. */
extern void tiles_fetch_path(uint64 leaf);

/* For hdms_merkle_append() after tiles_make_room(), and for proofs after tiles_fetch_path(). They raise no errors. */
extern HdmsStatus tiles_store(void *arg, int level, uint64 index, const HdmsHash hash);
extern HdmsStatus tiles_fetch(void *arg, int level, uint64 index, HdmsHash hash);

/* Writes the tiles that changed, and forgets old ones where there are many. size: leaves in the tree. */
extern void tiles_save(uint64 size);

#endif
