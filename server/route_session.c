/*
 * route_session.c
 *		POST /v1/sessions: a shared secret, so that a busy node need not sign each request with its key.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "authenticate.h"
#include "jwe.h"
#include "routes.h"
#include "server_clock.h"
#include "session.h"

static void
reply_session(Request *request)
{
	unsigned char server_secret[32];
	unsigned char secret[32];
	SessionClaim claim;
	HdmsSession session = {.secret = NULL};
	char	   *json = NULL;
	char		id[SESSION_ID_TEXT + 1];

	if (request_operation_failed(request))
		return;
	memcpy(claim.node, request->node->id, sizeof(claim.node));
	claim.expires = wall_seconds() + ((const Config *) request->server->config)->session_ttl;
	if (database_session_secret(request->server->database, server_secret)
		&& session_key_mark(hdms_key_thumbprint(request->node->signing), claim.key_mark) == HDMS_OK
		&& session_make(server_secret, &claim, id, secret) == HDMS_OK
		&& hdms_jwe_seal(request->node->encryption, HDMS_TYP_SESSION, secret, sizeof(secret), &session.secret) == HDMS_OK)
	{
		snprintf(session.id, sizeof(session.id), "%s", id);
		session.expires = claim.expires;
		if (hdms_wire_session_print(&session, &json) != HDMS_OK)
			json = NULL;
	}
	OPENSSL_cleanse(server_secret, sizeof(server_secret));
	OPENSSL_cleanse(secret, sizeof(secret));
	hdms_string_wipe(session.secret);
	request_reply_json(request, 201, json);
}

static void
store_nonce(Request *request)
{
	if (request->signed_by_session)
		request_problem(request, 400, "key-required", "a session is asked for with the node's key");
	else if (request->nonce == NULL)
		request_problem(request, 400, "nonce-required", "a session is asked for with a nonce");
	else
	{
		request->operation.kind = OPERATION_PING;
		request_submit(request, reply_session);
	}
}

void
route_sessions(Request *request)
{
	authenticate(request, store_nonce);
}
