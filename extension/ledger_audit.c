/*
 * ledger_audit.c
 *		The audit trail's way from the queue that backends write to into the node's own log.
 *
 * A backend cannot give gapless numbers without making all others wait, and it has no key. So it writes into a queue, in its
 * own transaction: what is rolled back leaves nothing. What the worker sees there is committed; it
 * gives numbers and writes the log's entry in the transaction that moves the rows.
 *
 * Moves start at a low-water id, for the reason that flow_issue.c gives; ids become visible out of order, so
 * now and then a move starts from the beginning.
 */
#include "postgres.h"

#include "flow.h"
#include "flow_plan.h"
#include "ledger_audit.h"
#include "ledger_log.h"
#include "node.h"
#include "transaction.h"

#define MOVE_AT_ONCE	1024
#define FULL_EVERY_MS	10000

static FlowPlan look = FLOW_PLAN("SELECT 1 FROM hdms_internal.audit_queue q WHERE q.id >= $1 ORDER BY q.id LIMIT 1", INT8OID);

static FlowPlan take =
FLOW_PLAN("WITH taken AS (DELETE FROM hdms_internal.audit_queue d WHERE d.id IN"
		  "  (SELECT q.id FROM hdms_internal.audit_queue q WHERE q.id >= $1 ORDER BY q.id LIMIT $2) RETURNING d.*),"
		  " low AS (SELECT coalesce(max(a.id), 0) AS id FROM hdms_internal.audit a)"
		  " INSERT INTO hdms_internal.audit (id, at, login, role, actor, action, record, version_id, patient_ref, purpose)"
		  " SELECT low.id + row_number() OVER (ORDER BY t.id), t.at, t.login, t.role, t.actor, t.action, t.record, t.version_id,"
		  "  t.patient_ref, t.purpose FROM taken t, low ORDER BY t.id"
		  " RETURNING " LEDGER_AUDIT_COLUMNS,
		  INT8OID, INT8OID);

static FlowPlan find_last_queued =
FLOW_PLAN_WITHOUT_ARGS("SELECT q.id FROM hdms_internal.audit_queue q ORDER BY q.id DESC LIMIT 1");

static FlowPlan find_binding =
FLOW_PLAN("SELECT node_id FROM hdms_internal.patients WHERE patient_ref = $1 AND status = 'paired'", TEXTOID);

static int64 low_water = 0;
static int64 next_full_move = 0;	/* milliseconds */

/* The columns of LEDGER_AUDIT_COLUMNS that are looked at. */
#define ACTION_COLUMN	6
#define PATIENT_COLUMN	9

/* Patients that the moved rows say were confirmed, each palloc'ed; NULL ends them. */
static char **
confirmed_patients(uint64 count)
{
	char	  **patients = palloc(sizeof(char *) * (count + 1));
	int			found = 0;

	for (uint64 row = 0; row < count; row++)
	{
		char	   *action = row_text(row, ACTION_COLUMN);

		if (strcmp(action, "confirm") == 0 && (patients[found] = row_text(row, PATIENT_COLUMN)) != NULL)
			found++;
		pfree(action);
	}
	patients[found] = NULL;
	return patients;
}

/* A confirmation is a backend's change of a binding: it becomes an event here. One that a conflict has overtaken does not. */
static void
note_confirmed(char **patients)
{
	for (; *patients != NULL; patients++)
	{
		char	   *node_id = flow_run(&find_binding, flow_text(*patients)) > 0 ? row_text(0, 1) : NULL;

		flow_rows_free();
		if (node_id != NULL)
			event_write_binding("confirmed", *patients, node_id, "paired", NULL);
	}
}

bool
ledger_audit_move(void)
{
	int64		now = node_now_ms();
	uint64		count = 0;

	transaction_begin("moving the audit trail");
	if (now >= next_full_move || next_full_move > now + FULL_EVERY_MS)
	{
		low_water = 0;
		next_full_move = now + FULL_EVERY_MS;
	}
	if (flow_run(&look, flow_int64(low_water)) > 0)
	{
		char	  **confirmed;
		int64		last;

		flow_rows_free();
		flow_run_without_args(&find_last_queued);
		last = row_int64(0, 1);
		flow_rows_free();
		count = flow_run(&take, flow_int64(low_water), flow_int64(MOVE_AT_ONCE));
		confirmed = confirmed_patients(count);
		ledger_log_rows(LEDGER_AUDIT, count);
		note_confirmed(confirmed);
		if (count < MOVE_AT_ONCE)
			low_water = last + 1;
	}
	else
		flow_rows_free();
	transaction_commit();
	return count == MOVE_AT_ONCE;
}
