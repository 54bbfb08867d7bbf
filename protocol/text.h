/*
 * text.h
 *		A text that grows while it is written.  Internal to protocol/.
 *
 * The first failure sticks: a writer adds piece after piece and looks at the
 * status once, in hdms_text_take().
 */
#ifndef HDMS_TEXT_H
#define HDMS_TEXT_H

#include "bytes.h"

typedef struct HdmsText
{
	char	   *data;
	size_t		len;
	size_t		capacity;
	HdmsStatus	status;
} HdmsText;

/* Makes room for len bytes more, so that adding them moves nothing. */
extern void hdms_text_reserve(HdmsText *text, size_t len);
extern void hdms_text_add(HdmsText *text, const char *string);
extern void hdms_text_add_bytes(HdmsText *text, const void *bytes, size_t len);
extern void hdms_text_add_base64url(HdmsText *text, const void *bytes, size_t len);
extern void hdms_text_add_integer(HdmsText *text, int64_t value);

/* As a JSON string with its quotes; the string must be UTF-8. */
extern void hdms_text_add_json(HdmsText *text, const char *string);

/* Hands the NUL-terminated text over; on failure frees it and leaves *result alone. */
extern HdmsStatus hdms_text_take(HdmsText *text, char **result);

/* Wipes and frees what was written. */
extern void hdms_text_wipe(HdmsText *text);

#endif
