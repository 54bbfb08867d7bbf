/*
 * note.h
 *		C2SP signed notes and tlog checkpoints.
 *
 * A checkpoint's text is origin, size and root hash, each on a line; the note
 * adds an empty line and signature lines. Ed25519 signatures (type 0x01) are the
 * log's, timestamped cosignatures (type 0x04) are witnesses'.
 */
#ifndef HDMS_NOTE_H
#define HDMS_NOTE_H

#include "key.h"
#include "merkle.h"

#define HDMS_NOTE_MAX			(64 * 1024)		/* bytes */
#define HDMS_ORIGIN_MAX			128
#define HDMS_NOTE_MAX_SIGNATURES 64

typedef struct HdmsCheckpoint
{
	char		origin[HDMS_ORIGIN_MAX];
	uint64_t	size;
	HdmsHash	root;
} HdmsCheckpoint;

/* The origin, and key name, of a node's log: "hdms.v1/log/" || node id. */
extern void hdms_log_origin(const char *node_id, char origin[HDMS_ORIGIN_MAX]);

/*
 * The origin, and key name, of a node's log of its own events: "hdms.v1/ledger/" || node id; of a later
 * epoch, begun after a part of the log was lost, with "/" || epoch at the end. epoch counts from 1.
 */
extern void hdms_ledger_origin(const char *node_id, int64_t epoch, char origin[HDMS_ORIGIN_MAX]);

/* The key name of a node's witness: "hdms.v1/witness/" || node id. */
extern void hdms_witness_name(const char *node_id, char name[HDMS_ORIGIN_MAX]);

/* A checkpoint note with the log's own signature (Ed25519 key, key name = origin). *note is malloc'ed text. */
extern HdmsStatus hdms_checkpoint_sign(const HdmsCheckpoint *checkpoint, const HdmsKey *log_key, char **note);

/* Parses and verifies the log's signature: origin must be as expected. */
extern HdmsStatus hdms_checkpoint_verify(const char *note, size_t len, const char *origin, const HdmsKey *log_key,
										 HdmsCheckpoint *checkpoint);

/* Parses without verifying: only to look at. */
extern HdmsStatus hdms_checkpoint_parse(const char *note, size_t len, HdmsCheckpoint *checkpoint);

/*
 * A witness's cosignature line (with its line feed) over a checkpoint note
 * (C2SP tlog-cosignature, cosignature/v1): time in seconds. Ed25519 cosigner key.
 */
extern HdmsStatus hdms_cosignature_sign(const char *note, size_t len, const char *name, const HdmsKey *cosigner,
										int64_t time, char **line);

/* Finds and verifies the cosignature by that witness in the note; gives its time. HDMS_BAD_SIGNATURE when there is none. */
extern HdmsStatus hdms_cosignature_verify(const char *note, size_t len, const char *name, const HdmsKey *cosigner, int64_t *time);

/* C2SP vkey text: name "+" hex key id "+" base64(type || public key). malloc'ed. type 0x01 or 0x04. */
extern HdmsStatus hdms_note_vkey(const char *name, const HdmsKey *key, int type, char **vkey);

#endif
