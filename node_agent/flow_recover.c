/*
 * flow_recover.c
 *		A device that took over a node after another was lost: new keys are told to the institution, and copies of all records come back.
 *
 * A copy is believed no more than a record is: both signatures, the draw, the receipt, and the place in the chain are checked, with the keys
 * that were valid when the notary saw them. What the lost device had not decided yet is asked for here again. Each answer is stored together
 * with the next question, so the work goes on where it ended, whenever that was.
 */
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "catalogue.h"
#include "flow.h"
#include "flow_repair.h"
#include "inbox.h"
#include "notarisation.h"
#include "notary_list.h"
#include "receipt.h"

bool
flow_send_keys(Pairing *pairing, const Peer *institution)
{
	HdmsBody	body = {.history = pairing->history};
	char		jti[37] = "";

	return outbox_add(pairing, institution, OUT_KEYS, "", 0, &body, jti);
}

/* Asks for everything after a place in the institution's list; NULL: from the beginning. */
static bool
send_want(Pairing *pairing, const Peer *institution, char *after)
{
	HdmsBody	body = {.after = after};
	char		jti[37] = "";

	return outbox_add(pairing, institution, OUT_WANT, "", 0, &body, jti);
}

const char *
flow_recover(Pairing *pairing, const Peer *institution)
{
	const char *text = pairing->membership;
	HdmsVoucher membership;
	char	   *name;

	/* A membership that has expired still says where this node belongs. */
	if (hdms_voucher_peek(text, strlen(text), &membership) != HDMS_OK ||
		hdms_voucher_verify(text, strlen(text), institution->history, membership.iat, &membership) != HDMS_OK ||
		strcmp(membership.sub, pairing->node) != 0)
		return "the server named an institution that did not let this node in";
	name = strdup(hdms_history_name(institution->history));
	if (name == NULL)
		return "";
	free(pairing->name);
	pairing->name = name;
	pairing->status = PAIRING_PAIRED;
	if (flow_send_keys(pairing, institution) && send_want(pairing, institution, NULL) && pairing_save(pairing))
		return NULL;
	pairing->status = PAIRING_REGISTERED;
	return "";
}

/* Whether all lists that the copies pin are here; those that are not are asked for. */
Outcome
copies_check_lists(Arrival *arrival)
{
	Outcome		outcome = OUTCOME_DONE;

	for (size_t i = 0; i < arrival->body.copy_count; i++)
	{
		const HdmsCopy *copy = &arrival->body.copies[i];
		const HdmsNotaryList *list;
		HdmsRequest request;

		if (copy->request != NULL ? hdms_request_peek(copy->request, strlen(copy->request), &request) != HDMS_OK :
			copy->commit == NULL || hdms_commit_peek(copy->commit, strlen(copy->commit), &request.commit) != HDMS_OK)
			continue;
		if (!notary_list_find(arrival->home, arrival->pairing, request.commit.notaries, &list))
			return OUTCOME_FAILED;
		if (list == NULL)
		{
			want_add(arrival->home, arrival->pairing, WANT_LIST, request.commit.notaries);
			strcpy(arrival->want, request.commit.notaries);
			outcome = OUTCOME_WAIT;
		}
	}
	return outcome;
}

/* What the checks of one copy find out. */
typedef struct Checked
{
	HdmsState	state;
	HdmsRequest request;
	Version		before;			/* of a later version */
	bool		has_before;
} Checked;

/* The version before, and its request, which the one of this version continues. */
static HdmsStatus
chain_verify(Arrival *arrival, Checked *checked, Evidence *previous)
{
	const HdmsState *state = &checked->state;

	if (state->version == 1)
		return HDMS_OK;
	if (!version_by_vk(arrival->home, arrival->pairing->id, state->prev, &checked->before, &checked->has_before))
		return HDMS_OUT_OF_MEMORY;
	if (!checked->has_before || strcmp(checked->before.record, state->record) != 0 || checked->before.number + 1 != state->version ||
		(checked->before.status != VERSION_FINAL && checked->before.status != VERSION_SUPERSEDED))
		return HDMS_BAD_CHAIN;
	if (!evidence_get(arrival->home, checked->before.id, previous))
		return HDMS_OUT_OF_MEMORY;
	return previous->request != NULL ? HDMS_OK : HDMS_BAD_CHAIN;
}

/* Everything that is checked of a record with evidence. */
static HdmsStatus
copy_verify(Arrival *arrival, const HdmsCopy *copy, const HdmsHistory *patient, Checked *checked)
{
	const HdmsHistory *issuer = arrival->sender->history;
	const HdmsNotaryList *list;
	const HdmsNotary *notary;
	Evidence	previous = {0};
	HdmsLeaf	leaf;
	char		acceptance[HDMS_DIGEST_TEXT + 1];
	int64_t		time;
	HdmsStatus	status = hdms_request_peek(copy->request, strlen(copy->request), &checked->request);

	if (status != HDMS_OK)
		return status;
	if (!notary_list_find(arrival->home, arrival->pairing, checked->request.commit.notaries, &list))
		return HDMS_OUT_OF_MEMORY;
	notary = list ? hdms_notaries_find(list, checked->request.aud) : NULL;
	if (notary == NULL)
		return HDMS_NOT_ADMITTED;
	status = hdms_receipt_verify(copy->receipt, strlen(copy->receipt), notary->node, notary->log, &leaf, NULL, NULL);
	if (status != HDMS_OK)
		return status;
	time = leaf.time_ms / 1000;
	if (time < 1)
		return HDMS_BAD_CLAIM;
	if ((status = hdms_state_verify(copy->state, strlen(copy->state), true, issuer, time, &checked->state)) != HDMS_OK ||
		(status = strcmp(checked->state.sub, arrival->pairing->node) == 0 ? HDMS_OK : HDMS_WRONG_RECEIVER) != HDMS_OK ||
		(status = chain_verify(arrival, checked, &previous)) != HDMS_OK ||
		(status = hdms_acceptance_verify(copy->acceptance, strlen(copy->acceptance), copy->state, strlen(copy->state), patient, time)) != HDMS_OK ||
		(status = hdms_request_verify(copy->request, strlen(copy->request), issuer, patient, list, previous.request, time, &checked->request)) != HDMS_OK ||
		(status = hdms_commit_matches(&checked->request.commit, &checked->state)) != HDMS_OK ||
		(status = hdms_sha256_text(copy->acceptance, strlen(copy->acceptance), acceptance)) != HDMS_OK)
		goto cleanup;
	if (strcmp(acceptance, checked->request.acceptance) != 0 || memcmp(leaf.request, checked->request.digest, HDMS_DIGEST_SIZE) != 0 ||
		memcmp(leaf.tag, checked->request.commit.tag, HDMS_DIGEST_SIZE) != 0)
		status = HDMS_DIGEST_MISMATCH;
	else if (strcmp(checked->request.commit.vrf, hdms_key_thumbprint(arrival->pairing->vrf)) != 0)
		status = HDMS_BAD_KEY;
	else if (time > checked->request.commit.accept_until)
		status = HDMS_TOO_LATE;

cleanup:
	evidence_free(&previous);
	return status;
}

/* The row of a copy that verified, in force unless a later version of its record is. */
static HdmsStatus
copy_store(Arrival *arrival, const HdmsCopy *copy, Checked *checked)
{
	const HdmsState *state = &checked->state;
	HdmsHome   *home = arrival->home;
	Version		version = {.pairing = arrival->pairing->id, .number = state->version, .status = VERSION_FINAL,
	.accept_until = checked->request.commit.accept_until, .received = home_now_ms(home)};
	HdmsBytes	content = {0};
	char	   *summary;
	Version		other;
	bool		found;
	bool		good;
	HdmsStatus	status = hdms_state_content(copy->state, strlen(copy->state), &content);

	if (status != HDMS_OK)
		return status;
	summary = catalogue_summary(state->type, (const char *) content.data, content.len);
	hdms_bytes_wipe(&content);
	if (summary == NULL || !version_of_record(home, version.pairing, state->record, VERSION_FINAL, &other, &found))
	{
		hdms_string_wipe(summary);
		return HDMS_OUT_OF_MEMORY;
	}
	if (found && strcmp(other.vk, state->prev) != 0)
		version.status = VERSION_SUPERSEDED;
	strcpy(version.record, state->record);
	strcpy(version.vk, state->vk);
	strcpy(version.prev, state->prev);
	strcpy(version.notary, checked->request.aud);
	strcpy(version.message, arrival->message.head.jti);
	good = version_insert(home, &version, summary) && part_put(home, version.id, PART_STATE, copy->state) &&
		evidence_put(home, version.id, copy->acceptance, copy->request, copy->receipt) && version_save(home, &version);
	if (good && found && version.status == VERSION_FINAL)
	{
		other.status = VERSION_SUPERSEDED;
		good = version_save(home, &other);
	}
	hdms_string_wipe(summary);
	return good && inbox_wake(home, version.vk) ? HDMS_OK : HDMS_OUT_OF_MEMORY;
}

HdmsStatus
copy_put_back(Arrival *arrival, const HdmsCopy *copy, const HdmsHistory *patient, const Version *stored)
{
	HdmsHome   *home = arrival->home;
	Checked		checked = {.has_before = false};
	HdmsBytes	content = {0};
	Version		version;
	char	   *summary;
	bool		good;
	HdmsStatus	status = copy_verify(arrival, copy, patient, &checked);

	if (status == HDMS_OK && stored == NULL)
		return copy_store(arrival, copy, &checked);
	if (status == HDMS_OK)
		status = hdms_state_content(copy->state, strlen(copy->state), &content);
	if (status != HDMS_OK)
		return status;
	summary = catalogue_summary(checked.state.type, (const char *) content.data, content.len);
	hdms_bytes_wipe(&content);
	version = *stored;
	version.number = checked.state.version;
	version.accept_until = checked.request.commit.accept_until;
	strcpy(version.record, checked.state.record);
	strcpy(version.prev, checked.state.prev);
	strcpy(version.notary, checked.request.aud);
	good = summary != NULL && version_put_right(home, &version, summary) && part_put(home, version.id, PART_STATE, copy->state) &&
		evidence_put(home, version.id, copy->acceptance, copy->request, copy->receipt);
	hdms_string_wipe(summary);
	return good ? HDMS_OK : HDMS_OUT_OF_MEMORY;
}

/* What the lost device was asked and had not answered is a record that arrives. */
static Outcome
copy_ask(Arrival *arrival, const HdmsCopy *copy)
{
	Arrival		record = *arrival;
	HdmsCommit	commit;

	if (hdms_commit_peek(copy->commit, strlen(copy->commit), &commit) != HDMS_OK || commit.accept_until < home_now(arrival->home))
		return OUTCOME_DONE;
	memset(&record.body, 0, sizeof(record.body));
	record.body.state = copy->state;
	record.body.commit = copy->commit;
	return flow_record(&record) == OUTCOME_FAILED ? OUTCOME_FAILED : OUTCOME_DONE;
}

static Outcome
copy_take(Arrival *arrival, const HdmsCopy *copy, const HdmsHistory *patient)
{
	Checked		checked = {.has_before = false};
	Version		version;
	bool		found;
	HdmsStatus	status = hdms_state_parse(copy->state, strlen(copy->state), true, &checked.state);

	if (status == HDMS_OK)
	{
		if (!version_by_vk(arrival->home, arrival->pairing->id, checked.state.vk, &version, &found))
			return OUTCOME_FAILED;
		if (found)
			return OUTCOME_DONE;
		if (copy->acceptance == NULL || copy->request == NULL || copy->receipt == NULL)
			return copy->commit != NULL ? copy_ask(arrival, copy) : OUTCOME_DONE;
		status = copy_verify(arrival, copy, patient, &checked);
	}
	if (status == HDMS_OK)
		status = copy_store(arrival, copy, &checked);
	if (status == HDMS_OK)
		return OUTCOME_DONE;
	if (status == HDMS_OUT_OF_MEMORY || status == HDMS_CRYPTO_FAILED)
		return OUTCOME_FAILED;
	return notice_add(arrival->home, "refused-copy", "%s gave a copy of record %s that does not verify: %s", arrival->sender->node,
					  checked.state.record[0] ? checked.state.record : "unknown", hdms_status_sentence(status)) ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* The next question, or the end. */
static bool
recovery_continue(Arrival *arrival)
{
	Pairing    *pairing = arrival->pairing;

	if (arrival->body.next != NULL)
		return send_want(pairing, arrival->sender, arrival->body.next);
	pairing->is_recovering = false;
	home_changed(arrival->home);
	return pairing_save(pairing) && notice_add(arrival->home, "recovered", "the records of %s are back", pairing->name ? pairing->name : pairing->peer);
}

Outcome
flow_copies(Arrival *arrival)
{
	Pairing    *pairing = arrival->pairing;
	const char *re = arrival->message.head.re;
	HdmsHistory *patient = NULL;
	OutboxType	type;
	int64_t		version;
	bool		asked;
	Outcome		outcome;

	if (!outbox_look(pairing, arrival->sender->node, re, &asked, &type, &version))
		return OUTCOME_FAILED;
	if (asked && type == OUT_REPAIR)
		return repair_answered(arrival);
	if (!asked || type != OUT_WANT || !pairing->is_recovering)
		return OUTCOME_DONE;
	outcome = copies_check_lists(arrival);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (hdms_history_parse(pairing->history, strlen(pairing->history), &patient) != HDMS_OK)
		return OUTCOME_FAILED;
	for (size_t i = 0; outcome == OUTCOME_DONE && i < arrival->body.copy_count; i++)
		outcome = copy_take(arrival, &arrival->body.copies[i], patient);
	hdms_history_free(patient);
	if (outcome == OUTCOME_DONE && (!outbox_answered(pairing, arrival->sender->node, re, &asked, &type, &version) || !recovery_continue(arrival)))
		outcome = OUTCOME_FAILED;
	return outcome;
}
