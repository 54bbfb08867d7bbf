/*
 * flow_inside.h
 *		What the flow_*.c files need of each other.
 *
 * Handlers are safe to run twice for one message: what a message asks for is decided
 * from what is stored, so a duplicate gets its answer again and changes nothing.
 */
#ifndef HDMS_EXT_FLOW_INSIDE_H
#define HDMS_EXT_FLOW_INSIDE_H

#include "postgres.h"

#include "flow.h"

/* Limits of one call, so that the worker comes round to its messages soon. */
#define FLOW_BATCH	200

/* A message whose sender, issuer or list nobody knows is given up after this many seconds. */
#define FLOW_LOOKUP_PATIENCE	86400

typedef FlowOutcome (*FlowHandler) (const FlowMessage *message, char **reason);

/* flow_pairing.c */
extern FlowOutcome flow_pair(const FlowMessage *message, char **reason);

/* flow_replace.c: the patient's binding has moved away from that node; what it had goes on with the new one. */
extern void flow_replace(const char *patient_ref, const char *old_node);

/* flow_storing.c */
extern FlowOutcome flow_accepted(const FlowMessage *message, char **reason);

/* flow_ending.c */
extern FlowOutcome flow_rejected(const FlowMessage *message, char **reason);
extern FlowOutcome flow_refused(const FlowMessage *message, char **reason);
extern int	flow_expire(int limit);

/* flow_notary.c */
extern FlowOutcome flow_notarise(const FlowMessage *message, char **reason);

/* flow_probe.c */
extern FlowOutcome flow_silent(const FlowMessage *message, char **reason);
extern FlowOutcome flow_probe(const FlowMessage *message, char **reason);
extern FlowOutcome flow_probe_reply(const FlowMessage *message, char **reason);

/* Ends probes whose time is up. Returns the seconds until it wants to look again; 60: nothing is open. */
extern int	flow_probe_timers(void);

/* flow_keys.c */
extern FlowOutcome flow_keys(const FlowMessage *message, char **reason);

/* flow_rekey.c: signs versions under way anew after the signing key was replaced. Returns the seconds until it wants to look again. */
extern int	flow_rekey(void);

/* flow_want.c */
extern FlowOutcome flow_want(const FlowMessage *message, char **reason);

/* flow_copies.c */
extern FlowOutcome flow_copies(const FlowMessage *message, char **reason);

/* flow_repair.c: asks for what is to be repaired or recovered. Returns the seconds until it wants to look again. */
extern int	flow_repair_timers(void);
/* flow_witness.c: this node as a witness of others' logs */
extern FlowOutcome flow_witness(const FlowMessage *message, char **reason);

/* flow_cosigned.c: the witnesses of this node's own logs. The timer asks them; it returns the seconds until it wants to again. */
extern FlowOutcome flow_cosigned(const FlowMessage *message, char **reason);
extern int	flow_witness_timers(void);

/* Puts the answer to a message. */
extern void flow_answer(const FlowMessage *message, const char *type, int64 version_id, bool awaited, const HdmsBody *body);

/* Answers "refused" and gives FLOW_REFUSED with the code as the reason. detail, receipt: may be NULL. */
extern FlowOutcome flow_answer_refused(const FlowMessage *message, const char *code, const char *detail, char *receipt,
									   char **reason);

/* FLOW_REFUSED without an answer; FLOW_WAIT. why is copied. */
extern FlowOutcome flow_drop(char **reason, const char *why);
extern FlowOutcome flow_wait(char **reason, const char *why);

/* Raises an ERROR when the status is not HDMS_OK: for what can only fail for want of memory or for a damaged database. */
extern void flow_require(HdmsStatus status, const char *what);

#endif
