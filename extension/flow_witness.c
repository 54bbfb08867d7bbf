/*
 * flow_witness.c
 *		"witness": this node cosigns the checkpoints of others' logs (C2SP tlog-witness).
 *
 * A cosignature says that the log has never shown this node anything that its newest checkpoint does not contain. So what was seen
 * last is stored with the message, and the answer with the cosignature is a row of the same transaction: the courier sends
 * it only when both are durable. A log that contradicted itself is not cosigned any more until a person says so.
 */
#include "postgres.h"

#include "directory.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "fork_evidence.h"
#include "malloc_guard.h"
#include "node.h"
#include "witness.h"

/* A node may have begun its own log anew, after a loss; not without end. */
#define MOST_LOGS_OF_A_NODE	32

static FlowPlan find_witnessed =
FLOW_PLAN("SELECT size, root, note, barred FROM hdms_internal.witnessed WHERE origin = $1", TEXTOID);

static FlowPlan count_witnessed =
FLOW_PLAN("SELECT count(*) FROM hdms_internal.witnessed WHERE node_id = $1", TEXTOID);

static FlowPlan store_witnessed =
FLOW_PLAN("INSERT INTO hdms_internal.witnessed (origin, node_id, size, root, note) VALUES ($1, $2, $3, $4, $5)"
		  " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note,"
		  " seen_at = clock_timestamp()",
		  TEXTOID, TEXTOID, INT8OID, BYTEAOID, TEXTOID);

static FlowPlan bar_log =
FLOW_PLAN("UPDATE hdms_internal.witnessed SET barred = true WHERE origin = $1", TEXTOID);

/* What this node saw last of a log. */
typedef struct Seen
{
	bool		is_known;
	bool		is_barred;
	int64		size;
	HdmsHash	root;
	char	   *note;
} Seen;

static Seen
find_seen(const char *origin)
{
	Seen		seen = {0};

	if (flow_run(&find_witnessed, flow_text(origin)) > 0)
	{
		bytea	   *root = row_bytea(0, 2);

		if (VARSIZE_ANY_EXHDR(root) != sizeof(seen.root))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("what was seen last of the log \"%s\" is damaged", origin)));
		seen.is_known = true;
		seen.size = row_int64(0, 1);
		memcpy(seen.root, VARDATA_ANY(root), sizeof(seen.root));
		seen.note = row_text(0, 3);
		seen.is_barred = row_bool(0, 4);
	}
	else
		flow_require(hdms_merkle_empty(seen.root), "the root of an empty log");
	flow_rows_free();
	return seen;
}

static FlowOutcome
answer_code(const FlowMessage *message, const char *code, char **reason)
{
	HdmsBody	body = {0};

	body.code = (char *) code;
	flow_answer(message, HDMS_MSG_COSIGNED, 0, false, &body);
	return flow_drop(reason, code);
}

/* What was seen last, so that the log can prove that it contains that. */
static FlowOutcome
answer_seen(const FlowMessage *message, const char *code, const Seen *seen)
{
	HdmsBody	body = {0};

	body.code = (char *) code;
	body.size = psprintf(INT64_FORMAT, seen->size);
	body.checkpoint = seen->note;
	flow_answer(message, HDMS_MSG_COSIGNED, 0, false, &body);
	return FLOW_DONE;
}

static FlowOutcome
answer_cosignature(const FlowMessage *message, const HdmsWitnessRequest *request)
{
	HdmsBody	body = {0};
	char	  **line = guard_text();
	char		name[HDMS_ORIGIN_MAX];

	hdms_witness_name(own_node.id, name);
	flow_require(hdms_cosignature_sign(request->note, request->note_len, name, own_node.cosigner, node_now(), line),
				 "cosigning a checkpoint");
	body.cosignatures = *line;
	flow_answer(message, HDMS_MSG_COSIGNED, 0, false, &body);
	return FLOW_DONE;
}

static FlowOutcome
bar(const FlowMessage *message, const char *kind, const HdmsWitnessRequest *request, const Seen *seen)
{
	fork_keep(kind, request->checkpoint.origin, message->sender, message->head->iss, seen->note,
			  pnstrdup(request->note, request->note_len));
	flow_run(&bar_log, flow_text(request->checkpoint.origin));
	return answer_seen(message, "conflict", seen);
}

/* Whether the log may be witnessed at all: it is the sender's, and not one too many. NULL, or why not. */
static const char *
check_log(const FlowMessage *message, const HdmsCheckpoint *checkpoint, const Seen *seen)
{
	bool		is_full;

	if (!hdms_is_log_of(checkpoint->origin, message->head->iss))
		return hdms_status_word(HDMS_WRONG_SENDER);
	if (seen->is_known)
		return NULL;
	flow_run(&count_witnessed, flow_text(message->head->iss));
	is_full = row_int64(0, 1) >= MOST_LOGS_OF_A_NODE;
	flow_rows_free();
	return is_full ? "too-many-logs" : NULL;
}

FlowOutcome
flow_witness(const FlowMessage *message, char **reason)
{
	const char *text = message->body->checkpoint;
	HdmsWitnessRequest request;
	const HdmsCheckpoint *checkpoint = &request.checkpoint;
	const char *problem;
	Seen		seen;
	HdmsStatus	status = hdms_witness_request_parse(text, strlen(text), &request);

	if (status == HDMS_OUT_OF_MEMORY)
		flow_require(status, "reading a checkpoint");
	if (status != HDMS_OK)
		return answer_code(message, hdms_status_word(status), reason);
	seen = find_seen(checkpoint->origin);
	if ((problem = check_log(message, checkpoint, &seen)) != NULL)
		return answer_code(message, problem, reason);

	status = hdms_checkpoint_verify_ever(request.note, request.note_len, checkpoint->origin, message->sender, NULL);
	if (status == HDMS_BAD_SIGNATURE && directory_answer(message->head->iss, message->head->iat) == DIRECTORY_SILENT
		&& node_now() - message->head->iat <= FLOW_LOOKUP_PATIENCE)
	{
		directory_want_node(message->head->iss);
		return flow_wait(reason, "newer keys of a log");
	}
	if (status != HDMS_OK)
		return answer_code(message, hdms_status_word(status), reason);

	if (seen.is_barred)
		return answer_seen(message, "barred", &seen);
	if (seen.is_known && (int64) checkpoint->size == seen.size)
	{
		if (memcmp(checkpoint->root, seen.root, sizeof(seen.root)) != 0)
			return bar(message, "two-trees", &request, &seen);
		return answer_cosignature(message, &request);
	}
	if ((int64) request.old_size != seen.size)
		return answer_seen(message, "conflict", &seen);
	status = hdms_witness_request_verify(&request, (const unsigned char *) seen.root);
	if (status == HDMS_BAD_PROOF && seen.is_known)
		return bar(message, "no-proof", &request, &seen);
	if (status != HDMS_OK)
		return answer_code(message, hdms_status_word(status), reason);
	flow_run(&store_witnessed, flow_text(checkpoint->origin), flow_text(message->head->iss), flow_int64(checkpoint->size),
			 flow_bytes(checkpoint->root, sizeof(checkpoint->root)), flow_text(pnstrdup(request.note, request.note_len)));
	return answer_cosignature(message, &request);
}
