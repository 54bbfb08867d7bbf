/*
 * fn_verify_columns.c
 *		What the tables say of a record beside the signed bytes: that it is what was signed, and fits together.
 *
 * Programs and people look at columns, not into signatures. So whoever can write the tables could leave all that is
 * signed alone and still mislead: each column that repeats something signed is compared with it here, and
 * each that must be empty at a version's stage has to be.
 */
#include "postgres.h"

#include "fn_verify_columns.h"

/* A version is written a little after it was signed: a batch of them takes a while. Seconds. */
#define ISSUED_AT_MOST_AFTER	600

/* A notary's clock and this machine's may differ by as much as the server lets them. Seconds. */
#define CLOCKS_DIFFER_AT_MOST	300

static bool
same_text(const char *stored, const char *is_signed)
{
	return strcmp(stored != NULL ? stored : "", is_signed) == 0;
}

static bool
has_status(const StoredVersion *stored, const char *status)
{
	return strcmp(stored->status, status) == 0;
}

/* Whether the column has the time of the notary's leaf. What is wrong with a receipt is reported elsewhere. */
static bool
same_leaf_time(const StoredVersion *stored)
{
	HdmsLeaf	leaf;

	return stored->receipt == NULL || hdms_receipt_peek(stored->receipt, strlen(stored->receipt), &leaf, NULL) != HDMS_OK ||
		leaf.time_ms == stored->leaf_ms;
}

static bool
has_no_evidence(const StoredVersion *stored)
{
	return stored->notary == NULL && stored->leaf_ms == 0 && stored->acceptance == NULL && stored->request == NULL &&
		stored->receipt == NULL;
}

/* Of a version that was signed anew before evidence for what was signed first came, the column has the later time. */
static bool
is_issued_after(const StoredVersion *stored, int64 iat)
{
	return stored->issued_at >= iat &&
		stored->issued_at <= (stored->is_committed || stored->is_late ? stored->ended_at + 1 : iat + ISSUED_AT_MOST_AFTER);
}

/* Not signed yet, or given up before it was. */
static bool
is_like_unsigned(const StoredVersion *stored)
{
	return !has_status(stored, "issued") && !has_status(stored, "delivered") && !has_status(stored, "expired") &&
		!stored->is_committed && !stored->is_late && has_no_evidence(stored) && stored->version == 0 && stored->vk == NULL &&
		stored->prev == NULL && stored->accept_until == 0 && stored->issued_at == 0 && stored->commit == NULL &&
		stored->rejection == NULL;
}

/* Signed, and without evidence: on its way, rejected or expired. */
static bool
is_like_open(const StoredVersion *stored)
{
	bool		was_replaced = stored->reason != NULL && strcmp(stored->reason, "replaced") == 0;
	bool		was_refused = stored->reason != NULL && strncmp(stored->reason, "refused: ", strlen("refused: ")) == 0;

	if (!has_no_evidence(stored))
		return false;
	if (has_status(stored, "rejected"))
		return stored->rejection != NULL || was_refused || was_replaced;
	return stored->rejection == NULL &&
		(has_status(stored, "issued") || has_status(stored, "delivered") || has_status(stored, "expired"));
}

/* With evidence: it came after it was witnessed. */
static bool
is_like_committed(const StoredVersion *stored, const HdmsRequest *request)
{
	return same_text(stored->notary, request->aud) && same_leaf_time(stored) && stored->commit == NULL &&
		stored->ended_at * 1000 >= stored->leaf_ms - CLOCKS_DIFFER_AT_MOST * 1000;
}

/* What the EMR asked for is what the notary was told. */
static bool
same_term(const StoredVersion *stored, const HdmsCommit *commit)
{
	return stored->accept_until == commit->accept_until && stored->accept_within == commit->accept_until - commit->iat;
}

HdmsStatus
columns_verify(const RecordEvidence *loaded, const StoredVersion *stored)
{
	HdmsState	state;
	HdmsRequest request;
	HdmsCommit	commit;
	HdmsStatus	status;
	bool		has_evidence = stored->is_committed || stored->is_late;

	if (stored->state == NULL)
		return is_like_unsigned(stored) ? HDMS_OK : HDMS_DIGEST_MISMATCH;
	status = hdms_state_parse(stored->state, strlen(stored->state), true, &state);
	if (status != HDMS_OK)
		return status;
	if (!same_text(stored->vk, state.vk) || !same_text(stored->prev, state.prev) || stored->version != state.version ||
		!same_text(loaded->record, state.record) || !same_text(loaded->type, state.type) ||
		strcmp(loaded->replaces, state.replaces) != 0 || !is_issued_after(stored, state.iat))
		return HDMS_DIGEST_MISMATCH;
	if (!has_evidence)
	{
		if (!is_like_open(stored))
			return HDMS_DIGEST_MISMATCH;
		if (stored->commit == NULL || hdms_commit_peek(stored->commit, strlen(stored->commit), &commit) != HDMS_OK)
			return HDMS_OK;		/* the check of the commit reports it */
		return same_term(stored, &commit) ? HDMS_OK : HDMS_DIGEST_MISMATCH;
	}
	if (stored->request == NULL)
		return HDMS_BAD_FORMAT;
	status = hdms_request_peek(stored->request, strlen(stored->request), &request);
	if (status != HDMS_OK)
		return status;
	return is_like_committed(stored, &request) && same_term(stored, &request.commit) ? HDMS_OK : HDMS_DIGEST_MISMATCH;
}

HdmsStatus
columns_verify_erased(const StoredVersion *stored)
{
	HdmsRequest request;
	HdmsStatus	status = hdms_request_peek(stored->request, strlen(stored->request), &request);

	if (status == HDMS_OK && (!same_text(stored->vk, request.commit.vk) || !is_like_committed(stored, &request) ||
							  !same_term(stored, &request.commit)))
		status = HDMS_DIGEST_MISMATCH;
	return status;
}

HdmsStatus
columns_verify_versions(const RecordEvidence *loaded)
{
	const StoredVersion *in_force = NULL;
	int32		committed = 0;

	if (loaded->committed != (int64) loaded->evidence.version_count)
		return HDMS_DIGEST_MISMATCH;
	for (int i = 0; i < loaded->version_count; i++)
	{
		const StoredVersion *stored = &loaded->versions[i];

		if (stored->ordinal != i + 1)
			return HDMS_DIGEST_MISMATCH;
		if (!stored->is_committed)
			continue;
		if (stored->version != ++committed)
			return HDMS_DIGEST_MISMATCH;
		in_force = stored;
	}
	for (int i = 0; i < loaded->version_count; i++)
	{
		const StoredVersion *stored = &loaded->versions[i];

		if (stored->is_committed && !stored->is_erased && has_status(stored, "committed") != (stored == in_force && !loaded->is_continued))
			return HDMS_DIGEST_MISMATCH;
	}
	return HDMS_OK;
}
