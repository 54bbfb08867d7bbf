/*
 * flow.h
 *		What messages and timers do. Called by the worker's loop, each in a transaction with SPI connected.
 */
#ifndef HDMS_EXT_FLOW_H
#define HDMS_EXT_FLOW_H

#include "postgres.h"

#include "flow_body.h"
#include "history.h"
#include "message.h"

/* An opened and verified message. Everything lives until the handler returns. */
typedef struct FlowMessage
{
	const HdmsMessageHead *head;
	const HdmsBody *body;
	const HdmsHistory *sender;	/* pinned, as it is now */
	int64		inbox_id;
	bool		duplicate;		/* this (iss, jti) was acted upon before: answer again, change nothing */
} FlowMessage;

typedef enum FlowOutcome
{
	FLOW_DONE,					/* acted upon: record jti, acknowledge to the server, delete from the inbox */
	FLOW_REFUSED,				/* refused for good: *reason says why */
	FLOW_WAIT,					/* something must be looked up first: *reason says what; tried again later */
	FLOW_BATCHED				/* the notary took it: it is finished by flow_notary_finish() */
} FlowOutcome;

/*
 * Acts on one message. Runs in a subtransaction: an ERROR rolls it back, is logged, and
 * counts as an attempt. *reason: palloc'ed, without health data. Handlers for "ack" and "re"
 * (outbox_answered) are here too.
 */
extern FlowOutcome flow_message(const FlowMessage *message, char **reason);

/*
 * The notary's batch. flow_message() collects verified requests (FLOW_BATCHED) and appends them to the
 * log in the transaction of the inbox round. After that transaction is durable the loop calls
 * flow_notary_finish() in a new one: it signs one checkpoint, makes the receipts, and gives back the
 * inbox ids to be finished (palloc'ed array). flow_notary_abort() forgets a batch whose transaction failed.
 */
extern bool flow_notary_pending(void);
extern void flow_notary_finish(int64 **inbox_ids, int *count);
extern void flow_notary_abort(void);

/* A message has queued a version, or paired a patient whose records wait. Tells so once. */
extern void flow_issue_soon(void);
extern bool flow_issue_is_due(void);
extern void flow_timers_soon(void);
extern bool flow_timers_are_due(void);

/* Takes up to limit rows of the issue queue, builds states and commits, queues "record" messages. Returns how many; limit means there may be more. */
extern int	flow_issue(int limit);

/*
 * Timers: expiry, probes, invitations, vouchers in stock, waiting records whose patient has paired,
 * purging. Bounded work. Returns the seconds until it wants to be called again (at most 60).
 */
extern int	flow_timers(void);

/* The next event row, written when the current transaction commits. Any of the pointers may be NULL; version_id 0: none. */
extern void event_write(const char *kind, const char *record, int64 version_id, const char *patient_ref,
						const char *source_id, const char *status, const char *reason);

/* The same with what ledger_evidence_digest() made of the bytes that a version ended with, HDMS_DIGEST_SIZE bytes or NULL. */
extern void event_write_evidence(const char *kind, const char *record, int64 version_id, const char *patient_ref,
								 const char *source_id, const char *status, const char *reason, const unsigned char *evidence);

/*
 * A change of a patient's binding. The newest such event of a patient tells what hdms_internal.patients must say of
 * status and node_id, so each of the worker's changes of these two columns needs one. node_id may be NULL: none.
 */
extern void event_write_binding(const char *kind, const char *patient_ref, const char *node_id, const char *status,
								const char *reason);

#endif
