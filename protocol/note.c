/*
 * note.c
 *		C2SP signed notes: splitting, key ids, signature lines.
 *
 * Nothing here says what a note means; checkpoint.c does. The whole note is checked
 * before any of it is used, also the lines of keys that nobody here knows, so that a
 * note that passed can be stored, shown and extended by a line.
 */
#include "note_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define EM_DASH			"\xe2\x80\x94 "
#define EM_DASH_SIZE	4
#define ED25519_SIZE	32

/* The code point of a well-formed sequence. */
static uint32_t
code_point(const unsigned char *at, size_t length)
{
	uint32_t	value = length == 1 ? at[0] : at[0] & (0xffu >> (length + 1));

	for (size_t i = 1; i < length; i++)
		value = value << 6 | (at[i] & 0x3f);
	return value;
}

/* Unicode's White_Space, beyond the control characters that a note cannot have anyway. */
static bool
is_space(uint32_t c)
{
	return c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
		c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Whether a key's name is well-formed UTF-8 without spaces, control characters and plus signs, and not empty. */
static bool
is_key_name(const char *name, size_t len)
{
	const unsigned char *at = (const unsigned char *) name;
	size_t		length;

	if (len == 0)
		return false;
	for (; len > 0; at += length, len -= length)
	{
		uint32_t	c;

		length = hdms_utf8_sequence(at, len);
		if (length == 0)
			return false;
		c = code_point(at, length);
		if (c < 0x20 || c == '+' || is_space(c))
			return false;
	}
	return true;
}

/* UTF-8, and no control character but the line feed. */
static HdmsStatus
check_characters(const char *note, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if ((unsigned char) note[i] < 0x20 && note[i] != '\n')
			return HDMS_BAD_ENCODING;
	}
	return hdms_is_utf8(note, len) ? HDMS_OK : HDMS_BAD_ENCODING;
}

/* One signature line, without its line feed. */
static HdmsStatus
read_line(const char *text, size_t len, HdmsNoteLine *line)
{
	const char *space;
	size_t		name_len;
	HdmsBytes	blob = {0};
	HdmsStatus	status;

	if (len <= EM_DASH_SIZE || memcmp(text, EM_DASH, EM_DASH_SIZE) != 0)
		return HDMS_BAD_FORMAT;
	text += EM_DASH_SIZE;
	len -= EM_DASH_SIZE;
	space = memchr(text, ' ', len);
	if (space == NULL)
		return HDMS_BAD_FORMAT;
	name_len = (size_t) (space - text);
	if (!is_key_name(text, name_len))
		return HDMS_BAD_FORMAT;
	status = hdms_base64_decode(space + 1, len - name_len - 1, &blob);
	if (status != HDMS_OK)
		return status;
	if (blob.len <= HDMS_NOTE_KEY_ID_SIZE)
	{
		hdms_bytes_free(&blob);
		return HDMS_BAD_FORMAT;
	}
	line->name = text;
	line->name_len = name_len;
	line->blob = blob;
	return HDMS_OK;
}

static bool
is_same_key(const HdmsNoteLine *line, const char *name, size_t name_len, const unsigned char *id)
{
	return line->name_len == name_len && memcmp(line->name, name, name_len) == 0 &&
		memcmp(line->blob.data, id, HDMS_NOTE_KEY_ID_SIZE) == 0;
}

HdmsStatus
hdms_note_split(const char *note, size_t len, HdmsNoteParts *parts)
{
	HdmsNoteParts result = {0};
	const char *end = note + len;
	const char *at;
	HdmsStatus	status;

	if (len > HDMS_NOTE_MAX)
		return HDMS_TOO_LARGE;
	status = check_characters(note, len);
	if (status != HDMS_OK)
		return status;
	if (len < 3 || end[-1] != '\n')
		return HDMS_BAD_FORMAT;

	/* The last empty line separates; the text keeps the line feed before it. */
	for (at = end - 2; at > note; at--)
	{
		if (at[0] == '\n' && at[-1] == '\n')
			break;
	}
	if (at == note)
		return HDMS_BAD_FORMAT;
	result.text = note;
	result.text_len = (size_t) (at - note);
	for (at++; at < end;)
	{
		const char *line_feed = memchr(at, '\n', (size_t) (end - at));
		HdmsNoteLine *line = &result.lines[result.count];

		status = result.count == HDMS_NOTE_MAX_SIGNATURES ? HDMS_TOO_LARGE : read_line(at, (size_t) (line_feed - at), line);
		if (status != HDMS_OK)
			goto cleanup;
		result.count++;
		for (int i = 0; i < result.count - 1; i++)
		{
			if (is_same_key(&result.lines[i], line->name, line->name_len, line->blob.data))
			{
				status = HDMS_BAD_FORMAT;
				goto cleanup;
			}
		}
		at = line_feed + 1;
	}
	status = result.count > 0 ? HDMS_OK : HDMS_BAD_FORMAT;

cleanup:
	if (status == HDMS_OK)
		*parts = result;
	else
		hdms_note_parts_free(&result);
	return status;
}

void
hdms_note_parts_free(HdmsNoteParts *parts)
{
	for (int i = 0; i < parts->count; i++)
		hdms_bytes_free(&parts->lines[i].blob);
	memset(parts, 0, sizeof(*parts));
}

HdmsStatus
hdms_note_find(const HdmsNoteParts *parts, const char *name, const unsigned char id[HDMS_NOTE_KEY_ID_SIZE],
			   const unsigned char **signature, size_t *len)
{
	for (int i = 0; i < parts->count; i++)
	{
		const HdmsNoteLine *line = &parts->lines[i];

		if (is_same_key(line, name, strlen(name), id))
		{
			*signature = line->blob.data + HDMS_NOTE_KEY_ID_SIZE;
			*len = line->blob.len - HDMS_NOTE_KEY_ID_SIZE;
			return HDMS_OK;
		}
	}
	return HDMS_BAD_SIGNATURE;
}

/* type || public key, as it is hashed into the id and printed in a vkey. */
static HdmsStatus
typed_public_key(const HdmsKey *key, unsigned char type, unsigned char out[1 + ED25519_SIZE])
{
	unsigned char raw[ED25519_SIZE];
	size_t		raw_len = sizeof(raw);

	if (hdms_key_type(key) != HDMS_KEY_ED25519)
		return HDMS_BAD_KEY;
	if (EVP_PKEY_get_raw_public_key(hdms_key_pkey(key), raw, &raw_len) != 1 || raw_len != sizeof(raw))
		return HDMS_CRYPTO_FAILED;
	out[0] = type;
	memcpy(out + 1, raw, sizeof(raw));
	return HDMS_OK;
}

HdmsStatus
hdms_note_key_id(const char *name, const HdmsKey *key, unsigned char type, unsigned char id[HDMS_NOTE_KEY_ID_SIZE])
{
	unsigned char tail[1 + 1 + ED25519_SIZE] = {'\n'};
	unsigned char digest[HDMS_DIGEST_SIZE];
	HdmsStatus	status;

	if (!is_key_name(name, strlen(name)))
		return HDMS_BAD_ARGUMENT;
	status = typed_public_key(key, type, tail + 1);
	if (status == HDMS_OK)
		status = hdms_sha256_pair(name, strlen(name), tail, sizeof(tail), digest);
	if (status == HDMS_OK)
		memcpy(id, digest, HDMS_NOTE_KEY_ID_SIZE);
	return status;
}

HdmsStatus
hdms_note_line(const char *name, const unsigned char id[HDMS_NOTE_KEY_ID_SIZE], const void *signature, size_t len, char **line)
{
	unsigned char *blob = NULL;
	char	   *encoded = NULL;
	char	   *result = NULL;
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (!is_key_name(name, strlen(name)))
		return HDMS_BAD_ARGUMENT;
	blob = malloc(HDMS_NOTE_KEY_ID_SIZE + len);
	if (blob == NULL)
		goto cleanup;
	memcpy(blob, id, HDMS_NOTE_KEY_ID_SIZE);
	memcpy(blob + HDMS_NOTE_KEY_ID_SIZE, signature, len);
	status = hdms_base64_encode(blob, HDMS_NOTE_KEY_ID_SIZE + len, &encoded);
	if (status != HDMS_OK)
		goto cleanup;
	if (asprintf(&result, EM_DASH "%s %s\n", name, encoded) < 0)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	*line = result;

cleanup:
	free(blob);
	free(encoded);
	return status;
}

HdmsStatus
hdms_note_number(const char *text, size_t len, uint64_t *number)
{
	uint64_t	result = 0;

	if (len == 0 || (len > 1 && text[0] == '0'))
		return HDMS_BAD_FORMAT;
	for (size_t i = 0; i < len; i++)
	{
		uint64_t	digit = (uint64_t) (text[i] - '0');

		if (text[i] < '0' || text[i] > '9' || result > (INT64_MAX - digit) / 10)
			return HDMS_BAD_FORMAT;
		result = result * 10 + digit;
	}
	*number = result;
	return HDMS_OK;
}

HdmsStatus
hdms_note_vkey(const char *name, const HdmsKey *key, int type, char **vkey)
{
	unsigned char id[HDMS_NOTE_KEY_ID_SIZE];
	unsigned char typed[1 + ED25519_SIZE];
	char	   *encoded = NULL;
	char	   *result = NULL;
	HdmsStatus	status;

	if (type != HDMS_NOTE_LOG && type != HDMS_NOTE_COSIGNATURE)
		return HDMS_BAD_ARGUMENT;
	status = hdms_note_key_id(name, key, (unsigned char) type, id);
	if (status == HDMS_OK)
		status = typed_public_key(key, (unsigned char) type, typed);
	if (status == HDMS_OK)
		status = hdms_base64_encode(typed, sizeof(typed), &encoded);
	if (status != HDMS_OK)
		return status;
	if (asprintf(&result, "%s+%02x%02x%02x%02x+%s", name, id[0], id[1], id[2], id[3], encoded) < 0)
		status = HDMS_OUT_OF_MEMORY;
	else
		*vkey = result;
	free(encoded);
	return status;
}
