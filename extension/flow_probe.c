/*
 * flow_probe.c
 *		Notaries that a patient's device calls silent: asked by this node itself before anybody is skipped.
 *
 * Only a first version may go to another notary, with a skip that this node signs after its own question
 * stayed unanswered. Later versions must go where their predecessor is, so there the device is told
 * to go on waiting. A notary also answers such questions here.
 */
#include "postgres.h"

#include "directory.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "malloc_guard.h"
#include "node.h"
#include "notarisation.h"
#include "outbox.h"
#include "settings.h"

#define LOOK_AGAIN_SECONDS	60	/* while nothing was asked */
#define LOOK_AT_UNSENT_SECONDS 5	/* how exactly the time since a question was sent is known */

static FlowPlan find_commit =
FLOW_PLAN("SELECT p.commit, w.notary FROM hdms_internal.versions v JOIN hdms_internal.payloads p ON p.id = v.id"
		  " LEFT JOIN hdms_internal.versions w ON w.vk = v.prev WHERE v.id = $1",
		  INT8OID);

/* A question to the same notary that was asked a moment ago does for this version too. */
static FlowPlan find_young_probe =
FLOW_PLAN("SELECT CAST(probe AS text) FROM hdms_internal.probes WHERE notary = $1"
		  " AND deadline > clock_timestamp() + make_interval(secs => $2) LIMIT 1",
		  TEXTOID, FLOAT8OID);

static FlowPlan insert_probe =
FLOW_PLAN("INSERT INTO hdms_internal.probes (version_id, notary, asked_by, probe, deadline)"
		  " VALUES ($1, $2, CAST($3 AS uuid), CAST($4 AS uuid), clock_timestamp() + make_interval(secs => $5))"
		  " ON CONFLICT (version_id) DO UPDATE SET asked_by = excluded.asked_by",
		  INT8OID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID);

static FlowPlan find_probe = FLOW_PLAN("SELECT notary FROM hdms_internal.probes WHERE version_id = $1", INT8OID);

static FlowPlan end_answered =
FLOW_PLAN("DELETE FROM hdms_internal.probes WHERE probe = CAST($1 AS uuid) AND notary = $2"
		  " RETURNING version_id, notary, CAST(asked_by AS text)",
		  TEXTOID, TEXTOID);

/* The time runs from when the question was put to the server, not while it cannot be reached. */
static FlowPlan extend_unsent =
FLOW_PLAN("UPDATE hdms_internal.probes SET deadline = clock_timestamp() + make_interval(secs => $1) WHERE probe IN"
		  " (SELECT o.jti FROM hdms_internal.outbox o JOIN hdms_internal.probes p ON p.probe = o.jti WHERE o.status = 'queued')",
		  FLOAT8OID);

static FlowPlan say_silent =
FLOW_PLAN("UPDATE hdms_internal.versions SET reason = 'notary-silent' WHERE id = $1", INT8OID);

static FlowPlan end_silent =
FLOW_PLAN("DELETE FROM hdms_internal.probes WHERE version_id IN"
		  " (SELECT p.version_id FROM hdms_internal.probes p WHERE p.deadline <= clock_timestamp() LIMIT $1)"
		  " RETURNING version_id, notary, CAST(asked_by AS text)",
		  INT8OID);

static FlowPlan find_deadline =
FLOW_PLAN_WITHOUT_ARGS("SELECT CAST(ceil(extract(epoch FROM min(deadline) - clock_timestamp())) AS bigint), count(*)"
					   " FROM hdms_internal.probes");

static FlowArg
seconds(double value)
{
	return (FlowArg) {Float8GetDatum(value), false};
}

/* An ended probe, as the statements above return it. */
typedef struct EndedProbe
{
	int64		version_id;
	char		notary[HDMS_DIGEST_TEXT + 1];
	char		asked_by[37];
} EndedProbe;

static EndedProbe *
read_ended(uint64 count)
{
	EndedProbe *ended = palloc(sizeof(EndedProbe) * Max(count, 1));

	for (uint64 i = 0; i < count; i++)
	{
		ended[i].version_id = row_int64(i, 1);
		row_copy(i, 2, ended[i].notary, sizeof(ended[i].notary));
		row_copy(i, 3, ended[i].asked_by, sizeof(ended[i].asked_by));
	}
	flow_rows_free();
	return ended;
}

/* Tells the device that the notary lives, or at least that there is no way round it. */
static void
answer_alive(const VersionRow *row, const EndedProbe *ended)
{
	HdmsBody	body = {0};

	body.vk = (char *) row->vk;
	body.notary = (char *) ended->notary;
	outbox_put(row->patient, HDMS_MSG_ALIVE, ended->asked_by, row->id, false, 0, &body, NULL);
}

static void
answer_skip(const VersionRow *row, const EndedProbe *ended)
{
	HdmsBody	body = {0};
	HdmsSkip	skip = {0};
	char	  **text = guard_text();

	strlcpy(skip.iss, own_node.id, sizeof(skip.iss));
	strlcpy(skip.sub, row->patient, sizeof(skip.sub));
	strlcpy(skip.vk, row->vk, sizeof(skip.vk));
	strlcpy(skip.notary, ended->notary, sizeof(skip.notary));
	skip.iat = node_now();
	flow_require(hdms_skip_sign(&skip, own_node.signing, text), "signing a skip");
	body.vk = (char *) row->vk;
	body.skip = *text;
	outbox_put(row->patient, HDMS_MSG_SKIP, ended->asked_by, row->id, false, 0, &body, NULL);
}

/* Whether the version may be with that notary: for a first version any other of its list, later the predecessor's. */
static bool
may_be_with(const VersionRow *row, const char *notary, bool *list_missing)
{
	const HdmsNotaryList *list;
	HdmsCommit	commit;
	char	   *commit_text = NULL;
	char	   *previous = NULL;

	*list_missing = false;
	if (flow_run(&find_commit, flow_int64(row->id)) > 0)
	{
		commit_text = row_text(0, 1);
		previous = row_text(0, 2);
	}
	flow_rows_free();
	if (row->version > 1)
		return previous != NULL && strcmp(previous, notary) == 0;
	if (strcmp(notary, own_node.id) == 0 || commit_text == NULL
		|| hdms_commit_peek(commit_text, strlen(commit_text), &commit) != HDMS_OK)
		return false;
	list = directory_list(commit.notaries);
	if (list == NULL)
	{
		directory_want_list(commit.notaries);
		*list_missing = true;
		return false;
	}
	return hdms_notaries_find(list, notary) != NULL;
}

static void
ask_notary(const FlowMessage *message, const VersionRow *row)
{
	const char *notary = message->body->notary;
	double		patience = setting_probe_patience;
	HdmsBody	nothing = {0};
	char		probe[37];
	bool		is_shared;

	is_shared = flow_run(&find_young_probe, flow_text(notary), seconds(patience / 2)) > 0;
	if (is_shared)
		row_copy(0, 1, probe, sizeof(probe));
	flow_rows_free();
	if (!is_shared)
		outbox_put(notary, HDMS_MSG_PROBE, NULL, row->id, true, node_now() + 86400, &nothing, probe);
	flow_run(&insert_probe, flow_int64(row->id), flow_text(notary), flow_text(message->head->jti), flow_text(probe),
			 seconds(patience));
}

FlowOutcome
flow_silent(const FlowMessage *message, char **reason)
{
	const HdmsBody *body = message->body;
	HdmsBody	answer = {0};
	VersionRow	row;
	char	   *former;
	bool		list_missing;
	bool		is_asked;

	if ((!version_find(body->vk, &row) && !version_find_former(body->vk, &row, &former)) || strcmp(row.patient, message->head->iss) != 0)
		return flow_answer_refused(message, "unknown-state", "There is no such state of this patient.", NULL, reason);
	if (row.is_former || !version_is_open(&row))
	{
		answer.vk = row.vk;
		answer.code = row.is_former ? "outdated" : row.has_evidence ? "committed" : row.status;
		flow_answer(message, HDMS_MSG_WITHDRAWN, row.id, false, &answer);
		return FLOW_DONE;
	}
	is_asked = flow_run(&find_probe, flow_int64(row.id)) > 0 && strcmp(row_text(0, 1), body->notary) == 0;
	flow_rows_free();
	if (!is_asked)
	{
		if (version_answer_again(row.id, HDMS_MSG_SKIP, message->head->jti)
			|| version_answer_again(row.id, HDMS_MSG_ALIVE, message->head->jti))
			return FLOW_DONE;
		if (!may_be_with(&row, body->notary, &list_missing))
			return list_missing ? flow_wait(reason, "the list of notaries of a version")
				: flow_answer_refused(message, "not-a-notary", "That node cannot be the notary of this state.", NULL, reason);
		if (directory_history(body->notary) == NULL)
		{
			directory_want_node(body->notary);
			return flow_wait(reason, psprintf("the notary %s", body->notary));
		}
	}
	ask_notary(message, &row);
	return FLOW_DONE;
}

FlowOutcome
flow_probe(const FlowMessage *message, char **reason)
{
	HdmsBody	nothing = {0};

	if (!own_node.is_notary)
		return flow_drop(reason, "not-a-notary");
	flow_answer(message, HDMS_MSG_PROBE_REPLY, 0, false, &nothing);
	return FLOW_DONE;
}

FlowOutcome
flow_probe_reply(const FlowMessage *message, char **reason)
{
	EndedProbe *ended;
	uint64		count;

	(void) outbox_answered(message->head->re, message->head->iss, NULL);
	count = flow_run(&end_answered, flow_text(message->head->re[0] == '\0' ? NULL : message->head->re),
					 flow_text(message->head->iss));
	ended = read_ended(count);
	for (uint64 i = 0; i < count; i++)
	{
		VersionRow	row;

		if (version_load(ended[i].version_id, &row) && version_is_open(&row))
			answer_alive(&row, &ended[i]);
	}
	return FLOW_DONE;
}

int
flow_probe_timers(void)
{
	EndedProbe *ended;
	uint64		count;
	int64		due;
	bool		is_idle;

	flow_run_without_args(&find_deadline);
	is_idle = row_int64(0, 2) == 0;
	due = row_int64(0, 1);
	flow_rows_free();
	if (is_idle)
		return LOOK_AGAIN_SECONDS;
	flow_run(&extend_unsent, seconds(setting_probe_patience));
	if (due > 1)
		return (int) Min(due, LOOK_AT_UNSENT_SECONDS);
	count = flow_run(&end_silent, flow_int64(FLOW_BATCH));
	ended = read_ended(count);
	for (uint64 i = 0; i < count; i++)
	{
		VersionRow	row;

		outbox_drop(ended[i].version_id, HDMS_MSG_PROBE);
		if (!version_load(ended[i].version_id, &row) || !version_is_open(&row))
			continue;
		if (row.version == 1)
			answer_skip(&row, &ended[i]);
		else
		{
			ereport(LOG,
					(errmsg("version %lld of record %s waits for its notary %s, which does not answer",
							(long long) row.version, row.record, ended[i].notary),
					 errdetail("The notary of a record's first version is bound to all its versions.")));
			flow_run(&say_silent, flow_int64(row.id));
			answer_alive(&row, &ended[i]);
		}
	}
	return 1;
}
