/*
 * witness.h
 *		What a log and its witnesses say to each other (C2SP tlog-witness), and cosigned checkpoints.
 *
 * An add-checkpoint request is "old N", the hashes of a consistency proof from N on, an empty line, and the
 * checkpoint's note. It is only text here: who may ask, what was seen before and when to cosign is the witness's own business.
 */
#ifndef HDMS_WITNESS_H
#define HDMS_WITNESS_H

#include "history.h"
#include "note.h"

#define HDMS_WITNESS_MAX_PROOF	63	/* hashes in a request */

typedef struct HdmsWitnessRequest
{
	uint64_t	old_size;		/* of the checkpoint that the witness is believed to have seen last; 0: none */
	int			count;
	HdmsHash	proof[HDMS_WITNESS_MAX_PROOF];
	const char *note;			/* in the request's text */
	size_t		note_len;
	HdmsCheckpoint checkpoint;	/* the note's, not verified */
} HdmsWitnessRequest;

/* *request is malloc'ed text. HDMS_BAD_ARGUMENT for what hdms_witness_request_parse() would refuse. */
extern HdmsStatus hdms_witness_request_build(uint64_t old_size, const HdmsHash *proof, int count, const char *note, char **request);

/*
 * Reads a request; nothing is verified. The old size is not above the checkpoint's, and there is no proof where it is 0 or equal.
 */
extern HdmsStatus hdms_witness_request_parse(const char *text, size_t len, HdmsWitnessRequest *request);

/*
 * Whether the request's checkpoint continues the tree that was seen last: of size old_size with that root.
 * HDMS_BAD_PROOF when it does not. Only for a request whose old size is the one seen.
 */
extern HdmsStatus hdms_witness_request_verify(const HdmsWitnessRequest *request, const HdmsHash seen_root);

/* Whether an origin is that of a log of this node: its log as a notary, or its own log in any epoch. */
extern bool hdms_is_log_of(const char *origin, const char *node_id);

/* Verifies a checkpoint with any key that the node ever had for its logs. origin must be as expected; checkpoint may be NULL. */
extern HdmsStatus hdms_checkpoint_verify_ever(const char *note, size_t len, const char *origin, const HdmsHistory *history,
											  HdmsCheckpoint *checkpoint);

/*
 * The note with a witness's cosignature out of the lines that it answered with. Lines of others are not taken. A cosignature
 * that the note has from this witness already is replaced by a later one. HDMS_BAD_SIGNATURE when there is none of that name
 * and key in the lines that verifies, HDMS_TOO_LARGE when the note would have too many. time may be NULL.
 */
extern HdmsStatus hdms_cosignature_merge(const char *note, size_t len, const char *lines, size_t lines_len, const char *name,
										 const HdmsKey *cosigner, char **merged, int64_t *time);

/* A witness whose cosignatures count. */
typedef struct HdmsWitness
{
	const char *name;
	const HdmsKey *cosigner;	/* Ed25519 */
} HdmsWitness;

/* How many of these witnesses, each counted once, have cosigned the note. */
extern HdmsStatus hdms_cosignature_count(const char *note, size_t len, const HdmsWitness *witnesses, size_t count, size_t *found);

#endif
