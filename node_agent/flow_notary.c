/*
 * flow_notary.c
 *		The notary: its request, its receipt, its refusals, its silence.
 */
#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "flow.h"
#include "jws.h"
#include "notary_list.h"
#include "request_facts.h"

/* The number-th request of a version; *own is to be freed where it had to be read. NULL: it is not there. */
static bool
request_text(HdmsHome *home, const Version *version, const Evidence *evidence, int number, HdmsBytes *own, const char **text)
{
	if (number == 0)
	{
		*text = evidence->request;
		return true;
	}
	if (!part_get(home, version->id, PART_REQUEST(number), own))
		return false;
	*text = (const char *) own->data;
	return true;
}

bool
flow_send_request(Pairing *pairing, Version *version, const char *request)
{
	HdmsHome   *home = pairing->home;
	Evidence	stored = {0};
	Evidence	previous = {0};
	HdmsBytes	own = {0};
	Version		before;
	Peer	   *notary;
	HdmsBody	body = {0};
	char		jti[37] = "";
	int			count;
	bool		found;
	bool		good = false;

	if (!peer_find(home, version->notary, &notary))
		return false;
	if (notary == NULL)
	{
		want_add(home, pairing, WANT_NODE, version->notary);
		version->status = VERSION_ACCEPTED;
		version->next_try = home_now_ms(home) + home->config.retry_max;
		return version_save(home, version);
	}
	if (request == NULL &&
		(!request_count(home, version->id, &count) || count < 1 || !evidence_get(home, version->id, &stored) ||
		 !request_text(home, version, &stored, count - 1, &own, &request)))
		goto cleanup;
	body.request = (char *) request;
	if (version->number > 1)
	{
		if (!version_by_vk(home, pairing->id, version->prev, &before, &found) || !found || !evidence_get(home, before.id, &previous))
			goto cleanup;
		body.prev_request = (char *) previous.request;
		body.prev_receipt = (char *) previous.receipt;
	}
	version->status = VERSION_NOTARISING;
	version->next_try = home_now_ms(home) + home->config.notary_patience;
	good = outbox_add(pairing, notary, OUT_NOTARISE, "", version->id, &body, jti) && version_save(home, version);

cleanup:
	evidence_free(&stored);
	evidence_free(&previous);
	hdms_bytes_free(&own);
	return good;
}

/* A request that was found among a version's. */
typedef struct FoundRequest
{
	int			number;			/* -1: none */
	const char *text;
	RequestFacts facts;
	HdmsBytes	own;
} FoundRequest;

/* Finds the newest of the version's requests to a notary, below a number, that a leaf (NULL: any) is about. */
static void
request_to(HdmsHome *home, const Version *version, const Evidence *evidence, const char *notary, int below, const HdmsLeaf *leaf, FoundRequest *found)
{
	for (int i = below - 1; i >= 0; i--)
	{
		hdms_bytes_free(&found->own);
		if (!request_text(home, version, evidence, i, &found->own, &found->text) || found->text == NULL)
			break;
		if (request_facts_of(home, found->text, &found->facts) == HDMS_OK && strcmp(found->facts.aud, notary) == 0 &&
			(leaf == NULL || memcmp(found->facts.digest, leaf->request, HDMS_DIGEST_SIZE) == 0))
		{
			found->number = i;
			return;
		}
	}
	found->number = -1;
}

/* The log key of a notary in the list that a request's commit pins. */
static bool
log_key(Arrival *arrival, const RequestFacts *request, const HdmsKey **key)
{
	const HdmsNotaryList *list;
	const HdmsNotary *notary;

	*key = NULL;
	if (!notary_list_find(arrival->home, arrival->pairing, request->notaries, &list))
		return false;
	if (list != NULL && (notary = hdms_notaries_find(list, arrival->sender->node)) != NULL)
		*key = notary->log;
	return true;
}

/* The receipt is about that request: its evidence is complete, and goes to the institution. */
static bool
receipt_keep(Arrival *arrival, Version *version, const char *acceptance, const char *request, const char *receipt)
{
	HdmsHome   *home = arrival->home;
	Evidence	evidence = {.acceptance = acceptance, .request = request, .receipt = receipt};

	if (acceptance == NULL)
		return store_fail(home->store, "the acceptance is missing");
	strcpy(version->notary, arrival->sender->node);
	version->status = VERSION_NOTARISED;
	version->next_try = 0;
	version->last_error[0] = '\0';
	if (!evidence_put(home, version->id, acceptance, request, receipt) || !outbox_forget(home, version->id, OUT_TYPE_COUNT))
		return false;
	version->answer[0] = '\0';
	return flow_send_accepted(arrival->pairing, version, &evidence);
}

/* Verifies a receipt against the version's requests and goes on with it. */
static Outcome
receipt_take(Arrival *arrival, Version *version, const char *receipt)
{
	HdmsHome   *home = arrival->home;
	Evidence	evidence = {0};
	FoundRequest request = {0};
	HdmsLeaf	leaf;
	const HdmsKey *key;
	HdmsStatus	status;
	int			count;

	/* Any request to this notary names the list; the leaf then says which request it was. */
	if (!request_count(home, version->id, &count))
		return OUTCOME_FAILED;
	if (!evidence_get(home, version->id, &evidence))
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	request_to(home, version, &evidence, arrival->sender->node, count, NULL, &request);
	if (request.number < 0)
		status = HDMS_WRONG_SENDER;
	else if (!log_key(arrival, &request.facts, &key))
		status = HDMS_OUT_OF_MEMORY;
	else if (key == NULL)
		status = HDMS_NOT_ADMITTED;
	else
		status = hdms_receipt_verify(receipt, strlen(receipt), arrival->sender->node, key, &leaf, NULL, NULL);
	if (status != HDMS_OK)
		goto cleanup;
	if (memcmp(request.facts.digest, leaf.request, HDMS_DIGEST_SIZE) != 0)
		request_to(home, version, &evidence, arrival->sender->node, request.number, &leaf, &request);
	if (request.number < 0 || memcmp(leaf.tag, request.facts.tag, HDMS_DIGEST_SIZE) != 0)
		status = HDMS_DIGEST_MISMATCH;
	else if (leaf.time_ms > request.facts.accept_until * 1000)
		status = HDMS_TOO_LATE;
	else if (!receipt_keep(arrival, version, evidence.acceptance, request.text, receipt))
		status = HDMS_OUT_OF_MEMORY;

cleanup:
	hdms_bytes_free(&request.own);
	evidence_free(&evidence);
	return outcome_of(arrival, status);
}

/* The version whose notary request the message answers; *found false when nobody waits for it. */
static bool
version_of_answer(Arrival *arrival, Version *version, bool *found)
{
	OutboxType	type;
	int64_t		id;

	if (!outbox_look(arrival->pairing, arrival->sender->node, arrival->message.head.re, found, &type, &id))
		return false;
	if (*found && type != OUT_NOTARISE)
		*found = false;
	return !*found || version_load(arrival->home, id, version, found);
}

Outcome
flow_receipt(Arrival *arrival)
{
	Version		version;
	bool		found;

	if (!version_of_answer(arrival, &version, &found))
		return OUTCOME_FAILED;

	/* A second receipt, or one for a request that was answered by another notary: there is evidence already. */
	if (!found)
		return OUTCOME_DONE;
	arrival->version = version.id;
	return receipt_take(arrival, &version, arrival->body.receipt);
}

/* Whether a receipt proves that the log has another request under this version's tag. */
static bool
rival_is_proved(Arrival *arrival, const Version *version, const char *receipt, bool *proved)
{
	Evidence	evidence = {0};
	FoundRequest request = {0};
	HdmsLeaf	leaf;
	const HdmsKey *key = NULL;
	bool		good;
	int			count;

	*proved = false;
	if (!request_count(arrival->home, version->id, &count))
		return false;
	good = evidence_get(arrival->home, version->id, &evidence);
	if (good)
	{
		request_to(arrival->home, version, &evidence, arrival->sender->node, count, NULL, &request);
		good = request.number < 0 || log_key(arrival, &request.facts, &key);
	}
	if (key != NULL)
		*proved = hdms_receipt_verify(receipt, strlen(receipt), arrival->sender->node, key, &leaf, NULL, NULL) == HDMS_OK &&
			memcmp(leaf.tag, request.facts.tag, HDMS_DIGEST_SIZE) == 0;
	hdms_bytes_free(&request.own);
	evidence_free(&evidence);
	return good;
}

/* The notary says no. Some reasons pass by themselves; the request is then sent again as a new message. */
static Outcome
notary_refused(Arrival *arrival, Version *version, const char *code)
{
	static const char *const passing[] = {"unknown-node", "unknown-list", "unknown-predecessor", "not-a-notary", "not-admitted", "unknown-key", "unknown-state"};
	HdmsHome   *home = arrival->home;
	bool		passes = false;
	OutboxType	type;
	int64_t		id;
	bool		found;

	if (strcmp(code, "conflict") == 0)
	{
		Outcome		outcome = arrival->body.receipt ? receipt_take(arrival, version, arrival->body.receipt) : OUTCOME_REFUSED;
		bool		proved = false;

		/* The rival is this very request: so this is its receipt. */
		if (outcome == OUTCOME_DONE || outcome == OUTCOME_FAILED)
			return outcome;
		if (arrival->body.receipt != NULL && !rival_is_proved(arrival, version, arrival->body.receipt, &proved))
			return OUTCOME_FAILED;

		/* A conflict is the institution's fault or this person's, so it takes proof; without it the notary is asked again. */
		passes = !proved;
	}
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		passes = passes || strcmp(code, passing[i]) == 0;
	if (!outbox_answered(arrival->pairing, arrival->sender->node, arrival->message.head.re, &found, &type, &id))
		return OUTCOME_FAILED;
	snprintf(version->last_error, sizeof(version->last_error), "%s", code);
	if (strcmp(arrival->sender->node, version->notary) != 0)
		return OUTCOME_DONE;	/* one that was skipped: its word does not matter any more */
	if (passes)
	{
		version->status = VERSION_ACCEPTED;
		version->next_try = home_now_ms(home) + home->config.retry_max;
	}
	else
	{
		version->status = strcmp(code, "too-late") == 0 ? VERSION_EXPIRED : VERSION_FAILED;
		version->next_try = 0;
		if (!notice_add(home, "notary-refused", "the notary %s refused record %s: %s", version->notary, version->record, code))
			return OUTCOME_FAILED;
	}
	return version_save(home, version) ? OUTCOME_DONE : OUTCOME_FAILED;
}

Outcome
flow_refused(Arrival *arrival)
{
	char		code[40];
	OutboxType	type;
	Version		version;
	int64_t		id;
	bool		found;

	/* A word for the log and the screen: only what words are made of. */
	snprintf(code, sizeof(code), "%.*s", (int) strspn(arrival->body.code, "abcdefghijklmnopqrstuvwxyz0123456789-_"), arrival->body.code);
	if (!outbox_look(arrival->pairing, arrival->sender->node, arrival->message.head.re, &found, &type, &id))
		return OUTCOME_FAILED;
	if (!found)
		return OUTCOME_DONE;
	if (type == OUT_NOTARISE)
	{
		if (!version_load(arrival->home, id, &version, &found))
			return OUTCOME_FAILED;
		arrival->version = id;
		return found ? notary_refused(arrival, &version, code) : OUTCOME_DONE;
	}
	if (!outbox_answered(arrival->pairing, arrival->sender->node, arrival->message.head.re, &found, &type, &id))
		return OUTCOME_FAILED;
	if (id == 0 || !version_load(arrival->home, id, &version, &found))
		return id == 0 ? OUTCOME_DONE : OUTCOME_FAILED;
	if (!found)
		return OUTCOME_DONE;
	snprintf(version.last_error, sizeof(version.last_error), "%s", code);
	if (type == OUT_ACCEPTED && strcmp(code, "outdated") == 0)
	{
		/* The institution signed it anew, and the other signature is final. That is seen here; its word alone ends nothing. */
		Version		other;

		if (!version_of_record(arrival->home, version.pairing, version.record, VERSION_FINAL, &other, &found))
			return OUTCOME_FAILED;
		if (found && other.number >= version.number && other.id != version.id)
			version.status = VERSION_WITHDRAWN;
		return version_save(arrival->home, &version) ? OUTCOME_DONE : OUTCOME_FAILED;
	}
	if (!notice_add(arrival->home, "institution-refused", "%s refused a message about record %s: %s", arrival->sender->node, version.record, code))
		return OUTCOME_FAILED;
	return version_save(arrival->home, &version) ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* Finds the version that an institution's message names by vk. */
static bool
version_named(Arrival *arrival, Version *version, bool *found)
{
	*found = hdms_is_digest_text(arrival->body.vk, strlen(arrival->body.vk));
	return !*found || version_by_vk(arrival->home, arrival->pairing->id, arrival->body.vk, version, found);
}

static bool
silent_answered(Arrival *arrival)
{
	OutboxType	type;
	int64_t		version;
	bool		found;

	if (!outbox_look(arrival->pairing, arrival->sender->node, arrival->message.head.re, &found, &type, &version))
		return false;
	return !found || type != OUT_SILENT || outbox_answered(arrival->pairing, arrival->sender->node, arrival->message.head.re, &found, &type, &version);
}

Outcome
flow_alive(Arrival *arrival)
{
	Version		version;
	bool		found;

	if (!silent_answered(arrival) || !version_named(arrival, &version, &found))
		return OUTCOME_FAILED;
	if (!found || version.status != VERSION_NOTARISING)
		return OUTCOME_DONE;
	version.next_try = home_now_ms(arrival->home) + arrival->home->config.notary_patience;
	return version_save(arrival->home, &version) ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* The commit inside a request of this device's own. */
static HdmsStatus
commit_inside(const char *request, char **commit)
{
	HdmsBytes	payload = {0};
	json_t	   *claims = NULL;
	const char *text;
	HdmsStatus	status = hdms_jws_peek_payload(request, strlen(request), &payload);

	if (status == HDMS_OK)
		status = hdms_claims_parse((const char *) payload.data, payload.len, &claims);
	if (status == HDMS_OK)
		status = hdms_claims_string(claims, "commit", &text);
	if (status == HDMS_OK && (*commit = strdup(text)) == NULL)
		status = HDMS_OUT_OF_MEMORY;
	json_decref(claims);
	hdms_bytes_free(&payload);
	return status;
}

/* Draws again past everyone who was skipped, and keeps the new request beside the old ones: an old notary may still answer. */
static HdmsStatus
draw_again(Arrival *arrival, Version *version, int count)
{
	HdmsHome   *home = arrival->home;
	HdmsBytes	skips[MAX_REQUESTS] = {{0}};
	const char *skip_texts[MAX_REQUESTS];
	HdmsBytes	state_text = {0};
	Evidence	evidence = {0};
	char	   *commit = NULL;
	char	   *request = NULL;
	HdmsState	state;
	HdmsCommit	claims;
	const HdmsNotaryList *list = NULL;
	const HdmsNotary *notary;
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	for (int i = 0; i < count; i++)
	{
		if (!part_get(home, version->id, PART_SKIP(i), &skips[i]) || skips[i].data == NULL)
			goto cleanup;
		skip_texts[i] = (const char *) skips[i].data;
	}
	if (!part_get(home, version->id, PART_STATE, &state_text) || !evidence_get(home, version->id, &evidence) || state_text.data == NULL ||
		evidence.acceptance == NULL || evidence.request == NULL)
		goto cleanup;
	if ((status = hdms_state_parse((const char *) state_text.data, state_text.len, true, &state)) != HDMS_OK ||
		(status = commit_inside(evidence.request, &commit)) != HDMS_OK ||
		(status = hdms_commit_peek(commit, strlen(commit), &claims)) != HDMS_OK)
		goto cleanup;
	status = HDMS_OUT_OF_MEMORY;
	if (!notary_list_find(home, arrival->pairing, claims.notaries, &list) || list == NULL)
		goto cleanup;
	status = hdms_request_first(&state, commit, evidence.acceptance, list, skip_texts, (size_t) count,
								arrival->pairing->vrf, arrival->pairing->sign, home_now(home), &request, &notary);
	if (status != HDMS_OK)
		goto cleanup;
	strcpy(version->notary, notary->node);
	request_facts_note(home, request, version->notary, &claims);
	if (!part_put(home, version->id, PART_REQUEST(count), request) || !flow_send_request(arrival->pairing, version, request))
		status = HDMS_OUT_OF_MEMORY;

cleanup:
	for (int i = 0; i < count; i++)
		hdms_bytes_free(&skips[i]);
	hdms_bytes_wipe(&state_text);
	evidence_free(&evidence);
	free(commit);
	free(request);
	return status;
}

Outcome
flow_skip(Arrival *arrival)
{
	Version		version;
	HdmsSkip	skip;
	HdmsStatus	status;
	int			count;
	bool		found;

	if (!version_named(arrival, &version, &found))
		return OUTCOME_FAILED;
	status = hdms_skip_verify(arrival->body.skip, strlen(arrival->body.skip), arrival->sender->history, home_now(arrival->home), &skip);
	if (status != HDMS_OK)
		return outcome_of(arrival, status);
	if (!found || strcmp(skip.vk, version.vk) != 0 || strcmp(skip.sub, arrival->pairing->node) != 0 || strcmp(skip.iss, arrival->pairing->peer) != 0)
		return outcome_of(arrival, HDMS_BAD_CLAIM);
	if (!silent_answered(arrival) || !request_count(arrival->home, version.id, &count))
		return OUTCOME_FAILED;

	/* The notary has answered after all, or has been skipped before. */
	if (version.status != VERSION_NOTARISING || version.number != 1 || strcmp(skip.notary, version.notary) != 0 || count >= MAX_REQUESTS - 1)
		return OUTCOME_DONE;
	arrival->version = version.id;
	if (!part_put(arrival->home, version.id, PART_SKIP(count - 1), arrival->body.skip))
		return OUTCOME_FAILED;
	status = draw_again(arrival, &version, count);
	if (status == HDMS_BAD_DRAW)
	{
		/* Nobody is left: wait for any of them. */
		if (!part_remove(arrival->home, version.id, PART_SKIP(count - 1)))
			return OUTCOME_FAILED;
		snprintf(version.last_error, sizeof(version.last_error), "every notary was skipped");
		version.next_try = home_now_ms(arrival->home) + arrival->home->config.notary_patience;
		return version_save(arrival->home, &version) ? OUTCOME_DONE : OUTCOME_FAILED;
	}
	return outcome_of(arrival, status);
}
