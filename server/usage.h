/*
 * usage.h
 *		How full mailboxes are, as far as this process knows.
 *
 * A counter row for each mailbox would be rewritten by each put and each acknowledgement, and would be the one place
 * where all senders to a busy institution meet. So there is none: the truth is the mailbox's index, which is counted
 * when a mailbox is first put to, when the count is older than ten seconds, and before anyone is told that a mailbox is
 * full; in between, this process adds and subtracts what it did itself. Several processes may together exceed a quota
 * by what they take in ten seconds.
 */
#ifndef HDMS_SERVER_USAGE_H
#define HDMS_SERVER_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Usage Usage;

typedef enum UsageAnswer
{
	USAGE_RESERVED,				/* counted; release it when it was not stored */
	USAGE_FULL,					/* by a fresh count */
	USAGE_UNKNOWN				/* count it with usage_set() and ask again */
} UsageAnswer;

extern Usage *usage_new(void);
extern void usage_free(Usage *usage);

/* Whether usage_reserve() would say USAGE_UNKNOWN. */
extern bool usage_wants_count(Usage *usage, const char *node, size_t bytes, int64_t max_bytes, int64_t max_envelopes);

extern UsageAnswer usage_reserve(Usage *usage, const char *node, size_t bytes, int64_t max_bytes, int64_t max_envelopes);
extern void usage_release(Usage *usage, const char *node, size_t bytes);
extern void usage_set(Usage *usage, const char *node, int64_t bytes, int64_t envelopes);

/* The node changed, or everything may have. */
extern void usage_forget(Usage *usage, const char *node);
extern void usage_forget_all(Usage *usage);

#endif
