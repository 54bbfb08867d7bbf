/*
 * text.c
 *		A text that grows while it is written.
 *
 * Outgrown buffers are wiped, because private keys are written with it too.
 */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "json_scan.h"

void
hdms_text_reserve(HdmsText *text, size_t len)
{
	size_t		capacity;
	char	   *data;

	if (text->status != HDMS_OK || len < text->capacity - text->len)
		return;
	if (len >= SIZE_MAX / 4 - text->len)
	{
		text->status = HDMS_TOO_LARGE;
		return;
	}
	capacity = text->len + len + 1;
	if (capacity < text->capacity * 2)
		capacity = text->capacity * 2;
	if (capacity < 256)
		capacity = 256;
	data = malloc(capacity);
	if (data == NULL)
	{
		text->status = HDMS_OUT_OF_MEMORY;
		return;
	}
	if (text->len > 0)
	{
		memcpy(data, text->data, text->len);
		OPENSSL_cleanse(text->data, text->len);
	}
	free(text->data);
	text->data = data;
	text->capacity = capacity;
}

void
hdms_text_add_bytes(HdmsText *text, const void *bytes, size_t len)
{
	hdms_text_reserve(text, len);
	if (text->status != HDMS_OK || len == 0)
		return;
	memcpy(text->data + text->len, bytes, len);
	text->len += len;
}

void
hdms_text_add(HdmsText *text, const char *string)
{
	hdms_text_add_bytes(text, string, strlen(string));
}

void
hdms_text_add_base64url(HdmsText *text, const void *bytes, size_t len)
{
	if (len > SIZE_MAX / 8)
	{
		text->status = HDMS_TOO_LARGE;
		return;
	}
	hdms_text_reserve(text, HDMS_BASE64URL_SIZE(len));
	if (text->status != HDMS_OK)
		return;
	hdms_base64url_write(bytes, len, text->data + text->len);
	text->len += HDMS_BASE64URL_SIZE(len) - 1;
}

void
hdms_text_add_integer(HdmsText *text, int64_t value)
{
	char		digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, value);
	hdms_text_add(text, digits);
}

void
hdms_text_add_json(HdmsText *text, const char *string)
{
	char	   *quoted = NULL;
	HdmsStatus	status;

	if (text->status != HDMS_OK)
		return;
	status = hdms_json_quote(string, strlen(string), &quoted);
	if (status != HDMS_OK)
	{
		text->status = status;
		return;
	}
	hdms_text_add(text, quoted);
	hdms_string_wipe(quoted);
}

HdmsStatus
hdms_text_take(HdmsText *text, char **result)
{
	hdms_text_reserve(text, 0);
	if (text->status != HDMS_OK)
	{
		HdmsStatus	status = text->status;

		hdms_text_wipe(text);
		return status;
	}
	text->data[text->len] = '\0';
	*result = text->data;
	*text = (HdmsText) {0};
	return HDMS_OK;
}

void
hdms_text_wipe(HdmsText *text)
{
	if (text->data != NULL)
		OPENSSL_cleanse(text->data, text->len);
	free(text->data);
	*text = (HdmsText) {0};
}
