/*
 * inbox.c
 *		Receiving: stored and counted first, then acted upon, then acknowledged.
 *
 * A message that crashes the process is tried twice and then put aside. Fresh messages are acted upon many at a time; what a crash left behind is
 * taken up one by one, so that a poisonous message takes no other into quarantine.
 *
 * A row's status: 0 stored, 1 waits for something, 2 quarantined.
 */
#include "inbox.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "flow.h"

#define STORED			0
#define WAITING			1
#define QUARANTINED		2

#define MAX_ATTEMPTS	2
#define MAX_WAITING		1000
#define RESUME_BATCH	32
#define DAY				INT64_C(86400)
#define RETRY_MS		5000

static HdmsStatus
transport_check(const InboxItem *item)
{
	char		id[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status = hdms_envelope_id(item->envelope, item->len, id);

	if (status == HDMS_OK && strcmp(id, item->transport) != 0)
		status = HDMS_DIGEST_MISMATCH;
	return status;
}

static bool
item_store(HdmsHome *home, InboxItem *item)
{
	sqlite3_stmt *statement;

	item->id = 0;
	if (item->len == 0 || item->len > HDMS_ENVELOPE_MAX || transport_check(item) != HDMS_OK)
	{
		home->refused_messages++;
		home_log(home, "the server gave an envelope that is not what its id says: %s", item->transport);
		return true;
	}
	statement = store_statement(home->store, "INSERT OR IGNORE INTO inbox (id, pairing, transport, status, attempts, received, envelope)"
								" VALUES (?1, ?2, ?3, 0, 1, ?4, ?5) RETURNING id");
	if (!store_bind_digest(home->store, statement, 3, item->transport))
		return false;
	item->received = home_now_ms(home);
	sqlite3_bind_int64(statement, 1, store_new_row(home->store, TABLE_INBOX));
	sqlite3_bind_int64(statement, 2, item->pairing);
	sqlite3_bind_int64(statement, 4, item->received);
	sqlite3_bind_blob64(statement, 5, item->envelope, item->len, SQLITE_STATIC);
	switch (store_next(home->store, statement))
	{
		case 1:
			item->id = sqlite3_column_int64(statement, 0);
			sqlite3_reset(statement);
			return true;
		case 0:
			return true;		/* it is here already */
		default:
			return false;
	}
}

bool
inbox_store_rows(HdmsHome *home, InboxItem *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!item_store(home, &items[i]))
			return false;
	return true;
}

bool
inbox_store(HdmsHome *home, InboxItem *items, size_t count)
{
	if (!store_begin(home->store))
		return false;
	if (inbox_store_rows(home, items, count))
		return store_commit(home->store);
	store_rollback(home->store);
	return false;
}

static bool
item_delete(HdmsHome *home, int64_t id)
{
	sqlite3_stmt *statement = store_statement(home->store, "DELETE FROM inbox WHERE id = ?1");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, id);
	return store_run(home->store, statement);
}

static bool
item_wait(HdmsHome *home, int64_t id, int status, const char *want, int64_t next_try)
{
	sqlite3_stmt *statement = store_statement(home->store, "UPDATE inbox SET status = ?2, want = ?3, next_try = ?4 WHERE id = ?1");

	if (!store_bind_digest(home->store, statement, 3, want))
		return false;
	sqlite3_bind_int64(statement, 1, id);
	sqlite3_bind_int(statement, 2, status);
	if (next_try > 0)
		sqlite3_bind_int64(statement, 4, next_try);
	return store_run(home->store, statement);
}

/* Whether the message was processed; then what its answer was. */
static bool
processed_look(Arrival *arrival, bool *found)
{
	Store	   *store = arrival->home->store;
	sqlite3_stmt *statement = store_statement(store, "SELECT answer, version, word FROM processed WHERE pairing = ?1 AND sender = ?2 AND message = ?3");
	int			row;

	if (!store_bind_uuid(store, statement, 3, arrival->message.head.jti))
		return false;
	sqlite3_bind_int64(statement, 1, arrival->pairing->id);
	sqlite3_bind_int64(statement, 2, arrival->sender->id);
	row = store_next(store, statement);
	*found = row == 1;
	if (row == 1)
	{
		const char *word = (const char *) sqlite3_column_text(statement, 2);

		arrival->answer = (Answer) sqlite3_column_int(statement, 0);
		arrival->version = sqlite3_column_int64(statement, 1);
		snprintf(arrival->word, sizeof(arrival->word), "%s", word ? word : "");
		sqlite3_reset(statement);
	}
	return row >= 0;
}

static bool
processed_record(Arrival *arrival)
{
	Store	   *store = arrival->home->store;
	sqlite3_stmt *statement = store_statement(store, "INSERT INTO processed (pairing, sender, message, answer, expires, version, word)"
											  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

	if (!store_bind_uuid(store, statement, 3, arrival->message.head.jti))
		return false;
	sqlite3_bind_int64(statement, 1, arrival->pairing->id);
	sqlite3_bind_int64(statement, 2, arrival->sender->id);
	sqlite3_bind_int(statement, 4, (int) arrival->answer);
	sqlite3_bind_int64(statement, 5, arrival->message.head.exp);
	if (arrival->version != 0)
		sqlite3_bind_int64(statement, 6, arrival->version);
	if (arrival->word[0] != '\0')
		sqlite3_bind_text(statement, 7, arrival->word, -1, SQLITE_TRANSIENT);
	return store_run(store, statement);
}

/* The sender's key, from the pinned history: WAIT when the directory has to be asked first. */
static Outcome
sender_key(Arrival *arrival, const HdmsKey **key)
{
	const HdmsMessageHead *head = &arrival->message.head;
	char		kid[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status;

	if (!peer_find(arrival->home, head->iss, &arrival->sender))
		return OUTCOME_FAILED;
	if (arrival->sender == NULL)
	{
		if (arrival->received + DAY * 1000 <= home_now_ms(arrival->home))
			return outcome_of(arrival, HDMS_WRONG_SENDER);
		want_add(arrival->home, arrival->pairing, WANT_NODE, head->iss);
		strcpy(arrival->want, head->iss);
		arrival->next_try = arrival->received + DAY * 1000;
		return OUTCOME_WAIT;
	}
	status = hdms_message_kid(&arrival->message, kid);
	if (status != HDMS_OK)
		return outcome_of(arrival, status);
	*key = hdms_history_sender(arrival->sender->history, kid, head->iat, arrival->received / 1000);
	if (*key != NULL)
		return OUTCOME_DONE;
	if (arrival->sender->fetched >= arrival->received)
		return outcome_of(arrival, HDMS_UNKNOWN_KEY);
	want_add(arrival->home, arrival->pairing, WANT_NODE, head->iss);
	strcpy(arrival->want, head->iss);
	return OUTCOME_WAIT;
}

/* Opens an envelope with the current key, or one before it: a sender learns of new keys a little later. */
static HdmsStatus
message_unseal(Arrival *arrival, const char *envelope, size_t len)
{
	const Pairing *pairing = arrival->pairing;
	HdmsStatus	status = hdms_message_open(envelope, len, pairing->encrypt, pairing->node, 0, &arrival->message);

	for (int i = 0; i < pairing->encrypt_before_count && (status == HDMS_CANNOT_DECRYPT || status == HDMS_UNKNOWN_KEY); i++)
		status = hdms_message_open(envelope, len, pairing->encrypt_before[i], pairing->node, 0, &arrival->message);
	return status;
}

static Outcome
message_process(Arrival *arrival, const char *envelope, size_t len)
{
	int64_t		now = home_now(arrival->home);
	const HdmsMessageHead *head = &arrival->message.head;
	const HdmsKey *key = NULL;
	HdmsStatus	status;
	Outcome		outcome;
	bool		found;

	status = message_unseal(arrival, envelope, len);
	if (status != HDMS_OK)
		return outcome_of(arrival, status);
	if (head->exp < now)
		return outcome_of(arrival, HDMS_EXPIRED);
	if (head->iat > now + DAY)
		return outcome_of(arrival, HDMS_NOT_YET_VALID);
	if (head->iat > now + HDMS_CLOCK_SKEW)
	{
		arrival->next_try = (head->iat - HDMS_CLOCK_SKEW) * 1000;
		return OUTCOME_WAIT;
	}
	outcome = sender_key(arrival, &key);
	if (outcome != OUTCOME_DONE)
		return outcome;
	status = hdms_message_verify(&arrival->message, key);
	if (status != HDMS_OK)
		return outcome_of(arrival, status);
	if (!processed_look(arrival, &found))
		return OUTCOME_FAILED;
	if (found)
		return flow_repeat(arrival);
	outcome = flow_act(arrival);
	if (outcome == OUTCOME_DONE && !processed_record(arrival))
		return OUTCOME_FAILED;
	return outcome;
}

static bool
waiting_is_full(HdmsHome *home)
{
	int64_t		waiting;
	int64_t		quarantined;

	return inbox_counts(home, &waiting, &quarantined) && waiting >= MAX_WAITING;
}

/* Carries an outcome out. */
static bool
outcome_record(Arrival *arrival, Outcome outcome, const InboxItem *item)
{
	HdmsHome   *home = arrival->home;
	int64_t		until = arrival->next_try ? arrival->next_try : arrival->message.head.exp * 1000;

	if (outcome == OUTCOME_WAIT && waiting_is_full(home))
		outcome = outcome_of(arrival, HDMS_TOO_LARGE);
	switch (outcome)
	{
		case OUTCOME_DONE:
			return item_delete(home, item->id);
		case OUTCOME_WAIT:
			return item_wait(home, item->id, WAITING, arrival->want, until);
		case OUTCOME_REFUSED:
			home->refused_messages++;
			return item_delete(home, item->id) &&
				notice_add(home, "refused-message", "%s %s %s: %s", arrival->message.head.type[0] ? arrival->message.head.type : "message", item->transport,
						   arrival->message.head.iss[0] ? arrival->message.head.iss : "of unknown origin", hdms_status_sentence(arrival->refusal));
		case OUTCOME_FAILED:
			home_log(home, "message %s could not be processed: %s", item->transport, store_error(home->store));
			home->inbox_due = true;
			return item_wait(home, item->id, STORED, "", home_now_ms(home) + RETRY_MS);
	}
	return false;
}

static bool
item_act(HdmsHome *home, const InboxItem *item)
{
	Arrival		arrival = {.home = home, .pairing = pairing_find(home, item->pairing), .received = item->received};
	size_t		ack_count;
	Outcome		outcome;
	bool		good;

	if (arrival.pairing == NULL)
		return item_delete(home, item->id);
	ack_count = arrival.pairing->ack_count;
	if (!store_mark(home->store))
		return false;
	outcome = message_process(&arrival, item->envelope, item->len);
	if (outcome == OUTCOME_DONE)
		good = store_keep(home->store);
	else
	{
		good = store_undo(home->store);
		arrival.pairing->ack_count = ack_count;
		if (outcome == OUTCOME_FAILED)
			catalogue_doubt(home);
	}
	good = good && outcome_record(&arrival, outcome, item);
	hdms_body_free(&arrival.body);
	hdms_message_free(&arrival.message);
	return good;
}

bool
inbox_act(HdmsHome *home, const InboxItem *items, size_t count)
{
	bool		good;

	if (!store_begin(home->store))
		return false;
	good = true;
	for (size_t i = 0; good && i < count; i++)
		good = items[i].id == 0 || item_act(home, &items[i]);
	for (size_t i = 0; good && i < count; i++)
	{
		Pairing    *pairing = pairing_find(home, items[i].pairing);

		good = pairing == NULL || flow_send_acks(pairing);
	}
	if (good && store_commit(home->store))
		return true;
	home_log(home, "messages could not be processed: %s", store_error(home->store));
	store_rollback(home->store);
	catalogue_doubt(home);
	for (size_t i = 0; i < count; i++)
	{
		Pairing    *pairing = pairing_find(home, items[i].pairing);

		if (pairing != NULL)
			pairing->ack_count = 0;
	}
	home->inbox_due = true;
	return false;
}

/* Wakes rows whose time has come, and gives the rows to take up: several fresh ones, or one that was tried before. */
static bool
resume_claim(HdmsHome *home, InboxItem *items, size_t *count)
{
	Store	   *store = home->store;
	sqlite3_stmt *statement;
	int64_t		now_ms = home_now_ms(home);
	int			row = 0;

	*count = 0;
	statement = store_statement(store, "UPDATE inbox SET status = 0, attempts = 0, want = NULL, next_try = NULL WHERE status = 1 AND next_try <= ?1");
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, now_ms);
	if (!store_run(store, statement))
		return false;
	statement = store_statement(store, "SELECT id, pairing, transport, received, envelope, attempts FROM inbox"
								" WHERE status = 0 AND (next_try IS NULL OR next_try <= ?1) ORDER BY attempts, id LIMIT 32");
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, now_ms);
	while (*count < RESUME_BATCH && (row = store_next(store, statement)) == 1)
	{
		InboxItem  *item = &items[*count];
		int			attempts = sqlite3_column_int(statement, 5);

		if (attempts > 0 && *count > 0)
			break;
		item->id = sqlite3_column_int64(statement, 0);
		item->pairing = sqlite3_column_int64(statement, 1);
		store_column_digest(statement, 2, item->transport);
		item->received = sqlite3_column_int64(statement, 3);
		item->len = (size_t) sqlite3_column_bytes(statement, 4);
		item->envelope = malloc(item->len + 1);
		if (item->envelope == NULL)
			break;
		memcpy(item->envelope, sqlite3_column_blob(statement, 4), item->len);
		item->envelope[item->len] = '\0';
		(*count)++;
		if (attempts > 0)
			break;
	}
	sqlite3_reset(statement);
	return row >= 0;
}

/* Counts the attempt; an item that had its two is put aside instead, and gets id 0. */
static bool
resume_count(HdmsHome *home, InboxItem *item)
{
	sqlite3_stmt *statement = store_statement(home->store, "UPDATE inbox SET attempts = attempts + 1, next_try = NULL WHERE id = ?1 AND attempts < ?2 RETURNING id");
	int			row;

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, item->id);
	sqlite3_bind_int(statement, 2, MAX_ATTEMPTS);
	row = store_next(home->store, statement);
	if (row == 1)
	{
		sqlite3_reset(statement);
		return true;
	}
	if (row < 0 || !item_wait(home, item->id, QUARANTINED, "", 0))
		return false;
	item->id = 0;
	return notice_add(home, "quarantined", "message %s ended two attempts without an outcome and was put aside", item->transport);
}

bool
inbox_resume(HdmsHome *home, bool *more)
{
	InboxItem	items[RESUME_BATCH] = {{0}};
	size_t		count = 0;
	bool		good = false;

	*more = false;
	home->inbox_due = false;
	if (!store_begin(home->store))
		return false;
	if (!resume_claim(home, items, &count))
		goto cleanup;
	for (size_t i = 0; i < count; i++)
		if (!resume_count(home, &items[i]))
			goto cleanup;
	good = store_commit(home->store);
	if (good && count > 0)
	{
		*more = true;
		good = inbox_act(home, items, count);
	}

cleanup:
	if (!good)
		store_rollback(home->store);
	for (size_t i = 0; i < count; i++)
		free(items[i].envelope);
	return good;
}

bool
inbox_wake(HdmsHome *home, const char *want)
{
	sqlite3_stmt *statement = store_statement(home->store, "UPDATE inbox SET status = 0, attempts = 0, want = NULL, next_try = NULL WHERE want = ?1");

	if (!store_bind_digest(home->store, statement, 1, want))
		return false;
	home->inbox_due = true;
	return store_run(home->store, statement);
}

bool
inbox_retry(HdmsHome *home)
{
	home->inbox_due = true;
	return store_run(home->store, store_statement(home->store, "UPDATE inbox SET status = 0, attempts = 1, next_try = NULL WHERE status = 2"));
}

bool
inbox_wake_all(HdmsHome *home)
{
	home->inbox_due = true;
	return store_run(home->store, store_statement(home->store, "UPDATE inbox SET status = 0, attempts = 0, want = NULL, next_try = NULL WHERE status = 1"));
}

bool
inbox_next_timer(HdmsHome *home, int64_t *at)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT MIN(next_try) FROM inbox WHERE next_try IS NOT NULL");
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
inbox_counts(HdmsHome *home, int64_t *waiting, int64_t *quarantined)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT COUNT(*) FILTER (WHERE status < 2), COUNT(*) FILTER (WHERE status = 2) FROM inbox");

	if (store_next(home->store, statement) != 1)
		return false;
	*waiting = sqlite3_column_int64(statement, 0);
	*quarantined = sqlite3_column_int64(statement, 1);
	sqlite3_reset(statement);
	return true;
}
