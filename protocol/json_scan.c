/*
 * json_scan.c
 *		The strict JSON scanner for content: spans of the source bytes, never values.
 *
 * One pass of recursive descent, whose recursion the depth limit bounds.  The
 * member names of all open objects are on one stack; when an object closes, its
 * names are sorted and neighbours compared, so that a hostile object with a
 * hundred thousand names costs n log n and not n squared.
 */
#include "json_scan.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* A member name between its quotes. */
typedef struct Name
{
	const char *data;
	size_t		len;
	size_t		plain_len;		/* bytes after unescaping */
} Name;

typedef struct Scanner
{
	const char *start;
	const char *at;
	const char *end;
	const char *fault;			/* where it went wrong, if not at "at" */
	int			depth;
	Name	   *names;			/* of all open objects, innermost last */
	size_t		name_count;
	size_t		name_capacity;
	bool		collect;		/* fill items */
	HdmsJsonItem *items;		/* of the outermost object or array */
	size_t		item_count;
	size_t		item_capacity;
} Scanner;

static HdmsStatus scan_value(Scanner *scanner, HdmsJsonItem *item);

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
skip_space(Scanner *scanner)
{
	while (scanner->at < scanner->end && is_space(*scanner->at))
		scanner->at++;
}

/* Whether the next byte is c; if so, steps over it. */
static bool
take(Scanner *scanner, char c)
{
	if (scanner->at >= scanner->end || *scanner->at != c)
		return false;
	scanner->at++;
	return true;
}

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

/* Steps over a string; the position is at its opening quote. */
static HdmsStatus
scan_string(Scanner *scanner, Name *name)
{
	const char *at = scanner->at + 1;
	const char *first = at;
	size_t		plain_len = 0;
	unsigned char plain[4];
	size_t		step;

	for (;;)
	{
		unsigned char c;

		if (at >= scanner->end)
		{
			scanner->at = at;
			return HDMS_BAD_JSON;
		}
		c = (unsigned char) *at;
		if (c == '"')
			break;
		if (c == '\\')
		{
			if (!read_escape(&at, scanner->end, plain, &step))
			{
				scanner->at = at;
				return HDMS_BAD_JSON;
			}
			plain_len += step;
			continue;
		}
		if (c < 0x20)
		{
			scanner->at = at;
			return HDMS_BAD_JSON;
		}
		step = hdms_utf8_sequence((const unsigned char *) at, (size_t) (scanner->end - at));
		if (step == 0)
		{
			scanner->at = at;
			return HDMS_BAD_ENCODING;
		}
		plain_len += step;
		at += step;
	}
	if (name != NULL)
	{
		name->data = first;
		name->len = (size_t) (at - first);
		name->plain_len = plain_len;
	}
	scanner->at = at + 1;
	return HDMS_OK;
}

/* Steps over at least one digit. */
static bool
scan_digits(Scanner *scanner)
{
	const char *first = scanner->at;

	while (scanner->at < scanner->end && is_digit(*scanner->at))
		scanner->at++;
	return scanner->at > first;
}

static HdmsStatus
scan_number(Scanner *scanner)
{
	take(scanner, '-');
	if (!take(scanner, '0') && !scan_digits(scanner))
		return HDMS_BAD_JSON;
	if (take(scanner, '.') && !scan_digits(scanner))
		return HDMS_BAD_JSON;
	if (take(scanner, 'e') || take(scanner, 'E'))
	{
		if (!take(scanner, '+'))
			take(scanner, '-');
		if (!scan_digits(scanner))
			return HDMS_BAD_JSON;
	}
	return HDMS_OK;
}

static HdmsStatus
scan_word(Scanner *scanner, const char *word)
{
	for (; *word != '\0'; word++)
	{
		if (!take(scanner, *word))
			return HDMS_BAD_JSON;
	}
	return HDMS_OK;
}

/* The next byte of a name after unescaping; pending holds the rest of an escape that stands for several. */
typedef struct NameReader
{
	const char *at;
	const char *end;
	unsigned char pending[4];
	size_t		pending_len;
	size_t		pending_at;
} NameReader;

static unsigned char
read_name_byte(NameReader *reader)
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

/* Some total order of names as they are after unescaping; 0 for the same. */
static int
compare_names(const void *left, const void *right)
{
	const Name *a = left;
	const Name *b = right;
	NameReader	a_reader;
	NameReader	b_reader;

	if (a->plain_len != b->plain_len)
		return a->plain_len < b->plain_len ? -1 : 1;
	if (a->len == a->plain_len && b->len == b->plain_len)
		return memcmp(a->data, b->data, a->len);
	a_reader = (NameReader) {.at = a->data, .end = a->data + a->len};
	b_reader = (NameReader) {.at = b->data, .end = b->data + b->len};
	for (size_t i = 0; i < a->plain_len; i++)
	{
		const unsigned char a_byte = read_name_byte(&a_reader);
		const unsigned char b_byte = read_name_byte(&b_reader);

		if (a_byte != b_byte)
			return a_byte < b_byte ? -1 : 1;
	}
	return 0;
}

/* Checks that the names from number base on differ, and drops them from the stack. */
static HdmsStatus
close_names(Scanner *scanner, size_t base)
{
	Name	   *names = scanner->names + base;
	const size_t count = scanner->name_count - base;
	const char *fault = NULL;

	scanner->name_count = base;
	if (count < 2)
		return HDMS_OK;
	qsort(names, count, sizeof(Name), compare_names);
	for (size_t i = 1; i < count; i++)
	{
		const char *later;

		if (compare_names(&names[i - 1], &names[i]) != 0)
			continue;
		later = names[i].data > names[i - 1].data ? names[i].data : names[i - 1].data;
		if (fault == NULL || later < fault)
			fault = later;
	}
	if (fault == NULL)
		return HDMS_OK;
	scanner->fault = fault - 1;
	return HDMS_BAD_JSON;
}

static HdmsStatus
push_name(Scanner *scanner, const Name *name)
{
	if (scanner->name_count == scanner->name_capacity)
	{
		const size_t capacity = scanner->name_capacity == 0 ? 64 : scanner->name_capacity * 2;
		Name	   *names = realloc(scanner->names, capacity * sizeof(Name));

		if (names == NULL)
			return HDMS_OUT_OF_MEMORY;
		scanner->names = names;
		scanner->name_capacity = capacity;
	}
	scanner->names[scanner->name_count++] = *name;
	return HDMS_OK;
}

static HdmsStatus
push_item(Scanner *scanner, const HdmsJsonItem *item)
{
	if (scanner->item_count == scanner->item_capacity)
	{
		const size_t capacity = scanner->item_capacity == 0 ? 16 : scanner->item_capacity * 2;
		HdmsJsonItem *items = realloc(scanner->items, capacity * sizeof(HdmsJsonItem));

		if (items == NULL)
			return HDMS_OUT_OF_MEMORY;
		scanner->items = items;
		scanner->item_capacity = capacity;
	}
	scanner->items[scanner->item_count++] = *item;
	return HDMS_OK;
}

/* Steps over an object or array; the position is after its opening bracket. */
static HdmsStatus
scan_container(Scanner *scanner, bool is_object)
{
	const char	closing = is_object ? '}' : ']';
	const size_t base = scanner->name_count;
	HdmsStatus	status;

	skip_space(scanner);
	if (take(scanner, closing))
		return HDMS_OK;
	do
	{
		HdmsJsonItem item = {0};
		Name		name;

		skip_space(scanner);
		if (is_object)
		{
			if (scanner->at >= scanner->end || *scanner->at != '"')
				return HDMS_BAD_JSON;
			status = scan_string(scanner, &name);
			if (status == HDMS_OK)
				status = push_name(scanner, &name);
			if (status != HDMS_OK)
				return status;
			item.name = (HdmsSpan) {name.data - 1, name.len + 2};
			skip_space(scanner);
			if (!take(scanner, ':'))
				return HDMS_BAD_JSON;
			skip_space(scanner);
		}
		status = scan_value(scanner, &item);
		if (status == HDMS_OK && scanner->collect && scanner->depth == 1)
			status = push_item(scanner, &item);
		if (status != HDMS_OK)
			return status;
		skip_space(scanner);
	}
	while (take(scanner, ','));
	if (!take(scanner, closing))
		return HDMS_BAD_JSON;
	return is_object ? close_names(scanner, base) : HDMS_OK;
}

/* Steps over a value, filling the item's value and kind. */
static HdmsStatus
scan_value(Scanner *scanner, HdmsJsonItem *item)
{
	const char *first = scanner->at;
	HdmsStatus	status;

	if (scanner->at >= scanner->end)
		return HDMS_BAD_JSON;
	switch (*scanner->at)
	{
		case '{':
		case '[':
			item->kind = *first == '{' ? HDMS_JSON_OBJECT : HDMS_JSON_ARRAY;
			if (scanner->depth >= HDMS_JSON_MAX_DEPTH)
				return HDMS_TOO_LARGE;
			scanner->at++;
			scanner->depth++;
			status = scan_container(scanner, *first == '{');
			scanner->depth--;
			break;
		case '"':
			item->kind = HDMS_JSON_STRING;
			status = scan_string(scanner, NULL);
			break;
		case 't':
			item->kind = HDMS_JSON_TRUE;
			status = scan_word(scanner, "true");
			break;
		case 'f':
			item->kind = HDMS_JSON_FALSE;
			status = scan_word(scanner, "false");
			break;
		case 'n':
			item->kind = HDMS_JSON_NULL;
			status = scan_word(scanner, "null");
			break;
		default:
			item->kind = HDMS_JSON_NUMBER;
			status = scan_number(scanner);
			break;
	}
	item->value = (HdmsSpan) {first, (size_t) (scanner->at - first)};
	return status;
}

/* Scans a whole document; the caller frees the scanner's items. */
static HdmsStatus
scan_document(Scanner *scanner, const char *json, size_t len, HdmsJsonItem *whole)
{
	HdmsStatus	status;

	scanner->start = scanner->at = json;
	scanner->end = json + len;
	skip_space(scanner);
	status = scan_value(scanner, whole);
	if (status == HDMS_OK)
	{
		skip_space(scanner);
		if (scanner->at < scanner->end)
			status = HDMS_BAD_JSON;
	}
	free(scanner->names);
	scanner->names = NULL;
	return status;
}

HdmsStatus
hdms_json_check(const char *json, size_t len, size_t max_size, HdmsJsonKind *kind, size_t *error_at)
{
	Scanner		scanner = {0};
	HdmsJsonItem whole = {0};
	HdmsStatus	status;

	if (len > max_size)
	{
		if (error_at != NULL)
			*error_at = max_size;
		return HDMS_TOO_LARGE;
	}
	status = scan_document(&scanner, json == NULL ? "" : json, len, &whole);
	if (status == HDMS_OK)
	{
		if (kind != NULL)
			*kind = whole.kind;
	}
	else if (error_at != NULL)
		*error_at = (size_t) ((scanner.fault != NULL ? scanner.fault : scanner.at) - scanner.start);
	return status;
}

/* hdms_json_items() that tells the kind too. */
static HdmsStatus
collect_items(const char *json, size_t len, HdmsJsonItem **items, size_t *count, HdmsJsonKind *kind)
{
	Scanner		scanner = {.collect = true};
	HdmsJsonItem whole = {0};
	HdmsStatus	status = scan_document(&scanner, json == NULL ? "" : json, len, &whole);

	if (status == HDMS_OK && whole.kind != HDMS_JSON_OBJECT && whole.kind != HDMS_JSON_ARRAY)
		status = HDMS_BAD_FORMAT;
	if (status != HDMS_OK)
	{
		free(scanner.items);
		return status;
	}
	*items = scanner.items;
	*count = scanner.item_count;
	*kind = whole.kind;
	return HDMS_OK;
}

HdmsStatus
hdms_json_items(const char *json, size_t len, HdmsJsonItem **items, size_t *count)
{
	HdmsJsonKind kind;

	return collect_items(json, len, items, count, &kind);
}

/* Whether a name span with its quotes says plain after unescaping. */
static bool
name_is(HdmsSpan span, const char *plain, size_t plain_len)
{
	NameReader	reader = {.at = span.data + 1, .end = span.data + span.len - 1};

	if (memchr(span.data, '\\', span.len) == NULL)
		return span.len - 2 == plain_len && memcmp(span.data + 1, plain, plain_len) == 0;
	for (size_t i = 0; i < plain_len; i++)
	{
		if (reader.at >= reader.end && reader.pending_at >= reader.pending_len)
			return false;
		if (read_name_byte(&reader) != (unsigned char) plain[i])
			return false;
	}
	return reader.at >= reader.end && reader.pending_at >= reader.pending_len;
}

HdmsStatus
hdms_json_member(const char *json, size_t len, const char *name, HdmsJsonItem *item)
{
	const size_t name_len = strlen(name);
	HdmsJsonItem *items = NULL;
	HdmsJsonKind kind;
	size_t		count = 0;
	HdmsStatus	status = collect_items(json, len, &items, &count, &kind);

	if (status != HDMS_OK)
		return status;
	status = HDMS_BAD_FORMAT;
	for (size_t i = 0; kind == HDMS_JSON_OBJECT && i < count; i++)
	{
		if (name_is(items[i].name, name, name_len))
		{
			*item = items[i];
			status = HDMS_OK;
			break;
		}
	}
	free(items);
	return status;
}

HdmsStatus
hdms_json_unescape(HdmsSpan string, HdmsBytes *out)
{
	Scanner		scanner = {.start = string.data, .at = string.data, .end = string.data + string.len};
	unsigned char *result;
	unsigned char *to;
	const char *from;
	const char *end;
	Name		name;
	HdmsStatus	status;
	size_t		step;

	if (string.len < 2 || string.data[0] != '"')
		return HDMS_BAD_JSON;
	status = scan_string(&scanner, &name);
	if (status != HDMS_OK)
		return status;
	if (scanner.at != scanner.end)
		return HDMS_BAD_JSON;
	result = malloc(name.plain_len + 1);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	to = result;
	from = name.data;
	end = name.data + name.len;
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
	out->len = name.plain_len;
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

/* The end of the string whose opening quote is at "at", one past its closing quote, or end. */
static const char *
skip_string(const char *at, const char *end)
{
	for (at++; at < end; at++)
	{
		if (*at == '\\')
			at++;
		else if (*at == '"')
			return at + 1;
	}
	return end;
}

bool
hdms_json_has_reserved(const char *json, size_t len)
{
	const char *at = json;
	const char *end = json + len;

	while (at < end)
	{
		HdmsSpan	string;
		const char *after;

		if (*at != '"')
		{
			at++;
			continue;
		}
		after = skip_string(at, end);
		string = (HdmsSpan) {at, (size_t) (after - at)};
		while (after < end && is_space(*after))
			after++;
		if (after < end && *after == ':' &&
			(name_is(string, "_sd", 3) || name_is(string, "_sd_alg", 7) || name_is(string, "...", 3)))
			return true;
		at = after;
	}
	return false;
}

HdmsStatus
hdms_json_compact(const char *json, size_t len, HdmsBytes *out)
{
	HdmsStatus	status = hdms_json_check(json, len, SIZE_MAX, NULL, NULL);
	const char *at = json;
	const char *end = json + len;
	unsigned char *result;
	unsigned char *to;

	if (status != HDMS_OK)
		return status;
	result = malloc(len + 1);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	to = result;
	while (at < end)
	{
		if (*at == '"')
		{
			const char *after = skip_string(at, end);

			memcpy(to, at, (size_t) (after - at));
			to += after - at;
			at = after;
		}
		else if (is_space(*at))
			at++;
		else
			*to++ = (unsigned char) *at++;
	}
	*to = '\0';
	out->data = result;
	out->len = (size_t) (to - result);
	return HDMS_OK;
}
