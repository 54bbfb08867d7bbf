/*
 * ledger_mend.c
 *		Puts this node's own log in order again after somebody rewrote it.
 *
 * Who has all rights in the database can change a record, and with it every digest that the log has of it, but not what
 * the checkpoint signed. So once the record is put back, those digests are computed again from what is there; and
 * where that gives the root of the newest checkpoint, it is what was there before, proven, whoever had changed
 * how much. Where it does not, nothing is touched: what differs is a row that nobody else has a copy of,
 * and the log's own digests are all that is left to show it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "flow.h"
#include "flow_plan.h"
#include "ledger_log.h"
#include "ledger_mend.h"
#include "transaction.h"

#define ENTRIES_AT_ONCE	500
#define AT_MOST_EVERY_MS	10000	/* it reads the whole log */

/* As ledger_evidence_digest(). A version without a state was erased: its digest cannot be computed again. */
static FlowPlan renew_evidence =
FLOW_PLAN_WITHOUT_ARGS("UPDATE hdms_internal.events e SET evidence = d.digest"
					   " FROM (SELECT v.id, sha256(convert_to('hdms.v1/evidence' || v.vk, 'UTF8') || sha256(convert_to(p.state, 'UTF8'))"
					   "   || sha256(convert_to(coalesce(p.acceptance, ''), 'UTF8')) || sha256(convert_to(coalesce(p.request, ''), 'UTF8'))"
					   "   || sha256(convert_to(coalesce(p.receipt, ''), 'UTF8'))) AS digest"
					   "  FROM hdms_internal.versions v JOIN hdms_internal.payloads p ON p.id = v.id WHERE p.state IS NOT NULL) d"
					   " WHERE d.id = e.version_id AND e.evidence IS NOT NULL AND e.evidence <> d.digest");

static FlowPlan find_entries =
FLOW_PLAN("SELECT index, leaf, kind, first_id, last_id, salt FROM hdms_internal.ledger_entries WHERE index >= $1 ORDER BY index LIMIT $2",
		  INT8OID, INT8OID);

static FlowPlan find_events =
FLOW_PLAN("SELECT " LEDGER_EVENT_COLUMNS " FROM hdms_internal.events WHERE id BETWEEN $1 AND $2 ORDER BY id", INT8OID, INT8OID);

static FlowPlan find_audit =
FLOW_PLAN("SELECT " LEDGER_AUDIT_COLUMNS " FROM hdms_internal.audit WHERE id BETWEEN $1 AND $2 ORDER BY id", INT8OID, INT8OID);

static FlowPlan set_leaf =
FLOW_PLAN("UPDATE hdms_internal.ledger_entries SET leaf = $2 WHERE index = $1", INT8OID, BYTEAOID);

typedef struct MendEntry
{
	int64		index;
	LedgerKind	kind;
	int64		first_id;
	int64		last_id;
	unsigned char salt[LEDGER_SALT_SIZE];
	unsigned char leaf[LEDGER_LEAF_SIZE];
	bool		is_whole;		/* salt and leaf have their lengths */
} MendEntry;

static bool is_wanted;
static TimestampTz not_before;

void
ledger_mend_soon(void)
{
	is_wanted = true;
}

static bool
copy_bytes(uint64 row, int column, unsigned char *out, size_t size)
{
	bytea	   *value = row_bytea(row, column);

	if (value == NULL || VARSIZE_ANY_EXHDR(value) != size)
		return false;
	memcpy(out, VARDATA_ANY(value), size);
	return true;
}

static uint64
read_entries(int64 from, int64 end, MendEntry *entries)
{
	uint64		count = flow_run(&find_entries, flow_int64(from), flow_int64(Min(ENTRIES_AT_ONCE, end - from)));

	for (uint64 i = 0; i < count; i++)
	{
		MendEntry  *entry = &entries[i];

		entry->index = row_int64(i, 1);
		entry->is_whole = copy_bytes(i, 2, entry->leaf, LEDGER_LEAF_SIZE) && copy_bytes(i, 6, entry->salt, LEDGER_SALT_SIZE);
		entry->kind = strcmp(row_text(i, 3), ledger_kind_word(LEDGER_EVENTS)) == 0 ? LEDGER_EVENTS : LEDGER_AUDIT;
		entry->first_id = row_int64(i, 4);
		entry->last_id = row_int64(i, 5);
	}
	flow_rows_free();
	return count;
}

/* The digest in the leaf, from the rows as they are; the leaf's time stays. */
static void
renew_leaf(const MendEntry *entry)
{
	unsigned char leaf[LEDGER_LEAF_SIZE];
	unsigned char digest[HDMS_DIGEST_SIZE];
	uint64		count;

	if (!entry->is_whole || entry->last_id - entry->first_id >= LEDGER_ENTRY_ROWS)
		return;
	count = flow_run(entry->kind == LEDGER_EVENTS ? &find_events : &find_audit,
					 flow_int64(entry->first_id), flow_int64(entry->last_id));
	if (count > 0)
		ledger_digest_rows(entry->kind, entry->salt, SPI_tuptable, 0, count, digest);
	flow_rows_free();
	if (count == 0)
		return;
	memcpy(leaf, entry->leaf, LEDGER_LEAF_SIZE);
	leaf[LEDGER_LEAF_SIZE - HDMS_DIGEST_SIZE - 1] = (unsigned char) entry->kind;
	memcpy(leaf + LEDGER_LEAF_SIZE - HDMS_DIGEST_SIZE, digest, HDMS_DIGEST_SIZE);
	if (memcmp(leaf, entry->leaf, LEDGER_LEAF_SIZE) != 0)
		flow_run(&set_leaf, flow_int64(entry->index), flow_bytes(leaf, LEDGER_LEAF_SIZE));
}

/* Of the entries that a checkpoint covers: of a later one nobody could say afterwards whether the leaf or the row was right. */
static void
renew_leaves(int64 end)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "hdms mending", ALLOCSET_DEFAULT_SIZES);
	MendEntry  *entries = palloc(sizeof(MendEntry) * ENTRIES_AT_ONCE);
	int64		next = 0;
	uint64		count;

	MemoryContextSwitchTo(context);
	while (next < end && (count = read_entries(next, end, entries)) > 0)
	{
		for (uint64 i = 0; i < count; i++)
			renew_leaf(&entries[i]);
		next = entries[count - 1].index + 1;
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	pfree(entries);
}

/* One way to put it in order. False, with nothing changed, when the result is not what was signed. */
static bool
attempt(bool leaves_too)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool is_mended = false;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		if (leaves_too)
		{
			flow_run_without_args(&renew_evidence);
			renew_leaves(merkle_log_promised_size(ledger_log_tree()));
		}
		merkle_log_rebuild(ledger_log_tree());
		ReleaseCurrentSubTransaction();
		is_mended = true;
	}
	PG_CATCH();
	{
		int			sqlerrcode = geterrcode();

		MemoryContextSwitchTo(caller);
		if (sqlerrcode != ERRCODE_DATA_CORRUPTED)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return is_mended;
}

bool
ledger_mend_now(void)
{
	/* The leaves may have been rewritten together with what they cover; or be right, and only hashes above them changed. */
	return merkle_log_promised_size(ledger_log_tree()) > 0 && (attempt(true) || attempt(false));
}

long
ledger_mend_timeout(void)
{
	return is_wanted ? TimestampDifferenceMilliseconds(GetCurrentTimestamp(), not_before) : -1;
}

void
ledger_mend(void)
{
	if (!is_wanted || GetCurrentTimestamp() < not_before)
		return;
	is_wanted = false;
	not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), AT_MOST_EVERY_MS);
	transaction_begin("putting the node's own log in order");

	if (!ledger_mend_now())
		ereport(LOG,
				(errmsg("the node's own log is not what its newest checkpoint signed, and computing it again does not make it so"),
				 errhint("hdms.verify_ledger() says which rows differ. A record is put back by hdms.repair(); rows of events and of the audit trail only by a backup.")));
	transaction_commit();
}
