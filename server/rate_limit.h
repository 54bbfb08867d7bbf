/*
 * rate_limit.h
 *		Token buckets by node or by client address.
 */
#ifndef HDMS_SERVER_RATE_LIMIT_H
#define HDMS_SERVER_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct RateLimiter RateLimiter;

extern RateLimiter *rate_limiter_new(void);
extern void rate_limiter_free(RateLimiter *limiter);

/*
 * Takes a token of the bucket of key; false when there is none. The bucket fills with per_minute tokens a minute up to
 * burst. *retry_after gets the seconds until there will be one.
 */
extern bool rate_take(RateLimiter *limiter, const void *key, size_t len, int64_t per_minute, int64_t burst, int64_t *retry_after);

/* Takes tokens whether they are there or not. */
extern void rate_charge(RateLimiter *limiter, const void *key, size_t len, int64_t per_minute, int64_t burst, int64_t tokens);

#endif
