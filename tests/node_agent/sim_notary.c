/*
 * sim_notary.c
 *		The simulated notaries: a log in memory, one leaf for each tag.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_inside.h"

void
sim_log_free(SimLog *log)
{
	for (int i = 0; i < 48; i++)
		free(log->nodes[i]);
	for (size_t i = 0; i < log->leaf_count; i++)
		free(log->leaves[i].receipt);
	free(log->leaves);
}

static HdmsStatus
node_store(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	SimLog	   *log = arg;

	if (index != log->count[level])
		abort();
	log->nodes[level] = sim_grow(log->nodes[level], log->count[level], sizeof(HdmsHash));
	memcpy(log->nodes[level][log->count[level]++], hash, sizeof(HdmsHash));
	return HDMS_OK;
}

static HdmsStatus
node_fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	SimLog	   *log = arg;

	if (index >= log->count[level])
		return HDMS_BAD_PROOF;
	memcpy(hash, log->nodes[level][index], sizeof(HdmsHash));
	return HDMS_OK;
}

/* Appends a leaf and makes its receipt. */
static char *
append(Sim *sim, int number, const HdmsRequest *request)
{
	SimLog	   *log = &sim->log[number];
	HdmsLeaf	leaf = {.time_ms = sim->clock() + sim->leaf_shift};
	HdmsCheckpoint checkpoint = {0};
	unsigned char bytes[HDMS_LEAF_SIZE];
	HdmsHash	hash;
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	char	   *note;
	char	   *receipt;
	int			count;

	memcpy(leaf.tag, request->commit.tag, sizeof(leaf.tag));
	memcpy(leaf.request, request->digest, sizeof(leaf.request));
	leaf.request[0] ^= sim->wrong_leaf;
	hdms_leaf_write(&leaf, bytes);
	MUST(hdms_merkle_leaf(bytes, sizeof(bytes), hash));
	MUST(hdms_merkle_append(&log->frontier, hash, node_store, log));
	hdms_log_origin(sim->notary[number].id, checkpoint.origin);
	checkpoint.size = log->frontier.size;
	MUST(hdms_merkle_root(&log->frontier, checkpoint.root));
	MUST(hdms_checkpoint_sign(&checkpoint, sim->notary[number].key[HDMS_ROLE_LOG], &note));
	MUST(hdms_merkle_inclusion(checkpoint.size - 1, checkpoint.size, node_fetch, log, proof, &count));
	MUST(hdms_receipt_build(&leaf, checkpoint.size - 1, (const HdmsHash *) proof, count, note, &receipt));
	free(note);
	log->leaves = sim_grow(log->leaves, log->leaf_count, sizeof(*log->leaves));
	memcpy(log->leaves[log->leaf_count].tag, leaf.tag, sizeof(leaf.tag));
	memcpy(log->leaves[log->leaf_count].request, leaf.request, sizeof(leaf.request));
	log->leaves[log->leaf_count++].receipt = receipt;
	return receipt;
}

static void
refuse(Sim *sim, const SimNode *node, const HdmsMessageHead *head, const char *code, const char *receipt)
{
	HdmsBody	body = {.code = (char *) code, .detail = (char *) "refused", .receipt = (char *) receipt};
	char		jti[37] = "";

	sim_send(sim, node, head->iss, HDMS_MSG_REFUSED, head->jti, &body, jti);
}

void
sim_notary_act(Sim *sim, int number, const HdmsMessageHead *head, const HdmsBody *body)
{
	const SimNode *node = &sim->notary[number];
	SimLog	   *log = &sim->log[number];
	HdmsBody	reply = {0};
	HdmsRequest request;
	HdmsStatus	status;
	char		jti[37] = "";

	if (strcmp(head->type, HDMS_MSG_NOTARISE) != 0)
		return;
	if (sim->notary_refuses)
	{
		sim->notary_refuses = false;
		if (sim->refuse_own)
			MUST(hdms_request_peek(body->request, strlen(body->request), &request));
		refuse(sim, node, head, sim->refuse_code, sim->refuse_own ? append(sim, number, &request) : NULL);
		return;
	}
	status = hdms_request_verify(body->request, strlen(body->request), sim->institution.history, sim_history(sim, head->iss), &sim->list,
								 body->prev_request, sim->clock() / 1000, &request);
	if (status == HDMS_OK && strcmp(request.aud, node->id) != 0)
		status = HDMS_WRONG_RECEIVER;
	if (status == HDMS_OK && request.commit.accept_until < sim->clock() / 1000)
		status = HDMS_TOO_LATE;
	if (status != HDMS_OK)
	{
		refuse(sim, node, head, hdms_status_word(status), NULL);
		return;
	}
	for (size_t i = log->leaf_count; i-- > 0 && reply.receipt == NULL;)
	{
		if (memcmp(log->leaves[i].tag, request.commit.tag, sizeof(request.commit.tag)) != 0)
			continue;
		if (memcmp(log->leaves[i].request, request.digest, sizeof(request.digest)) != 0)
		{
			refuse(sim, node, head, "conflict", log->leaves[i].receipt);
			return;
		}
		reply.receipt = log->leaves[i].receipt;
	}
	if (reply.receipt == NULL)
		reply.receipt = append(sim, number, &request);
	sim_send(sim, node, head->iss, HDMS_MSG_RECEIPT, head->jti, &reply, jti);
}
