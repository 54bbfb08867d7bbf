/*
 * server_clock.h
 *		The two clocks: the wall clock for what others see, the monotonic one for waiting.
 */
#ifndef HDMS_SERVER_CLOCK_H
#define HDMS_SERVER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Seconds since 1970. */
static inline int64_t
wall_seconds(void)
{
	return (int64_t) time(NULL);
}

static inline int64_t
wall_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Microseconds since some moment in the past; never goes back. */
static inline int64_t
monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t
monotonic_ms(void)
{
	return monotonic_us() / 1000;
}

#endif
