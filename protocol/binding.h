/*
 * binding.h
 *		The Key Binding JWT (RFC 9901, 4.3): acceptances and presentations are both one.
 *
 * Private to protocol/. "use" keeps them apart: an acceptance cannot be passed off as a
 * presentation, nor the other way round.
 */
#ifndef HDMS_BINDING_H
#define HDMS_BINDING_H

#include "disclosure.h"
#include "history.h"

#define HDMS_USE_ACCEPT		"accept"
#define HDMS_USE_PRESENT	"present"

/* {iat, aud, nonce, sd_hash, use} over the covered part of a compact form. *jwt is malloc'ed. */
extern HdmsStatus hdms_binding_sign(HdmsSpan covered, const char *aud, const char *nonce, const char *use,
									const HdmsKey *holder, int64_t now, char **jwt);

/* Verifies with the holder's signing key valid at time (seconds; 0: the current key), and each claim. iat may be NULL. */
extern HdmsStatus hdms_binding_verify(HdmsSpan jwt, HdmsSpan covered, const char *aud, const char *nonce, const char *use,
									  const HdmsHistory *holder, int64_t time, int64_t *iat);

#endif
