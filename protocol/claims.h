/*
 * claims.h
 *		JOSE headers, claims and message bodies: strict reading with jansson.
 *
 * Only for JSON that the protocol itself defines. Content goes through json_scan.h.
 */
#ifndef HDMS_CLAIMS_H
#define HDMS_CLAIMS_H

/*
 * A PostgreSQL backend exports a json_object() of its own, which jansson's would clash with in the compiler and, worse, lose
 * against in the dynamic linker. The library makes objects with json_pack("{}"), and a backend does not see the declaration.
 */
#ifdef PG_VERSION_NUM
#include <fmgr.h>
#include <utils/fmgrprotos.h>	/* now, before jansson makes a macro of json_typeof() */
#define json_object jansson_json_object
#include <jansson.h>
#undef json_object
#else
#include <jansson.h>
#endif

#include "bytes.h"

/*
 * Parses one JSON object strictly: duplicates refused, nothing after it, depth
 * at most 32, no NUL in strings, integers only within int64 (reals refused).
 * The caller json_decref()s.
 */
extern HdmsStatus hdms_claims_parse(const char *json, size_t len, json_t **object);

/* Compact serialisation without white space, malloc'ed, members in insertion order. */
extern HdmsStatus hdms_claims_print(const json_t *object, char **json);

/* A required string member, borrowed from the object. HDMS_BAD_CLAIM when missing, no string, or empty. */
extern HdmsStatus hdms_claims_string(const json_t *object, const char *name, const char **value);

/* A required integer member of at least 0. */
extern HdmsStatus hdms_claims_integer(const json_t *object, const char *name, int64_t *value);

/* A required member that is a SHA-256 in base64url. digest may be NULL; text (borrowed) may be NULL. */
extern HdmsStatus hdms_claims_digest(const json_t *object, const char *name, unsigned char digest[HDMS_DIGEST_SIZE], const char **text);

/* A required string member that must equal expected. */
extern HdmsStatus hdms_claims_equal(const json_t *object, const char *name, const char *expected);

#endif
