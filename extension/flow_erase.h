/*
 * flow_erase.h
 *		Records that are to be erased, and their tombstones.
 */
#ifndef HDMS_EXT_FLOW_ERASE_H
#define HDMS_EXT_FLOW_ERASE_H

#include "flow.h"
#include "flow_version.h"

/* A duty of flow_timers(): erases what was asked for. Returns the seconds until it wants to look again. */
extern int	flow_erase_asked(void);

/*
 * Before this node acts upon anything the whole journal of erasures is held against the database, a piece with each call, in a transaction: a
 * backup may have brought content back.
 */
extern bool flow_erase_is_caught_up(void);
extern void flow_erase_catch_up(void);

/* A duty of flow_timers(): holds the database against the journal, time and again, a piece at a time. */
extern int	flow_erase_compare(void);

/* Whether somebody asked for the record to be erased; then what is left of it, or was added meanwhile, goes soon. */
extern bool flow_erase_is_due(const char *record);

/* Answers a message about a version that was erased: with its tombstone. */
extern void flow_answer_erased(const FlowMessage *message, const VersionRow *version);

/* The message "erasure": what became of the patient's own copy. */
extern FlowOutcome flow_erasure(const FlowMessage *message, char **reason);

#endif
