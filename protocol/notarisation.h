/*
 * notarisation.h
 *		The draw of a notary, the notary request, and everything that is checked of them.
 *
 * Draw: output = ECVRF(patient's VRF key, seed). Each notary of the pinned list but the issuer
 * scores SHA-256("hdms-draw" || output || node id); the highest is drawn. Skipped ones are passed
 * over in that order, each with the issuer's signed skip.
 *
 * Request: hdms-notarise+jwt by the patient, claims
 *   iss, aud (the notary), iat, commit (the JWS), acceptance (SHA-256 of the acceptance JWT),
 *   version 1:  seed, vrf (JWK, public), proof (81 bytes), skips (array of JWS, only where there are any)
 *   later:      prev (SHA-256 of the predecessor's request JWS)
 * A version that is not the first goes to the notary of the one before; the predecessor's request
 * and receipt come along beside the request.
 */
#ifndef HDMS_NOTARISATION_H
#define HDMS_NOTARISATION_H

#include "receipt.h"
#include "statement.h"
#include "vrf.h"

/*
 * Orders the notaries by score, highest first, leaving out the issuer.
 * order: at least list->count entries; *count of them are filled (0: nobody can be drawn).
 */
extern HdmsStatus hdms_draw(const HdmsNotaryList *list, const unsigned char output[HDMS_VRF_OUTPUT_SIZE],
							const char *issuer, const HdmsNotary **order, size_t *count);

typedef struct HdmsRequest
{
	char		iss[HDMS_DIGEST_TEXT + 1];		/* patient */
	char		aud[HDMS_DIGEST_TEXT + 1];		/* notary */
	int64_t		iat;
	char		acceptance[HDMS_DIGEST_TEXT + 1];	/* SHA-256 of the acceptance */
	char		prev[HDMS_DIGEST_TEXT + 1];		/* "" for version 1 */
	unsigned char digest[HDMS_DIGEST_SIZE];		/* SHA-256 of the request's JWS: in the leaf */
	HdmsCommit	commit;
} HdmsRequest;

/* Version 1: proves, draws past the skips, signs. *notary (may be NULL) borrows from list. HDMS_BAD_DRAW when all are skipped. */
extern HdmsStatus hdms_request_first(const HdmsState *state, const char *commit, const char *acceptance,
									 const HdmsNotaryList *list, const char *const *skips, size_t skip_count,
									 const HdmsKey *vrf, const HdmsKey *patient, int64_t now,
									 char **request, const HdmsNotary **notary);

/* Later versions: to the notary of the predecessor. */
extern HdmsStatus hdms_request_next(const HdmsState *state, const char *commit, const char *acceptance,
									const char *prev_request, const char *notary, const HdmsKey *patient, int64_t now,
									char **request);

/* Without verifying. */
extern HdmsStatus hdms_request_peek(const char *request, size_t len, HdmsRequest *out);

/*
 * Everything that a notary and every later verifier check of a request: both signatures with keys valid at
 * time (seconds; 0: current), iss and sub agree, and
 * version 1: seed against tag, VRF key against commit, proof, draw over the list, skips; list's age against time.
 * later: tag against the predecessor's vk, same two nodes, same notary, prev digest; prev_request was verified before.
 * list may be NULL for later versions, prev_request is NULL for version 1. With time 0 the list's age is
 * measured at the request's own iat, which only its signer vouches for: a notary passes its clock.
 */
extern HdmsStatus hdms_request_verify(const char *request, size_t len, const HdmsHistory *issuer, const HdmsHistory *patient,
									  const HdmsNotaryList *list, const char *prev_request, int64_t time, HdmsRequest *out);

#endif
