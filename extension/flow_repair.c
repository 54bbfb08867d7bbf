/*
 * flow_repair.c
 *		Repair and recovery: what is asked of the patients' nodes, and how it ends.
 *
 * hdms.repair() and its sisters only write rows. Here each record is verified, and what is wrong with it is asked for by name, many
 * versions of a patient in one question. Whatever a superuser may have destroyed can tell what is missing: columns, states, requests. Where
 * nothing does, the node is asked for all that it has, page by page, as for the recovery of a lost ledger. All progress is in rows,
 * so a crash repeats at most one question.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "directory.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_repair.h"
#include "ledger_mend.h"
#include "fn_verify.h"
#include "node.h"
#include "notarisation.h"
#include "outbox.h"
#include "plan_array.h"
#include "restore.h"
#include "restore_rows.h"

#define REPAIRS_AT_ONCE		50
#define RECOVERIES_AT_ONCE	20
#define VERSIONS_A_QUESTION	400
#define PAUSE_S				60
#define MAX_ROUNDS			50

static FlowPlan find_queued =
FLOW_PLAN("SELECT id, record::text, CAST(rounds AS bigint) FROM hdms_internal.repairs WHERE status = 'queued' AND next_try <= clock_timestamp()"
		  " ORDER BY next_try, id LIMIT $1",
		  INT8OID);

/* Questions whose message is gone without an answer: expired after a month, or lost with the table. */
static FlowPlan requeue_lost =
FLOW_PLAN_WITHOUT_ARGS("UPDATE hdms_internal.repairs r SET status = 'queued', jti = NULL WHERE r.status = 'asked' AND r.jti IS NOT NULL"
					   " AND NOT EXISTS (SELECT FROM hdms_internal.outbox o WHERE o.jti = r.jti)");

static FlowPlan requeue_lost_recoveries =
FLOW_PLAN_WITHOUT_ARGS("UPDATE hdms_internal.recoveries r SET status = 'queued', jti = NULL WHERE r.status = 'asked'"
					   " AND NOT EXISTS (SELECT FROM hdms_internal.outbox o WHERE o.jti = r.jti)");

static FlowPlan note_asked =
FLOW_PLAN("UPDATE hdms_internal.repairs SET status = 'asked', node_id = $2, jti = CAST($3 AS uuid), asked = $4, rounds = rounds + 1,"
		  " asked_at = clock_timestamp() WHERE id = $1",
		  INT8OID, TEXTOID, TEXTOID, INT4OID);

static FlowPlan put_off =
FLOW_PLAN("UPDATE hdms_internal.repairs SET next_try = clock_timestamp() + make_interval(secs => $2) WHERE id = $1", INT8OID, INT8OID);

static FlowPlan end_repair =
FLOW_PLAN("UPDATE hdms_internal.repairs SET status = $2, reason = $3, jti = NULL, finished_at = clock_timestamp() WHERE id = $1",
		  INT8OID, TEXTOID, TEXTOID);

static FlowPlan find_names =
FLOW_PLAN("SELECT r.patient_ref, r.source_id FROM hdms_internal.records r WHERE r.record = CAST($1 AS uuid)", TEXTOID);

/* By the record's own row, or by the last event of it. */
static FlowPlan find_patient =
FLOW_PLAN("SELECT p.node_id FROM (SELECT r.patient_ref, 1 AS n, 0 AS id FROM hdms_internal.records r WHERE r.record = CAST($1 AS uuid)"
		  "  UNION ALL SELECT e.patient_ref, 2, e.id FROM hdms_internal.events e WHERE e.record = CAST($1 AS uuid)) w"
		  " JOIN hdms_internal.patients p ON p.patient_ref = w.patient_ref WHERE p.node_id IS NOT NULL ORDER BY w.n, w.id DESC LIMIT 1",
		  TEXTOID);

/* The last resort: a payload that belongs to no version any more. */
static FlowPlan find_orphan =
FLOW_PLAN("SELECT p.state FROM hdms_internal.payloads p WHERE NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.id = p.id)"
		  " AND hdms_internal.state_record(p.state) = CAST($1 AS uuid)",
		  TEXTOID);

static FlowPlan count_expected =
FLOW_PLAN("SELECT greatest((SELECT committed FROM hdms_internal.records WHERE record = CAST($1 AS uuid)),"
		  " (SELECT count(*) FROM hdms_internal.versions WHERE record = CAST($1 AS uuid) AND status IN ('committed', 'superseded')),"
		  " (SELECT max(version) FROM hdms_internal.versions WHERE record = CAST($1 AS uuid) AND status IN ('committed', 'superseded')),"
		  " (SELECT count(DISTINCT version_id) FROM hdms_internal.events WHERE record = CAST($1 AS uuid) AND kind = 'status' AND status = 'committed'))::bigint",
		  TEXTOID);

static FlowPlan count_here =
FLOW_PLAN("SELECT count(*) FROM hdms_internal.versions WHERE record = CAST($1 AS uuid) AND status IN ('committed', 'superseded', 'erased')",
		  TEXTOID);

static FlowPlan widen_repair =
FLOW_PLAN("UPDATE hdms_internal.repairs SET status = 'asked', everything = true, node_id = $2, jti = NULL, asked = 0,"
		  " asked_at = clock_timestamp() WHERE id = $1",
		  INT8OID, TEXTOID);

static FlowPlan begin_recovery =
FLOW_PLAN("INSERT INTO hdms_internal.recoveries AS r (node_id) VALUES ($1) ON CONFLICT (node_id) DO UPDATE SET status = 'queued', place = NULL,"
		  " jti = NULL, pages = 0, copies = 0, restored = 0, unsound = 0, problem = NULL, next_try = clock_timestamp(),"
		  " started_at = clock_timestamp(), updated_at = clock_timestamp(), finished_at = NULL WHERE r.status = 'complete'",
		  TEXTOID);

static FlowPlan find_queued_recoveries =
FLOW_PLAN("SELECT node_id, place FROM hdms_internal.recoveries WHERE status = 'queued' AND next_try <= clock_timestamp() ORDER BY next_try LIMIT $1",
		  INT8OID);

static FlowPlan put_off_recovery =
FLOW_PLAN("UPDATE hdms_internal.recoveries SET next_try = clock_timestamp() + make_interval(secs => $2), problem = $3 WHERE node_id = $1",
		  TEXTOID, INT8OID, TEXTOID);

static FlowPlan note_recovery_asked =
FLOW_PLAN("UPDATE hdms_internal.recoveries SET status = 'asked', place = $2, jti = CAST($3 AS uuid), problem = NULL, updated_at = clock_timestamp()"
		  " WHERE node_id = $1",
		  TEXTOID, TEXTOID, TEXTOID);

static FlowPlan end_recovery =
FLOW_PLAN("UPDATE hdms_internal.recoveries SET status = 'complete', jti = NULL, updated_at = clock_timestamp(), finished_at = clock_timestamp()"
		  " WHERE node_id = $1",
		  TEXTOID);

static FlowPlan find_waiting =
FLOW_PLAN("SELECT p.id, p.record::text, p.asked_at <= r.started_at FROM hdms_internal.repairs p JOIN hdms_internal.recoveries r ON r.node_id = p.node_id"
		  " WHERE p.node_id = $1 AND p.status = 'asked' AND p.everything ORDER BY p.id",
		  TEXTOID);

/* What a record's rows tell of its versions and of whose it is. */
typedef struct Traces
{
	char		node[HDMS_DIGEST_TEXT + 1];	/* "": unknown */
	char	  **vks;
	int			count;
	int			room;
} Traces;

/* What is to be asked of one node. */
typedef struct Question
{
	char		node[HDMS_DIGEST_TEXT + 1];
	char	   *vks[VERSIONS_A_QUESTION];
	int			count;
	int64		repairs[REPAIRS_AT_ONCE];
	int			asked[REPAIRS_AT_ONCE];
	int			repair_count;
} Question;

static void
add_vk(Traces *traces, const char *vk)
{
	if (vk == NULL || !hdms_is_digest_text(vk, strlen(vk)))
		return;
	for (int i = 0; i < traces->count; i++)
	{
		if (strcmp(traces->vks[i], vk) == 0)
			return;
	}
	if (traces->count < traces->room)
		traces->vks[traces->count++] = pstrdup(vk);
}

static void
add_state(Traces *traces, const char *record, const char *text)
{
	HdmsState	state;

	if (text == NULL || hdms_state_parse(text, strlen(text), true, &state) != HDMS_OK || strcmp(state.record, record) != 0)
		return;
	add_vk(traces, state.vk);
	add_vk(traces, state.prev);
	strlcpy(traces->node, state.sub, sizeof(traces->node));
}

/* A request may have come here from another record's row: whose it is counts only where it is of the row's own version. */
static void
add_row(Traces *traces, const char *record, const LedgerRow *row)
{
	HdmsRequest request;

	add_vk(traces, row->vk);
	add_vk(traces, row->prev);
	add_state(traces, record, row->state);
	if (row->request == NULL || hdms_request_peek(row->request, strlen(row->request), &request) != HDMS_OK)
		return;
	add_vk(traces, request.commit.vk);
	if (traces->node[0] == '\0' && row->vk != NULL && strcmp(request.commit.vk, row->vk) == 0)
		strlcpy(traces->node, request.iss, sizeof(traces->node));
}

static Traces
find_traces(const char *record)
{
	Traces		traces = {0};
	int			count;
	LedgerRow  *rows = ledger_rows(record, NULL, 0, &count);

	traces.room = count * 5 + 2;
	traces.vks = palloc(sizeof(char *) * traces.room);
	for (int i = 0; i < count; i++)
		add_row(&traces, record, &rows[i]);
	if (traces.node[0] == '\0')
	{
		if (flow_run(&find_patient, flow_text(record)) > 0)
			row_copy(0, 1, traces.node, sizeof(traces.node));
		flow_rows_free();
	}
	if (traces.node[0] == '\0' && flow_run(&find_orphan, flow_text(record)) > 0)
		add_state(&traces, record, row_text(0, 1));
	return traces;
}

static int64
expected_versions(const char *record)
{
	int64		expected;

	flow_run(&count_expected, flow_text(record));
	expected = row_int64(0, 1);
	flow_rows_free();
	return expected;
}

char *
repair_problem(EvidenceKeys *keys, const char *record)
{
	pg_uuid_t  *id = DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(record)));
	char	   *problem;
	int64		expected;
	int64		here;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	problem = verify_first_failure(keys, id);
	PopActiveSnapshot();
	if (problem != NULL)
		return problem;
	expected = expected_versions(record);
	flow_run(&count_here, flow_text(record));
	here = row_int64(0, 1);
	flow_rows_free();
	return here >= expected ? NULL : psprintf("%lld versions were once committed and %lld are here", (long long) expected, (long long) here);
}

void
repair_end(int64 id, const char *record, const char *status, const char *reason)
{
	char	   *patient_ref = NULL;
	char	   *source_id = NULL;

	flow_run(&end_repair, flow_int64(id), flow_text(status), flow_text(reason));
	if (flow_run(&find_names, flow_text(record)) > 0)
	{
		patient_ref = row_text(0, 1);
		source_id = row_text(0, 2);
	}
	flow_rows_free();
	event_write("repair", record, 0, patient_ref, source_id, status, reason);
	ledger_mend_soon();
}

void
repair_widen(int64 id, const char *node)
{
	flow_run(&widen_repair, flow_int64(id), flow_text(node));
	flow_run(&begin_recovery, flow_text(node));
	flow_timers_soon();
}

void
recovery_ask(const char *node, const char *place)
{
	HdmsBody	body = {0};
	char		jti[37];

	body.after = (char *) place;
	outbox_put(node, HDMS_MSG_WANT, NULL, 0, true, 0, &body, jti);
	flow_run(&note_recovery_asked, flow_text(node), flow_text(place), flow_text(jti));
}

void
recovery_end(EvidenceKeys *keys, const char *node)
{
	uint64		count;
	int64	   *ids;
	char	  **records;
	bool	   *were_there;
	bool		again = false;

	flow_run(&end_recovery, flow_text(node));
	count = flow_run(&find_waiting, flow_text(node));
	ids = palloc(sizeof(int64) * Max(count, 1));
	records = palloc(sizeof(char *) * Max(count, 1));
	were_there = palloc(sizeof(bool) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
	{
		ids[i] = row_int64(i, 1);
		records[i] = row_text(i, 2);
		were_there[i] = row_bool(i, 3);
	}
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
	{
		char	   *problem = repair_problem(keys, records[i]);

		if (problem == NULL)
			repair_end(ids[i], records[i], "repaired", NULL);
		else if (were_there[i])
			repair_end(ids[i], records[i], "impossible", psprintf("the patient has no sound copy: %s", problem));
		else
			again = true;
	}
	if (again)
	{
		flow_run(&begin_recovery, flow_text(node));
		flow_timers_soon();
	}
}

static void
send_question(Question *question)
{
	HdmsBody	body = {0};
	char		jti[37];

	if (question->repair_count == 0)
		return;
	body.wanted = question->vks;
	body.wanted_count = question->count;
	outbox_put(question->node, HDMS_MSG_WANT, NULL, 0, true, 0, &body, jti);
	for (int i = 0; i < question->repair_count; i++)
		flow_run(&note_asked, flow_int64(question->repairs[i]), flow_text(question->node), flow_text(jti),
				 (FlowArg) {Int32GetDatum(question->asked[i]), false});
	question->count = question->repair_count = 0;
}

/* Adds a repair to the question to its node. A record has more versions than a question: the rest is asked for in the next round. */
static void
add_to_questions(Question *questions, int *count, int64 id, const Traces *traces)
{
	Question   *question = NULL;
	int			asked = Min(traces->count, VERSIONS_A_QUESTION);

	for (int i = 0; i < *count && question == NULL; i++)
	{
		if (strcmp(questions[i].node, traces->node) == 0)
			question = &questions[i];
	}
	if (question == NULL)
	{
		question = &questions[(*count)++];
		question->count = question->repair_count = 0;
		strlcpy(question->node, traces->node, sizeof(question->node));
	}
	if (question->count + asked > VERSIONS_A_QUESTION)
		send_question(question);
	for (int i = 0; i < asked; i++)
		question->vks[question->count++] = traces->vks[i];
	question->asked[question->repair_count] = asked;
	question->repairs[question->repair_count++] = id;
}

/* Whether a node can be written to; where its keys are not known the directory is asked. */
static bool
node_is_known(const char *node)
{
	if (directory_history(node) != NULL)
		return true;
	directory_want_node(node);
	return false;
}

static void
begin_repair(EvidenceKeys *keys, int64 id, const char *record, int64 rounds, Question *questions, int *count)
{
	char	   *problem = repair_problem(keys, record);
	Traces		traces;

	if (problem == NULL)
	{
		repair_end(id, record, rounds == 0 ? "sound" : "repaired", NULL);
		return;
	}
	if (restore_is_erased(record))
	{
		repair_end(id, record, "impossible", psprintf("the record was erased, and nothing of it is put back: %s", problem));
		return;
	}
	traces = find_traces(record);
	if (traces.node[0] == '\0')
		repair_end(id, record, "impossible", psprintf("nothing tells whose record it is: %s", problem));
	else if (!node_is_known(traces.node))
		flow_run(&put_off, flow_int64(id), flow_int64(PAUSE_S));
	else if (traces.count == 0 || traces.count < expected_versions(record) || rounds >= MAX_ROUNDS)
		repair_widen(id, traces.node);
	else
		add_to_questions(questions, count, id, &traces);
}

/* Repairs that wait: verified, and asked for. Gives whether there may be more. */
static bool
begin_repairs(void)
{
	uint64		found = flow_run(&find_queued, flow_int64(REPAIRS_AT_ONCE));
	int64		ids[REPAIRS_AT_ONCE];
	char	   *records[REPAIRS_AT_ONCE];
	int64		rounds[REPAIRS_AT_ONCE];
	Question   *questions;
	EvidenceKeys *keys;
	int			count = 0;

	for (uint64 i = 0; i < found; i++)
	{
		ids[i] = row_int64(i, 1);
		records[i] = row_text(i, 2);
		rounds[i] = row_int64(i, 3);
	}
	flow_rows_free();
	if (found == 0)
		return false;
	keys = evidence_keys_open(CurrentMemoryContext);
	questions = palloc(sizeof(Question) * found);
	for (uint64 i = 0; i < found; i++)
		begin_repair(keys, ids[i], records[i], rounds[i], questions, &count);
	for (int i = 0; i < count; i++)
		send_question(&questions[i]);
	return found == REPAIRS_AT_ONCE;
}

static bool
begin_recoveries(void)
{
	uint64		found = flow_run(&find_queued_recoveries, flow_int64(RECOVERIES_AT_ONCE));
	char	   *nodes[RECOVERIES_AT_ONCE];
	char	   *places[RECOVERIES_AT_ONCE];

	for (uint64 i = 0; i < found; i++)
	{
		nodes[i] = row_text(i, 1);
		places[i] = row_text(i, 2);
	}
	flow_rows_free();
	for (uint64 i = 0; i < found; i++)
	{
		if (node_is_known(nodes[i]))
			recovery_ask(nodes[i], places[i]);
		else
			flow_run(&put_off_recovery, flow_text(nodes[i]), flow_int64(PAUSE_S), flow_text("the node's keys are not known yet"));
	}
	return found == RECOVERIES_AT_ONCE;
}

int
flow_repair_timers(void)
{
	static int64 next_look = 0;	/* seconds: at questions that were lost */
	int64		now = node_now();
	bool		more;

	if (now >= next_look || next_look > now + PAUSE_S)
	{
		flow_run_without_args(&requeue_lost);
		flow_run_without_args(&requeue_lost_recoveries);
		next_look = now + PAUSE_S;
	}
	more = begin_repairs();
	more = begin_recoveries() || more;
	return more ? 0 : PAUSE_S;
}
