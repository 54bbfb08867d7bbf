/*
 * flow_commit.c
 *		The end of a flow: evidence to the institution, its confirmation, or its withdrawal.
 */
#include <string.h>

#include "flow.h"
#include "inbox.h"

bool
flow_send_accepted(Pairing *pairing, Version *version, const Evidence *evidence)
{
	HdmsHome   *home = pairing->home;
	Evidence	stored = {0};
	HdmsBody	body = {.vk = version->vk};
	Peer	   *institution;
	bool		good;

	good = (evidence != NULL || evidence_get(home, version->id, &stored)) && peer_find(home, pairing->peer, &institution);
	if (evidence == NULL)
		evidence = &stored;
	body.acceptance = (char *) evidence->acceptance;
	body.request = (char *) evidence->request;
	body.receipt = (char *) evidence->receipt;
	if (good && (body.acceptance == NULL || body.request == NULL || body.receipt == NULL || institution == NULL))
		good = store_fail(home->store, "evidence is missing");
	if (good)
	{
		good = outbox_add(pairing, institution, OUT_ACCEPTED, version->message, version->id, &body, version->answer) && version_save(home, version);
	}
	evidence_free(&stored);
	return good;
}

/* The one before is not in force any more. */
static bool
supersede(Arrival *arrival, const Version *version)
{
	Version		before;
	bool		found;

	if (version->prev[0] == '\0')
		return true;
	if (!version_by_vk(arrival->home, arrival->pairing->id, version->prev, &before, &found))
		return false;
	if (!found || before.status != VERSION_FINAL)
		return true;
	before.status = VERSION_SUPERSEDED;
	return version_save(arrival->home, &before);
}

Outcome
flow_committed(Arrival *arrival)
{
	Version		version;
	bool		found;

	if (!hdms_is_digest_text(arrival->body.vk, strlen(arrival->body.vk)))
		return outcome_of(arrival, HDMS_BAD_CLAIM);
	if (!version_by_vk(arrival->home, arrival->pairing->id, arrival->body.vk, &version, &found))
		return OUTCOME_FAILED;
	arrival->answer = ANSWER_ACK;
	if (!pairing_ack(arrival->pairing, arrival->message.head.jti))
		return OUTCOME_FAILED;

	/* Without evidence of this device's own, a confirmation proves nothing and changes nothing. */
	if (!found || version.status != VERSION_NOTARISED)
	{
		if (!found || version.status < VERSION_NOTARISED)
			home_log(arrival->home, "%s confirmed a version that has no receipt here", arrival->sender->node);
		return !found || version.status != VERSION_FINAL || outbox_forget(arrival->home, version.id, OUT_TYPE_COUNT) ? OUTCOME_DONE : OUTCOME_FAILED;
	}
	arrival->version = version.id;
	version.status = VERSION_FINAL;
	version.next_try = 0;
	version.last_error[0] = '\0';
	if (!supersede(arrival, &version) || !version_save(arrival->home, &version) ||
		!outbox_forget(arrival->home, version.id, OUT_TYPE_COUNT) || !inbox_wake(arrival->home, version.vk))
		return OUTCOME_FAILED;
	return OUTCOME_DONE;
}

Outcome
flow_withdrawn(Arrival *arrival)
{
	Version		version;
	OutboxType	type;
	int64_t		id;
	bool		found;
	bool		answers;

	if (!hdms_is_digest_text(arrival->body.vk, strlen(arrival->body.vk)))
		return outcome_of(arrival, HDMS_BAD_CLAIM);
	if (!outbox_look(arrival->pairing, arrival->sender->node, arrival->message.head.re, &answers, &type, &id))
		return OUTCOME_FAILED;
	if (answers && type != OUT_REJECTED && type != OUT_SILENT)
		answers = false;
	if (answers && !outbox_answered(arrival->pairing, arrival->sender->node, arrival->message.head.re, &answers, &type, &id))
		return OUTCOME_FAILED;
	if (arrival->message.head.re[0] == '\0')
	{
		arrival->answer = ANSWER_ACK;
		if (!pairing_ack(arrival->pairing, arrival->message.head.jti))
			return OUTCOME_FAILED;
	}
	if (!version_by_vk(arrival->home, arrival->pairing->id, arrival->body.vk, &version, &found))
		return OUTCOME_FAILED;

	/* Evidence decides: what has a receipt goes on, and a late receipt still will. */
	if (!found || version.status >= VERSION_NOTARISED)
		return OUTCOME_DONE;
	arrival->version = version.id;
	version.status = strcmp(arrival->body.code, "expired") == 0 ? VERSION_EXPIRED : VERSION_WITHDRAWN;
	version.next_try = 0;
	if (!outbox_forget(arrival->home, version.id, OUT_SILENT) || !version_save(arrival->home, &version))
		return OUTCOME_FAILED;
	return OUTCOME_DONE;
}
