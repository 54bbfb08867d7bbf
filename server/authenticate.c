/*
 * authenticate.c
 *		Who sent a request.
 *
 * Signatures are verified in the HTTP threads, with keys from memory. A node that is not in memory is loaded first;
 * so a signature by an unknown key costs a look-up, which is why failures are limited by client address.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "authenticate.h"
#include "server_clock.h"
#include "session.h"

#define FAILURES_PER_MINUTE	300
#define FAILURES_BURST		600
#define PENDING_NOTED_MS	600000

static const char *const failure_words[AUTHENTICATION_COUNT] = {
	[AUTHENTICATION_MISSING] = "bad-signature", [AUTHENTICATION_UNKNOWN_NODE] = "unknown-node",
	[AUTHENTICATION_BAD_SIGNATURE] = "bad-signature", [AUTHENTICATION_CLOCK_SKEW] = "clock-skew",
	[AUTHENTICATION_UNKNOWN_SESSION] = "unknown-session", [AUTHENTICATION_REPLAYED] = "replayed",
	[AUTHENTICATION_FROZEN] = "frozen", [AUTHENTICATION_PENDING] = "not-admitted",
};

static const char *const failure_details[AUTHENTICATION_COUNT] = {
	[AUTHENTICATION_MISSING] = "the request is not signed",
	[AUTHENTICATION_UNKNOWN_NODE] = "this server does not know the node: register it",
	[AUTHENTICATION_BAD_SIGNATURE] = "the signature does not verify",
	[AUTHENTICATION_CLOCK_SKEW] = "the signature was made too long ago or in the future",
	[AUTHENTICATION_UNKNOWN_SESSION] = "make a new session",
	[AUTHENTICATION_REPLAYED] = "this nonce was used before",
	[AUTHENTICATION_FROZEN] = "two contradicting histories of this node were seen",
	[AUTHENTICATION_PENDING] = "the operator has not admitted this institution yet",
};

void
authenticate_refuse(Request *request, AuthenticationFailure failure)
{
	char		address[64];
	int64_t		retry_after;
	const char *word = failure_words[failure];

	metrics_authentication_failed(failure);
	request_address(request, address);
	log_event(LEVEL_DEBUG, "authentication_failed", "route=s", request->match.route->name, "reason=s", word, "address=s", address, NULL);
	if (failure != AUTHENTICATION_PENDING
		&& !rate_take(request->server->address_rates, address, strlen(address), FAILURES_PER_MINUTE, FAILURES_BURST, &retry_after))
	{
		metrics_count(COUNTER_RATE_LIMITED, 1);
		request_problem_later(request, 429, "too-many-requests", "too many failures from this address", retry_after);
	}
	else if (failure == AUTHENTICATION_CLOCK_SKEW)
		request_clock_skew(request);
	else
		request_problem(request, failure == AUTHENTICATION_FROZEN || failure == AUTHENTICATION_PENDING ? 403 : 401, word,
						failure_details[failure]);
}

bool
authenticate_covered(const Request *request, HdmsHttpRequest *covered, char **copy)
{
	*copy = strdup(request->target);
	if (*copy == NULL)
		return false;
	memset(covered, 0, sizeof(*covered));
	covered->method = request->match.route->method;
	covered->authority = request->server->authority;
	covered->path = *copy;
	covered->query = request->query != NULL ? request->query : "?";
	if (request->query != NULL)
		(*copy)[request->query - request->target] = '\0';
	covered->body = request->body_len > 0 ? request->body : NULL;
	covered->body_len = request->body_len;
	return true;
}

/* Takes one token of the node's rate; replies when there is none. */
static bool
rate_allows(Request *request)
{
	const Config *config = request->server->config;
	bool		institution = request->node->kind == HDMS_INSTITUTION;
	int64_t		retry_after;

	if (rate_take(request->server->node_rates, request->node->id, HDMS_DIGEST_TEXT,
				  60 * (institution ? config->institution_rate_per_second : config->rate_per_second),
				  institution ? config->institution_rate_burst : config->rate_burst, &retry_after))
		return true;
	metrics_count(COUNTER_RATE_LIMITED, 1);
	request_problem_later(request, 429, "too-many-requests", "this node sends more than it may", retry_after);
	return false;
}

/* An institution that waits to be admitted still asks: its registration is kept. */
static void
note_pending(Request *request)
{
	int64_t		now = monotonic_ms();
	int64_t		noted = atomic_load(&request->node->noted);

	if (noted == 0 || now - noted > PENDING_NOTED_MS)
	{
		atomic_store(&request->node->noted, now);
		housekeeper_saw_pending(request->server->housekeeper, request->node->id);
	}
}

static void
verify(Request *request, const HdmsKey *key, const unsigned char *secret)
{
	const char *input = request_header(request, "Signature-Input");
	const char *signature = request_header(request, "Signature");
	HdmsHttpRequest covered;
	char	   *copy;
	HdmsStatus	status;

	if (signature == NULL)
	{
		authenticate_refuse(request, AUTHENTICATION_MISSING);
		return;
	}
	if (!authenticate_covered(request, &covered, &copy))
	{
		request_problem(request, 500, "internal-error", NULL);
		return;
	}
	status = hdms_http_verify(&covered, input, signature, request_header(request, "Content-Digest"), key, secret, wall_seconds());
	free(copy);
	if (status == HDMS_EXPIRED || status == HDMS_NOT_YET_VALID)
		authenticate_refuse(request, AUTHENTICATION_CLOCK_SKEW);
	else if (status != HDMS_OK)
		authenticate_refuse(request, AUTHENTICATION_BAD_SIGNATURE);
	else if (rate_allows(request))
	{
		free(request->keyid);
		request->keyid = NULL;
		if (request->node->status == NODE_PENDING)
			note_pending(request);
		request->operation.nonce = request->nonce;
		request->operation.signer = request->node->id;
		request->authenticated(request);
	}
}

/*
 * A node that lost its device has its recovery key only: with that it asks for its own history, to continue it. The directory
 * knows the key's thumbprint, so the key comes along.
 */
static void
verify_with_recovery_key(Request *request, const char *jwk)
{
	HdmsKey    *key = NULL;

	if (hdms_key_from_jwk(jwk, strlen(jwk), &key) != HDMS_OK || strcmp(hdms_key_thumbprint(key), request->node->recovery) != 0)
		authenticate_refuse(request, AUTHENTICATION_BAD_SIGNATURE);
	else
		verify(request, key, NULL);
	hdms_key_free(key);
}

/* The node is known: what did it sign with? */
static void
verify_with_node(Request *request)
{
	const char *recovery_key = request->takes_recovery_key ? request_header(request, "HDMS-Recovery-Key") : NULL;
	unsigned char server_secret[32];
	unsigned char secret[32];
	unsigned char mark[8];
	SessionClaim claim;

	request->signed_by_session = strlen(request->keyid) != HDMS_DIGEST_TEXT;
	if (request->node->status == NODE_FROZEN)
	{
		authenticate_refuse(request, AUTHENTICATION_FROZEN);
		return;
	}
	if (!request->signed_by_session)
	{
		if (recovery_key != NULL)
			verify_with_recovery_key(request, recovery_key);
		else
			verify(request, request->node->signing, NULL);
		return;
	}
	if (!database_session_secret(request->server->database, server_secret)
		|| session_open(server_secret, request->keyid, wall_seconds(), &claim, secret) != HDMS_OK
		|| session_key_mark(hdms_key_thumbprint(request->node->signing), mark) != HDMS_OK || !hdms_equal(mark, claim.key_mark, sizeof(mark)))
		authenticate_refuse(request, AUTHENTICATION_UNKNOWN_SESSION);
	else
		verify(request, NULL, secret);
	OPENSSL_cleanse(server_secret, sizeof(server_secret));
	OPENSSL_cleanse(secret, sizeof(secret));
}

static void
node_loaded(Request *request)
{
	NodeRow    *row = request->operation.node.row;

	request->operation.node.row = NULL;
	if (request_operation_failed(request))
	{
		node_row_free(row);
		return;
	}
	if (row == NULL)
	{
		authenticate_refuse(request, AUTHENTICATION_UNKNOWN_NODE);
		return;
	}
	request->node = node_cache_add(request->server->nodes, row, request->cache_moment, ((const Config *) request->server->config)->node_cache);
	node_row_free(row);
	if (request->node == NULL)
		request_problem(request, 500, "internal-error", NULL);
	else
		verify_with_node(request);
}

/* The node that a key id speaks of; false after replying. */
static bool
node_of_keyid(Request *request, const char *keyid, char node[HDMS_DIGEST_TEXT + 1])
{
	unsigned char server_secret[32];
	unsigned char secret[32];
	SessionClaim claim;
	HdmsStatus	status;

	if (hdms_is_digest_text(keyid, strlen(keyid)))
	{
		memcpy(node, keyid, HDMS_DIGEST_TEXT + 1);
		return true;
	}
	if (!database_session_secret(request->server->database, server_secret))
	{
		request_problem_later(request, 503, "database-not-ready", "the server has not reached its database yet", 2);
		return false;
	}
	status = session_open(server_secret, keyid, wall_seconds(), &claim, secret);
	OPENSSL_cleanse(server_secret, sizeof(server_secret));
	OPENSSL_cleanse(secret, sizeof(secret));
	if (status != HDMS_OK)
	{
		authenticate_refuse(request, AUTHENTICATION_UNKNOWN_SESSION);
		return false;
	}
	memcpy(node, claim.node, HDMS_DIGEST_TEXT + 1);
	return true;
}

void
authenticate_any(Request *request, RequestStep next)
{
	const char *input = request_header(request, "Signature-Input");
	HdmsHttpClaim claim;
	char		node[HDMS_DIGEST_TEXT + 1];

	request->authenticated = next;
	if (input == NULL)
	{
		authenticate_refuse(request, AUTHENTICATION_MISSING);
		return;
	}
	if (hdms_http_peek(input, &claim) != HDMS_OK)
	{
		authenticate_refuse(request, AUTHENTICATION_BAD_SIGNATURE);
		return;
	}
	if (!node_of_keyid(request, claim.keyid, node))
		return;
	request->keyid = strdup(claim.keyid);
	request->nonce = claim.nonce[0] != '\0' ? strdup(claim.nonce) : NULL;
	if (request->keyid == NULL || (claim.nonce[0] != '\0' && request->nonce == NULL))
	{
		request_problem(request, 500, "internal-error", NULL);
		return;
	}
	request->node = node_cache_find(request->server->nodes, node);
	if (request->node != NULL)
	{
		verify_with_node(request);
		return;
	}
	memcpy(request->signer, node, sizeof(node));
	request->cache_moment = node_cache_moment(request->server->nodes);
	request->operation.kind = OPERATION_LOAD_NODE;
	request->operation.node.id = request->signer;
	request->operation.node.row = NULL;
	request_submit(request, node_loaded);
}

static void
refuse_pending(Request *request)
{
	if (request->node->status == NODE_PENDING)
		authenticate_refuse(request, AUTHENTICATION_PENDING);
	else
		request->admitted(request);
}

void
authenticate(Request *request, RequestStep next)
{
	request->admitted = next;
	authenticate_any(request, refuse_pending);
}
