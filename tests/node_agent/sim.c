/*
 * sim.c
 *		The simulated network: its keys, its list of notaries, its envelopes.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_inside.h"

void
sim_must(HdmsStatus status, const char *what, const char *file, int line)
{
	if (status == HDMS_OK)
		return;
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, hdms_status_word(status));
	abort();
}

void *
sim_grow(void *array, size_t count, size_t size)
{
	/* Doubles at powers of two. */
	if (count == 0 || (count & (count - 1)) == 0)
		array = realloc(array, (count ? count * 2 : 1) * size);
	if (array == NULL)
		abort();
	return array;
}

static void
node_open(Sim *sim, SimNode *node, const char *name, bool is_notary)
{
	HdmsNodeKeys keys = {.recovery = NULL};
	HdmsKey    *recovery;
	char	   *json;
	int64_t		now = sim->clock() / 1000;

	memset(node, 0, sizeof(*node));
	MUST(hdms_key_generate(HDMS_KEY_P256, 0, &node->key[HDMS_ROLE_SIGN]));
	MUST(hdms_key_generate(HDMS_KEY_P256, 0, &node->key[HDMS_ROLE_ENCRYPT]));
	MUST(hdms_key_generate(HDMS_KEY_ED25519, 0, &node->key[HDMS_ROLE_LOG]));
	MUST(hdms_key_generate(HDMS_KEY_ED25519, 0, &node->key[HDMS_ROLE_COSIGNER]));
	MUST(hdms_key_generate(HDMS_KEY_P256, 0, &recovery));
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		keys.role[i] = node->key[i];
	keys.recovery = recovery;
	MUST(hdms_history_create(HDMS_INSTITUTION, name, &keys, now, &json));
	MUST(hdms_history_parse(json, strlen(json), &node->history));
	MUST(hdms_admission_sign(sim->network, node->history, is_notary, now, &node->admission));
	strcpy(node->id, hdms_history_node_id(node->history));
	hdms_key_free(recovery);
	free(json);
}

static void
node_close(SimNode *node)
{
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		hdms_key_free(node->key[i]);
	hdms_history_free(node->history);
	free(node->admission);
}

void
sim_open(Sim *sim, int64_t (*clock) (void), HdmsKey *network)
{
	HdmsNotary	notaries[SIM_NOTARIES + 1] = {0};
	char	   *jws;

	memset(sim, 0, sizeof(*sim));
	sim->clock = clock;
	sim->accept_within = 30 * 86400;
	sim->skip_silent = true;
	sim->network = network;
	if (network == NULL)
		MUST(hdms_key_generate(HDMS_KEY_ED25519, 0, &sim->network));
	node_open(sim, &sim->institution, "Hospital of Examples", true);
	for (int i = 0; i < SIM_NOTARIES; i++)
	{
		char		name[20];

		snprintf(name, sizeof(name), "Notary %d", i + 1);
		node_open(sim, &sim->notary[i], name, true);
		strcpy(notaries[i].node, sim->notary[i].id);
		strcpy(notaries[i].name, name);
		notaries[i].log = sim->notary[i].key[HDMS_ROLE_LOG];
	}

	/* The issuer is a notary too, so that leaving it out is seen. */
	strcpy(notaries[SIM_NOTARIES].node, sim->institution.id);
	strcpy(notaries[SIM_NOTARIES].name, "Hospital of Examples");
	notaries[SIM_NOTARIES].log = sim->institution.key[HDMS_ROLE_LOG];
	MUST(hdms_notaries_sign(sim->network, notaries, SIM_NOTARIES + 1, 90 * 86400, clock() / 1000, &jws));
	MUST(hdms_notaries_parse(jws, strlen(jws), sim->network, &sim->list));
	free(jws);
}

void
sim_close(Sim *sim)
{
	node_close(&sim->institution);
	for (int i = 0; i < SIM_NOTARIES; i++)
	{
		node_close(&sim->notary[i]);
		sim_log_free(&sim->log[i]);
	}
	hdms_notaries_free(&sim->list);
	hdms_key_free(sim->network);
	for (size_t i = 0; i < sim->patient_count; i++)
		hdms_history_free(sim->patients[i].history);
	for (size_t i = 0; i < sim->version_count; i++)
	{
		free(sim->versions[i].text);
		free(sim->versions[i].commit);
		free(sim->versions[i].acceptance);
		free(sim->versions[i].request);
		free(sim->versions[i].receipt);
	}
	for (size_t i = 0; i < sim->invitation_count; i++)
		hdms_pairing_free(&sim->invitations[i]);
	for (size_t i = sim->mail_first; i < sim->mail_count; i++)
		free(sim->mail[i].envelope);
	free(sim->copies);
	free(sim->patients);
	free(sim->versions);
	free(sim->invitations);
	free(sim->mail);
}

char *
sim_invite(Sim *sim, const char *server)
{
	HdmsPairing pairing = {0};
	HdmsVoucher voucher = {.iat = sim->clock() / 1000};
	char	   *uri;

	MUST(hdms_uuid7(sim->clock(), pairing.invitation));
	MUST(hdms_random(pairing.secret, sizeof(pairing.secret)));
	pairing.server = strdup(server);
	strcpy(pairing.network, hdms_key_thumbprint(sim->network));
	strcpy(pairing.node, sim->institution.id);
	strcpy(voucher.iss, sim->institution.id);
	strcpy(voucher.jti, pairing.invitation);
	voucher.exp = voucher.iat + 900;
	MUST(hdms_voucher_sign(sim->institution.key[HDMS_ROLE_SIGN], &voucher, &pairing.voucher));
	MUST(hdms_pairing_uri(&pairing, &uri));
	sim->invitations = sim_grow(sim->invitations, sim->invitation_count, sizeof(pairing));
	sim->invitations[sim->invitation_count++] = pairing;
	return uri;
}

void
sim_learn(Sim *sim, const char *json)
{
	HdmsHistory *history;

	MUST(hdms_history_parse(json, strlen(json), &history));
	if (sim_history(sim, hdms_history_node_id(history)) != NULL)
	{
		hdms_history_free(history);
		return;
	}
	sim->patients = sim_grow(sim->patients, sim->patient_count, sizeof(*sim->patients));
	sim->patients[sim->patient_count++] = (SimPatient)
	{
		.history = history
	};
}

SimPatient *
sim_patient(const Sim *sim, const char *node)
{
	for (size_t i = sim->patient_count; i-- > 0;)
		if (strcmp(hdms_history_node_id(sim->patients[i].history), node) == 0)
			return &sim->patients[i];
	return NULL;
}

const HdmsHistory *
sim_history(const Sim *sim, const char *node)
{
	SimPatient *patient = sim_patient(sim, node);

	if (patient != NULL)
		return patient->history;
	if (strcmp(node, sim->institution.id) == 0)
		return sim->institution.history;
	for (int i = 0; i < SIM_NOTARIES; i++)
		if (strcmp(node, sim->notary[i].id) == 0)
			return sim->notary[i].history;
	return NULL;
}

bool
sim_is_paired(const Sim *sim, const char *node)
{
	const SimPatient *patient = sim_patient(sim, node);

	return patient != NULL && patient->paired;
}

void
sim_send(Sim *sim, const SimNode *from, const char *to, const char *type, const char *re, const HdmsBody *body, char jti[37])
{
	HdmsMessageHead head = {.iat = sim->clock() / 1000};
	const HdmsHistory *receiver = sim_history(sim, to);
	SimMail		mail = {.from = from};
	char	   *json;

	if (receiver == NULL)
		return;
	if (jti[0] == '\0')
		MUST(hdms_uuid7(sim->clock(), jti));
	strcpy(head.iss, from->id);
	strcpy(head.aud, to);
	strcpy(head.jti, jti);
	strcpy(head.re, re);
	strcpy(head.type, type);
	head.exp = head.iat + 30 * 86400;
	MUST(hdms_body_print(type, body, &json));
	MUST(hdms_message_seal(&head, json, strlen(json), from->key[HDMS_ROLE_SIGN], hdms_history_current(receiver, HDMS_ROLE_ENCRYPT), &mail.envelope));
	free(json);
	strcpy(mail.to, to);
	strcpy(mail.type, type);
	sim->mail = sim_grow(sim->mail, sim->mail_count, sizeof(mail));
	sim->mail[sim->mail_count++] = mail;
}

bool
sim_take(Sim *sim, SimMail *mail)
{
	if (sim->mail_first == sim->mail_count)
		return false;
	*mail = sim->mail[sim->mail_first++];
	if (sim->mail_first == sim->mail_count)
		sim->mail_first = sim->mail_count = 0;
	return true;
}

bool
sim_deliver(Sim *sim, const char *to, const char *envelope)
{
	SimNode    *node = NULL;
	int			notary = -1;
	HdmsMessage message = {0};
	HdmsBody	body = {0};
	const HdmsHistory *sender;
	const HdmsKey *key;
	char		kid[HDMS_DIGEST_TEXT + 1];

	if (strcmp(to, sim->institution.id) == 0)
		node = &sim->institution;
	for (int i = 0; i < SIM_NOTARIES; i++)
		if (strcmp(to, sim->notary[i].id) == 0)
		{
			node = &sim->notary[i];
			notary = i;
		}
	if (node == NULL)
		return false;
	if (node->mute)
		return true;
	if (hdms_message_open(envelope, strlen(envelope), node->key[HDMS_ROLE_ENCRYPT], to, sim->clock() / 1000, &message) != HDMS_OK ||
		hdms_body_parse(message.head.type, message.body.data, message.body.len, &body) != HDMS_OK)
		sim->bad_messages++;
	else
	{
		/* A person who pairs brings the history along. */
		if (strcmp(message.head.type, HDMS_MSG_PAIR) == 0)
			sim_learn(sim, body.history);
		sender = sim_history(sim, message.head.iss);
		key = sender && hdms_message_kid(&message, kid) == HDMS_OK ? hdms_history_find(sender, HDMS_ROLE_SIGN, kid, 0) : NULL;
		if (key == NULL || hdms_message_verify(&message, key) != HDMS_OK)
			sim->bad_messages++;
		else if (notary >= 0)
			sim_notary_act(sim, notary, &message.head, &body);
		else
			sim_institution_act(sim, &message.head, &body);
	}
	hdms_body_free(&body);
	hdms_message_free(&message);
	return true;
}
