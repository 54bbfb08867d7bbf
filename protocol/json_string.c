/*
 * json_string.c
 *		JSON strings: their escapes, comparing them by what they mean, unescaping and quoting.
 */
#include "json_string.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Four hexadecimal digits; -1 when they are not. */
static long
read_hex4(const char *at, const char *end)
{
	long		value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		const int	digit = hex_value(at[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* Writes a code point as UTF-8; returns 1 to 4 bytes. */
static size_t
write_utf8(unsigned long code, unsigned char out[4])
{
	if (code < 0x80)
	{
		out[0] = (unsigned char) code;
		return 1;
	}
	if (code < 0x800)
	{
		out[0] = (unsigned char) (0xc0 | code >> 6);
		out[1] = (unsigned char) (0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000)
	{
		out[0] = (unsigned char) (0xe0 | code >> 12);
		out[1] = (unsigned char) (0x80 | (code >> 6 & 0x3f));
		out[2] = (unsigned char) (0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (unsigned char) (0xf0 | code >> 18);
	out[1] = (unsigned char) (0x80 | (code >> 12 & 0x3f));
	out[2] = (unsigned char) (0x80 | (code >> 6 & 0x3f));
	out[3] = (unsigned char) (0x80 | (code & 0x3f));
	return 4;
}

/*
 * Reads the escape whose backslash is at *at: gives the bytes it stands for and
 * steps over it.  False when it is none, or half of a surrogate pair.
 */
static bool
read_escape(const char **at, const char *end, unsigned char out[4], size_t *out_len)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	long		code;
	long		low;

	if (end - *at < 2)
		return false;
	if ((*at)[1] != 'u')
	{
		letter = (*at)[1] == '\0' ? NULL : strchr(letters, (*at)[1]);
		if (letter == NULL)
			return false;
		out[0] = (unsigned char) meanings[letter - letters];
		*out_len = 1;
		*at += 2;
		return true;
	}
	code = read_hex4(*at + 2, end);
	if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
		return false;
	if (code >= 0xd800 && code <= 0xdbff)
	{
		if (end - *at < 12 || (*at)[6] != '\\' || (*at)[7] != 'u')
			return false;
		low = read_hex4(*at + 8, end);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		*at += 6;
	}
	*at += 6;
	*out_len = write_utf8((unsigned long) code, out);
	return true;
}

HdmsStatus
hdms_json_string_scan(const char **position, const char *end, HdmsJsonString *string)
{
	const char *at = *position + 1;
	const char *first = at;
	size_t		plain_len = 0;
	unsigned char plain[4];
	size_t		step;

	for (;;)
	{
		unsigned char c;

		if (at >= end)
		{
			*position = at;
			return HDMS_BAD_JSON;
		}
		c = (unsigned char) *at;
		if (c == '"')
			break;
		if (c == '\\')
		{
			if (!read_escape(&at, end, plain, &step))
			{
				*position = at;
				return HDMS_BAD_JSON;
			}
			plain_len += step;
			continue;
		}
		if (c < 0x20)
		{
			*position = at;
			return HDMS_BAD_JSON;
		}
		step = hdms_utf8_sequence((const unsigned char *) at, (size_t) (end - at));
		if (step == 0)
		{
			*position = at;
			return HDMS_BAD_ENCODING;
		}
		plain_len += step;
		at += step;
	}
	string->data = first;
	string->len = (size_t) (at - first);
	string->plain_len = plain_len;
	*position = at + 1;
	return HDMS_OK;
}

/* The next byte of a string after unescaping; pending holds the rest of an escape that stands for several. */
typedef struct PlainReader
{
	const char *at;
	const char *end;
	unsigned char pending[4];
	size_t		pending_len;
	size_t		pending_at;
} PlainReader;

static unsigned char
read_plain_byte(PlainReader *reader)
{
	if (reader->pending_at >= reader->pending_len)
	{
		if (*reader->at != '\\')
			return (unsigned char) *reader->at++;
		reader->pending_at = 0;
		read_escape(&reader->at, reader->end, reader->pending, &reader->pending_len);
	}
	return reader->pending[reader->pending_at++];
}

int
hdms_json_string_compare(const HdmsJsonString *a, const HdmsJsonString *b)
{
	PlainReader	a_reader;
	PlainReader	b_reader;

	if (a->plain_len != b->plain_len)
		return a->plain_len < b->plain_len ? -1 : 1;
	if (a->len == a->plain_len && b->len == b->plain_len)
		return memcmp(a->data, b->data, a->len);
	a_reader = (PlainReader) {.at = a->data, .end = a->data + a->len};
	b_reader = (PlainReader) {.at = b->data, .end = b->data + b->len};
	for (size_t i = 0; i < a->plain_len; i++)
	{
		const unsigned char a_byte = read_plain_byte(&a_reader);
		const unsigned char b_byte = read_plain_byte(&b_reader);

		if (a_byte != b_byte)
			return a_byte < b_byte ? -1 : 1;
	}
	return 0;
}

bool
hdms_json_string_is(HdmsSpan span, const char *plain, size_t plain_len)
{
	PlainReader	reader = {.at = span.data + 1, .end = span.data + span.len - 1};

	if (memchr(span.data, '\\', span.len) == NULL)
		return span.len - 2 == plain_len && memcmp(span.data + 1, plain, plain_len) == 0;
	for (size_t i = 0; i < plain_len; i++)
	{
		if (reader.at >= reader.end && reader.pending_at >= reader.pending_len)
			return false;
		if (read_plain_byte(&reader) != (unsigned char) plain[i])
			return false;
	}
	return reader.at >= reader.end && reader.pending_at >= reader.pending_len;
}

HdmsStatus
hdms_json_unescape(HdmsSpan string, HdmsBytes *out)
{
	unsigned char *result;
	unsigned char *to;
	const char *from = string.data;
	const char *end;
	HdmsJsonString between;
	HdmsStatus	status;
	size_t		step;

	if (string.len < 2 || string.data[0] != '"')
		return HDMS_BAD_JSON;
	status = hdms_json_string_scan(&from, string.data + string.len, &between);
	if (status != HDMS_OK)
		return status;
	if (from != string.data + string.len)
		return HDMS_BAD_JSON;
	result = malloc(between.plain_len + 1);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	to = result;
	from = between.data;
	end = between.data + between.len;
	while (from < end)
	{
		unsigned char plain[4];

		if (*from != '\\')
			*to++ = (unsigned char) *from++;
		else
		{
			if (!read_escape(&from, end, plain, &step))
			{
				free(result);
				return HDMS_BAD_JSON;
			}
			memcpy(to, plain, step);
			to += step;
		}
	}
	*to = '\0';
	out->data = result;
	out->len = between.plain_len;
	return HDMS_OK;
}

HdmsStatus
hdms_json_quote(const char *text, size_t len, char **quoted)
{
	static const char hex[] = "0123456789abcdef";
	char	   *result;
	char	   *to;

	if (!hdms_is_utf8(text, len))
		return HDMS_BAD_ENCODING;
	if (len > (SIZE_MAX - 3) / 6)
		return HDMS_TOO_LARGE;
	result = malloc(len * 6 + 3);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	to = result;
	*to++ = '"';
	for (size_t i = 0; i < len; i++)
	{
		const unsigned char c = (unsigned char) text[i];

		if (c == '"' || c == '\\')
		{
			*to++ = '\\';
			*to++ = (char) c;
		}
		else if (c < 0x20)
		{
			memcpy(to, "\\u00", 4);
			to[4] = hex[c >> 4];
			to[5] = hex[c & 0x0f];
			to += 6;
		}
		else
			*to++ = (char) c;
	}
	*to++ = '"';
	*to = '\0';
	*quoted = result;
	return HDMS_OK;
}
