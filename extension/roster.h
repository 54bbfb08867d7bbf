/*
 * roster.h
 *		Shared memory: which databases have a worker, and what it is doing.
 *
 * Only ids, counters, times and short texts are kept here, never an address or
 * a descriptor: a process that dies leaves nothing that another could trip over.
 */
#ifndef HDMS_EXT_ROSTER_H
#define HDMS_EXT_ROSTER_H

#include "postgres.h"

#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#include "bytes.h"
#include "verification.h"

#define ROSTER_SLOTS	64		/* databases with a worker */
#define ROSTER_HOLDS	64		/* DDL statements that keep a worker away, at the same time */
#define ROSTER_TEXT		500

typedef enum WorkerState
{
	WORKER_STOPPED,				/* not running; started again at next_start */
	WORKER_STARTING,			/* asked for; has not attached itself */
	WORKER_WITHOUT_EXTENSION,	/* stopped: the database lacks the extension */
	WORKER_OTHER_VERSION,		/* idle: the extension's version is not the library's */
	WORKER_WITHOUT_NETWORK,		/* idle: hdms.join_network() was not called */
	WORKER_WITHOUT_KEYS,		/* silent: the private keys are missing or owned by another database */
	WORKER_HALTED,				/* silent: this database contradicts what the node signed before */
	WORKER_JOINING,				/* registering, or waiting for admission */
	WORKER_ACTIVE
} WorkerState;

typedef struct WorkerCounters
{
	int64		rounds;
	int64		sent;			/* messages put */
	int64		received;		/* messages acted upon */
	int64		refused;
	int64		failures;		/* of talking to the server */
} WorkerCounters;

/* The newest checkpoint that this database's worker signed, or found to be right, since the server started. */
typedef struct LedgerHead
{
	int64		size;			/* 0: none */
	unsigned char root[HDMS_DIGEST_SIZE];
	TimestampTz at;
} LedgerHead;

typedef struct RosterSlot
{
	Oid			database;		/* InvalidOid: the slot is free */
	NameData	name;
	int			pid;			/* 0: no process is attached */
	int			procno;			/* index of its PGPROC: for its latch */
	WorkerState state;
	bool		wanted;			/* hdms.databases names it */
	bool		wants_vouchers; /* a backend found none that it can take */
	int			restarts;		/* in a row, for backing off */
	TimestampTz next_start;
	TimestampTz started_at;
	TimestampTz last_round;
	WorkerCounters counters;
	char		last_error[ROSTER_TEXT];
	VerificationProgress verification;
	LedgerHead	ledger;
} RosterSlot;

/* A statement of a backend during which a database must not have a worker. */
typedef struct RosterHold
{
	Oid			database;
	int			pid;			/* of the backend; 0: free */
} RosterHold;

typedef struct Roster
{
	LWLock	   *lock;
	ConditionVariable changed;	/* a worker has left */
	int			launcher_pid;
	int			launcher_procno;
	RosterHold	holds[ROSTER_HOLDS];
	RosterSlot	slots[ROSTER_SLOTS];
} Roster;

/* NULL where the library was not preloaded. */
extern Roster *roster;

extern void roster_request(void);	/* in _PG_init: asks for the memory */

/* Callers hold roster->lock. The slot of a database, or NULL. */
extern RosterSlot *roster_find(Oid database);
extern bool roster_is_held(Oid database);

/* The worker's own slot. Attaching is refused (false) while the database is held or another worker is attached. */
extern bool roster_attach(Oid database);
extern void roster_report(WorkerState state);
extern void roster_report_round(const WorkerCounters *counters);
extern void roster_report_error(const char *text);

/* Of the node's own log. Read by any process: size 0 where there is none or the database has no slot. */
extern void roster_report_ledger(int64 size, const unsigned char root[HDMS_DIGEST_SIZE]);
extern LedgerHead roster_ledger(Oid database);

/* Whether a backend has asked for vouchers since the last call. */
extern bool roster_vouchers_wanted(void);

/* Called by the launcher's main function. */
extern void roster_attach_launcher(void);
extern void roster_wake_launcher(void);

/*
 * Stops a database's worker and keeps it away until this backend's transaction ends.
 * Waits for the worker to be gone. No-op without shared memory.
 */
extern void roster_hold(Oid database);

/* When the current transaction commits, the launcher looks at this database anew at once. */
extern void roster_start_at_commit(Oid database);

extern const char *worker_state_word(WorkerState state);

#endif
