/*
 * claims_read.c
 *		A quick reader for the JSON that nodes write.
 *
 * jansson reads byte by byte through a callback and checks each for UTF-8, which for bodies of several kB, mostly
 * base64url, was a tenth of what a node and a third of what the server computed. Here a string is found in one pass and copied
 * once. Nothing is judged here: on the first thing that is not plain the whole text is left to jansson.
 */
#include "claims_read.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LENGTH	63
#define MAX_DIGITS		18		/* always fit into json_int_t */

typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

static json_t *read_value(Reader *reader, int depth);

/* The next byte that is no white space; '\0' at the end. */
static char
look(Reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
		reader->at++;
	return reader->at < reader->end ? *reader->at : '\0';
}

static bool
take(Reader *reader, char wanted)
{
	if (look(reader) != wanted)
		return false;
	reader->at++;
	return true;
}

/* The byte that a letter after a backslash stands for; '\0' when it is not plain. */
static char
unescaped(char letter)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char bytes[] = "\"\\/\b\f\n\r\t";
	const char *found = letter == '\0' ? NULL : strchr(letters, letter);

	return found == NULL ? '\0' : bytes[found - letters];
}

/*
 * Steps over a string, whose opening quote was taken, and its closing quote. False when it is not plain.
 * *len: of what it stands for, which is not more than what is written.
 */
static bool
skip_string(Reader *reader, const char **start, size_t *len, bool *has_escapes)
{
	size_t		escapes = 0;

	*start = reader->at;
	for (; reader->at < reader->end && *reader->at != '"'; reader->at++)
	{
		unsigned char byte = (unsigned char) *reader->at;

		if (byte < 0x20 || byte > 0x7e)
			return false;
		if (byte != '\\')
			continue;
		escapes++;
		reader->at++;
		if (reader->at == reader->end || unescaped(*reader->at) == '\0')
			return false;
	}
	if (reader->at == reader->end)
		return false;
	*len = (size_t) (reader->at - *start) - escapes;
	*has_escapes = escapes > 0;
	reader->at++;
	return true;
}

static json_t *
read_string(Reader *reader)
{
	const char *start;
	size_t		len;
	bool		has_escapes;
	char	   *text;
	json_t	   *string;

	if (!skip_string(reader, &start, &len, &has_escapes))
		return NULL;
	if (!has_escapes)
		return json_stringn_nocheck(start, len);
	text = malloc(len);
	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++, start++)
		text[i] = *start == '\\' ? unescaped(*++start) : *start;
	string = json_stringn_nocheck(text, len);
	free(text);
	return string;
}

static json_t *
read_integer(Reader *reader)
{
	bool		is_negative = *reader->at == '-';
	json_int_t	value = 0;
	const char *first;

	if (is_negative)
		reader->at++;
	first = reader->at;
	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9' && reader->at - first < MAX_DIGITS)
		value = value * 10 + (*reader->at++ - '0');
	if (reader->at == first || (*first == '0' && (is_negative || reader->at - first > 1)))
		return NULL;

	/* More digits, a fraction or an exponent: not here. */
	if (reader->at < reader->end && strchr(",]} \n\r\t", *reader->at) == NULL)
		return NULL;
	return json_integer(is_negative ? -value : value);
}

static json_t *
read_word(Reader *reader, const char *word, json_t *value)
{
	size_t		len = strlen(word);

	if ((size_t) (reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
		return NULL;
	reader->at += len;
	return value;
}

/* One member, added to the object. */
static bool
read_member(Reader *reader, int depth, json_t *object)
{
	char		name[NAME_MAX_LENGTH + 1];
	const char *start;
	size_t		len;
	bool		has_escapes;
	json_t	   *value;

	if (!take(reader, '"') || !skip_string(reader, &start, &len, &has_escapes) || has_escapes || len == 0 || len > NAME_MAX_LENGTH)
		return false;
	memcpy(name, start, len);
	name[len] = '\0';
	if (json_object_get(object, name) != NULL || !take(reader, ':'))
		return false;
	value = read_value(reader, depth);
	return value != NULL && json_object_set_new_nocheck(object, name, value) == 0;
}

static bool
read_element(Reader *reader, int depth, json_t *array)
{
	json_t	   *value = read_value(reader, depth);

	return value != NULL && json_array_append_new(array, value) == 0;
}

/* An object or an array, whose opening bracket was taken. depth: how many are around its members. */
static json_t *
read_members(Reader *reader, int depth, bool is_object)
{
	json_t	   *value = is_object ? json_pack("{}") : json_array();
	char		close = is_object ? '}' : ']';

	if (value == NULL || take(reader, close))
		return value;
	do
	{
		if (!(is_object ? read_member(reader, depth, value) : read_element(reader, depth, value)))
		{
			json_decref(value);
			return NULL;
		}
	} while (take(reader, ','));
	if (take(reader, close))
		return value;
	json_decref(value);
	return NULL;
}

/* depth: how many objects and arrays are around the value. */
static json_t *
read_value(Reader *reader, int depth)
{
	switch (look(reader))
	{
		case '"':
			reader->at++;
			return read_string(reader);
		case '{':
		case '[':
			if (depth >= CLAIMS_MAX_DEPTH)
				return NULL;
			return read_members(reader, depth + 1, *reader->at++ == '{');
		case 't':
			return read_word(reader, "true", json_true());
		case 'f':
			return read_word(reader, "false", json_false());
		case 'n':
			return read_word(reader, "null", json_null());
		case '-':
		case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
			return read_integer(reader);
		default:
			return NULL;
	}
}

json_t *
hdms_claims_read(const char *json, size_t len)
{
	Reader		reader = {json, json + len};
	json_t	   *value;

	if (look(&reader) != '{')
		return NULL;
	value = read_value(&reader, 0);
	if (value == NULL)
		return NULL;
	look(&reader);
	if (reader.at == reader.end)
		return value;
	json_decref(value);
	return NULL;
}
