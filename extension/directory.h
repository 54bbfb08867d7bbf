/*
 * directory.h
 *		Pinned key histories and lists of notaries. Worker only.
 *
 * What was seen of a node is pinned in hdms_internal.peers; a history from the
 * directory must continue it, else it is refused, noted in peers.problem and
 * reported as an event "false_key". Parsed objects are cached in the worker.
 */
#ifndef HDMS_EXT_DIRECTORY_H
#define HDMS_EXT_DIRECTORY_H

#include "postgres.h"

#include "admission.h"

/* The pinned history, cached, valid until the next round; NULL when the node is not pinned. Needs SPI. */
extern const HdmsHistory *directory_history(const char *node_id);

/*
 * Pins a history, or continues the pinned one. False when it contradicts what is pinned (noted). Where it was news, it is taken
 * over (*history becomes NULL), and what directory_history() gave for the node before is not valid any more. Needs SPI.
 */
extern bool directory_pin(HdmsHistory **history);

/*
 * Notes, once, that the directory offered a key of this node that its history, or its id, does not justify: in peers.problem
 * where the node is pinned, as an event "false_key" and in the log. Needs SPI.
 */
extern void directory_refuse(const char *node_id);

/* Asks the server about a node or list (again), in the current transaction. The courier does it later. */
extern void directory_want_node(const char *node_id);
extern void directory_want_list(const char *digest);

/* A verified list by digest, cached until the next round; NULL when it is not here (then ask for it). */
extern const HdmsNotaryList *directory_list(const char *digest);

/* The newest list that is not older than its max_age at now; NULL when there is none. */
extern const HdmsNotaryList *directory_newest_list(int64 now);

/* Verifies and keeps a list that the server gave. digest: which one was asked for, or NULL. False when it is not one, or another. */
extern bool directory_keep_list(const char *jws, size_t len, const char *digest);

/* What the directory last said about a node. Needs SPI. */
typedef enum DirectoryAnswer
{
	DIRECTORY_SILENT,			/* nothing since that time */
	DIRECTORY_UNKNOWN,			/* there is no such node */
	DIRECTORY_CHECKED			/* what is pinned was compared since that time */
} DirectoryAnswer;

/* since: seconds. */
extern DirectoryAnswer directory_answer(const char *node_id, int64 since);

/* Frees the cache: at the end of a round, and when a transaction aborted. Keeps what is cheap to keep. */
extern void directory_forget(void);

#endif
