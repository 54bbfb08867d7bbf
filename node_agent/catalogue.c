/*
 * catalogue.c
 *		The index in memory.
 *
 * Contents stay on disk; a list needs only type, date and a label, some 100 bytes for each version. They are sealed in the version's row, so that
 * unlocking reads one table and no content.
 */
#include "catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"

#define LABEL_MAX	80			/* bytes */
#define TYPES_MAX	1000

struct Catalogue
{
	CatalogueEntry *entries;
	size_t		count;
	size_t		size;
	char	   *types[TYPES_MAX];	/* each once */
	int			type_count;
	bool		in_doubt;
};

static void
entries_clear(Catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++)
	{
		if (catalogue->entries[i].label != NULL)
			hdms_string_wipe(catalogue->entries[i].label);
	}
	catalogue->count = 0;
}

void
catalogue_free(Catalogue *catalogue)
{
	if (catalogue == NULL)
		return;
	entries_clear(catalogue);
	for (int i = 0; i < catalogue->type_count; i++)
		free(catalogue->types[i]);
	free(catalogue->entries);
	free(catalogue);
}

static int
type_number(Catalogue *catalogue, const char *type)
{
	for (int i = 0; i < catalogue->type_count; i++)
		if (strcmp(catalogue->types[i], type) == 0)
			return i;
	if (catalogue->type_count == TYPES_MAX)
		return TYPES_MAX - 1;
	catalogue->types[catalogue->type_count] = strdup(type);
	return catalogue->types[catalogue->type_count] ? catalogue->type_count++ : -1;
}

const char *
catalogue_type(const HdmsHome *home, const CatalogueEntry *entry)
{
	return home->catalogue->types[entry->type];
}

/* The members of a content, scanned once. */
typedef struct Members
{
	HdmsJsonItem *items;
	size_t		count;
} Members;

/* The value of a top-level member; names in labels and dates need no escapes, so spelling decides. */
static HdmsSpan
member_value(const Members *members, const char *name)
{
	HdmsSpan	none = {NULL, 0};
	size_t		len = strlen(name);

	for (size_t i = 0; i < members->count; i++)
		if (members->items[i].name.len == len + 2 && memcmp(members->items[i].name.data + 1, name, len) == 0)
			return members->items[i].value;
	return none;
}

/* The first element of an array, or the member of an object; an empty span when there is none. */
static HdmsSpan
value_inside(HdmsSpan value, const char *step)
{
	HdmsSpan	none = {NULL, 0};
	HdmsJsonItem *items = NULL;
	HdmsJsonItem item;
	size_t		count = 0;

	if (strcmp(step, "0") != 0)
		return hdms_json_member(value.data, value.len, step, &item) == HDMS_OK ? item.value : none;
	if (value.data[0] == '[' && hdms_json_items(value.data, value.len, &items, &count) == HDMS_OK && count > 0)
		none = items[0].value;
	free(items);
	return none;
}

/* The string at a path of member names ("0" is the first element of an array), or an empty result. */
static HdmsBytes
string_at(const Members *members, const char *const *path)
{
	HdmsBytes	text = {0};
	HdmsSpan	here = member_value(members, *path);

	while (here.len > 0 && *++path != NULL)
		here = value_inside(here, *path);
	if (here.len > 0 && here.data[0] == '"')
		(void) hdms_json_unescape(here, &text);
	return text;
}

static HdmsBytes
first_string(const Members *members, const char *const (*paths)[5], size_t count)
{
	HdmsBytes	text = {0};

	for (size_t i = 0; i < count && text.len == 0; i++)
	{
		hdms_bytes_free(&text);
		text = string_at(members, paths[i]);
	}
	return text;
}

/* At most max bytes, whole characters, no control characters. */
static void
text_shorten(HdmsBytes *text, size_t max)
{
	size_t		len = text->len < max ? text->len : max;

	while (len > 0 && len < text->len && ((unsigned char) text->data[len] & 0xc0) == 0x80)
		len--;
	for (size_t i = 0; i < len; i++)
		if (text->data[i] < 0x20 || text->data[i] == 0x7f)
			text->data[i] = ' ';
	if (text->data != NULL)
		text->data[len] = '\0';
	text->len = len;
}

static bool
is_date(const HdmsBytes *text)
{
	return text->len >= 4 && strspn((const char *) text->data, "0123456789-T:.+Z") == text->len;
}

char *
catalogue_summary(const char *type, const char *content, size_t len)
{
	static const char *const labels[][5] = {
		{"code", "text"}, {"code", "coding", "0", "display"}, {"vaccineCode", "text"}, {"vaccineCode", "coding", "0", "display"},
		{"medicationCodeableConcept", "text"}, {"medicationCodeableConcept", "coding", "0", "display"}, {"type", "0", "text"},
		{"type", "text"}, {"class", "display"}, {"title"}, {"description"}, {"name", "0", "text"}, {"name", "0", "family"}, {"name"},
	};
	static const char *const dates[][5] = {
		{"effectiveDateTime"}, {"onsetDateTime"}, {"performedDateTime"}, {"occurrenceDateTime"}, {"performedPeriod", "start"},
		{"effectivePeriod", "start"}, {"period", "start"}, {"authoredOn"}, {"issued"}, {"recordedDate"}, {"date"}, {"created"}, {"birthDate"},
	};
	Members		members = {NULL, 0};
	HdmsBytes	label;
	HdmsBytes	date;
	json_t	   *object;
	char	   *text = NULL;

	(void) hdms_json_items(content, len, &members.items, &members.count);
	label = first_string(&members, labels, sizeof(labels) / sizeof(labels[0]));
	date = first_string(&members, dates, sizeof(dates) / sizeof(dates[0]));
	free(members.items);
	text_shorten(&label, LABEL_MAX);
	if (is_date(&date))
		text_shorten(&date, 10);
	else
		text_shorten(&date, 0);
	object = json_pack("{s:s, s:s, s:s}", "t", type, "d", date.data ? (char *) date.data : "", "l", label.data ? (char *) label.data : "");
	if (object == NULL)			/* a label that is no text for jansson, such as one with a NUL */
		object = json_pack("{s:s, s:s, s:s}", "t", type, "d", "", "l", "");
	if (object != NULL)
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	hdms_bytes_wipe(&label);
	hdms_bytes_wipe(&date);
	return text;
}

static bool
entry_fill(Catalogue *catalogue, CatalogueEntry *entry, const char *summary, size_t len)
{
	json_t	   *object = json_loadb(summary, len, 0, NULL);
	const char *type = json_string_value(json_object_get(object, "t"));
	const char *date = json_string_value(json_object_get(object, "d"));
	const char *label = json_string_value(json_object_get(object, "l"));
	int			number = type_number(catalogue, type ? type : "json");

	entry->type = (int16_t) number;
	if (date != NULL)
		strncpy(entry->date, date, sizeof(entry->date) - 1);
	if (label != NULL && label[0] != '\0')
		entry->label = strdup(label);
	json_decref(object);
	return number >= 0;
}

static CatalogueEntry *
entry_new(Catalogue *catalogue)
{
	CatalogueEntry *entry;

	if (catalogue->count == catalogue->size)
	{
		size_t		size = catalogue->size ? catalogue->size + catalogue->size / 2 : 64;
		CatalogueEntry *bigger = realloc(catalogue->entries, size * sizeof(*bigger));

		if (bigger == NULL)
			return NULL;
		catalogue->entries = bigger;
		catalogue->size = size;
	}
	entry = &catalogue->entries[catalogue->count];
	memset(entry, 0, sizeof(*entry));
	return entry;
}

static bool
entries_read(HdmsHome *home)
{
	Catalogue  *catalogue = home->catalogue;
	sqlite3_stmt *statement = store_statement(home->store, "SELECT id, pairing, record, number, status, received, accept_until, sealed FROM version ORDER BY id");
	int			row;

	while ((row = store_next(home->store, statement)) == 1)
	{
		CatalogueEntry *entry = entry_new(catalogue);
		HdmsBytes	summary = {0};
		bool		good = entry != NULL;

		if (good)
		{
			entry->id = sqlite3_column_int64(statement, 0);
			entry->pairing = sqlite3_column_int64(statement, 1);
			if (sqlite3_column_bytes(statement, 2) == 16)
				memcpy(entry->record, sqlite3_column_blob(statement, 2), 16);
			entry->number = sqlite3_column_int(statement, 3);
			entry->status = (int16_t) sqlite3_column_int(statement, 4);
			entry->received = sqlite3_column_int64(statement, 5);
			entry->accept_until = sqlite3_column_int64(statement, 6);
			good = entry->status >= 0 && entry->status < VERSION_STATUS_COUNT &&
				store_column_sealed(home->store, statement, 7, "version", entry->id, false, &summary) &&
				entry_fill(catalogue, entry, (const char *) summary.data, summary.len);
		}
		hdms_bytes_wipe(&summary);
		if (!good)
		{
			sqlite3_reset(statement);
			return false;
		}
		catalogue->count++;
	}
	return row == 0;
}

bool
catalogue_load(HdmsHome *home)
{
	if (home->catalogue == NULL)
		home->catalogue = calloc(1, sizeof(*home->catalogue));
	if (home->catalogue == NULL)
		return false;
	entries_clear(home->catalogue);
	home->catalogue->in_doubt = !entries_read(home);
	return !home->catalogue->in_doubt;
}

void
catalogue_doubt(HdmsHome *home)
{
	home->catalogue->in_doubt = true;
}

bool
catalogue_add(HdmsHome *home, const Version *version, const char *summary)
{
	CatalogueEntry *entry;

	if (home->catalogue->in_doubt)
		return true;
	entry = entry_new(home->catalogue);
	if (entry == NULL)
		return store_fail(home->store, "out of memory");
	entry->id = version->id;
	entry->pairing = version->pairing;
	entry->number = (int32_t) version->number;
	entry->status = (int16_t) version->status;
	entry->received = version->received;
	entry->accept_until = version->accept_until;
	for (int i = 0, at = 0; i < 16; i++, at += 2)
	{
		unsigned	byte;

		if (version->record[at] == '-')
			at++;
		if (sscanf(version->record + at, "%2x", &byte) == 1)
			entry->record[i] = (unsigned char) byte;
	}
	if (!entry_fill(home->catalogue, entry, summary, strlen(summary)))
		return store_fail(home->store, "out of memory");
	home->catalogue->count++;
	return true;
}

void
catalogue_note(HdmsHome *home, const Version *version)
{
	Catalogue  *catalogue = home->catalogue;
	size_t		low = 0;
	size_t		high = catalogue->count;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;
		CatalogueEntry *entry = &catalogue->entries[middle];

		if (entry->id == version->id)
		{
			entry->status = (int16_t) version->status;
			return;
		}
		if (entry->id < version->id)
			low = middle + 1;
		else
			high = middle;
	}
	catalogue->in_doubt = true;
}

const CatalogueEntry *
catalogue_entries(HdmsHome *home, size_t *count)
{
	*count = 0;
	if (home->catalogue->in_doubt && !catalogue_load(home))
		return NULL;
	*count = home->catalogue->count;
	return home->catalogue->entries;
}
