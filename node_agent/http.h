/*
 * http.h
 *		Requests to servers: libcurl's multi interface, signed, bounded.
 */
#ifndef NODE_HTTP_H
#define NODE_HTTP_H

#include "pairing_row.h"

typedef struct Http Http;
typedef struct HttpCall HttpCall;

typedef enum HttpSigning
{
	HTTP_PUBLIC, HTTP_KEY, HTTP_SESSION
} HttpSigning;

typedef struct HttpAnswer
{
	int			status;			/* 0: no answer; problem says why */
	const char *body;			/* NUL-terminated */
	size_t		len;
	char		epoch[64];		/* HDMS-Epoch; "" when there is none */
	int64_t		retry_after;	/* milliseconds; 0 when there is none */
	const char *problem;
} HttpAnswer;

/* Called once for each call that was not dropped. Must not drop other calls of the same Http while it runs. */
typedef void (*HttpDone) (void *arg, const HttpAnswer *answer);

typedef struct HttpRequest
{
	Pairing    *pairing;		/* whose server and keys */
	const char *method;
	const char *path;			/* "/v1/mailbox/ack" */
	const char *query;			/* "" or "?wait=25" */
	char	   *body;			/* malloc'ed, taken; NULL: none */
	size_t		body_len;
	HttpSigning signing;
	const HdmsKey *recovery;	/* with HTTP_KEY: signed by this one, which comes along; NULL: by the pairing's signing key */
	bool		nonce;			/* not idempotent */
	const char *session;		/* with HTTP_SESSION */
	const unsigned char *session_secret;
	size_t		max_answer;		/* bytes; more ends the call */
	int64_t		timeout;		/* milliseconds */
	int64_t		held;			/* milliseconds of it that the server may hold the answer */
	HttpDone	done;
	void	   *arg;
} HttpRequest;

/* epoll: the descriptor that sockets are watched with; their events carry the Http in data.ptr. */
extern Http *http_create(int epoll);
extern void http_free(Http *http);

/* Starts a request. NULL when it could not be started (memory, bad URL); done is then not called. */
extern HttpCall *http_start(Http *http, const HttpRequest *request);

/* Ends a call without its callback. */
extern void http_drop(Http *http, HttpCall *call);

/* A socket is ready, or (descriptor -1) curl's timer came. */
extern void http_ready(Http *http, int descriptor, uint32_t events);

/* When curl's timer comes, by engine_clock(); INT64_MAX: never. */
extern int64_t http_timer(const Http *http);

#endif
