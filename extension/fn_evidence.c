/*
 * fn_evidence.c
 *		A record with everything that its verification needs, and its evidence as one file.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fn_argument.h"
#include "fn_audit.h"
#include "fn_evidence.h"
#include "flow_plan.h"
#include "malloc_guard.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_export_evidence);

static void
load_version(uint64 row, StoredVersion *version)
{
	char	   *reason = row_text(row, 21);
	bytea	   *digest = row_bytea(row, 11);

	version->id = row_int64(row, 1);
	version->ordinal = (int32) row_int64(row, 2);
	version->status = row_text(row, 3);
	version->is_erased = strcmp(version->status, "erased") == 0;
	version->is_late = (version->is_erased || strcmp(version->status, "superseded") == 0) && reason != NULL && strcmp(reason, "late") == 0;
	version->is_committed = !version->is_late && (strcmp(version->status, "committed") == 0 ||
												  strcmp(version->status, "superseded") == 0 || (version->is_erased && row_int64(row, 8) > 0));
	version->version = (int32) row_int64(row, 4);
	version->vk = row_text(row, 5);
	version->prev = row_text(row, 6);
	version->notary = row_text(row, 7);
	version->leaf_ms = row_int64(row, 8);
	version->issued_at = row_int64(row, 9);
	version->ended_at = row_int64(row, 10);
	version->has_digest = VARSIZE_ANY_EXHDR(digest) > 0;
	memcpy(version->digest, VARDATA_ANY(digest), Min(VARSIZE_ANY_EXHDR(digest), HDMS_DIGEST_SIZE));
	version->content = row_text(row, 12);
	version->state = row_text(row, 13);
	version->acceptance = row_text(row, 14);
	version->request = row_text(row, 15);
	version->receipt = row_text(row, 16);
	version->rejection = row_text(row, 17);
	version->reason = reason;
	version->accept_until = row_int64(row, 22);
	version->commit = row_text(row, 23);
	version->accept_within = row_int64(row, 24);
}

static bool
load_versions(RecordEvidence *loaded, const pg_uuid_t *record)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT v.id, v.ordinal::bigint, v.status, v.version::bigint, v.vk, v.prev, v.notary,"
		" pg_catalog.round(extract(epoch FROM v.leaf_at) * 1000)::bigint,"
		" extract(epoch FROM v.issued_at)::bigint, extract(epoch FROM v.ended_at)::bigint,"
		" v.content_digest, pl.content::text, pl.state, pl.acceptance, pl.request, pl.receipt, pl.rejection,"
		" r.patient_ref, r.type, r.committed::bigint, v.reason, extract(epoch FROM v.accept_until)::bigint, pl.commit,"
		" extract(epoch FROM v.accept_within)::bigint, coalesce(r.replaces::text, ''),"
		" EXISTS (SELECT FROM hdms_internal.records c WHERE c.replaces = r.record AND c.committed > 0)"
		" FROM hdms_internal.records r JOIN hdms_internal.versions v ON v.record = r.record"
		" LEFT JOIN hdms_internal.payloads pl ON pl.id = v.id"
		" WHERE r.record = $1 ORDER BY v.ordinal", UUIDOID);
	uint64		count = flow_read(&find, (FlowArg) {UUIDPGetDatum(record), false});

	if (count == 0)
		return false;
	loaded->versions = palloc0(count * sizeof(StoredVersion));
	loaded->version_count = (int) count;
	for (uint64 row = 0; row < count; row++)
		load_version(row, &loaded->versions[row]);
	loaded->patient_ref = row_text(0, 18);
	loaded->type = row_text(0, 19);
	loaded->committed = row_int64(0, 20);
	loaded->replaces = row_text(0, 25);
	loaded->is_continued = row_bool(0, 26);
	flow_rows_free();
	return true;
}

/* Gives each erased version the tombstone that is for it. Their signatures are verified with everything else. */
static void
load_tombstones(RecordEvidence *loaded, const pg_uuid_t *record)
{
	static FlowPlan find = FLOW_PLAN("SELECT tombstone FROM hdms_internal.tombstones WHERE record = $1 ORDER BY number", UUIDOID);
	uint64		count = flow_read(&find, (FlowArg) {UUIDPGetDatum(record), false});

	for (uint64 row = 0; row < count; row++)
	{
		HdmsTombstone *tombstone = palloc(sizeof(HdmsTombstone));
		char	   *text = row_text(row, 1);

		if (hdms_tombstone_peek(text, strlen(text), tombstone) != HDMS_OK)
			continue;
		for (int i = 0; i < loaded->version_count; i++)
		{
			StoredVersion *version = &loaded->versions[i];

			if (version->is_erased && (version->vk == NULL || hdms_tombstone_names(tombstone, version->vk)))
				version->tombstone = text;
		}
		pfree(tombstone);
	}
	flow_rows_free();
}

static bool
has_erased(const RecordEvidence *loaded)
{
	for (int i = 0; i < loaded->version_count; i++)
	{
		if (loaded->versions[i].is_erased)
			return true;
	}
	return false;
}

/* The node that the first state, or what is left of it, is made out to: a patient may have another node by now. */
static char *
find_holder(const RecordEvidence *loaded)
{
	HdmsState	state;
	HdmsTombstone *tombstone = palloc(sizeof(HdmsTombstone));

	for (int i = 0; i < loaded->version_count; i++)
	{
		const char *stored = loaded->versions[i].state;

		if (stored != NULL && hdms_state_parse(stored, strlen(stored), true, &state) == HDMS_OK)
			return pstrdup(state.sub);
		stored = loaded->versions[i].tombstone;
		if (stored != NULL && hdms_tombstone_peek(stored, strlen(stored), tombstone) == HDMS_OK && tombstone->vk_count > 0)
			return pstrdup(tombstone->sub);
	}
	return NULL;
}

/* Whose node it is, or was: of a patient who was paired anew the invitation knows the node before. */
static bool
is_node_of(const char *node, const char *patient_ref)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT FROM hdms_internal.patients p WHERE p.patient_ref = $1 AND p.node_id = $2"
		" UNION ALL SELECT FROM hdms_internal.invitations i WHERE i.patient_ref = $1 AND i.used_by = $2 LIMIT 1", TEXTOID, TEXTOID);
	bool		found = flow_read(&find, flow_text(patient_ref), flow_text(node)) > 0;

	flow_rows_free();
	return found;
}

/* The keys, and the lists of notaries that the requests pin. */
static void
load_keys(RecordEvidence *loaded, EvidenceKeys *keys)
{
	char	  **lists = palloc(loaded->version_count * sizeof(char *));
	int			count = 0;

	for (int i = 0; i < loaded->version_count; i++)
	{
		const char *stored = loaded->versions[i].request;
		HdmsRequest request;

		if (stored != NULL && hdms_request_peek(stored, strlen(stored), &request) == HDMS_OK)
			lists[count++] = pstrdup(request.commit.notaries);
	}
	loaded->holder = find_holder(loaded);
	loaded->is_bound = loaded->holder != NULL && is_node_of(loaded->holder, loaded->patient_ref);
	loaded->patient_status = evidence_keys_fill(keys, loaded->holder, lists, count, &loaded->evidence);
	loaded->network_status = evidence_keys_network(keys);
	loaded->issuer_status = evidence_keys_issuer(keys);
}

/* The committed versions, in the order of their numbers. */
static void
collect_committed(RecordEvidence *loaded)
{
	HdmsEvidenceVersion *versions = palloc0(loaded->version_count * sizeof(HdmsEvidenceVersion));
	size_t		count = 0;

	for (int i = 0; i < loaded->version_count; i++)
	{
		const StoredVersion *stored = &loaded->versions[i];

		if (stored->is_committed)
			versions[count++] = (HdmsEvidenceVersion) {stored->state, stored->acceptance, stored->request, stored->receipt, stored->tombstone};
	}
	loaded->evidence.versions = versions;
	loaded->evidence.version_count = count;
}

RecordEvidence *
evidence_load(EvidenceKeys *keys, const pg_uuid_t *record)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "hdms evidence", ALLOCSET_DEFAULT_SIZES);
	RecordEvidence *loaded = MemoryContextAllocZero(context, sizeof(RecordEvidence));
	bool		found;

	MemoryContextSwitchTo(context);
	loaded->context = context;
	strlcpy(loaded->record, DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(record))), sizeof(loaded->record));
	found = load_versions(loaded, record);
	if (found && has_erased(loaded))
		load_tombstones(loaded, record);
	if (found)
	{
		load_keys(loaded, keys);
		collect_committed(loaded);
	}
	MemoryContextSwitchTo(caller);
	if (found)
		return loaded;
	evidence_free(loaded);
	return NULL;
}

void
evidence_free(RecordEvidence *loaded)
{
	MemoryContextDelete(loaded->context);
}

Datum
hdms_fn_export_evidence(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *record;
	MemoryContext caller = CurrentMemoryContext;
	char	  **json = guard_text();
	RecordEvidence *loaded;
	const HdmsEvidence *evidence;
	HdmsStatus	status;

	argument_required(fcinfo, 0, "record");
	record = PG_GETARG_UUID_P(0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	loaded = evidence_load(evidence_keys_open(CurrentMemoryContext), record);
	if (loaded == NULL)
		argument_unknown_record(record);
	evidence = &loaded->evidence;
	if (evidence->version_count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the record has no evidence yet"),
				 errdetail("None of its versions has been committed; the newest is %s.",
						   loaded->versions[loaded->version_count - 1].status)));
	if (evidence->network == NULL || evidence->issuer == NULL || evidence->patient == NULL || evidence->admission == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the record's evidence is incomplete"),
				 errhint("hdms.verify() says what is missing.")));
	status = hdms_evidence_print(evidence, json);
	if (status != HDMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not write the record's evidence: %s", hdms_status_sentence(status)),
				 errhint("hdms.verify() says what is wrong with it.")));
	audit_write_read("export evidence", record, 0, cstring_to_text(loaded->patient_ref), NULL);
	evidence_free(loaded);
	SPI_finish();
	MemoryContextSwitchTo(caller);
	PG_RETURN_TEXT_P(cstring_to_text(*json));
}
