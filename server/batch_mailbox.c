/*
 * batch_mailbox.c
 *		Puts, acknowledgements and fetches of a batch.
 *
 * All puts of a batch are one statement, all acknowledgements another, all fetches a third. Event streams are the
 * exception: each has its own list of what it was sent already.
 */
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "log.h"
#include "message.h"
#include "metrics.h"

static int
item_compare(const void *a, const void *b)
{
	const PutItem *left = a;
	const PutItem *right = b;
	int			order = memcmp(left->parcel->to, right->parcel->to, HDMS_DIGEST_TEXT);

	return order != 0 ? order : memcmp(left->parcel->id, right->parcel->id, HDMS_DIGEST_TEXT);
}

bool
batch_mailbox_prepare(Batch *batch)
{
	size_t		count = 0;

	batch->items = NULL;
	batch->known = NULL;
	batch->items_count = batch->known_count = 0;
	batch->usage_asked = false;
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->operations[i]->kind == OPERATION_PUT)
			count += batch->operations[i]->put.count;
	}
	if (count == 0)
		return true;
	batch->items = calloc(count, sizeof(PutItem));
	return batch->items != NULL;
}

/* Lists what is still to be judged of the puts that are not replays. Called when that is known. */
static void
list_items(Batch *batch)
{
	batch->items_count = 0;
	for (int i = 0; i < batch->count; i++)
	{
		Operation  *operation = batch->operations[i];

		if (!batch->active[i] || operation->kind != OPERATION_PUT)
			continue;
		for (size_t p = 0; p < operation->put.count; p++)
		{
			if (operation->put.results[p].status != 0)
				continue;
			batch->items[batch->items_count].parcel = &operation->put.parcels[p];
			batch->items[batch->items_count++].result = &operation->put.results[p];
		}
	}
}

bool
batch_mailbox_wants_usage(Batch *batch)
{
	if (batch->items == NULL)
		return false;
	list_items(batch);
	for (size_t i = 0; i < batch->items_count; i++)
	{
		if (usage_wants_count(batch->usage, batch->items[i].parcel->to, batch->items[i].parcel->len, batch->config->mailbox_bytes,
							  batch->config->mailbox_envelopes))
			return true;
	}
	return false;
}

void
batch_mailbox_send_usage(Batch *batch)
{
	Parameter	parameter;
	const char *previous = NULL;

	/* Sorted, so that each mailbox is asked for once; the order of arrival is made again afterwards. */
	qsort(batch->items, batch->items_count, sizeof(PutItem), item_compare);
	parameter_text_array(&parameter);
	for (size_t i = 0; i < batch->items_count; i++)
	{
		const HdmsParcel *parcel = batch->items[i].parcel;

		if (previous != NULL && memcmp(previous, parcel->to, HDMS_DIGEST_TEXT) == 0)
			continue;
		previous = parcel->to;
		parameter_add_text(&parameter, parcel->to);
	}
	batch->usage_result = pipeline_send(batch->pipeline, STATEMENT_USAGE, 1, &parameter);
}

static int
id_compare(const void *a, const void *b)
{
	return memcmp(a, b, HDMS_DIGEST_TEXT);
}

bool
batch_mailbox_read_usage(Batch *batch)
{
	const PGresult *result = batch->pipeline->results[batch->usage_result];
	size_t		rows = (size_t) PQntuples(result);

	batch->usage_asked = true;
	batch->known = rows > 0 ? calloc(rows, sizeof(*batch->known)) : NULL;
	if (rows > 0 && batch->known == NULL)
		return false;
	for (size_t row = 0; row < rows; row++)
	{
		memcpy(batch->known[row], PQgetvalue(result, (int) row, 0), HDMS_DIGEST_TEXT + 1);
		usage_set(batch->usage, batch->known[row], result_int8(result, (int) row, 2), result_int8(result, (int) row, 1));
	}
	batch->known_count = rows;
	if (rows > 0)
		qsort(batch->known, rows, sizeof(*batch->known), id_compare);
	return true;
}

/* What the usage does not know was either asked for and is not there, or has just been pushed out of memory. */
static bool
recipient_exists(const Batch *batch, const char *node)
{
	return !batch->usage_asked
		|| (batch->known != NULL && bsearch(node, batch->known, batch->known_count, sizeof(*batch->known), id_compare) != NULL);
}

/* Items whose mailbox is full, to be looked for among what is there: what is held already is not refused. */
static void
send_held(Batch *batch, Parameter *recipients, Parameter *ids)
{
	Parameter	parameters[3];

	if (recipients->count == 0)
	{
		parameter_free(recipients);
		parameter_free(ids);
		return;
	}
	parameters[0] = *recipients;
	parameters[1] = *ids;
	parameter_int8(&parameters[2], batch->now);
	batch->held_result = pipeline_send(batch->pipeline, STATEMENT_HELD, 3, parameters);
}

static void
add_item(const Batch *batch, const PutItem *item, Parameter parameters[5])
{
	const HdmsParcel *parcel = item->parcel;
	int64_t		ttl = parcel->ttl > 0 ? parcel->ttl : batch->config->default_ttl;

	parameter_add_text(&parameters[0], parcel->to);
	parameter_add_text(&parameters[1], parcel->id);
	parameter_add_int8(&parameters[2], batch->now + (ttl < batch->config->max_ttl ? ttl : batch->config->max_ttl));
	parameter_add_bytes(&parameters[3], parcel->data, parcel->len);
}

/*
 * Decides about each item in the order of arrival. The same envelope twice in one batch is sent once: a statement
 * may not touch a row twice.
 */
static void
judge_items(Batch *batch, Parameter parameters[5], Parameter *full_recipients, Parameter *full_ids)
{
	const Config *config = batch->config;

	for (size_t i = 0; i < batch->items_count; i++)
	{
		PutItem    *item = &batch->items[i];
		const HdmsParcel *parcel = item->parcel;

		switch (usage_reserve(batch->usage, parcel->to, parcel->len, config->mailbox_bytes, config->mailbox_envelopes))
		{
			case USAGE_FULL:
				item->result->status = 507;
				parameter_add_text(full_recipients, parcel->to);
				parameter_add_text(full_ids, parcel->id);
				break;
			case USAGE_UNKNOWN:
				if (!recipient_exists(batch, parcel->to))
				{
					item->result->status = 404;
					break;
				}
				add_item(batch, item, parameters);
				break;
			case USAGE_RESERVED:
				item->reserved = true;
				add_item(batch, item, parameters);
				break;
		}
	}
}

/* Marks all but the first of equal items: 200 when the first is stored. They stay in the list, not reserved. */
static void
drop_doubles(Batch *batch)
{
	size_t		kept = 0;

	if (batch->items_count < 2)
		return;
	qsort(batch->items, batch->items_count, sizeof(PutItem), item_compare);
	for (size_t i = 0; i < batch->items_count; i++)
	{
		if (kept > 0 && item_compare(&batch->items[kept - 1], &batch->items[i]) == 0)
			batch->items[i].result->status = -1;	/* read_doubles() settles it */
		else
			batch->items[kept++] = batch->items[i];
	}
	list_items(batch);			/* in the order of arrival again, without the doubles */
}

void
batch_mailbox_send_puts(Batch *batch)
{
	Parameter	parameters[5];
	Parameter	full_recipients;
	Parameter	full_ids;

	if (batch->items == NULL)
		return;
	list_items(batch);
	drop_doubles(batch);
	parameter_text_array(&parameters[0]);
	parameter_text_array(&parameters[1]);
	parameter_int8_array(&parameters[2]);
	parameter_bytea_array(&parameters[3]);
	parameter_text_array(&full_recipients);
	parameter_text_array(&full_ids);
	judge_items(batch, parameters, &full_recipients, &full_ids);
	send_held(batch, &full_recipients, &full_ids);
	if (parameters[0].count > 0)
	{
		parameter_int8(&parameters[4], batch->now);
		batch->id_result = pipeline_send(batch->pipeline, STATEMENT_TAKE_ID, 0, NULL);	/* before any number, see floor.h */
		batch->put_result = pipeline_send(batch->pipeline, STATEMENT_PUT, 5, parameters);
	}
	else
	{
		for (int i = 0; i < 4; i++)
			parameter_free(&parameters[i]);
	}
	qsort(batch->items, batch->items_count, sizeof(PutItem), item_compare);
}

static void
send_stream(Batch *batch, const Operation *operation)
{
	Parameter	parameters[5];

	parameter_text(&parameters[0], operation->mailbox.node);
	parameter_int8(&parameters[1], operation->mailbox.limit);
	parameter_int8(&parameters[2], FETCH_BYTES / 4);
	parameter_int8(&parameters[3], batch->now);
	parameter_int8_array(&parameters[4]);
	for (size_t i = 0; i < operation->mailbox.sent_count; i++)
		parameter_add_int8(&parameters[4], operation->mailbox.sent[i]);
	pipeline_send(batch->pipeline, STATEMENT_STREAM, 5, parameters);

	parameter_text(&parameters[0], operation->mailbox.node);
	parameter_int8_array(&parameters[1]);
	for (size_t i = 0; i < operation->mailbox.sent_count; i++)
		parameter_add_int8(&parameters[1], operation->mailbox.sent[i]);
	pipeline_send(batch->pipeline, STATEMENT_STREAM_HELD, 2, parameters);
}

void
batch_mailbox_send_rest(Batch *batch)
{
	Parameter	done[2];
	Parameter	wanted[6];
	int64_t		share;

	parameter_text_array(&done[0]);
	parameter_text_array(&done[1]);
	parameter_int4_array(&wanted[0]);
	parameter_text_array(&wanted[1]);
	parameter_int4_array(&wanted[2]);
	parameter_int8_array(&wanted[5]);
	for (int i = 0; i < batch->count; i++)
	{
		const Operation *operation = batch->operations[i];

		if (!batch->active[i] || operation->kind != OPERATION_MAILBOX)
			continue;
		for (size_t a = 0; a < operation->mailbox.ids_count; a++)
		{
			parameter_add_text(&done[0], operation->mailbox.node);
			parameter_add_text(&done[1], operation->mailbox.ids[a]);
		}
		if (operation->mailbox.limit > 0 && !operation->mailbox.streaming)
		{
			parameter_add_int4(&wanted[0], i);
			parameter_add_text(&wanted[1], operation->mailbox.node);
			parameter_add_int4(&wanted[2], operation->mailbox.limit);
			parameter_add_int8(&wanted[5], floor_of(batch->floors, operation->mailbox.node));
		}
	}
	if (done[0].count > 0 && batch->id_result < 0)
		batch->id_result = pipeline_send(batch->pipeline, STATEMENT_TAKE_ID, 0, NULL);
	if (done[0].count > 0)
		batch->acknowledge_result = pipeline_send(batch->pipeline, STATEMENT_ACKNOWLEDGE, 2, done);
	else
	{
		parameter_free(&done[0]);
		parameter_free(&done[1]);
	}
	if (wanted[0].count > 0)
	{
		share = BATCH_FETCH_BYTES / wanted[0].count;
		parameter_int8(&wanted[3], share < FETCH_BYTES ? share : FETCH_BYTES);
		parameter_int8(&wanted[4], batch->now);
		batch->fetch_result = pipeline_send(batch->pipeline, STATEMENT_FETCH, 6, wanted);
	}
	else
	{
		for (int i = 0; i < 3; i++)
			parameter_free(&wanted[i]);
		parameter_free(&wanted[5]);
	}
	batch->stream_result = batch->pipeline->sent;
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->active[i] && batch->operations[i]->kind == OPERATION_MAILBOX && batch->operations[i]->mailbox.streaming)
			send_stream(batch, batch->operations[i]);
	}
}

static PutItem *
item_find(Batch *batch, const char *recipient, const char *id)
{
	size_t		low = 0;
	size_t		high = batch->items_count;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;
		const HdmsParcel *parcel = batch->items[middle].parcel;
		int			order = memcmp(parcel->to, recipient, HDMS_DIGEST_TEXT);

		if (order == 0)
			order = memcmp(parcel->id, id, HDMS_DIGEST_TEXT);
		if (order == 0)
			return &batch->items[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Doubles get 200 where the first one is there now, and share its refusal otherwise. */
static void
read_doubles(Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		Operation  *operation = batch->operations[i];

		for (size_t p = 0; batch->active[i] && operation->kind == OPERATION_PUT && p < operation->put.count; p++)
		{
			PutItem    *first;

			if (operation->put.results[p].status != -1)
				continue;
			first = item_find(batch, operation->put.parcels[p].to, operation->put.parcels[p].id);
			operation->put.results[p].status = first == NULL || first->result->status == 201 ? 200 : first->result->status;
		}
	}
}

static void
read_puts(Batch *batch)
{
	const PGresult *result = batch->put_result >= 0 ? batch->pipeline->results[batch->put_result] : NULL;
	const PGresult *held = batch->held_result >= 0 ? batch->pipeline->results[batch->held_result] : NULL;

	for (int row = 0; result != NULL && row < PQntuples(result); row++)
	{
		PutItem    *item = item_find(batch, PQgetvalue(result, row, 0), PQgetvalue(result, row, 1));

		if (item == NULL)
			continue;
		item->result->status = 201;
		item->reserved = false; /* it stays counted */
		metrics_count(COUNTER_ENVELOPES_STORED, 1);
		metrics_count(COUNTER_BYTES_STORED, item->parcel->len);
	}
	for (int row = 0; held != NULL && row < PQntuples(held); row++)
	{
		PutItem    *item = item_find(batch, PQgetvalue(held, row, 0), PQgetvalue(held, row, 1));

		if (item != NULL)
			item->result->status = 200;
	}
	for (size_t i = 0; i < batch->items_count; i++)
	{
		PutItem    *item = &batch->items[i];

		if (item->result->status == 0)
			item->result->status = 200;
		if (item->result->status == 200)
			metrics_count(COUNTER_ENVELOPES_DUPLICATE, 1);
		else if (item->result->status == 507)
			metrics_count(COUNTER_ENVELOPES_REFUSED_FULL, 1);
		if (item->reserved)
			usage_release(batch->usage, item->parcel->to, item->parcel->len);
		item->reserved = false;
	}
	read_doubles(batch);
}

/*
 * Whether the stored bytes are those that were put. Bytes that a disk has altered would be refused by the receiver at
 * best, and spoil the whole answer at worst; the sender, who gets no answer, puts the right ones in their place.
 */
static bool
is_what_was_put(const char *data, size_t len, const char *id)
{
	char		digest[HDMS_DIGEST_TEXT + 1];

	if (hdms_envelope_id(data, len, digest) == HDMS_OK && strcmp(digest, id) == 0)
		return true;
	log_event(LEVEL_ERROR, "stored_envelope_damaged", "id=s", id, NULL);
	return false;
}

/* Appends one row of a fetch. A row without data only says that there is more. */
static bool
parcel_append(Operation *operation, const PGresult *result, int row, int id_column, int data_column)
{
	HdmsParcel *parcel = &operation->mailbox.parcels[operation->mailbox.count];
	size_t		len = (size_t) PQgetlength(result, row, data_column);

	if (PQgetisnull(result, row, data_column))
	{
		operation->mailbox.more = true;
		return true;
	}
	if (!is_what_was_put(PQgetvalue(result, row, data_column), len, PQgetvalue(result, row, id_column)))
		return true;
	memset(parcel, 0, sizeof(*parcel));
	parcel->data = malloc(len + 1);
	if (parcel->data == NULL)
		return false;
	memcpy(parcel->data, PQgetvalue(result, row, data_column), len);
	parcel->data[len] = '\0';
	parcel->len = len;
	memcpy(parcel->id, PQgetvalue(result, row, id_column), HDMS_DIGEST_TEXT + 1);
	operation->mailbox.count++;
	metrics_count(COUNTER_ENVELOPES_FETCHED, 1);
	return true;
}

void
batch_mailbox_settle(Batch *batch)
{
	const PGresult *snapshot = batch->pipeline->results[batch->snapshot_result];
	int64_t		id = batch->id_result >= 0 ? result_int8(batch->pipeline->results[batch->id_result], 0, 0) : 0;

	floors_settle(batch->floors, &batch->floor_view, batch->last_number, id, result_int8(snapshot, 0, 0));
}

/* Remembers where the mailboxes that were looked into begin. */
static void
read_floors(Batch *batch)
{
	const PGresult *result = batch->pipeline->results[batch->fetch_result];
	int			row = 0;

	for (int i = 0; i < batch->count; i++)
	{
		const Operation *operation = batch->operations[i];
		int64_t		first = 0;

		if (!batch->active[i] || operation->kind != OPERATION_MAILBOX || operation->mailbox.limit == 0 || operation->mailbox.streaming)
			continue;
		while (row < PQntuples(result) && result_int4(result, row, 0) < i)
			row++;
		if (row < PQntuples(result) && result_int4(result, row, 0) == i)
			first = result_int8(result, row, 3);
		floor_found(batch->floors, &batch->floor_view, operation->mailbox.node, first);
	}
}

static bool
read_fetches(Batch *batch)
{
	const PGresult *result = batch->fetch_result >= 0 ? batch->pipeline->results[batch->fetch_result] : NULL;
	int			rows = result != NULL ? PQntuples(result) : 0;

	for (int first = 0; first < rows;)
	{
		int			number = result_int4(result, first, 0);
		Operation  *operation = batch->operations[number];
		int			end = first;

		while (end < rows && result_int4(result, end, 0) == number)
			end++;
		operation->mailbox.parcels = calloc((size_t) (end - first), sizeof(HdmsParcel));
		if (operation->mailbox.parcels == NULL)
			return false;
		for (; first < end; first++)
		{
			if (!parcel_append(operation, result, first, 1, 2))
				return false;
		}
	}
	return true;
}

static bool
read_stream(Operation *operation, const PGresult *fetched, const PGresult *held)
{
	int			rows = PQntuples(fetched);

	operation->mailbox.parcels = rows > 0 ? calloc((size_t) rows, sizeof(HdmsParcel)) : NULL;
	operation->mailbox.seqs = rows > 0 ? calloc((size_t) rows, sizeof(int64_t)) : NULL;
	operation->mailbox.held = PQntuples(held) > 0 ? calloc((size_t) PQntuples(held), sizeof(int64_t)) : NULL;
	if ((rows > 0 && (operation->mailbox.parcels == NULL || operation->mailbox.seqs == NULL))
		|| (PQntuples(held) > 0 && operation->mailbox.held == NULL))
		return false;
	for (int row = 0; row < rows; row++)
	{
		operation->mailbox.seqs[operation->mailbox.count] = result_int8(fetched, row, 2);
		if (!parcel_append(operation, fetched, row, 0, 1))
			return false;
	}
	for (int row = 0; row < PQntuples(held); row++)
		operation->mailbox.held[operation->mailbox.held_count++] = result_int8(held, row, 0);
	return true;
}

bool
batch_mailbox_read(Batch *batch)
{
	const PGresult *acknowledged = batch->acknowledge_result >= 0 ? batch->pipeline->results[batch->acknowledge_result] : NULL;
	int			stream = batch->stream_result;

	if (batch->items != NULL)
		read_puts(batch);
	for (int row = 0; acknowledged != NULL && row < PQntuples(acknowledged); row++)
	{
		int32_t		bytes = result_int4(acknowledged, row, 1);

		usage_release(batch->usage, PQgetvalue(acknowledged, row, 0), (size_t) bytes);
		metrics_count(COUNTER_ENVELOPES_ACKNOWLEDGED, 1);
		metrics_count(COUNTER_BYTES_ACKNOWLEDGED, (uint64_t) bytes);
	}
	if (batch->fetch_result >= 0)
		read_floors(batch);
	if (!read_fetches(batch))
		return false;
	for (int i = 0; i < batch->count; i++)
	{
		if (!batch->active[i] || batch->operations[i]->kind != OPERATION_MAILBOX || !batch->operations[i]->mailbox.streaming)
			continue;
		if (!read_stream(batch->operations[i], batch->pipeline->results[stream], batch->pipeline->results[stream + 1]))
			return false;
		stream += 2;
	}
	return true;
}

void
batch_mailbox_undo(Batch *batch)
{
	for (size_t i = 0; i < batch->items_count; i++)
	{
		PutItem    *item = &batch->items[i];

		if (item->reserved)
			usage_release(batch->usage, item->parcel->to, item->parcel->len);
		item->reserved = false;
	}
	for (int i = 0; i < batch->count; i++)
	{
		Operation  *operation = batch->operations[i];

		if (operation->kind == OPERATION_PUT)
		{
			for (size_t p = 0; p < operation->put.count; p++)
			{
				int			status = operation->put.results[p].status;

				if (status == -1 || status == 404 || status == 507 || status == 200 || status == 201)
					operation->put.results[p].status = 0;
			}
		}
		else if (operation->kind == OPERATION_MAILBOX)
		{
			hdms_parcels_free(operation->mailbox.parcels, operation->mailbox.count);
			free(operation->mailbox.seqs);
			free(operation->mailbox.held);
			operation->mailbox.parcels = NULL;
			operation->mailbox.seqs = NULL;
			operation->mailbox.held = NULL;
			operation->mailbox.count = operation->mailbox.held_count = 0;
			operation->mailbox.more = false;
		}
	}
}

void
batch_mailbox_free(Batch *batch)
{
	free(batch->items);
	free(batch->known);
	batch->items = NULL;
	batch->known = NULL;
	batch->items_count = batch->known_count = 0;
	batch->usage_asked = false;
}
