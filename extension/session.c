/*
 * session.c
 *		A session with the server: a shared secret, so that a request costs an HMAC and no signature.
 *
 * The server seals the secret to the node's encryption key. Where sessions
 * cannot be had, requests are signed with the node's key for a while.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "jwe.h"
#include "wire.h"

#include "courier.h"
#include "node.h"

#define SESSION_SECRET		32
#define SESSION_MARGIN_S	60	/* a session that ends sooner is made anew */
#define WITHOUT_SESSION_S	300 /* how long to sign with the key before asking again */

static char session_id[HDMS_KEYID_MAX + 1];
static unsigned char session_secret[SESSION_SECRET];
static int64 session_expires;
static int64 without_until;
static bool asking;

void
session_forget(void)
{
	OPENSSL_cleanse(session_secret, sizeof(session_secret));
	session_id[0] = '\0';
	asking = false;
}

/* Whether there is something to sign with: a session, or for now the key. */
bool
session_is_ready(void)
{
	if (session_id[0] != '\0' && courier_now() + SESSION_MARGIN_S < session_expires)
		return true;
	return courier_now() < without_until;
}

HdmsStatus
session_sign(const HdmsHttpRequest *request, const char *nonce, HdmsHttpSignature *signature)
{
	if (session_id[0] == '\0' || courier_now() + SESSION_MARGIN_S >= session_expires)
		return hdms_http_sign(request, own_node.signing, own_node.id, courier_now(), nonce, signature);
	return hdms_http_sign_session(request, session_secret, session_id, courier_now(), nonce, signature);
}

/* Takes the session out of the server's answer. */
static HdmsStatus
session_take(const char *json, size_t len)
{
	HdmsSession session = {0};
	HdmsBytes	secret = {0};
	char		kid[HDMS_DIGEST_TEXT + 1];
	const HdmsKey *key = NULL;
	HdmsStatus	status = hdms_wire_session_parse(json, len, &session);

	if (status == HDMS_OK)
		status = hdms_jwe_peek_kid(session.secret, strlen(session.secret), kid);
	if (status == HDMS_OK && (key = node_decryption_key(kid)) == NULL)
		status = HDMS_UNKNOWN_KEY;
	if (status == HDMS_OK)
		status = hdms_jwe_open(session.secret, strlen(session.secret), key, HDMS_TYP_SESSION, &secret);
	if (status == HDMS_OK && secret.len != SESSION_SECRET)
		status = HDMS_BAD_FORMAT;
	if (status == HDMS_OK)
	{
		memcpy(session_secret, secret.data, SESSION_SECRET);
		strlcpy(session_id, session.id, sizeof(session_id));
		session_expires = session.expires;
	}
	free(session.secret);
	hdms_bytes_wipe(&secret);
	return status;
}

static void
session_answered(HttpExchange *exchange)
{
	HdmsStatus	status;
	char		text[COURIER_TEXT];

	asking = false;
	if (exchange->status == 201 || exchange->status == 200)
	{
		status = session_take(exchange->reply, exchange->reply_len);
		if (status == HDMS_OK)
			return;
		courier_misunderstood(exchange, status);
	}

	/* No answer and a node that must register first are no reasons to do without. */
	if (exchange->status == 0 || exchange->status == 401 || exchange->status >= 500)
		return;
	without_until = courier_now() + WITHOUT_SESSION_S;
	courier_describe(exchange, text, NULL);
	ereport(LOG,
			(errmsg("the HDMS server gives no session, requests are signed one by one: %s", text)));
}

void
session_begin(void)
{
	HttpExchange *exchange;

	if (asking)
		return;
	exchange = http_exchange("POST", "/v1/sessions", NULL, NULL);
	if (exchange == NULL)
		return;
	exchange->signer = HTTP_BY_KEY;
	exchange->once = true;
	exchange->finished = session_answered;
	asking = courier_send(exchange);
}
