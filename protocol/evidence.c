/*
 * evidence.c
 *		Everything that is checked of a record, version by version, each check by name.
 *
 * The notary's leaf gives the time at which keys had to be valid, so the receipt is
 * looked at first, although it is reported in its place. Where it is not right the version has
 * failed already; then the request's own iat stands in, so that the report can
 * still tell which other parts are sound.
 */
#include <string.h>

#include "evidence.h"

typedef struct Checker
{
	const HdmsEvidence *evidence;
	HdmsCheckReport report;
	void	   *arg;
	HdmsStatus	first_failure;
	bool		is_stopped;

	/* of version 1: the list that it pins and the notary that it went to, NULL where they are not to be had */
	const HdmsNotaryList *list;
	const HdmsNotary *notary;

	HdmsState	prev;			/* the version before, if has_prev */
	bool		has_prev;
} Checker;

/* What the checks of one version learn from each other. */
typedef struct VersionParts
{
	int64_t		number;
	const HdmsEvidenceVersion *text;
	const char *prev_request;
	HdmsState	state;
	HdmsRequest request;
	HdmsLeaf	leaf;
	HdmsStatus	receipt_status; /* of the receipt by itself */
	int64_t		time;			/* seconds, at which keys had to be valid */
} VersionParts;

/* Reports a check. Whether to go on to what depends on it. */
static bool
checked(Checker *checker, int64_t version, const char *name, HdmsStatus status)
{
	if (status != HDMS_OK && checker->first_failure == HDMS_OK)
		checker->first_failure = status;
	if (checker->report != NULL && !checker->report(checker->arg, version, name, status))
		checker->is_stopped = true;
	return status == HDMS_OK && !checker->is_stopped;
}

/* Which log all versions of the record must be in. */
static void
find_notary(Checker *checker)
{
	const HdmsEvidence *evidence = checker->evidence;
	const char *first = evidence->versions[0].request;
	HdmsRequest request;

	if (first == NULL || hdms_request_peek(first, strlen(first), &request) != HDMS_OK)
		return;
	for (size_t i = 0; i < evidence->list_count && checker->list == NULL; i++)
	{
		if (strcmp(evidence->lists[i].digest, request.commit.notaries) == 0)
			checker->list = &evidence->lists[i];
	}
	if (checker->list != NULL)
		checker->notary = hdms_notaries_find(checker->list, request.aud);
}

/* The proof and the checkpoint's signature; the leaf's time becomes the version's. */
static HdmsStatus
look_at_receipt(const Checker *checker, VersionParts *version)
{
	HdmsStatus	status;

	if (checker->notary == NULL)
		return HDMS_NOT_ADMITTED;
	status = hdms_receipt_verify(version->text->receipt, strlen(version->text->receipt), checker->notary->node,
								 checker->notary->log, &version->leaf, NULL, NULL);
	if (status != HDMS_OK)
		return status;
	if (version->leaf.time_ms < 1000)
		return HDMS_BAD_CLAIM;	/* 0 would mean "now" to the key histories */
	version->time = version->leaf.time_ms / 1000;
	return HDMS_OK;
}

static HdmsStatus
check_state(const Checker *checker, VersionParts *version)
{
	return hdms_state_verify(version->text->state, strlen(version->text->state), true, checker->evidence->issuer,
							 version->time, &version->state);
}

static HdmsStatus
check_chain(const Checker *checker, const VersionParts *version)
{
	const HdmsState *state = &version->state;

	if (state->version != version->number
		|| strcmp(state->sub, hdms_history_node_id(checker->evidence->patient)) != 0
		|| hdms_history_kind(checker->evidence->issuer) != HDMS_INSTITUTION
		|| hdms_history_kind(checker->evidence->patient) != HDMS_PERSON)
		return HDMS_BAD_CHAIN;
	if (version->number == 1)
		return HDMS_OK;
	if (!checker->has_prev || strcmp(state->prev, checker->prev.vk) != 0
		|| strcmp(state->record, checker->prev.record) != 0
		|| strcmp(state->iss, checker->prev.iss) != 0 || strcmp(state->sub, checker->prev.sub) != 0)
		return HDMS_BAD_CHAIN;
	return HDMS_OK;
}

static HdmsStatus
check_acceptance(const Checker *checker, const VersionParts *version)
{
	const HdmsEvidenceVersion *text = version->text;

	return hdms_acceptance_verify(text->acceptance, strlen(text->acceptance), text->state, strlen(text->state),
								  checker->evidence->patient, version->time);
}

static HdmsStatus
check_commit(VersionParts *version)
{
	HdmsStatus	status = hdms_request_peek(version->text->request, strlen(version->text->request), &version->request);

	return status == HDMS_OK ? hdms_commit_matches(&version->request.commit, &version->state) : status;
}

static HdmsStatus
check_request(const Checker *checker, VersionParts *version)
{
	const HdmsEvidenceVersion *text = version->text;
	char		digest[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status;

	if (version->number == 1 && checker->list == NULL)
		return HDMS_NOT_ADMITTED;
	status = hdms_request_verify(text->request, strlen(text->request), checker->evidence->issuer,
								 checker->evidence->patient, checker->list, version->prev_request, version->time,
								 &version->request);
	if (status != HDMS_OK
		|| (status = hdms_sha256_text(text->acceptance, strlen(text->acceptance), digest)) != HDMS_OK)
		return status;
	return strcmp(digest, version->request.acceptance) == 0 ? HDMS_OK : HDMS_DIGEST_MISMATCH;
}

static HdmsStatus
check_receipt(const Checker *checker, const VersionParts *version)
{
	if (version->receipt_status != HDMS_OK)
		return version->receipt_status;
	if (strcmp(version->request.aud, checker->notary->node) != 0)
		return HDMS_BAD_DRAW;
	if (!hdms_equal(version->leaf.tag, version->request.commit.tag, HDMS_DIGEST_SIZE)
		|| !hdms_equal(version->leaf.request, version->request.digest, HDMS_DIGEST_SIZE))
		return HDMS_DIGEST_MISMATCH;
	return HDMS_OK;
}

static HdmsStatus
check_time(const VersionParts *version)
{
	return version->time <= version->request.commit.accept_until ? HDMS_OK : HDMS_TOO_LATE;
}

/* That the institution says it erased the version that the request was about, and no other. */
static HdmsStatus
check_erased(const Checker *checker, VersionParts *version)
{
	HdmsTombstone tombstone;
	HdmsStatus	status = hdms_request_peek(version->text->request, strlen(version->text->request), &version->request);

	if (status != HDMS_OK
		|| (status = hdms_tombstone_verify(version->text->tombstone, strlen(version->text->tombstone), checker->evidence->issuer, 0,
										   &tombstone)) != HDMS_OK)
		return status;
	if (strcmp(tombstone.sub, hdms_history_node_id(checker->evidence->patient)) != 0)
		return HDMS_BAD_CHAIN;
	if (!hdms_tombstone_names(&tombstone, version->request.commit.vk))
		return HDMS_DIGEST_MISMATCH;
	memcpy(version->state.vk, version->request.commit.vk, sizeof(version->state.vk));
	memcpy(version->state.iss, tombstone.iss, sizeof(version->state.iss));
	memcpy(version->state.sub, tombstone.sub, sizeof(version->state.sub));
	memcpy(version->state.record, tombstone.record, sizeof(version->state.record));
	return HDMS_OK;
}

/* The tag of a later version is made from the verification key before it; that of a first one from a seed that is gone with the state. */
static HdmsStatus
check_erased_chain(const Checker *checker, const VersionParts *version)
{
	unsigned char tag[HDMS_DIGEST_SIZE];
	HdmsStatus	status;

	if (hdms_history_kind(checker->evidence->issuer) != HDMS_INSTITUTION || hdms_history_kind(checker->evidence->patient) != HDMS_PERSON)
		return HDMS_BAD_CHAIN;
	if (version->number == 1)
		return HDMS_OK;
	if (!checker->has_prev || strcmp(version->state.record, checker->prev.record) != 0)
		return HDMS_BAD_CHAIN;
	if ((status = hdms_tag_next(checker->prev.vk, tag)) != HDMS_OK)
		return status;
	return hdms_equal(version->request.commit.tag, tag, sizeof(tag)) ? HDMS_OK : HDMS_BAD_CHAIN;
}

/* What can still be said of a version without its state. */
static void
check_erased_version(Checker *checker, VersionParts *version)
{
	int64_t		number = version->number;

	if (checked(checker, number, "erased", check_erased(checker, version))
		&& checked(checker, number, "chain", check_erased_chain(checker, version))
		&& checked(checker, number, "request", check_request(checker, version))
		&& checked(checker, number, "receipt", check_receipt(checker, version)))
		checked(checker, number, "time", check_time(version));
	checker->has_prev = version->state.vk[0] != '\0';
	checker->prev = version->state;
}

/* The checks of one version, in order, up to the first that fails. */
static void
check_version(Checker *checker, size_t index)
{
	const HdmsEvidenceVersion *text = &checker->evidence->versions[index];
	int64_t		number = (int64_t) index + 1;
	VersionParts version;
	HdmsRequest peeked;

	memset(&version, 0, sizeof(version));
	version.number = number;
	version.text = text;
	if ((text->state == NULL && text->tombstone == NULL) || text->acceptance == NULL || text->request == NULL || text->receipt == NULL)
	{
		checked(checker, number, "state", HDMS_BAD_FORMAT);
		checker->has_prev = false;
		return;
	}
	if (index > 0)
		version.prev_request = checker->evidence->versions[index - 1].request;
	version.receipt_status = look_at_receipt(checker, &version);
	if (version.receipt_status != HDMS_OK)
	{
		version.time = 1;
		if (hdms_request_peek(text->request, strlen(text->request), &peeked) == HDMS_OK && peeked.iat > 0)
			version.time = peeked.iat;
	}
	if (text->state == NULL)
	{
		check_erased_version(checker, &version);
		return;
	}

	if (checked(checker, number, "state", check_state(checker, &version))
		&& checked(checker, number, "chain", check_chain(checker, &version))
		&& checked(checker, number, "acceptance", check_acceptance(checker, &version))
		&& checked(checker, number, "commit", check_commit(&version))
		&& checked(checker, number, "request", check_request(checker, &version))
		&& checked(checker, number, "receipt", check_receipt(checker, &version)))
		checked(checker, number, "time", check_time(&version));

	/* the next version is compared even with one that failed, if that can be read at all */
	checker->has_prev = version.state.vk[0] != '\0'
		|| hdms_state_parse(text->state, strlen(text->state), true, &version.state) == HDMS_OK;
	checker->prev = version.state;
}

HdmsStatus
hdms_evidence_verify(const HdmsEvidence *evidence, HdmsCheckReport report, void *arg)
{
	Checker		checker;
	HdmsAdmission admission;

	if (evidence == NULL || evidence->network == NULL || evidence->issuer == NULL || evidence->patient == NULL
		|| evidence->admission == NULL || evidence->versions == NULL || evidence->version_count == 0
		|| (evidence->lists == NULL && evidence->list_count > 0))
		return HDMS_BAD_ARGUMENT;
	memset(&checker, 0, sizeof(checker));
	checker.evidence = evidence;
	checker.report = report;
	checker.arg = arg;

	checked(&checker, 0, "admission", evidence->is_admitted ? HDMS_OK :
			hdms_admission_verify(evidence->admission, strlen(evidence->admission), evidence->network, evidence->issuer, &admission));
	find_notary(&checker);
	for (size_t i = 0; i < evidence->version_count && !checker.is_stopped; i++)
		check_version(&checker, i);
	if (checker.is_stopped && checker.first_failure == HDMS_OK)
		return HDMS_BAD_ARGUMENT;	/* what was not finished has not been proved */
	return checker.first_failure;
}
