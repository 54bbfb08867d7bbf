/*
 * flow_keys.c
 *		"keys": another node has replaced keys.
 *
 * The history speaks for itself: it continues the pinned one or it is refused. So it does not matter who passes it on,
 * and whoever has a replaced key gains nothing by sending it.
 */
#include "postgres.h"

#include "directory.h"
#include "flow_inside.h"
#include "inbox.h"
#include "malloc_guard.h"
#include "outbox.h"

FlowOutcome
flow_keys(const FlowMessage *message, char **reason)
{
	HdmsHistory **history = guard_history();
	const char *text = message->body->history;
	HdmsStatus	status = hdms_history_parse(text, strlen(text), history);
	char		sender[HDMS_DIGEST_TEXT + 1];

	strlcpy(sender, message->head->iss, sizeof(sender));
	if (status == HDMS_OUT_OF_MEMORY)
		flow_require(status, "a key history");
	if (status != HDMS_OK)
		return flow_drop(reason, hdms_status_word(status));
	if (strcmp(hdms_history_node_id(*history), sender) != 0)
		return flow_drop(reason, hdms_status_word(HDMS_WRONG_SENDER));
	if (!directory_pin(history))
		return flow_drop(reason, "false-key");
	directory_want_node(sender);	/* what came from the node itself must be in the directory's log, too */
	inbox_waiting_is_due();
	outbox_ack(sender, message->head->jti);
	return FLOW_DONE;
}
