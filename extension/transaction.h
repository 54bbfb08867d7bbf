/*
 * transaction.h
 *		The worker's transactions.
 */
#ifndef HDMS_EXT_TRANSACTION_H
#define HDMS_EXT_TRANSACTION_H

#include "postgres.h"

/* Begins a transaction with a snapshot and SPI. activity is what pg_stat_activity shows; a literal. */
extern void transaction_begin(const char *activity);

/* Commits durably and goes back to the memory context that transaction_begin() was called in. */
extern void transaction_commit(void);

/* The memory context that transaction_begin() was called in: for what must outlive the transaction. */
extern MemoryContext transaction_outside(void);

#endif
