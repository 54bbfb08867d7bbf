/*
 * courier_http.c
 *		HTTP exchanges with the server, many at a time, through libcurl's multi interface.
 *
 * PostgreSQL 15 cannot take a descriptor out of a WaitEventSet, so libcurl's
 * sockets are in an epoll set of their own, whose one descriptor the worker
 * waits on. libcurl's resolver starts threads: all signals are blocked around its calls,
 * so that a thread never runs one of PostgreSQL's signal handlers.
 */
#include "postgres.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/timestamp.h"

#include "courier_http.h"
#include "settings.h"

#define CONNECT_TIMEOUT_S	10
#define SILENCE_S			30	/* without a byte, where no long poll is meant */

static CURLM *multi;
static int	epoll_fd = -1;
static TimestampTz timer_at;	/* when libcurl wants to be called; 0: not at all */
static HttpExchange *under_way;
static HttpServer server;

static void
signals_block(sigset_t *before)
{
	sigset_t	all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, before);
}

static void
signals_restore(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* CURLMOPT_SOCKETFUNCTION: keeps the epoll set as libcurl wants it. */
static int
socket_changed(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_context)
{
	struct epoll_event event = {0};

	event.data.fd = socket;
	if (what & CURL_POLL_IN && what != CURL_POLL_REMOVE)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT && what != CURL_POLL_REMOVE)
		event.events |= EPOLLOUT;
	if (what == CURL_POLL_REMOVE)
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, socket, NULL);
	else if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, socket, &event) != 0 && errno == ENOENT)
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, socket, &event);
	return 0;
}

/* CURLMOPT_TIMERFUNCTION */
static int
timer_changed(CURLM *handle, long timeout_ms, void *context)
{
	timer_at = timeout_ms < 0 ? 0 : TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	return 0;
}

/* CURLOPT_WRITEFUNCTION: a larger answer than was asked for ends the exchange. */
static size_t
reply_arrived(char *data, size_t size, size_t count, void *context)
{
	HttpExchange *exchange = context;
	size_t		len = size * count;
	char	   *grown;

	if (len > exchange->reply_max - exchange->reply_len)
		return 0;
	grown = realloc(exchange->reply, exchange->reply_len + len + 1);
	if (grown == NULL)
		return 0;
	memcpy(grown + exchange->reply_len, data, len);
	exchange->reply = grown;
	exchange->reply_len += len;
	grown[exchange->reply_len] = '\0';
	return len;
}

/* Copies a header's value without the white space around it, if this is that header. */
static bool
header_value(const char *line, size_t len, const char *name, char *value, size_t size)
{
	size_t		name_len = strlen(name);

	if (len <= name_len || pg_strncasecmp(line, name, name_len) != 0)
		return false;
	line += name_len;
	len -= name_len;
	while (len > 0 && (*line == ' ' || *line == '\t'))
		line++, len--;
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
		len--;
	if (len >= size)
		return false;
	memcpy(value, line, len);
	value[len] = '\0';
	return true;
}

/* CURLOPT_HEADERFUNCTION */
static size_t
header_arrived(char *line, size_t size, size_t count, void *context)
{
	HttpExchange *exchange = context;
	char		number[16];

	header_value(line, size * count, "HDMS-Epoch:", exchange->epoch, sizeof(exchange->epoch));
	if (header_value(line, size * count, "Retry-After:", number, sizeof(number)))
		exchange->retry_after = Max(0, Min(strtol(number, NULL, 10), 3600));
	return size * count;
}

void
http_open(void)
{
	sigset_t	before;

	if (multi != NULL)
		return;
	if (!AcquireExternalFD())
		ereport(ERROR, (errcode_for_file_access(), errmsg("no descriptor is left for talking to the HDMS server")));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		ereport(ERROR, (errcode_for_socket_access(), errmsg("could not make an epoll descriptor: %m")));
	signals_block(&before);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		multi = curl_multi_init();
	if (multi != NULL)
	{
		curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
		curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
		curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 16L);
	}
	signals_restore(&before);
	if (multi == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not start libcurl")));
}

const HttpServer *
http_server(void)
{
	return &server;
}

static char *
url_part(CURLU *url, CURLUPart part, unsigned int flags)
{
	char	   *value = NULL;
	char	   *copy;

	if (curl_url_get(url, part, &value, flags) != CURLUE_OK)
		return NULL;
	copy = strdup(value);
	curl_free(value);
	return copy;
}

static void
server_forget(void)
{
	free(server.base);
	free(server.prefix);
	free(server.authority);
	memset(&server, 0, sizeof(server));
}

/* Fills server from a parsed URL. False: it is not one that can be used. */
static bool
server_from_url(CURLU *url)
{
	char	   *scheme = url_part(url, CURLUPART_SCHEME, 0);
	char	   *host = url_part(url, CURLUPART_HOST, 0);
	char	   *port = url_part(url, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
	char	   *path = url_part(url, CURLUPART_PATH, 0);
	char	   *user = url_part(url, CURLUPART_USER, 0);
	char	   *query = url_part(url, CURLUPART_QUERY, 0);
	bool		good = scheme != NULL && host != NULL && path != NULL && user == NULL && query == NULL &&
		(strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);

	if (good)
	{
		size_t		len = strlen(path);
		size_t		size = strlen(host) + (port != NULL ? strlen(port) : 0) + 2;

		while (len > 0 && path[len - 1] == '/')
			path[--len] = '\0';
		for (char *c = host; *c != '\0'; c++)
			*c = pg_ascii_tolower((unsigned char) *c);
		server.is_plain = strcmp(scheme, "http") == 0;
		server.is_loopback = strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 || strncmp(host, "127.", 4) == 0;
		server.authority = malloc(size);
		server.base = malloc(strlen(scheme) + size + len + 4);
		server.prefix = path;
		path = NULL;
		good = server.authority != NULL && server.base != NULL;
		if (good)
		{
			snprintf(server.authority, size, "%s%s%s", host, port != NULL ? ":" : "", port != NULL ? port : "");
			sprintf(server.base, "%s://%s%s", scheme, server.authority, server.prefix);
		}
	}
	free(scheme);
	free(host);
	free(port);
	free(path);
	free(user);
	free(query);
	return good;
}

bool
http_set_server(const char *url, char **problem)
{
	CURLU	   *parsed;
	bool		good;

	http_drop_all();
	server_forget();
	parsed = curl_url();
	good = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK && server_from_url(parsed);
	curl_url_cleanup(parsed);
	if (!good)
		*problem = psprintf("\"%s\" is not the URL of a server", url);
	else if (server.is_plain && !server.is_loopback && !setting_allow_plain_http)
		*problem = psprintf("\"%s\" is not https, and hdms.allow_plain_http is off", url);
	else
		return true;
	server_forget();
	return false;
}

HttpExchange *
http_exchange(const char *method, const char *path, const char *query, char *body)
{
	HttpExchange *exchange = calloc(1, sizeof(HttpExchange));

	if (exchange != NULL)
	{
		exchange->method = method;
		exchange->content_type = "application/json";
		exchange->path = malloc(strlen(server.prefix) + strlen(path) + 1);
		exchange->query = query != NULL ? strdup(query) : NULL;
		exchange->timeout = 60;
		exchange->reply_max = 1024 * 1024;
	}
	if (exchange == NULL || exchange->path == NULL || (query != NULL && exchange->query == NULL))
	{
		http_exchange_free(exchange);
		free(body);
		return NULL;
	}
	sprintf(exchange->path, "%s%s", server.prefix, path);
	exchange->body = body;
	exchange->body_len = body != NULL ? strlen(body) : 0;
	return exchange;
}

void
http_exchange_free(HttpExchange *exchange)
{
	sigset_t	before;

	if (exchange == NULL)
		return;
	if (exchange->easy != NULL)
	{
		signals_block(&before);
		curl_easy_cleanup(exchange->easy);
		signals_restore(&before);
	}
	curl_slist_free_all(exchange->headers);
	free(exchange->path);
	free(exchange->query);
	free(exchange->body);
	free(exchange->reply);
	free(exchange->subject);
	free(exchange);
}

static bool
header_add(HttpExchange *exchange, const char *name, const char *value)
{
	char	   *line = malloc(strlen(name) + strlen(value) + 3);
	struct curl_slist *longer = NULL;

	if (line != NULL)
	{
		sprintf(line, "%s: %s", name, value);
		longer = curl_slist_append(exchange->headers, line);
		free(line);
	}
	if (longer != NULL)
		exchange->headers = longer;
	return longer != NULL;
}

static bool
headers_make(HttpExchange *exchange, const HdmsHttpSignature *signature)
{
	curl_slist_free_all(exchange->headers);
	exchange->headers = NULL;
	return (exchange->body == NULL || header_add(exchange, "Content-Type", exchange->content_type)) &&
		header_add(exchange, "Accept", "application/json") &&
		header_add(exchange, "Expect", "") &&
		(signature == NULL ||
		 ((signature->content_digest == NULL || header_add(exchange, "Content-Digest", signature->content_digest)) &&
		  header_add(exchange, "Signature-Input", signature->signature_input) &&
		  header_add(exchange, "Signature", signature->signature)));
}

static bool
easy_prepare(HttpExchange *exchange)
{
	CURL	   *easy = exchange->easy;
	const char *path = exchange->path + strlen(server.prefix);
	char	   *url = malloc(strlen(server.base) + strlen(path) + (exchange->query != NULL ? strlen(exchange->query) : 0) + 1);
	bool		good;

	if (url == NULL)
		return false;
	sprintf(url, "%s%s%s", server.base, path, exchange->query != NULL ? exchange->query : "");
	good = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
	free(url);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, server.is_plain ? "http" : "https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "hdms/" HDMS_VERSION);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long) CONNECT_TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long) exchange->timeout);
	if (!exchange->waits)
	{
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long) SILENCE_S);
	}
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->failure);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, reply_arrived);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_arrived);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);

	/* A proxy comes from the environment of the server program, but leads nowhere from this machine to itself. */
	if (server.is_loopback)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (setting_server_ca_file[0] != '\0')
		good = curl_easy_setopt(easy, CURLOPT_CAINFO, setting_server_ca_file) == CURLE_OK && good;
	if (strcmp(exchange->method, "POST") == 0)
	{
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body != NULL ? exchange->body : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) exchange->body_len);
	}
	else if (strcmp(exchange->method, "PUT") == 0)
	{
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body != NULL ? exchange->body : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) exchange->body_len);
	}
	return good;
}

bool
http_start(HttpExchange *exchange, const HdmsHttpSignature *signature)
{
	sigset_t	before;
	bool		started;

	free(exchange->reply);
	exchange->reply = NULL;
	exchange->reply_len = 0;
	exchange->status = 0;
	exchange->retry_after = 0;
	exchange->epoch[0] = '\0';
	exchange->failure[0] = '\0';

	signals_block(&before);
	if (exchange->easy == NULL)
		exchange->easy = curl_easy_init();
	started = exchange->easy != NULL && headers_make(exchange, signature) && easy_prepare(exchange) &&
		curl_multi_add_handle(multi, exchange->easy) == CURLM_OK;
	signals_restore(&before);
	if (started)
	{
		exchange->next = under_way;
		under_way = exchange;
	}
	return started;
}

void
http_perform(void)
{
	struct epoll_event events[32];
	sigset_t	before;
	int			running;
	int			count;

	if (multi == NULL)
		return;
	signals_block(&before);
	if (timer_at != 0 && timer_at <= GetCurrentTimestamp())
	{
		timer_at = 0;
		curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	while ((count = epoll_wait(epoll_fd, events, lengthof(events), 0)) > 0)
	{
		for (int i = 0; i < count; i++)
		{
			int			what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
				(events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
				(events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

			curl_multi_socket_action(multi, events[i].data.fd, what, &running);
		}
		if (count < (int) lengthof(events))
			break;
	}
	signals_restore(&before);
}

static void
forget(HttpExchange *exchange)
{
	HttpExchange **link = &under_way;

	while (*link != NULL && *link != exchange)
		link = &(*link)->next;
	if (*link != NULL)
		*link = exchange->next;
	exchange->next = NULL;
}

HttpExchange *
http_next_finished(void)
{
	sigset_t	before;
	CURLMsg    *message;
	HttpExchange *exchange = NULL;
	int			left;

	if (multi == NULL)
		return NULL;
	signals_block(&before);
	while (exchange == NULL && (message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURLcode	result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &exchange);
		curl_multi_remove_handle(multi, exchange->easy);
		if (result == CURLE_OK)
			curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->status);
		else if (result == CURLE_WRITE_ERROR)
			snprintf(exchange->failure, sizeof(exchange->failure), "the answer is too large");
		else if (exchange->failure[0] == '\0')
			snprintf(exchange->failure, sizeof(exchange->failure), "%s", curl_easy_strerror(result));
	}
	signals_restore(&before);
	if (exchange != NULL)
		forget(exchange);
	return exchange;
}

int
http_descriptor(void)
{
	return epoll_fd;
}

long
http_timeout(void)
{
	if (timer_at == 0)
		return -1;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), timer_at);
}

void
http_drop_all(void)
{
	while (under_way != NULL)
	{
		HttpExchange *exchange = under_way;
		sigset_t	before;

		signals_block(&before);
		curl_multi_remove_handle(multi, exchange->easy);
		signals_restore(&before);
		forget(exchange);
		http_exchange_free(exchange);
	}
}
