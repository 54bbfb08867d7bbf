/*
 * json_string.h
 *		JSON strings within a source.  Internal to protocol/.
 */
#ifndef HDMS_JSON_STRING_H
#define HDMS_JSON_STRING_H

#include "json_scan.h"

/* A checked string, between its quotes. */
typedef struct HdmsJsonString
{
	const char *data;
	size_t		len;
	size_t		plain_len;		/* bytes after unescaping */
} HdmsJsonString;

/*
 * Checks the string whose opening quote is at *position, and steps over it; on failure *position is where the fault is.
 * HDMS_BAD_JSON, or HDMS_BAD_ENCODING for what is not UTF-8.
 */
extern HdmsStatus hdms_json_string_scan(const char **position, const char *end, HdmsJsonString *string);

/* Some total order of strings as they are after unescaping; 0 for the same. */
extern int	hdms_json_string_compare(const HdmsJsonString *a, const HdmsJsonString *b);

/* Whether a span with its quotes says plain after unescaping. False, at worst, for a span that was not checked. */
extern bool hdms_json_string_is(HdmsSpan span, const char *plain, size_t plain_len);

#endif
