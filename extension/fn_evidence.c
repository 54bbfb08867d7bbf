/*
 * fn_evidence.c
 *		A record with everything that its verification needs, and its evidence as one file.
 *
 * What protocol/ allocates is freed by a callback of the memory context that all of this lives in, so an
 * error anywhere leaks nothing.
 */
#include "postgres.h"

#include <stdlib.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fn_argument.h"
#include "fn_audit.h"
#include "fn_evidence.h"
#include "malloc_guard.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_export_evidence);

/* protocol/'s memory, for the callback. */
typedef struct Parsed
{
	MemoryContextCallback callback;
	HdmsKey    *network;
	HdmsHistory *issuer;
	HdmsHistory *patient;
	HdmsNotaryList *lists;
	int			list_count;
} Parsed;

static void
free_parsed(void *arg)
{
	Parsed	   *parsed = arg;

	hdms_key_free(parsed->network);
	hdms_history_free(parsed->issuer);
	hdms_history_free(parsed->patient);
	for (int i = 0; i < parsed->list_count; i++)
		hdms_notaries_free(&parsed->lists[i]);
}

static uint64
run(const char *sql, Oid type, Datum value)
{
	int			result = SPI_execute_with_args(sql, OidIsValid(type) ? 1 : 0, &type, &value, NULL, false, 0);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", sql, SPI_result_code_string(result));
	return SPI_processed;
}

/* A text of the result, copied into context. NULL for an SQL NULL. */
static char *
copy_text(MemoryContext context, uint64 row, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

	return value != NULL ? MemoryContextStrdup(context, value) : NULL;
}

static int64
result_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void
load_version(RecordEvidence *loaded, uint64 row, StoredVersion *version)
{
	MemoryContext context = loaded->context;
	char	   *reason = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 21);
	bool		isnull;
	bytea	   *digest;

	version->id = result_int64(row, 1);
	version->ordinal = (int32) result_int64(row, 2);
	version->status = copy_text(context, row, 3);
	version->is_late = strcmp(version->status, "superseded") == 0 && reason != NULL && strcmp(reason, "late") == 0;
	version->is_committed = !version->is_late &&
		(strcmp(version->status, "committed") == 0 || strcmp(version->status, "superseded") == 0);
	version->version = (int32) result_int64(row, 4);
	version->vk = copy_text(context, row, 5);
	version->prev = copy_text(context, row, 6);
	version->notary = copy_text(context, row, 7);
	version->leaf_ms = result_int64(row, 8);
	version->issued_at = result_int64(row, 9);
	version->ended_at = result_int64(row, 10);
	digest = DatumGetByteaPP(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 11, &isnull));
	memcpy(version->digest, VARDATA_ANY(digest), Min(VARSIZE_ANY_EXHDR(digest), HDMS_DIGEST_SIZE));
	version->content = copy_text(context, row, 12);
	version->state = copy_text(context, row, 13);
	version->acceptance = copy_text(context, row, 14);
	version->request = copy_text(context, row, 15);
	version->receipt = copy_text(context, row, 16);
	version->rejection = copy_text(context, row, 17);
}

static void
load_versions(RecordEvidence *loaded, const pg_uuid_t *record)
{
	uint64		count = run("SELECT v.id, v.ordinal::bigint, v.status, v.version::bigint, v.vk, v.prev, v.notary,"
							" pg_catalog.round(extract(epoch FROM v.leaf_at) * 1000)::bigint,"
							" extract(epoch FROM v.issued_at)::bigint, extract(epoch FROM v.ended_at)::bigint,"
							" v.content_digest, pl.content, pl.state, pl.acceptance, pl.request, pl.receipt, pl.rejection,"
							" r.patient_ref, r.type, r.committed::bigint, v.reason"
							" FROM hdms_internal.records r JOIN hdms_internal.versions v ON v.record = r.record"
							" LEFT JOIN hdms_internal.payloads pl ON pl.id = v.id"
							" WHERE r.record = $1 ORDER BY v.ordinal", UUIDOID, UUIDPGetDatum(record));

	if (count == 0)
		argument_unknown_record(record);
	loaded->versions = MemoryContextAllocZero(loaded->context, count * sizeof(StoredVersion));
	loaded->version_count = (int) count;
	for (uint64 row = 0; row < count; row++)
		load_version(loaded, row, &loaded->versions[row]);
	loaded->patient_ref = copy_text(loaded->context, 0, 18);
	loaded->type = copy_text(loaded->context, 0, 19);
	loaded->committed = result_int64(0, 20);
}

/* The network key and this node's own history and admission. */
static void
load_own_node(RecordEvidence *loaded, Parsed *parsed)
{
	char	   *network_key;
	char	   *history;

	loaded->network_status = loaded->issuer_status = HDMS_NOT_ADMITTED;
	if (run("SELECT network, network_key, history, admission FROM hdms_internal.node", InvalidOid, (Datum) 0) == 0)
		return;
	loaded->fingerprint = copy_text(loaded->context, 0, 1);
	network_key = copy_text(loaded->context, 0, 2);
	history = copy_text(loaded->context, 0, 3);
	loaded->evidence.admission = copy_text(loaded->context, 0, 4);
	if (network_key != NULL)
		loaded->network_status = hdms_key_from_jwk(network_key, strlen(network_key), &parsed->network);
	if (history != NULL)
		loaded->issuer_status = hdms_history_parse(history, strlen(history), &parsed->issuer);
	if (parsed->network != NULL && strcmp(hdms_key_thumbprint(parsed->network), loaded->fingerprint) != 0)
		loaded->network_status = HDMS_BAD_KEY;
	else
		loaded->evidence.network = parsed->network;
	loaded->evidence.issuer = parsed->issuer;
}

/* The history of the node that the first state is made out to: a patient may have another node by now. */
static void
load_patient(RecordEvidence *loaded, Parsed *parsed)
{
	HdmsState	state;

	loaded->patient_status = HDMS_UNKNOWN_KEY;
	for (int i = 0; i < loaded->version_count; i++)
	{
		const char *stored = loaded->versions[i].state;
		char	   *history;

		if (stored == NULL || hdms_state_parse(stored, strlen(stored), true, &state) != HDMS_OK)
			continue;
		if (run("SELECT history FROM hdms_internal.peers WHERE node_id = $1", TEXTOID, CStringGetTextDatum(state.sub)) == 0)
			return;
		history = copy_text(loaded->context, 0, 1);
		loaded->patient_status = hdms_history_parse(history, strlen(history), &parsed->patient);
		loaded->evidence.patient = parsed->patient;
		return;
	}
}

/* The lists of notaries that the requests pin. */
static void
load_lists(RecordEvidence *loaded, Parsed *parsed)
{
	Datum	   *digests = palloc(loaded->version_count * sizeof(Datum));
	int			count = 0;
	uint64		found;

	if (parsed->network == NULL)
		return;
	for (int i = 0; i < loaded->version_count; i++)
	{
		const char *stored = loaded->versions[i].request;
		HdmsRequest request;

		if (stored != NULL && hdms_request_peek(stored, strlen(stored), &request) == HDMS_OK)
			digests[count++] = CStringGetTextDatum(request.commit.notaries);
	}
	found = run("SELECT jws FROM hdms_internal.notary_lists WHERE digest = ANY ($1)", TEXTARRAYOID,
				PointerGetDatum(construct_array(digests, count, TEXTOID, -1, false, TYPALIGN_INT)));
	parsed->lists = MemoryContextAllocZero(loaded->context, Max(found, 1) * sizeof(HdmsNotaryList));
	for (uint64 row = 0; row < found; row++)
	{
		char	   *jws = copy_text(loaded->context, row, 1);

		/* A list that is not right is as good as none: the check that needs it fails. */
		if (hdms_notaries_parse(jws, strlen(jws), parsed->network, &parsed->lists[parsed->list_count]) == HDMS_OK)
			parsed->list_count++;
	}
	loaded->evidence.lists = parsed->lists;
	loaded->evidence.list_count = parsed->list_count;
}

/* The committed versions, in the order of their numbers. */
static void
collect_committed(RecordEvidence *loaded)
{
	HdmsEvidenceVersion *versions = MemoryContextAllocZero(loaded->context, loaded->version_count * sizeof(HdmsEvidenceVersion));
	size_t		count = 0;

	for (int i = 0; i < loaded->version_count; i++)
	{
		const StoredVersion *stored = &loaded->versions[i];

		if (stored->is_committed)
			versions[count++] = (HdmsEvidenceVersion) {stored->state, stored->acceptance, stored->request, stored->receipt};
	}
	loaded->evidence.versions = versions;
	loaded->evidence.version_count = count;
}

RecordEvidence *
evidence_load(const pg_uuid_t *record)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hdms evidence", ALLOCSET_DEFAULT_SIZES);
	RecordEvidence *loaded = MemoryContextAllocZero(context, sizeof(RecordEvidence));
	Parsed	   *parsed = MemoryContextAllocZero(context, sizeof(Parsed));

	parsed->callback.func = free_parsed;
	parsed->callback.arg = parsed;
	MemoryContextRegisterResetCallback(context, &parsed->callback);
	loaded->context = context;
	strlcpy(loaded->record, DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(record))), sizeof(loaded->record));
	load_versions(loaded, record);
	load_own_node(loaded, parsed);
	load_patient(loaded, parsed);
	load_lists(loaded, parsed);
	collect_committed(loaded);
	return loaded;
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
	loaded = evidence_load(record);
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
