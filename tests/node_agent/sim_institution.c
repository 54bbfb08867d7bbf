/*
 * sim_institution.c
 *		The simulated institution: pairs, issues, verifies what comes back, commits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_inside.h"

SimVersion *
sim_version(Sim *sim, const char *vk)
{
	for (size_t i = sim->version_count; i-- > 0;)
		if (strcmp(sim->versions[i].state.vk, vk) == 0)
			return &sim->versions[i];
	return NULL;
}

static void
answer(Sim *sim, const HdmsMessageHead *head, const char *type, const HdmsBody *body)
{
	char		jti[37] = "";

	sim_send(sim, &sim->institution, head->iss, type, head->jti, body, jti);
}

static void
answer_ack(Sim *sim, const HdmsMessageHead *head)
{
	char	   *jtis[1] = {(char *) head->jti};
	HdmsBody	body = {.ack_count = 1, .acks = jtis};
	char		jti[37] = "";

	sim_send(sim, &sim->institution, head->iss, HDMS_MSG_ACK, "", &body, jti);
}

static const HdmsPairing *
invitation_of(const Sim *sim, const char *id)
{
	for (size_t i = 0; i < sim->invitation_count; i++)
		if (strcmp(sim->invitations[i].invitation, id) == 0)
			return &sim->invitations[i];
	return NULL;
}

static void
act_pair(Sim *sim, const HdmsMessageHead *head, const HdmsBody *body)
{
	const HdmsPairing *invitation = invitation_of(sim, body->invitation);
	SimPatient *patient = sim_patient(sim, head->iss);
	HdmsVoucher membership = {.iat = sim->clock() / 1000};
	HdmsBody	reply = {.name = (char *) "Hospital of Examples", .confirm = sim->confirm};
	HdmsBody	refusal = {.code = (char *) "bad-signature", .detail = (char *) "the code is wrong"};
	unsigned char expected[HDMS_DIGEST_SIZE];
	unsigned char given[HDMS_DIGEST_SIZE];

	if (invitation == NULL || patient == NULL ||
		hdms_pairing_mac(invitation->secret, sim->institution.history, patient->history, expected) != HDMS_OK ||
		hdms_base64url_read(body->mac, strlen(body->mac), given, sizeof(given)) != HDMS_OK || memcmp(expected, given, sizeof(given)) != 0)
	{
		answer(sim, head, HDMS_MSG_PAIR_REFUSED, &refusal);
		return;
	}
	patient->paired = true;
	strcpy(membership.iss, sim->institution.id);
	strcpy(membership.sub, head->iss);
	strcpy(membership.jti, body->invitation);
	membership.exp = membership.iat + INT64_C(315360000);
	MUST(hdms_voucher_sign(sim->institution.key[HDMS_ROLE_SIGN], &membership, &reply.membership));
	answer(sim, head, HDMS_MSG_PAIRED, &reply);
	free(reply.membership);
}

/* What the institution checks of evidence, before it commits. */
static bool
evidence_is_good(Sim *sim, const SimVersion *version, const HdmsBody *body)
{
	const HdmsHistory *patient = sim_history(sim, version->patient);
	const SimVersion *before = version->state.version > 1 ? sim_version(sim, version->state.prev) : NULL;
	unsigned char digest[HDMS_DIGEST_SIZE];
	char		acceptance[HDMS_DIGEST_TEXT + 1];
	HdmsRequest request;
	HdmsLeaf	leaf;
	const HdmsNotary *notary;

	return hdms_request_peek(body->request, strlen(body->request), &request) == HDMS_OK &&
		(notary = hdms_notaries_find(&sim->list, request.aud)) != NULL &&
		hdms_receipt_verify(body->receipt, strlen(body->receipt), notary->node, notary->log, &leaf, NULL, NULL) == HDMS_OK &&
		hdms_acceptance_verify(body->acceptance, strlen(body->acceptance), version->text, strlen(version->text), patient, leaf.time_ms / 1000) == HDMS_OK &&
		hdms_request_verify(body->request, strlen(body->request), sim->institution.history, patient, &sim->list, before ? before->request : NULL,
							leaf.time_ms / 1000, &request) == HDMS_OK &&
		hdms_sha256(body->request, strlen(body->request), digest) == HDMS_OK && memcmp(digest, leaf.request, sizeof(digest)) == 0 &&
		memcmp(leaf.tag, request.commit.tag, sizeof(leaf.tag)) == 0 && strcmp(request.commit.vk, version->state.vk) == 0 &&
		hdms_sha256_text(body->acceptance, strlen(body->acceptance), acceptance) == HDMS_OK && strcmp(acceptance, request.acceptance) == 0 &&
		leaf.time_ms <= request.commit.accept_until * 1000;
}

static void
act_accepted(Sim *sim, const HdmsMessageHead *head, const HdmsBody *body)
{
	SimVersion *version = sim_version(sim, body->vk);
	HdmsBody	committed = {.vk = body->vk};
	HdmsBody	refusal = {.code = (char *) "unknown-state", .detail = (char *) "there is no such version"};

	if (version == NULL || strcmp(version->patient, head->iss) != 0)
	{
		answer(sim, head, HDMS_MSG_REFUSED, &refusal);
		return;
	}
	if (!evidence_is_good(sim, version, body))
	{
		refusal.code = (char *) "bad-signature";
		answer(sim, head, HDMS_MSG_REFUSED, &refusal);
		return;
	}
	sim->verified_accepted++;
	if (version->status != SIM_COMMITTED)
	{
		version->status = SIM_COMMITTED;
		version->committed_ms = sim->clock();
		version->acceptance = strdup(body->acceptance);
		version->request = strdup(body->request);
		version->receipt = strdup(body->receipt);
	}
	answer(sim, head, HDMS_MSG_COMMITTED, &committed);
}

static void
act_rejected(Sim *sim, const HdmsMessageHead *head, const HdmsBody *body)
{
	SimVersion *version = sim_version(sim, body->vk);
	HdmsBody	reply = {.vk = body->vk, .code = (char *) "rejected"};
	HdmsRejection rejection;

	if (version == NULL || hdms_rejection_verify(body->rejection, strlen(body->rejection), sim_history(sim, head->iss), 0, &rejection) != HDMS_OK ||
		strcmp(rejection.vk, body->vk) != 0)
		return;
	if (version->status != SIM_COMMITTED)
		version->status = SIM_REJECTED;
	snprintf(version->reason, sizeof(version->reason), "%s", rejection.reason);
	answer(sim, head, HDMS_MSG_WITHDRAWN, &reply);
}

static void
act_silent(Sim *sim, const HdmsMessageHead *head, const HdmsBody *body)
{
	HdmsSkip	skip = {.iat = sim->clock() / 1000};
	HdmsBody	reply = {.vk = body->vk, .notary = body->notary};

	if (!sim->skip_silent)
	{
		answer(sim, head, HDMS_MSG_ALIVE, &reply);
		return;
	}
	strcpy(skip.iss, sim->institution.id);
	strcpy(skip.sub, head->iss);
	strcpy(skip.vk, body->vk);
	strcpy(skip.notary, body->notary);
	reply.notary = NULL;
	MUST(hdms_skip_sign(&skip, sim->institution.key[HDMS_ROLE_SIGN], &reply.skip));
	answer(sim, head, HDMS_MSG_SKIP, &reply);
	free(reply.skip);
}

/* The committed versions that the patient asks for. */
static void
act_want(Sim *sim, const HdmsMessageHead *head, const HdmsBody *body)
{
	HdmsBody	reply = {0};

	reply.copies = calloc(body->wanted_count + 1, sizeof(HdmsCopy));
	reply.missing = calloc(body->wanted_count + 1, sizeof(char *));
	for (size_t i = 0; i < body->wanted_count; i++)
	{
		const SimVersion *version = sim_version(sim, body->wanted[i]);

		if (sim->has_no_copies || version == NULL || version->receipt == NULL || strcmp(version->patient, head->iss) != 0)
			reply.missing[reply.missing_count++] = body->wanted[i];
		else if (sim->copies_at_once == 0 || reply.copy_count < sim->copies_at_once)
		{
			HdmsCopy   *copy = &reply.copies[reply.copy_count++];

			*copy = (HdmsCopy) {version->text, NULL, version->acceptance, version->request, strdup(version->receipt)};
			if (sim->alters_copies)
				copy->receipt[strlen(copy->receipt) / 2] ^= 1;
		}
	}
	answer(sim, head, HDMS_MSG_COPIES, &reply);
	for (size_t i = 0; i < reply.copy_count; i++)
		free(reply.copies[i].receipt);
	free(reply.copies);
	free(reply.missing);
}

void
sim_institution_act(Sim *sim, const HdmsMessageHead *head, const HdmsBody *body)
{
	if (strcmp(head->type, HDMS_MSG_PAIR) == 0)
		act_pair(sim, head, body);
	else if (strcmp(head->type, HDMS_MSG_ACCEPTED) == 0)
		act_accepted(sim, head, body);
	else if (strcmp(head->type, HDMS_MSG_REJECTED) == 0)
		act_rejected(sim, head, body);
	else if (strcmp(head->type, HDMS_MSG_SILENT) == 0)
		act_silent(sim, head, body);
	else if (strcmp(head->type, HDMS_MSG_ACK) == 0)
	{
		for (size_t i = 0; i < body->ack_count; i++)
			for (size_t j = sim->version_count; j-- > 0;)
				if (strcmp(sim->versions[j].jti, body->acks[i]) == 0 && sim->versions[j].status == SIM_ISSUED)
					sim->versions[j].status = SIM_DELIVERED;
	}
	else if (strcmp(head->type, HDMS_MSG_REFUSED) == 0)
	{
		for (size_t j = 0; j < sim->version_count; j++)
			if (strcmp(sim->versions[j].jti, head->re) == 0)
			{
				sim->versions[j].status = SIM_REFUSED;
				snprintf(sim->versions[j].code, sizeof(sim->versions[j].code), "%s", body->code);
			}
	}
	else if (strcmp(head->type, HDMS_MSG_ERASURE) == 0)
	{
		snprintf(sim->erasure, sizeof(sim->erasure), "%s", body->code);
		snprintf(sim->erasure_vk, sizeof(sim->erasure_vk), "%s", body->vk);
		answer_ack(sim, head);
	}
	else if (strcmp(head->type, HDMS_MSG_WANT) == 0)
		act_want(sim, head, body);
	else if (strcmp(head->type, HDMS_MSG_COPIES) == 0)
	{
		free(sim->copies);
		sim->copies = NULL;
		MUST(hdms_body_print(HDMS_MSG_COPIES, body, &sim->copies));
	}
	else
		answer_ack(sim, head);
}

void
sim_send_record(Sim *sim, size_t index)
{
	SimVersion *version = &sim->versions[index];
	HdmsBody	body = {.state = version->text, .commit = version->commit};

	sim_send(sim, &sim->institution, version->patient, HDMS_MSG_RECORD, "", &body, version->jti);
}

size_t
sim_issue(Sim *sim, const char *patient, const char *content, const SimVersion *before)
{
	SimVersion	version = {.issued_ms = sim->clock()};
	HdmsCommit	commit = {.iat = sim->clock() / 1000};
	const HdmsHistory *history = sim_history(sim, patient);

	strcpy(version.patient, patient);
	strcpy(version.state.iss, sim->institution.id);
	strcpy(version.state.sub, patient);
	version.state.iat = commit.iat;
	version.state.version = before ? before->state.version + 1 : 1;
	if (before != NULL)
	{
		strcpy(version.state.record, before->state.record);
		strcpy(version.state.prev, before->state.vk);
	}
	else
		MUST(hdms_uuid7(sim->clock(), version.state.record));
	MUST(hdms_content_type(content, strlen(content), version.state.type));
	MUST(hdms_state_build(&version.state, content, strlen(content), sim->institution.key[HDMS_ROLE_SIGN], &version.text));
	MUST(hdms_commit_for(&version.state, &commit));
	commit.accept_until = commit.iat + sim->accept_within;
	strcpy(commit.notaries, sim->list.digest);
	strcpy(commit.vrf, hdms_key_thumbprint(hdms_history_current(history, HDMS_ROLE_VRF)));
	MUST(hdms_commit_sign(&commit, sim->institution.key[HDMS_ROLE_SIGN], &version.commit));
	sim->versions = sim_grow(sim->versions, sim->version_count, sizeof(version));
	sim->versions[sim->version_count] = version;
	sim_send_record(sim, sim->version_count);
	return sim->version_count++;
}
