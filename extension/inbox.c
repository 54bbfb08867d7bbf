/*
 * inbox.c
 *		Messages received: stored, opened, acted upon, acknowledged.
 *
 * A first transaction stores the bytes and counts the attempt, so that a message that
 * takes the server down with it is known by its count. A second one acts, for
 * many messages at a time, each in a subtransaction. A message that failed, or was left by
 * a crash, is tried once more, alone; then it is quarantined: kept and shown,
 * never tried again by itself. Only after the second transaction the server is
 * told to forget the message.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "courier.h"
#include "directory.h"
#include "inbox.h"
#include "inbox_open.h"
#include "inbox_table.h"
#include "node.h"
#include "transaction.h"

#define BATCH			64		/* as many subtransactions as a snapshot holds without overflowing */
#define WAITING_EVERY_MS 1000

static HdmsParcel *fetched;
static size_t fetched_count;
static bool leftovers_due = true;
static bool waiting_due = true;
static TimestampTz waiting_at;
static int64 received;

/* The rows being acted upon: their attempts are taken back when the transaction fails for no fault of theirs. */
static int64 acting[BATCH];
static int	acting_count;
static int	forgive_count;

static MemoryContext message_context;

int64
inbox_received(void)
{
	return received;
}

void
inbox_take(HdmsParcel *parcels, size_t count)
{
	hdms_parcels_free(fetched, fetched_count);
	fetched = parcels;
	fetched_count = count;
}

void
inbox_reset(void)
{
	hdms_parcels_free(fetched, fetched_count);
	fetched = NULL;
	fetched_count = 0;
	leftovers_due = true;
	flow_notary_abort();
}

void
inbox_failed(int sqlerrcode)
{
	forgive_count = inbox_error_passes(sqlerrcode) ? acting_count : 0;
	acting_count = 0;
}

void
inbox_waiting_is_due(void)
{
	inbox_table_waiting_now();
	waiting_due = true;
}

long
inbox_timeout(void)
{
	return Max(0, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), waiting_at));
}

/* Errors that say more about the machine than about the message. */
bool
inbox_error_passes(int sqlerrcode)
{
	int			class = ERRCODE_TO_CATEGORY(sqlerrcode);

	return class == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR) ||
		sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* Acts in a subtransaction. NULL, or the error that it ended with. */
static ErrorData *
act_safely(const InboxRow *row, InboxVerdict *verdict)
{
	MemoryContext before = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(message_context);
	PG_TRY();
	{
		inbox_act(row, verdict);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(before);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		directory_forget();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	CurrentResourceOwner = owner;
	return error;
}

/* Where an error came from: its text could hold what a record says. */
static char *
describe_error(const ErrorData *error)
{
	return psprintf("SQLSTATE %s in %s, %s:%d", unpack_sql_state(error->sqlerrcode),
					error->funcname != NULL ? error->funcname : "?",
					error->filename != NULL ? error->filename : "?", error->lineno);
}

/* What a row was found to need after its batch. */
typedef enum RowEnd
{
	ROW_ENDED,					/* to be acknowledged */
	ROW_BATCHED,				/* to be finished by the notary */
	ROW_AGAIN					/* to be tried once more, alone */
} RowEnd;

static RowEnd
row_failed(const InboxRow *row, const InboxVerdict *verdict, ErrorData *error)
{
	char	   *where = describe_error(error);
	bool		passes = inbox_error_passes(error->sqlerrcode);
	bool		again = !passes && row->attempts < 2;

	ereport(LOG,
			(errmsg("acting upon message %s failed: %s", row->transport, where),
			 verdict->sender[0] != '\0' ? errdetail("It is a \"%s\" from %s.", verdict->type, verdict->sender) : 0));
	if (passes)
		inbox_table_wait(row->id, where, row->received_at);
	else if (!again)
		inbox_table_quarantine(row->id, where);
	FreeErrorData(error);
	return again ? ROW_AGAIN : ROW_ENDED;
}

/* Writes down what became of a row, in the batch's transaction. */
static RowEnd
row_ended(const InboxRow *row, const InboxVerdict *verdict)
{
	switch (verdict->outcome)
	{
		case FLOW_BATCHED:
			return ROW_BATCHED;
		case FLOW_WAIT:
			inbox_table_wait(row->id, verdict->reason, row->received_at);
			return ROW_ENDED;
		case FLOW_REFUSED:
			inbox_table_refuse(row->transport, verdict->sender, verdict->type, verdict->reason != NULL ? verdict->reason : "refused");
			break;
		case FLOW_DONE:
			received++;
			break;
	}
	return ROW_ENDED;
}

/* The notary's part, after the batch is durable: signs and answers. */
static void
finish_notary(InboxRow *rows, int count)
{
	int64	   *ids;
	int			id_count;

	if (!flow_notary_pending())
		return;
	transaction_begin("answering requests to notarise");
	flow_notary_finish(&ids, &id_count);
	inbox_table_remove(ids, id_count);
	for (int i = 0; i < id_count; i++)
	{
		for (int j = 0; j < count; j++)
		{
			if (rows[j].id == ids[i])
				mail_acknowledge(rows[j].transport);
		}
	}
	received += id_count;
	transaction_commit();
}

/* Acts upon rows whose attempt has been counted. Gives back those to be tried alone, first in rows, and how many. */
static int
act_on_batch(InboxRow *rows, int count)
{
	RowEnd		ends[BATCH];
	int64		removed[BATCH];
	int			removed_count = 0;
	int			again = 0;

	acting_count = 0;
	for (int i = 0; i < count; i++)
		acting[acting_count++] = rows[i].id;

	transaction_begin("acting upon messages");
	for (int i = 0; i < count; i++)
	{
		InboxVerdict verdict = {0};
		ErrorData  *error = act_safely(&rows[i], &verdict);

		CHECK_FOR_INTERRUPTS();
		ends[i] = error != NULL ? row_failed(&rows[i], &verdict, error) : row_ended(&rows[i], &verdict);
		if (error == NULL && (verdict.outcome == FLOW_DONE || verdict.outcome == FLOW_REFUSED))
			removed[removed_count++] = rows[i].id;
		MemoryContextReset(message_context);
	}
	inbox_table_remove(removed, removed_count);
	transaction_commit();
	acting_count = 0;

	for (int i = 0; i < count; i++)
	{
		if (ends[i] == ROW_ENDED)
			mail_acknowledge(rows[i].transport);
	}
	finish_notary(rows, count);
	directory_forget();
	for (int i = 0; i < count; i++)
	{
		if (ends[i] == ROW_AGAIN)
			rows[again++] = rows[i];
	}
	return again;
}

/* Counts one more attempt of one row and acts upon it, or quarantines it. */
static void
act_alone(InboxRow *row)
{
	if (row->attempts >= 2)
	{
		transaction_begin("quarantining a message");
		inbox_table_quarantine(row->id, "the server went down twice while it acted upon this message");
		transaction_commit();
		mail_acknowledge(row->transport);
		return;
	}
	transaction_begin("counting an attempt");
	inbox_table_count_attempt(row->id);
	transaction_commit();
	row->attempts++;
	act_on_batch(row, 1);
}

static void
act_on_rows(InboxRow *rows, int count)
{
	for (int first = 0; first < count; first += BATCH)
	{
		InboxRow   *batch = rows + first;
		int			again = act_on_batch(batch, Min(BATCH, count - first));

		for (int i = 0; i < again; i++)
			act_alone(&batch[i]);
	}
}

bool
inbox_round(void)
{
	TimestampTz now = GetCurrentTimestamp();
	InboxRow   *rows;
	int			count = 0;
	bool		more = false;

	if (message_context == NULL)
		message_context = AllocSetContextCreate(TopMemoryContext, "hdms message", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(message_context);
	if (forgive_count > 0)
	{
		transaction_begin("taking back attempts");
		inbox_table_forgive(acting, forgive_count);
		transaction_commit();
		forgive_count = 0;
	}
	if (leftovers_due)
	{
		/* Before anything is fetched: what is left now is from before this start or error. */
		while ((count = inbox_table_leftovers(&rows, BATCH)) > 0)
		{
			for (int i = 0; i < count; i++)
				act_alone(&rows[i]);
		}
		leftovers_due = false;
	}
	if (fetched_count > 0)
	{
		count = inbox_table_store(fetched, fetched_count, &rows);
		act_on_rows(rows, count);
		hdms_parcels_free(fetched, fetched_count);
		fetched = NULL;
		fetched_count = 0;
		more = true;
	}
	if (waiting_due || now >= waiting_at)
	{
		count = inbox_table_claim_waiting(&rows, BATCH);
		act_on_rows(rows, count);
		waiting_due = count == BATCH;
		waiting_at = TimestampTzPlusMilliseconds(now, WAITING_EVERY_MS);
		more = more || count > 0;
	}
	return more;
}
