/*
 * wake.h
 *		Backends tell their database's worker that there is work, after their commit.
 */
#ifndef HDMS_EXT_WAKE_H
#define HDMS_EXT_WAKE_H

/* To be called inside a transaction: sets the worker's latch when (and only if) it commits. No-op without shared memory. */
extern void wake_worker_at_commit(void);

/* Now: for a backend that waits until there are vouchers that it can take. False when no worker serves this database. */
extern bool wake_worker_for_vouchers(void);

#endif
