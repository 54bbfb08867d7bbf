/*
 * fn_verify.c
 *		hdms.verify(): recomputes everything about a record from its stored bytes.
 *
 * The evidence is checked as anybody could check it offline; beyond that, what only this database has: that
 * the columns and the projection say what was signed. The checks are collected first and returned
 * afterwards, so that nothing can raise in the middle of protocol/.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fn_argument.h"
#include "fn_evidence.h"
#include "fn_verify.h"
#include "fn_verify_columns.h"
#include "fn_verify_log.h"
#include "json_scan.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_verify);
PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_record_failures);

/* For each version those of hdms_evidence_verify() and the ones below; and those of the whole record. */
#define CHECKS_OF_VERSION	18
#define CHECKS_OF_RECORD	8

typedef struct Check
{
	int64_t		version;		/* as it is counted in hdms.states; 0: the whole record */
	const char *name;
	HdmsStatus	status;
	bool		applies;		/* false: it cannot be said yet */
	const char *detail;			/* instead of the usual one */
} Check;

typedef struct Checks
{
	Check	   *checks;
	int			count;
	int			room;
	const RecordEvidence *loaded;
	const StoredVersion *alone;	/* the late version that is verified by itself; else NULL */
} Checks;

/* What it means that a check passed, and, for what only a database has, that two things differ. */
static const struct
{
	const char *name;
	const char *meaning;
	const char *difference;
}			meanings[] = {
	{"network", "the network key is the one that was given out of band", NULL},
	{"keys", "the key histories of the institution and of the patient's node link up", NULL},
	{"admission", "the network's operator admitted the institution", NULL},
	{"state", "claims and disclosures fit, and the institution signed them", NULL},
	{"chain", "the version follows the one before, between the same two nodes", NULL},
	{"acceptance", "the patient signed that they accept this very version", NULL},
	{"commit", "the institution's statement for the notary belongs to this version", NULL},
	{"request", "both signed the notary's request, and the notary is the one that was drawn", NULL},
	{"receipt", "the notary's signed log contains the request", NULL},
	{"time", "the notary received it before the acceptance ran out", NULL},
	{"rejection", "the patient signed that they reject this version", NULL},
	{"versions", "no version is missing, and the last committed one is the one in force",
	"versions are missing, or another than the last committed one is in force"},
	{"patient", "the record belongs to the patient whose node it was signed for", "the record was signed for a node that was never this patient's"},
	{"digest", "the content is what the EMR handed over", "the content is not what the EMR handed over"},
	{"projection", "the content equals what was signed", "the content differs from what was signed"},
	{"erased", "erased, authorised: the institution's tombstone is for this version", "the tombstone is for another version"},
	{"content", "nothing of what was erased is in the table", "what was erased is in the table again"},
	{"event", "the version ended as the node's own log says, with the same bytes", NULL},
	{"missing", "no version that the log knows is missing", NULL},
	{"log", "the events of the record are in the node's own log, under its newest checkpoint", NULL},
	{"columns", "the table's columns say what was signed", "the table's columns differ from what was signed"},
};

static Check *
add_check(Checks *checks, int64_t version, const char *name, HdmsStatus status)
{
	Check	   *check;

	if (checks->count == checks->room)
		return NULL;
	check = &checks->checks[checks->count++];
	*check = (Check) {version, name, status, true, NULL};
	return check;
}

static void
add_pending(Checks *checks, const StoredVersion *stored, const char *detail)
{
	Check	   *check = add_check(checks, stored->ordinal, "evidence", HDMS_OK);

	if (check != NULL)
	{
		check->applies = false;
		check->detail = detail;
	}
}

/* HdmsCheckReport: evidence counts the committed versions, the table all that were asked for. */
static bool
note_check(void *arg, int64_t version, const char *name, HdmsStatus status)
{
	Checks	   *checks = arg;
	int64_t		committed = 0;

	if (checks->alone != NULL)
	{
		if (version > 0)
			(void) add_check(checks, checks->alone->ordinal, name, status);
		return true;
	}
	for (int i = 0; version > 0 && i < checks->loaded->version_count; i++)
	{
		if (checks->loaded->versions[i].is_committed && ++committed == version)
		{
			version = checks->loaded->versions[i].ordinal;
			break;
		}
	}
	(void) add_check(checks, version, name, status);
	return true;
}

/* The keys and the admission, and with them the committed versions. */
static void
check_evidence(Checks *checks)
{
	const RecordEvidence *loaded = checks->loaded;
	const HdmsEvidence *evidence = &loaded->evidence;
	bool		complete = evidence->network != NULL && evidence->issuer != NULL && evidence->patient != NULL;

	(void) add_check(checks, 0, "network", loaded->network_status);
	(void) add_check(checks, 0, "keys", loaded->issuer_status != HDMS_OK ? loaded->issuer_status : loaded->patient_status);
	if (evidence->admission == NULL)
		(void) add_check(checks, 0, "admission", HDMS_NOT_ADMITTED);
	else if (complete)
		(void) hdms_evidence_verify(evidence, note_check, checks);
}

/* A version that is not in the chain, as if it were the only one. */
static void
check_late_version(Checks *checks, const StoredVersion *stored)
{
	HdmsEvidence evidence = checks->loaded->evidence;
	HdmsEvidenceVersion only = {stored->state, stored->acceptance, stored->request, stored->receipt, stored->tombstone};

	if (evidence.network == NULL || evidence.issuer == NULL || evidence.patient == NULL || evidence.admission == NULL)
		return;
	evidence.versions = &only;
	evidence.version_count = 1;
	checks->alone = stored;
	(void) hdms_evidence_verify(&evidence, note_check, checks);
	checks->alone = NULL;
}

/* The digest that the EMR's content was known by, and the content that was signed. */
static void
check_content(Checks *checks, const StoredVersion *stored)
{
	HdmsBytes	compact = {0};
	HdmsBytes	signed_content = {0};
	HdmsBytes	signed_compact = {0};
	unsigned char digest[HDMS_DIGEST_SIZE];
	HdmsStatus	status;

	if (stored->content == NULL)
	{
		(void) add_check(checks, stored->ordinal, "digest", HDMS_BAD_FORMAT);
		return;
	}
	status = hdms_json_compact(stored->content, strlen(stored->content), &compact);
	if (status == HDMS_OK)
		status = hdms_sha256(compact.data, compact.len, digest);
	if (status == HDMS_OK && !hdms_equal(digest, stored->digest, HDMS_DIGEST_SIZE))
		status = HDMS_DIGEST_MISMATCH;
	(void) add_check(checks, stored->ordinal, "digest", status);

	if (stored->state != NULL)
	{
		status = compact.data == NULL ? HDMS_BAD_JSON : hdms_state_content(stored->state, strlen(stored->state), &signed_content);
		if (status == HDMS_OK)
			status = hdms_json_compact((const char *) signed_content.data, signed_content.len, &signed_compact);
		if (status == HDMS_OK &&
			(compact.len != signed_compact.len || memcmp(compact.data, signed_compact.data, compact.len) != 0))
			status = HDMS_DIGEST_MISMATCH;
		(void) add_check(checks, stored->ordinal, "projection", status);
	}
	hdms_bytes_wipe(&compact);
	hdms_bytes_wipe(&signed_content);
	hdms_bytes_wipe(&signed_compact);
}

/* The statement for the notary of a version that no notary has seen yet. */
static HdmsStatus
check_open_commit(const HdmsEvidence *evidence, const StoredVersion *stored)
{
	HdmsState	state;
	HdmsCommit	commit;
	HdmsStatus	status;

	if (stored->commit == NULL)
		return HDMS_BAD_FORMAT;
	status = hdms_commit_verify(stored->commit, strlen(stored->commit), evidence->issuer, stored->issued_at, &commit);
	if (status == HDMS_OK)
		status = hdms_state_parse(stored->state, strlen(stored->state), true, &state);
	return status == HDMS_OK ? hdms_commit_matches(&commit, &state) : status;
}

/* Versions that have been signed by the institution and not by the patient. */
static void
check_open_version(Checks *checks, const StoredVersion *stored)
{
	const HdmsEvidence *evidence = &checks->loaded->evidence;
	HdmsState	state;
	HdmsRejection rejection;

	if (stored->state == NULL)
	{
		add_pending(checks, stored, "this version has not been signed yet");
		return;
	}
	if (evidence->issuer != NULL)
		(void) add_check(checks, stored->ordinal, "state",
						 hdms_state_verify(stored->state, strlen(stored->state), true, evidence->issuer, stored->issued_at, &state));
	if (evidence->issuer != NULL)
		(void) add_check(checks, stored->ordinal, "commit", check_open_commit(evidence, stored));
	if (stored->rejection != NULL && evidence->patient != NULL)
	{
		HdmsStatus	status = hdms_rejection_verify(stored->rejection, strlen(stored->rejection), evidence->patient,
												   stored->ended_at, &rejection);

		if (status == HDMS_OK && (strcmp(stored->vk != NULL ? stored->vk : "", rejection.vk) != 0 ||
								  strcmp(stored->reason != NULL ? stored->reason : "", rejection.reason) != 0))
			status = HDMS_DIGEST_MISMATCH;
		(void) add_check(checks, stored->ordinal, "rejection", status);
		return;
	}
	add_pending(checks, stored, strcmp(stored->status, "expired") == 0 ?
				"the patient has neither accepted nor rejected this version in time" :
				"the patient has not accepted this version yet");
}

/* An erased version that never was in a notary's log: its tombstone by itself. */
static HdmsStatus
verify_tombstone(const Checks *checks, const StoredVersion *stored)
{
	HdmsTombstone *tombstone = palloc(sizeof(HdmsTombstone));
	HdmsStatus	status = hdms_tombstone_verify(stored->tombstone, strlen(stored->tombstone), checks->loaded->evidence.issuer, 0, tombstone);

	if (status == HDMS_OK && (strcmp(checks->loaded->record, tombstone->record) != 0
							  || (stored->vk != NULL && !hdms_tombstone_names(tombstone, stored->vk))))
		status = HDMS_DIGEST_MISMATCH;
	return status;
}

static void
check_erased_version(Checks *checks, const StoredVersion *stored)
{
	if (stored->tombstone == NULL)
	{
		Check	   *check = add_check(checks, stored->ordinal, "erased", HDMS_NOT_ADMITTED);

		if (check != NULL)
			check->detail = "the content is gone, and no tombstone of this institution says that it was erased";
	}
	else if (stored->is_late)
		check_late_version(checks, stored);
	else if (!stored->is_committed && checks->loaded->evidence.issuer != NULL)
		(void) add_check(checks, stored->ordinal, "erased", verify_tombstone(checks, stored));
	(void) add_check(checks, stored->ordinal, "content",
					 !stored->has_digest && stored->content == NULL && stored->state == NULL && stored->rejection == NULL ?
					 HDMS_OK : HDMS_DIGEST_MISMATCH);
	if (stored->request != NULL)
		(void) add_check(checks, stored->ordinal, "columns", columns_verify_erased(stored));
}

static void
check_versions(Checks *checks)
{
	for (int i = 0; i < checks->loaded->version_count; i++)
	{
		const StoredVersion *stored = &checks->loaded->versions[i];

		if (stored->is_erased)
		{
			check_erased_version(checks, stored);
			continue;
		}
		if (stored->is_late)
			check_late_version(checks, stored);
		else if (!stored->is_committed)
			check_open_version(checks, stored);
		check_content(checks, stored);
		(void) add_check(checks, stored->ordinal, "columns", columns_verify(checks->loaded, stored));
	}
}

static const char *
meaning_of(const Check *check)
{
	if (check->detail != NULL)
		return check->detail;
	for (size_t i = 0; i < lengthof(meanings); i++)
	{
		if (strcmp(meanings[i].name, check->name) != 0)
			continue;
		if (check->status == HDMS_OK)
			return meanings[i].meaning;
		if (check->status == HDMS_DIGEST_MISMATCH && meanings[i].difference != NULL)
			return meanings[i].difference;
	}
	return hdms_status_sentence(check->status);
}

static void
return_checks(ReturnSetInfo *result, const Checks *checks)
{
	for (int i = 0; i < checks->count; i++)
	{
		const Check *check = &checks->checks[i];
		Datum		values[4];
		bool		nulls[4] = {0};

		values[0] = CStringGetTextDatum(check->name);
		values[1] = BoolGetDatum(check->status == HDMS_OK);
		nulls[1] = !check->applies;
		values[2] = CStringGetTextDatum(meaning_of(check));
		values[3] = Int32GetDatum((int32) check->version);
		nulls[3] = check->version == 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* LogRecordCheck */
static void
note_log_check(void *arg, int64 ordinal, const char *name, const char *problem)
{
	Check	   *check = add_check(arg, ordinal, name, problem == NULL ? HDMS_OK : HDMS_DIGEST_MISMATCH);

	if (check != NULL)
		check->detail = problem;
}

/* Everything that can be checked of a record. Lives in the current memory context. */
static Checks *
check_record(const RecordEvidence *loaded)
{
	Checks	   *checks = palloc0(sizeof(Checks));

	checks->loaded = loaded;
	checks->room = loaded->version_count * CHECKS_OF_VERSION + CHECKS_OF_RECORD;
	checks->checks = palloc0(checks->room * sizeof(Check));
	(void) add_check(checks, 0, "versions", columns_verify_versions(loaded));
	if (loaded->holder != NULL)
		(void) add_check(checks, 0, "patient", loaded->is_bound ? HDMS_OK : HDMS_DIGEST_MISMATCH);

	/* Where nothing was committed yet there are no keys to speak of. */
	if (loaded->evidence.version_count > 0)
		check_evidence(checks);
	check_versions(checks);
	return checks;
}

Datum
hdms_fn_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecordEvidence *loaded;
	Checks	   *checks;

	argument_required(fcinfo, 0, "record");
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	loaded = evidence_load(evidence_keys_open(CurrentMemoryContext), PG_GETARG_UUID_P(0));
	if (loaded == NULL)
		argument_unknown_record(PG_GETARG_UUID_P(0));
	checks = check_record(loaded);
	log_record_verify(loaded, note_log_check, checks);
	log_record_inclusion(loaded, note_log_check, checks);
	return_checks(result, checks);
	evidence_free(loaded);
	SPI_finish();
	return (Datum) 0;
}

char *
verify_first_failure(EvidenceKeys *keys, const pg_uuid_t *record)
{
	RecordEvidence *loaded = evidence_load(keys, record);
	char	   *failure = NULL;
	Checks	   *checks;

	if (loaded == NULL)
		return pstrdup("the record has no version");
	checks = check_record(loaded);
	for (int i = 0; i < checks->count && failure == NULL; i++)
	{
		const Check *check = &checks->checks[i];

		if (check->status == HDMS_OK || !check->applies)
			continue;
		failure = check->version == 0 ? psprintf("check \"%s\": %s", check->name, meaning_of(check)) :
			psprintf("version %d, check \"%s\": %s", (int) check->version, check->name, meaning_of(check));
	}
	evidence_free(loaded);
	return failure;
}

/* Keys for all records of one statement: in a parallel worker, or in its leader. */
static EvidenceKeys *
keys_of_statement(void)
{
	static MemoryContext context = NULL;
	static EvidenceKeys *keys = NULL;
	static TimestampTz statement = 0;

	if (context != NULL && statement == GetCurrentStatementStartTimestamp() && keys != NULL)
		return keys;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "hdms keys of a statement", ALLOCSET_DEFAULT_SIZES);
	keys = NULL;
	MemoryContextReset(context);
	keys = evidence_keys_open(context);
	statement = GetCurrentStatementStartTimestamp();
	return keys;
}

/*
 * hdms_internal.record_failures(): the checks of a record that failed, and a row without a check that has the number of its
 * signed versions. Reads only, with the snapshot of the statement, so that parallel workers may run it.
 */
Datum
hdms_fn_record_failures(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RecordEvidence *loaded;
	Checks	   *checks;
	int			states = 0;
	Datum		values[3] = {0};
	bool		nulls[3] = {false, true, true};

	argument_required(fcinfo, 0, "record");
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	loaded = evidence_load(keys_of_statement(), PG_GETARG_UUID_P(0));
	if (loaded == NULL)
	{
		/* A record without versions, which hdms.verify_ledger() reports by itself. */
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		SPI_finish();
		return (Datum) 0;
	}
	checks = check_record(loaded);
	log_record_verify(loaded, note_log_check, checks);
	for (int i = 0; i < checks->count; i++)
	{
		const Check *check = &checks->checks[i];

		if (check->status != HDMS_OK)
			tuplestore_putvalues(result->setResult, result->setDesc,
								 (Datum[]) {Int32GetDatum((int32) check->version), CStringGetTextDatum(check->name),
											CStringGetTextDatum(meaning_of(check))},
								 (bool[]) {check->version == 0, false, false});
	}
	for (int i = 0; i < loaded->version_count; i++)
		states += loaded->versions[i].state != NULL;
	values[0] = Int32GetDatum(states);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	evidence_free(loaded);
	SPI_finish();
	return (Datum) 0;
}
