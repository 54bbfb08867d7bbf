/*
 * fork_evidence.h
 *		Keeping evidence that a log contradicts itself. Worker only, SPI connected.
 */
#ifndef HDMS_EXT_FORK_EVIDENCE_H
#define HDMS_EXT_FORK_EVIDENCE_H

#include "postgres.h"

#include "history.h"

/*
 * Writes a row of hdms.forks and an event "fork", once for each origin, kind and contradiction. kind: a word of that table's.
 * owner: whose log it is; told_by: the node that sent what contradicts. seen and shown: notes, or receipts; a file
 * of evidence is made of them where they prove by themselves that the log contradicts itself.
 */
extern void fork_keep(const char *kind, const char *origin, const HdmsHistory *owner, const char *told_by,
					  const char *seen, const char *shown);

#endif
