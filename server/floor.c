/*
 * floor.c
 *		Where each mailbox begins, so that a fetch does not walk through what was acknowledged long ago.
 *
 * A fixed table of entries, four to a bucket, as in usage.c: losing an entry only costs one long look. An entry ends
 * after some minutes in any case, so that no mistake in here could hide a message for longer.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "floor.h"
#include "server_clock.h"

#define BUCKETS			16384
#define WAYS			4
#define ENTRY_MS		(10 * 60 * 1000)

typedef struct Entry
{
	char		node[HDMS_DIGEST_TEXT + 1];
	int64_t		floor;
	int64_t		made;			/* monotonic ms; 0: unused */
} Entry;

struct Floors
{
	pthread_mutex_t lock;
	uint64_t	generation;
	int64_t		settled;
	uint64_t	candidate;		/* serial number; 0: there is none */
	uint64_t	candidates;		/* how many there were */
	int64_t		candidate_last; /* is settled when no transaction below candidate_id is in progress */
	int64_t		candidate_id;	/* 0: no batch has taken one since */
	Entry		entries[BUCKETS][WAYS];
};

Floors *
floors_new(void)
{
	Floors	   *floors = calloc(1, sizeof(Floors));

	if (floors != NULL)
		pthread_mutex_init(&floors->lock, NULL);
	return floors;
}

void
floors_free(Floors *floors)
{
	if (floors == NULL)
		return;
	pthread_mutex_destroy(&floors->lock);
	free(floors);
}

/* Node ids are digests: their characters are as good as a hash of them. */
static Entry *
bucket_of(Floors *floors, const char *node)
{
	uint64_t	hash;

	memcpy(&hash, node, sizeof(hash));
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return floors->entries[hash >> 50];
}

static Entry *
entry_find(Floors *floors, const char *node)
{
	Entry	   *bucket = bucket_of(floors, node);

	for (int i = 0; i < WAYS; i++)
	{
		if (bucket[i].made != 0 && memcmp(bucket[i].node, node, HDMS_DIGEST_TEXT) == 0)
			return &bucket[i];
	}
	return NULL;
}

static Entry *
entry_make(Floors *floors, const char *node)
{
	Entry	   *bucket = bucket_of(floors, node);
	Entry	   *entry = &bucket[0];

	for (int i = 1; i < WAYS; i++)
	{
		if (bucket[i].made < entry->made)
			entry = &bucket[i];
	}
	memcpy(entry->node, node, HDMS_DIGEST_TEXT + 1);
	entry->floor = 0;
	entry->made = monotonic_ms();
	return entry;
}

FloorView
floors_view(Floors *floors)
{
	FloorView	view;

	pthread_mutex_lock(&floors->lock);
	view.generation = floors->generation;
	view.candidate = floors->candidate;
	view.settled = floors->settled;
	pthread_mutex_unlock(&floors->lock);
	return view;
}

int64_t
floor_of(Floors *floors, const char *node)
{
	Entry	   *entry;
	int64_t		floor = 0;

	pthread_mutex_lock(&floors->lock);
	entry = entry_find(floors, node);
	if (entry != NULL && monotonic_ms() - entry->made > ENTRY_MS)
		entry->made = 0;
	else if (entry != NULL)
		floor = entry->floor;
	pthread_mutex_unlock(&floors->lock);
	return floor;
}

void
floor_found(Floors *floors, const FloorView *view, const char *node, int64_t first)
{
	int64_t		floor = first > 0 && first <= view->settled ? first : view->settled + 1;

	pthread_mutex_lock(&floors->lock);
	if (view->settled > 0 && view->generation == floors->generation)
	{
		Entry	   *entry = entry_find(floors, node);

		if (entry == NULL)
			entry = entry_make(floors, node);
		if (entry->floor < floor)
			entry->floor = floor;
	}
	pthread_mutex_unlock(&floors->lock);
}

void
floors_settle(Floors *floors, const FloorView *view, int64_t last, int64_t id, int64_t oldest)
{
	pthread_mutex_lock(&floors->lock);
	if (view->generation == floors->generation)
	{
		if (floors->candidate != 0 && floors->candidate_id == 0 && view->candidate == floors->candidate)
			floors->candidate_id = id;
		if (floors->candidate != 0 && floors->candidate_id != 0 && oldest >= floors->candidate_id)
		{
			floors->settled = floors->candidate_last;
			floors->candidate = 0;
		}
		if (floors->candidate == 0 && last > floors->settled)
		{
			floors->candidate = ++floors->candidates;
			floors->candidate_last = last;
			floors->candidate_id = 0;
		}
	}
	pthread_mutex_unlock(&floors->lock);
}

void
floors_forget_all(Floors *floors)
{
	pthread_mutex_lock(&floors->lock);
	floors->generation++;
	floors->settled = 0;
	floors->candidate = 0;
	for (size_t i = 0; i < BUCKETS; i++)
	{
		for (int way = 0; way < WAYS; way++)
			floors->entries[i][way].made = 0;
	}
	pthread_mutex_unlock(&floors->lock);
}
