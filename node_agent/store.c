/*
 * store.c
 *		The home's database: connection, schema, statements, sealed columns.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"
#include "schema.h"

#define MAX_STATEMENTS	128
#define MAX_VALUE		(16 * 1024 * 1024)
#define APPLICATION_ID	0x48444d53	/* "HDMS" */

struct Store
{
	sqlite3    *db;
	Vault	   *vault;
	Packer	   *packer;
	bool		is_ours;		/* opened, and of this program: may be written on the way out */
	struct
	{
		const char *sql;
		sqlite3_stmt *statement;
	}			statements[MAX_STATEMENTS];
	int			statement_count;
	int64_t		next_row[TABLE_COUNT];
	char		error[200];
};

static const char *const table_names[TABLE_COUNT] = {"pairing", "peer", "version", "inbox", "outbox", "notice", "reading"};

const char *
store_error(const Store *store)
{
	return store->error[0] ? store->error : sqlite3_errmsg(store->db);
}

bool
store_fail(Store *store, const char *reason)
{
	snprintf(store->error, sizeof(store->error), "%s", reason);
	return false;
}

static bool
execute(Store *store, const char *sql)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(store, sqlite3_errmsg(store->db));
	return true;
}

static bool
single_integer(Store *store, const char *sql, int64_t *value)
{
	sqlite3_stmt *statement = NULL;
	bool		good;

	good = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW;
	if (good)
		*value = sqlite3_column_int64(statement, 0);
	else
		store_fail(store, sqlite3_errmsg(store->db));
	sqlite3_finalize(statement);
	return good;
}

static bool
schema_migrate(Store *store)
{
	int64_t		version;
	char		sql[64];

	if (!single_integer(store, "PRAGMA user_version", &version))
		return false;
	if (version > SCHEMA_VERSION)
		return store_fail(store, "the database was written by a newer program");
	while (version < SCHEMA_VERSION)
	{
		if (!execute(store, "BEGIN IMMEDIATE"))
			return false;
		snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", (int) version + 1);
		if (!execute(store, schema_migrations[version]) || !execute(store, sql) || !execute(store, "COMMIT"))
		{
			store_rollback(store);
			return false;
		}
		version++;
	}
	return true;
}

static bool
connection_prepare(Store *store, bool in_memory)
{
	char		sql[80];
	int64_t		id;

	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, 5000);
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", APPLICATION_ID);
	if (!single_integer(store, "PRAGMA application_id", &id))
		return false;
	if (id != 0 && id != APPLICATION_ID)
		return store_fail(store, "this is not the database of a node");

	/*
	 * A new file gets pages that hold several signed texts each: of 4 KiB, a third would stay empty; and what the outbox of a busy hour took
	 * can be given back (store_shrink). Neither is worth anything in memory, where each change copies its page. The log is checkpointed at
	 * 4 MiB. secure_delete: what was deleted shall not linger, even encrypted. The cache stays small for the service's sake.
	 */
	return (in_memory || execute(store, "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA wal_autocheckpoint = 512")) &&
		execute(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST;"
				" PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2000; PRAGMA journal_size_limit = 1048576") &&
		(id == APPLICATION_ID || execute(store, sql)) &&
		schema_migrate(store);
}

bool
store_open(const char *path, bool create, Store **result, HdmsNodeError *error)
{
	Store	   *store = calloc(1, sizeof(*store));
	bool		good;

	if (store == NULL)
		return false;
	good = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;
	store->packer = packer_create();
	good = good && store->packer != NULL && connection_prepare(store, strcmp(path, ":memory:") == 0);
	for (int i = 0; good && i < TABLE_COUNT; i++)
	{
		char		sql[80];

		snprintf(sql, sizeof(sql), "SELECT COALESCE(MAX(id), 0) FROM %s", table_names[i]);
		good = single_integer(store, sql, &store->next_row[i]);
	}
	if (!good)
	{
		if (error)
			snprintf(error->message, sizeof(error->message), "cannot open the database: %s", store->db ? store_error(store) : "out of memory");
		store_close(store);
		return false;
	}
	store->is_ours = true;
	*result = store;
	return true;
}

bool
store_shrink(Store *store)
{
	return execute(store, "PRAGMA incremental_vacuum");
}

void
store_close(Store *store)
{
	if (store == NULL)
		return;
	for (int i = 0; i < store->statement_count; i++)
		sqlite3_finalize(store->statements[i].statement);
	if (store->is_ours)
		(void) store_shrink(store);
	sqlite3_close(store->db);
	vault_free(store->vault);
	packer_free(store->packer);
	free(store);
}

void
store_set_vault(Store *store, Vault *vault)
{
	vault_free(store->vault);
	store->vault = vault;
}

Vault *
store_vault(const Store *store)
{
	return store->vault;
}

sqlite3_stmt *
store_statement(Store *store, const char *sql)
{
	sqlite3_stmt *statement;

	for (int i = 0; i < store->statement_count; i++)
		if (store->statements[i].sql == sql)
		{
			statement = store->statements[i].statement;
			sqlite3_reset(statement);
			sqlite3_clear_bindings(statement);
			return statement;
		}
	if (store->statement_count == MAX_STATEMENTS)
	{
		store_fail(store, "too many statements");
		return NULL;
	}
	if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
	{
		store_fail(store, sqlite3_errmsg(store->db));
		return NULL;
	}
	store->statements[store->statement_count].sql = sql;
	store->statements[store->statement_count++].statement = statement;
	return statement;
}

int
store_next(Store *store, sqlite3_stmt *statement)
{
	int			code;

	if (statement == NULL)
		return -1;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		return 1;
	if (code != SQLITE_DONE)
		store_fail(store, sqlite3_errmsg(store->db));
	sqlite3_reset(statement);
	return code == SQLITE_DONE ? 0 : -1;
}

bool
store_run(Store *store, sqlite3_stmt *statement)
{
	return store_next(store, statement) == 0;
}

bool
store_begin(Store *store)
{
	store->error[0] = '\0';
	return store_run(store, store_statement(store, "BEGIN IMMEDIATE"));
}

bool
store_commit(Store *store)
{
	if (store_run(store, store_statement(store, "COMMIT")))
		return true;
	store_rollback(store);
	return false;
}

void
store_rollback(Store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

bool
store_mark(Store *store)
{
	return store_run(store, store_statement(store, "SAVEPOINT message"));
}

bool
store_keep(Store *store)
{
	return store_run(store, store_statement(store, "RELEASE message"));
}

bool
store_undo(Store *store)
{
	return store_run(store, store_statement(store, "ROLLBACK TO message")) && store_keep(store);
}

int64_t
store_new_row(Store *store, StoreTable table)
{
	return ++store->next_row[table];
}

bool
store_bind_sealed(Store *store, sqlite3_stmt *statement, int index, const char *column, int64_t row,
				  const void *data, size_t len, bool packed)
{
	HdmsBytes	small = {0};
	HdmsBytes	sealed = {0};
	HdmsStatus	status = HDMS_OK;

	if (statement == NULL)
		return false;
	if (packed)
		status = pack(store->packer, data, len, &small);
	if (status == HDMS_OK)
		status = vault_seal(store->vault, column, row, packed ? small.data : data, packed ? small.len : len, &sealed);
	hdms_bytes_wipe(&small);
	if (status != HDMS_OK)
		return store_fail(store, hdms_status_sentence(status));
	if (sqlite3_bind_blob64(statement, index, sealed.data, sealed.len, free) != SQLITE_OK)
		return store_fail(store, sqlite3_errmsg(store->db));
	return true;
}

bool
store_column_sealed(Store *store, sqlite3_stmt *statement, int index, const char *column, int64_t row, bool packed, HdmsBytes *data)
{
	HdmsBytes	plain = {0};
	HdmsStatus	status;

	status = vault_open(store->vault, column, row, sqlite3_column_blob(statement, index), (size_t) sqlite3_column_bytes(statement, index), &plain);
	if (status == HDMS_OK && packed)
	{
		HdmsBytes	whole = {0};

		status = unpack(store->packer, plain.data, plain.len, MAX_VALUE, &whole);
		hdms_bytes_wipe(&plain);
		plain = whole;
	}
	if (status != HDMS_OK)
		return store_fail(store, status == HDMS_CANNOT_DECRYPT ? "a stored value was altered" : hdms_status_sentence(status));
	*data = plain;
	return true;
}

bool
store_bind_digest(Store *store, sqlite3_stmt *statement, int index, const char *text)
{
	unsigned char digest[HDMS_DIGEST_SIZE];

	if (statement == NULL)
		return false;
	if (text == NULL || text[0] == '\0')
		return true;
	if (hdms_base64url_read(text, strlen(text), digest, sizeof(digest)) != HDMS_OK)
		return store_fail(store, "not a digest");
	return sqlite3_bind_blob(statement, index, digest, sizeof(digest), SQLITE_TRANSIENT) == SQLITE_OK;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
store_bind_uuid(Store *store, sqlite3_stmt *statement, int index, const char *text)
{
	unsigned char uuid[16];
	size_t		at = 0;

	if (statement == NULL)
		return false;
	if (text == NULL || text[0] == '\0')
		return true;
	if (!hdms_is_uuid(text, strlen(text)))
		return store_fail(store, "not a UUID");
	for (int i = 0; i < 16; i++)
	{
		if (text[at] == '-')
			at++;
		uuid[i] = (unsigned char) (hex_value(text[at]) << 4 | hex_value(text[at + 1]));
		at += 2;
	}
	return sqlite3_bind_blob(statement, index, uuid, sizeof(uuid), SQLITE_TRANSIENT) == SQLITE_OK;
}

void
store_column_digest(sqlite3_stmt *statement, int index, char text[HDMS_DIGEST_TEXT + 1])
{
	text[0] = '\0';
	if (sqlite3_column_bytes(statement, index) == HDMS_DIGEST_SIZE)
		hdms_base64url_write(sqlite3_column_blob(statement, index), HDMS_DIGEST_SIZE, text);
}

void
store_column_uuid(sqlite3_stmt *statement, int index, char text[37])
{
	const unsigned char *uuid = sqlite3_column_blob(statement, index);
	char	   *out = text;

	text[0] = '\0';
	if (sqlite3_column_bytes(statement, index) != 16)
		return;
	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = "0123456789abcdef"[uuid[i] >> 4];
		*out++ = "0123456789abcdef"[uuid[i] & 15];
	}
	*out = '\0';
}

bool
store_meta_set(Store *store, const char *name, const void *data, size_t len)
{
	sqlite3_stmt *statement = store_statement(store, "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)");

	return statement != NULL &&
		sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
		sqlite3_bind_blob64(statement, 2, data, len, SQLITE_TRANSIENT) == SQLITE_OK &&
		store_run(store, statement);
}

bool
store_meta_get(Store *store, const char *name, HdmsBytes *data)
{
	sqlite3_stmt *statement = store_statement(store, "SELECT value FROM meta WHERE name = ?1");
	int			row;

	if (statement == NULL || sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT) != SQLITE_OK)
		return false;
	row = store_next(store, statement);
	if (row < 0)
		return false;
	data->data = NULL;
	data->len = 0;
	if (row == 0)
		return true;
	data->len = (size_t) sqlite3_column_bytes(statement, 0);
	data->data = malloc(data->len + 1);
	if (data->data != NULL)
	{
		memcpy(data->data, sqlite3_column_blob(statement, 0), data->len);
		data->data[data->len] = '\0';
	}
	sqlite3_reset(statement);
	return data->data != NULL || store_fail(store, "out of memory");
}
