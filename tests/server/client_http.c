/*
 * client_http.c
 *		Signed requests of a test node, right or wrong in chosen ways.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "client.h"

typedef struct Text
{
	char	   *data;
	size_t		len;
	int			print;
} Text;

static size_t
text_append(char *data, size_t size, size_t count, void *argument)
{
	Text	   *text = argument;
	size_t		len = size * count;

	text->data = realloc(text->data, text->len + len + 1);
	if (text->data == NULL)
		fail("out of memory");
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
	if (text->print)
	{
		fwrite(data, 1, len, stdout);
		fflush(stdout);
	}
	return len;
}

static struct curl_slist *
add_header(struct curl_slist *headers, const char *name, const char *value)
{
	char	   *line = NULL;

	if (asprintf(&line, "%s: %s", name, value) < 0)
		fail("out of memory");
	headers = curl_slist_append(headers, line);
	free(line);
	return headers;
}

/* The signature's headers. */
static struct curl_slist *
sign(const TestNode *node, const TestRequest *request, const char *authority, struct curl_slist *headers)
{
	char	   *path = strdup(request->target);
	char	   *query = strchr(path, '?');
	HdmsHttpRequest covered = {.method = request->method, .authority = authority, .body = request->body, .body_len = request->body_len};
	HdmsHttpSignature signature = {0};
	int64_t		created = time(NULL) + request->created_offset;
	char	   *query_copy = query != NULL ? strdup(query) : NULL;

	if (query != NULL)
		*query = '\0';
	covered.path = path;
	covered.query = query_copy != NULL ? query_copy : "?";
	if (request->use_session)
		require(hdms_http_sign_session(&covered, node->session_secret, request->keyid ? request->keyid : node->session, created, request->nonce,
									   &signature), "sign");
	else
		require(hdms_http_sign(&covered, request->use_recovery ? node->recovery : node->role[HDMS_ROLE_SIGN], request->keyid ? request->keyid : hdms_history_node_id(node->history),
							   created, request->nonce, &signature), "sign");
	if (request->tamper != NULL && strcmp(request->tamper, "signature") == 0)
	{
		char	   *middle = strchr(signature.signature, ':') + 20;

		*middle = *middle == 'A' ? 'B' : 'A';
	}
	if (signature.content_digest != NULL && (request->tamper == NULL || strcmp(request->tamper, "no-digest") != 0))
		headers = add_header(headers, "Content-Digest", signature.content_digest);
	if (request->use_recovery)
	{
		char	   *jwk = NULL;

		require(hdms_key_to_jwk(node->recovery, false, &jwk), "key");
		headers = add_header(headers, "HDMS-Recovery-Key", jwk);
		free(jwk);
	}
	headers = add_header(headers, "Signature-Input", signature.signature_input);
	headers = add_header(headers, "Signature", signature.signature);
	hdms_http_signature_free(&signature);
	free(path);
	free(query_copy);
	return headers;
}

static void
set_method(CURL *curl, const TestRequest *request, const char *body)
{
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (request->body != NULL)
	{
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
	}
}

void
test_request(const TestNode *node, const TestRequest *request, TestResponse *response)
{
	CURL	   *curl = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	Text		head = {0};
	Text		body = {.print = request->stream};
	char	   *url = NULL;
	char	   *sent = NULL;
	const char *authority = request->authority != NULL ? request->authority : strstr(request->url, "://") + 3;
	CURLcode	code;

	if (!request->unsigned_request)
		headers = sign(node, request, authority, headers);
	if (request->content_type != NULL)
		headers = add_header(headers, "Content-Type", request->content_type);
	if (request->accept != NULL)
		headers = add_header(headers, "Accept", request->accept);
	if (asprintf(&url, "%s%s%s", request->url, request->target, request->tamper != NULL && strcmp(request->tamper, "query") == 0 ? "&x=1" : "") < 0)
		fail("out of memory");
	sent = malloc(request->body_len + 1);
	if (request->body != NULL)
		memcpy(sent, request->body, request->body_len);
	if (request->tamper != NULL && strcmp(request->tamper, "body") == 0 && request->body_len > 0)
		sent[request->body_len / 2] ^= 1;
	set_method(curl, request, sent);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, text_append);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, text_append);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &head);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, request->timeout > 0 ? request->timeout : 100L);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK && !(request->stream && code == CURLE_OPERATION_TIMEDOUT))
		fail("request: %s", curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response->status);
	response->headers = head.data != NULL ? head.data : strdup("");
	response->body = body.data != NULL ? body.data : strdup("");
	response->body_len = body.len;
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	free(url);
	free(sent);
}
