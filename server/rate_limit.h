/*
 * rate_limit.h
 *		Token buckets by node or by client address.
 */
#ifndef HDMS_SERVER_RATE_LIMIT_H
#define HDMS_SERVER_RATE_LIMIT_H

#include <stddef.h>
#include <stdint.h>

typedef struct RateLimiter RateLimiter;

extern RateLimiter *rate_limiter_new(void);
extern void rate_limiter_free(RateLimiter *limiter);

/*
 * Takes up to wanted tokens of the bucket of key; returns how many there were. The bucket fills with per_minute
 * tokens a minute up to burst. *retry_after (may be NULL) gets the seconds until there will be one.
 */
extern int64_t rate_take(RateLimiter *limiter, const void *key, size_t len, int64_t per_minute, int64_t burst, int64_t wanted,
						 int64_t *retry_after);

#endif
