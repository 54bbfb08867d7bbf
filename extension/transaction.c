/*
 * transaction.c
 *		The worker's transactions.
 *
 * Without the reports of statistics autovacuum would never learn of the worker's
 * writes; without the timestamp its transactions would all seem to begin when it did.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "utils/snapmgr.h"

#include "pending.h"
#include "transaction.h"

static MemoryContext outside;

void
transaction_begin(const char *activity)
{
	outside = CurrentMemoryContext;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

void
transaction_commit(void)
{
	pending_write();
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(outside);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

MemoryContext
transaction_outside(void)
{
	return outside;
}
