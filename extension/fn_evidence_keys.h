/*
 * fn_evidence_keys.h
 *		Keys and lists of notaries that the verification of many records shares.
 */
#ifndef HDMS_EXT_FN_EVIDENCE_KEYS_H
#define HDMS_EXT_FN_EVIDENCE_KEYS_H

#include "postgres.h"

#include "evidence.h"

typedef struct EvidenceKeys EvidenceKeys;

/* Reads what the node knows of itself. SPI connected. Lives in context, and is freed when that is reset or deleted. */
extern EvidenceKeys *evidence_keys_open(MemoryContext context);

/* Why there is no network key, or no history of this node; HDMS_OK where there is. */
extern HdmsStatus evidence_keys_network(const EvidenceKeys *keys);
extern HdmsStatus evidence_keys_issuer(const EvidenceKeys *keys);

/*
 * Fills in network, issuer, admission and, once they were read, the patient's history and the lists, all valid until
 * the next call with the same keys. patient: node id, or NULL. lists: digests of the pinned lists. A list that is not right
 * is as good as none: the check that needs it fails. Gives why there is no history of the patient.
 */
extern HdmsStatus evidence_keys_fill(EvidenceKeys *keys, const char *patient, char **lists, int list_count, HdmsEvidence *evidence);

#endif
