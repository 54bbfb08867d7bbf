/*
 * batch_register.c
 *		Registrations of a batch: what only the directory can decide.
 *
 * The nodes are locked first, so two processes never write different histories of one node. Then the known
 * histories are compared with the new ones, the vouchers of new persons are claimed, and what follows is written. When
 * a database was lost everybody registers again at once; that is why registrations are batched at all.
 */
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "log.h"
#include "metrics.h"

bool
batch_has_registrations(const Batch *batch)
{
	for (int i = 0; i < batch->count; i++)
	{
		if (batch->operations[i]->kind == OPERATION_REGISTER)
			return true;
	}
	return false;
}

/* What is to be done with one registration. */
typedef enum Decision
{
	DECIDE_NOTHING,				/* the result is there already */
	DECIDE_INSERT,
	DECIDE_UPDATE,
	DECIDE_FREEZE
} Decision;

typedef struct Candidate
{
	NodeRegistration *registration; /* NULL: not active */
	Decision	decision;
	bool		claims_voucher;
	const char *status;			/* to be written */
	const char *history;
	int			entries;
	const char *admission;		/* to be written */
	char	   *kept_admission; /* of the known row; owned */
	char	   *kept_history;	/* the same, for freezing */
	bool		notary;
} Candidate;

static void
send_ids(Batch *batch, Statement statement, const Candidate *candidates)
{
	Parameter	parameter;

	parameter_text_array(&parameter);
	for (int i = 0; i < batch->count; i++)
	{
		if (candidates[i].registration != NULL)
			parameter_add_text(&parameter, hdms_history_node_id(candidates[i].registration->history));
	}
	pipeline_send(batch->pipeline, statement, 1, &parameter);
}

/* A node that the directory does not have. */
static void
decide_new(Candidate *candidate)
{
	NodeRegistration *registration = candidate->registration;
	bool		is_person = hdms_history_kind(registration->history) == HDMS_PERSON;

	candidate->history = hdms_history_json(registration->history);
	candidate->entries = hdms_history_length(registration->history);
	candidate->decision = DECIDE_INSERT;
	registration->result = REGISTER_NEW;
	registration->status = NODE_ACTIVE;
	candidate->status = "active";
	if (is_person)
	{
		if (registration->voucher_state == VOUCHER_VALID)
			candidate->claims_voucher = (registration->voucher.sub[0] == '\0');
		else
		{
			candidate->decision = DECIDE_NOTHING;
			registration->result = registration->voucher_state == VOUCHER_EXPIRED ? REGISTER_EXPIRED : REGISTER_NOT_ADMITTED;
		}
	}
	else if (registration->admission == NULL)
	{
		candidate->status = "pending";
		registration->status = NODE_PENDING;
		registration->result = REGISTER_PENDING;
	}
	candidate->notary = registration->notary;
	candidate->admission = registration->admission;
}

/*
 * Whether a registration brings a later admission (a person: membership) than the directory has: after it was put back from a backup, the
 * node is the one who knows what the operator decided since.
 */
static bool
brings_later_admission(const NodeRegistration *registration, const char *kept)
{
	HdmsAdmission admission;
	HdmsVoucher membership;

	if (registration->admission == NULL)
		return false;
	if (registration->status == NODE_PENDING || kept == NULL)
		return true;
	if (hdms_history_kind(registration->history) == HDMS_PERSON)
		return hdms_voucher_peek(kept, strlen(kept), &membership) != HDMS_OK || registration->admitted > membership.iat;
	return strcmp(kept, registration->admission) != 0
		&& hdms_admission_verify(kept, strlen(kept), registration->network, registration->history, &admission) == HDMS_OK
		&& registration->admitted > admission.iat;
}

/* A node that the directory has. */
static bool
decide_known(Candidate *candidate, const PGresult *known, int row)
{
	NodeRegistration *registration = candidate->registration;
	const char *status = PQgetvalue(known, row, 2);
	const char *stored = PQgetvalue(known, row, 3);
	HdmsHistory *history = NULL;
	int			order = 0;

	registration->status = status[0] == 'p' ? NODE_PENDING : status[0] == 'a' ? NODE_ACTIVE : NODE_FROZEN;
	if (registration->status == NODE_FROZEN)
	{
		registration->result = REGISTER_FORK;
		return true;
	}
	if (strcmp(stored, hdms_history_json(registration->history)) != 0)
	{
		if (hdms_history_parse(stored, strlen(stored), &history) != HDMS_OK)
		{
			log_event(LEVEL_ERROR, "stored_history_unusable", "node=s", PQgetvalue(known, row, 0), NULL);
			return false;
		}
		order = hdms_history_compare(history, registration->history);
		hdms_history_free(history);
	}
	candidate->kept_admission = PQgetisnull(known, row, 4) ? NULL : strdup(PQgetvalue(known, row, 4));
	candidate->admission = candidate->kept_admission;
	candidate->notary = result_bool(known, row, 5);
	candidate->status = status[0] == 'p' ? "pending" : "active";
	registration->result = registration->status == NODE_PENDING ? REGISTER_PENDING : REGISTER_KNOWN;
	if (order == 2)
	{
		candidate->decision = DECIDE_FREEZE;
		registration->froze = true;
		candidate->kept_history = strdup(stored);
		candidate->history = candidate->kept_history;
		candidate->entries = result_int4(known, row, 6);
		candidate->status = "frozen";
		registration->result = REGISTER_FORK;
		registration->status = NODE_FROZEN;
		return candidate->history != NULL;
	}
	if (order == -1)
	{
		candidate->decision = DECIDE_UPDATE;
		candidate->history = hdms_history_json(registration->history);
		candidate->entries = hdms_history_length(registration->history);
	}
	if (brings_later_admission(registration, candidate->kept_admission))
	{
		candidate->decision = DECIDE_UPDATE;
		if (candidate->history == NULL)
		{
			candidate->kept_history = strdup(stored);
			candidate->history = candidate->kept_history;
			candidate->entries = result_int4(known, row, 6);
		}
		candidate->status = "active";
		candidate->admission = registration->admission;
		candidate->notary = registration->notary;
		registration->status = NODE_ACTIVE;
		registration->result = REGISTER_KNOWN;
	}
	return candidate->decision == DECIDE_NOTHING || candidate->history != NULL;
}

static PipelineStatus
load_known(Batch *batch, Candidate *candidates)
{
	PipelineStatus status;
	const PGresult *known;

	send_ids(batch, STATEMENT_LOCK_NODES, candidates);
	send_ids(batch, STATEMENT_NODES, candidates);
	status = pipeline_run(batch->pipeline);
	if (status != PIPELINE_OK)
		return status;
	known = batch->pipeline->results[1];
	for (int i = 0; i < batch->count; i++)
	{
		const char *id;
		int			row = 0;
		bool		is_second = false;

		if (candidates[i].registration == NULL)
			continue;
		id = hdms_history_node_id(candidates[i].registration->history);
		while (row < PQntuples(known) && strcmp(PQgetvalue(known, row, 0), id) != 0)
			row++;
		for (int j = 0; j < i; j++)
		{
			if (candidates[j].registration != NULL && strcmp(hdms_history_node_id(candidates[j].registration->history), id) == 0)
				is_second = true;
		}
		if (is_second)
			return PIPELINE_CONFLICT;	/* one after the other, then */
		if (row == PQntuples(known))
			decide_new(&candidates[i]);
		else if (!decide_known(&candidates[i], known, row))
			return PIPELINE_BUSY;
	}
	return PIPELINE_OK;
}

/* Vouchers go to whoever claims them first; the same node may use one again. */
static PipelineStatus
claim_vouchers(Batch *batch, Candidate *candidates)
{
	Parameter	parameters[4];
	PipelineStatus status;
	const PGresult *claimed;

	parameter_text_array(&parameters[0]);
	parameter_text_array(&parameters[1]);
	parameter_text_array(&parameters[2]);
	parameter_int8_array(&parameters[3]);
	for (int i = 0; i < batch->count; i++)
	{
		if (candidates[i].registration == NULL || !candidates[i].claims_voucher)
			continue;
		parameter_add_text(&parameters[0], candidates[i].registration->voucher.iss);
		parameter_add_text(&parameters[1], candidates[i].registration->voucher.jti);
		parameter_add_text(&parameters[2], hdms_history_node_id(candidates[i].registration->history));
		parameter_add_int8(&parameters[3], candidates[i].registration->voucher.exp);
	}
	if (parameters[0].count == 0)
	{
		for (int i = 0; i < 4; i++)
			parameter_free(&parameters[i]);
		return PIPELINE_OK;
	}
	pipeline_send(batch->pipeline, STATEMENT_CLAIM_VOUCHERS, 4, parameters);
	status = pipeline_run(batch->pipeline);
	if (status != PIPELINE_OK)
		return status;
	claimed = batch->pipeline->results[0];
	for (int i = 0; i < batch->count; i++)
	{
		NodeRegistration *registration = candidates[i].registration;
		bool		is_ours = false;

		if (registration == NULL || !candidates[i].claims_voucher)
			continue;
		for (int row = 0; row < PQntuples(claimed) && !is_ours; row++)
			is_ours = strcmp(PQgetvalue(claimed, row, 0), registration->voucher.iss) == 0
				&& strcmp(PQgetvalue(claimed, row, 1), registration->voucher.jti) == 0
				&& strcmp(PQgetvalue(claimed, row, 2), hdms_history_node_id(registration->history)) == 0;
		if (!is_ours)
		{
			registration->result = REGISTER_NOT_ADMITTED;
			candidates[i].decision = DECIDE_NOTHING;
		}
	}
	return PIPELINE_OK;
}

static void
send_writes(Batch *batch, const Candidate *candidates)
{
	Parameter	rows[9];
	Parameter	changed;

	parameter_text_array(&rows[0]);
	parameter_text_array(&rows[1]);
	parameter_text_array(&rows[2]);
	parameter_text_array(&rows[3]);
	parameter_int4_array(&rows[4]);
	parameter_text_array(&rows[5]);
	parameter_text_array(&rows[6]);
	parameter_bool_array(&rows[7]);
	parameter_text_array(&changed);
	for (int i = 0; i < batch->count; i++)
	{
		const Candidate *candidate = &candidates[i];
		const HdmsHistory *history;

		if (candidate->registration == NULL || candidate->decision == DECIDE_NOTHING)
			continue;
		history = candidate->registration->history;
		parameter_add_text(&rows[0], hdms_history_node_id(history));
		parameter_add_text(&rows[1], hdms_history_kind(history) == HDMS_PERSON ? "person" : "institution");
		parameter_add_text(&rows[2], hdms_history_name(history));
		parameter_add_text(&rows[3], candidate->history);
		parameter_add_int4(&rows[4], candidate->entries);
		parameter_add_text(&rows[5], candidate->status);
		parameter_add_text(&rows[6], candidate->admission);
		parameter_add_bool(&rows[7], candidate->notary);
		parameter_add_text(&changed, hdms_history_node_id(history));
	}
	if (changed.count == 0)
	{
		for (int i = 0; i < 8; i++)
			parameter_free(&rows[i]);
		parameter_free(&changed);
		return;
	}
	parameter_int8(&rows[8], batch->now);
	pipeline_send(batch->pipeline, STATEMENT_WRITE_NODES, 9, rows);
	pipeline_send(batch->pipeline, STATEMENT_ANNOUNCE_NODES, 1, &changed);
}

static void
send_lists(Batch *batch)
{
	Parameter	rows[3];

	parameter_text_array(&rows[0]);
	parameter_text_array(&rows[1]);
	parameter_int8_array(&rows[2]);
	for (int i = 0; i < batch->count; i++)
	{
		const NodeRegistration *registration;

		if (!batch->active[i] || batch->operations[i]->kind != OPERATION_REGISTER)
			continue;
		registration = batch->operations[i]->registration;
		for (size_t l = 0; l < registration->lists_count; l++)
		{
			if (registration->result == REGISTER_NOT_ADMITTED || registration->result == REGISTER_EXPIRED)
				continue;
			parameter_add_text(&rows[0], registration->lists[l].digest);
			parameter_add_text(&rows[1], registration->lists[l].jws);
			parameter_add_int8(&rows[2], registration->lists[l].iat);
		}
	}
	if (rows[0].count > 0)
	{
		batch->written_lists_result = pipeline_send(batch->pipeline, STATEMENT_WRITE_LISTS, 3, rows);
		return;
	}
	for (int i = 0; i < 3; i++)
		parameter_free(&rows[i]);
}

PipelineStatus
batch_register(Batch *batch)
{
	Candidate	candidates[BATCH_MAX];
	PipelineStatus status;

	memset(candidates, 0, sizeof(candidates));
	for (int i = 0; i < batch->count; i++)
	{
		if (!batch->active[i] || batch->operations[i]->kind != OPERATION_REGISTER)
			continue;
		candidates[i].registration = batch->operations[i]->registration;
		candidates[i].registration->lists_changed = false;
		candidates[i].registration->froze = false;
	}
	status = load_known(batch, candidates);
	if (status == PIPELINE_OK)
		status = claim_vouchers(batch, candidates);
	if (status == PIPELINE_OK)
	{
		send_writes(batch, candidates);
		send_lists(batch);
		for (int i = 0; i < batch->count; i++)
		{
			if (candidates[i].registration != NULL && candidates[i].decision != DECIDE_NOTHING && candidates[i].notary)
				candidates[i].registration->lists_changed = true;
		}
	}
	for (int i = 0; i < batch->count; i++)
	{
		free(candidates[i].kept_admission);
		free(candidates[i].kept_history);
	}
	return status;
}

void
batch_register_read(Batch *batch)
{
	const PGresult *written = batch->written_lists_result >= 0 ? batch->pipeline->results[batch->written_lists_result] : NULL;

	for (int i = 0; i < batch->count; i++)
	{
		NodeRegistration *registration;

		if (!batch->active[i] || batch->operations[i]->kind != OPERATION_REGISTER)
			continue;
		registration = batch->operations[i]->registration;
		metrics_count(COUNTER_NODES_REGISTERED, registration->result == REGISTER_NEW);
		metrics_count(COUNTER_NODES_FROZEN, registration->froze);
		if (written != NULL && PQntuples(written) > 0)
			registration->lists_changed = true;
	}
}
