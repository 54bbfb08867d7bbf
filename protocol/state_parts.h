/*
 * state_parts.h
 *		A state that has been taken apart: what acceptance and presentation share with state.c.
 *
 * Private to protocol/.
 */
#ifndef HDMS_STATE_PARTS_H
#define HDMS_STATE_PARTS_H

#include "disclosure.h"
#include "state.h"

/* Checks claims and disclosures of a compact form that was split, without its signature. */
extern HdmsStatus hdms_state_read(const HdmsSdJwt *parts, bool all_disclosed, HdmsState *state);

/* The same, and the issuer's signature with its key valid at time (seconds; 0: a current key; -1: at the state's own iat). */
extern HdmsStatus hdms_state_authenticate(const HdmsSdJwt *parts, bool all_disclosed, const HdmsHistory *issuer,
										  int64_t time, HdmsState *state);

#define HDMS_AT_ITS_IAT		(-1)

#endif
