/*
 * version.c
 *		Rows of versions and of their signed texts.
 */
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue.h"

#define COLUMNS "SELECT id, pairing, record, number, status, vk, prev, notary, accept_until, received, next_try, last_error, message, answer FROM version "

const char *
version_status_word(VersionStatus status)
{
	static const char *const words[VERSION_STATUS_COUNT] = {
		"received", "asked", "accepted", "notarising", "notarised", "final", "superseded", "rejected", "expired", "withdrawn", "failed", "erased"
	};

	return words[status];
}

static void
version_read(sqlite3_stmt *row, Version *version)
{
	const unsigned char *text = sqlite3_column_text(row, 11);

	memset(version, 0, sizeof(*version));
	version->id = sqlite3_column_int64(row, 0);
	version->pairing = sqlite3_column_int64(row, 1);
	store_column_uuid(row, 2, version->record);
	version->number = sqlite3_column_int64(row, 3);
	version->status = (VersionStatus) sqlite3_column_int(row, 4);
	store_column_digest(row, 5, version->vk);
	store_column_digest(row, 6, version->prev);
	store_column_digest(row, 7, version->notary);
	version->accept_until = sqlite3_column_int64(row, 8);
	version->received = sqlite3_column_int64(row, 9);
	version->next_try = sqlite3_column_int64(row, 10);
	if (text != NULL)
		strncpy(version->last_error, (const char *) text, sizeof(version->last_error) - 1);
	store_column_uuid(row, 12, version->message);
	store_column_uuid(row, 13, version->answer);
}

/* Takes the first row of a bound query. */
static bool
version_take(HdmsHome *home, sqlite3_stmt *statement, Version *version, bool *found)
{
	int			row = store_next(home->store, statement);

	*found = row == 1;
	if (row == 1)
	{
		version_read(statement, version);
		sqlite3_reset(statement);
	}
	return row >= 0;
}

bool
version_load(HdmsHome *home, int64_t id, Version *version, bool *found)
{
	sqlite3_stmt *statement = store_statement(home->store, COLUMNS "WHERE id = ?1");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, id);
	return version_take(home, statement, version, found);
}

bool
version_by_vk(HdmsHome *home, int64_t pairing, const char *vk, Version *version, bool *found)
{
	sqlite3_stmt *statement = store_statement(home->store, COLUMNS "WHERE vk = ?1 AND (?2 = 0 OR pairing = ?2)");

	if (!store_bind_digest(home->store, statement, 1, vk))
		return false;
	sqlite3_bind_int64(statement, 2, pairing);
	return version_take(home, statement, version, found);
}

bool
version_of_record(HdmsHome *home, int64_t pairing, const char *record, VersionStatus status, Version *version, bool *found)
{
	sqlite3_stmt *statement = store_statement(home->store, COLUMNS "WHERE record = ?1 AND status = ?2 AND (?3 = 0 OR pairing = ?3)"
											  " ORDER BY number DESC, id DESC LIMIT 1");

	if (!store_bind_uuid(home->store, statement, 1, record))
		return false;
	sqlite3_bind_int(statement, 2, (int) status);
	sqlite3_bind_int64(statement, 3, pairing);
	return version_take(home, statement, version, found);
}

static void
bind_timer(sqlite3_stmt *statement, int index, int64_t at)
{
	if (at > 0)
		sqlite3_bind_int64(statement, index, at);
}

static void
bind_word(sqlite3_stmt *statement, int index, const char *word)
{
	if (word[0] != '\0')
		sqlite3_bind_text(statement, index, word, -1, SQLITE_TRANSIENT);
}

bool
version_insert(HdmsHome *home, Version *version, const char *summary)
{
	Store	   *store = home->store;
	sqlite3_stmt *statement = store_statement(store, "INSERT INTO version (id, pairing, record, number, status, vk, prev, accept_until, received, next_try,"
											  " message, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)");

	version->id = store_new_row(store, TABLE_VERSION);
	if (!store_bind_uuid(store, statement, 3, version->record) || !store_bind_digest(store, statement, 6, version->vk) ||
		!store_bind_digest(store, statement, 7, version->prev) || !store_bind_uuid(store, statement, 11, version->message) ||
		!store_bind_sealed(store, statement, 12, "version", version->id, summary, strlen(summary), false))
		return false;
	sqlite3_bind_int64(statement, 1, version->id);
	sqlite3_bind_int64(statement, 2, version->pairing);
	sqlite3_bind_int64(statement, 4, version->number);
	sqlite3_bind_int(statement, 5, (int) version->status);
	sqlite3_bind_int64(statement, 8, version->accept_until);
	sqlite3_bind_int64(statement, 9, version->received);
	bind_timer(statement, 10, version->next_try);
	return store_run(store, statement) && catalogue_add(home, version, summary);
}

bool
version_save(HdmsHome *home, const Version *version)
{
	Store	   *store = home->store;
	sqlite3_stmt *statement = store_statement(store, "UPDATE version SET status = ?2, notary = ?3, next_try = ?4, last_error = ?5, answer = ?6,"
											  " message = ?7 WHERE id = ?1");

	if (!store_bind_digest(store, statement, 3, version->notary) || !store_bind_uuid(store, statement, 6, version->answer) ||
		!store_bind_uuid(store, statement, 7, version->message))
		return false;
	sqlite3_bind_int64(statement, 1, version->id);
	sqlite3_bind_int(statement, 2, (int) version->status);
	bind_timer(statement, 4, version->next_try);
	bind_word(statement, 5, version->last_error);
	if (!store_run(store, statement))
		return false;
	if (version->status == VERSION_FINAL && home->finished != NULL)
		home->finished(home->finished_arg, version->received);
	catalogue_note(home, version);
	home_changed(home);
	return true;
}

bool
version_put_right(HdmsHome *home, const Version *version, const char *summary)
{
	Store	   *store = home->store;
	sqlite3_stmt *statement = store_statement(store, "UPDATE version SET record = ?2, number = ?3, prev = ?4, notary = ?5, accept_until = ?6, sealed = ?7"
											  " WHERE id = ?1");

	if (!store_bind_uuid(store, statement, 2, version->record) || !store_bind_digest(store, statement, 4, version->prev) ||
		!store_bind_digest(store, statement, 5, version->notary) ||
		!store_bind_sealed(store, statement, 7, "version", version->id, summary, strlen(summary), false))
		return false;
	sqlite3_bind_int64(statement, 1, version->id);
	sqlite3_bind_int64(statement, 3, version->number);
	sqlite3_bind_int64(statement, 6, version->accept_until);
	catalogue_doubt(home);
	return store_run(store, statement);
}

static bool
collect_ids(HdmsHome *home, sqlite3_stmt *statement, int64_t *ids, size_t limit, size_t *count)
{
	int			row;

	*count = 0;
	while ((row = store_next(home->store, statement)) == 1)
	{
		ids[(*count)++] = sqlite3_column_int64(statement, 0);
		if (*count == limit)
		{
			sqlite3_reset(statement);
			return true;
		}
	}
	return row == 0;
}

bool
versions_due(HdmsHome *home, int64_t now_ms, int64_t *ids, size_t limit, size_t *count)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT id FROM version WHERE next_try <= ?1 ORDER BY next_try");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, now_ms);
	return collect_ids(home, statement, ids, limit, count);
}

bool
versions_waiting_for(HdmsHome *home, const char *notary, int64_t *ids, size_t limit, size_t *count)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT id FROM version WHERE next_try IS NOT NULL AND status = 2 AND notary = ?1");

	if (!store_bind_digest(home->store, statement, 1, notary))
		return false;
	return collect_ids(home, statement, ids, limit, count);
}

bool
versions_next_timer(HdmsHome *home, int64_t *at)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT MIN(next_try) FROM version WHERE next_try IS NOT NULL");
	int			row = store_next(home->store, statement);

	*at = INT64_MAX;
	if (row == 1)
	{
		if (sqlite3_column_type(statement, 0) != SQLITE_NULL)
			*at = sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	return row >= 0;
}

bool
part_put(HdmsHome *home, int64_t version, int kind, const char *text)
{
	sqlite3_stmt *statement = store_statement(home->store, "INSERT OR REPLACE INTO part (id, sealed) VALUES (?1, ?2)");
	int64_t		id = version * PARTS_PER_VERSION + kind;

	if (!store_bind_sealed(home->store, statement, 2, "part", id, text, strlen(text), true))
		return false;
	sqlite3_bind_int64(statement, 1, id);
	return store_run(home->store, statement);
}

bool
part_get(HdmsHome *home, int64_t version, int kind, HdmsBytes *text)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT sealed FROM part WHERE id = ?1");
	int64_t		id = version * PARTS_PER_VERSION + kind;
	int			row;
	bool		good = true;

	if (statement == NULL)
		return false;
	text->data = NULL;
	text->len = 0;
	sqlite3_bind_int64(statement, 1, id);
	row = store_next(home->store, statement);
	if (row == 1)
	{
		good = store_column_sealed(home->store, statement, 0, "part", id, true, text);
		sqlite3_reset(statement);
	}
	return row >= 0 && good;
}

bool
part_remove(HdmsHome *home, int64_t version, int kind)
{
	sqlite3_stmt *statement = store_statement(home->store, "DELETE FROM part WHERE id = ?1");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, version * PARTS_PER_VERSION + kind);
	return store_run(home->store, statement);
}

/* Cuts a text at its first line feed; what comes after it, or NULL. */
static const char *
line_end(const char *text)
{
	char	   *end = text ? strchr(text, '\n') : NULL;

	if (end == NULL)
		return NULL;
	*end = '\0';
	return end + 1;
}

bool
evidence_get(HdmsHome *home, int64_t version, Evidence *evidence)
{
	memset(evidence, 0, sizeof(*evidence));
	if (!part_get(home, version, PART_EVIDENCE, &evidence->texts[0]))
		return false;
	evidence->acceptance = (const char *) evidence->texts[0].data;
	evidence->request = line_end(evidence->acceptance);
	evidence->receipt = line_end(evidence->request);
	if (evidence->acceptance == NULL || evidence->receipt != NULL)
		return true;
	if (evidence->request == NULL)
	{
		if (!part_get(home, version, PART_REQUEST(0), &evidence->texts[1]) || !part_get(home, version, PART_RECEIPT, &evidence->texts[2]))
			return false;
		evidence->request = (const char *) evidence->texts[1].data;
		evidence->receipt = (const char *) evidence->texts[2].data;
	}
	return true;
}

void
evidence_free(Evidence *evidence)
{
	for (int i = 0; i < 3; i++)
		hdms_bytes_free(&evidence->texts[i]);
	memset(evidence, 0, sizeof(*evidence));
}

bool
evidence_put(HdmsHome *home, int64_t version, const char *acceptance, const char *request, const char *receipt)
{
	size_t		size = strlen(acceptance) + strlen(request) + (receipt ? strlen(receipt) : 0) + 3;
	char	   *text = malloc(size);
	sqlite3_stmt *statement;
	bool		good;

	if (text == NULL)
		return store_fail(home->store, "out of memory");
	snprintf(text, size, receipt ? "%s\n%s\n%s" : "%s\n%s", acceptance, request, receipt);
	good = part_put(home, version, PART_EVIDENCE, text);
	free(text);
	if (!good || receipt == NULL)
		return good;
	statement = store_statement(home->store, "DELETE FROM part WHERE id > ?1 AND id < ?2 AND id NOT IN (?3, ?4)");
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, version * PARTS_PER_VERSION + PART_STATE);
	sqlite3_bind_int64(statement, 2, (version + 1) * PARTS_PER_VERSION);
	sqlite3_bind_int64(statement, 3, version * PARTS_PER_VERSION + PART_EVIDENCE);
	sqlite3_bind_int64(statement, 4, version * PARTS_PER_VERSION + PART_REJECTION);
	return store_run(home->store, statement);
}

bool
request_count(HdmsHome *home, int64_t version, int *count)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT COUNT(*) FROM part WHERE id = ?1 OR id BETWEEN ?2 AND ?3");
	int			row;

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, version * PARTS_PER_VERSION + PART_EVIDENCE);
	sqlite3_bind_int64(statement, 2, version * PARTS_PER_VERSION + PART_REQUEST(1));
	sqlite3_bind_int64(statement, 3, version * PARTS_PER_VERSION + PART_REQUEST(MAX_REQUESTS - 1));
	row = store_next(home->store, statement);
	if (row != 1)
		return false;
	*count = sqlite3_column_int(statement, 0);
	sqlite3_reset(statement);
	return true;
}
