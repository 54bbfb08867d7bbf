/*
 * evidence.h
 *		A record's evidence: one file that anyone checks offline, from the network key's fingerprint alone.
 *
 * {"hdms_evidence": 1, "network": JWK of the network key, "record": UUID,
 *  "histories": {node id: [JWS ...]}  (issuer, patient),
 *  "admission": JWS (the issuer's), "notaries": {digest: JWS},
 *  "versions": [{"state": SD-JWT, "acceptance": JWT, "request": JWS, "receipt": text}, ...]  oldest first, without gaps}
 * A version that the institution erased has a "tombstone" (tombstone.h) in the place of its "state".
 * The commit is inside the request. Each check is reported by name, so that a person sees what was checked.
 */
#ifndef HDMS_EVIDENCE_H
#define HDMS_EVIDENCE_H

#include "notarisation.h"
#include "tombstone.h"

/* One version's parts; borrowed. */
typedef struct HdmsEvidenceVersion
{
	const char *state;
	const char *acceptance;
	const char *request;
	const char *receipt;
	const char *tombstone;		/* counts where state is NULL: the version was erased; else NULL */
} HdmsEvidenceVersion;

/* Everything that is needed; all borrowed. */
typedef struct HdmsEvidence
{
	const HdmsKey *network;
	const HdmsHistory *issuer;
	const HdmsHistory *patient;
	const char *admission;
	bool		is_admitted;	/* the admission was verified with these keys already: not again for each of many records */
	const HdmsNotaryList *lists;	/* the pinned lists that versions refer to */
	size_t		list_count;
	const HdmsEvidenceVersion *versions;
	size_t		version_count;
} HdmsEvidence;

/*
 * Called once for each check: version 0 for what concerns the whole record. Return false to stop:
 * stopped before anything failed, verification ends with HDMS_BAD_ARGUMENT.
 */
typedef bool (*HdmsCheckReport) (void *arg, int64_t version, const char *check, HdmsStatus status);

/*
 * Checks, in order: "admission"; then for each version "state" (claims, disclosures, issuer's signature),
 * "chain" (record, version, prev, same nodes), "acceptance", "commit" (belongs to the state), "request" (both signatures, draw,
 * skips, list's age), "receipt" (inclusion, checkpoint's signature, leaf = tag and request), "time" (leaf before
 * accept_until). Of an erased version "erased" (the issuer's tombstone is for this record, patient and verification key), "chain" (its tag follows
 * from the version before), "request", "receipt" and "time". Keys are those valid at the leaf's time, for a tombstone at its own. Returns the first failure, HDMS_OK if none. report may be NULL.
 */
extern HdmsStatus hdms_evidence_verify(const HdmsEvidence *evidence, HdmsCheckReport report, void *arg);

/* Writes the file, malloc'ed. */
extern HdmsStatus hdms_evidence_print(const HdmsEvidence *evidence, char **json);

/*
 * Reads a file and verifies it. fingerprint: thumbprint of the trusted network key. "file", "network", "histories" and
 * "notaries" are reported before the other checks and end the verification when they fail; "record" (the file is of the
 * record that it names) comes last, where nothing failed. record and content (of the newest version; untouched where that was erased) may be NULL.
 */
extern HdmsStatus hdms_evidence_verify_file(const char *json, size_t len, const char *fingerprint,
											HdmsCheckReport report, void *arg, char record[37], HdmsBytes *content);

#endif
