/*
 * usage.c
 *		How full mailboxes are, as far as this process knows.
 *
 * A fixed table of entries, four to a bucket: the least recently counted one gives way. Losing an entry only costs
 * another count.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "server_clock.h"
#include "usage.h"

#define BUCKETS			16384
#define WAYS			4
#define STALE_MS		10000
#define FULL_FRESH_MS	1000

typedef struct Entry
{
	char		node[HDMS_DIGEST_TEXT + 1];
	int64_t		bytes;
	int64_t		envelopes;
	int64_t		counted;		/* monotonic ms; 0: unused */
} Entry;

struct Usage
{
	pthread_mutex_t lock;
	Entry		entries[BUCKETS][WAYS];
};

Usage *
usage_new(void)
{
	Usage	   *usage = calloc(1, sizeof(Usage));

	if (usage != NULL)
		pthread_mutex_init(&usage->lock, NULL);
	return usage;
}

void
usage_free(Usage *usage)
{
	if (usage == NULL)
		return;
	pthread_mutex_destroy(&usage->lock);
	free(usage);
}

/* Node ids are digests: their characters are as good as a hash of them. */
static Entry *
bucket_of(Usage *usage, const char *node)
{
	uint64_t	hash;

	memcpy(&hash, node, sizeof(hash));
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return usage->entries[hash >> 50];
}

static Entry *
entry_find(Usage *usage, const char *node)
{
	Entry	   *bucket = bucket_of(usage, node);

	for (int i = 0; i < WAYS; i++)
	{
		if (bucket[i].counted != 0 && memcmp(bucket[i].node, node, HDMS_DIGEST_TEXT) == 0)
			return &bucket[i];
	}
	return NULL;
}

static UsageAnswer
entry_judge(const Entry *entry, size_t bytes, int64_t max_bytes, int64_t max_envelopes)
{
	int64_t		age;

	if (entry == NULL)
		return USAGE_UNKNOWN;
	age = monotonic_ms() - entry->counted;
	if (age > STALE_MS)
		return USAGE_UNKNOWN;
	if (entry->envelopes + 1 > max_envelopes || entry->bytes + (int64_t) bytes > max_bytes)
		return age > FULL_FRESH_MS ? USAGE_UNKNOWN : USAGE_FULL;
	return USAGE_RESERVED;
}

bool
usage_wants_count(Usage *usage, const char *node, size_t bytes, int64_t max_bytes, int64_t max_envelopes)
{
	UsageAnswer answer;

	pthread_mutex_lock(&usage->lock);
	answer = entry_judge(entry_find(usage, node), bytes, max_bytes, max_envelopes);
	pthread_mutex_unlock(&usage->lock);
	return answer == USAGE_UNKNOWN;
}

UsageAnswer
usage_reserve(Usage *usage, const char *node, size_t bytes, int64_t max_bytes, int64_t max_envelopes)
{
	Entry	   *entry;
	UsageAnswer answer;

	pthread_mutex_lock(&usage->lock);
	entry = entry_find(usage, node);
	answer = entry_judge(entry, bytes, max_bytes, max_envelopes);
	if (answer == USAGE_RESERVED)
	{
		entry->bytes += (int64_t) bytes;
		entry->envelopes++;
	}
	pthread_mutex_unlock(&usage->lock);
	return answer;
}

void
usage_release(Usage *usage, const char *node, size_t bytes)
{
	Entry	   *entry;

	pthread_mutex_lock(&usage->lock);
	entry = entry_find(usage, node);
	if (entry != NULL)
	{
		entry->bytes -= (int64_t) bytes < entry->bytes ? (int64_t) bytes : entry->bytes;
		entry->envelopes -= entry->envelopes > 0;
	}
	pthread_mutex_unlock(&usage->lock);
}

void
usage_set(Usage *usage, const char *node, int64_t bytes, int64_t envelopes)
{
	Entry	   *entry;

	pthread_mutex_lock(&usage->lock);
	entry = entry_find(usage, node);
	if (entry == NULL)
	{
		Entry	   *bucket = bucket_of(usage, node);

		entry = &bucket[0];
		for (int i = 1; i < WAYS; i++)
		{
			if (bucket[i].counted < entry->counted)
				entry = &bucket[i];
		}
		memcpy(entry->node, node, HDMS_DIGEST_TEXT + 1);
	}
	entry->bytes = bytes;
	entry->envelopes = envelopes;
	entry->counted = monotonic_ms();
	pthread_mutex_unlock(&usage->lock);
}

void
usage_forget(Usage *usage, const char *node)
{
	Entry	   *entry;

	pthread_mutex_lock(&usage->lock);
	entry = entry_find(usage, node);
	if (entry != NULL)
		entry->counted = 0;
	pthread_mutex_unlock(&usage->lock);
}

void
usage_forget_all(Usage *usage)
{
	pthread_mutex_lock(&usage->lock);
	for (size_t i = 0; i < BUCKETS; i++)
	{
		for (int way = 0; way < WAYS; way++)
			usage->entries[i][way].counted = 0;
	}
	pthread_mutex_unlock(&usage->lock);
}
