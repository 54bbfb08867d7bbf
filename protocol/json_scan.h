/*
 * json_scan.h
 *		The strict JSON scanner for content: spans of the source bytes, never values.
 *
 * Content keeps its digits and its spelling (7.10 stays 7.10), so it is never
 * parsed into numbers and printed again. The scanner checks RFC 8259 grammar,
 * UTF-8, paired surrogate escapes, duplicate member names (compared after
 * unescaping), a depth and a size limit, and yields spans into the source.
 */
#ifndef HDMS_JSON_SCAN_H
#define HDMS_JSON_SCAN_H

#include "bytes.h"

#define HDMS_JSON_MAX_DEPTH 64

typedef struct HdmsSpan
{
	const char *data;
	size_t		len;
} HdmsSpan;

typedef enum HdmsJsonKind
{
	HDMS_JSON_OBJECT, HDMS_JSON_ARRAY, HDMS_JSON_STRING, HDMS_JSON_NUMBER, HDMS_JSON_TRUE, HDMS_JSON_FALSE, HDMS_JSON_NULL
} HdmsJsonKind;

/* One member of an object (name set) or element of an array (name empty). Spans point into the source. */
typedef struct HdmsJsonItem
{
	HdmsSpan	name;			/* as written, with its quotes */
	HdmsSpan	value;			/* as written, without surrounding white space */
	HdmsJsonKind kind;			/* of the value */
} HdmsJsonItem;

/*
 * Checks a whole document. max_size in bytes. HDMS_BAD_JSON, HDMS_BAD_ENCODING
 * (UTF-8) or HDMS_TOO_LARGE (size, depth). kind may be NULL. On failure
 * *error_at (may be NULL) is the byte offset of the first fault.
 */
extern HdmsStatus hdms_json_check(const char *json, size_t len, size_t max_size, HdmsJsonKind *kind, size_t *error_at);

/*
 * The members of a checked object, or elements of a checked array, in source
 * order. *items is malloc'ed (NULL when count is 0). Checks the document itself
 * too, so may be called on unchecked bytes.
 */
extern HdmsStatus hdms_json_items(const char *json, size_t len, HdmsJsonItem **items, size_t *count);

/* The value of the member called name (unescaped comparison), or HDMS_BAD_FORMAT when there is none or json is no object. */
extern HdmsStatus hdms_json_member(const char *json, size_t len, const char *name, HdmsJsonItem *item);

/* Unescapes a string span with its quotes into malloc'ed UTF-8. May contain NUL bytes: use the length. */
extern HdmsStatus hdms_json_unescape(HdmsSpan string, HdmsBytes *out);

/* Writes text as a JSON string with quotes, malloc'ed; control characters escaped. Input must be UTF-8. */
extern HdmsStatus hdms_json_quote(const char *text, size_t len, char **quoted);

/* Whether a checked document has a member "_sd", "_sd_alg" or "..." at any depth (after unescaping). */
extern bool hdms_json_has_reserved(const char *json, size_t len);

/* The document without insignificant white space: what two spellings of one content are compared by. malloc'ed. */
extern HdmsStatus hdms_json_compact(const char *json, size_t len, HdmsBytes *out);

#endif
