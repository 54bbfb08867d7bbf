/*
 * merkle_tile.c
 *		The hashes of a log's tree, in tiles.
 *
 * A row keeps the lowest of a tile's 8 tree levels, as C2SP tlog-tiles has it; in memory a tile has all 8, so that a
 * proof is a matter of looking up. The callbacks for protocol/ neither allocate nor raise errors: what they
 * need is put in place before.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "flow_inside.h"
#include "flow_plan.h"
#include "merkle_tile.h"

#define TILE_HEIGHT		8
#define TILE_WIDTH		256
#define TILE_NODES		(2 * TILE_WIDTH - 2)	/* without the root: that is the next tile level's */
#define MAX_TILE_LEVEL	7
#define MAX_TILES		256		/* kept in memory between batches, 16 kB each */

typedef struct TileKey
{
	int64		level;
	int64		index;
} TileKey;

typedef struct Tile
{
	TileKey		key;
	int			count;			/* hashes of the lowest level */
	bool		is_changed;
	HdmsHash	nodes[TILE_NODES];
} Tile;

/* Where the nodes of a height within a tile begin. */
static inline int
height_offset(int height)
{
	return 2 * TILE_WIDTH - (2 * TILE_WIDTH >> height);
}

static Tile *
tile_find(MerkleTiles *tiles, int64 level, int64 index)
{
	TileKey		key = {level, index};

	return tiles->cache == NULL ? NULL : hash_search(tiles->cache, &key, HASH_FIND, NULL);
}

static Tile *
tile_make(MerkleTiles *tiles, int64 level, int64 index)
{
	TileKey		key = {level, index};
	bool		found;
	Tile	   *tile;

	if (tiles->cache == NULL)
	{
		HASHCTL		control = {0};

		tiles->context = AllocSetContextCreate(TopMemoryContext, "hdms log tiles", ALLOCSET_DEFAULT_SIZES);
		control.keysize = sizeof(TileKey);
		control.entrysize = sizeof(Tile);
		control.hcxt = tiles->context;
		tiles->cache = hash_create("hdms log tiles", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	tile = hash_search(tiles->cache, &key, HASH_ENTER, &found);
	if (!found)
	{
		tile->count = 0;
		tile->is_changed = false;
	}
	return tile;
}

void
tiles_forget(MerkleTiles *tiles)
{
	if (tiles->context != NULL)
		MemoryContextDelete(tiles->context);
	tiles->context = NULL;
	tiles->cache = NULL;
}

/* Fills a tile from its row, and computes the levels above. False when the row is no tile. */
static bool
tile_fill(Tile *tile, bytea *hashes)
{
	Size		len = VARSIZE_ANY_EXHDR(hashes);

	if (len == 0 || len % HDMS_DIGEST_SIZE != 0 || len > TILE_WIDTH * HDMS_DIGEST_SIZE)
		return false;
	tile->count = len / HDMS_DIGEST_SIZE;
	memcpy(tile->nodes, VARDATA_ANY(hashes), len);
	for (int height = 1; height < TILE_HEIGHT; height++)
	{
		HdmsHash   *below = &tile->nodes[height_offset(height - 1)];
		HdmsHash   *here = &tile->nodes[height_offset(height)];

		for (int i = 0; i < tile->count >> height; i++)
			flow_require(hdms_merkle_node(below[2 * i], below[2 * i + 1], here[i]), "hashing a tile");
	}
	return true;
}

/* Takes the row that a query found into memory. NULL when there is none, or none that is a tile. */
static Tile *
tile_read(MerkleTiles *tiles, int64 level, uint64 found)
{
	Tile	   *tile = NULL;
	int64		index = 0;
	bytea	   *hashes = NULL;

	if (found > 0)
	{
		index = row_int64(0, 1);
		hashes = row_bytea(0, 2);
	}
	flow_rows_free();
	if (found > 0)
	{
		tile = tile_make(tiles, level, index);
		if (!tile_fill(tile, hashes))
			tile = NULL;
		pfree(hashes);
	}
	return tile;
}

int64
tiles_load(MerkleTiles *tiles)
{
	int64		size = 0;

	tiles_forget(tiles);
	for (int level = 0; level <= MAX_TILE_LEVEL; level++)
	{
		uint64		found = flow_run(&tiles->find_last, flow_int64(level));
		Tile	   *tile = tile_read(tiles, level, found);
		int64		hashes = tile == NULL ? 0 : tile->key.index * TILE_WIDTH + tile->count;

		if (found > 0 && tile == NULL)
			return -1;
		if (level == 0)
			size = hashes;
		if (hashes != size >> (TILE_HEIGHT * level))
			return -1;
		if (tile == NULL)
			break;
	}
	return size;
}

bool
tiles_node(MerkleTiles *tiles, int level, uint64 index, HdmsHash hash)
{
	int			height = level % TILE_HEIGHT;
	Tile	   *tile = tile_find(tiles, level / TILE_HEIGHT, index >> (TILE_HEIGHT - height));
	int			place = index & ((TILE_WIDTH >> height) - 1);

	if (tile == NULL || place >= tile->count >> height)
		return false;
	memcpy(hash, tile->nodes[height_offset(height) + place], sizeof(HdmsHash));
	return true;
}

void
tiles_make_room(MerkleTiles *tiles, uint64 leaf)
{
	for (int level = 0; level <= MAX_TILE_LEVEL; level++)
	{
		(void) tile_make(tiles, level, leaf >> (TILE_HEIGHT * (level + 1)));
		if (((leaf + 1) & ((UINT64CONST(1) << (TILE_HEIGHT * (level + 1))) - 1)) != 0)
			break;
	}
}

void
tiles_fetch_path(MerkleTiles *tiles, uint64 leaf)
{
	for (int level = 0; level < MAX_TILE_LEVEL; level++)
	{
		int64		index = leaf >> (TILE_HEIGHT * (level + 1));

		if (tile_find(tiles, level, index) == NULL
			&& tile_read(tiles, level, flow_run(&tiles->find, flow_int64(level), flow_int64(index))) == NULL)
			break;
	}
}

bytea *
tiles_hashes(MerkleTiles *tiles, int level, uint64 index, int width)
{
	Tile	   *tile = tile_find(tiles, level, index);
	bytea	   *hashes;

	if (tile == NULL)
		tile = tile_read(tiles, level, flow_run(&tiles->find, flow_int64(level), flow_int64(index)));
	if (tile == NULL || width < 1 || width > tile->count)
		return NULL;
	hashes = palloc(VARHDRSZ + width * sizeof(HdmsHash));
	SET_VARSIZE(hashes, VARHDRSZ + width * sizeof(HdmsHash));
	memcpy(VARDATA(hashes), tile->nodes, width * sizeof(HdmsHash));
	return hashes;
}

HdmsStatus
tiles_store(void *arg, int level, uint64 index, const HdmsHash hash)
{
	MerkleTiles *tiles = arg;
	int			height = level % TILE_HEIGHT;
	Tile	   *tile = tile_find(tiles, level / TILE_HEIGHT, index >> (TILE_HEIGHT - height));
	int			place = index & ((TILE_WIDTH >> height) - 1);

	if (tile == NULL || (height == 0 && place != tile->count))
		return HDMS_BAD_ARGUMENT;
	memcpy(tile->nodes[height_offset(height) + place], hash, sizeof(HdmsHash));
	if (height == 0)
		tile->count++;
	tile->is_changed = true;
	return HDMS_OK;
}

HdmsStatus
tiles_fetch(void *arg, int level, uint64 index, HdmsHash hash)
{
	return tiles_node(arg, level, index, hash) ? HDMS_OK : HDMS_BAD_PROOF;
}

/* Whether it is the last tile of its level, which the next append needs. */
static bool
is_last(const Tile *tile, uint64 size)
{
	uint64		hashes = size >> (TILE_HEIGHT * tile->key.level);

	return hashes > 0 && tile->key.index == (int64) ((hashes - 1) / TILE_WIDTH);
}

void
tiles_save(MerkleTiles *tiles, uint64 size)
{
	HASH_SEQ_STATUS scan;
	Tile	   *tile;
	bool		is_crowded;

	if (tiles->cache == NULL)
		return;
	is_crowded = hash_get_num_entries(tiles->cache) > MAX_TILES;
	hash_seq_init(&scan, tiles->cache);
	while ((tile = hash_seq_search(&scan)) != NULL)
	{
		if (tile->is_changed)
		{
			flow_run(&tiles->upsert, flow_int64(tile->key.level), flow_int64(tile->key.index),
					 flow_bytes(tile->nodes, tile->count * sizeof(HdmsHash)));
			tile->is_changed = false;
		}
		if (is_crowded && !is_last(tile, size))
			hash_search(tiles->cache, &tile->key, HASH_REMOVE, NULL);
	}
}
