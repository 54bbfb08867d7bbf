/*
 * recovery.h
 *		A new device looks for the nodes of a seed: asks the directory for each pairing number until several in a row are unknown.
 */
#ifndef NODE_RECOVERY_H
#define NODE_RECOVERY_H

#include "home.h"

typedef struct Recovery Recovery;

/* Notes in an empty home where to look. Inside a transaction. */
extern bool recovery_begin(HdmsHome *home, const char *server, const char *network);

/* Takes up a search that is not over. False on a failure of the store. */
extern bool recovery_load(HdmsHome *home);
extern void recovery_free(Recovery *recovery);

/* Starts what is due. engine_clock() of the next look; INT64_MAX: none. */
extern int64_t recovery_run(HdmsHome *home);

/* Ends the request under way; it is made again with the next engine. */
extern void recovery_drop(HdmsHome *home);

/* {"looked", "found", "problem"}; null when nothing is being searched. */
extern json_t *recovery_json(const HdmsHome *home);

/* Whether the search goes on, and why it cannot (NULL when it can). */
extern bool recovery_is_searching(const HdmsHome *home, const char **problem);

#endif
