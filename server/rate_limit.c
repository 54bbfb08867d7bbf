/*
 * rate_limit.c
 *		Token buckets by node or by client address.
 *
 * A fixed table, eight buckets to a place. Whoever comes when all eight are taken gets the fullest one's place, so a
 * flood of new addresses gains nothing for those that have used up their tokens. Places are chosen by a keyed hash,
 * so nobody can aim at another's.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "rate_limit.h"
#include "server_clock.h"

#define PLACES	8192
#define WAYS	8
#define UNITS	60000			/* of a token: per minute and millisecond comes out whole */

typedef struct Bucket
{
	uint64_t	hash;			/* 0: unused */
	int64_t		units;
	int64_t		filled;			/* monotonic ms */
} Bucket;

struct RateLimiter
{
	pthread_mutex_t lock;
	uint64_t	seed[2];
	Bucket		buckets[PLACES][WAYS];
};

RateLimiter *
rate_limiter_new(void)
{
	RateLimiter *limiter = calloc(1, sizeof(RateLimiter));

	if (limiter == NULL)
		return NULL;
	pthread_mutex_init(&limiter->lock, NULL);
	if (hdms_random(limiter->seed, sizeof(limiter->seed)) != HDMS_OK)
	{
		rate_limiter_free(limiter);
		return NULL;
	}
	return limiter;
}

void
rate_limiter_free(RateLimiter *limiter)
{
	if (limiter == NULL)
		return;
	pthread_mutex_destroy(&limiter->lock);
	free(limiter);
}

/* FNV-1a between two secret words, mixed at the end. */
static uint64_t
hash_of(const RateLimiter *limiter, const void *key, size_t len)
{
	const unsigned char *bytes = key;
	uint64_t	hash = limiter->seed[0];

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	hash ^= limiter->seed[1];
	hash ^= hash >> 32;
	hash *= UINT64_C(0xd6e8feb86659fd93);
	hash ^= hash >> 32;
	return hash != 0 ? hash : 1;
}

static Bucket *
bucket_of(RateLimiter *limiter, uint64_t hash, int64_t full, int64_t now)
{
	Bucket	   *place = limiter->buckets[hash % PLACES];
	Bucket	   *chosen = &place[0];

	for (int i = 0; i < WAYS; i++)
	{
		if (place[i].hash == hash)
			return &place[i];
		if (place[i].hash == 0 || (chosen->hash != 0 && place[i].units > chosen->units))
			chosen = &place[i];
	}
	chosen->hash = hash;
	chosen->units = full;
	chosen->filled = now;
	return chosen;
}

int64_t
rate_take(RateLimiter *limiter, const void *key, size_t len, int64_t per_minute, int64_t burst, int64_t wanted, int64_t *retry_after)
{
	uint64_t	hash = hash_of(limiter, key, len);
	int64_t		now = monotonic_ms();
	int64_t		full = burst * UNITS;
	int64_t		taken;
	int64_t		elapsed;
	Bucket	   *bucket;

	pthread_mutex_lock(&limiter->lock);
	bucket = bucket_of(limiter, hash, full, now);
	elapsed = now - bucket->filled;
	if (elapsed > full / per_minute)
		bucket->units = full;
	else if (elapsed > 0)
		bucket->units += elapsed * per_minute;
	if (bucket->units > full)
		bucket->units = full;
	bucket->filled = now;
	taken = bucket->units / UNITS;
	if (taken > wanted)
		taken = wanted;
	bucket->units -= taken * UNITS;
	if (retry_after != NULL)
		*retry_after = (UNITS - bucket->units % UNITS) / (per_minute * 1000) + 1;
	pthread_mutex_unlock(&limiter->lock);
	return taken;
}
