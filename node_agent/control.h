/*
 * control.h
 *		The socket in the home's folder, through which the same user's other commands reach the service.
 *
 * A connection carries one command: one line of JSON {"command", ...}, answered with {"ok": true, "result": ...} or
 * {"ok": false, "code", "error", "result"}, until the end of the connection.
 */
#ifndef NODE_CONTROL_H
#define NODE_CONTROL_H

#include "home.h"

#define CONTROL_SOCKET	"socket"
#define CONTROL_LINE	(64 * 1024)

/* Ends what hdms_engine_serve() began. */
extern void control_stop(HdmsHome *home);

/* Answers commands whose pairing has ended, or that have waited long enough. engine_clock() of the first end of patience. */
extern int64_t control_run(HdmsHome *home);

/*
 * Runs one command: the line without its line feed. *answer: what is sent back, malloc'ed. *waits: the answer comes when this pairing has ended
 * (0: it is here); NULL *answer then.
 */
extern void command_run(HdmsHome *home, const char *line, size_t len, char **answer, int64_t *waits);

/* The answer to a command that waited for a pairing; NULL while it goes on. timed_out: it is not waited for any longer. */
extern char *command_pairing_ended(HdmsHome *home, int64_t pairing, bool timed_out);

#endif
