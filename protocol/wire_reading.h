/*
 * wire_reading.h
 *		Reading members of HTTP bodies into owned strings.  Internal to protocol/.
 */
#ifndef HDMS_WIRE_READING_H
#define HDMS_WIRE_READING_H

#include "claims.h"
#include "json_scan.h"

/* A new string from a member that is a non-empty string; HDMS_BAD_CLAIM when it is none. */
extern HdmsStatus hdms_wire_string(const json_t *object, const char *name, char **string);

/* The same, leaving *string alone when there is no such member. */
extern HdmsStatus hdms_wire_optional_string(const json_t *object, const char *name, char **string);

/* A member that is a SHA-256 in base64url. */
extern HdmsStatus hdms_wire_id(const json_t *object, const char *name, char id[HDMS_DIGEST_TEXT + 1]);

/* A string member of printable ASCII that fits into size bytes with its NUL. */
extern HdmsStatus hdms_wire_word(const json_t *object, const char *name, char *word, size_t size);

/* An integer member from 0 to max; missing when there is none. */
extern HdmsStatus hdms_wire_integer(const json_t *object, const char *name, int64_t max, int64_t missing, int64_t *value);

/* The source text of a member of the given kind, as a new string. */
extern HdmsStatus hdms_wire_source(const char *json, size_t len, const char *name, HdmsJsonKind kind, char **text);

/* A new copy of len bytes with a NUL; NULL when there is no memory. */
extern char *hdms_wire_copy(const char *bytes, size_t len);

#endif
