/*
 * route.h
 *		The requests that the server answers.
 */
#ifndef HDMS_SERVER_ROUTE_H
#define HDMS_SERVER_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

typedef enum RouteId
{
	ROUTE_REGISTER,
	ROUTE_NODE,
	ROUTE_NETWORK,
	ROUTE_NOTARIES,
	ROUTE_NOTARIES_BY_DIGEST,
	ROUTE_SESSIONS,
	ROUTE_PUT,
	ROUTE_PUT_MANY,
	ROUTE_MAILBOX,
	ROUTE_ACKNOWLEDGE,
	ROUTE_DIRECTORY_CHECKPOINT,
	ROUTE_DIRECTORY_SHOWN,
	ROUTE_DIRECTORY_TILE,
	ROUTE_LOG,
	ROUTE_LOG_PUT,
	ROUTE_HEALTH,
	ROUTE_UNKNOWN,				/* no such path, or a method that the path does not have */
	ROUTE_COUNT
} RouteId;

typedef struct Request Request;

typedef struct Route
{
	RouteId		id;
	const char *name;			/* for metrics and logs */
	const char *method;
	const char *path;			/* "{}" stands for a digest in base64url, a "*" at the end for anything */
	size_t		body_max;		/* bytes; 0: no body */
	const char *content_type;	/* of the body; NULL: does not matter */
	void		(*begin) (Request *request);	/* in an HTTP thread, when the body is there */
} Route;

/* What a path was found to be. */
typedef struct RouteMatch
{
	const Route *route;			/* never NULL */
	bool		path_known;		/* only the method is wrong */
	const char *allow;			/* then: the methods it has */
	char		ids[2][HDMS_DIGEST_TEXT + 1];
	char		rest[96];		/* what "*" stood for */
} RouteMatch;

extern void route_find(const char *method, const char *path, size_t path_len, RouteMatch *match);
extern const char *route_name(RouteId id);

#endif
