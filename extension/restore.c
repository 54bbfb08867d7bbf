/*
 * restore.c
 *		Versions put back from copies that verify.
 *
 * The copies and what is stored of a record are taken together: of each version there may be a stored text, a copy, or both. They are
 * linked into the record's chain, and the chain is verified as anybody would verify it offline; where a stored
 * version fails its copy takes its place. What verified is then what the tables must say. Neither side is believed.
 */
#include "postgres.h"

#include "evidence.h"
#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"
#include "fn_audit.h"
#include "ledger_digest.h"
#include "node.h"
#include "restore.h"
#include "restore_rows.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* One version of the record, as far as it is known. */
typedef struct Candidate
{
	HdmsState	state;
	HdmsEvidenceVersion stored; /* state NULL: nothing is stored that could be evidence */
	HdmsEvidenceVersion copy;	/* state NULL: no copy */
	const char *commit;			/* of a copy that has no evidence yet */
	const HdmsEvidenceVersion *chosen;
	int64		payload;
	LedgerRow  *row;
	struct Candidate *prev;
	bool		is_linked;		/* everything before it is known */
	bool		is_chained;		/* it belongs to the record's chain */
} Candidate;

typedef struct Candidates
{
	const HdmsEvidence *evidence;
	const char *record;
	const char *node;
	Candidate  *list;
	int			count;
	LedgerRow  *rows;
	int			row_count;
} Candidates;

static Candidate *
find_candidate(Candidates *all, const char *vk)
{
	for (int i = 0; i < all->count; i++)
	{
		if (strcmp(all->list[i].state.vk, vk) == 0)
			return &all->list[i];
	}
	return NULL;
}

static Candidate *
add_candidate(Candidates *all, const HdmsState *state)
{
	Candidate  *candidate = find_candidate(all, state->vk);

	if (candidate == NULL)
	{
		candidate = &all->list[all->count++];
		candidate->state = *state;
	}
	return candidate;
}

static void
collect_copies(Candidates *all, const ReceivedCopy *copies, int count)
{
	for (int i = 0; i < count; i++)
	{
		const HdmsCopy *copy = copies[i].copy;
		Candidate  *candidate = add_candidate(all, &copies[i].state);

		candidate->payload = copies[i].payload;
		if (copy->acceptance != NULL && copy->request != NULL && copy->receipt != NULL)
			candidate->copy = (HdmsEvidenceVersion) {copy->state, copy->acceptance, copy->request, copy->receipt, NULL};
		else if (copy->commit != NULL)
		{
			candidate->copy.state = copy->state;
			candidate->commit = copy->commit;
		}
	}
}

/*
 * Whether a stored state is one that this institution signed, or that somebody else has, too. One that was rewritten together with its
 * vk is neither: its row belongs to the version that was there before.
 */
static bool
is_genuine(Candidates *all, const char *text, const HdmsState *state)
{
	HdmsState	verified;

	return find_candidate(all, state->vk) != NULL
		|| hdms_state_verify(text, strlen(text), true, all->evidence->issuer, state->iat, &verified) == HDMS_OK;
}

/* Stored versions of this record for this node; a row that carries the vk of another is not the one it was. */
static void
collect_stored(Candidates *all)
{
	for (int i = 0; i < all->row_count; i++)
	{
		const LedgerRow *row = &all->rows[i];
		HdmsState	state;
		Candidate  *candidate;

		if (row->state == NULL || row->acceptance == NULL || row->request == NULL || row->receipt == NULL ||
			hdms_state_parse(row->state, strlen(row->state), true, &state) != HDMS_OK || strcmp(state.record, all->record) != 0 ||
			strcmp(state.sub, all->node) != 0 || !is_genuine(all, row->state, &state))
			continue;
		candidate = add_candidate(all, &state);
		candidate->stored = (HdmsEvidenceVersion) {row->state, row->acceptance, row->request, row->receipt, NULL};
	}
}

static bool
has_evidence(const Candidate *candidate)
{
	return candidate->commit == NULL && (candidate->stored.state != NULL || candidate->copy.state != NULL);
}

/* Which rows are whose: by the vk; then by the state inside; then what is left over, in its place. */
static void
assign_rows(Candidates *all)
{
	for (int i = 0; i < all->row_count; i++)
	{
		Candidate  *candidate = all->rows[i].vk == NULL ? NULL : find_candidate(all, all->rows[i].vk);

		if (candidate == NULL || candidate->row != NULL)
			continue;
		candidate->row = &all->rows[i];
		all->rows[i].is_taken = true;
	}
	for (int i = 0; i < all->row_count; i++)
	{
		HdmsState	state;
		LedgerRow  *row = &all->rows[i];
		Candidate  *candidate;

		if (row->is_taken || row->state == NULL || strcmp(row->record, all->record) != 0 ||
			hdms_state_parse(row->state, strlen(row->state), true, &state) != HDMS_OK ||
			(candidate = find_candidate(all, state.vk)) == NULL || candidate->row != NULL)
			continue;
		candidate->row = row;
		row->is_taken = true;
	}
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < all->row_count; i++)
		{
			LedgerRow  *row = &all->rows[i];

			for (int j = 0; j < all->count && !row->is_taken; j++)
			{
				Candidate  *candidate = &all->list[j];

				if (candidate->row != NULL || strcmp(row->record, all->record) != 0 || !has_evidence(candidate) ||
					(strcmp(row->status, "committed") != 0 && strcmp(row->status, "superseded") != 0) ||
					(pass == 0 && row->version != candidate->state.version))
					continue;
				candidate->row = row;
				row->is_taken = true;
			}
		}
	}
}

/* Of several first versions the one that was committed as such; where that is not known, the one that was signed last. */
static bool
is_better_end(const Candidate *candidate, const Candidate *than)
{
	bool		committed = candidate->row != NULL && strcmp(candidate->row->status, "committed") == 0;
	bool		than_committed = than->row != NULL && strcmp(than->row->status, "committed") == 0;

	if (candidate->state.version != than->state.version)
		return candidate->state.version > than->state.version;
	if (committed != than_committed)
		return committed;
	return candidate->state.iat > than->state.iat;
}

/* Links what has its predecessors, and finds the last version of the longest chain. NULL: there is none. */
static Candidate *
link_chain(Candidates *all)
{
	Candidate  *end = NULL;
	bool		moved = true;

	while (moved)
	{
		moved = false;
		for (int i = 0; i < all->count; i++)
		{
			Candidate  *candidate = &all->list[i];

			if (candidate->is_linked || !has_evidence(candidate))
				continue;
			if (candidate->state.version > 1)
			{
				candidate->prev = find_candidate(all, candidate->state.prev);
				if (candidate->prev == NULL || !candidate->prev->is_linked || candidate->prev->state.version + 1 != candidate->state.version)
					continue;
			}
			candidate->is_linked = true;
			moved = true;
			if (end == NULL || is_better_end(candidate, end))
				end = candidate;
		}
	}
	return end;
}

/* HdmsCheckReport: the first version that failed; 0 for what concerns all of them. */
static bool
note_first_failure(void *arg, int64_t version, const char *check, HdmsStatus status)
{
	int64_t    *first = arg;

	if (status == HDMS_OUT_OF_MEMORY)
		*first = 0;
	else if (status != HDMS_OK && *first < 0)
		*first = version;
	return true;
}

/*
 * Verifies a chain, oldest first, and takes the copy of a version whose stored text fails. Gives how many verified, from the first on.
 */
static int
verify_chain(const Candidates *all, Candidate **chain, int count)
{
	HdmsEvidence evidence = *all->evidence;
	HdmsEvidenceVersion *texts = palloc(sizeof(HdmsEvidenceVersion) * count);

	for (int i = 0; i < count; i++)
		chain[i]->chosen = chain[i]->stored.state != NULL ? &chain[i]->stored : &chain[i]->copy;
	for (;;)
	{
		int64_t		failed = -1;
		HdmsStatus	status;
		Candidate  *wrong;

		for (int i = 0; i < count; i++)
			texts[i] = *chain[i]->chosen;
		evidence.versions = texts;
		evidence.version_count = count;
		status = hdms_evidence_verify(&evidence, note_first_failure, &failed);
		if (status == HDMS_OUT_OF_MEMORY)
			flow_require(status, "verifying copies");
		if (status == HDMS_OK)
			return count;
		if (failed <= 0)
			return 0;
		wrong = chain[failed - 1];
		if (wrong->chosen != &wrong->stored || wrong->copy.state == NULL)
			return (int) failed - 1;
		wrong->chosen = &wrong->copy;
	}
}

/* The event promises the bytes that were put back: the one that promised them first may be lost, too. */
static void
report_restored(const Candidates *all, int64 version_id, const RightVersion *right)
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	VersionRow	row;
	pg_uuid_t  *record;

	ledger_evidence_digest(right->state->vk, right->state_text, right->acceptance, right->request, right->receipt, digest);
	if (version_load(version_id, &row))
		event_write_evidence("repaired", all->record, version_id, row.patient_ref, row.source_id, right->status, NULL,
							 right->receipt != NULL ? digest : NULL);
	record = DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(all->record)));
	audit_write("put back", record, version_id, NULL, NULL);
}

/* Puts one version's rows right, unless they are, or were erased. */
static bool
restore_version(const Candidates *all, Candidate *candidate, const char *status, const char *reason)
{
	const HdmsEvidenceVersion *text = candidate->chosen;
	RightVersion right = {0};
	HdmsRequest request;
	HdmsLeaf	leaf;
	int64		id;

	if (candidate->row != NULL && strcmp(candidate->row->status, "erased") == 0)
		return false;
	flow_require(hdms_request_peek(text->request, strlen(text->request), &request), "reading a verified request");
	flow_require(hdms_receipt_peek(text->receipt, strlen(text->receipt), &leaf, NULL), "reading a verified receipt");
	right.state = &candidate->state;
	right.state_text = text->state;
	right.status = status;
	right.reason = reason;
	right.acceptance = text->acceptance;
	right.request = text->request;
	right.receipt = text->receipt;
	right.notary = request.aud;
	right.leaf_ms = leaf.time_ms;
	right.accept_from = request.commit.iat;
	right.accept_until = request.commit.accept_until;
	right.payload = candidate->payload;
	right.ordinal_after = candidate->prev != NULL && candidate->prev->row != NULL ? candidate->prev->row->ordinal : 0;
	if (candidate->row != NULL && ledger_row_is_right(candidate->row, all->record, &right))
		return false;
	id = ledger_row_restore(candidate->row, all->record, &right);
	report_restored(all, id, &right);
	return true;
}

/* Whether rows are left that claim to have been committed after the last version that verified. */
static bool
something_follows(const Candidates *all, Candidate **chain, int sound)
{
	for (int i = 0; i < all->row_count; i++)
	{
		const LedgerRow *row = &all->rows[i];
		bool		is_sound = false;

		for (int j = 0; j < sound && !is_sound; j++)
			is_sound = chain[j]->row == row;
		if (!is_sound && row->version > sound && strcmp(row->record, all->record) == 0 &&
			(strcmp(row->status, "committed") == 0 || strcmp(row->status, "superseded") == 0))
			return true;
	}
	return false;
}

/* Rows of the chain must stand in its order: it is how the committed versions are counted. Gives whether they did not. */
static bool
restore_order(const Candidates *all, Candidate **chain, int count)
{
	char	  **vks = palloc(sizeof(char *) * Max(count, 1));
	int64	   *ids = palloc(sizeof(int64) * Max(count, 1));
	LedgerRow  *rows;
	int64		last = 0;
	int			row_count;
	bool		is_right = true;

	for (int i = 0; i < count; i++)
		vks[i] = chain[i]->state.vk;
	rows = ledger_rows(all->record, vks, count, &row_count);
	for (int i = 0; i < count; i++)
	{
		ids[i] = 0;
		for (int j = 0; j < row_count; j++)
		{
			if (rows[j].vk == NULL || strcmp(rows[j].vk, vks[i]) != 0)
				continue;
			is_right = is_right && rows[j].ordinal > last;
			last = rows[j].ordinal;
			ids[i] = rows[j].id;
		}
	}
	if (!is_right)
		ledger_renumber(all->record, ids, count);
	return !is_right;
}

/* The chain: what verified of it. */
static void
restore_chain(Candidates *all, Candidate *end, RestoreOutcome *outcome)
{
	int			count = (int) end->state.version;
	Candidate **chain = palloc(sizeof(Candidate *) * count);
	Candidate  *candidate = end;
	bool		was_open = false;
	int			sound;

	for (int i = count; i-- > 0; candidate = candidate->prev)
	{
		chain[i] = candidate;
		candidate->is_chained = true;
	}
	sound = verify_chain(all, chain, count);
	outcome->unsound += count - sound;
	if (sound == 0)
		return;
	if (ledger_record_restore(all->record, all->node, chain[sound - 1]->state.type, chain[sound - 1]->state.replaces, sound))
		outcome->restored++;
	for (int i = 0; i < sound; i++)
	{
		bool		is_last = i == sound - 1 && !something_follows(all, chain, sound);

		was_open = was_open || (chain[i]->row != NULL && chain[i]->row->leaf_ms == 0);
		if (restore_version(all, chain[i], is_last ? "committed" : "superseded", NULL))
			outcome->restored++;
	}
	if (restore_order(all, chain, sound))
		outcome->restored++;
	if (was_open)
		version_queue_next(all->record);
}

/* First versions whose evidence came when another had been committed: each stands alone. */
static void
restore_late(Candidates *all, RestoreOutcome *outcome)
{
	for (int i = 0; i < all->count; i++)
	{
		Candidate  *candidate = &all->list[i];

		if (!candidate->is_linked || candidate->is_chained || candidate->state.version != 1)
			continue;
		if (verify_chain(all, &candidate, 1) == 0)
			outcome->unsound++;
		else if (restore_version(all, candidate, "superseded", "late"))
			outcome->restored++;
	}
}

/*
 * A version that the patient has not answered: it has the institution's own signatures only. Where it has no row it comes back only as
 * the very next one, while it can still be answered: what was signed once and withdrawn must not.
 */
static void
restore_open(Candidates *all, const Candidate *end, Candidate *candidate, RestoreOutcome *outcome)
{
	const HdmsHistory *own = all->evidence->issuer;
	const char *text = candidate->copy.state;
	RightVersion right = {0};
	HdmsState	state;
	HdmsCommit	commit;

	if (candidate->row != NULL && strcmp(candidate->row->status, "issued") != 0 && strcmp(candidate->row->status, "delivered") != 0)
		return;
	if (hdms_state_verify(text, strlen(text), true, own, candidate->state.iat, &state) != HDMS_OK ||
		hdms_commit_verify(candidate->commit, strlen(candidate->commit), own, candidate->state.iat, &commit) != HDMS_OK ||
		hdms_commit_matches(&commit, &state) != HDMS_OK)
	{
		outcome->unsound++;
		return;
	}
	if (candidate->row == NULL && (commit.accept_until < node_now() || (end == NULL && all->row_count > 0) ||
								   state.version != (end != NULL ? end->state.version : 0) + 1))
		return;
	right.state = &candidate->state;
	right.state_text = text;
	right.status = "delivered";
	right.commit = candidate->commit;
	right.accept_from = commit.iat;
	right.accept_until = commit.accept_until;
	right.payload = candidate->payload;
	right.ordinal_after = candidate->state.version - 1;
	if (candidate->row != NULL && ledger_row_is_right(candidate->row, all->record, &right))
		return;
	(void) ledger_record_restore(all->record, all->node, state.type, state.replaces, candidate->state.version - 1);
	report_restored(all, ledger_row_restore(candidate->row, all->record, &right), &right);
	outcome->restored++;
}

bool
restore_is_erased(const char *record)
{
	static FlowPlan find = FLOW_PLAN("SELECT tombstone FROM hdms_internal.tombstones WHERE record = CAST($1 AS uuid)", TEXTOID);
	HdmsTombstone *tombstone = palloc(sizeof(HdmsTombstone));
	uint64		count = flow_run(&find, flow_text(record));
	bool		is_erased = false;

	for (uint64 i = 0; i < count && !is_erased; i++)
	{
		char	   *text = row_text(i, 1);

		is_erased = text != NULL && hdms_tombstone_verify(text, strlen(text), own_node.history, 0, tombstone) == HDMS_OK &&
			strcmp(tombstone->record, record) == 0;
	}
	flow_rows_free();
	return is_erased;
}

RestoreOutcome
restore_record(const HdmsEvidence *evidence, const char *record, const char *node, const ReceivedCopy *copies, int count)
{
	Candidates	all = {.evidence = evidence, .record = record, .node = node};
	RestoreOutcome outcome = {0};
	char	  **vks = palloc(sizeof(char *) * Max(count, 1));
	Candidate  *end;

	if (restore_is_erased(record))
		return outcome;
	for (int i = 0; i < count; i++)
		vks[i] = (char *) copies[i].state.vk;
	all.rows = ledger_rows(record, vks, count, &all.row_count);
	all.list = palloc0(sizeof(Candidate) * (count + all.row_count + 1));
	collect_copies(&all, copies, count);
	collect_stored(&all);
	assign_rows(&all);
	end = link_chain(&all);
	if (end != NULL)
		restore_chain(&all, end, &outcome);
	restore_late(&all, &outcome);
	for (int i = 0; i < all.count; i++)
	{
		if (all.list[i].commit != NULL && all.list[i].stored.state == NULL)
			restore_open(&all, end, &all.list[i], &outcome);
		else if (!all.list[i].is_linked)
			outcome.unsound++;
	}
	return outcome;
}
