/*
 * notice.c
 *		What the person should know: keys that were refused, messages that were put aside, flows that failed.
 *
 * The text is sealed like everything else; only the newest are kept. One fault that comes back with each request is told once.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "home.h"

#define KEPT	100

static bool
told_recently(HdmsHome *home, const char *text)
{
	unsigned char digest[HDMS_DIGEST_SIZE];

	if (hdms_sha256(text, strlen(text), digest) != HDMS_OK)
		return false;
	for (int i = 0; i < 16; i++)
		if (memcmp(home->recent_notices[i], digest, sizeof(digest)) == 0)
			return true;
	memcpy(home->recent_notices[home->recent_notice++ % 16], digest, sizeof(digest));
	return false;
}

bool
notice_add(HdmsHome *home, const char *kind, const char *format,...)
{
	char		text[400];
	char		line[480];
	sqlite3_stmt *statement;
	int64_t		id;
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(line, sizeof(line), "%s: %s", kind, text);
	if (told_recently(home, line))
		return true;
	home_log(home, "%s", line);
	id = store_new_row(home->store, TABLE_NOTICE);
	statement = store_statement(home->store, "INSERT INTO notice (id, at, sealed) VALUES (?1, ?2, ?3)");
	if (!store_bind_sealed(home->store, statement, 3, "notice", id, line, strlen(line), false))
		return false;
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_int64(statement, 2, home_now_ms(home));
	if (!store_run(home->store, statement))
		return false;
	statement = store_statement(home->store, "DELETE FROM notice WHERE id <= ?1");
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, id - KEPT);
	return store_run(home->store, statement);
}

json_t *
notice_list(HdmsHome *home)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT id, at, sealed FROM notice ORDER BY id DESC LIMIT 20");
	json_t	   *array = json_array();
	int			row;

	while ((row = store_next(home->store, statement)) == 1)
	{
		HdmsBytes	line = {0};
		char	   *colon;

		if (!store_column_sealed(home->store, statement, 2, "notice", sqlite3_column_int64(statement, 0), false, &line))
			continue;
		colon = strstr((char *) line.data, ": ");
		if (colon != NULL)
		{
			*colon = '\0';
			json_array_append_new(array, json_pack("{s:I, s:s, s:s}", "at", (json_int_t) (sqlite3_column_int64(statement, 1) / 1000),
												   "kind", (char *) line.data, "text", colon + 2));
		}
		hdms_bytes_free(&line);
	}
	if (row < 0)
	{
		json_decref(array);
		return NULL;
	}
	return array;
}
