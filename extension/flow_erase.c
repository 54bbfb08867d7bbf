/*
 * flow_erase.c
 *		Erases records: a signed tombstone takes the place of what was signed before.
 *
 * hdms.erase() only wrote down that it is wished. Here each version loses its content, its state with all salts, and whatever waits to be
 * sent of it; its verification key, the acceptance, the request and the receipt stay, which are digests and signatures. The tombstone is in the journal
 * beside the keys (erasure_journal.h) before any of that is committed, and whatever a backup brings back is erased
 * again by it before this node says anything to anybody.
 */
#include "postgres.h"

#include "directory.h"
#include "erasure_journal.h"
#include "flow_erase.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "malloc_guard.h"
#include "node.h"
#include "outbox.h"
#include "pending.h"
#include "plan_array.h"
#include "state.h"
#include "tombstone.h"

#define RECORDS_AT_ONCE		20
#define LINES_AT_ONCE		200
#define COMPARE_PAUSE_S		600

/* A record that is being erased. */
typedef struct ErasedRecord
{
	char		record[37];
	bool		before_end;
	bool		is_again;		/* it was erased before */
	char	   *patient_ref;
	char	   *source_id;
	char		patient[HDMS_DIGEST_TEXT + 1];	/* the node that the patient has now; "" for none */
	int64	   *ids;			/* of its versions */
	char	  **vks;			/* NULL where a version was not signed */
	bool	   *is_news;		/* the version was not erased before */
	int			count;
} ErasedRecord;

static FlowPlan find_asked =
FLOW_PLAN("SELECT CAST(e.record AS text), e.before_end, e.erased_at IS NOT NULL OR e.again > 0, r.patient_ref, r.source_id, p.node_id"
		  " FROM hdms_internal.erasures e LEFT JOIN hdms_internal.records r ON r.record = e.record"
		  " LEFT JOIN hdms_internal.patients p ON p.patient_ref = r.patient_ref"
		  " WHERE e.status = 'asked' ORDER BY e.asked_at LIMIT $1",
		  INT8OID);

static FlowPlan find_versions =
FLOW_PLAN("SELECT id, vk, status <> 'erased' FROM hdms_internal.versions WHERE record = CAST($1 AS uuid) ORDER BY ordinal", TEXTOID);

static FlowPlan find_state = FLOW_PLAN("SELECT state FROM hdms_internal.payloads WHERE id = $1", INT8OID);

static FlowPlan find_tombstones =
FLOW_PLAN("SELECT tombstone FROM hdms_internal.tombstones WHERE record = CAST($1 AS uuid) ORDER BY number", TEXTOID);

static FlowPlan insert_tombstone =
FLOW_PLAN("INSERT INTO hdms_internal.tombstones (record, number, vk, tombstone, receiver)"
		  " SELECT CAST($1 AS uuid), coalesce(max(t.number), 0) + 1, $2, $3, $4 FROM hdms_internal.tombstones t"
		  " WHERE t.record = CAST($1 AS uuid)",
		  TEXTOID, TEXTOID, TEXTOID, TEXTOID);

/*
 * A version keeps the word that its evidence was late: it says how it belongs to the others. The message that tells of the erasure stays
 * until it is answered.
 */
static FlowPlan wipe =
FLOW_PLAN("WITH p AS (UPDATE hdms_internal.payloads SET content = NULL, state = NULL, commit = NULL, rejection = NULL WHERE id = ANY ($1)),"
		  " f AS (UPDATE hdms_internal.former_states SET state = NULL WHERE version_id = ANY ($1)),"
		  " q AS (DELETE FROM hdms_internal.issue_queue WHERE version_id = ANY ($1)),"
		  " a AS (DELETE FROM hdms_internal.probes WHERE version_id = ANY ($1)),"
		  " o AS (DELETE FROM hdms_internal.outbox WHERE version_id = ANY ($1) AND type <> 'erased' RETURNING id),"
		  " e AS (DELETE FROM hdms_internal.outbox_envelopes e USING o WHERE e.id = o.id)"
		  " UPDATE hdms_internal.versions SET status = 'erased', content_digest = '', reason = CASE reason WHEN 'late' THEN reason END,"
		  " ended_at = coalesce(ended_at, clock_timestamp()) WHERE id = ANY ($1)",
		  INT8ARRAYOID);

/* Damaged rows that were kept when they were repaired, also where the content had come into another record's row. */
static FlowPlan forget_incidents =
FLOW_PLAN("DELETE FROM hdms_internal.incidents WHERE record = CAST($1 AS uuid) OR holds = CAST($1 AS uuid)", TEXTOID);

static FlowPlan set_erased =
FLOW_PLAN("UPDATE hdms_internal.erasures SET status = 'erased', erased_at = coalesce(erased_at, clock_timestamp()),"
		  " filenode = pg_relation_filenode('hdms_internal.payloads') WHERE record = CAST($1 AS uuid)",
		  TEXTOID);

/* Of tombstones those whose record has something left here, and those that are not here themselves: a patient's copy could bring the record back. */
static FlowPlan find_returned =
FLOW_PLAN("SELECT u.n, rest.is_left FROM unnest($1, $2) WITH ORDINALITY AS u (record, vk, n)"
		  " CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM hdms_internal.versions v LEFT JOIN hdms_internal.payloads p ON p.id = v.id"
		  "  WHERE v.record = CAST(u.record AS uuid) AND (v.status <> 'erased' OR p.content IS NOT NULL OR p.state IS NOT NULL)) AS is_left) AS rest"
		  " WHERE rest.is_left OR NOT EXISTS (SELECT FROM hdms_internal.tombstones t WHERE t.record = CAST(u.record AS uuid)"
		  "  AND t.vk IS NOT DISTINCT FROM nullif(u.vk, '')) ORDER BY u.n",
		  TEXTARRAYOID, TEXTARRAYOID);

static FlowPlan has_tombstone =
FLOW_PLAN("SELECT 1 FROM hdms_internal.tombstones WHERE record = CAST($1 AS uuid) AND vk IS NOT DISTINCT FROM $2", TEXTOID, TEXTOID);

static FlowPlan ask_again =
FLOW_PLAN("INSERT INTO hdms_internal.erasures AS e (record, status, before_end, asked_by, asked_at, again)"
		  " VALUES (CAST($1 AS uuid), 'asked', $2, 'journal of erasures', to_timestamp($3), 1)"
		  " ON CONFLICT (record) DO UPDATE SET status = 'asked', again = e.again + 1 WHERE e.status = 'erased'",
		  TEXTOID, BOOLOID, INT8OID);

static FlowPlan note_erased =
FLOW_PLAN("INSERT INTO hdms_internal.erasures (record, status, before_end, asked_by, asked_at, erased_at)"
		  " VALUES (CAST($1 AS uuid), 'erased', $2, 'journal of erasures', to_timestamp($3), to_timestamp($3)) ON CONFLICT (record) DO NOTHING",
		  TEXTOID, BOOLOID, INT8OID);

static FlowPlan find_erasure =
FLOW_PLAN("UPDATE hdms_internal.erasures SET status = 'asked' WHERE record = CAST($1 AS uuid) RETURNING 1", TEXTOID);

static FlowPlan find_tombstone_of =
FLOW_PLAN("SELECT t.vk, t.tombstone FROM hdms_internal.tombstones t WHERE t.record = CAST($1 AS uuid) ORDER BY t.number", TEXTOID);

static FlowPlan store_answer =
FLOW_PLAN("UPDATE hdms_internal.tombstones t SET answer = $3, answered_at = clock_timestamp()"
		  " FROM (SELECT record, number, answer FROM hdms_internal.tombstones WHERE vk = $1 AND receiver = $2 FOR UPDATE) AS o"
		  " LEFT JOIN hdms_internal.records r ON r.record = o.record"
		  " WHERE t.record = o.record AND t.number = o.number"
		  " RETURNING CAST(t.record AS text), r.patient_ref, r.source_id, o.answer IS DISTINCT FROM $3",
		  TEXTOID, TEXTOID, TEXTOID);

static void
load_versions(ErasedRecord *erased)
{
	uint64		count = flow_run(&find_versions, flow_text(erased->record));

	erased->ids = palloc(sizeof(int64) * Max(count, 1));
	erased->vks = palloc(sizeof(char *) * Max(count, 1));
	erased->is_news = palloc(sizeof(bool) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
	{
		erased->ids[i] = row_int64(i, 1);
		erased->vks[i] = row_text(i, 2);
		erased->is_news[i] = row_bool(i, 3);
	}
	erased->count = (int) count;
	flow_rows_free();
}

/* The node that a version was made out to: as the state says, or, where that is damaged, whom the patient has now. */
static void
find_receiver(const ErasedRecord *erased, int64 id, char receiver[HDMS_DIGEST_TEXT + 1])
{
	HdmsState	state;
	char	   *text = NULL;

	if (flow_run(&find_state, flow_int64(id)) > 0)
		text = row_text(0, 1);
	flow_rows_free();
	if (text != NULL && hdms_state_parse(text, strlen(text), true, &state) == HDMS_OK)
		strlcpy(receiver, state.sub, HDMS_DIGEST_TEXT + 1);
	else
		strlcpy(receiver, erased->patient, HDMS_DIGEST_TEXT + 1);
}

/* Writes a tombstone down and tells the node that it is made out to, where that has something of the record. */
static void
keep_tombstone(const char *record, const HdmsTombstone *tombstone, char *jws, int64 version_id)
{
	const char *vk = tombstone->vk_count > 0 ? tombstone->vks[0] : NULL;
	bool		is_told = vk != NULL && directory_history(tombstone->sub) != NULL;
	HdmsBody	body = {0};

	flow_run(&insert_tombstone, flow_text(record), flow_text(vk), flow_text(jws), flow_text(is_told ? tombstone->sub : NULL));
	if (!is_told)
		return;
	body.vk = (char *) vk;
	body.tombstone = jws;
	outbox_put(tombstone->sub, HDMS_MSG_ERASED, NULL, version_id, true, 0, &body, NULL);
}

/* Signs what was collected. A record of nobody's, for which nothing was signed, has a tombstone made out to no node. */
static void
sign_tombstone(const ErasedRecord *erased, HdmsTombstone *tombstone, int64 version_id, StringInfo journal)
{
	char	  **jws = guard_text();

	strlcpy(tombstone->iss, own_node.id, sizeof(tombstone->iss));
	if (tombstone->sub[0] == '\0')
		strlcpy(tombstone->sub, own_node.fingerprint, sizeof(tombstone->sub));
	strlcpy(tombstone->record, erased->record, sizeof(tombstone->record));
	strlcpy(tombstone->reason, erased->before_end ? HDMS_ERASED_BEFORE_END : HDMS_ERASED_RETENTION_OVER, sizeof(tombstone->reason));
	tombstone->iat = node_now();
	flow_require(hdms_tombstone_sign(tombstone, own_node.signing, jws), "signing a tombstone");
	appendStringInfo(journal, "%s\n", *jws);
	keep_tombstone(erased->record, tombstone, *jws, version_id);
	memset(tombstone, 0, sizeof(*tombstone));
}

/* The tombstones that there are, parsed. */
static HdmsTombstone *
load_tombstones(const ErasedRecord *erased, int *count)
{
	uint64		found = flow_run(&find_tombstones, flow_text(erased->record));
	HdmsTombstone *tombstones = palloc(sizeof(HdmsTombstone) * Max(found, 1));

	*count = 0;
	for (uint64 i = 0; i < found; i++)
	{
		char	   *text = row_text(i, 1);

		if (hdms_tombstone_verify(text, strlen(text), own_node.history, 0, &tombstones[*count]) == HDMS_OK
			&& strcmp(tombstones[*count].record, erased->record) == 0)
			(*count)++;
	}
	flow_rows_free();
	return tombstones;
}

static bool
is_named(const HdmsTombstone *tombstones, int count, const char *vk)
{
	for (int i = 0; i < count; i++)
	{
		if (hdms_tombstone_names(&tombstones[i], vk))
			return true;
	}
	return false;
}

/* Tombstones for all that no tombstone names yet; one at least. */
static void
sign_tombstones(const ErasedRecord *erased, StringInfo journal)
{
	HdmsTombstone *next = palloc0(sizeof(HdmsTombstone));
	int			known_count;
	HdmsTombstone *known = load_tombstones(erased, &known_count);
	int64		first_id = 0;
	bool		has_any = known_count > 0;

	for (int i = 0; i < erased->count; i++)
	{
		char		receiver[HDMS_DIGEST_TEXT + 1];

		if (erased->vks[i] == NULL || is_named(known, known_count, erased->vks[i]))
			continue;
		find_receiver(erased, erased->ids[i], receiver);
		if (next->vk_count > 0 && (next->vk_count == HDMS_TOMBSTONE_VKS || strcmp(next->sub, receiver) != 0))
			sign_tombstone(erased, next, first_id, journal);
		if (next->vk_count == 0)
			first_id = erased->ids[i];
		strlcpy(next->sub, receiver, sizeof(next->sub));
		strlcpy(next->vks[next->vk_count++], erased->vks[i], sizeof(next->vks[0]));
		has_any = true;
	}
	if (next->vk_count > 0 || !has_any)
	{
		if (next->vk_count == 0)
			strlcpy(next->sub, erased->patient, sizeof(next->sub));
		sign_tombstone(erased, next, first_id, journal);
	}
}

static void
erase_record(ErasedRecord *erased, StringInfo journal)
{
	load_versions(erased);
	sign_tombstones(erased, journal);
	flow_run(&wipe, flow_int64_array(erased->ids, erased->count));
	flow_run(&forget_incidents, flow_text(erased->record));
	flow_run(&set_erased, flow_text(erased->record));
	for (int i = 0; i < erased->count; i++)
	{
		if (erased->is_news[i])
			event_write("status", erased->record, erased->ids[i], erased->patient_ref, erased->source_id, "erased", NULL);
	}
	if (erased->is_again)
		event_write("erased_again", erased->record, 0, erased->patient_ref, erased->source_id, "erased", NULL);
}

int
flow_erase_asked(void)
{
	uint64		count = flow_run(&find_asked, flow_int64(RECORDS_AT_ONCE));
	ErasedRecord *erased;
	StringInfoData journal;

	if (count == 0)
	{
		flow_rows_free();
		return 60;
	}
	erased = palloc0(sizeof(ErasedRecord) * count);
	for (uint64 i = 0; i < count; i++)
	{
		row_copy(i, 1, erased[i].record, sizeof(erased[i].record));
		erased[i].before_end = row_bool(i, 2);
		erased[i].is_again = row_bool(i, 3);
		erased[i].patient_ref = row_text(i, 4);
		erased[i].source_id = row_text(i, 5);
		row_copy(i, 6, erased[i].patient, sizeof(erased[i].patient));
	}
	flow_rows_free();

	/* Messages about these records that this transaction owes already are to be found in the outbox. */
	pending_write();
	initStringInfo(&journal);
	for (uint64 i = 0; i < count; i++)
		erase_record(&erased[i], &journal);
	if (journal.len > 0)
		erasure_journal_append(journal.data);
	return count == RECORDS_AT_ONCE ? 0 : 60;
}

/* A tombstone of the journal that is not here, or whose record has something left. Forged lines are not obeyed. */
static void
erase_returned(char *line, bool is_left)
{
	HdmsTombstone *tombstone = palloc(sizeof(HdmsTombstone));
	const char *vk;
	bool		is_known;

	if (hdms_tombstone_verify(line, strlen(line), own_node.history, 0, tombstone) != HDMS_OK)
	{
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the journal of erasures has a line that this node did not sign"),
				 errhint("Nothing is erased because of it. Somebody has written into hdms.key_directory.")));
		return;
	}
	vk = tombstone->vk_count > 0 ? tombstone->vks[0] : NULL;
	is_known = flow_run(&has_tombstone, flow_text(tombstone->record), flow_text(vk)) > 0;
	flow_rows_free();
	if (!is_known)
		keep_tombstone(tombstone->record, tombstone, line, 0);
	if (!is_left)
	{
		flow_run(&note_erased, flow_text(tombstone->record), flow_bool(strcmp(tombstone->reason, HDMS_ERASED_BEFORE_END) == 0),
				 flow_int64(tombstone->iat));
		return;
	}
	flow_run(&ask_again, flow_text(tombstone->record), flow_bool(strcmp(tombstone->reason, HDMS_ERASED_BEFORE_END) == 0),
			 flow_int64(tombstone->iat));
	ereport(LOG,
			(errmsg("record %s, which was erased, is here again and is erased again", tombstone->record)));
}

/* Holds the next lines of the journal against the database. True at its end. */
static bool
compare_lines(int64 *offset)
{
	char	   *lines[LINES_AT_ONCE];
	char	   *records[LINES_AT_ONCE];
	char	   *vks[LINES_AT_ONCE];
	int			kept[LINES_AT_ONCE];
	int64	   *numbers;
	bool	   *is_left;
	HdmsTombstone *tombstone = palloc(sizeof(HdmsTombstone));
	int			read = erasure_journal_read(offset, lines, LINES_AT_ONCE);
	int			good = 0;
	uint64		count;

	for (int i = 0; i < read; i++)
	{
		if (hdms_tombstone_peek(lines[i], strlen(lines[i]), tombstone) != HDMS_OK)
			continue;
		records[good] = pstrdup(tombstone->record);
		vks[good] = pstrdup(tombstone->vk_count > 0 ? tombstone->vks[0] : "");
		kept[good++] = i;
	}
	if (good == 0)
		return read < LINES_AT_ONCE;
	count = flow_run(&find_returned, flow_text_array(records, good), flow_text_array(vks, good));
	numbers = palloc(sizeof(int64) * Max(count, 1));
	is_left = palloc(sizeof(bool) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
	{
		numbers[i] = row_int64(i, 1);
		is_left[i] = row_bool(i, 2);
	}
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
		erase_returned(lines[kept[numbers[i] - 1]], is_left[i]);
	while (count > 0 && flow_erase_asked() == 0)
		;
	return read < LINES_AT_ONCE;
}

/* For which node the journal was gone through since this process began. */
static char caught_up[HDMS_DIGEST_TEXT + 1];

bool
flow_erase_is_caught_up(void)
{
	return strcmp(caught_up, own_node.id) == 0;
}

void
flow_erase_catch_up(void)
{
	static int64 offset = 0;
	static char whose[HDMS_DIGEST_TEXT + 1];

	if (strcmp(whose, own_node.id) != 0)
		offset = 0;
	strlcpy(whose, own_node.id, sizeof(whose));
	if (compare_lines(&offset))
	{
		strlcpy(caught_up, own_node.id, sizeof(caught_up));
		offset = 0;
	}
}

int
flow_erase_compare(void)
{
	static int64 offset = 0;
	static int64 next_round = 0;	/* milliseconds */
	int64		now = node_now_ms();

	if (offset == 0 && now < next_round)
		return (int) Max(1, (next_round - now) / 1000);
	next_round = now + (int64) COMPARE_PAUSE_S * 1000;
	if (!compare_lines(&offset))
		return 1;
	offset = 0;
	return COMPARE_PAUSE_S;
}

bool
flow_erase_is_due(const char *record)
{
	bool		is_due = flow_run(&find_erasure, flow_text(record)) > 0;

	flow_rows_free();
	if (is_due)
		flow_timers_soon();
	return is_due;
}

void
flow_answer_erased(const FlowMessage *message, const VersionRow *version)
{
	HdmsTombstone *tombstone = palloc(sizeof(HdmsTombstone));
	uint64		count = flow_run(&find_tombstone_of, flow_text(version->record));
	char	   *text = NULL;

	for (uint64 i = 0; i < count && text == NULL; i++)
	{
		text = row_text(i, 2);
		if (hdms_tombstone_peek(text, strlen(text), tombstone) != HDMS_OK || !hdms_tombstone_names(tombstone, version->vk)
			|| strcmp(tombstone->sub, message->head->iss) != 0)
			text = NULL;
	}
	flow_rows_free();
	if (text != NULL)
	{
		HdmsBody	body = {0};

		body.vk = tombstone->vks[0];
		body.tombstone = text;
		flow_answer(message, HDMS_MSG_ERASED, version->id, false, &body);
	}
}

FlowOutcome
flow_erasure(const FlowMessage *message, char **reason)
{
	const HdmsBody *body = message->body;
	uint64		count;

	if (strcmp(body->code, "erased") != 0 && strcmp(body->code, "kept") != 0)
		return flow_drop(reason, "it says neither that the copy was erased nor that it was kept");
	count = flow_run(&store_answer, flow_text(body->vk), flow_text(message->head->iss), flow_text(body->code));
	if (count > 0 && row_bool(0, 4))
	{
		char		record[37];
		char	   *patient_ref = row_text(0, 2);
		char	   *source_id = row_text(0, 3);

		row_copy(0, 1, record, sizeof(record));
		event_write("erasure_answered", record, 0, patient_ref, source_id, body->code, NULL);
	}
	flow_rows_free();
	outbox_ack(message->head->iss, message->head->jti);
	return FLOW_DONE;
}
