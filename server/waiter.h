/*
 * waiter.h
 *		Requests that wait for mail: long polls and event streams.
 *
 * A waiter has one owner at a time. While it is busy its owner is whoever fetches or writes for it; when the owner parks
 * it, the table owns it, until a wake-up, its deadline or the end of the server makes it busy again and calls wake().
 * A wake-up that comes while it is busy is remembered, and parking then fails: so between "nothing there" and
 * "waiting" none is lost.
 */
#ifndef HDMS_SERVER_WAITER_H
#define HDMS_SERVER_WAITER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum WakeReason
{
	WAKE_MAIL, WAKE_DEADLINE, WAKE_STOP
} WakeReason;

typedef struct Waiter
{
	uint64_t	key;			/* the first eight characters of the node id */
	struct Waiter *next;		/* same bucket */
	struct Waiter **place;
	struct Waiter *wheel_next;	/* same slot of the wheel, while parked */
	struct Waiter **wheel_place;
	int64_t		deadline;		/* monotonic ms */
	void		(*wake) (struct Waiter *waiter, WakeReason reason);
	bool		parked;
	bool		woken;
} Waiter;

typedef struct WaiterTable WaiterTable;

extern WaiterTable *waiter_table_new(void);
extern void waiter_table_free(WaiterTable *table);

/* Registers a busy waiter. wake is set by the caller. */
extern void waiter_add(WaiterTable *table, Waiter *waiter, const char *node);

typedef enum ParkAnswer
{
	PARK_DONE, PARK_WOKEN, PARK_STOPPING
} ParkAnswer;

/* Gives a busy waiter away, unless it was woken since, or the server stops. */
extern ParkAnswer waiter_park(WaiterTable *table, Waiter *waiter, int64_t deadline);

/* Forgets that a busy waiter was woken, before its owner looks for itself. */
extern void waiter_reset(WaiterTable *table, Waiter *waiter);

/* Takes a busy waiter out. */
extern void waiter_remove(WaiterTable *table, Waiter *waiter);

/* Wakes all that wait for a node whose id begins with these eight characters; returns how many. */
extern int	waiters_wake(WaiterTable *table, const char *node);
extern void waiters_wake_all(WaiterTable *table);

/* Wakes those whose deadline has come. Called every tenth of a second or so. */
extern void waiters_tick(WaiterTable *table);

/* Wakes all with WAKE_STOP and lets none be parked any more. */
extern void waiters_stop(WaiterTable *table);

#endif
