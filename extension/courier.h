/*
 * courier.h
 *		Talking to the server: who signs, when to try again, what the answers have in common.
 *
 * Called by the worker's loop, outside of transactions. What is said lies with the
 * callers: courier_mail.c (messages), courier_directory.c (nodes and lists), join.c (registering).
 */
#ifndef HDMS_EXT_COURIER_H
#define HDMS_EXT_COURIER_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "courier_http.h"

#define COURIER_TEXT 300

/* Once for the process. */
extern void courier_open(void);

/* The server to talk to and its epoch as known ("" for none). False with *problem when the URL is unusable. */
extern bool courier_set_server(const char *url, const char *epoch, char **problem);

/* Gives up all that is under way: after an error, or when the node may not talk any more. */
extern void courier_reset(void);

/* Whether the server may be talked to now: not while backing off. */
extern bool courier_may_talk(void);

/* The same for what a session signs; starts making one where there is none. */
extern bool courier_may_talk_much(void);

/*
 * Signs and sends. The exchange is taken over in any case; false (and finished() is not called) when it
 * could not be sent.
 */
extern bool courier_send(HttpExchange *exchange);

/* Moves everything on and calls finished() of what has ended; these open transactions of their own. Whether anything has. */
extern bool courier_drive(void);

/* When courier_drive() wants to be called again, in milliseconds; -1 for no limit. */
extern long courier_timeout(void);

/* What went wrong with an exchange, in words: for logs and last_error columns. Also the problem's word ("" when there is none); word may be NULL. */
extern void courier_describe(const HttpExchange *exchange, char text[COURIER_TEXT], char word[48]);

/* A good answer could not be understood: counts like none. */
extern void courier_misunderstood(const HttpExchange *exchange, HdmsStatus status);

/* An answer that no server should give to this request, such as 403 to a fetch: counts like none. */
extern void courier_unexpected(const HttpExchange *exchange);

/* This machine's clock, put right by what the server said. Seconds. */
extern int64 courier_now(void);

/* How often talking failed, since the worker started. */
extern int64 courier_failures(void);

/* session.c */
extern bool session_is_ready(void);
extern void session_begin(void);
extern void session_forget(void);
extern HdmsStatus session_sign(const HdmsHttpRequest *request, const char *nonce, HdmsHttpSignature *signature);

/* courier_mail.c: fetching, acknowledging and putting messages. */
extern void mail_reset(void);
extern void mail_move(void);
extern void mail_acknowledge(const char *transport);

/* courier_log.c: publishing this node's logs. */
extern void publication_reset(void);
extern void publication_look_again(void);	/* the server may have lost something */
extern void publication_move(void);
extern long publication_timeout(void);	/* milliseconds until it wants to be called again; -1: no limit */

/* courier_directory.c: asking about nodes and lists. */
extern void lookups_reset(void);
extern void lookups_move(void);
extern void lookups_are_due(void);

#endif
