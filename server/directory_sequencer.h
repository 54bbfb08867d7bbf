/*
 * directory_sequencer.h
 *		The directory's own log: what the nodes' table has and the log lacks becomes leaves, and a checkpoint is signed.
 */
#ifndef HDMS_SERVER_DIRECTORY_SEQUENCER_H
#define HDMS_SERVER_DIRECTORY_SEQUENCER_H

#include <libpq-fe.h>

#include "log_tree.h"

#define DIRECTORY_LOG	"directory"

/* A checkpoint of this directory's log that somebody showed, its signature verified. generation 0: none. */
typedef struct SeenCheckpoint
{
	int64_t		generation;
	uint64_t	size;
	HdmsHash	root;
} SeenCheckpoint;

/*
 * Sequences all there is, in transactions of its own, one process at a time. When the log turns out to have lost leaves, or is not
 * what its checkpoint says, a new generation begins. False after logging when that was not possible.
 */
extern bool directory_sequence(PGconn *conn, const HdmsKey *network, const SeenCheckpoint *seen, int64_t now);

#endif
