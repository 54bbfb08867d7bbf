/*
 * batch_log.c
 *		Reading logs in a batch, and the directory's entry of a node with where it is in the log.
 *
 * Each operation is one statement, so that what it gives fits together: a node's history and the checkpoint, the tiles and
 * the index that prove its newest entry are of one moment.
 */
#include <stdlib.h>
#include <string.h>

#include "batch.h"

void
batch_log_send(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		const Operation *operation = batch->operations[i];
		Parameter	parameters[5];

		batch->own_result[i] = -1;
		if (!batch->active[i])
			continue;
		switch (operation->kind)
		{
			case OPERATION_LOAD_ENTRY:
				parameter_text(&parameters[0], operation->entry.id);
				batch->own_result[i] = pipeline_send(batch->pipeline, STATEMENT_NODE_ENTRY, 1, parameters);
				break;
			case OPERATION_LOAD_CHECKPOINT:
				parameter_text(&parameters[0], operation->log.name);
				batch->own_result[i] = pipeline_send(batch->pipeline, STATEMENT_LOG_CHECKPOINT, 1, parameters);
				break;
			case OPERATION_LOAD_TILE:
				parameter_text(&parameters[0], operation->log.name);
				parameter_int8(&parameters[1], operation->log.level);
				parameter_int8(&parameters[2], (int64_t) operation->log.index);
				batch->own_result[i] = pipeline_send(batch->pipeline, STATEMENT_LOG_TILE, 3, parameters);
				break;
			case OPERATION_LOAD_EDGE:
				parameter_text(&parameters[0], operation->log_edge.name);
				parameter_int8(&parameters[1], operation->log_edge.size);
				batch->own_result[i] = pipeline_send(batch->pipeline, STATEMENT_LOG_EDGE, 2, parameters);
				break;
			case OPERATION_WRITE_TILE:
				parameter_text(&parameters[0], operation->log_write.name);
				parameter_int8(&parameters[1], operation->log_write.level);
				parameter_int8(&parameters[2], (int64_t) operation->log_write.index);
				parameter_int8(&parameters[3], operation->log_write.width);
				parameter_bytea_array(&parameters[4]);
				parameter_add_bytes(&parameters[4], operation->log_write.data, operation->log_write.len);
				batch->own_result[i] = pipeline_send(batch->pipeline, STATEMENT_WRITE_TILE, 5, parameters);
				break;
			case OPERATION_WRITE_CHECKPOINT:
				parameter_text(&parameters[0], operation->log_write.name);
				parameter_int8(&parameters[1], operation->log_write.size);
				parameter_text(&parameters[2], operation->log_write.data);
				parameter_int8(&parameters[3], batch->now);
				batch->own_result[i] = pipeline_send(batch->pipeline, STATEMENT_WRITE_CHECKPOINT, 4, parameters);
				break;
			default:
				break;
		}
	}
}

static char *
copy_field(const PGresult *result, int row, int column)
{
	size_t		len = (size_t) PQgetlength(result, row, column);
	char	   *copy = malloc(len + 1);

	if (copy != NULL)
	{
		memcpy(copy, PQgetvalue(result, row, column), len);
		copy[len] = '\0';
	}
	return copy;
}

static bool
read_log(const PGresult *result, Operation *operation)
{
	if (PQntuples(result) == 0)
		return true;
	operation->log.data = copy_field(result, 0, 0);
	operation->log.len = (size_t) PQgetlength(result, 0, 0);
	operation->log.size = result_int8(result, 0, 1);
	return operation->log.data != NULL;
}

/* The proof out of the tiles in the rows. *proof_count -1: they do not fit together. */
static void
read_proof(const PGresult *result, NodeEntry *entry)
{
	LogTiles	tiles = {0};

	entry->proof_count = -1;
	for (int row = 0; row < PQntuples(result) && tiles.count < 2 * LOG_TILE_LEVELS; row++)
	{
		LogTile    *tile = &tiles.tiles[tiles.count];

		if (PQgetisnull(result, row, 8))
			continue;
		tile->level = (int) result_int8(result, row, 8);
		tile->index = (uint64_t) result_int8(result, row, 9);
		tile->width = PQgetlength(result, row, 10) / HDMS_DIGEST_SIZE;
		tile->data = (const unsigned char *) PQgetvalue(result, row, 10);
		tiles.count++;
	}
	if (hdms_merkle_inclusion((uint64_t) entry->index, (uint64_t) entry->size, log_tiles_fetch, &tiles, entry->proof, &entry->proof_count) != HDMS_OK)
		entry->proof_count = -1;
}

static bool
read_entry(const PGresult *result, Operation *operation)
{
	NodeEntry  *entry = operation->entry.found;
	const char *status;

	entry->exists = PQntuples(result) > 0;
	entry->proof_count = -1;
	if (!entry->exists)
		return true;
	status = PQgetvalue(result, 0, 0);
	entry->status = status[0] == 'p' ? NODE_PENDING : status[0] == 'a' ? NODE_ACTIVE : NODE_FROZEN;
	entry->history = copy_field(result, 0, 1);
	if (!PQgetisnull(result, 0, 2))
		entry->admission = copy_field(result, 0, 2);
	if (entry->history == NULL || (entry->admission == NULL && !PQgetisnull(result, 0, 2)))
		return false;

	/* what the log has not got yet is given without a proof */
	if (PQgetisnull(result, 0, 5) || PQgetisnull(result, 0, 6) || result_int4(result, 0, 3) != result_int4(result, 0, 4))
		return true;
	entry->index = result_int8(result, 0, 5);
	entry->checkpoint = copy_field(result, 0, 6);
	entry->size = result_int8(result, 0, 7);
	if (entry->checkpoint == NULL)
		return false;
	read_proof(result, entry);
	return true;
}

static bool
read_edge(const PGresult *result, LogTiles *tiles)
{
	for (int row = 0; row < PQntuples(result) && tiles->count < LOG_TILE_LEVELS; row++)
	{
		LogTile    *tile = &tiles->tiles[tiles->count];

		tile->level = (int) result_int8(result, row, 0);
		tile->index = (uint64_t) result_int8(result, row, 1);
		tile->width = PQgetlength(result, row, 2) / HDMS_DIGEST_SIZE;
		tile->data = (const unsigned char *) copy_field(result, row, 2);
		if (tile->data == NULL)
			return false;
		tiles->count++;
	}
	return true;
}

/* What one operation gets. */
static bool
read_own(const PGresult *result, Operation *operation)
{
	switch (operation->kind)
	{
		case OPERATION_LOAD_ENTRY:
			return read_entry(result, operation);
		case OPERATION_LOAD_EDGE:
			return read_edge(result, operation->log_edge.tiles);
		case OPERATION_WRITE_TILE:
		case OPERATION_WRITE_CHECKPOINT:
			operation->log_write.result = (LogWritten) result_int8(result, 0, 0);
			return true;
		default:
			return read_log(result, operation);
	}
}

bool
batch_log_read(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		Operation  *operation = batch->operations[i];
		const PGresult *result;

		if (!batch->active[i] || batch->own_result[i] < 0)
			continue;
		result = batch->pipeline->results[batch->own_result[i]];
		if (!read_own(result, operation))
			return false;
	}
	return true;
}

void
node_entry_free(NodeEntry *entry)
{
	free(entry->history);
	free(entry->admission);
	free(entry->checkpoint);
	memset(entry, 0, sizeof(*entry));
}
