/*
 * fork.h
 *		Evidence that a node's log says two things: one file that anyone checks with nothing else.
 *
 * {"hdms_fork": 1, "history": [JWS ...] of the node whose log it is, and either
 *  "checkpoints": [note, note]  of one origin and size, with different roots, or
 *  "receipts": [receipt, receipt]  with one tag and different requests}
 * Both are signed by that node's own log keys, so nobody else can have made them: not the witness who hands them over either.
 */
#ifndef HDMS_FORK_H
#define HDMS_FORK_H

#include "history.h"
#include "receipt.h"

typedef enum HdmsForkKind
{
	HDMS_FORK_CHECKPOINTS, HDMS_FORK_RECEIPTS
} HdmsForkKind;

/* What the evidence shows. */
typedef struct HdmsFork
{
	HdmsForkKind kind;
	char		node[HDMS_DIGEST_TEXT + 1];
	char		origin[HDMS_ORIGIN_MAX];
	uint64_t	size;			/* of both checkpoints */
	HdmsHash	roots[2];
	HdmsLeaf	leaves[2];		/* of the receipts */
} HdmsFork;

/* Writes the file, malloc'ed. HDMS_BAD_PROOF when the two do not contradict each other. */
extern HdmsStatus hdms_fork_print(const HdmsHistory *history, HdmsForkKind kind, const char *first, const char *second, char **json);

/* Verifies a file. HDMS_BAD_PROOF when the two do not contradict each other; fork may be NULL. */
extern HdmsStatus hdms_fork_verify(const char *json, size_t len, HdmsFork *fork);

#endif
