/*
 * ledger_log.c
 *		This node's own log: a promise of every event and of every row of the audit trail.
 *
 * An entry is written by the transaction whose rows it covers, so it exists if and only if they do. Checkpoints are
 * signed some seconds apart, after that transaction is durable: a signature for each of the worker's transactions
 * would cost more than all else that is done for the log.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "flow_inside.h"
#include "join.h"
#include "ledger_audit.h"
#include "ledger_guard.h"
#include "ledger_log.h"
#include "ledger_mend.h"
#include "node.h"
#include "roster.h"
#include "settings.h"
#include "transaction.h"

#define AUDIT_EVERY_MS	1000

static FlowPlan insert_entry =
FLOW_PLAN("INSERT INTO hdms_internal.ledger_entries (index, leaf, kind, first_id, last_id, salt)"
		  " SELECT coalesce((SELECT max(e.index) FROM hdms_internal.ledger_entries e), -1) + 1, $1, $2, $3, $4, $5",
		  BYTEAOID, TEXTOID, INT8OID, INT8OID, BYTEAOID);

/* An entry to be written. */
typedef struct LedgerEntry
{
	int64		first_id;
	int64		last_id;
	unsigned char salt[LEDGER_SALT_SIZE];
	unsigned char leaf[LEDGER_LEAF_SIZE];
} LedgerEntry;

static bool has_grown = true;	/* since the last checkpoint; at the start nobody knows */
static TimestampTz audit_at;
static TimestampTz checkpoint_at;

static void
ledger_origin(char origin[HDMS_ORIGIN_MAX])
{
	hdms_ledger_origin(own_node.id, own_node.ledger_epoch, origin);
}

static MerkleLog ledger_log = {
	.name = "this node's own log",
	.consequence = "Nothing new is signed, so that no promise is broken.",
	.origin = ledger_origin,
	.before_store = ledger_guard_keep,
	MERKLE_LOG("ledger")
};

MerkleLog *
ledger_log_tree(void)
{
	return &ledger_log;
}

/* The entry for some rows of the last result. */
static void
entry_make(LedgerKind kind, uint64 first, uint64 count, int64 now, LedgerEntry *entry)
{
	unsigned char digest[HDMS_DIGEST_SIZE];

	entry->first_id = row_int64(first, 1);
	entry->last_id = row_int64(first + count - 1, 1);
	flow_require(hdms_random(entry->salt, sizeof(entry->salt)), "making a salt");
	ledger_digest_rows(kind, entry->salt, SPI_tuptable, first, count, digest);
	ledger_leaf_write(now, kind, digest, entry->leaf);
}

static void
entry_insert(LedgerKind kind, const LedgerEntry *entry)
{
	flow_run(&insert_entry, flow_bytes(entry->leaf, LEDGER_LEAF_SIZE), flow_text(ledger_kind_word(kind)),
			 flow_int64(entry->first_id), flow_int64(entry->last_id), flow_bytes(entry->salt, LEDGER_SALT_SIZE));
}

void
ledger_log_rows(LedgerKind kind, uint64 count)
{
	uint64		entry_count = (count + LEDGER_ENTRY_ROWS - 1) / LEDGER_ENTRY_ROWS;
	LedgerEntry *entries = palloc(sizeof(LedgerEntry) * Max(entry_count, 1));
	int64		now = node_now_ms();

	if (count > 0 && row_int64(count - 1, 1) - row_int64(0, 1) + 1 != (int64) count)
		elog(ERROR, "the new rows of %s have ids with gaps", ledger_kind_word(kind));
	for (uint64 i = 0; i < entry_count; i++)
		entry_make(kind, i * LEDGER_ENTRY_ROWS, Min(LEDGER_ENTRY_ROWS, count - i * LEDGER_ENTRY_ROWS), now, &entries[i]);
	flow_rows_free();
	for (uint64 i = 0; i < entry_count; i++)
		entry_insert(kind, &entries[i]);
	has_grown = has_grown || count > 0;
	pfree(entries);
}

/* Entries for all rows that there are of a kind. An entry covers the ids that are missing before its rows, too. */
static void
log_again(LedgerKind kind)
{
	static FlowPlan find_events = FLOW_PLAN("SELECT " LEDGER_EVENT_COLUMNS " FROM hdms_internal.events"
											" WHERE id > $1 ORDER BY id LIMIT $2", INT8OID, INT8OID);
	static FlowPlan find_audit = FLOW_PLAN("SELECT " LEDGER_AUDIT_COLUMNS " FROM hdms_internal.audit"
										   " WHERE id > $1 ORDER BY id LIMIT $2", INT8OID, INT8OID);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "hdms log again", ALLOCSET_DEFAULT_SIZES);
	int64		last_id = 0;
	uint64		count;

	do
	{
		LedgerEntry entry;

		MemoryContextSwitchTo(context);
		count = flow_run(kind == LEDGER_EVENTS ? &find_events : &find_audit, flow_int64(last_id), flow_int64(LEDGER_ENTRY_ROWS));
		if (count > 0)
			entry_make(kind, 0, count, node_now_ms(), &entry);
		flow_rows_free();
		if (count > 0)
		{
			entry.first_id = last_id + 1;
			last_id = entry.last_id;
			entry_insert(kind, &entry);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	while (count > 0);
	MemoryContextDelete(context);
}

void
ledger_log_renew(void)
{
	static FlowPlan drop = FLOW_PLAN_WITHOUT_ARGS(
		"TRUNCATE hdms_internal.ledger_entries, hdms_internal.ledger_tiles, hdms_internal.ledger_checkpoints");
	static const unsigned char none[HDMS_DIGEST_SIZE] = {0};

	flow_run_without_args(&drop);
	merkle_log_forget(&ledger_log);
	log_again(LEDGER_EVENTS);
	log_again(LEDGER_AUDIT);
	roster_report_ledger(0, none);
	has_grown = true;
}

static void
sign_checkpoint(void)
{
	HdmsCheckpoint checkpoint;

	transaction_begin("signing a checkpoint of the node's own log");
	(void) merkle_log_sign(&ledger_log);
	transaction_commit();
	has_grown = false;
	if (hdms_checkpoint_parse(ledger_log.note, strlen(ledger_log.note), &checkpoint) == HDMS_OK)
		roster_report_ledger(checkpoint.size, checkpoint.root);
}

/* A log that is damaged, and cannot be computed again, is no reason to try again: nothing is signed any more. */
static void
sign_or_halt(void)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *volatile damage = NULL;

	PG_TRY();
	{
		sign_checkpoint();
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_DATA_CORRUPTED)
			PG_RE_THROW();
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(caller);
		damage = CopyErrorData()->message;
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(caller);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	if (damage == NULL)
		return;
	transaction_begin("noting that the node's own log is damaged");
	if (!ledger_mend_now())
		join_halt(damage);
	transaction_commit();
}

static TimestampTz
in_milliseconds(int64 milliseconds)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
}

void
ledger_move(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now >= audit_at)
	{
		bool		more = ledger_audit_move();

		audit_at = more ? 0 : in_milliseconds(AUDIT_EVERY_MS);
	}
	ledger_mend();
	if (has_grown && now >= checkpoint_at)
	{
		sign_or_halt();
		checkpoint_at = in_milliseconds(setting_checkpoint_interval * INT64CONST(1000));
	}
}

long
ledger_timeout(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		timeout = TimestampDifferenceMilliseconds(now, audit_at);

	if (has_grown)
		timeout = Min(timeout, TimestampDifferenceMilliseconds(now, checkpoint_at));
	if (ledger_mend_timeout() >= 0)
		timeout = Min(timeout, ledger_mend_timeout());
	return timeout;
}
