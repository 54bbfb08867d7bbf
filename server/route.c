/*
 * route.c
 *		The table of requests that the server answers.
 */
#include <string.h>

#include "jwe.h"
#include "note.h"
#include "routes.h"

#define KIB	1024
#define MIB	(1024 * 1024)
#define JSON_TYPE "application/json"

static const Route routes[] = {
	{ROUTE_REGISTER, "register", "POST", "/v1/nodes", 2 * MIB, JSON_TYPE, route_register},
	{ROUTE_NODE, "node", "GET", "/v1/nodes/{}", 0, NULL, route_node},
	{ROUTE_NETWORK, "network", "GET", "/v1/network", 0, NULL, route_network},
	{ROUTE_NOTARIES, "notaries", "GET", "/v1/notaries", 0, NULL, route_notaries},
	{ROUTE_NOTARIES_BY_DIGEST, "notaries_by_digest", "GET", "/v1/notaries/{}", 0, NULL, route_notaries_by_digest},
	{ROUTE_SESSIONS, "sessions", "POST", "/v1/sessions", 4 * KIB, NULL, route_sessions},
	{ROUTE_PUT, "put", "PUT", "/v1/mailboxes/{}/{}", HDMS_ENVELOPE_MAX, "application/jose", route_put},
	{ROUTE_PUT_MANY, "put_many", "POST", "/v1/envelopes", 8 * MIB + 128 * KIB, JSON_TYPE, route_put_many},
	{ROUTE_MAILBOX, "mailbox", "GET", "/v1/mailbox", 0, NULL, route_mailbox},
	{ROUTE_ACKNOWLEDGE, "acknowledge", "POST", "/v1/mailbox/ack", MIB, JSON_TYPE, route_acknowledge},
	{ROUTE_DIRECTORY_CHECKPOINT, "directory_checkpoint", "GET", "/v1/log/directory/checkpoint", 0, NULL, route_directory_checkpoint},
	{ROUTE_DIRECTORY_SHOWN, "directory_shown", "POST", "/v1/log/directory/checkpoint", HDMS_NOTE_MAX, "text/plain", route_directory_shown},
	{ROUTE_DIRECTORY_TILE, "directory_tile", "GET", "/v1/log/directory/tile/*", 0, NULL, route_directory_tile},
	{ROUTE_LOG, "log", "GET", "/v1/log/{}/*", 0, NULL, route_log},
	{ROUTE_LOG_PUT, "log_put", "PUT", "/v1/log/{}/*", HDMS_NOTE_MAX, NULL, route_log_put},
	{ROUTE_HEALTH, "health", "GET", "/healthz", 0, NULL, route_health},
};

static const Route unknown_route = {ROUTE_UNKNOWN, "unknown", "", "", 0, NULL, NULL};

const char *
route_name(RouteId id)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
	{
		if (routes[i].id == id)
			return routes[i].name;
	}
	return unknown_route.name;
}

static bool
path_matches(const char *pattern, const char *path, size_t len, RouteMatch *match)
{
	const char *end = path + len;
	int			ids = 0;

	while (*pattern != '\0')
	{
		if (pattern[0] == '{')
		{
			if (end - path < HDMS_DIGEST_TEXT || !hdms_is_digest_text(path, HDMS_DIGEST_TEXT))
				return false;
			memcpy(match->ids[ids], path, HDMS_DIGEST_TEXT);
			match->ids[ids++][HDMS_DIGEST_TEXT] = '\0';
			path += HDMS_DIGEST_TEXT;
			pattern += 2;
		}
		else if (pattern[0] == '*')
		{
			size_t		rest = (size_t) (end - path);

			if (rest == 0 || rest >= sizeof(match->rest))
				return false;
			memcpy(match->rest, path, rest);
			match->rest[rest] = '\0';
			return true;
		}
		else if (path == end || *path++ != *pattern++)
			return false;
	}
	return path == end;
}

void
route_find(const char *method, const char *path, size_t path_len, RouteMatch *match)
{
	memset(match, 0, sizeof(*match));
	match->route = &unknown_route;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
	{
		if (!path_matches(routes[i].path, path, path_len, match))
			continue;
		if (strcmp(routes[i].method, method) == 0)
		{
			match->route = &routes[i];
			return;
		}
		match->path_known = true;
		match->allow = routes[i].method;
	}
}
