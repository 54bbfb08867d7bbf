/*
 * flow_cosigned.c
 *		The witnesses of this node's own logs: asked by a timer, their answers put into the checkpoints.
 *
 * Who they are follows from the list of notaries and this node's id, so that nobody chooses them at will. Nothing ever waits for a
 * witness: a checkpoint counts when it is signed, and a cosignature is added when it comes. Each witness of each log has at most
 * one question open. One that remembers more of a log than this database has is how a copy from the past is found out.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "directory.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "fork_evidence.h"
#include "join.h"
#include "ledger_log.h"
#include "malloc_guard.h"
#include "node.h"
#include "notary_log.h"
#include "outbox.h"
#include "settings.h"
#include "witness.h"

#define IDLE_SECONDS		60
#define ASK_AGAIN_AFTER		3600	/* seconds: a log that does not grow is shown again, so that its newest cosignature is never old */
#define QUESTION_LIFE		86400	/* seconds */
#define MOST_CANDIDATES		10000

static FlowPlan find_witness =
FLOW_PLAN("SELECT w.seen_size, coalesce(w.cosigned_size, -1), CAST(extract(epoch FROM w.cosigned_at) AS bigint),"
		  " CAST(extract(epoch FROM w.asked_at) * 1000 AS bigint), EXISTS (SELECT FROM hdms_internal.outbox o WHERE o.jti = w.asked)"
		  " FROM hdms_internal.witnesses w WHERE w.origin = $1 AND w.node_id = $2",
		  TEXTOID, TEXTOID);

static FlowPlan note_question =
FLOW_PLAN("INSERT INTO hdms_internal.witnesses (origin, node_id, asked, asked_size, asked_at)"
		  " VALUES ($1, $2, CAST($3 AS uuid), $4, clock_timestamp())"
		  " ON CONFLICT (origin, node_id) DO UPDATE SET asked = excluded.asked, asked_size = excluded.asked_size,"
		  " asked_at = excluded.asked_at",
		  TEXTOID, TEXTOID, TEXTOID, INT8OID);

static FlowPlan find_question =
FLOW_PLAN("SELECT origin, seen_size, asked_size FROM hdms_internal.witnesses WHERE asked = CAST($1 AS uuid) AND node_id = $2",
		  TEXTOID, TEXTOID);

static FlowPlan note_cosignature =
FLOW_PLAN("UPDATE hdms_internal.witnesses SET seen_size = asked_size, cosigned_size = asked_size, cosigned_at = to_timestamp($3),"
		  " asked = NULL, problem = NULL WHERE origin = $1 AND node_id = $2",
		  TEXTOID, TEXTOID, INT8OID);

/* The next question goes out at once. */
static FlowPlan note_seen =
FLOW_PLAN("UPDATE hdms_internal.witnesses SET seen_size = $3, asked = NULL, problem = $4, asked_at = NULL"
		  " WHERE origin = $1 AND node_id = $2",
		  TEXTOID, TEXTOID, INT8OID, TEXTOID);

static FlowPlan note_problem =
FLOW_PLAN("UPDATE hdms_internal.witnesses SET asked = NULL, problem = $3 WHERE origin = $1 AND node_id = $2",
		  TEXTOID, TEXTOID, TEXTOID);

/* The logs that this node keeps, where they have a checkpoint. */
static MerkleLog *
own_log(int number)
{
	MerkleLog  *log = number == 0 ? notary_log_tree() : ledger_log_tree();

	return merkle_log_damage(log) == NULL && merkle_log_signed_size(log) > 0 ? log : NULL;
}

#define OWN_LOGS	2

static MerkleLog *
find_own_log(const char *origin)
{
	for (int i = 0; i < OWN_LOGS; i++)
	{
		MerkleLog  *log = own_log(i);
		char		name[HDMS_ORIGIN_MAX];

		if (log == NULL)
			continue;
		log->origin(name);
		if (strcmp(name, origin) == 0)
			return log;
	}
	return NULL;
}

static int64 next_look = 0;		/* milliseconds */
static bool in_a_hurry = false;

static void
ask_soon(void)
{
	in_a_hurry = true;
	flow_timers_soon();
}

typedef struct Candidate
{
	const char *node_id;
	unsigned char weight[HDMS_DIGEST_SIZE];
} Candidate;

static int
candidate_compare(const void *a, const void *b)
{
	return memcmp(((const Candidate *) a)->weight, ((const Candidate *) b)->weight, HDMS_DIGEST_SIZE);
}

/* The witnesses by rendezvous hashing of this node's id over the others of the list: a change of the list changes few of them. */
static int
choose_witnesses(Candidate **chosen)
{
	const HdmsNotaryList *list = directory_newest_list(node_now());
	Candidate  *candidates;
	int			count = 0;

	if (list == NULL || setting_witnesses == 0)
		return 0;
	candidates = palloc(sizeof(Candidate) * Max(list->count, 1));
	for (size_t i = 0; i < Min(list->count, MOST_CANDIDATES); i++)
	{
		const char *node_id = list->notaries[i].node;

		if (strcmp(node_id, own_node.id) == 0)
			continue;
		candidates[count].node_id = pstrdup(node_id);
		flow_require(hdms_sha256_pair(own_node.id, strlen(own_node.id), node_id, strlen(node_id), candidates[count].weight),
					 "choosing witnesses");
		count++;
	}
	qsort(candidates, count, sizeof(Candidate), candidate_compare);
	*chosen = candidates;
	return Min(count, setting_witnesses);
}

static void
ask(MerkleLog *log, const char *origin, const char *witness, int64 seen)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int64		size = merkle_log_signed_size(log);
	HdmsBody	body = {0};
	char	  **request = guard_text();
	char		jti[37];
	int			count = 0;

	/* What the witness is believed to have seen may be wrong; then it says so. */
	if (seen > size)
		seen = size;
	if (seen > 0 && seen < size)
		count = merkle_log_consistency(log, seen, size, proof);
	flow_require(hdms_witness_request_build(seen, (const HdmsHash *) proof, count, merkle_log_note(log), request),
				 "writing to a witness");
	body.checkpoint = *request;
	outbox_put(witness, HDMS_MSG_WITNESS, NULL, 0, true, node_now() + QUESTION_LIFE, &body, jti);
	flow_run(&note_question, flow_text(origin), flow_text(witness), flow_text(jti), flow_int64(size));
}

/* Asks one witness where it is time. Returns the seconds until it will be. */
static int
look_after(MerkleLog *log, const char *origin, const char *witness)
{
	int64		started = (MyStartTimestamp + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000;	/* milliseconds since 1970 */
	int64		now = node_now_ms();
	int64		seen = 0;
	int64		cosigned_size = -1;
	int64		cosigned_at = 0;
	int64		asked_at = 0;
	bool		is_open = false;

	if (flow_run(&find_witness, flow_text(origin), flow_text(witness)) > 0)
	{
		seen = row_int64(0, 1);
		cosigned_size = row_int64(0, 2);
		cosigned_at = row_int64(0, 3);
		asked_at = row_int64(0, 4);
		is_open = row_bool(0, 5);
	}
	flow_rows_free();
	if (is_open)
		return IDLE_SECONDS;

	/* A process that has just started knows nothing of what the database was before: it asks whether that is the newest. */
	if (asked_at >= started)
	{
		int64		due = asked_at + setting_witness_interval * INT64CONST(1000);

		if (due > now && due <= now + setting_witness_interval * INT64CONST(1000))
			return (int) ((due - now + 999) / 1000);
		if (cosigned_size == merkle_log_signed_size(log) && cosigned_at > now / 1000 - ASK_AGAIN_AFTER)
			return IDLE_SECONDS;
	}
	if (directory_history(witness) == NULL)
	{
		directory_want_node(witness);
		return IDLE_SECONDS;
	}
	ask(log, origin, witness, seen);
	return Min(setting_witness_interval, IDLE_SECONDS);
}

/* Called whenever the worker was woken; looks only when it is time, or when an answer asks for another question. */
int
flow_witness_timers(void)
{
	Candidate  *witnesses = NULL;
	int64		now = node_now_ms();
	int64		longest = Min(setting_witness_interval, IDLE_SECONDS) * INT64CONST(1000);
	int			soonest = IDLE_SECONDS;
	int			count;

	if (!in_a_hurry && next_look > now && next_look <= now + longest)
		return (int) ((next_look - now + 999) / 1000);
	in_a_hurry = false;
	count = choose_witnesses(&witnesses);
	for (int i = 0; count > 0 && i < OWN_LOGS; i++)
	{
		MerkleLog  *log = own_log(i);
		char		origin[HDMS_ORIGIN_MAX];

		if (log == NULL)
			continue;
		log->origin(origin);
		for (int w = 0; w < count; w++)
		{
			int			seconds = look_after(log, origin, witnesses[w].node_id);

			soonest = Min(soonest, seconds);
		}
	}
	next_look = now + Min(Max(soonest, 1) * INT64CONST(1000), longest);
	return (int) ((next_look - now + 999) / 1000);
}

/* An answer that is being looked at. */
typedef struct Answer
{
	const FlowMessage *message;
	MerkleLog  *log;
	char	   *origin;
	int64		seen;			/* what the witness was believed to have seen */
	int64		asked;			/* the size that it was shown */
} Answer;

static FlowOutcome
refuse(const Answer *answer, const char *problem, char **reason)
{
	flow_run(&note_problem, flow_text(answer->origin), flow_text(answer->message->head->iss), flow_text(problem));
	return flow_drop(reason, problem);
}

static FlowOutcome
take_cosignature(const Answer *answer, char **reason)
{
	const FlowMessage *message = answer->message;
	const HdmsKey *cosigner = hdms_history_current(message->sender, HDMS_ROLE_COSIGNER);
	const char *lines = message->body->cosignatures;
	char	   *note = merkle_log_find_note(answer->log, answer->asked);
	char	  **merged = guard_text();
	char		name[HDMS_ORIGIN_MAX];
	int64		time = 0;
	HdmsStatus	status;

	hdms_witness_name(message->head->iss, name);
	if (note == NULL)
		return refuse(answer, "the checkpoint that it cosigned is not kept any more", reason);
	status = cosigner == NULL ? HDMS_UNKNOWN_KEY
		: hdms_cosignature_merge(note, strlen(note), lines, strlen(lines), name, cosigner, merged, &time);
	if (status == HDMS_OUT_OF_MEMORY)
		flow_require(status, "taking a cosignature");
	if (status != HDMS_OK)
		return refuse(answer, psprintf("its cosignature is refused: %s", hdms_status_word(status)), reason);
	if (time > node_now() + HDMS_CLOCK_SKEW)
		return refuse(answer, "its cosignature is from the future", reason);

	/* The new line is the merged note's last one; a note that did not change has it already. */
	if (strcmp(note, *merged) != 0)
	{
		char	   *last = *merged + strlen(*merged) - 1;

		while (last > *merged && last[-1] != '\n')
			last--;
		(void) merkle_log_cosign(answer->log, answer->asked, last);
	}
	flow_run(&note_cosignature, flow_text(answer->origin), flow_text(message->head->iss), flow_int64(time));
	return FLOW_DONE;
}

/* The witness has seen something that this database does not have: nothing may be signed any more. */
static FlowOutcome
stop(const Answer *answer, const char *kind, const char *shown, const char *why)
{
	fork_keep(kind, answer->origin, own_node.history, answer->message->head->iss, merkle_log_note(answer->log), shown);
	join_halt(why);
	return FLOW_DONE;
}

/* What the witness saw last is a checkpoint that this node signed: does this database's log still contain it? */
static FlowOutcome
compare_with_seen(const Answer *answer, const HdmsCheckpoint *seen)
{
	const FlowMessage *message = answer->message;
	const char *note = message->body->checkpoint;
	int64		size = merkle_log_signed_size(answer->log);
	char	   *own_note;
	HdmsHash	root;

	if ((int64) seen->size > size)
		return stop(answer, "older-copy", note,
					psprintf("witness %s has seen the log \"%s\" with " INT64_FORMAT " entries, and this database has " INT64_FORMAT
							 ": it is older than what this node has signed", message->head->iss, answer->origin,
							 (int64) seen->size, size));
	merkle_log_root(answer->log, seen->size, root);
	if (memcmp(root, seen->root, sizeof(root)) != 0)
	{
		/* Where this log has a checkpoint of that very size, too, the two together prove it to anyone. */
		own_note = merkle_log_find_note(answer->log, seen->size);
		fork_keep("two-trees", answer->origin, own_node.history, message->head->iss,
				  own_note != NULL ? own_note : merkle_log_note(answer->log), note);
		join_halt(psprintf("witness %s has seen other entries in the log \"%s\" than this database has: it was put back from an older"
						   " copy and went on, or was changed", message->head->iss, answer->origin));
		return FLOW_DONE;
	}
	if ((int64) seen->size == answer->seen || strcmp(message->body->code, "barred") == 0)
		flow_run(&note_problem, flow_text(answer->origin), flow_text(message->head->iss),
				 flow_text("it does not cosign this log any more: it holds the log to have contradicted itself"));
	else
	{
		const char *problem = (int64) seen->size < answer->seen ? "it has forgotten checkpoints that it had cosigned" : NULL;

		flow_run(&note_seen, flow_text(answer->origin), flow_text(message->head->iss), flow_int64(seen->size), flow_text(problem));
		ask_soon();
	}
	return FLOW_DONE;
}

static FlowOutcome
learn_what_was_seen(const Answer *answer, char **reason)
{
	const HdmsBody *body = answer->message->body;
	HdmsCheckpoint seen;
	HdmsStatus	status;

	if (body->checkpoint == NULL)
	{
		/* It has never seen this log. */
		if (body->size == NULL || strcmp(body->size, "0") != 0 || answer->seen == 0)
			return refuse(answer, "it refuses without saying what it saw", reason);
		flow_run(&note_seen, flow_text(answer->origin), flow_text(answer->message->head->iss), flow_int64(0),
				 flow_text("it has forgotten checkpoints that it had cosigned"));
		ask_soon();
		return FLOW_DONE;
	}
	status = hdms_checkpoint_verify_ever(body->checkpoint, strlen(body->checkpoint), answer->origin, own_node.history, &seen);
	if (status == HDMS_OUT_OF_MEMORY)
		flow_require(status, "verifying a checkpoint");
	if (status != HDMS_OK || seen.size == 0 || seen.size > INT64_MAX)
		return refuse(answer, "it claims to have seen a checkpoint that this node did not sign", reason);
	return compare_with_seen(answer, &seen);
}

FlowOutcome
flow_cosigned(const FlowMessage *message, char **reason)
{
	const HdmsBody *body = message->body;
	Answer		answer = {.message = message};

	if (message->head->re[0] == '\0' || flow_run(&find_question, flow_text(message->head->re), flow_text(message->head->iss)) == 0)
	{
		flow_rows_free();
		return FLOW_DONE;		/* an answer that came twice */
	}
	answer.origin = row_text(0, 1);
	answer.seen = row_int64(0, 2);
	answer.asked = row_int64(0, 3);
	flow_rows_free();
	answer.log = find_own_log(answer.origin);
	if (answer.log == NULL)
		return flow_drop(reason, "it is about a log that this node does not keep");
	if (body->cosignatures != NULL)
		return take_cosignature(&answer, reason);
	if (body->code == NULL)
		return refuse(&answer, "its answer says nothing", reason);
	if (strcmp(body->code, "conflict") == 0 || strcmp(body->code, "barred") == 0)
		return learn_what_was_seen(&answer, reason);
	return refuse(&answer, psprintf("it refuses the checkpoint: %s", body->code), reason);
}
