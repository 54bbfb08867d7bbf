/*
 * node.c
 *		What the worker knows of its own node.
 */
#include "postgres.h"

#include <time.h>

#include "node.h"

OwnNode		own_node;

int64_t
node_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
node_now(void)
{
	return node_now_ms() / 1000;
}
