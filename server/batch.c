/*
 * batch.c
 *		Operations that run in one transaction.
 *
 * Most batches are one round trip: BEGIN, what the batch holds, COMMIT. A round trip before it is made only when
 * something must be known first: nonces, the usage of mailboxes that were not counted lately, the known histories of
 * nodes that register.
 */
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "log.h"

static bool
has_nonces(const Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->operations[i]->nonce != NULL)
			return true;
	}
	return false;
}

static int
send_nonces(Batch *batch)
{
	Parameter	parameters[3];

	parameter_text_array(&parameters[0]);
	parameter_text_array(&parameters[1]);
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->operations[i]->nonce == NULL)
			continue;
		parameter_add_text(&parameters[0], batch->operations[i]->signer);
		parameter_add_text(&parameters[1], batch->operations[i]->nonce);
	}
	parameter_int8(&parameters[2], batch->now);
	return pipeline_send(batch->pipeline, STATEMENT_NONCES, 3, parameters);
}

/* Each returned row belongs to one operation; the others of the same node and nonce are replays. */
static void
read_nonces(Batch *batch, const PGresult *result)
{
	for (int i = 0; i < batch->count; i++)
		batch->active[i] = (batch->operations[i]->nonce == NULL);
	for (int row = 0; row < PQntuples(result); row++)
	{
		for (int i = 0; i < batch->count; i++)
		{
			Operation  *operation = batch->operations[i];

			if (batch->active[i] || strcmp(operation->nonce, PQgetvalue(result, row, 1)) != 0
				|| strcmp(operation->signer, PQgetvalue(result, row, 0)) != 0)
				continue;
			batch->active[i] = true;
			break;
		}
	}
	for (int i = 0; i < batch->count; i++)
		batch->operations[i]->outcome = batch->active[i] ? OUTCOME_DONE : OUTCOME_REPLAYED;
}

static void
read_meta(Batch *batch)
{
	const PGresult *result = batch->pipeline->results[batch->meta_result];

	batch->epoch[0] = '\0';
	batch->mailbox_file = 0;
	batch->last_number = 0;
	if (PQntuples(result) == 1 && PQgetlength(result, 0, 0) < EPOCH_SIZE)
	{
		memcpy(batch->epoch, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0) + 1);
		batch->mailbox_file = result_int8(result, 0, 1);
		batch->last_number = result_int8(result, 0, 2);
	}
}

static void
send_node_loads(Batch *batch)
{
	Parameter	parameter;

	parameter_text_array(&parameter);
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->active[i] && batch->operations[i]->kind == OPERATION_LOAD_NODE)
			parameter_add_text(&parameter, batch->operations[i]->node.id);
	}
	if (parameter.count > 0)
		batch->nodes_result = pipeline_send(batch->pipeline, STATEMENT_NODES, 1, &parameter);
	else
		parameter_free(&parameter);
}

static void
send_list_loads(Batch *batch)
{
	Parameter	parameter;
	bool		newest = false;

	parameter_text_array(&parameter);
	for (int i = 0; i < batch->count; i++)
	{
		if (!batch->active[i] || batch->operations[i]->kind != OPERATION_LOAD_LIST)
			continue;
		if (batch->operations[i]->list.digest == NULL)
			newest = true;
		else
			parameter_add_text(&parameter, batch->operations[i]->list.digest);
	}
	if (parameter.count > 0)
		batch->lists_result = pipeline_send(batch->pipeline, STATEMENT_LISTS, 1, &parameter);
	else
		parameter_free(&parameter);
	if (newest)
		batch->newest_result = pipeline_send(batch->pipeline, STATEMENT_NEWEST_LIST, 0, NULL);
}

static NodeRow *
node_row_read(const PGresult *result, int row)
{
	NodeRow    *node = calloc(1, sizeof(NodeRow));
	const char *status = PQgetvalue(result, row, 2);

	if (node == NULL || PQgetlength(result, row, 0) != HDMS_DIGEST_TEXT)
	{
		free(node);
		return NULL;
	}
	memcpy(node->id, PQgetvalue(result, row, 0), HDMS_DIGEST_TEXT + 1);
	node->kind = PQgetvalue(result, row, 1)[0] == 'i' ? HDMS_INSTITUTION : HDMS_PERSON;
	node->status = status[0] == 'p' ? NODE_PENDING : status[0] == 'a' ? NODE_ACTIVE : NODE_FROZEN;
	node->history = strdup(PQgetvalue(result, row, 3));
	if (!PQgetisnull(result, row, 4))
		node->admission = strdup(PQgetvalue(result, row, 4));
	if (node->history == NULL || (node->admission == NULL && !PQgetisnull(result, row, 4)))
	{
		node_row_free(node);
		return NULL;
	}
	return node;
}

static bool
read_node_loads(Batch *batch)
{
	const PGresult *result = batch->nodes_result >= 0 ? batch->pipeline->results[batch->nodes_result] : NULL;

	for (int i = 0; result != NULL && i < batch->count; i++)
	{
		Operation  *operation = batch->operations[i];

		if (!batch->active[i] || operation->kind != OPERATION_LOAD_NODE)
			continue;
		for (int row = 0; row < PQntuples(result) && operation->node.row == NULL; row++)
		{
			if (strcmp(PQgetvalue(result, row, 0), operation->node.id) != 0)
				continue;
			operation->node.row = node_row_read(result, row);
			if (operation->node.row == NULL)
				return false;
		}
	}
	return true;
}

static bool
read_list_loads(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		Operation  *operation = batch->operations[i];
		const PGresult *result;

		if (!batch->active[i] || operation->kind != OPERATION_LOAD_LIST)
			continue;
		result = batch->pipeline->results[operation->list.digest == NULL ? batch->newest_result : batch->lists_result];
		for (int row = 0; row < PQntuples(result) && operation->list.jws == NULL; row++)
		{
			if (operation->list.digest != NULL && strcmp(PQgetvalue(result, row, 0), operation->list.digest) != 0)
				continue;
			operation->list.jws = strdup(PQgetvalue(result, row, 1));
			operation->list.iat = result_int8(result, row, 2);
			if (operation->list.jws == NULL)
				return false;
		}
	}
	return true;
}

/* What must be known before the rest can be sent. *open: the transaction was begun. */
static PipelineStatus
run_first_round(Batch *batch, bool *open)
{
	bool		nonces = has_nonces(batch);
	bool		usage = batch_mailbox_wants_usage(batch);
	int			nonces_result = -1;
	PipelineStatus status;

	if (!nonces && !usage && !batch_has_registrations(batch))
		return PIPELINE_OK;
	*open = true;
	pipeline_send(batch->pipeline, STATEMENT_BEGIN, 0, NULL);
	if (batch_has_registrations(batch))
		pipeline_send(batch->pipeline, STATEMENT_DURABLE, 0, NULL);
	if (nonces)
		nonces_result = send_nonces(batch);
	if (usage)
		batch_mailbox_send_usage(batch);
	status = pipeline_run(batch->pipeline);
	if (status != PIPELINE_OK)
		return status;
	if (nonces)
		read_nonces(batch, batch->pipeline->results[nonces_result]);
	if (usage && !batch_mailbox_read_usage(batch))
		return PIPELINE_BUSY;
	return batch_has_registrations(batch) ? batch_register(batch) : PIPELINE_OK;
}

static PipelineStatus
run_rounds(Batch *batch)
{
	bool		open = false;
	PipelineStatus status = run_first_round(batch, &open);

	if (status != PIPELINE_OK)
		return status;
	if (!open)
		pipeline_send(batch->pipeline, STATEMENT_BEGIN, 0, NULL);
	batch->meta_result = pipeline_send(batch->pipeline, STATEMENT_META, 0, NULL);
	batch->snapshot_result = pipeline_send(batch->pipeline, STATEMENT_SNAPSHOT, 0, NULL);
	batch_mailbox_send_puts(batch);
	batch_mailbox_send_rest(batch);
	send_node_loads(batch);
	send_list_loads(batch);
	batch_log_send(batch);
	pipeline_send(batch->pipeline, STATEMENT_COMMIT, 0, NULL);
	status = pipeline_run(batch->pipeline);
	if (status != PIPELINE_OK)
		return status;
	read_meta(batch);
	batch_mailbox_settle(batch);
	batch_register_read(batch);
	if (!batch_mailbox_read(batch) || !read_node_loads(batch) || !read_list_loads(batch) || !batch_log_read(batch))
		return PIPELINE_BUSY;
	return PIPELINE_OK;
}

PipelineStatus
batch_run(Batch *batch)
{
	PipelineStatus status;

	batch->usage_result = batch->put_result = batch->held_result = batch->acknowledge_result = -1;
	batch->fetch_result = batch->nodes_result = batch->lists_result = batch->newest_result = batch->written_lists_result = -1;
	batch->id_result = -1;
	batch->epoch[0] = '\0';
	for (int i = 0; i < batch->count; i++)
	{
		batch->active[i] = true;
		batch->operations[i]->outcome = OUTCOME_DONE;
	}
	batch->floor_view = floors_view(batch->floors);
	if (!batch_mailbox_prepare(batch))
		return PIPELINE_BUSY;
	status = run_rounds(batch);
	if (status != PIPELINE_OK)
		batch_mailbox_undo(batch);
	batch_mailbox_free(batch);
	for (int i = 0; i < batch->count; i++)
		memcpy(batch->operations[i]->epoch, batch->epoch, EPOCH_SIZE);
	return status;
}
