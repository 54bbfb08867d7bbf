/*
 * puppet_objects.c
 *		What a puppet signs: as a patient, as an issuer, as a notary.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "puppet.h"

/* {["secret"]}: the body of "pair" for the institution that invited; secret: another one, base64url. */
json_t *
command_pair_body(const json_t *command)
{
	const char *secret = text_of(command, "secret");
	const HdmsHistory *institution = node_history(puppet.pairing.node);
	unsigned char mac[HDMS_DIGEST_SIZE];
	char		mac_text[HDMS_DIGEST_TEXT + 1];
	unsigned char used[HDMS_PAIRING_SECRET_SIZE];
	HdmsStatus	status = institution == NULL ? HDMS_UNKNOWN_KEY : HDMS_OK;

	memcpy(used, puppet.pairing.secret, sizeof(used));
	if (status == HDMS_OK && secret != NULL)
		status = hdms_base64url_read(secret, strlen(secret), used, sizeof(used));
	if (status == HDMS_OK)
		status = hdms_pairing_mac(used, institution, puppet.history, mac);
	if (status != HDMS_OK)
		return answer_status(status, NULL);
	hdms_base64url_write(mac, sizeof(mac), mac_text);
	return answer_status(status, json_pack("{s:{s:s, s:s, s:o}, s:s}", "body", "invitation", puppet.pairing.invitation,
										   "mac", mac_text, "history",
										   json_loads(hdms_history_json(puppet.history), 0, NULL),
										   "institution", puppet.pairing.node));
}

static size_t
texts_of(const json_t *array, const char **texts, size_t most)
{
	size_t		count = 0;

	while (count < most && count < json_array_size(array))
	{
		texts[count] = json_string_value(json_array_get(array, count));
		count++;
	}
	return count;
}

/*
 * {"state", "commit"[, "skips": [...], "prev_request", "notary"]}: {"acceptance", "request", "notary", "vk"}.
 * Without prev_request the notary is drawn from the commit's list.
 */
json_t *
command_accept(const json_t *command)
{
	const char *state_text = text_of(command, "state");
	const char *commit_text = text_of(command, "commit");
	const char *prev_request = text_of(command, "prev_request");
	const char *skips[8];
	size_t		skip_count = texts_of(json_object_get(command, "skips"), skips, 8);
	HdmsNotaryList list = {0};
	const HdmsNotary *notary = NULL;
	HdmsState	state;
	HdmsCommit	commit;
	HdmsRequest prev;
	char	   *acceptance = NULL;
	char	   *request = NULL;
	const char *notary_id = text_of(command, "notary");
	json_t	   *members = NULL;
	int64_t		now = time(NULL);
	HdmsStatus	status;

	if (state_text == NULL || commit_text == NULL)
		return answer_error("bad-argument");
	if ((status = hdms_state_parse(state_text, strlen(state_text), true, &state)) == HDMS_OK
		&& (status = hdms_commit_peek(commit_text, strlen(commit_text), &commit)) == HDMS_OK)
		status = hdms_acceptance_sign(state_text, strlen(state_text), puppet.sign, now, &acceptance);
	if (status == HDMS_OK && prev_request == NULL)
	{
		status = notary_list(commit.notaries, &list) ? HDMS_OK : HDMS_NOT_ADMITTED;
		if (status == HDMS_OK)
			status = hdms_request_first(&state, commit_text, acceptance, &list, skips, skip_count, puppet.vrf, puppet.sign,
										now, &request, &notary);
		if (status == HDMS_OK)
			notary_id = notary->node;
	}
	else if (status == HDMS_OK)
	{
		status = hdms_request_peek(prev_request, strlen(prev_request), &prev);
		if (status == HDMS_OK && notary_id == NULL)
			notary_id = prev.aud;
		if (status == HDMS_OK)
			status = hdms_request_next(&state, commit_text, acceptance, prev_request, notary_id, puppet.sign, now, &request);
	}
	if (status == HDMS_OK)
		members = json_pack("{s:s, s:s, s:s, s:s}", "acceptance", acceptance, "request", request, "notary", notary_id,
							"vk", state.vk);
	hdms_notaries_free(&list);
	free(acceptance);
	free(request);
	return answer_status(status, members);
}

/* {"vk", "aud", "reason"}: {"rejection"}. */
json_t *
command_reject(const json_t *command)
{
	HdmsRejection rejection = {.iat = time(NULL)};
	char	   *jws = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status;

	strcpy(rejection.iss, puppet.id);
	strncpy(rejection.aud, text_of(command, "aud"), HDMS_DIGEST_TEXT);
	strncpy(rejection.vk, text_of(command, "vk"), HDMS_DIGEST_TEXT);
	strncpy(rejection.reason, text_of(command, "reason"), HDMS_REASON_MAX);
	status = hdms_rejection_sign(&rejection, puppet.sign, &jws);
	if (status == HDMS_OK)
		members = json_pack("{s:s}", "rejection", jws);
	free(jws);
	return answer_status(status, members);
}

/*
 * {"sub", "content"[, "record", "version", "prev", "accept_until", "history"]}: {"state", "commit", "vk", "record"}, as an issuer, with the
 * newest list of notaries. The VRF key is the one in sub's history, which is asked for unless "history" (JSON text) is given.
 */
json_t *
command_state(const json_t *command)
{
	const char *content = text_of(command, "content");
	const char *given = text_of(command, "history");
	HdmsHistory *parsed = NULL;
	const HdmsHistory *patient = NULL;
	HdmsNotaryList list = {0};
	HdmsState	state = {0};
	HdmsCommit	commit = {0};
	char	   *state_text = NULL;
	char	   *commit_text = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status = HDMS_OK;

	if (given != NULL && hdms_history_parse(given, strlen(given), &parsed) == HDMS_OK)
		patient = parsed;
	else if (text_of(command, "sub") != NULL)
		patient = node_history(text_of(command, "sub"));
	if (patient == NULL || content == NULL || !notary_list(NULL, &list))
	{
		hdms_history_free(parsed);
		return answer_error("bad-argument");
	}
	strcpy(state.iss, puppet.id);
	strncpy(state.sub, text_of(command, "sub"), HDMS_DIGEST_TEXT);
	state.version = number_of(command, "version", 1);
	state.iat = time(NULL);
	if (text_of(command, "prev") != NULL)
		strncpy(state.prev, text_of(command, "prev"), HDMS_DIGEST_TEXT);
	if (text_of(command, "record") != NULL)
		strncpy(state.record, text_of(command, "record"), sizeof(state.record) - 1);
	else
		status = hdms_uuid7((int64_t) time(NULL) * 1000, state.record);
	if (status == HDMS_OK
		&& (status = hdms_content_type(content, strlen(content), state.type)) == HDMS_OK
		&& (status = hdms_state_build(&state, content, strlen(content), puppet.sign, &state_text)) == HDMS_OK)
		status = hdms_commit_for(&state, &commit);
	if (status == HDMS_OK)
	{
		commit.iat = state.iat;
		commit.accept_until = number_of(command, "accept_until", state.iat + 86400);
		strcpy(commit.notaries, list.digest);
		strcpy(commit.vrf, hdms_key_thumbprint(hdms_history_current(patient, HDMS_ROLE_VRF)));
		status = hdms_commit_sign(&commit, puppet.sign, &commit_text);
	}
	if (status == HDMS_OK)
		members = json_pack("{s:s, s:s, s:s, s:s}", "state", state_text, "commit", commit_text, "vk", state.vk,
							"record", state.record);
	hdms_history_free(parsed);
	hdms_notaries_free(&list);
	free(state_text);
	free(commit_text);
	return answer_status(status, members);
}

/*
 * {"request"[, "time_ms", "origin"]}: {"receipt"}: a log of this one entry, with a checkpoint by this puppet's log key. origin: the node
 * whose log it claims to be.
 */
json_t *
command_receipt(const json_t *command)
{
	const char *request_text = text_of(command, "request");
	const char *origin = text_of(command, "origin");
	HdmsRequest request;
	HdmsLeaf	leaf = {.time_ms = number_of(command, "time_ms", (int64_t) time(NULL) * 1000)};
	unsigned char bytes[HDMS_LEAF_SIZE];
	HdmsCheckpoint checkpoint = {.size = 1};
	char	   *note = NULL;
	char	   *receipt = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status;

	status = hdms_request_peek(request_text, strlen(request_text), &request);
	if (status == HDMS_OK)
	{
		memcpy(leaf.tag, request.commit.tag, sizeof(leaf.tag));
		memcpy(leaf.request, request.digest, sizeof(leaf.request));
		hdms_leaf_write(&leaf, bytes);
		hdms_log_origin(origin == NULL ? puppet.id : origin, checkpoint.origin);
		status = hdms_merkle_leaf(bytes, sizeof(bytes), checkpoint.root);
	}
	if (status == HDMS_OK
		&& (status = hdms_checkpoint_sign(&checkpoint, puppet.log, &note)) == HDMS_OK)
		status = hdms_receipt_build(&leaf, 0, NULL, 0, note, &receipt);
	if (status == HDMS_OK)
		members = json_pack("{s:s}", "receipt", receipt);
	free(note);
	free(receipt);
	return answer_status(status, members);
}

/* {"receipt", "notary"[, "request"]}: {"index", "size", "time_ms", "same_request", "same_tag"} of a receipt that verifies. */
json_t *
command_check_receipt(const json_t *command)
{
	const char *receipt = text_of(command, "receipt");
	const char *request_text = text_of(command, "request");
	HdmsNotaryList list = {0};
	const HdmsNotary *notary;
	HdmsRequest request;
	HdmsCheckpoint checkpoint;
	HdmsLeaf	leaf;
	uint64_t	index;
	json_t	   *members = NULL;
	HdmsStatus	status = HDMS_NOT_ADMITTED;

	if (receipt == NULL || text_of(command, "notary") == NULL || !notary_list(NULL, &list))
		return answer_error("bad-argument");
	notary = hdms_notaries_find(&list, text_of(command, "notary"));
	if (notary != NULL)
		status = hdms_receipt_verify(receipt, strlen(receipt), notary->node, notary->log, &leaf, &index, &checkpoint);
	if (status == HDMS_OK && request_text != NULL)
		status = hdms_request_peek(request_text, strlen(request_text), &request);
	if (status == HDMS_OK)
		members = json_pack("{s:I, s:I, s:I, s:b, s:b}", "index", (json_int_t) index, "size", (json_int_t) checkpoint.size,
							"time_ms", (json_int_t) leaf.time_ms,
							"same_request", request_text != NULL && memcmp(leaf.request, request.digest, HDMS_DIGEST_SIZE) == 0,
							"same_tag", request_text != NULL && memcmp(leaf.tag, request.commit.tag, HDMS_DIGEST_SIZE) == 0);
	hdms_notaries_free(&list);
	return answer_status(status, members);
}

/* {["sub"]}: {"voucher", "jti"}: lets one person's node register; with sub it is that node's membership. */
json_t *
command_voucher(const json_t *command)
{
	HdmsVoucher voucher = {.iat = time(NULL), .exp = time(NULL) + 86400};
	char	   *jws = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status;

	strcpy(voucher.iss, puppet.id);
	if (text_of(command, "sub") != NULL)
		strncpy(voucher.sub, text_of(command, "sub"), HDMS_DIGEST_TEXT);
	status = hdms_uuid7((int64_t) time(NULL) * 1000, voucher.jti);
	if (status == HDMS_OK)
		status = hdms_voucher_sign(puppet.sign, &voucher, &jws);
	if (status == HDMS_OK)
		members = json_pack("{s:s, s:s}", "voucher", jws, "jti", voucher.jti);
	free(jws);
	return answer_status(status, members);
}

/* {"voucher", "jti", "network"}: {"uri"}: an invitation by this institution. */
json_t *
command_invite(const json_t *command)
{
	HdmsPairing invitation = {.server = puppet.server};
	char	   *uri = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status = hdms_random(invitation.secret, sizeof(invitation.secret));

	invitation.voucher = (char *) text_of(command, "voucher");
	strcpy(invitation.node, puppet.id);
	strncpy(invitation.network, text_of(command, "network"), HDMS_DIGEST_TEXT);
	strncpy(invitation.invitation, text_of(command, "jti"), sizeof(invitation.invitation) - 1);
	if (status == HDMS_OK)
		status = hdms_pairing_uri(&invitation, &uri);
	if (status == HDMS_OK)
		members = json_pack("{s:s}", "uri", uri);
	free(uri);
	return answer_status(status, members);
}

/* {}: {"history"}: its own. */
json_t *
command_history(const json_t *command)
{
	(void) command;
	return answer_status(HDMS_OK, json_pack("{s:s}", "history", hdms_history_json(puppet.history)));
}

/* {"sub", "vk", "notary"}: {"skip"}. */
json_t *
command_skip(const json_t *command)
{
	HdmsSkip	skip = {.iat = time(NULL)};
	char	   *jws = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status;

	strcpy(skip.iss, puppet.id);
	strncpy(skip.sub, text_of(command, "sub"), HDMS_DIGEST_TEXT);
	strncpy(skip.vk, text_of(command, "vk"), HDMS_DIGEST_TEXT);
	strncpy(skip.notary, text_of(command, "notary"), HDMS_DIGEST_TEXT);
	status = hdms_skip_sign(&skip, puppet.sign, &jws);
	if (status == HDMS_OK)
		members = json_pack("{s:s}", "skip", jws);
	free(jws);
	return answer_status(status, members);
}

/* {"size", "root" (base64url)[, "origin"]}: {"note"}: a checkpoint by this puppet's log key; of its own log as a notary, unless origin says another. */
json_t *
command_checkpoint(const json_t *command)
{
	const char *origin = text_of(command, "origin");
	const char *root = text_of(command, "root");
	HdmsCheckpoint checkpoint = {.size = (uint64_t) number_of(command, "size", 0)};
	char	   *note = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status = hdms_base64url_read(root, strlen(root), checkpoint.root, sizeof(checkpoint.root));

	if (origin != NULL)
		snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", origin);
	else
		hdms_log_origin(puppet.id, checkpoint.origin);
	if (status == HDMS_OK)
		status = hdms_checkpoint_sign(&checkpoint, puppet.log, &note);
	if (status == HDMS_OK)
		members = json_pack("{s:s}", "note", note);
	free(note);
	return answer_status(status, members);
}

/* {"note"[, "time", "witness"]}: {"line"}: this puppet's cosignature, under its own name as a witness or another node's. */
json_t *
command_cosign(const json_t *command)
{
	const char *note = text_of(command, "note");
	const char *witness = text_of(command, "witness");
	char		name[HDMS_ORIGIN_MAX];
	char	   *line = NULL;
	json_t	   *members = NULL;
	HdmsStatus	status;

	hdms_witness_name(witness == NULL ? puppet.id : witness, name);
	status = hdms_cosignature_sign(note, strlen(note), name, puppet.cosigner, number_of(command, "time", (int64_t) time(NULL)), &line);
	if (status == HDMS_OK)
		members = json_pack("{s:s}", "line", line);
	free(line);
	return answer_status(status, members);
}
