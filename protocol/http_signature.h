/*
 * http_signature.h
 *		HTTP Message Signatures (RFC 9421) and Content-Digest (RFC 9530) of requests to the server.
 *
 * Covered: "@method" "@authority" "@path" "@query" and, where there is a body, "content-digest".
 * Parameters: created, keyid, tag="hdms-v1", and nonce where the caller gives one. The label is "hdms".
 * keyid is the node id with ES256/PS256 (the node's current signing key), or a session id with hmac-sha256.
 */
#ifndef HDMS_HTTP_SIGNATURE_H
#define HDMS_HTTP_SIGNATURE_H

#include "key.h"

#define HDMS_HTTP_SKEW		300		/* seconds */
#define HDMS_KEYID_MAX		256

/* What is signed. Strings are as on the wire. */
typedef struct HdmsHttpRequest
{
	const char *method;			/* "GET" */
	const char *authority;		/* the configured public name, lower case, with port unless the default: "hdms.example:8443" */
	const char *path;			/* "/v1/mailbox" */
	const char *query;			/* with its "?", or "?" alone when there is none (RFC 9421, 2.2.7) */
	const void *body;			/* NULL with body_len 0: no body */
	size_t		body_len;
} HdmsHttpRequest;

/* Header values to send, without names; malloc'ed. content_digest is NULL without a body. */
typedef struct HdmsHttpSignature
{
	char	   *content_digest;
	char	   *signature_input;
	char	   *signature;
} HdmsHttpSignature;

/* Signs with a node's key. nonce NULL: none. created in seconds. */
extern HdmsStatus hdms_http_sign(const HdmsHttpRequest *request, const HdmsKey *key, const char *keyid, int64_t created,
								 const char *nonce, HdmsHttpSignature *signature);

/* Signs with a session's secret (32 bytes): hmac-sha256. */
extern HdmsStatus hdms_http_sign_session(const HdmsHttpRequest *request, const unsigned char secret[32], const char *keyid,
										 int64_t created, const char *nonce, HdmsHttpSignature *signature);
extern void hdms_http_signature_free(HdmsHttpSignature *signature);

/* What a Signature-Input says, before verifying. */
typedef struct HdmsHttpClaim
{
	char		keyid[HDMS_KEYID_MAX + 1];
	char		nonce[65];		/* "" when there is none */
	int64_t		created;
} HdmsHttpClaim;

extern HdmsStatus hdms_http_peek(const char *signature_input, HdmsHttpClaim *claim);

/*
 * Verifies signature_input and signature against the request, and content_digest against the body (a body without a
 * covered content-digest is refused). Either key or session_secret is NULL. HDMS_EXPIRED / HDMS_NOT_YET_VALID
 * when created is more than HDMS_HTTP_SKEW from now.
 */
extern HdmsStatus hdms_http_verify(const HdmsHttpRequest *request, const char *signature_input, const char *signature,
								   const char *content_digest, const HdmsKey *key, const unsigned char *session_secret,
								   int64_t now);

#endif
