/*
 * http.c
 *		Requests to servers.
 *
 * A server is not trusted: answers are capped while they arrive, every call has an end, and one that is not held is cut when it trickles.
 * Nothing but http and https is spoken, and redirects are not followed (a signature covers one authority only).
 */
#include "http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "engine.h"
#include "http_signature.h"
#include "url.h"

#define SPARE_HANDLES	64
#define CONNECT_TIMEOUT INT64_C(15000)
#define STALL_SECONDS	30

/* A socket of curl's in the engine's epoll set. Kept for reuse: an event of this round may still point to it. */
typedef struct Socket
{
	EngineWatch watch;
	Http	   *http;
	struct Socket *next;
} Socket;

struct HttpCall
{
	Http	   *http;
	CURL	   *easy;
	HttpDone	done;
	void	   *arg;
	char	   *body;
	struct curl_slist *headers;
	char	   *answer;
	size_t		len;
	size_t		size;
	size_t		max;
	bool		too_large;
	char		epoch[64];
	int64_t		retry_after;
	HttpCall   *next;
	HttpCall   *prev;
};

struct Http
{
	CURLM	   *multi;
	int			epoll;
	int64_t		timer;
	Socket	   *spare_sockets;
	CURL	   *spare[SPARE_HANDLES];
	int			spare_count;
	HttpCall   *calls;
};

static void
socket_ready(void *arg, uint32_t events)
{
	Socket	   *socket = arg;

	if (socket->watch.descriptor >= 0)
		http_ready(socket->http, socket->watch.descriptor, events);
}

/* CURLMOPT_SOCKETFUNCTION: which events curl waits for. */
static int
socket_changed(CURL *easy, curl_socket_t descriptor, int what, void *arg, void *known)
{
	Http	   *http = arg;
	Socket	   *socket = known;
	struct epoll_event event = {0};

	(void) easy;
	if (what == CURL_POLL_REMOVE)
	{
		if (socket == NULL)
			return 0;
		(void) epoll_ctl(http->epoll, EPOLL_CTL_DEL, descriptor, NULL);
		socket->watch.descriptor = -1;
		socket->next = http->spare_sockets;
		http->spare_sockets = socket;
		curl_multi_assign(http->multi, descriptor, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (socket != NULL)
	{
		event.data.ptr = &socket->watch;
		return epoll_ctl(http->epoll, EPOLL_CTL_MOD, descriptor, &event);
	}
	socket = http->spare_sockets;
	if (socket != NULL)
		http->spare_sockets = socket->next;
	else if ((socket = calloc(1, sizeof(*socket))) == NULL)
		return -1;
	socket->http = http;
	socket->watch = (EngineWatch)
	{
		.descriptor = descriptor, .ready = socket_ready, .arg = socket
	};
	event.data.ptr = &socket->watch;
	curl_multi_assign(http->multi, descriptor, socket);
	return epoll_ctl(http->epoll, EPOLL_CTL_ADD, descriptor, &event);
}

static int
timer_changed(CURLM *multi, long timeout, void *arg)
{
	Http	   *http = arg;

	(void) multi;
	http->timer = timeout < 0 ? INT64_MAX : engine_clock() + timeout;
	return 0;
}

Http *
http_create(int epoll)
{
	Http	   *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return NULL;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	http->multi = curl_multi_init();
	http->epoll = epoll;
	http->timer = INT64_MAX;
	if (http->multi == NULL)
	{
		free(http);
		return NULL;
	}
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	return http;
}

static void
call_free(HttpCall *call)
{
	Http	   *http = call->http;

	if (call->prev)
		call->prev->next = call->next;
	else
		http->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	if (call->easy != NULL)
	{
		curl_multi_remove_handle(http->multi, call->easy);
		if (http->spare_count < SPARE_HANDLES)
			http->spare[http->spare_count++] = call->easy;
		else
			curl_easy_cleanup(call->easy);
	}
	curl_slist_free_all(call->headers);
	free(call->body);
	free(call->answer);
	free(call);
}

void
http_drop(Http *http, HttpCall *call)
{
	(void) http;
	if (call != NULL)
		call_free(call);
}

void
http_free(Http *http)
{
	if (http == NULL)
		return;
	while (http->calls != NULL)
		call_free(http->calls);
	for (int i = 0; i < http->spare_count; i++)
		curl_easy_cleanup(http->spare[i]);
	curl_multi_cleanup(http->multi);
	while (http->spare_sockets != NULL)
	{
		Socket	   *socket = http->spare_sockets;

		http->spare_sockets = socket->next;
		free(socket);
	}
	free(http);
}

int64_t
http_timer(const Http *http)
{
	return http->timer;
}

static size_t
answer_arrives(char *data, size_t size, size_t count, void *arg)
{
	HttpCall   *call = arg;
	size_t		len = size * count;

	if (len > call->max - call->len)
	{
		call->too_large = true;
		return 0;
	}
	if (call->len + len + 1 > call->size)
	{
		size_t		bigger = call->size ? call->size * 2 : 2048;
		char	   *buffer;

		while (bigger < call->len + len + 1)
			bigger *= 2;
		buffer = realloc(call->answer, bigger);
		if (buffer == NULL)
			return 0;
		call->answer = buffer;
		call->size = bigger;
	}
	memcpy(call->answer + call->len, data, len);
	call->len += len;
	call->answer[call->len] = '\0';
	return len;
}

/* The value of a header line, if it is that header; its length, or -1. */
static int
header_value(const char *line, size_t len, const char *name, const char **value)
{
	size_t		name_len = strlen(name);

	if (len <= name_len + 1 || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
		return -1;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len > 0 && strchr(" \t\r\n", line[len - 1]) != NULL)
		len--;
	*value = line;
	return (int) len;
}

static size_t
header_arrives(char *line, size_t size, size_t count, void *arg)
{
	HttpCall   *call = arg;
	size_t		len = size * count;
	const char *value;
	int			value_len;

	value_len = header_value(line, len, "HDMS-Epoch", &value);
	if (value_len > 0 && (size_t) value_len < sizeof(call->epoch))
	{
		memcpy(call->epoch, value, (size_t) value_len);
		call->epoch[value_len] = '\0';
	}
	value_len = header_value(line, len, "Retry-After", &value);
	if (value_len > 0 && value_len < 6)
	{
		char		number[8] = "";

		memcpy(number, value, (size_t) value_len);
		call->retry_after = (int64_t) atoi(number) * 1000;
	}
	return len;
}

static bool
add_header(HttpCall *call, const char *name, const char *value)
{
	size_t		size = strlen(name) + strlen(value) + 3;
	char	   *line = malloc(size);
	struct curl_slist *longer = NULL;

	if (line != NULL)
	{
		snprintf(line, size, "%s: %s", name, value);
		longer = curl_slist_append(call->headers, line);
		free(line);
	}
	if (longer == NULL)
		return false;
	call->headers = longer;
	return true;
}

static bool
add_recovery_key(HttpCall *call, const HdmsKey *key)
{
	char	   *jwk = NULL;
	bool		good = hdms_key_to_jwk(key, false, &jwk) == HDMS_OK && add_header(call, "HDMS-Recovery-Key", jwk);

	free(jwk);
	return good;
}

static bool
request_sign(HttpCall *call, const HttpRequest *request)
{
	char		authority[300];
	char		path[1024];
	char		nonce[HDMS_BASE64URL_SIZE(16)];
	unsigned char random[16];
	HdmsHttpSignature signature = {0};
	HdmsHttpRequest signed_part = {.method = request->method, .authority = authority, .path = path, .body = request->body, .body_len = request->body_len};
	HdmsStatus	status;
	bool		good;

	if (!url_authority(request->pairing->server, authority, sizeof(authority)) ||
		snprintf(path, sizeof(path), "%s%s", url_path(request->pairing->server), request->path) >= (int) sizeof(path) ||
		hdms_random(random, sizeof(random)) != HDMS_OK)
		return false;
	signed_part.query = request->query[0] ? request->query : "?";
	hdms_base64url_write(random, sizeof(random), nonce);
	if (request->signing == HTTP_SESSION)
		status = hdms_http_sign_session(&signed_part, request->session_secret, request->session, home_now(request->pairing->home),
										request->nonce ? nonce : NULL, &signature);
	else
		status = hdms_http_sign(&signed_part, request->recovery ? request->recovery : request->pairing->sign, request->pairing->node, home_now(request->pairing->home),
								request->nonce ? nonce : NULL, &signature);
	good = status == HDMS_OK && (request->recovery == NULL || add_recovery_key(call, request->recovery)) && (signature.content_digest == NULL || add_header(call, "Content-Digest", signature.content_digest)) &&
		add_header(call, "Signature-Input", signature.signature_input) && add_header(call, "Signature", signature.signature);
	hdms_http_signature_free(&signature);
	return good;
}

static void
options_set(HttpCall *call, const HttpRequest *request, const char *url)
{
	CURL	   *easy = call->easy;
	const NodeConfig *config = &request->pairing->home->config;

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "hdms-node/1");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, answer_arrives);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_arrives);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) (request->timeout < CONNECT_TIMEOUT ? request->timeout : CONNECT_TIMEOUT));

	/* curl looks at the speed once a second: a poll that waits, mostly for nothing, would keep a phone awake. Its end bounds it. */
	if (request->held == 0)
	{
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long) STALL_SECONDS);
	}
	if (config->ca_file[0] != '\0')
		curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);
	if (strcmp(request->method, "POST") == 0)
	{
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
	}
}

HttpCall *
http_start(Http *http, const HttpRequest *request)
{
	HttpCall   *call = calloc(1, sizeof(*call));
	char		url[2048];
	int			len = snprintf(url, sizeof(url), "%s%s%s", request->pairing->server, request->path, request->query);
	bool		good;

	if (call == NULL)
	{
		free(request->body);
		return NULL;
	}
	call->http = http;
	call->done = request->done;
	call->arg = request->arg;
	call->body = request->body;
	call->max = request->max_answer;
	call->next = http->calls;
	if (http->calls)
		http->calls->prev = call;
	http->calls = call;
	good = len > 0 && (size_t) len < sizeof(url) && url_allowed(request->pairing->server, request->pairing->home->config.allow_http) &&
		(request->signing == HTTP_PUBLIC || request_sign(call, request)) &&
		(request->body == NULL || add_header(call, "Content-Type", "application/json")) && add_header(call, "Expect", "");
	if (good)
	{
		if (http->spare_count > 0)
		{
			call->easy = http->spare[--http->spare_count];
			curl_easy_reset(call->easy);
		}
		else
			call->easy = curl_easy_init();
	}
	good = good && call->easy != NULL;
	if (good)
	{
		options_set(call, request, url);
		good = curl_multi_add_handle(http->multi, call->easy) == CURLM_OK;
	}
	if (!good)
	{
		call_free(call);
		return NULL;
	}
	return call;
}

static void
call_end(HttpCall *call, CURLcode code)
{
	HttpAnswer	answer = {.body = call->answer ? call->answer : "", .len = call->len, .retry_after = call->retry_after};
	long		status = 0;

	memcpy(answer.epoch, call->epoch, sizeof(answer.epoch));
	if (code == CURLE_OK && curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
		answer.status = (int) status;
	else
		answer.problem = call->too_large ? "the server's answer is too large" : curl_easy_strerror(code);
	call->done(call->arg, &answer);
	call_free(call);
}

void
http_ready(Http *http, int descriptor, uint32_t events)
{
	int			mask = (events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		(events & EPOLLERR ? CURL_CSELECT_ERR : 0);
	int			running;
	int			left;
	CURLMsg    *message;

	if (descriptor < 0)
		http->timer = INT64_MAX;
	curl_multi_socket_action(http->multi, descriptor < 0 ? CURL_SOCKET_TIMEOUT : descriptor, descriptor < 0 ? 0 : mask, &running);
	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		HttpCall   *call = NULL;
		CURLcode	code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		if (call != NULL)
			call_end(call, code);
	}
}
