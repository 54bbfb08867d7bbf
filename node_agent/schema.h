/*
 * schema.h
 *		The database's migrations, in order. What was released is never edited: a change is a new entry.
 *
 * In plain text are ids, numbers, statuses and times only. Columns called "sealed" go through the vault, with their
 * table's name and the row's number as associated data. Envelopes are encrypted already.
 */
#ifndef NODE_SCHEMA_H
#define NODE_SCHEMA_H

static const char *const schema_migrations[] = {
	/* 1 */
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"

	/* One node of the network for each pairing. */
	"CREATE TABLE pairing ("
	" id INTEGER PRIMARY KEY,"
	" number INTEGER NOT NULL UNIQUE,"	/* which keys under the seed */
	" status INTEGER NOT NULL,"
	" accept INTEGER NOT NULL,"			/* the policy: accept without asking */
	" node BLOB NOT NULL UNIQUE,"
	" peer BLOB NOT NULL,"				/* the institution */
	" created INTEGER NOT NULL,"
	" epoch TEXT,"						/* of the server, when the outbox was put */
	" sealed BLOB NOT NULL);"

	/* Other nodes' key histories, pinned: only a continuation replaces one. */
	"CREATE TABLE peer ("
	" id INTEGER PRIMARY KEY,"
	" node BLOB NOT NULL UNIQUE,"
	" fetched INTEGER NOT NULL,"
	" sealed BLOB NOT NULL);"

	"CREATE TABLE notary_list ("
	" digest BLOB PRIMARY KEY,"
	" sealed BLOB NOT NULL) WITHOUT ROWID;"

	/* Versions of records and how far their flows are. */
	"CREATE TABLE version ("
	" id INTEGER PRIMARY KEY,"
	" pairing INTEGER NOT NULL,"
	" record BLOB NOT NULL,"
	" number INTEGER NOT NULL,"
	" status INTEGER NOT NULL,"
	" vk BLOB NOT NULL,"
	" prev BLOB,"
	" notary BLOB,"						/* who was drawn last */
	" accept_until INTEGER NOT NULL,"	/* seconds */
	" received INTEGER NOT NULL,"		/* milliseconds, as all times below */
	" next_try INTEGER,"				/* when the flow's timer fires; NULL: no timer */
	" last_error TEXT,"
	" message BLOB NOT NULL,"			/* jti of the record message */
	" answer BLOB,"						/* jti of accepted or rejected */
	" sealed BLOB NOT NULL);"			/* type, date, label */
	"CREATE UNIQUE INDEX version_vk ON version (vk, pairing);"
	"CREATE INDEX version_record ON version (record);"
	"CREATE INDEX version_timer ON version (next_try) WHERE next_try IS NOT NULL;"

	/* Signed texts of versions: id = version * 64 + kind. */
	"CREATE TABLE part (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL);"

	/* Received envelopes until they have an outcome. */
	"CREATE TABLE inbox ("
	" id INTEGER PRIMARY KEY,"
	" pairing INTEGER NOT NULL,"
	" transport BLOB NOT NULL,"
	" status INTEGER NOT NULL,"
	" attempts INTEGER NOT NULL,"
	" received INTEGER NOT NULL,"
	" next_try INTEGER,"
	" want BLOB,"						/* a digest: of the node, list or state that it waits for */
	" envelope BLOB NOT NULL,"
	" UNIQUE (pairing, transport));"
	"CREATE INDEX inbox_want ON inbox (want) WHERE want IS NOT NULL;"
	"CREATE INDEX inbox_timer ON inbox (next_try) WHERE next_try IS NOT NULL;"

	/* Messages that were acted upon; kept until they have expired. */
	"CREATE TABLE processed ("
	" pairing INTEGER NOT NULL,"
	" sender INTEGER NOT NULL,"			/* peer.id */
	" message BLOB NOT NULL,"
	" answer INTEGER NOT NULL,"			/* what to do when it comes again */
	" expires INTEGER NOT NULL,"		/* seconds */
	" version INTEGER,"
	" word TEXT,"						/* the code of a refusal */
	" PRIMARY KEY (pairing, sender, message)) WITHOUT ROWID;"

	/* Messages that were not answered yet. */
	"CREATE TABLE outbox ("
	" id INTEGER PRIMARY KEY,"
	" pairing INTEGER NOT NULL,"
	" receiver BLOB NOT NULL,"
	" message BLOB NOT NULL UNIQUE,"
	" transport BLOB NOT NULL,"
	" type INTEGER NOT NULL,"
	" version INTEGER,"
	" expires INTEGER NOT NULL,"		/* seconds */
	" attempts INTEGER NOT NULL,"
	" put INTEGER,"						/* when the server took it first */
	" next_try INTEGER,"				/* NULL: the server refuses it for good */
	" last_error TEXT,"
	" envelope BLOB NOT NULL);"
	"CREATE INDEX outbox_due ON outbox (pairing, next_try);"
	"CREATE INDEX outbox_timer ON outbox (next_try) WHERE next_try IS NOT NULL;"
	"CREATE INDEX outbox_version ON outbox (version) WHERE version IS NOT NULL;"

	/* What the person should know. */
	"CREATE TABLE notice ("
	" id INTEGER PRIMARY KEY,"
	" at INTEGER NOT NULL,"
	" sealed BLOB NOT NULL);",

	/* 2: when records were read, as their institutions tell. */
	"CREATE TABLE reading ("
	" id INTEGER PRIMARY KEY,"
	" pairing INTEGER NOT NULL,"
	" record BLOB NOT NULL,"
	" at INTEGER NOT NULL,"				/* seconds */
	" sealed BLOB NOT NULL);"
	"CREATE INDEX reading_record ON reading (record);",

	/* 3: versions whose copy the institution is asked for */
	"CREATE TABLE repair (pairing INTEGER NOT NULL, vk BLOB NOT NULL, PRIMARY KEY (pairing, vk)) WITHOUT ROWID;",
};

#define SCHEMA_VERSION ((int) (sizeof(schema_migrations) / sizeof(schema_migrations[0])))

#endif
