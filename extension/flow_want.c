/*
 * flow_want.c
 *		A patient's node asks for copies of its records: its own are damaged, or the device is new.
 *
 * It gets what was signed for that very node and nothing else, whatever the tables say it belongs to: the signed state is asked. An
 * answer changes nothing, so the same question again is simply answered again.
 */
#include "postgres.h"

#include "state.h"

#include "flow_inside.h"
#include "flow_plan.h"
#include "plan_array.h"

#define ANSWER_BYTES	(512 * 1024)
#define ANSWER_COPIES	512

/* More than this would not fit into an envelope, whose plaintext is a third shorter than it. */
#define COPY_BYTES		(HDMS_ENVELOPE_MAX / 4 * 3 - 8192)

/* Columns of both queries: vk, state, commit, acceptance, request, receipt. */
#define COPY_COLUMNS	"p.state, p.commit, p.acceptance, p.request, p.receipt"
#define COPY_SIZE \
	"coalesce(octet_length(p.state) + coalesce(octet_length(p.commit), 0) + coalesce(octet_length(p.acceptance), 0)" \
	" + coalesce(octet_length(p.request), 0) + coalesce(octet_length(p.receipt), 0), 0) + 128"

/*
 * $1 the node, $2 and $3 the place after which to go on, $4 how many, $5 bytes. Those that fit, and whether that was all: sizes are
 * told without reading the values.
 */
static FlowPlan find_after =
FLOW_PLAN("WITH found AS (SELECT v.record, v.ordinal, v.id FROM hdms_internal.patients a"
		  "  JOIN hdms_internal.records r ON r.patient_ref = a.patient_ref JOIN hdms_internal.versions v ON v.record = r.record"
		  "  WHERE a.node_id = $1 AND v.status IN ('issued', 'delivered', 'committed', 'superseded')"
		  "   AND (v.record, v.ordinal) > (CAST($2 AS uuid), CAST($3 AS integer)) ORDER BY v.record, v.ordinal LIMIT $4 + 1),"
		  " sized AS (SELECT f.*, sum(" COPY_SIZE ") OVER before AS total, row_number() OVER before AS n, count(*) OVER () AS many"
		  "  FROM found f LEFT JOIN hdms_internal.payloads p ON p.id = f.id WINDOW before AS (ORDER BY f.record, f.ordinal))"
		  " SELECT NULL, " COPY_COLUMNS ", s.record::text || '_' || s.ordinal, s.many > count(*) OVER () FROM sized s"
		  " LEFT JOIN hdms_internal.payloads p ON p.id = s.id WHERE s.n = 1 OR (s.n <= $4 AND s.total <= $5) ORDER BY s.n",
		  TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID);

/* $1 the vks, $2 bytes. The sizes count in the order of asking. */
static FlowPlan find_wanted =
FLOW_PLAN("WITH sized AS (SELECT u.vk, u.n, v.id, sum(" COPY_SIZE ") OVER (ORDER BY u.n) AS total"
		  "  FROM unnest($1) WITH ORDINALITY AS u (vk, n) LEFT JOIN hdms_internal.versions v ON v.vk = u.vk"
		  "  LEFT JOIN hdms_internal.payloads p ON p.id = v.id)"
		  " SELECT s.vk, " COPY_COLUMNS " FROM sized s LEFT JOIN hdms_internal.payloads p ON p.id = s.id"
		  " WHERE s.n = 1 OR s.total <= $2 ORDER BY s.n",
		  TEXTARRAYOID, INT8OID);

/* The copy in a row of either query; false when there is none for this node. Texts are palloc'ed. */
static bool
read_copy(uint64 row, const char *node, HdmsCopy *copy)
{
	HdmsState	state;
	size_t		size;

	copy->state = row_text(row, 2);
	if (copy->state == NULL || hdms_state_parse(copy->state, strlen(copy->state), true, &state) != HDMS_OK || strcmp(state.sub, node) != 0)
		return false;
	copy->commit = row_text(row, 3);
	copy->acceptance = row_text(row, 4);
	copy->request = row_text(row, 5);
	copy->receipt = row_text(row, 6);
	if (copy->commit == NULL && (copy->acceptance == NULL || copy->request == NULL || copy->receipt == NULL))
		return false;
	size = strlen(copy->state) + (copy->commit ? strlen(copy->commit) : 0) + (copy->request ? strlen(copy->request) : 0) +
		(copy->acceptance ? strlen(copy->acceptance) : 0) + (copy->receipt ? strlen(copy->receipt) : 0);
	return size <= COPY_BYTES;
}

static void
answer_wanted(const FlowMessage *message, HdmsBody *answer)
{
	const HdmsBody *asked = message->body;
	uint64		count;

	count = flow_run(&find_wanted, flow_text_array(asked->wanted, (int) Min(asked->wanted_count, ANSWER_COPIES)), flow_int64(ANSWER_BYTES));
	answer->copies = palloc0(sizeof(HdmsCopy) * Max(count, 1));
	answer->missing = palloc(sizeof(char *) * Max(count, 1));
	for (uint64 row = 0; row < count; row++)
	{
		if (read_copy(row, message->head->iss, &answer->copies[answer->copy_count]))
			answer->copy_count++;
		else
		{
			memset(&answer->copies[answer->copy_count], 0, sizeof(HdmsCopy));
			answer->missing[answer->missing_count++] = row_text(row, 1);
		}
	}
	flow_rows_free();
}

/* A place in a node's list: record and number of the last version that was answered. */
static bool
read_place(const char *text, char record[37], int64 *ordinal)
{
	char	   *end;

	strlcpy(record, "00000000-0000-0000-0000-000000000000", 37);
	*ordinal = 0;
	if (text == NULL)
		return true;
	if (strlen(text) < 38 || strlen(text) > 36 + 1 + 9 || text[36] != '_' || !hdms_is_uuid(text, 36))
		return false;
	memcpy(record, text, 36);
	*ordinal = strtol(text + 37, &end, 10);
	return *end == '\0' && *ordinal >= 0;
}

static void
answer_after(const FlowMessage *message, const char *record, int64 ordinal, HdmsBody *answer)
{
	uint64		count = flow_run(&find_after, flow_text(message->head->iss), flow_text(record), flow_int64(ordinal),
								 flow_int64(ANSWER_COPIES), flow_int64(ANSWER_BYTES));

	answer->copies = palloc0(sizeof(HdmsCopy) * Max(count, 1));
	for (uint64 row = 0; row < count; row++)
	{
		if (read_copy(row, message->head->iss, &answer->copies[answer->copy_count]))
			answer->copy_count++;
		else
			memset(&answer->copies[answer->copy_count], 0, sizeof(HdmsCopy));
	}
	if (count > 0 && row_bool(count - 1, 8))
		answer->next = row_text(count - 1, 7);
	flow_rows_free();
}

FlowOutcome
flow_want(const FlowMessage *message, char **reason)
{
	HdmsBody	answer = {0};
	char		record[37];
	int64		ordinal;

	if (!read_place(message->body->after, record, &ordinal))
		return flow_drop(reason, "it asks for what comes after a place that is none");
	if (message->body->wanted_count > 0)
		answer_wanted(message, &answer);
	else
		answer_after(message, record, ordinal, &answer);
	flow_answer(message, HDMS_MSG_COPIES, 0, false, &answer);
	return FLOW_DONE;
}
