/*
 * json_scan.c
 *		The strict JSON scanner for content: spans of the source bytes, never values.
 *
 * One pass of recursive descent, whose recursion the depth limit bounds.  The
 * member names of all open objects are on one stack; when an object closes, its
 * names are sorted and neighbours compared, so that a hostile object with a
 * hundred thousand names costs n log n and not n squared.  Strings are in
 * json_string.c.
 */
#include "json_scan.h"

#include <stdlib.h>
#include <string.h>

#include "json_string.h"

typedef struct Scanner
{
	const char *start;
	const char *at;
	const char *end;
	const char *fault;			/* where it went wrong, if not at "at" */
	int			depth;
	HdmsJsonString *names;		/* of all open objects, innermost last */
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

static int
compare_names(const void *left, const void *right)
{
	return hdms_json_string_compare(left, right);
}

/* Checks that the names from number base on differ, and drops them from the stack. */
static HdmsStatus
close_names(Scanner *scanner, size_t base)
{
	HdmsJsonString *names = scanner->names + base;
	const size_t count = scanner->name_count - base;
	const char *fault = NULL;

	scanner->name_count = base;
	if (count < 2)
		return HDMS_OK;
	qsort(names, count, sizeof(names[0]), compare_names);
	for (size_t i = 1; i < count; i++)
	{
		const char *later;

		if (hdms_json_string_compare(&names[i - 1], &names[i]) != 0)
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
push_name(Scanner *scanner, const HdmsJsonString *name)
{
	if (scanner->name_count == scanner->name_capacity)
	{
		const size_t capacity = scanner->name_capacity == 0 ? 64 : scanner->name_capacity * 2;
		HdmsJsonString *names = realloc(scanner->names, capacity * sizeof(HdmsJsonString));

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
		HdmsJsonString name;

		skip_space(scanner);
		if (is_object)
		{
			if (scanner->at >= scanner->end || *scanner->at != '"')
				return HDMS_BAD_JSON;
			status = hdms_json_string_scan(&scanner->at, scanner->end, &name);
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
	HdmsJsonString string;
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
			status = hdms_json_string_scan(&scanner->at, scanner->end, &string);
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
		if (hdms_json_string_is(items[i].name, name, name_len))
		{
			*item = items[i];
			status = HDMS_OK;
			break;
		}
	}
	free(items);
	return status;
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
			(hdms_json_string_is(string, "_sd", 3) || hdms_json_string_is(string, "_sd_alg", 7) ||
			 hdms_json_string_is(string, "...", 3)))
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
