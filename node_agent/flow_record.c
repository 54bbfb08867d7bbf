/*
 * flow_record.c
 *		A record arrives, and the person decides about it.
 *
 * Everything that can be wrong is checked before the person is asked: what they accept is what the institution signed, for them, in its place in
 * the chain, with a notary that can be drawn.
 */
#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "flow.h"
#include "notarisation.h"
#include "notary_list.h"
#include "request_facts.h"

/* Tells the institution that this record will not be stored. */
static Outcome
record_refuse(Arrival *arrival, HdmsStatus status)
{
	HdmsBody	body = {.code = (char *) hdms_status_word(status), .detail = (char *) hdms_status_sentence(status)};
	char		jti[37] = "";

	if (status == HDMS_OUT_OF_MEMORY || status == HDMS_CRYPTO_FAILED)
		return OUTCOME_FAILED;
	arrival->answer = ANSWER_REFUSED;
	snprintf(arrival->word, sizeof(arrival->word), "%s", body.code);
	if (!notice_add(arrival->home, "refused-record", "a record from %s was refused: %s", arrival->sender->node, body.detail) ||
		!outbox_add(arrival->pairing, arrival->sender, OUT_REFUSED, arrival->message.head.jti, 0, &body, jti))
		return OUTCOME_FAILED;
	return OUTCOME_DONE;
}

static HdmsStatus
record_verify(Arrival *arrival, HdmsState *state, HdmsCommit *commit)
{
	const Pairing *pairing = arrival->pairing;
	const char *text = arrival->body.state;
	int64_t		now = home_now(arrival->home);
	HdmsStatus	status;

	if ((status = hdms_state_verify(text, strlen(text), true, arrival->sender->history, now, state)) != HDMS_OK ||
		(status = hdms_commit_verify(arrival->body.commit, strlen(arrival->body.commit), arrival->sender->history, now, commit)) != HDMS_OK ||
		(status = hdms_commit_matches(commit, state)) != HDMS_OK)
		return status;
	if (strcmp(state->sub, pairing->node) != 0)
		return HDMS_WRONG_RECEIVER;
	if (strcmp(state->iss, pairing->peer) != 0)
		return HDMS_WRONG_SENDER;
	if (strcmp(commit->vrf, hdms_key_thumbprint(pairing->vrf)) != 0)
		return HDMS_BAD_KEY;
	if (commit->accept_until < now)
		return HDMS_TOO_LATE;
	return HDMS_OK;
}

/*
 * The place in the chain. DONE: it fits; WAIT: for the version before to become final; REFUSED; FAILED.
 */
static Outcome
chain_check(Arrival *arrival, const HdmsState *state, char notary[HDMS_DIGEST_TEXT + 1])
{
	Version		before;
	bool		found;

	notary[0] = '\0';
	if (state->version == 1)
	{
		if (!version_of_record(arrival->home, arrival->pairing->id, state->record, VERSION_FINAL, &before, &found))
			return OUTCOME_FAILED;
		return found ? outcome_of(arrival, HDMS_BAD_CHAIN) : OUTCOME_DONE;
	}
	if (!version_by_vk(arrival->home, arrival->pairing->id, state->prev, &before, &found))
		return OUTCOME_FAILED;
	if (found && (strcmp(before.record, state->record) != 0 || before.number + 1 != state->version || before.status == VERSION_SUPERSEDED))
		return outcome_of(arrival, HDMS_BAD_CHAIN);
	if (!found || before.status != VERSION_FINAL)
	{
		strcpy(arrival->want, state->prev);
		return OUTCOME_WAIT;
	}
	strcpy(notary, before.notary);
	return OUTCOME_DONE;
}

/* The pinned list must be here, of use still, and have the notary that a later version is bound to. */
static Outcome
list_check(Arrival *arrival, const HdmsCommit *commit, const char *notary)
{
	const HdmsNotaryList *list;

	if (!notary_list_find(arrival->home, arrival->pairing, commit->notaries, &list))
		return OUTCOME_FAILED;
	if (list == NULL)
	{
		want_add(arrival->home, arrival->pairing, WANT_LIST, commit->notaries);
		strcpy(arrival->want, commit->notaries);
		return OUTCOME_WAIT;
	}
	if (notary[0] == '\0' && list->iat + list->max_age < home_now(arrival->home))
		return outcome_of(arrival, HDMS_EXPIRED);
	if (notary[0] != '\0' && hdms_notaries_find(list, notary) == NULL)
		return outcome_of(arrival, HDMS_BAD_DRAW);
	return OUTCOME_DONE;
}

static HdmsStatus
record_store(Arrival *arrival, const HdmsState *state, const HdmsCommit *commit, Version *version)
{
	HdmsBytes	content = {0};
	char	   *summary = NULL;
	HdmsStatus	status;
	bool		good;

	status = hdms_state_content(arrival->body.state, strlen(arrival->body.state), &content);
	if (status != HDMS_OK)
		return status;
	summary = catalogue_summary(state->type, (const char *) content.data, content.len);
	hdms_bytes_wipe(&content);
	if (summary == NULL)
		return HDMS_OUT_OF_MEMORY;
	memset(version, 0, sizeof(*version));
	version->pairing = arrival->pairing->id;
	version->number = state->version;
	version->status = arrival->pairing->accept ? VERSION_RECEIVED : VERSION_ASKED;
	version->accept_until = commit->accept_until;
	version->received = home_now_ms(arrival->home);
	version->next_try = arrival->pairing->accept ? 0 : commit->accept_until * 1000;
	strcpy(version->record, state->record);
	strcpy(version->vk, state->vk);
	strcpy(version->prev, state->prev);
	strcpy(version->message, arrival->message.head.jti);
	good = version_insert(arrival->home, version, summary) && part_put(arrival->home, version->id, PART_STATE, arrival->body.state) &&
		(arrival->pairing->accept || part_put(arrival->home, version->id, PART_COMMIT, arrival->body.commit));
	hdms_string_wipe(summary);
	return good ? HDMS_OK : HDMS_OUT_OF_MEMORY;
}

Outcome
flow_record(Arrival *arrival)
{
	HdmsState	state;
	HdmsCommit	commit;
	Version		version;
	FlowTexts	texts;
	char		notary[HDMS_DIGEST_TEXT + 1];
	bool		found;
	HdmsStatus	status = record_verify(arrival, &state, &commit);
	Outcome		outcome;

	if (status != HDMS_OK)
		return record_refuse(arrival, status);
	arrival->answer = ANSWER_FLOW;

	/* The same state in another message: the flow goes on where it is. */
	if (!version_by_vk(arrival->home, arrival->pairing->id, state.vk, &version, &found))
		return OUTCOME_FAILED;
	if (found)
	{
		strcpy(version.message, arrival->message.head.jti);
		arrival->version = version.id;
		return version_save(arrival->home, &version) ? flow_repeat(arrival) : OUTCOME_FAILED;
	}
	outcome = chain_check(arrival, &state, notary);
	if (outcome == OUTCOME_DONE)
		outcome = list_check(arrival, &commit, notary);
	if (outcome == OUTCOME_REFUSED)
		return record_refuse(arrival, arrival->refusal);
	if (outcome != OUTCOME_DONE)
		return outcome;
	status = record_store(arrival, &state, &commit, &version);
	if (status != HDMS_OK)
		return OUTCOME_FAILED;
	arrival->version = version.id;
	home_changed(arrival->home);
	if (!arrival->pairing->accept)
		return pairing_ack(arrival->pairing, arrival->message.head.jti) ? OUTCOME_DONE : OUTCOME_FAILED;
	texts.state = arrival->body.state;
	texts.commit = arrival->body.commit;
	texts.parsed = &state;
	texts.claims = &commit;
	status = flow_accept(arrival->pairing, &version, &texts);
	if (status == HDMS_OK)
		return OUTCOME_DONE;

	/* Nobody can be drawn from that list: the flow has ended before it began. */
	if (status != HDMS_BAD_DRAW)
		return OUTCOME_FAILED;
	version.status = VERSION_FAILED;
	version.next_try = 0;
	snprintf(version.last_error, sizeof(version.last_error), "%s", hdms_status_word(status));
	return version_save(arrival->home, &version) ? record_refuse(arrival, status) : OUTCOME_FAILED;
}

/* The first version's request: the notary is drawn past the skips. */
static HdmsStatus
request_draw(Pairing *pairing, Version *version, const FlowTexts *texts, const char *acceptance, char **request)
{
	const HdmsNotaryList *list;
	const HdmsNotary *notary;
	HdmsStatus	status;

	if (!notary_list_find(pairing->home, pairing, texts->claims->notaries, &list))
		return HDMS_BAD_ARGUMENT;
	if (list == NULL)
		return HDMS_NOT_ADMITTED;
	status = hdms_request_first(texts->parsed, texts->commit, acceptance, list, NULL, 0, pairing->vrf, pairing->sign, home_now(pairing->home),
								request, &notary);
	if (status == HDMS_OK)
		strcpy(version->notary, notary->node);
	return status;
}

/* A later version's request: the notary of the one before. */
static HdmsStatus
request_continue(Pairing *pairing, Version *version, const FlowTexts *texts, const char *acceptance, char **request)
{
	Version		before;
	Evidence	evidence;
	HdmsStatus	status;
	bool		found;

	if (!version_by_vk(pairing->home, pairing->id, version->prev, &before, &found))
		return HDMS_BAD_ARGUMENT;
	if (!found || before.status != VERSION_FINAL)
		return HDMS_BAD_CHAIN;
	if (!evidence_get(pairing->home, before.id, &evidence) || evidence.request == NULL)
		status = HDMS_BAD_ARGUMENT;
	else
		status = hdms_request_next(texts->parsed, texts->commit, acceptance, evidence.request, before.notary, pairing->sign,
								   home_now(pairing->home), request);
	evidence_free(&evidence);
	if (status == HDMS_OK)
		strcpy(version->notary, before.notary);
	return status;
}

/* Signs, stores and sends; version and its parts are written. */
static HdmsStatus
accept_texts(Pairing *pairing, Version *version, const FlowTexts *texts)
{
	HdmsHome   *home = pairing->home;
	char	   *acceptance = NULL;
	char	   *request = NULL;
	HdmsStatus	status;

	status = hdms_acceptance_sign(texts->state, strlen(texts->state), pairing->sign, home_now(home), &acceptance);
	if (status == HDMS_OK && version->number == 1)
		status = request_draw(pairing, version, texts, acceptance, &request);
	else if (status == HDMS_OK)
		status = request_continue(pairing, version, texts, acceptance, &request);
	if (status == HDMS_OK)
	{
		version->status = VERSION_ACCEPTED;
		request_facts_note(home, request, version->notary, texts->claims);
		if (!evidence_put(home, version->id, acceptance, request, NULL) || !flow_send_request(pairing, version, request))
			status = HDMS_BAD_ARGUMENT;
	}
	free(acceptance);
	free(request);
	return status;
}

HdmsStatus
flow_accept(Pairing *pairing, Version *version, const FlowTexts *texts)
{
	HdmsBytes	state = {0};
	HdmsBytes	commit = {0};
	HdmsState	parsed;
	HdmsCommit	claims;
	FlowTexts	stored;
	HdmsStatus	status = HDMS_BAD_ARGUMENT;

	if (texts != NULL)
		return accept_texts(pairing, version, texts);
	if (part_get(pairing->home, version->id, PART_STATE, &state) && part_get(pairing->home, version->id, PART_COMMIT, &commit) &&
		state.data != NULL && commit.data != NULL)
	{
		stored.state = (const char *) state.data;
		stored.commit = (const char *) commit.data;
		stored.parsed = &parsed;
		stored.claims = &claims;
		status = hdms_state_parse(stored.state, state.len, true, &parsed);
		if (status == HDMS_OK)
			status = hdms_commit_peek(stored.commit, commit.len, &claims);
		if (status == HDMS_OK)
			status = accept_texts(pairing, version, &stored);
		if (status == HDMS_OK && !part_remove(pairing->home, version->id, PART_COMMIT))
			status = HDMS_BAD_ARGUMENT;
	}
	hdms_bytes_wipe(&state);
	hdms_bytes_free(&commit);
	return status;
}

/* The signed rejection: made once, kept, and repeated as it was. */
static HdmsStatus
rejection_text(Pairing *pairing, const Version *version, const char *reason, HdmsBytes *text)
{
	HdmsRejection rejection = {.iat = home_now(pairing->home)};
	char	   *jws = NULL;
	HdmsStatus	status;

	if (reason == NULL)
		return part_get(pairing->home, version->id, PART_REJECTION, text) && text->data != NULL ? HDMS_OK : HDMS_BAD_ARGUMENT;
	if (strlen(reason) > HDMS_REASON_MAX)
		return HDMS_TOO_LARGE;
	strcpy(rejection.iss, pairing->node);
	strcpy(rejection.aud, pairing->peer);
	strcpy(rejection.vk, version->vk);
	strcpy(rejection.reason, reason);
	status = hdms_rejection_sign(&rejection, pairing->sign, &jws);
	if (status != HDMS_OK)
		return status;
	text->data = (unsigned char *) jws;
	text->len = strlen(jws);
	return part_put(pairing->home, version->id, PART_REJECTION, jws) ? HDMS_OK : HDMS_BAD_ARGUMENT;
}

HdmsStatus
flow_reject(Pairing *pairing, Version *version, const char *reason)
{
	HdmsBytes	text = {0};
	HdmsBody	body = {.vk = version->vk};
	Peer	   *institution;
	HdmsStatus	status = rejection_text(pairing, version, reason, &text);

	if (status == HDMS_OK)
	{
		body.rejection = (char *) text.data;
		version->status = VERSION_REJECTED;
		version->next_try = 0;
		if (!peer_find(pairing->home, pairing->peer, &institution) || institution == NULL ||
			!outbox_add(pairing, institution, OUT_REJECTED, version->message, version->id, &body, version->answer) ||
			!version_save(pairing->home, version))
			status = HDMS_BAD_ARGUMENT;
	}
	hdms_bytes_free(&text);
	return status;
}
