/*
 * node.c
 *		What the worker knows of its own node.
 */
#include "postgres.h"

#include <time.h>

#include "node.h"

OwnNode		own_node;

const HdmsKey *
node_decryption_key(const char *kid)
{
	if (own_node.encryption == NULL || kid[0] == '\0' || strcmp(hdms_key_thumbprint(own_node.encryption), kid) == 0)
		return own_node.encryption;
	for (int i = 0; i < own_node.former_count; i++)
	{
		if (strcmp(hdms_key_thumbprint(own_node.former_encryption[i]), kid) == 0)
			return own_node.former_encryption[i];
	}
	return NULL;
}

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
