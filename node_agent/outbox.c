/*
 * outbox.c
 *		Messages that this node owes to others, until they are answered.
 *
 * A message is sealed and written in the transaction that gives a reason for it, so it exists if and only if what it reports exists. It is put
 * again, the same envelope, until it is answered: the server's mailbox is only a cache.
 */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "version.h"

static const struct
{
	const char *name;
	bool		is_awaited;
}			types[OUT_TYPE_COUNT] = {
	[OUT_PAIR] = {HDMS_MSG_PAIR, true},
	[OUT_NOTARISE] = {HDMS_MSG_NOTARISE, true},
	[OUT_SILENT] = {HDMS_MSG_SILENT, true},
	[OUT_ACCEPTED] = {HDMS_MSG_ACCEPTED, true},
	[OUT_REJECTED] = {HDMS_MSG_REJECTED, true},
	[OUT_ACK] = {HDMS_MSG_ACK, false},
	[OUT_REFUSED] = {HDMS_MSG_REFUSED, false},
	[OUT_WANT] = {HDMS_MSG_WANT, true},
	[OUT_KEYS] = {HDMS_MSG_KEYS, true},
	[OUT_COPIES] = {HDMS_MSG_COPIES, false},
	[OUT_ERASURE] = {HDMS_MSG_ERASURE, true},
	[OUT_REPAIR] = {HDMS_MSG_WANT, true},
};

static HdmsStatus
message_seal(const Pairing *pairing, const Peer *receiver, OutboxType type, const char *re, const HdmsBody *body,
			 const char *jti, int64_t *expires, char **envelope)
{
	const HdmsKey *recipient = hdms_history_current(receiver->history, HDMS_ROLE_ENCRYPT);
	HdmsMessageHead head = {.iat = home_now(pairing->home)};
	char	   *json = NULL;
	HdmsStatus	status;

	if (recipient == NULL)
		return HDMS_UNKNOWN_KEY;
	strcpy(head.iss, pairing->node);
	strcpy(head.aud, receiver->node);
	strcpy(head.jti, jti);
	strcpy(head.re, re);
	strcpy(head.type, types[type].name);
	head.exp = head.iat + pairing->home->config.message_ttl / 1000;
	status = hdms_body_print(types[type].name, body, &json);
	if (status != HDMS_OK)
		return status;
	status = hdms_message_seal(&head, json, strlen(json), pairing->sign, recipient, envelope);
	hdms_string_wipe(json);
	*expires = head.exp;
	return status;
}

bool
outbox_add(Pairing *pairing, const Peer *receiver, OutboxType type, const char *re, int64_t version, const HdmsBody *body, char jti[37])
{
	Store	   *store = pairing->home->store;
	sqlite3_stmt *statement;
	char	   *envelope = NULL;
	char		transport[HDMS_DIGEST_TEXT + 1];
	int64_t		expires = 0;
	HdmsStatus	status = HDMS_OK;

	if (jti[0] == '\0')
		status = hdms_uuid7(home_now_ms(pairing->home), jti);
	if (status == HDMS_OK)
		status = message_seal(pairing, receiver, type, re, body, jti, &expires, &envelope);
	if (status == HDMS_OK)
		status = hdms_envelope_id(envelope, strlen(envelope), transport);
	if (status != HDMS_OK)
	{
		free(envelope);
		return store_fail(store, hdms_status_sentence(status));
	}
	statement = store_statement(store, "INSERT OR REPLACE INTO outbox (id, pairing, receiver, message, transport, type, version, expires, attempts,"
								" next_try, envelope) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9)");
	if (!store_bind_digest(store, statement, 3, receiver->node) || !store_bind_uuid(store, statement, 4, jti) ||
		!store_bind_digest(store, statement, 5, transport))
	{
		free(envelope);
		return false;
	}
	sqlite3_bind_int64(statement, 1, store_new_row(store, TABLE_OUTBOX));
	sqlite3_bind_int64(statement, 2, pairing->id);
	sqlite3_bind_int(statement, 6, (int) type);
	if (version != 0)
		sqlite3_bind_int64(statement, 7, version);
	sqlite3_bind_int64(statement, 8, expires);
	sqlite3_bind_blob64(statement, 9, envelope, strlen(envelope), free);
	pairing->put_due = true;
	return store_run(store, statement);
}

void
outbox_items_free(OutboxItem *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(items[i].envelope);
}

bool
outbox_due(Pairing *pairing, int64_t now_ms, size_t limit, size_t max_bytes, OutboxItem *items, size_t *count)
{
	Store	   *store = pairing->home->store;
	sqlite3_stmt *statement = store_statement(store, "SELECT id, type, version, attempts, put IS NOT NULL, expires, receiver, transport, envelope FROM outbox"
											  " WHERE pairing = ?1 AND next_try <= ?2 ORDER BY next_try, id");
	size_t		bytes = 0;
	int			row = 0;

	*count = 0;
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, pairing->id);
	sqlite3_bind_int64(statement, 2, now_ms);
	while (*count < limit && (row = store_next(store, statement)) == 1)
	{
		OutboxItem *item = &items[*count];

		item->id = sqlite3_column_int64(statement, 0);
		item->type = (OutboxType) sqlite3_column_int(statement, 1);
		item->version = sqlite3_column_int64(statement, 2);
		item->attempts = sqlite3_column_int(statement, 3);
		item->was_put = sqlite3_column_int(statement, 4) != 0;
		item->expires = sqlite3_column_int64(statement, 5);
		store_column_digest(statement, 6, item->receiver);
		store_column_digest(statement, 7, item->transport);
		item->len = (size_t) sqlite3_column_bytes(statement, 8);
		if (*count > 0 && bytes + item->len > max_bytes)
			break;
		item->envelope = malloc(item->len + 1);
		if (item->envelope == NULL)
		{
			outbox_items_free(items, *count);
			*count = 0;
			sqlite3_reset(statement);
			return store_fail(store, "out of memory");
		}
		memcpy(item->envelope, sqlite3_column_blob(statement, 8), item->len);
		item->envelope[item->len] = '\0';
		bytes += item->len;
		(*count)++;
	}
	sqlite3_reset(statement);
	if (row < 0)
	{
		outbox_items_free(items, *count);
		*count = 0;
		return false;
	}
	return true;
}

/* The patience with a notary counts from when the server has its request, not from when it was written. */
static bool
patience_start(HdmsHome *home, int64_t version)
{
	sqlite3_stmt *statement = store_statement(home->store, "UPDATE version SET next_try = ?2 WHERE id = ?1 AND status = ?3");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, version);
	sqlite3_bind_int64(statement, 2, home_now_ms(home) + home->config.notary_patience);
	sqlite3_bind_int(statement, 3, VERSION_NOTARISING);
	return store_run(home->store, statement);
}

static bool
outbox_delete(HdmsHome *home, int64_t id)
{
	sqlite3_stmt *statement = store_statement(home->store, "DELETE FROM outbox WHERE id = ?1");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, id);
	return store_run(home->store, statement);
}

bool
outbox_put_done(Pairing *pairing, const OutboxItem *item, int status)
{
	HdmsHome   *home = pairing->home;
	bool		taken = status == 200 || status == 201;
	bool		is_final = status == 413 || status == 400;
	sqlite3_stmt *statement;
	char		word[32];
	int64_t		now_ms = home_now_ms(home);

	if (taken && !types[item->type].is_awaited)
		return outbox_delete(home, item->id);
	statement = store_statement(home->store, "UPDATE outbox SET attempts = attempts + 1, put = COALESCE(put, ?2), next_try = ?3, last_error = ?4 WHERE id = ?1");
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, item->id);
	if (taken)
	{
		sqlite3_bind_int64(statement, 2, now_ms);
		sqlite3_bind_int64(statement, 3, now_ms + backoff(home->config.resend_initial, home->config.resend_max, item->attempts));
	}
	else
	{
		snprintf(word, sizeof(word), "HTTP %d", status);
		sqlite3_bind_text(statement, 4, word, -1, SQLITE_TRANSIENT);
		if (!is_final)
			sqlite3_bind_int64(statement, 3, now_ms + backoff(home->config.retry_initial * 4, home->config.resend_max, item->attempts));
	}
	if (!store_run(home->store, statement))
		return false;
	if (is_final && !notice_add(home, "undeliverable", "the server refuses a message of type %s to %s (%s)", types[item->type].name, item->receiver, word))
		return false;
	if (taken && !item->was_put && item->type == OUT_NOTARISE)
		return patience_start(home, item->version);
	return true;
}

/* Finds a row by receiver and jti; *id 0 when there is none. */
static bool
outbox_row(Pairing *pairing, const char *receiver, const char *jti, int64_t *id, OutboxType *type, int64_t *version)
{
	Store	   *store = pairing->home->store;
	sqlite3_stmt *statement = store_statement(store, "SELECT id, type, version FROM outbox WHERE message = ?1 AND receiver = ?2 AND pairing = ?3");
	int			row;

	*id = 0;
	if (!store_bind_uuid(store, statement, 1, jti) || !store_bind_digest(store, statement, 2, receiver))
		return false;
	sqlite3_bind_int64(statement, 3, pairing->id);
	row = store_next(store, statement);
	if (row == 1)
	{
		*id = sqlite3_column_int64(statement, 0);
		*type = (OutboxType) sqlite3_column_int(statement, 1);
		*version = sqlite3_column_int64(statement, 2);
		sqlite3_reset(statement);
	}
	return row >= 0;
}

bool
outbox_look(Pairing *pairing, const char *receiver, const char *jti, bool *found, OutboxType *type, int64_t *version)
{
	int64_t		id;

	*found = false;
	if (jti[0] == '\0')
		return true;
	if (!outbox_row(pairing, receiver, jti, &id, type, version))
		return false;
	*found = id != 0;
	return true;
}

bool
outbox_answered(Pairing *pairing, const char *receiver, const char *jti, bool *found, OutboxType *type, int64_t *version)
{
	int64_t		id;

	*found = false;
	if (jti[0] == '\0')
		return true;
	if (!outbox_row(pairing, receiver, jti, &id, type, version))
		return false;
	*found = id != 0;
	return id == 0 || outbox_delete(pairing->home, id);
}

bool
outbox_forget(HdmsHome *home, int64_t version, OutboxType type)
{
	sqlite3_stmt *statement = store_statement(home->store, "DELETE FROM outbox WHERE version = ?1 AND (type = ?2 OR ?2 = ?3)");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, version);
	sqlite3_bind_int(statement, 2, (int) type);
	sqlite3_bind_int(statement, 3, OUT_TYPE_COUNT);
	return store_run(home->store, statement);
}

bool
outbox_pending(HdmsHome *home, int64_t version, OutboxType type, bool *pending, bool *was_put)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT MAX(put IS NOT NULL) FROM outbox WHERE version = ?1 AND type = ?2");
	int			row;

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, version);
	sqlite3_bind_int(statement, 2, (int) type);
	row = store_next(home->store, statement);
	if (row != 1)
		return false;
	*pending = sqlite3_column_type(statement, 0) != SQLITE_NULL;
	*was_put = sqlite3_column_int(statement, 0) != 0;
	sqlite3_reset(statement);
	return true;
}

bool
outbox_hurry(HdmsHome *home, int64_t version, OutboxType type)
{
	/* The caller marks the pairing. */
	sqlite3_stmt *statement = store_statement(home->store, "UPDATE outbox SET next_try = 0 WHERE version = ?1 AND type = ?2 AND next_try IS NOT NULL");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, version);
	sqlite3_bind_int(statement, 2, (int) type);
	return store_run(home->store, statement);
}

bool
outbox_again(Pairing *pairing)
{
	sqlite3_stmt *statement = store_statement(pairing->home->store, "UPDATE outbox SET next_try = 0 WHERE pairing = ?1 AND next_try IS NOT NULL");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, pairing->id);
	pairing->put_due = true;
	return store_run(pairing->home->store, statement);
}

bool
outbox_expire(HdmsHome *home)
{
	sqlite3_stmt *statement = store_statement(home->store, "DELETE FROM outbox WHERE expires < ?1 RETURNING type, receiver");
	char		expired[8][80];
	int			count = 0;
	int			row;

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, home_now(home));
	while ((row = store_next(home->store, statement)) == 1)
	{
		char		receiver[HDMS_DIGEST_TEXT + 1];
		int			type = sqlite3_column_int(statement, 0);

		store_column_digest(statement, 1, receiver);
		if (count < 8 && type >= 0 && type < OUT_TYPE_COUNT)
			snprintf(expired[count++], sizeof(expired[0]), "%s to %s", types[type].name, receiver);
	}
	for (int i = 0; row == 0 && i < count; i++)
		if (!notice_add(home, "expired", "nobody answered a message of type %s before it expired", expired[i]))
			return false;
	return row == 0;
}

bool
outbox_next_timer(HdmsHome *home, int64_t now_ms, int64_t *at)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT DISTINCT pairing FROM outbox WHERE next_try <= ?1 AND next_try > ?2");
	int			row;

	/* Rows written to be put at once have marked their pairing already: what is new are those whose time came since the last look. */
	*at = INT64_MAX;
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, now_ms);
	sqlite3_bind_int64(statement, 2, home->outbox_seen);
	home->outbox_seen = now_ms;
	while ((row = store_next(home->store, statement)) == 1)
	{
		Pairing    *pairing = pairing_find(home, sqlite3_column_int64(statement, 0));

		if (pairing != NULL)
			pairing->put_due = true;
	}
	if (row < 0)
		return false;
	statement = store_statement(home->store, "SELECT MIN(next_try) FROM outbox WHERE next_try > ?1");
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, now_ms);
	row = store_next(home->store, statement);
	if (row == 1)
	{
		if (sqlite3_column_type(statement, 0) != SQLITE_NULL)
			*at = sqlite3_column_int64(statement, 0);
		sqlite3_reset(statement);
	}
	return row >= 0;
}

bool
outbox_count(HdmsHome *home, int64_t *count)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT COUNT(*) FROM outbox");

	if (store_next(home->store, statement) != 1)
		return false;
	*count = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return true;
}
