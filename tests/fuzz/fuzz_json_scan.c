/*
 * fuzz_json_scan.c
 *		Any bytes as content: no crash, and never more lenient than jansson.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "json_scan.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted compacts to itself after the first time. */
static void
check_compact(const char *json, size_t len)
{
	HdmsBytes	once = {0};
	HdmsBytes	twice = {0};

	if (hdms_json_compact(json, len, &once) != HDMS_OK ||
		hdms_json_compact((const char *) once.data, once.len, &twice) != HDMS_OK ||
		once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0 ||
		hdms_json_has_reserved(json, len) != hdms_json_has_reserved((const char *) once.data, once.len))
		abort();
	hdms_bytes_free(&once);
	hdms_bytes_free(&twice);
}

/* A string means the same after it was unescaped and quoted again. */
static void
check_string(HdmsSpan string)
{
	HdmsBytes	plain = {0};
	HdmsBytes	again = {0};
	char	   *quoted = NULL;

	if (hdms_json_unescape(string, &plain) != HDMS_OK ||
		hdms_json_quote((const char *) plain.data, plain.len, &quoted) != HDMS_OK ||
		hdms_json_unescape((HdmsSpan) {quoted, strlen(quoted)}, &again) != HDMS_OK ||
		plain.len != again.len || memcmp(plain.data, again.data, plain.len) != 0)
		abort();
	hdms_bytes_free(&plain);
	hdms_bytes_free(&again);
	free(quoted);
}

/* Each item is where its spans say, and is a document by itself. */
static void
check_items(const char *json, size_t len)
{
	HdmsJsonItem *items = NULL;
	size_t		count = 0;

	if (hdms_json_items(json, len, &items, &count) != HDMS_OK)
		return;
	for (size_t i = 0; i < count; i++)
	{
		HdmsJsonKind kind;

		if (items[i].value.data < json || items[i].value.data + items[i].value.len > json + len ||
			hdms_json_check(items[i].value.data, items[i].value.len, SIZE_MAX, &kind, NULL) != HDMS_OK || kind != items[i].kind)
			abort();
		if (kind == HDMS_JSON_STRING)
			check_string(items[i].value);
		if (items[i].name.len > 0)
			check_string(items[i].name);
	}
	free(items);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *) data;
	HdmsJsonItem item;
	HdmsBytes	out = {0};
	size_t		at = 0;
	HdmsStatus	status = hdms_json_check(json, size, SIZE_MAX, NULL, &at);

	if (status == HDMS_OK)
	{
		check_compact(json, size);
		check_items(json, size);
		hdms_json_member(json, size, "a", &item);
	}
	else if (at > size)
		abort();
	else if (status != HDMS_TOO_LARGE && memchr(json, '\0', size) == NULL)
	{
		/* jansson would step over a NUL byte that follows a number. */
		json_t	   *value = json_loadb(json, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);

		if (value != NULL)
			abort();
	}
	hdms_json_has_reserved(json, size);
	if (hdms_json_unescape((HdmsSpan) {json, size}, &out) == HDMS_OK)
		hdms_bytes_free(&out);
	return 0;
}
