/*
 * rate_limit.c
 *		Token buckets by node or by client address.
 *
 * A request costs a token and is refused when there is none; the envelopes that it brings are paid for afterwards, if need be on credit.
 * So a request passes whole or not at all, and whoever is refused is told how long the debt lasts.
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
	int64_t		units;			/* negative: a debt */
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

/* The bucket of a key with what has flowed in since. The lock is held. */
static Bucket *
bucket_filled(RateLimiter *limiter, const void *key, size_t len, int64_t per_minute, int64_t burst)
{
	int64_t		now = monotonic_ms();
	int64_t		full = burst * UNITS;
	Bucket	   *bucket = bucket_of(limiter, hash_of(limiter, key, len), full, now);
	int64_t		elapsed = now - bucket->filled;

	if (bucket->units > full || elapsed > (full - bucket->units) / per_minute)
		bucket->units = full;
	else if (elapsed > 0)
		bucket->units += elapsed * per_minute;
	bucket->filled = now;
	return bucket;
}

bool
rate_take(RateLimiter *limiter, const void *key, size_t len, int64_t per_minute, int64_t burst, int64_t *retry_after)
{
	Bucket	   *bucket;
	bool		taken;

	pthread_mutex_lock(&limiter->lock);
	bucket = bucket_filled(limiter, key, len, per_minute, burst);
	taken = (bucket->units >= UNITS);
	if (taken)
		bucket->units -= UNITS;
	*retry_after = bucket->units >= UNITS ? 0 : (UNITS - bucket->units) / (per_minute * 1000) + 1;
	pthread_mutex_unlock(&limiter->lock);
	return taken;
}

void
rate_charge(RateLimiter *limiter, const void *key, size_t len, int64_t per_minute, int64_t burst, int64_t tokens)
{
	pthread_mutex_lock(&limiter->lock);
	bucket_filled(limiter, key, len, per_minute, burst)->units -= tokens * UNITS;
	pthread_mutex_unlock(&limiter->lock);
}
