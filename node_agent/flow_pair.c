/*
 * flow_pair.c
 *		Pairing with an institution: "pair", and what comes back.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "flow.h"

bool
flow_pair(Pairing *pairing, const Peer *institution)
{
	HdmsHistory *own = NULL;
	HdmsBody	body = {.invitation = pairing->invitation, .history = pairing->history};
	unsigned char mac[HDMS_DIGEST_SIZE];
	char		mac_text[HDMS_DIGEST_TEXT + 1];
	char		jti[37] = "";
	HdmsStatus	status;
	bool		good;

	status = hdms_history_parse(pairing->history, strlen(pairing->history), &own);
	if (status == HDMS_OK)
		status = hdms_pairing_mac(pairing->secret, institution->history, own, mac);
	hdms_history_free(own);
	if (status != HDMS_OK)
		return store_fail(pairing->home->store, hdms_status_sentence(status));
	hdms_base64url_write(mac, sizeof(mac), mac_text);
	body.mac = mac_text;
	good = outbox_add(pairing, institution, OUT_PAIR, "", 0, &body, jti);
	if (good)
	{
		pairing->status = PAIRING_SENT;
		good = pairing_save(pairing);
	}
	OPENSSL_cleanse(mac, sizeof(mac));
	OPENSSL_cleanse(mac_text, sizeof(mac_text));
	return good;
}

/* The six digits that the institution's staff enters from the person's screen. */
static HdmsStatus
confirmation_code(Pairing *pairing, const Peer *institution)
{
	HdmsHistory *own = NULL;
	HdmsStatus	status = hdms_history_parse(pairing->history, strlen(pairing->history), &own);

	if (status == HDMS_OK)
		status = hdms_pairing_code(pairing->secret, institution->history, own, pairing->code);
	hdms_history_free(own);
	return status;
}

/* Whether the message answers this pairing's "pair". */
static bool
answers_pair(Arrival *arrival, bool *answers)
{
	OutboxType	type;
	int64_t		version;

	if (!outbox_look(arrival->pairing, arrival->sender->node, arrival->message.head.re, answers, &type, &version))
		return false;
	if (*answers && type != OUT_PAIR)
		*answers = false;
	return !*answers || outbox_answered(arrival->pairing, arrival->sender->node, arrival->message.head.re, answers, &type, &version);
}

Outcome
flow_paired(Arrival *arrival)
{
	Pairing    *pairing = arrival->pairing;
	HdmsVoucher membership;
	HdmsStatus	status;
	bool		answers;
	char	   *copy;
	char	   *name;

	if (!answers_pair(arrival, &answers))
		return OUTCOME_FAILED;
	status = hdms_voucher_verify(arrival->body.membership, strlen(arrival->body.membership), arrival->sender->history, home_now(arrival->home), &membership);
	if (status == HDMS_OK && strcmp(membership.sub, pairing->node) != 0)
		status = HDMS_BAD_CLAIM;
	if (status == HDMS_OK && !answers && pairing->status != PAIRING_PAIRED)
		status = HDMS_BAD_CHAIN;
	if (status == HDMS_OK && arrival->body.confirm && pairing->status != PAIRING_PAIRED)
		status = confirmation_code(pairing, arrival->sender);
	if (status != HDMS_OK)
		return outcome_of(arrival, status);
	copy = strdup(arrival->body.membership);
	name = strdup(hdms_history_name(arrival->sender->history));
	if (copy == NULL || name == NULL)
	{
		free(copy);
		free(name);
		return OUTCOME_FAILED;
	}
	free(pairing->membership);
	free(pairing->name);
	pairing->membership = copy;
	pairing->name = name;
	pairing->status = PAIRING_PAIRED;
	OPENSSL_cleanse(pairing->secret, sizeof(pairing->secret));
	arrival->answer = ANSWER_ACK;
	home_changed(arrival->home);
	home_log(arrival->home, "paired with %s (%s)", pairing->name, pairing->peer);
	return pairing_save(pairing) && pairing_ack(pairing, arrival->message.head.jti) ? OUTCOME_DONE : OUTCOME_FAILED;
}

Outcome
flow_pair_refused(Arrival *arrival)
{
	Pairing    *pairing = arrival->pairing;
	bool		answers;
	size_t		len;

	if (!answers_pair(arrival, &answers))
		return OUTCOME_FAILED;
	if (!answers || pairing->status == PAIRING_PAIRED)
		return OUTCOME_DONE;
	pairing->status = PAIRING_REFUSED;

	/* The word goes to a terminal: only what words are made of. */
	len = strspn(arrival->body.code, "abcdefghijklmnopqrstuvwxyz0123456789-_");
	snprintf(pairing->problem, sizeof(pairing->problem), "the institution refused: %.*s", (int) (len < 40 ? len : 40), arrival->body.code);
	OPENSSL_cleanse(pairing->secret, sizeof(pairing->secret));
	home_changed(arrival->home);
	return pairing_save(pairing) && notice_add(arrival->home, "pairing", "pairing %lld: %s", (long long) pairing->id, pairing->problem) ?
		OUTCOME_DONE : OUTCOME_FAILED;
}

/* Nothing that waits here for the person, or for a notary, will ever be taken from this node. */
static bool
versions_withdraw(Pairing *pairing)
{
	HdmsHome   *home = pairing->home;
	size_t		count;
	const CatalogueEntry *entries = catalogue_entries(home, &count);
	int64_t    *ids = calloc(count + 1, sizeof(*ids));
	size_t		found_count = 0;
	bool		good = ids != NULL && (entries != NULL || count == 0);

	/* Saving a version moves the entries. */
	for (size_t i = 0; good && i < count; i++)
		if (entries[i].pairing == pairing->id && entries[i].status < VERSION_NOTARISED)
			ids[found_count++] = entries[i].id;
	for (size_t i = 0; good && i < found_count; i++)
	{
		Version		version;
		bool		found;

		good = version_load(home, ids[i], &version, &found);
		if (!good || !found)
			continue;
		version.status = VERSION_WITHDRAWN;
		version.next_try = 0;
		good = version_save(home, &version) && outbox_forget(home, version.id, OUT_TYPE_COUNT);
	}
	free(ids);
	return good;
}

Outcome
flow_unpaired(Arrival *arrival)
{
	Pairing    *pairing = arrival->pairing;

	arrival->answer = ANSWER_ACK;
	if (!pairing_ack(pairing, arrival->message.head.jti))
		return OUTCOME_FAILED;
	if (pairing->status != PAIRING_PAIRED || pairing->is_replaced)
		return OUTCOME_DONE;
	pairing->is_replaced = true;
	snprintf(pairing->problem, sizeof(pairing->problem), "the institution has another device of this person now; the records here stay");
	home_changed(arrival->home);
	return versions_withdraw(pairing) && pairing_save(pairing) &&
		notice_add(arrival->home, "replaced", "%s has another device of this person now: if that is not yours, tell them at once",
				   pairing->name ? pairing->name : pairing->peer) ? OUTCOME_DONE : OUTCOME_FAILED;
}
