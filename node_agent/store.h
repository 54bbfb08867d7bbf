/*
 * store.h
 *		The home's database: SQLite in WAL mode, synchronous, with a versioned schema and sealed columns.
 *
 * Every function that can fail returns false (or -1) and leaves the reason in store_error(). Once a statement inside
 * a transaction failed, the caller rolls back.
 */
#ifndef NODE_STORE_H
#define NODE_STORE_H

#include <sqlite3.h>

#include "bytes.h"
#include "vault.h"

typedef struct Store Store;

/* Opens (create: makes) the database. path ":memory:" keeps it in memory. Brings the schema up to date. */
extern bool store_open(const char *path, bool create, Store **store, HdmsNodeError *error);
extern void store_close(Store *store);

/* The vault that sealed columns go through; the store frees it. */
extern void store_set_vault(Store *store, Vault *vault);
extern Vault *store_vault(const Store *store);
extern const char *store_error(const Store *store);

/* The reason of a failure that SQLite does not know of. Always false. */
extern bool store_fail(Store *store, const char *reason);

extern bool store_begin(Store *store);
extern bool store_commit(Store *store);
extern void store_rollback(Store *store);

/* Gives the pages that hold nothing any more back to the file system. Outside transactions; done at closing, too. */
extern bool store_shrink(Store *store);

/* A savepoint inside a transaction: one message's work, undone alone. */
extern bool store_mark(Store *store);
extern bool store_keep(Store *store);
extern bool store_undo(Store *store);

/*
 * A prepared statement, reset and without bindings; sql must be a string constant (statements are kept by its address).
 * NULL on failure.
 */
extern sqlite3_stmt *store_statement(Store *store, const char *sql);

/* Runs a statement that gives no rows. */
extern bool store_run(Store *store, sqlite3_stmt *statement);

/* Steps a query: 1 a row, 0 no more (reset), -1 failure (reset). A query left before its end must be sqlite3_reset(). */
extern int	store_next(Store *store, sqlite3_stmt *statement);

/* A new row number for a table, known before the row is written, because sealed columns are bound to it. */
typedef enum StoreTable
{
	TABLE_PAIRING, TABLE_PEER, TABLE_VERSION, TABLE_INBOX, TABLE_OUTBOX, TABLE_NOTICE, TABLE_READING, TABLE_COUNT
} StoreTable;
extern int64_t store_new_row(Store *store, StoreTable table);

/* Binds a value sealed for (column, row). packed: through pack() first. */
extern bool store_bind_sealed(Store *store, sqlite3_stmt *statement, int index, const char *column, int64_t row,
							  const void *data, size_t len, bool packed);

/* Opens a sealed column of the current row. */
extern bool store_column_sealed(Store *store, sqlite3_stmt *statement, int index, const char *column, int64_t row, bool packed,
								HdmsBytes *data);

/* Ids: a digest in base64url as its 32 bytes, a UUID as its 16. An empty text binds NULL. */
extern bool store_bind_digest(Store *store, sqlite3_stmt *statement, int index, const char *text);
extern bool store_bind_uuid(Store *store, sqlite3_stmt *statement, int index, const char *text);

/* The texts again; "" for NULL. */
extern void store_column_digest(sqlite3_stmt *statement, int index, char text[HDMS_DIGEST_TEXT + 1]);
extern void store_column_uuid(sqlite3_stmt *statement, int index, char text[37]);

/* Named values of the home itself; meta_get gives an empty value when there is none. */
extern bool store_meta_set(Store *store, const char *name, const void *data, size_t len);
extern bool store_meta_get(Store *store, const char *name, HdmsBytes *data);

#endif
