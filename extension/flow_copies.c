/*
 * flow_copies.c
 *		A patient's node answers with copies: what verifies of them is put back where it is missing or damaged here.
 *
 * Only what was asked for, by the node that was asked; and only what this institution signed for that very node. Everything else
 * about the answer is looked at as if a thief had sent it.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "evidence.h"

#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_repair.h"
#include "directory.h"
#include "node.h"
#include "outbox.h"
#include "plan_array.h"
#include "restore.h"

#define MAX_PAGES	10000

static FlowPlan find_repairs =
FLOW_PLAN("SELECT id, record::text, CAST(asked AS bigint) FROM hdms_internal.repairs"
		  " WHERE jti = CAST($1 AS uuid) AND node_id = $2 AND status = 'asked' ORDER BY id",
		  TEXTOID, TEXTOID);

static FlowPlan find_recovery =
FLOW_PLAN("SELECT place, CAST(pages AS bigint) FROM hdms_internal.recoveries WHERE jti = CAST($1 AS uuid) AND node_id = $2 AND status = 'asked'",
		  TEXTOID, TEXTOID);

static FlowPlan count_page =
FLOW_PLAN("UPDATE hdms_internal.recoveries SET pages = pages + 1, copies = copies + $2, restored = restored + $3, unsound = unsound + $4,"
		  " updated_at = clock_timestamp() WHERE node_id = $1",
		  TEXTOID, INT8OID, INT8OID, INT8OID);

static FlowPlan note_problem =
FLOW_PLAN("UPDATE hdms_internal.recoveries SET problem = $2 WHERE node_id = $1", TEXTOID, TEXTOID);

static FlowPlan ask_again =
FLOW_PLAN("UPDATE hdms_internal.repairs SET status = 'queued', jti = NULL, next_try = clock_timestamp() WHERE id = $1", INT8OID);

static FlowPlan find_missing_list =
FLOW_PLAN("SELECT u.digest FROM unnest($1) AS u (digest) WHERE NOT EXISTS"
		  " (SELECT FROM hdms_internal.notary_lists l WHERE l.digest = u.digest) LIMIT 1",
		  TEXTARRAYOID);

/* Payloads whose version is gone, by what they have in common with the copies. */
static FlowPlan find_orphans =
FLOW_PLAN("WITH orphans AS MATERIALIZED (SELECT p.id FROM hdms_internal.payloads p"
		  "  WHERE NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.id = p.id)),"
		  " texts AS (SELECT p.id, p.state, p.request FROM orphans o JOIN hdms_internal.payloads p ON p.id = o.id)"
		  " SELECT u.n, t.id FROM texts t JOIN unnest($1, $2) WITH ORDINALITY AS u (state, request, n) ON u.state = t.state"
		  " UNION SELECT u.n, t.id FROM texts t JOIN unnest($1, $2) WITH ORDINALITY AS u (state, request, n) ON u.request = t.request",
		  TEXTARRAYOID, TEXTARRAYOID);

/* A repair that the answer is for. */
typedef struct AskedRepair
{
	int64		id;
	char	   *record;
	bool		had_copies;
} AskedRepair;

/* The answer as it is worked on. */
typedef struct Answer
{
	const FlowMessage *message;
	ReceivedCopy *copies;		/* by record, then by version */
	int			count;
	int			unsound;		/* copies that are none, or not of what was asked for */
	int			restored;
	AskedRepair *repairs;
	int			repair_count;
	int64		asked;			/* versions by name */
	bool		is_recovery;
	char	   *place;			/* of the question */
	int64		pages;
} Answer;

static void
find_question(Answer *answer)
{
	const HdmsMessageHead *head = answer->message->head;
	uint64		count = flow_run(&find_repairs, flow_text(head->re), flow_text(head->iss));

	answer->repairs = palloc0(sizeof(AskedRepair) * Max(count, 1));
	answer->repair_count = (int) count;
	for (uint64 i = 0; i < count; i++)
	{
		answer->repairs[i].id = row_int64(i, 1);
		answer->repairs[i].record = row_text(i, 2);
		answer->asked += row_int64(i, 3);
	}
	flow_rows_free();
	if (flow_run(&find_recovery, flow_text(head->re), flow_text(head->iss)) > 0)
	{
		answer->is_recovery = true;
		answer->place = row_text(0, 1);
		answer->pages = row_int64(0, 2);
	}
	flow_rows_free();
}

static AskedRepair *
repair_of(Answer *answer, const char *record)
{
	for (int i = 0; i < answer->repair_count; i++)
	{
		if (strcmp(answer->repairs[i].record, record) == 0)
			return &answer->repairs[i];
	}
	return NULL;
}

static int
compare_copies(const void *a, const void *b)
{
	const ReceivedCopy *one = a;
	const ReceivedCopy *other = b;
	int			order = strcmp(one->state.record, other->state.record);

	if (order != 0)
		return order;
	return one->state.version < other->state.version ? -1 : one->state.version > other->state.version;
}

/* Reads what came. A copy that is not of this institution's making for the sender, or was not asked for, counts as unsound. */
static void
read_copies(Answer *answer)
{
	const HdmsBody *body = answer->message->body;

	answer->copies = palloc0(sizeof(ReceivedCopy) * Max(body->copy_count, 1));
	for (size_t i = 0; i < body->copy_count; i++)
	{
		ReceivedCopy *received = &answer->copies[answer->count];
		const char *text = body->copies[i].state;

		if (hdms_state_parse(text, strlen(text), true, &received->state) != HDMS_OK || strcmp(received->state.iss, own_node.id) != 0 ||
			strcmp(received->state.sub, answer->message->head->iss) != 0 ||
			(!answer->is_recovery && repair_of(answer, received->state.record) == NULL))
		{
			answer->unsound++;
			continue;
		}
		received->copy = &body->copies[i];
		answer->count++;
	}
	qsort(answer->copies, answer->count, sizeof(ReceivedCopy), compare_copies);
}

/* The lists that the requests pin. */
static char **
pinned_lists(const Answer *answer, int *count)
{
	char	  **digests = palloc(sizeof(char *) * Max(answer->count, 1));

	*count = 0;
	for (int i = 0; i < answer->count; i++)
	{
		const char *text = answer->copies[i].copy->request;
		HdmsRequest request;
		bool		is_new = true;

		if (text == NULL || hdms_request_peek(text, strlen(text), &request) != HDMS_OK)
			continue;
		for (int j = 0; j < *count && is_new; j++)
			is_new = strcmp(digests[j], request.commit.notaries) != 0;
		if (is_new)
			digests[(*count)++] = pstrdup(request.commit.notaries);
	}
	return digests;
}

static char *
missing_list(char **digests, int count)
{
	char	   *missing = NULL;

	if (flow_run(&find_missing_list, flow_text_array(digests, count)) > 0)
		missing = row_text(0, 1);
	flow_rows_free();
	return missing;
}

static void
match_orphans(Answer *answer)
{
	char	  **states = palloc(sizeof(char *) * Max(answer->count, 1));
	char	  **requests = palloc(sizeof(char *) * Max(answer->count, 1));
	uint64		found;

	for (int i = 0; i < answer->count; i++)
	{
		states[i] = answer->copies[i].copy->state;
		requests[i] = answer->copies[i].copy->request;
	}
	found = flow_run(&find_orphans, flow_text_array(states, answer->count), flow_text_array(requests, answer->count));
	for (uint64 i = 0; i < found; i++)
		answer->copies[row_int64(i, 1) - 1].payload = row_int64(i, 2);
	flow_rows_free();
}

/* Record by record. */
static void
restore_all(Answer *answer, const HdmsEvidence *evidence)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "hdms restored record", ALLOCSET_DEFAULT_SIZES);
	int			next;

	for (int first = 0; first < answer->count; first = next)
	{
		const char *record = answer->copies[first].state.record;
		AskedRepair *repair = repair_of(answer, record);
		RestoreOutcome outcome;

		for (next = first + 1; next < answer->count && strcmp(answer->copies[next].state.record, record) == 0; next++)
			;
		MemoryContextSwitchTo(context);
		outcome = restore_record(evidence, record, answer->message->head->iss, &answer->copies[first], next - first);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
		answer->restored += outcome.restored;
		answer->unsound += outcome.unsound;
		if (repair != NULL)
			repair->had_copies = true;
	}
	MemoryContextDelete(context);
}

/* What did not fit into the answer is asked for again; what the node does not have by that name is looked for in all that it has. */
static void
end_repairs(Answer *answer, EvidenceKeys *keys)
{
	const HdmsBody *body = answer->message->body;
	bool		is_whole = (int64) (body->copy_count + body->missing_count) >= answer->asked || body->copy_count == 0;

	for (int i = 0; i < answer->repair_count; i++)
	{
		const AskedRepair *repair = &answer->repairs[i];

		if (repair_problem(keys, repair->record) == NULL)
			repair_end(repair->id, repair->record, "repaired", NULL);
		else if (!is_whole && !repair->had_copies)
		{
			flow_run(&ask_again, flow_int64(repair->id));
			flow_timers_soon();
		}
		else
			repair_widen(repair->id, answer->message->head->iss);
	}
}

static void
go_on(Answer *answer, EvidenceKeys *keys)
{
	const HdmsBody *body = answer->message->body;
	const char *node = answer->message->head->iss;

	flow_run(&count_page, flow_text(node), flow_int64(body->copy_count), flow_int64(answer->restored), flow_int64(answer->unsound));
	if (body->next != NULL && answer->pages < MAX_PAGES && (answer->place == NULL || strcmp(answer->place, body->next) != 0))
	{
		recovery_ask(node, body->next);
		return;
	}
	if (body->next != NULL)
		flow_run(&note_problem, flow_text(node), flow_text("the node comes to no end"));
	recovery_end(keys, node);
}

FlowOutcome
flow_copies(const FlowMessage *message, char **reason)
{
	Answer		answer = {.message = message};
	HdmsEvidence evidence = {0};
	EvidenceKeys *keys;
	char	  **digests;
	char	   *missing;
	int			count;

	if (message->duplicate)
		return FLOW_DONE;
	if (message->head->re[0] == '\0')
		return flow_drop(reason, "it answers no question");
	find_question(&answer);
	if (answer.repair_count == 0 && !answer.is_recovery)
		return flow_drop(reason, "it answers a question that was not asked");
	read_copies(&answer);
	digests = pinned_lists(&answer, &count);
	missing = missing_list(digests, count);
	if (missing != NULL && node_now() - message->head->iat <= FLOW_LOOKUP_PATIENCE)
	{
		directory_want_list(missing);
		return flow_wait(reason, psprintf("the list of notaries %s", missing));
	}
	(void) outbox_answered(message->head->re, message->head->iss, NULL);

	keys = evidence_keys_open(CurrentMemoryContext);
	(void) evidence_keys_fill(keys, NULL, digests, count, &evidence);
	evidence.patient = message->sender;
	if (evidence.network == NULL || evidence.issuer == NULL || evidence.admission == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("copies cannot be verified: this node's own keys or its admission are damaged")));
	match_orphans(&answer);
	restore_all(&answer, &evidence);
	end_repairs(&answer, keys);
	if (answer.is_recovery)
		go_on(&answer, keys);
	return FLOW_DONE;
}
