/*
 * reading.c
 *		What institutions told of readings of the person's records.
 *
 * Only the newest are kept: a hospital that reads every minute must not fill a phone.
 */
#include "reading.h"

#include <stdlib.h>
#include <string.h>

#include "home_json.h"

#define KEPT	10000
#define LISTED	1000

/* The members that are known, and no others; NULL when memory is short. */
static char *
reading_print(const json_t *entry)
{
	static const char *const names[] = {"record", "at", "action", "purpose", "version"};
	json_t	   *object = json_object();
	char	   *text = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		json_t	   *value = json_object_get(entry, names[i]);

		if (json_is_string(value) || json_is_integer(value))
			json_object_set(object, names[i], value);
	}
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

bool
reading_add(Pairing *pairing, const json_t *entry)
{
	Store	   *store = pairing->home->store;
	int64_t		id = store_new_row(store, TABLE_READING);
	char	   *text = reading_print(entry);
	sqlite3_stmt *statement = store_statement(store, "INSERT INTO reading (id, pairing, record, at, sealed) VALUES (?1, ?2, ?3, ?4, ?5)");
	bool		good;

	if (text == NULL)
		return store_fail(store, "out of memory");
	good = store_bind_uuid(store, statement, 3, json_string_value(json_object_get(entry, "record"))) &&
		store_bind_sealed(store, statement, 5, "reading", id, text, strlen(text), true);
	free(text);
	if (!good)
		return false;
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_int64(statement, 2, pairing->id);
	sqlite3_bind_int64(statement, 4, json_integer_value(json_object_get(entry, "at")));
	if (!store_run(store, statement))
		return false;
	statement = store_statement(store, "DELETE FROM reading WHERE id <= ?1");
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, id - KEPT);
	return store_run(store, statement);
}

/* The row's own text, with whom it is from. */
static json_t *
reading_json(HdmsHome *home, sqlite3_stmt *row)
{
	const Pairing *pairing = pairing_find(home, sqlite3_column_int64(row, 1));
	HdmsBytes	text = {0};
	json_t	   *object = NULL;

	if (store_column_sealed(home->store, row, 2, "reading", sqlite3_column_int64(row, 0), true, &text))
		object = json_loadb((const char *) text.data, text.len, 0, NULL);
	hdms_bytes_wipe(&text);
	if (object != NULL)
		json_object_set_new(object, "institution", pairing && pairing->name ? json_string(pairing->name) : json_null());
	return object;
}

HdmsNodeResult
hdms_home_reads(HdmsHome *home, const char *id, char **json, HdmsNodeError *error)
{
	JsonList	list = {0};
	Version		version = {0};
	sqlite3_stmt *statement = store_statement(home->store, "SELECT id, pairing, sealed FROM reading WHERE ?1 IS NULL OR record = ?1 ORDER BY at DESC, id DESC LIMIT ?2");
	HdmsNodeResult result = id != NULL ? version_meant(home, id, false, &version, error) : HDMS_NODE_OK;
	int			row;

	if (result != HDMS_NODE_OK)
		return result;
	if (!store_bind_uuid(home->store, statement, 1, version.record))
		return node_error(error, HDMS_NODE_STORAGE, "cannot read: %s", store_error(home->store));
	sqlite3_bind_int(statement, 2, LISTED);
	while ((row = store_next(home->store, statement)) == 1)
		json_list_add(&list, reading_json(home, statement));
	if (row < 0)
	{
		free(list.text);
		return node_error(error, HDMS_NODE_STORAGE, "cannot read: %s", store_error(home->store));
	}
	return json_list_result(&list, json, error);
}
