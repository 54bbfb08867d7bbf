/*
 * http_signature.c
 *		HTTP Message Signatures (RFC 9421) and Content-Digest (RFC 9530) of requests to the server.
 *
 * One label, one set of components, one tag: what RFC 9421 leaves open is closed
 * here, so that a signature covers the whole of a request or is refused.  The
 * parameters are signed in the spelling in which they arrived.
 */
#include "http_signature.h"

#include <stdlib.h>
#include <string.h>

#include "http_signature_input.h"
#include "text.h"

#define LABEL			"hdms"
#define TAG				"hdms-v1"
#define DIGEST_PREFIX	"sha-256=:"
#define SESSION_SECRET	32

static const char *const component_names[HDMS_HTTP_COMPONENT_COUNT] =
{
	[HDMS_HTTP_METHOD] = "@method",
	[HDMS_HTTP_AUTHORITY] = "@authority",
	[HDMS_HTTP_PATH] = "@path",
	[HDMS_HTTP_QUERY] = "@query",
	[HDMS_HTTP_CONTENT_DIGEST] = "content-digest",
};

/* Whether a part of a request can stand on a line of the signature base: visible ASCII, so that no line can be forged. */
static bool
is_visible(const char *text)
{
	if (text == NULL || text[0] == '\0')
		return false;
	for (; *text != '\0'; text++)
	{
		if (*text <= ' ' || *text > '~')
			return false;
	}
	return true;
}

static bool
request_is_usable(const HdmsHttpRequest *request)
{
	return is_visible(request->method) && is_visible(request->authority) && is_visible(request->path) &&
		is_visible(request->query) && request->path[0] == '/' && request->query[0] == '?' &&
		(request->body_len == 0 || request->body != NULL);
}

/* Whether a text can stand between the quotes of a parameter without being escaped. */
static bool
is_parameter_text(const char *text, size_t max)
{
	size_t		len = 0;

	for (; text[len] != '\0'; len++)
	{
		if (text[len] < ' ' || text[len] > '~' || text[len] == '"' || text[len] == '\\')
			return false;
	}
	return len > 0 && len <= max;
}

/* The Content-Digest header of a body. */
static HdmsStatus
digest_header(const void *body, size_t len, char **header)
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	HdmsText	text = {0};
	char	   *base64 = NULL;
	HdmsStatus	status = hdms_sha256(body, len, digest);

	if (status == HDMS_OK)
		status = hdms_base64_encode(digest, sizeof(digest), &base64);
	if (status != HDMS_OK)
		return status;
	hdms_text_add(&text, DIGEST_PREFIX);
	hdms_text_add(&text, base64);
	hdms_text_add(&text, ":");
	free(base64);
	return hdms_text_take(&text, header);
}

/* The signature base (RFC 9421, 2.5): a line for each component, then the parameters as they are sent. */
static void
write_base(const HdmsHttpRequest *request, const HdmsHttpComponent *components, size_t count, const char *content_digest,
		   const char *params, size_t params_len, HdmsText *base)
{
	const char *const values[HDMS_HTTP_COMPONENT_COUNT] =
	{
		[HDMS_HTTP_METHOD] = request->method,
		[HDMS_HTTP_AUTHORITY] = request->authority,
		[HDMS_HTTP_PATH] = request->path,
		[HDMS_HTTP_QUERY] = request->query,
		[HDMS_HTTP_CONTENT_DIGEST] = content_digest,
	};

	for (size_t i = 0; i < count; i++)
	{
		hdms_text_add(base, "\"");
		hdms_text_add(base, component_names[components[i]]);
		hdms_text_add(base, "\": ");
		hdms_text_add(base, values[components[i]]);
		hdms_text_add(base, "\n");
	}
	hdms_text_add(base, "\"@signature-params\": ");
	hdms_text_add_bytes(base, params, params_len);
}

/* Signs with a key, or with a secret where key is NULL. */
static HdmsStatus
sign_base(const HdmsText *base, const HdmsKey *key, const unsigned char *secret, char **header)
{
	unsigned char mac[HDMS_DIGEST_SIZE];
	HdmsBytes	signature = {0};
	HdmsText	text = {0};
	char	   *base64 = NULL;
	HdmsStatus	status;

	if (key != NULL)
	{
		status = hdms_key_sign(key, base->data, base->len, &signature);
		if (status == HDMS_OK)
			status = hdms_base64_encode(signature.data, signature.len, &base64);
	}
	else
	{
		status = hdms_hmac_sha256(secret, SESSION_SECRET, base->data, base->len, mac);
		if (status == HDMS_OK)
			status = hdms_base64_encode(mac, sizeof(mac), &base64);
	}
	hdms_bytes_free(&signature);
	if (status != HDMS_OK)
		return status;
	hdms_text_add(&text, LABEL "=:");
	hdms_text_add(&text, base64);
	hdms_text_add(&text, ":");
	free(base64);
	return hdms_text_take(&text, header);
}

static HdmsStatus
sign_request(const HdmsHttpRequest *request, const HdmsKey *key, const unsigned char *secret, const char *keyid,
			 int64_t created, const char *nonce, HdmsHttpSignature *signature)
{
	static const HdmsHttpComponent components[HDMS_HTTP_COMPONENT_COUNT] =
	{HDMS_HTTP_METHOD, HDMS_HTTP_AUTHORITY, HDMS_HTTP_PATH, HDMS_HTTP_QUERY, HDMS_HTTP_CONTENT_DIGEST};
	const size_t count = request->body_len > 0 ? HDMS_HTTP_COMPONENT_COUNT : HDMS_HTTP_CONTENT_DIGEST;
	HdmsHttpSignature result = {0};
	HdmsText	input = {0};
	HdmsText	base = {0};
	HdmsStatus	status = HDMS_OK;

	if (!request_is_usable(request) || created < 0 || !is_parameter_text(keyid, HDMS_KEYID_MAX) ||
		(nonce != NULL && !is_parameter_text(nonce, HDMS_NONCE_MAX)))
		return HDMS_BAD_ARGUMENT;
	if (request->body_len > 0)
		status = digest_header(request->body, request->body_len, &result.content_digest);
	if (status != HDMS_OK)
		return status;

	hdms_text_add(&input, LABEL "=(");
	for (size_t i = 0; i < count; i++)
	{
		hdms_text_add(&input, i == 0 ? "\"" : " \"");
		hdms_text_add(&input, component_names[components[i]]);
		hdms_text_add(&input, "\"");
	}
	hdms_text_add(&input, ");created=");
	hdms_text_add_integer(&input, created);
	hdms_text_add(&input, ";keyid=\"");
	hdms_text_add(&input, keyid);
	if (nonce != NULL)
	{
		hdms_text_add(&input, "\";nonce=\"");
		hdms_text_add(&input, nonce);
	}
	hdms_text_add(&input, "\";tag=\"" TAG "\"");
	status = hdms_text_take(&input, &result.signature_input);
	if (status != HDMS_OK)
		goto cleanup;

	write_base(request, components, count, result.content_digest, result.signature_input + strlen(LABEL "="),
			   strlen(result.signature_input) - strlen(LABEL "="), &base);
	status = base.status;
	if (status == HDMS_OK)
		status = sign_base(&base, key, secret, &result.signature);
	if (status == HDMS_OK)
	{
		*signature = result;
		result = (HdmsHttpSignature) {0};
	}

cleanup:
	hdms_text_wipe(&base);
	hdms_http_signature_free(&result);
	return status;
}

HdmsStatus
hdms_http_sign(const HdmsHttpRequest *request, const HdmsKey *key, const char *keyid, int64_t created,
			   const char *nonce, HdmsHttpSignature *signature)
{
	return sign_request(request, key, NULL, keyid, created, nonce, signature);
}

HdmsStatus
hdms_http_sign_session(const HdmsHttpRequest *request, const unsigned char secret[32], const char *keyid,
					   int64_t created, const char *nonce, HdmsHttpSignature *signature)
{
	return sign_request(request, NULL, secret, keyid, created, nonce, signature);
}

void
hdms_http_signature_free(HdmsHttpSignature *signature)
{
	free(signature->content_digest);
	free(signature->signature_input);
	free(signature->signature);
	*signature = (HdmsHttpSignature) {0};
}

HdmsStatus
hdms_http_peek(const char *signature_input, HdmsHttpClaim *claim)
{
	HdmsHttpInput input;
	HdmsStatus	status = hdms_http_input_parse(signature_input, LABEL, component_names, &input);

	if (status == HDMS_OK)
		*claim = input.claim;
	return status;
}

/* Compares the Content-Digest header with the body. */
static HdmsStatus
check_digest(const HdmsHttpRequest *request, const char *content_digest)
{
	char	   *expected = NULL;
	HdmsStatus	status;

	if (content_digest == NULL)
		return HDMS_BAD_FORMAT;
	status = digest_header(request->body, request->body_len, &expected);
	if (status == HDMS_OK && strcmp(content_digest, expected) != 0)
		status = HDMS_DIGEST_MISMATCH;
	free(expected);
	return status;
}

/* Whether exactly the components that must be covered are. */
static HdmsStatus
check_coverage(const HdmsHttpRequest *request, const HdmsHttpInput *input)
{
	bool		has[HDMS_HTTP_COMPONENT_COUNT] = {false};

	for (size_t i = 0; i < input->count; i++)
		has[input->components[i]] = true;
	for (int i = 0; i < HDMS_HTTP_CONTENT_DIGEST; i++)
	{
		if (!has[i])
			return HDMS_BAD_FORMAT;
	}
	return request->body_len > 0 && !has[HDMS_HTTP_CONTENT_DIGEST] ? HDMS_BAD_FORMAT : HDMS_OK;
}

/* The value of a Signature header with our one label. */
static HdmsStatus
read_signature(const char *header, HdmsBytes *signature)
{
	const size_t prefix_len = strlen(LABEL "=:");
	const size_t len = header == NULL ? 0 : strlen(header);

	if (len < prefix_len + 1 || strncmp(header, LABEL "=:", prefix_len) != 0 || header[len - 1] != ':')
		return HDMS_BAD_FORMAT;
	return hdms_base64_decode(header + prefix_len, len - prefix_len - 1, signature);
}

HdmsStatus
hdms_http_verify(const HdmsHttpRequest *request, const char *signature_input, const char *signature,
				 const char *content_digest, const HdmsKey *key, const unsigned char *session_secret,
				 int64_t now)
{
	HdmsHttpInput input;
	HdmsBytes	claimed = {0};
	HdmsText	base = {0};
	unsigned char mac[HDMS_DIGEST_SIZE];
	HdmsStatus	status;

	if ((key == NULL) == (session_secret == NULL) || !request_is_usable(request))
		return HDMS_BAD_ARGUMENT;
	status = hdms_http_input_parse(signature_input, LABEL, component_names, &input);
	if (status == HDMS_OK)
		status = check_coverage(request, &input);
	if (status == HDMS_OK && strcmp(input.tag, TAG) != 0)
		status = HDMS_BAD_FORMAT;
	if (status == HDMS_OK && input.claim.created < now - HDMS_HTTP_SKEW)
		status = HDMS_EXPIRED;
	if (status == HDMS_OK && input.claim.created > now + HDMS_HTTP_SKEW)
		status = HDMS_NOT_YET_VALID;
	if (status == HDMS_OK && input.covers_digest)
		status = check_digest(request, content_digest);
	if (status == HDMS_OK)
		status = read_signature(signature, &claimed);
	if (status != HDMS_OK)
		return status;

	write_base(request, input.components, input.count, content_digest, input.params, input.params_len, &base);
	status = base.status;
	if (status == HDMS_OK && key != NULL)
		status = hdms_key_verify(key, base.data, base.len, claimed.data, claimed.len);
	else if (status == HDMS_OK)
	{
		status = hdms_hmac_sha256(session_secret, SESSION_SECRET, base.data, base.len, mac);
		if (status == HDMS_OK && (claimed.len != sizeof(mac) || !hdms_equal(mac, claimed.data, sizeof(mac))))
			status = HDMS_BAD_SIGNATURE;
	}
	hdms_text_wipe(&base);
	hdms_bytes_free(&claimed);
	return status;
}
