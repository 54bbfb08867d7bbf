/*
 * merkle_log.h
 *		An append-only log of this node: an RFC 6962 tree over the entries in a table. Worker only, SPI connected.
 *
 * The entries are the truth: written by the transaction of what they are about. The tree's hashes follow in the
 * transaction that signs the next checkpoint, a few tiles for a whole batch. The right edge of the tree is
 * kept in memory and read again after an aborted transaction.
 *
 * What is in a leaf is the business of notary_log.c and ledger_log.c, each of which has one of these.
 */
#ifndef HDMS_EXT_MERKLE_LOG_H
#define HDMS_EXT_MERKLE_LOG_H

#include "postgres.h"

#include "merkle_tile.h"
#include "note.h"

typedef struct MerkleLog
{
	const char *name;			/* in messages: "the notary's log" */
	const char *consequence;	/* of damage, for people */
	void		(*origin) (char origin[HDMS_ORIGIN_MAX]);

	/*
	 * Called with a new checkpoint's note before its row is written; may be NULL. Raises an ERROR where the note must not be
	 * given out.
	 */
	void		(*before_store) (const HdmsCheckpoint *checkpoint, const char *note);

	FlowPlan	find_last_entry;
	FlowPlan	find_entries;
	FlowPlan	find_checkpoint;
	FlowPlan	find_note;
	FlowPlan	insert_checkpoint;
	FlowPlan	update_checkpoint;
	FlowPlan	clear_tiles;
	MerkleTiles tiles;

	/* What is kept between transactions. */
	bool		is_watching;
	bool		is_loaded;
	const char *damage;			/* what is wrong with it; then nothing else counts */
	int64		next_index;		/* of the next entry */
	HdmsMerkleFrontier frontier;	/* of the tree in the tiles */
	int64		signed_size;	/* of the newest checkpoint; 0: none */
	char		note[HDMS_NOTE_MAX];	/* that checkpoint */
} MerkleLog;

/* A log in the tables hdms_internal.PREFIX_entries (index, leaf, ...), PREFIX_tiles and PREFIX_checkpoints. */
#define MERKLE_LOG(prefix) \
	.find_last_entry = FLOW_PLAN_WITHOUT_ARGS("SELECT index FROM hdms_internal." prefix "_entries ORDER BY index DESC LIMIT 1"), \
	.find_entries = FLOW_PLAN("SELECT index, leaf FROM hdms_internal." prefix "_entries WHERE index >= $1 ORDER BY index LIMIT $2", \
							  INT8OID, INT8OID), \
	.find_checkpoint = FLOW_PLAN_WITHOUT_ARGS("SELECT size, note FROM hdms_internal." prefix "_checkpoints" \
											  " ORDER BY size DESC LIMIT 1"), \
	.find_note = FLOW_PLAN("SELECT note FROM hdms_internal." prefix "_checkpoints WHERE size = $1", INT8OID), \
	.insert_checkpoint = FLOW_PLAN("INSERT INTO hdms_internal." prefix "_checkpoints (size, note) VALUES ($1, $2)", \
								   INT8OID, TEXTOID), \
	.update_checkpoint = FLOW_PLAN("UPDATE hdms_internal." prefix "_checkpoints SET note = $2 WHERE size = $1", \
								   INT8OID, TEXTOID), \
	.clear_tiles = FLOW_PLAN_WITHOUT_ARGS("DELETE FROM hdms_internal." prefix "_tiles"), \
	.tiles = MERKLE_TILES(prefix "_tiles")

/* What is wrong with the stored log, NULL when it is sound. The other functions raise an ERROR where it is not. */
extern const char *merkle_log_damage(MerkleLog *log);
pg_attribute_noreturn() extern void merkle_log_report_damage(const MerkleLog *log, const char *what);

/* The index of the next entry, and that one more was written. */
extern int64 merkle_log_next_index(MerkleLog *log);
extern void merkle_log_entry_added(MerkleLog *log);

/*
 * Brings the tiles up to the entries, signs a checkpoint over all of them and stores it, unless the newest
 * covers them all. True when there is a new one.
 */
extern bool merkle_log_sign(MerkleLog *log);

/* Makes all tiles again from the entries. An ERROR where that does not give the tree of the newest checkpoint. */
extern void merkle_log_rebuild(MerkleLog *log);

/* The size of the newest stored checkpoint, 0 without one; also of a log that is damaged. */
extern int64 merkle_log_promised_size(MerkleLog *log);

/*
 * Compares the log with a checkpoint that was kept outside the database. NULL, or why the database is not the one that it
 * was signed in. One that is newer than the stored ones is stored where the entries are there: a crash came in between.
 */
extern const char *merkle_log_compare(MerkleLog *log, const char *note, HdmsCheckpoint *kept);

/* Of the newest checkpoint; 0 and "" without one. The note is valid until the log is used next. */
extern int64 merkle_log_signed_size(MerkleLog *log);
extern const char *merkle_log_note(MerkleLog *log);

/*
 * Proofs against the newest checkpoint; of consistency between any two sizes that it covers, 0 < size1 <= size2.
 * Return the number of hashes.
 */
extern int	merkle_log_inclusion(MerkleLog *log, int64 index, HdmsHash proof[HDMS_MERKLE_MAX_PROOF]);
extern int	merkle_log_consistency(MerkleLog *log, int64 size1, int64 size2, HdmsHash proof[HDMS_MERKLE_MAX_PROOF]);

/* The root of the tree's first size leaves, 1 or more and not more than the newest checkpoint covers. */
extern void merkle_log_root(MerkleLog *log, int64 size, HdmsHash root);

/*
 * Adds signature lines, each with its line feed, to the stored checkpoint of that size, except by keys whose names sign it already.
 * The caller has verified them against that checkpoint. False when there is no such checkpoint, or the note has no room.
 */
extern bool merkle_log_cosign(MerkleLog *log, int64 size, const char *lines);

/*
 * The stored checkpoint note of that size, palloc'ed; NULL when there is none. A tile's first width hashes, and the first
 * width leaves below a tile of level 0 as a C2SP entry bundle (each with its length before it, 2 bytes); NULL when there are
 * not that many under the newest checkpoint. palloc'ed.
 */
extern char *merkle_log_find_note(MerkleLog *log, int64 size);
extern bytea *merkle_log_tile(MerkleLog *log, int level, int64 index, int width);
extern bytea *merkle_log_entry_bundle(MerkleLog *log, int64 index, int width);

/* Forgets what is kept in memory. */
extern void merkle_log_forget(MerkleLog *log);

#endif
