/*
 * erasure_journal.h
 *		The tombstones of this node in a file beside its keys. Worker only.
 *
 * A dump or a base backup from before an erasure has the content again. The journal is in neither, so whatever database goes on as this
 * node finds there what must not come back. It is only ever appended to, one tombstone a line.
 */
#ifndef HDMS_EXT_ERASURE_JOURNAL_H
#define HDMS_EXT_ERASURE_JOURNAL_H

#include "postgres.h"

/* Appends lines, each with its line feed, and returns when they are durable. Raises an ERROR when it cannot. */
extern void erasure_journal_append(const char *lines);

/*
 * Reads at most limit lines from *offset (bytes) on, which is advanced. Fewer than limit: that was the end. Lines are palloc'ed. What a crash
 * left half written is passed over. No file is an empty journal; one that cannot be read is an ERROR.
 */
extern int	erasure_journal_read(int64 *offset, char **lines, int limit);

#endif
