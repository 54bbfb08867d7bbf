/*
 * node_cache.c
 *		Nodes in memory: the keys that requests are verified with.
 *
 * A chained hash table with a list in order of use. What was dropped lately is remembered for a while: a row that was
 * read before a change but arrives after the news of it must not be kept.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "metrics.h"
#include "node_cache.h"

#define BUCKETS		65536
#define DROPPED		4096

typedef struct Slot
{
	Node	   *node;
	struct Slot *chain;
	struct Slot *newer;
	struct Slot *older;
} Slot;

struct NodeCache
{
	pthread_mutex_t lock;
	Slot	   *buckets[BUCKETS];
	Slot	   *newest;
	Slot	   *oldest;
	int64_t		count;
	bool		on;
	uint64_t	dropped_count;	/* ever */
	uint64_t	dropped_floor;	/* moments before it are too old to be judged */
	uint64_t	dropped[DROPPED];	/* hashes of the last ones */
};

/* Node ids are digests: their characters are as good as a hash of them. */
static uint64_t
hash_of(const char *id)
{
	uint64_t	hash;

	memcpy(&hash, id, sizeof(hash));
	return hash * UINT64_C(0x9e3779b97f4a7c15);
}

void
node_row_free(NodeRow *row)
{
	if (row == NULL)
		return;
	free(row->history);
	free(row->admission);
	free(row);
}

Node *
node_share(Node *node)
{
	atomic_fetch_add_explicit(&node->references, 1, memory_order_relaxed);
	return node;
}

void
node_release(Node *node)
{
	if (node == NULL || atomic_fetch_sub_explicit(&node->references, 1, memory_order_acq_rel) != 1)
		return;
	hdms_key_free(node->signing);
	hdms_key_free(node->encryption);
	hdms_history_free(node->history);
	free(node);
}

static Node *
node_make(const NodeRow *row)
{
	Node	   *node = calloc(1, sizeof(Node));
	HdmsHistory *history = NULL;
	const HdmsKey *signing;
	const HdmsKey *encryption;

	if (node == NULL || hdms_history_parse(row->history, strlen(row->history), &history) != HDMS_OK
		|| strcmp(hdms_history_node_id(history), row->id) != 0)
	{
		log_event(LEVEL_ERROR, "stored_history_unusable", "node=s", row->id, NULL);
		hdms_history_free(history);
		free(node);
		return NULL;
	}
	memcpy(node->id, row->id, sizeof(node->id));
	node->kind = hdms_history_kind(history);
	node->status = row->status;
	node->references = 1;
	memcpy(node->recovery, hdms_history_recovery(history), sizeof(node->recovery));
	signing = hdms_history_current(history, HDMS_ROLE_SIGN);
	encryption = hdms_history_current(history, HDMS_ROLE_ENCRYPT);
	node->signing = signing != NULL ? hdms_key_share(signing) : NULL;
	node->encryption = encryption != NULL ? hdms_key_share(encryption) : NULL;
	if (node->kind == HDMS_INSTITUTION)
		node->history = history;
	else
		hdms_history_free(history);
	if (node->signing == NULL || node->encryption == NULL)
	{
		node_release(node);
		return NULL;
	}
	return node;
}

NodeCache *
node_cache_new(void)
{
	NodeCache  *cache = calloc(1, sizeof(NodeCache));

	if (cache != NULL)
		pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

/* The slot leaves the table and is freed. The lock is held. */
static void
slot_remove(NodeCache *cache, Slot *slot)
{
	Slot	  **place = &cache->buckets[hash_of(slot->node->id) >> 48];

	while (*place != slot)
		place = &(*place)->chain;
	*place = slot->chain;
	*(slot->newer != NULL ? &slot->newer->older : &cache->newest) = slot->older;
	*(slot->older != NULL ? &slot->older->newer : &cache->oldest) = slot->newer;
	cache->count--;
	metrics_gauge_set(GAUGE_NODE_CACHE_ENTRIES, cache->count);
	node_release(slot->node);
	free(slot);
}

static void
slot_make_newest(NodeCache *cache, Slot *slot)
{
	slot->newer = NULL;
	slot->older = cache->newest;
	*(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = slot;
	cache->newest = slot;
}

static Slot *
slot_find(NodeCache *cache, const char *id)
{
	Slot	   *slot = cache->buckets[hash_of(id) >> 48];

	while (slot != NULL && memcmp(slot->node->id, id, HDMS_DIGEST_TEXT) != 0)
		slot = slot->chain;
	return slot;
}

static void
forget_all_locked(NodeCache *cache)
{
	while (cache->oldest != NULL)
		slot_remove(cache, cache->oldest);
	cache->dropped_count++;
	cache->dropped_floor = cache->dropped_count;
}

void
node_cache_free(NodeCache *cache)
{
	if (cache == NULL)
		return;
	forget_all_locked(cache);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

Node *
node_cache_find(NodeCache *cache, const char *id)
{
	Node	   *node = NULL;
	Slot	   *slot;

	pthread_mutex_lock(&cache->lock);
	slot = slot_find(cache, id);
	if (slot != NULL)
	{
		node = node_share(slot->node);
		if (slot != cache->newest)
		{
			slot->newer->older = slot->older;
			*(slot->older != NULL ? &slot->older->newer : &cache->oldest) = slot->newer;
			slot_make_newest(cache, slot);
		}
	}
	pthread_mutex_unlock(&cache->lock);
	metrics_count(node != NULL ? COUNTER_NODE_CACHE_HITS : COUNTER_NODE_CACHE_MISSES, 1);
	return node;
}

uint64_t
node_cache_moment(NodeCache *cache)
{
	uint64_t	moment;

	pthread_mutex_lock(&cache->lock);
	moment = cache->dropped_count;
	pthread_mutex_unlock(&cache->lock);
	return moment;
}

/* Whether this id may have been dropped since moment. */
static bool
was_dropped_since(const NodeCache *cache, const char *id, uint64_t moment)
{
	uint64_t	hash = hash_of(id);

	if (moment < cache->dropped_floor || cache->dropped_count - moment > DROPPED)
		return true;
	for (uint64_t i = moment; i < cache->dropped_count; i++)
	{
		if (cache->dropped[i % DROPPED] == hash)
			return true;
	}
	return false;
}

Node *
node_cache_add(NodeCache *cache, const NodeRow *row, uint64_t moment, int64_t limit)
{
	Node	   *node = node_make(row);
	Slot	   *slot = calloc(1, sizeof(Slot));
	bool		kept = false;

	if (node == NULL)
	{
		free(slot);
		return NULL;
	}
	pthread_mutex_lock(&cache->lock);
	if (slot != NULL && cache->on && !was_dropped_since(cache, row->id, moment) && slot_find(cache, row->id) == NULL)
	{
		Slot	  **place = &cache->buckets[hash_of(row->id) >> 48];

		slot->node = node_share(node);
		slot->chain = *place;
		*place = slot;
		slot_make_newest(cache, slot);
		cache->count++;
		kept = true;
		while (cache->count > limit)
			slot_remove(cache, cache->oldest);
		metrics_gauge_set(GAUGE_NODE_CACHE_ENTRIES, cache->count);
	}
	pthread_mutex_unlock(&cache->lock);
	if (!kept)
		free(slot);
	return node;
}

void
node_cache_forget(NodeCache *cache, const char *id)
{
	Slot	   *slot;

	pthread_mutex_lock(&cache->lock);
	slot = slot_find(cache, id);
	if (slot != NULL)
		slot_remove(cache, slot);
	cache->dropped[cache->dropped_count++ % DROPPED] = hash_of(id);
	pthread_mutex_unlock(&cache->lock);
}

void
node_cache_forget_all(NodeCache *cache)
{
	pthread_mutex_lock(&cache->lock);
	forget_all_locked(cache);
	pthread_mutex_unlock(&cache->lock);
}

void
node_cache_switch(NodeCache *cache, bool on)
{
	pthread_mutex_lock(&cache->lock);
	cache->on = on;
	forget_all_locked(cache);
	pthread_mutex_unlock(&cache->lock);
}
