/*
 * signer.h
 *		Verifying a statement by whichever of a node's signing keys its header names.
 *
 * Private to protocol/. Every signed statement between nodes names its key by
 * thumbprint; whether that key counts is for the node's key history to say.
 */
#ifndef HDMS_SIGNER_H
#define HDMS_SIGNER_H

#include "history.h"

/*
 * Verifies a JWS of the given "typ" with the signing key of the node that its "kid"
 * names, if that key was valid at time (seconds; 0: a current key). HDMS_UNKNOWN_KEY
 * when it was not. The caller json_decref()s *claims.
 */
extern HdmsStatus hdms_signer_verify(const char *jws, size_t len, const char *typ, const HdmsHistory *node,
									 int64_t time, json_t **claims);

/* The claims without verifying anything but the "typ". The caller json_decref()s *claims. */
extern HdmsStatus hdms_signer_peek(const char *jws, size_t len, const char *typ, json_t **claims);

/*
 * That the object has no members but the named ones (a NULL-terminated list):
 * a signed claim that this version does not know must not be passed over. HDMS_BAD_CLAIM.
 */
extern HdmsStatus hdms_signer_known_claims(const json_t *claims, const char *const *names);

/* A required claim that is a node id or other digest, copied into out. */
extern HdmsStatus hdms_signer_read_digest(const json_t *claims, const char *name, char out[HDMS_DIGEST_TEXT + 1]);

#endif
