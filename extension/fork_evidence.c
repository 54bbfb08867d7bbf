/*
 * fork_evidence.c
 *		Keeping evidence that a log contradicts itself.
 *
 * What was signed is kept as it came, so that a person can show it to anyone; it is never deleted.
 */
#include "postgres.h"

#include "flow_inside.h"
#include "flow_plan.h"
#include "fork.h"
#include "fork_evidence.h"
#include "malloc_guard.h"

static FlowPlan insert_fork =
FLOW_PLAN("INSERT INTO hdms_internal.forks (kind, origin, node_id, told_by, seen, shown, evidence)"
		  " SELECT $1, $2, $3, $4, $5, $6, $7 WHERE NOT EXISTS (SELECT FROM hdms_internal.forks f"
		  "  WHERE f.origin = $2 AND f.kind = $1 AND f.shown = $6)",
		  TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);

void
fork_keep(const char *kind, const char *origin, const HdmsHistory *owner, const char *told_by,
		  const char *seen, const char *shown)
{
	const char *node_id = hdms_history_node_id(owner);
	HdmsForkKind file_kind = strcmp(kind, "two-receipts") == 0 ? HDMS_FORK_RECEIPTS : HDMS_FORK_CHECKPOINTS;
	char	  **evidence = guard_text();
	HdmsStatus	status = hdms_fork_print(owner, file_kind, seen, shown, evidence);

	if (status == HDMS_OUT_OF_MEMORY)
		flow_require(status, "writing evidence of a fork");
	if (flow_run(&insert_fork, flow_text(kind), flow_text(origin), flow_text(node_id), flow_text(told_by), flow_text(seen),
				 flow_text(shown), flow_text(status == HDMS_OK ? *evidence : NULL)) == 0)
		return;
	event_write("fork", NULL, 0, NULL, NULL, kind, origin);
	ereport(WARNING,
			(errmsg("the log \"%s\" of node %s contradicts itself: %s", origin, node_id, kind),
			 errhint("hdms.forks has the evidence; show it to the network's operator.")));
}
