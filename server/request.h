/*
 * request.h
 *		One HTTP request on its way through the server.
 *
 * A route's functions run in the HTTP thread of the connection. Each of them ends by replying, or by submitting the
 * request's operation with the function that goes on when the answer is there; meanwhile the connection is suspended
 * and costs no thread.
 */
#ifndef HDMS_SERVER_REQUEST_H
#define HDMS_SERVER_REQUEST_H

#include <microhttpd.h>

#include "metrics.h"
#include "operation.h"
#include "route.h"
#include "server.h"

typedef void (*RequestStep) (Request *request);

typedef enum RequestPhase
{
	REQUEST_NEW, REQUEST_BODY, REQUEST_RUNNING, REQUEST_REPLIED
} RequestPhase;

struct Request
{
	Operation	operation;		/* must be first */
	Server	   *server;
	struct MHD_Connection *connection;
	RouteMatch	match;
	RequestPhase phase;
	RequestStep next;
	RequestStep authenticated;
	RequestStep admitted;
	char		signer[HDMS_DIGEST_TEXT + 1];	/* a node id to be loaded */
	char	   *target;			/* path and query as sent */
	char	   *query;			/* inside target, behind "?"; NULL: none */
	char	   *body;
	size_t		body_len;
	size_t		body_capacity;	/* counted against the memory for bodies */
	bool		body_too_large;
	bool		body_refused;	/* no memory for it */
	int64_t		body_deadline;	/* monotonic ms */
	Node	   *node;			/* who signed */
	char	   *keyid;			/* while it is being verified */
	char	   *nonce;
	bool		signed_by_session;
	bool		takes_recovery_key; /* the route lets a node sign with its recovery key */
	uint64_t	cache_moment;
	void	   *state;			/* the route's own */
	void		(*free_state) (Request *request);
	struct MHD_Response *response;
	int			status;
	size_t		response_bytes; /* counted against the memory for bodies */
};

/* Made when the request line is there; NULL when out of memory. */
extern Request *request_new(Server *server, const char *target);
extern void request_free(Request *request);

/* Frees the body once it was read. */
extern void request_drop_body(Request *request);

/* Takes the connection away from its HTTP thread, and gives it back: the latter from any thread. */
extern void request_suspend(Request *request);
extern void request_resume(Request *request);

/* Suspends the connection, submits the operation, goes on with next in the HTTP thread. */
extern void request_submit(Request *request, RequestStep next);

/* The same, with something else than resuming when the operation is complete: called in a database thread. */
extern void request_submit_with(Request *request, RequestStep next, void (*complete) (Operation *operation));

/* Replies; takes text. The epoch header is the operation's, or the newest one. text NULL: out of memory. */
extern void request_reply_json(Request *request, int status, char *text);
extern void request_reply_text(Request *request, int status, const char *content_type, char *text, size_t len);

/* Lets what was replied be kept by caches; without it, nothing is. */
extern void request_cache(Request *request, const char *how);

/* Replies with problem details. detail may be NULL. */
extern void request_problem(Request *request, int status, const char *word, const char *detail);
extern void request_problem_later(Request *request, int status, const char *word, const char *detail, int64_t retry_after);
extern void request_clock_skew(Request *request);

/* Replies to what went wrong with an operation; false when nothing did. */
extern bool request_operation_failed(Request *request);

/* A header of the request, or NULL. */
extern const char *request_header(const Request *request, const char *name);

/* The client's address, behind a proxy as the proxy says. */
extern void request_address(const Request *request, char address[64]);

/* An argument of the query as a number: default_value when it is not there; false when it is no number from 0 to max. */
extern bool request_number(const Request *request, const char *name, int64_t max, int64_t default_value, int64_t *value);

#endif
