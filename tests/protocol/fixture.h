/*
 * fixture.h
 *		A small network in memory: three institutions that are all notaries, one patient, records.
 *
 * For every test and benchmark that needs valid states, requests, receipts or
 * evidence. The clock is fixture.now and moves only when a test moves it. What must not fail
 * does not return: it prints where it failed and aborts. Needs nothing but protocol/.
 *
 *	Fixture		fixture;
 *	FixtureVersion version = {0};
 *
 *	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
 *	fixture_version(&fixture, NULL, "{\"a\":1}", &version);
 *	...
 *	fixture_version_free(&version);
 *	fixture_close(&fixture);
 */
#ifndef HDMS_FIXTURE_H
#define HDMS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence.h"

#define FIXTURE_INSTITUTIONS	3
#define FIXTURE_NOW				INT64_C(1767225600)	/* 2026-01-01 */
#define FIXTURE_DAY				86400
#define FIXTURE_LEVELS			32

/* Stops the program unless the call answers HDMS_OK. */
#define FIXTURE_OK(call) \
	do { \
		HdmsStatus	fixture_status_ = (call); \
		if (fixture_status_ != HDMS_OK) \
		{ \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, hdms_status_word(fixture_status_)); \
			abort(); \
		} \
	} while (0)

typedef struct FixtureNode
{
	HdmsKey    *key[HDMS_ROLE_COUNT];	/* private; NULL for roles that the kind does not have */
	HdmsKey    *recovery;
	HdmsHistory *history;
	const char *id;
} FixtureNode;

/* A notary's log: every complete node of the tree. */
typedef struct FixtureLog
{
	HdmsMerkleFrontier frontier;
	HdmsHash   *level[FIXTURE_LEVELS];
	size_t		room[FIXTURE_LEVELS];
} FixtureLog;

typedef struct Fixture
{
	int64_t		now;			/* seconds */
	HdmsKey    *network;
	FixtureNode institution[FIXTURE_INSTITUTIONS];	/* 0 is the issuer */
	char	   *admission[FIXTURE_INSTITUTIONS];
	FixtureLog	log[FIXTURE_INSTITUTIONS];
	FixtureNode patient;
	HdmsNotaryList list;
} Fixture;

/* One version of a record, as far as it has come; zero it before first use. */
typedef struct FixtureVersion
{
	HdmsState	state;
	char	   *sd_jwt;
	char	   *commit;
	char	   *acceptance;
	char	   *request;
	char	   *receipt;
	char		notary[HDMS_DIGEST_TEXT + 1];
} FixtureVersion;

/* A node with fresh keys; rsa_or_p256 is for signing and encryption. */
static inline void
fixture_node_make(FixtureNode *node, HdmsNodeKind kind, const char *name, HdmsKeyType rsa_or_p256, int64_t now)
{
	int			bits = rsa_or_p256 == HDMS_KEY_RSA ? 2048 : 0;
	HdmsNodeKeys keys;
	char	   *json = NULL;

	memset(node, 0, sizeof(*node));
	memset(&keys, 0, sizeof(keys));
	FIXTURE_OK(hdms_key_generate(rsa_or_p256, bits, &node->key[HDMS_ROLE_SIGN]));
	FIXTURE_OK(hdms_key_generate(rsa_or_p256, bits, &node->key[HDMS_ROLE_ENCRYPT]));
	FIXTURE_OK(hdms_key_generate(HDMS_KEY_P256, 0, &node->recovery));
	if (kind == HDMS_PERSON)
		FIXTURE_OK(hdms_key_generate(HDMS_KEY_P256, 0, &node->key[HDMS_ROLE_VRF]));
	else
	{
		FIXTURE_OK(hdms_key_generate(HDMS_KEY_ED25519, 0, &node->key[HDMS_ROLE_LOG]));
		FIXTURE_OK(hdms_key_generate(HDMS_KEY_ED25519, 0, &node->key[HDMS_ROLE_COSIGNER]));
	}
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		keys.role[i] = node->key[i];
	keys.recovery = node->recovery;
	FIXTURE_OK(hdms_history_create(kind, name, &keys, now, &json));
	FIXTURE_OK(hdms_history_parse(json, strlen(json), &node->history));
	node->id = hdms_history_node_id(node->history);
	free(json);
}

static inline void
fixture_node_free(FixtureNode *node)
{
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		hdms_key_free(node->key[i]);
	hdms_key_free(node->recovery);
	hdms_history_free(node->history);
	memset(node, 0, sizeof(*node));
}

/* A new signing key of the same type, entered into the node's history by the old one at the fixture's time. */
static inline void
fixture_node_rotate(Fixture *fixture, FixtureNode *node)
{
	HdmsKeyType type = hdms_key_type(node->key[HDMS_ROLE_SIGN]);
	HdmsKey    *fresh = NULL;
	HdmsNodeKeys keys;
	char	   *json = NULL;

	memset(&keys, 0, sizeof(keys));
	FIXTURE_OK(hdms_key_generate(type, type == HDMS_KEY_RSA ? 2048 : 0, &fresh));
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		keys.role[i] = node->key[i];
	keys.role[HDMS_ROLE_SIGN] = fresh;
	keys.recovery = node->recovery;
	FIXTURE_OK(hdms_history_extend(node->history, &keys, node->key[HDMS_ROLE_SIGN], NULL, 0, fixture->now, &json));
	hdms_history_free(node->history);
	FIXTURE_OK(hdms_history_parse(json, strlen(json), &node->history));
	node->id = hdms_history_node_id(node->history);
	hdms_key_free(node->key[HDMS_ROLE_SIGN]);
	node->key[HDMS_ROLE_SIGN] = fresh;
	free(json);
}

/* Signs the list of all institutions anew, at the fixture's time. */
static inline void
fixture_pin_list(Fixture *fixture, int64_t max_age)
{
	HdmsNotary	notaries[FIXTURE_INSTITUTIONS];
	char	   *jws = NULL;

	memset(notaries, 0, sizeof(notaries));
	for (int i = 0; i < FIXTURE_INSTITUTIONS; i++)
	{
		strcpy(notaries[i].node, fixture->institution[i].id);
		snprintf(notaries[i].name, sizeof(notaries[i].name), "Hospital %d", i);
		notaries[i].log = fixture->institution[i].key[HDMS_ROLE_LOG];
	}
	FIXTURE_OK(hdms_notaries_sign(fixture->network, notaries, FIXTURE_INSTITUTIONS, max_age, fixture->now, &jws));
	hdms_notaries_free(&fixture->list);
	FIXTURE_OK(hdms_notaries_parse(jws, strlen(jws), fixture->network, &fixture->list));
	free(jws);
}

static inline void
fixture_open(Fixture *fixture, HdmsKeyType institution_suite, HdmsKeyType patient_suite)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->now = FIXTURE_NOW;
	FIXTURE_OK(hdms_key_generate(HDMS_KEY_ED25519, 0, &fixture->network));
	for (int i = 0; i < FIXTURE_INSTITUTIONS; i++)
	{
		char		name[32];

		snprintf(name, sizeof(name), "Hospital %d", i);
		fixture_node_make(&fixture->institution[i], HDMS_INSTITUTION, name,
						  i == 0 ? institution_suite : HDMS_KEY_P256, fixture->now);
		FIXTURE_OK(hdms_admission_sign(fixture->network, fixture->institution[i].history, true, fixture->now,
									   &fixture->admission[i]));
	}
	fixture_node_make(&fixture->patient, HDMS_PERSON, NULL, patient_suite, fixture->now);
	fixture_pin_list(fixture, 365 * FIXTURE_DAY);
}

static inline void
fixture_close(Fixture *fixture)
{
	hdms_key_free(fixture->network);
	for (int i = 0; i < FIXTURE_INSTITUTIONS; i++)
	{
		fixture_node_free(&fixture->institution[i]);
		free(fixture->admission[i]);
		for (int level = 0; level < FIXTURE_LEVELS; level++)
			free(fixture->log[i].level[level]);
	}
	fixture_node_free(&fixture->patient);
	hdms_notaries_free(&fixture->list);
	memset(fixture, 0, sizeof(*fixture));
}

static inline HdmsStatus
fixture_log_store(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	FixtureLog *log = arg;

	if (level >= FIXTURE_LEVELS)
		return HDMS_TOO_LARGE;
	if (index >= log->room[level])
	{
		size_t		room = log->room[level] == 0 ? 16 : log->room[level] * 2;
		HdmsHash   *grown = realloc(log->level[level], room * sizeof(HdmsHash));

		if (grown == NULL)
			return HDMS_OUT_OF_MEMORY;
		log->level[level] = grown;
		log->room[level] = room;
	}
	memcpy(log->level[level][index], hash, sizeof(HdmsHash));
	return HDMS_OK;
}

static inline HdmsStatus
fixture_log_fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	FixtureLog *log = arg;

	if (level >= FIXTURE_LEVELS || index >= log->room[level])
		return HDMS_BAD_PROOF;
	memcpy(hash, log->level[level][index], sizeof(HdmsHash));
	return HDMS_OK;
}

/* Appends a leaf to the log of institution number which, and gives its receipt. */
static inline void
fixture_log_append(Fixture *fixture, int which, const HdmsLeaf *leaf, char **receipt)
{
	FixtureLog *log = &fixture->log[which];
	unsigned char bytes[HDMS_LEAF_SIZE];
	HdmsHash	hash;
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	HdmsCheckpoint checkpoint;
	char	   *note = NULL;
	int			count;

	hdms_leaf_write(leaf, bytes);
	FIXTURE_OK(hdms_merkle_leaf(bytes, sizeof(bytes), hash));
	FIXTURE_OK(hdms_merkle_append(&log->frontier, hash, fixture_log_store, log));
	memset(&checkpoint, 0, sizeof(checkpoint));
	hdms_log_origin(fixture->institution[which].id, checkpoint.origin);
	checkpoint.size = log->frontier.size;
	FIXTURE_OK(hdms_merkle_root(&log->frontier, checkpoint.root));
	FIXTURE_OK(hdms_checkpoint_sign(&checkpoint, fixture->institution[which].key[HDMS_ROLE_LOG], &note));
	FIXTURE_OK(hdms_merkle_inclusion(checkpoint.size - 1, checkpoint.size, fixture_log_fetch, log, proof, &count));
	FIXTURE_OK(hdms_receipt_build(leaf, checkpoint.size - 1, (const HdmsHash *) proof, count, note, receipt));
	free(note);
}

/* Which institution has that node id; -1 when none. */
static inline int
fixture_which(const Fixture *fixture, const char *node)
{
	for (int i = 0; i < FIXTURE_INSTITUTIONS; i++)
	{
		if (strcmp(fixture->institution[i].id, node) == 0)
			return i;
	}
	return -1;
}

/* State and commit by institution 0; prev is NULL for a record's first version. */
static inline void
fixture_issue(Fixture *fixture, const FixtureVersion *prev, const char *content, FixtureVersion *version)
{
	FixtureNode *issuer = &fixture->institution[0];
	HdmsState  *state = &version->state;
	HdmsCommit	commit;

	memset(version, 0, sizeof(*version));
	memset(&commit, 0, sizeof(commit));
	strcpy(state->iss, issuer->id);
	strcpy(state->sub, fixture->patient.id);
	state->iat = fixture->now;
	state->version = prev == NULL ? 1 : prev->state.version + 1;
	if (prev == NULL)
		FIXTURE_OK(hdms_uuid7(fixture->now * 1000, state->record));
	else
	{
		strcpy(state->record, prev->state.record);
		strcpy(state->prev, prev->state.vk);
	}
	FIXTURE_OK(hdms_content_type(content, strlen(content), state->type));
	FIXTURE_OK(hdms_state_build(state, content, strlen(content), issuer->key[HDMS_ROLE_SIGN], &version->sd_jwt));

	FIXTURE_OK(hdms_commit_for(state, &commit));
	commit.iat = fixture->now;
	commit.accept_until = fixture->now + 30 * FIXTURE_DAY;
	strcpy(commit.notaries, fixture->list.digest);
	strcpy(commit.vrf, hdms_key_thumbprint(fixture->patient.key[HDMS_ROLE_VRF]));
	FIXTURE_OK(hdms_commit_sign(&commit, issuer->key[HDMS_ROLE_SIGN], &version->commit));
}

/* The patient's acceptance and request. */
static inline void
fixture_accept(Fixture *fixture, const FixtureVersion *prev, FixtureVersion *version)
{
	const HdmsKey *patient = fixture->patient.key[HDMS_ROLE_SIGN];
	const HdmsNotary *notary = NULL;

	FIXTURE_OK(hdms_acceptance_sign(version->sd_jwt, strlen(version->sd_jwt), patient, fixture->now, &version->acceptance));
	if (prev == NULL)
	{
		FIXTURE_OK(hdms_request_first(&version->state, version->commit, version->acceptance, &fixture->list, NULL, 0,
									  fixture->patient.key[HDMS_ROLE_VRF], patient, fixture->now, &version->request, &notary));
		strcpy(version->notary, notary->node);
	}
	else
	{
		strcpy(version->notary, prev->notary);
		FIXTURE_OK(hdms_request_next(&version->state, version->commit, version->acceptance, prev->request, prev->notary,
									 patient, fixture->now, &version->request));
	}
}

/* The drawn notary verifies the request, appends its leaf at the fixture's time and gives the receipt. */
static inline void
fixture_notarise(Fixture *fixture, const FixtureVersion *prev, FixtureVersion *version)
{
	HdmsRequest request;
	HdmsLeaf	leaf;

	FIXTURE_OK(hdms_request_verify(version->request, strlen(version->request), fixture->institution[0].history,
								   fixture->patient.history, &fixture->list, prev == NULL ? NULL : prev->request,
								   fixture->now, &request));
	leaf.time_ms = fixture->now * 1000;
	memcpy(leaf.tag, request.commit.tag, sizeof(leaf.tag));
	memcpy(leaf.request, request.digest, sizeof(leaf.request));
	fixture_log_append(fixture, fixture_which(fixture, request.aud), &leaf, &version->receipt);
}

/* All three, a minute between each. */
static inline void
fixture_version(Fixture *fixture, const FixtureVersion *prev, const char *content, FixtureVersion *version)
{
	fixture_issue(fixture, prev, content, version);
	fixture->now += 60;
	fixture_accept(fixture, prev, version);
	fixture->now += 60;
	fixture_notarise(fixture, prev, version);
	fixture->now += 60;
}

static inline void
fixture_version_free(FixtureVersion *version)
{
	free(version->sd_jwt);
	free(version->commit);
	free(version->acceptance);
	free(version->request);
	free(version->receipt);
	memset(version, 0, sizeof(*version));
}

/* The evidence of a record's versions, oldest first. parts: room for count; evidence borrows from everything given. */
static inline void
fixture_evidence(const Fixture *fixture, const FixtureVersion *versions, size_t count,
				 HdmsEvidenceVersion *parts, HdmsEvidence *evidence)
{
	for (size_t i = 0; i < count; i++)
		parts[i] = (HdmsEvidenceVersion)
	{
		versions[i].sd_jwt, versions[i].acceptance, versions[i].request, versions[i].receipt, NULL
	};
	memset(evidence, 0, sizeof(*evidence));
	evidence->network = fixture->network;
	evidence->issuer = fixture->institution[0].history;
	evidence->patient = fixture->patient.history;
	evidence->admission = fixture->admission[0];
	evidence->lists = &fixture->list;
	evidence->list_count = 1;
	evidence->versions = parts;
	evidence->version_count = count;
}

#endif
