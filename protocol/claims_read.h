/*
 * claims_read.h
 *		A quick reader for the JSON that nodes write.
 */
#ifndef HDMS_CLAIMS_READ_H
#define HDMS_CLAIMS_READ_H

#include <jansson.h>

#define CLAIMS_MAX_DEPTH 32

/*
 * The object, or NULL when the text is anything but plain: that is not to say that it is wrong. Plain is an object of
 * plain values: objects and arrays within CLAIMS_MAX_DEPTH, strings of ASCII without \u escapes, integers, true, false and null, and no
 * member twice. All that is plain jansson accepts, too, with the same result.
 */
extern json_t *hdms_claims_read(const char *json, size_t len);

#endif
