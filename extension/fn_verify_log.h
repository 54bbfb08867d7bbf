/*
 * fn_verify_log.h
 *		What the node's own log says, compared with the tables. SPI connected; only reads.
 */
#ifndef HDMS_EXT_FN_VERIFY_LOG_H
#define HDMS_EXT_FN_VERIFY_LOG_H

#include "postgres.h"

#include "fn_evidence.h"
#include "merkle.h"
#include "roster.h"

/* The newest checkpoint, as far as it is this node's. */
typedef struct LogCheckpoint
{
	int64		size;			/* 0: there is none */
	HdmsHash	root;
	int			cosignatures;	/* that verify */
	int64		time_ms;		/* of the newest entry that it covers; 0: not looked up */
} LogCheckpoint;

/* A failed check: what was seen, in the current memory context. */
typedef void (*LogFailure) (void *arg, const char *check_name, const char *detail);

/* Reads the newest checkpoint and verifies its signatures. */
extern void log_checkpoint_read(LogCheckpoint *checkpoint, LogFailure failure, void *arg);

/*
 * Verifies the tree: entries without gaps that cover rows without gaps, the tiles, the roots of all stored checkpoints, and
 * that the log is not shorter or another than head, from roster_ledger() before the snapshot was taken. Gives the newest checkpoint and the number
 * of entries.
 */
extern void log_tree_verify(const LedgerHead *head, LogCheckpoint *checkpoint, int64 *entry_count, LogFailure failure, void *arg);

/* A check of one record against its events. ordinal: of the version; 0: the record. problem: NULL where it passed. */
typedef void (*LogRecordCheck) (void *arg, int64 ordinal, const char *check_name, const char *problem);

/*
 * What the events say of a record's versions: how they ended, and with which bytes. Reports nothing where this node
 * has no log.
 */
extern void log_record_verify(const RecordEvidence *loaded, LogRecordCheck check, void *arg);

/* That the events of a record are in the log, under its newest checkpoint. Not in a parallel worker. */
extern void log_record_inclusion(const RecordEvidence *loaded, LogRecordCheck check, void *arg);

#endif
