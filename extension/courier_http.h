/*
 * courier_http.h
 *		HTTP exchanges with the server, many at a time, through libcurl's multi interface.
 *
 * An exchange lives in malloc'ed memory, since libcurl fills it outside of PostgreSQL's
 * error handling. Nothing here raises an error after http_open(), and nothing here knows what is said.
 */
#ifndef HDMS_EXT_COURIER_HTTP_H
#define HDMS_EXT_COURIER_HTTP_H

#include "postgres.h"

#include <curl/curl.h>

#include "http_signature.h"

typedef struct HttpExchange HttpExchange;

/* How a request is signed; an unsigned one is for what is public. */
typedef enum HttpSigner
{
	HTTP_UNSIGNED,
	HTTP_BY_KEY,
	HTTP_BY_SESSION
} HttpSigner;

struct HttpExchange
{
	/* Set by http_exchange() and its caller. Strings are malloc'ed and owned. */
	const char *method;			/* static */
	char	   *path;			/* below the server's URL: "/v1/mailbox" */
	char	   *query;			/* with its "?", or NULL */
	char	   *body;			/* NULL: none */
	size_t		body_len;
	HttpSigner	signer;
	const char *content_type;	/* static: of the body; JSON unless set */
	bool		once;			/* not idempotent: gets a nonce */
	int			timeout;		/* seconds, for the whole */
	bool		waits;			/* a long poll: silence is no fault */
	size_t		reply_max;		/* a larger answer is a failure */
	int			tries;			/* of the courier's, for repeating after a refused signature */
	void		(*finished) (HttpExchange *exchange);	/* not called from within libcurl; may raise errors */
	void	   *subject;		/* what finished() needs; malloc'ed, freed with the exchange */

	/* The answer. */
	long		status;			/* 0: there is none, and failure says why */
	char	   *reply;			/* NUL-terminated */
	size_t		reply_len;
	char		epoch[64];		/* HDMS-Epoch; "" when absent */
	long		retry_after;	/* seconds; 0 when absent */
	char		failure[CURL_ERROR_SIZE + 64];

	/* libcurl's. */
	CURL	   *easy;
	struct curl_slist *headers;
	struct HttpExchange *next;
};

/* The server's address, taken apart once. */
typedef struct HttpServer
{
	char	   *base;			/* "https://hdms.example:8443/prefix", without a slash at the end */
	char	   *prefix;			/* path of base, "" mostly */
	char	   *authority;		/* as it is signed: lower case, port unless the default */
	bool		is_loopback;
	bool		is_plain;		/* http */
} HttpServer;

/* Once for the process. Raises ERROR. */
extern void http_open(void);

/* Sets the server that is talked to; exchanges under way are dropped. False with *problem (palloc'ed) for an unusable URL. */
extern bool http_set_server(const char *url, char **problem);
extern const HttpServer *http_server(void);

/* A new exchange with copies of path and query; body (malloc'ed) is taken over. NULL when memory is short. */
extern HttpExchange *http_exchange(const char *method, const char *path, const char *query, char *body);
extern void http_exchange_free(HttpExchange *exchange);

/* Sends it. signature may be NULL. Afterwards it belongs to this module until http_next_finished(). False: out of memory. */
extern bool http_start(HttpExchange *exchange, const HdmsHttpSignature *signature);

/* Lets libcurl do what can be done without waiting. */
extern void http_perform(void);

/* An exchange that has ended, which is the caller's then; NULL when there is none. */
extern HttpExchange *http_next_finished(void);

/* What to wait on: a descriptor that becomes readable, and milliseconds at most (-1: no limit). */
extern int	http_descriptor(void);
extern long http_timeout(void);

/* Gives up everything under way, without telling anybody. */
extern void http_drop_all(void);

#endif
