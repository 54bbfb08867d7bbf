/*
 * inbox_open.h
 *		Opens one received envelope and acts on it.
 */
#ifndef HDMS_EXT_INBOX_OPEN_H
#define HDMS_EXT_INBOX_OPEN_H

#include "postgres.h"

#include "flow.h"

/* A row of hdms_internal.inbox. */
typedef struct InboxRow
{
	int64		id;
	char		transport[HDMS_DIGEST_TEXT + 1];
	char	   *envelope;
	size_t		len;
	int			attempts;		/* this one included */
	int64		received_at;	/* seconds since 1970 */
} InboxRow;

/* What became of it. Strings that could not be read are "". */
typedef struct InboxVerdict
{
	FlowOutcome outcome;
	char	   *reason;			/* palloc'ed; NULL when done */
	char		sender[HDMS_DIGEST_TEXT + 1];	/* as claimed */
	char		type[HDMS_MESSAGE_TYPE_MAX];
} InboxVerdict;

/*
 * Opens, verifies, and hands to flow_message(), in the current (sub)transaction. Memory that is not
 * palloc'ed is freed with the current memory context. Raises what the handler raises.
 */
extern void inbox_act(const InboxRow *row, InboxVerdict *verdict);

#endif
