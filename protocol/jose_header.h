/*
 * jose_header.h
 *		What the headers of JWS and JWE have in common.  Internal to protocol/.
 */
#ifndef HDMS_JOSE_HEADER_H
#define HDMS_JOSE_HEADER_H

#include "claims.h"
#include "json_scan.h"

/* Cuts a compact serialisation at its dots into exactly count parts; HDMS_BAD_FORMAT when there are more or fewer. */
extern HdmsStatus hdms_compact_split(const char *compact, size_t len, HdmsSpan *parts, size_t count);

/*
 * Decodes and parses a protected header and refuses the members that change what the rest means: "crit", "b64",
 * "jku", "x5u" (HDMS_BAD_FORMAT) and "zip" (HDMS_BAD_ALGORITHM). "alg" is there and is a string; *alg is borrowed
 * from *header. The caller json_decref()s.
 */
extern HdmsStatus hdms_jose_header_parse(HdmsSpan text, json_t **header, const char **alg);

/* HDMS_BAD_TYPE unless "typ" is the expected one. */
extern HdmsStatus hdms_jose_header_check_typ(const json_t *header, const char *typ);

/* The "kid", "" when there is none; HDMS_BAD_FORMAT when it is no thumbprint. */
extern HdmsStatus hdms_jose_header_kid(const json_t *header, char kid[HDMS_DIGEST_TEXT + 1]);

#endif
