/*
 * route_public.c
 *		What anybody may ask: the network key, the lists of notaries, whether the server is well.
 */
#include <stdlib.h>
#include <string.h>

#include "routes.h"

static void
reply_health(Request *request)
{
	static const char well[] = "ok\n";

	if (!request_operation_failed(request))
		request_reply_text(request, 200, "text/plain", strdup(well), sizeof(well) - 1);
}

void
route_health(Request *request)
{
	request->operation.kind = OPERATION_PING;
	request_submit(request, reply_health);
}

/* Takes the loaded list, or replies. */
static char *
loaded_list(Request *request)
{
	char	   *jws = request->operation.list.jws;

	request->operation.list.jws = NULL;
	if (request_operation_failed(request))
	{
		free(jws);
		return NULL;
	}
	if (jws == NULL && request->operation.list.digest == NULL)
		request_problem_later(request, 503, "database-not-ready", "no list of notaries has been signed yet", 1);
	else if (jws == NULL)
		request_problem(request, 404, "unknown-list", "there is no list of notaries with this digest");
	return jws;
}

static void
load_list(Request *request, const char *digest, RequestStep next)
{
	request->operation.kind = OPERATION_LOAD_LIST;
	request->operation.list.digest = digest;
	request->operation.list.jws = NULL;
	request_submit(request, next);
}

static void
reply_list(Request *request)
{
	char	   *jws = loaded_list(request);

	if (jws != NULL)
		request_reply_text(request, 200, "application/jose", jws, strlen(jws));
}

static void
reply_network(Request *request)
{
	char	   *jws = loaded_list(request);
	char	   *json = NULL;

	if (jws == NULL)
		return;
	if (hdms_wire_network_print(request->server->network_jwk, jws, &json) != HDMS_OK)
		json = NULL;
	free(jws);
	request_reply_json(request, 200, json);
}

void
route_network(Request *request)
{
	load_list(request, NULL, reply_network);
}

void
route_notaries(Request *request)
{
	load_list(request, NULL, reply_list);
}

void
route_notaries_by_digest(Request *request)
{
	load_list(request, request->match.ids[0], reply_list);
}
