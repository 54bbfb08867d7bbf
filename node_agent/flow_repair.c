/*
 * flow_repair.c
 *		Damaged versions that the institution is asked for, and what it answers.
 *
 * What is asked for is in rows, so that a question that does not fit one answer goes on, whenever that is. An answer is believed no more than a
 * record is; what is stored stays as it is until a copy has verified.
 */
#include "flow_repair.h"

#include <stdlib.h>
#include <string.h>

#include "chain.h"

#define ASKED_AT_ONCE	400

static bool
note_vk(Pairing *pairing, const char *vk, int64_t *count)
{
	Store	   *store = pairing->home->store;
	sqlite3_stmt *statement = store_statement(store, "INSERT OR IGNORE INTO repair (pairing, vk) VALUES (?1, ?2) RETURNING 1");
	int			row;

	if (!store_bind_digest(store, statement, 2, vk))
		return false;
	sqlite3_bind_int64(statement, 1, pairing->id);
	row = store_next(store, statement);
	if (row == 1)
	{
		(*count)++;
		sqlite3_reset(statement);
	}
	return row >= 0;
}

bool
repair_note(Pairing *pairing, const Version *end, int64_t *count)
{
	Version		version = *end;
	bool		found = true;

	/* Bounded, should the rows have come to name each other. */
	for (int i = 0; found && i < 10000; i++)
	{
		if (!note_vk(pairing, version.vk, count))
			return false;
		if (version.prev[0] == '\0')
			break;
		if (!note_vk(pairing, version.prev, count) || !version_by_vk(pairing->home, pairing->id, version.prev, &version, &found))
			return false;
	}
	return true;
}

/* The oldest first: a later version is verified with the request of the one before. */
static bool
noted(Pairing *pairing, char (*vks)[HDMS_DIGEST_TEXT + 1], size_t *count)
{
	Store	   *store = pairing->home->store;
	sqlite3_stmt *statement = store_statement(store, "SELECT r.vk FROM repair r LEFT JOIN version v ON v.vk = r.vk AND v.pairing = r.pairing"
											  " WHERE r.pairing = ?1 ORDER BY v.number, v.id LIMIT ?2");
	int			row;

	*count = 0;
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, pairing->id);
	sqlite3_bind_int(statement, 2, ASKED_AT_ONCE);
	while ((row = store_next(store, statement)) == 1)
		store_column_digest(statement, 0, vks[(*count)++]);
	return row == 0;
}

static bool
is_asked(Pairing *pairing, bool *asked)
{
	sqlite3_stmt *statement = store_statement(pairing->home->store, "SELECT COUNT(*) FROM outbox WHERE pairing = ?1 AND type = ?2");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, pairing->id);
	sqlite3_bind_int(statement, 2, OUT_REPAIR);
	if (store_next(pairing->home->store, statement) != 1)
		return false;
	*asked = sqlite3_column_int(statement, 0) > 0;
	sqlite3_reset(statement);
	return true;
}

bool
repair_ask(Pairing *pairing)
{
	char		(*vks)[HDMS_DIGEST_TEXT + 1] = malloc(sizeof(*vks) * ASKED_AT_ONCE);
	char	   *wanted[ASKED_AT_ONCE];
	HdmsBody	body = {.wanted = wanted};
	Peer	   *institution;
	char		jti[37] = "";
	bool		asked;
	bool		good;

	if (vks == NULL)
		return store_fail(pairing->home->store, "out of memory");
	good = is_asked(pairing, &asked) && noted(pairing, vks, &body.wanted_count) && peer_find(pairing->home, pairing->peer, &institution);
	for (size_t i = 0; good && i < body.wanted_count; i++)
		wanted[i] = vks[i];
	if (good && !asked && body.wanted_count > 0)
		good = institution == NULL ? store_fail(pairing->home->store, "the institution's key is not known") :
			outbox_add(pairing, institution, OUT_REPAIR, "", 0, &body, jti);
	free(vks);
	return good;
}

static bool
forget_vk(Pairing *pairing, const char *vk, int *count)
{
	Store	   *store = pairing->home->store;
	sqlite3_stmt *statement = store_statement(store, "DELETE FROM repair WHERE pairing = ?1 AND vk = ?2 RETURNING 1");
	int			row;

	if (!store_bind_digest(store, statement, 2, vk))
		return false;
	sqlite3_bind_int64(statement, 1, pairing->id);
	row = store_next(store, statement);
	if (row == 1)
	{
		(*count)++;
		sqlite3_reset(statement);
	}
	return row >= 0;
}

static bool
forget_all(Pairing *pairing)
{
	sqlite3_stmt *statement = store_statement(pairing->home->store, "DELETE FROM repair WHERE pairing = ?1");

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, pairing->id);
	return store_run(pairing->home->store, statement);
}

static bool
same_text(const HdmsBytes *stored, const char *text)
{
	return stored->data != NULL && strlen((const char *) stored->data) == strlen(text) && strcmp((const char *) stored->data, text) == 0;
}

/* Whether what is stored of a version is the copy already. */
static bool
is_stored(HdmsHome *home, const Version *version, const HdmsState *state, const HdmsCopy *copy)
{
	HdmsBytes	text = {0};
	Evidence	evidence = {0};
	bool		same;

	same = part_get(home, version->id, PART_STATE, &text) && same_text(&text, copy->state) && evidence_get(home, version->id, &evidence) &&
		evidence.acceptance != NULL && strcmp(evidence.acceptance, copy->acceptance) == 0 &&
		evidence.request != NULL && strcmp(evidence.request, copy->request) == 0 &&
		evidence.receipt != NULL && strcmp(evidence.receipt, copy->receipt) == 0 &&
		strcmp(version->record, state->record) == 0 && version->number == state->version && strcmp(version->prev, state->prev) == 0;
	hdms_bytes_wipe(&text);
	evidence_free(&evidence);
	return same;
}

/* One copy: put back where it verifies and something else, or nothing, is stored. */
static Outcome
copy_take(Arrival *arrival, const HdmsCopy *copy, const HdmsHistory *patient, int *answered)
{
	Pairing    *pairing = arrival->pairing;
	HdmsState	state;
	Version		version;
	bool		found;
	int			asked = 0;
	HdmsStatus	status;

	if (hdms_state_parse(copy->state, strlen(copy->state), true, &state) != HDMS_OK)
		return OUTCOME_DONE;

	/* What was not asked for is not looked at. */
	if (!forget_vk(pairing, state.vk, &asked))
		return OUTCOME_FAILED;
	*answered += asked;
	if (asked == 0 || copy->acceptance == NULL || copy->request == NULL || copy->receipt == NULL)
		return OUTCOME_DONE;
	if (!version_by_vk(arrival->home, pairing->id, state.vk, &version, &found))
		return OUTCOME_FAILED;
	if (found && (version.status == VERSION_ERASED || is_stored(arrival->home, &version, &state, copy)))
		return OUTCOME_DONE;
	status = copy_put_back(arrival, copy, patient, found ? &version : NULL);
	if (status == HDMS_OUT_OF_MEMORY || status == HDMS_CRYPTO_FAILED)
		return OUTCOME_FAILED;
	if (status == HDMS_OK)
		return notice_add(arrival->home, "repaired", "version %lld of record %s was damaged here and is as it was signed again",
						  (long long) state.version, state.record) ? OUTCOME_DONE : OUTCOME_FAILED;
	return notice_add(arrival->home, "damaged", "version %lld of record %s is damaged, and the copy of %s does not verify either: %s",
					  (long long) state.version, state.record, arrival->sender->node, hdms_status_sentence(status)) ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* What the institution does not have. */
static Outcome
missing_take(Arrival *arrival, const char *vk, int *answered)
{
	char		problem[CHAIN_PROBLEM];
	Version		version;
	bool		found;
	int			asked = 0;

	if (!forget_vk(arrival->pairing, vk, &asked) || !version_by_vk(arrival->home, arrival->pairing->id, vk, &version, &found))
		return OUTCOME_FAILED;
	*answered += asked;
	if (asked == 0 || !found)
		return OUTCOME_DONE;
	chain_problem(arrival->home, &version, problem);
	if (problem[0] == '\0')
		return OUTCOME_DONE;
	return notice_add(arrival->home, "damaged", "version %lld of record %s is damaged, and %s has no copy of it: %s", (long long) version.number,
					  version.record, arrival->sender->node, problem) ? OUTCOME_DONE : OUTCOME_FAILED;
}

Outcome
repair_answered(Arrival *arrival)
{
	Pairing    *pairing = arrival->pairing;
	const HdmsBody *body = &arrival->body;
	HdmsHistory *patient = NULL;
	Outcome		outcome = copies_check_lists(arrival);
	OutboxType	type;
	int64_t		version;
	bool		found;
	int			answered = 0;

	if (outcome != OUTCOME_DONE)
		return outcome;
	if (hdms_history_parse(pairing->history, strlen(pairing->history), &patient) != HDMS_OK)
		return OUTCOME_FAILED;
	for (size_t i = 0; outcome == OUTCOME_DONE && i < body->copy_count; i++)
		outcome = copy_take(arrival, &body->copies[i], patient, &answered);
	for (size_t i = 0; outcome == OUTCOME_DONE && i < body->missing_count; i++)
		outcome = missing_take(arrival, body->missing[i], &answered);
	hdms_history_free(patient);
	if (outcome != OUTCOME_DONE)
		return outcome;
	home_changed(arrival->home);

	/* What did not fit is asked for again; an answer to nothing of it ends the asking. */
	if (!outbox_answered(pairing, arrival->sender->node, arrival->message.head.re, &found, &type, &version) ||
		(answered == 0 && !forget_all(pairing)) || !repair_ask(pairing))
		return OUTCOME_FAILED;
	return OUTCOME_DONE;
}
