/*
 * http_server.c
 *		The HTTP side: libmicrohttpd's threads and what they call.
 *
 * A few threads with epoll serve all connections. A connection's memory is small on purpose: a header section of more
 * than a few kilobytes is refused, bodies are collected in memory of their own that is counted for the whole process,
 * and a request that waits keeps neither.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_server.h"
#include "request.h"
#include "server_clock.h"

#define CONNECTION_MEMORY		6144	/* bytes: the whole header section and a piece of the body */
#define CONNECTION_INCREMENT	1024
#define BODY_TIME_MS			60000	/* for a body to arrive */
#define THREAD_STACK			(512 * 1024)

struct HttpServer
{
	Server	   *server;
	struct MHD_Daemon *daemon;
	struct MHD_Daemon *metrics;
	MHD_socket	quiesced;
};

/* The address to bind, or 0 bytes when it is none. */
static socklen_t
socket_address(const char *listen_address, struct sockaddr_storage *address)
{
	char		host[64];
	uint16_t	port;
	struct sockaddr_in *v4 = (struct sockaddr_in *) (void *) address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) (void *) address;

	memset(address, 0, sizeof(*address));
	if (!config_split_address(listen_address, host, &port))
		return 0;
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
	{
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1)
	{
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return sizeof(*v6);
	}
	return 0;
}

static void *
target_logged(void *argument, const char *target, struct MHD_Connection *connection)
{
	(void) connection;
	return request_new(argument, target);
}

static void
request_completed(void *argument, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	Server	   *server = argument;
	Request    *request = *state;

	(void) connection;
	*state = NULL;
	if (request == NULL)
		return;
	if (request->phase != REQUEST_NEW)
	{
		metrics_request(request->match.route->id, request->status);
		log_event(LEVEL_DEBUG, "request", "route=s", request->match.route->name, "status=i", (int64_t) request->status,
				  "complete=i", (int64_t) (code == MHD_REQUEST_TERMINATED_COMPLETED_OK), NULL);
		atomic_fetch_sub(&server->in_flight, 1);
	}
	request_free(request);
}

static void
connection_changed(void *argument, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode code)
{
	(void) argument;
	(void) connection;
	(void) state;
	metrics_gauge_add(GAUGE_CONNECTIONS, code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

/* What can be said before the body: replies when the answer cannot depend on it. */
static void
judge_head(Request *request, const char *method)
{
	const char *length = request_header(request, "Content-Length");
	const char *encoding = request_header(request, "Transfer-Encoding");
	const char *type = request_header(request, "Content-Type");
	const Route *route = request->match.route;
	bool		has_body = encoding != NULL || (length != NULL && strcmp(length, "0") != 0);

	if (route->id == ROUTE_UNKNOWN)
	{
		if (!request->match.path_known)
			request_problem(request, 404, "not-found", "there is nothing at this path");
		else
		{
			request_problem(request, 405, "method-not-allowed", method);
			if (request->response != NULL)
				MHD_add_response_header(request->response, "Allow", request->match.allow);
		}
	}
	else if (length != NULL && encoding != NULL)
		request_problem(request, 400, "bad-request", "Content-Length and Transfer-Encoding contradict each other");
	else if (has_body && route->body_max == 0)
		request_problem(request, 400, "bad-request", "this request has no body");
	else if (length != NULL && (strlen(length) > 15 || strtoll(length, NULL, 10) > (long long) route->body_max))
		request_problem(request, 413, "too-large", "the body is too large");
	else if (has_body && route->content_type != NULL && (type == NULL || strncasecmp(type, route->content_type, strlen(route->content_type)) != 0))
		request_problem(request, 415, "bad-type", route->content_type);
	else if (atomic_load(&request->server->stopping))
		request_problem_later(request, 503, "stopping", "the server is being stopped", 1);
}

/* Collects a piece of the body. False: the connection is to be closed. */
static bool
append_body(Request *request, const char *data, size_t len)
{
	size_t		max = request->match.route->body_max;
	const Config *config = request->server->config;

	if (monotonic_ms() > request->body_deadline)
		return false;
	if (request->body_len + len > max)
	{
		/* a little more is read, so that the client gets to see the answer */
		request->body_too_large = true;
		request->body_len += len;
		return request->body_len <= 2 * max;
	}
	if (request->body_too_large || request->body_refused)
		return true;
	if (request->body_len + len > request->body_capacity)
	{
		size_t		capacity = request->body_capacity == 0 ? 2048 : request->body_capacity * 2;
		char	   *grown;

		while (capacity < request->body_len + len)
			capacity *= 2;
		if (capacity > max)
			capacity = max;
		metrics_gauge_add(GAUGE_BODY_BYTES, (int64_t) (capacity - request->body_capacity));
		grown = metrics_gauge_get(GAUGE_BODY_BYTES) <= config->body_memory ? realloc(request->body, capacity + 1) : NULL;
		if (grown == NULL)
		{
			metrics_gauge_add(GAUGE_BODY_BYTES, -(int64_t) (capacity - request->body_capacity));
			request->body_refused = true;
			return true;
		}
		request->body = grown;
		request->body_capacity = capacity;
	}
	memcpy(request->body + request->body_len, data, len);
	request->body_len += len;
	request->body[request->body_len] = '\0';
	return true;
}

static void
begin(Request *request)
{
	if (request->body_too_large)
		request_problem(request, 413, "too-large", "the body is too large");
	else if (request->body_refused)
		request_problem_later(request, 503, "busy", "the server has too much to do", 1);
	else if (request->match.route->body_max > 0 && request->body_len == 0 && request->match.route->content_type != NULL)
		request_problem(request, 400, "bad-request", "this request has a body");
	else
		request->match.route->begin(request);
}

static enum MHD_Result
queue_response(Request *request)
{
	enum MHD_Result result;

	if (request->response == NULL)
		return MHD_NO;
	request->phase = REQUEST_REPLIED;
	result = MHD_queue_response(request->connection, (unsigned int) request->status, request->response);
	MHD_destroy_response(request->response);
	request->response = NULL;
	return result;
}

static enum MHD_Result
handle_request(void *argument, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
			   const char *upload, size_t *upload_len, void **state)
{
	Server	   *server = argument;
	Request    *request = *state;

	(void) url;
	(void) version;
	if (request == NULL)
		return MHD_NO;
	switch (request->phase)
	{
		case REQUEST_NEW:
			request->phase = REQUEST_BODY;
			request->connection = connection;
			request->body_deadline = monotonic_ms() + BODY_TIME_MS;
			atomic_fetch_add(&server->in_flight, 1);
			route_find(method, request->target, request->query != NULL ? (size_t) (request->query - request->target) : strlen(request->target),
					   &request->match);
			judge_head(request, method);
			return request->response != NULL ? queue_response(request) : MHD_YES;
		case REQUEST_BODY:
			if (*upload_len > 0)
			{
				bool		going_on = append_body(request, upload, *upload_len);

				*upload_len = 0;
				return going_on ? MHD_YES : MHD_NO;
			}
			request->phase = REQUEST_RUNNING;
			begin(request);
			break;
		case REQUEST_RUNNING:
			request->next(request);
			break;
		case REQUEST_REPLIED:
			return MHD_YES;
	}
	return request->response != NULL ? queue_response(request) : MHD_YES;
}

static enum MHD_Result
handle_metrics(void *argument, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
			   const char *upload, size_t *upload_len, void **state)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	char	   *text = NULL;
	size_t		len = 0;
	bool		found = strcmp(method, "GET") == 0 && strcmp(url, "/metrics") == 0;

	(void) argument;
	(void) version;
	(void) upload;
	if (*state == NULL)
	{
		*state = connection;
		return MHD_YES;
	}
	*upload_len = 0;
	if (found)
		text = metrics_print(&len);
	response = text != NULL ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE)
		: MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
	if (response == NULL)
	{
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4");
	result = MHD_queue_response(connection, text != NULL ? 200 : found ? 500 : 404, response);
	MHD_destroy_response(response);
	return result;
}

/* Raises the limit of open files as far as it goes; returns how many connections there can be. */
static unsigned int
allow_connections(int64_t wanted)
{
	struct rlimit limit;
	rlim_t		needed = (rlim_t) wanted + 200;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 500;
	if (limit.rlim_cur < needed)
	{
		limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > needed ? needed : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= needed)
		return (unsigned int) wanted;
	log_event(LEVEL_WARNING, "fewer_connections", "wanted=i", wanted, "possible=i", (int64_t) limit.rlim_cur - 200,
			  "hint=s", "raise LimitNOFILE", NULL);
	return limit.rlim_cur > 400 ? (unsigned int) limit.rlim_cur - 200 : 200;
}

static void
silent_logger(void *argument, const char *format, va_list arguments)
{
	char		text[256];

	(void) argument;
	vsnprintf(text, sizeof(text), format, arguments);
	text[strcspn(text, "\n")] = '\0';
	log_event(LEVEL_DEBUG, "http_library", "message=s", text, NULL);
}

static struct MHD_Daemon *
start_daemon(Server *server)
{
	const Config *config = server->config;
	struct sockaddr_storage address;
	struct MHD_OptionItem options[20];
	unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	unsigned int connections = allow_connections(config->connections);
	int			n = 0;

	if (socket_address(config->listen, &address) == 0)
	{
		log_event(LEVEL_ERROR, "cannot_listen", "address=s", config->listen, "why=s", "not an address", NULL);
		return NULL;
	}
	if (address.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	if (server->tls != NULL)
	{
		flags |= MHD_USE_TLS;
		options[n++] = (struct MHD_OptionItem) {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_callback()};
		options[n++] = (struct MHD_OptionItem) {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
	}
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_SOCK_ADDR, 0, &address};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t) request_completed, server};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t) connection_changed, server};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t) target_logged, server};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, CONNECTION_INCREMENT, NULL};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_CONNECTION_LIMIT, (intptr_t) connections, NULL};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t) config->idle_timeout, NULL};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_THREAD_STACK_SIZE, THREAD_STACK, NULL};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL};
	options[n++] = (struct MHD_OptionItem) {MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024, NULL};
	if (config->threads > 1)
		options[n++] = (struct MHD_OptionItem) {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t) config->threads, NULL};
	if (config->connections_per_address > 0 && !config->behind_proxy)
		options[n++] = (struct MHD_OptionItem) {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t) config->connections_per_address, NULL};
	options[n] = (struct MHD_OptionItem) {MHD_OPTION_END, 0, NULL};
	return MHD_start_daemon(flags, 0, NULL, NULL, handle_request, server, MHD_OPTION_EXTERNAL_LOGGER, silent_logger, NULL,
							MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static struct MHD_Daemon *
start_metrics(Server *server)
{
	const Config *config = server->config;
	struct sockaddr_storage address;

	if (socket_address(config->metrics_listen, &address) == 0)
		return NULL;
	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL,
							handle_metrics, server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, 32u,
							MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
}

HttpServer *
http_server_start(Server *server)
{
	const Config *config = server->config;
	HttpServer *http = calloc(1, sizeof(HttpServer));

	if (http == NULL)
		return NULL;
	http->server = server;
	http->quiesced = MHD_INVALID_SOCKET;
	http->daemon = start_daemon(server);
	if (http->daemon == NULL)
		log_event(LEVEL_ERROR, "cannot_listen", "address=s", config->listen, "why=s", strerror(errno), NULL);
	else if (config->metrics_listen != NULL)
	{
		http->metrics = start_metrics(server);
		if (http->metrics == NULL)
		{
			log_event(LEVEL_ERROR, "cannot_listen", "address=s", config->metrics_listen, "why=s", strerror(errno), NULL);
			MHD_stop_daemon(http->daemon);
			http->daemon = NULL;
		}
	}
	if (http->daemon == NULL)
	{
		free(http);
		return NULL;
	}
	return http;
}

static uint16_t
daemon_port(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = daemon != NULL ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT) : NULL;

	return info != NULL ? info->port : 0;
}

uint16_t
http_server_port(const HttpServer *http)
{
	return daemon_port(http->daemon);
}

uint16_t
http_server_metrics_port(const HttpServer *http)
{
	return daemon_port(http->metrics);
}

void
http_server_quiesce(HttpServer *http)
{
	http->quiesced = MHD_quiesce_daemon(http->daemon);
}

void
http_server_stop(HttpServer *http)
{
	if (http == NULL)
		return;
	MHD_stop_daemon(http->daemon);
	if (http->metrics != NULL)
		MHD_stop_daemon(http->metrics);
	if (http->quiesced != MHD_INVALID_SOCKET)
		close(http->quiesced);
	free(http);
}
