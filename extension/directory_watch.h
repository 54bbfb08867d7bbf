/*
 * directory_watch.h
 *		What this node knows of the directory's log, and whether what it is told fits. Worker only, SPI connected.
 *
 * The log is followed leaf by leaf (courier_watch.c). What counts is what a checkpoint by the network key covers whose tree
 * came out as promised: hdms_internal.directory_log has the newest of them, directory_leaves the key entries below it.
 */
#ifndef HDMS_EXT_DIRECTORY_WATCH_H
#define HDMS_EXT_DIRECTORY_WATCH_H

#include "postgres.h"

#include "directory_log.h"
#include "history.h"

#define WATCH_NOTE_MAX	4096

/* The log as far as it was followed and found right. */
typedef struct WatchedLog
{
	int64		generation;		/* 0: nothing was followed yet */
	HdmsMerkleFrontier frontier;
	char		note[WATCH_NOTE_MAX];
} WatchedLog;

typedef enum WatchVerdict
{
	WATCH_AGREES,
	WATCH_NOT_YET,				/* the log, as far as it was followed, lacks entries of the history */
	WATCH_HIDDEN,				/* the log has later entries than the history */
	WATCH_FALSE					/* the log has other entries than the history */
} WatchVerdict;

/* A checkpoint whose signature was verified. */
typedef struct WatchTarget
{
	int64		generation;
	HdmsCheckpoint checkpoint;
	char		note[WATCH_NOTE_MAX];
} WatchTarget;

/* Verifies a checkpoint of the directory's log. */
extern HdmsStatus watch_target_read(const char *note, size_t len, WatchTarget *target);

extern const WatchedLog *watch_log(void);
extern void watch_log_forget(void);

/* Begins a generation with nothing followed; tells people of it unless it is the first. */
extern void watch_begin_generation(const WatchTarget *target);

/* Forgets leaves that were written and are not covered; writes those of a bundle, which belong to the indexes from first on. */
extern void watch_leaves_drop(void);
extern HdmsStatus watch_leaves_add(const unsigned char *bundle, size_t len, int skip, int count, HdmsMerkleFrontier *frontier);

/* The target was followed to its end and its root came out. Looks at this node's own entries and those of pinned nodes. */
extern void watch_advance(const WatchTarget *target, const HdmsMerkleFrontier *frontier);

/* The log was looked at and had nothing new, or did not fit: said once, with both checkpoints. offered may be NULL. */
extern void watch_agreed(void);
extern void watch_report_fork(const WatchTarget *offered, const char *what);

/* How a history stands to the log's leaves below a size (at most what was followed). */
extern WatchVerdict watch_judge(const HdmsHistory *history, int64 below);

/* Keeps evidence about a node's keys and tells people, once for each kind and node. */
extern void watch_report_node(const char *kind, const char *node_id, const HdmsHistory *offered, const char *what);

/*
 * Judges an answer of the directory. NULL when the history may be pinned, else a word: "not-in-log" (ask again when more
 * was followed), "hidden-key", "false-key", "bad-proof". checkpoint: of the answer, or NULL; attempts: how often it was asked before.
 */
extern const char *watch_answer(const HdmsHistory *history, const char *checkpoint, int64 index, const HdmsHash *proof, int proof_count,
								int64 attempts);

/* courier_watch.c: following the log. */
extern void watch_reset(void);
extern void watch_move(void);
extern long watch_timeout(void);	/* milliseconds until watch_move() wants to be called; -1: no limit */
extern void watch_is_wanted(void);	/* somebody waits for news of it */

#endif
