/*
 * request.c
 *		One HTTP request on its way through the server.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_signature.h"
#include "request.h"
#include "server_clock.h"

Request *
request_new(Server *server, const char *target)
{
	Request    *request = calloc(1, sizeof(Request));

	if (request == NULL)
		return NULL;
	request->server = server;
	request->target = strdup(target);
	if (request->target == NULL)
	{
		free(request);
		return NULL;
	}
	request->query = strchr(request->target, '?');
	return request;
}

void
request_free(Request *request)
{
	if (request == NULL)
		return;
	if (request->free_state != NULL)
		request->free_state(request);
	metrics_gauge_add(GAUGE_BODY_BYTES, -(int64_t) (request->body_capacity + request->response_bytes));
	free(request->target);
	free(request->body);
	free(request->keyid);
	free(request->nonce);
	node_release(request->node);
	free(request);
}

void
request_drop_body(Request *request)
{
	free(request->body);
	request->body = NULL;
	metrics_gauge_add(GAUGE_BODY_BYTES, -(int64_t) request->body_capacity);
	request->body_capacity = 0;
}

void
request_suspend(Request *request)
{
	atomic_fetch_add(&request->server->suspended, 1);
	MHD_suspend_connection(request->connection);
}

void
request_resume(Request *request)
{
	Server	   *server = request->server;

	/* in this order: once it is resumed the request may end at any moment */
	MHD_resume_connection(request->connection);
	atomic_fetch_sub(&server->suspended, 1);
}

static void
resume_completed(Operation *operation)
{
	request_resume((Request *) operation);
}

void
request_submit_with(Request *request, RequestStep next, void (*complete) (Operation *operation))
{
	request->next = next;
	request->operation.complete = complete;
	request_suspend(request);
	database_submit(request->server->database, &request->operation);
}

void
request_submit(Request *request, RequestStep next)
{
	request_submit_with(request, next, resume_completed);
}

static void
add_epoch(Request *request)
{
	char		epoch[EPOCH_SIZE];

	if (request->operation.epoch[0] != '\0')
		MHD_add_response_header(request->response, "HDMS-Epoch", request->operation.epoch);
	else
	{
		database_epoch(request->server->database, epoch);
		if (epoch[0] != '\0')
			MHD_add_response_header(request->response, "HDMS-Epoch", epoch);
	}
}

void
request_reply_text(Request *request, int status, const char *content_type, char *text, size_t len)
{
	if (text != NULL)
		request->response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (request->response == NULL)
	{
		free(text);
		status = 500;
		len = 0;
		request->response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
		if (request->response == NULL)
			return;				/* the connection is closed */
	}
	request->status = status;
	request->response_bytes = len;
	metrics_gauge_add(GAUGE_BODY_BYTES, (int64_t) len);
	MHD_add_response_header(request->response, "Content-Type", content_type);
	MHD_add_response_header(request->response, "Cache-Control", "no-store");
	if (request->match.route->id != ROUTE_HEALTH)
		add_epoch(request);
}

void
request_cache(Request *request, const char *how)
{
	MHD_del_response_header(request->response, "Cache-Control", "no-store");
	MHD_add_response_header(request->response, "Cache-Control", how);
}

void
request_reply_json(Request *request, int status, char *text)
{
	request_reply_text(request, status, "application/json", text, text != NULL ? strlen(text) : 0);
}

static const char *
status_title(int status)
{
	static const struct
	{
		int			status;
		const char *title;
	}			titles[] = {
		{400, "Bad request"}, {401, "Not authenticated"}, {403, "Not allowed"}, {404, "Not found"}, {405, "Method not allowed"},
		{408, "Request timeout"}, {409, "Conflict"}, {410, "Gone"}, {413, "Too large"}, {415, "Unsupported media type"},
		{429, "Too many requests"}, {500, "Internal error"}, {503, "Not available"}, {507, "Mailbox full"},
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
	{
		if (titles[i].status == status)
			return titles[i].title;
	}
	return "Error";
}

static void
reply_problem(Request *request, int status, const char *word, const char *detail, int64_t now)
{
	char	   *text = NULL;

	if (hdms_wire_problem_print(word, status_title(status), status, detail, now, &text) != HDMS_OK)
		text = NULL;
	request_reply_text(request, status, "application/problem+json", text, text != NULL ? strlen(text) : 0);
	if (status == 401 && request->response != NULL)
		MHD_add_response_header(request->response, "WWW-Authenticate", "Signature");
}

void
request_problem(Request *request, int status, const char *word, const char *detail)
{
	reply_problem(request, status, word, detail != NULL ? detail : status_title(status), 0);
}

void
request_problem_later(Request *request, int status, const char *word, const char *detail, int64_t retry_after)
{
	char		seconds[24];

	request_problem(request, status, word, detail);
	snprintf(seconds, sizeof(seconds), "%lld", (long long) retry_after);
	if (request->response != NULL)
		MHD_add_response_header(request->response, "Retry-After", seconds);
}

void
request_clock_skew(Request *request)
{
	reply_problem(request, 401, "clock-skew", "the signature was made too long ago or in the future", wall_seconds());
}

bool
request_operation_failed(Request *request)
{
	switch (request->operation.outcome)
	{
		case OUTCOME_DONE:
			return false;
		case OUTCOME_REPLAYED:
			metrics_authentication_failed(AUTHENTICATION_REPLAYED);
			request_problem(request, 401, "replayed", "this nonce was used before");
			return true;
		case OUTCOME_NOT_READY:
			request_problem_later(request, 503, "database-not-ready", "the server's database cannot be used at the moment", 2);
			return true;
		case OUTCOME_BUSY:
			request_problem_later(request, 503, "busy", "the server has too much to do", 1);
			return true;
		default:
			request_problem(request, 500, "internal-error", NULL);
			return true;
	}
}

const char *
request_header(const Request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result
keep_last_forwarded(void *last, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void) kind;
	if (strcasecmp(name, "X-Forwarded-For") == 0)
		*(const char **) last = value;
	return MHD_YES;
}

/*
 * The last address of the last X-Forwarded-For: the one that the proxy itself added, as some append to the header and
 * others add another. False when it is no address.
 */
static bool
forwarded_address(const Request *request, char address[64])
{
	const char *forwarded = NULL;
	const char *last;
	unsigned char parsed[16];

	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, keep_last_forwarded, &forwarded);
	if (forwarded == NULL)
		return false;
	last = strrchr(forwarded, ',');
	last = last != NULL ? last + 1 : forwarded;
	while (*last == ' ')
		last++;
	if (strlen(last) >= 64 || (inet_pton(AF_INET, last, parsed) != 1 && inet_pton(AF_INET6, last, parsed) != 1))
		return false;
	memcpy(address, last, strlen(last) + 1);
	return true;
}

void
request_address(const Request *request, char address[64])
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const Config *config = request->server->config;

	if (config->behind_proxy && forwarded_address(request, address))
		return;
	address[0] = '\0';
	if (info == NULL || info->client_addr == NULL)
		return;
	if (info->client_addr->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *) (const void *) info->client_addr)->sin_addr, address, 64);
	else if (info->client_addr->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) (const void *) info->client_addr)->sin6_addr, address, 64);
}

bool
request_number(const Request *request, const char *name, int64_t max, int64_t default_value, int64_t *value)
{
	const char *argument = request->query != NULL ? request->query + 1 : "";
	size_t		name_len = strlen(name);

	while (*argument != '\0')
	{
		size_t		len = strcspn(argument, "&");

		if (len > name_len && strncmp(argument, name, name_len) == 0 && argument[name_len] == '=')
		{
			int64_t		number = 0;

			if (len == name_len + 1 || len > name_len + 16)
				return false;
			for (size_t i = name_len + 1; i < len; i++)
			{
				if (!isdigit((unsigned char) argument[i]))
					return false;
				number = number * 10 + (argument[i] - '0');
			}
			if (number > max)
				return false;
			*value = number;
			return true;
		}
		argument += len + (argument[len] == '&');
	}
	*value = default_value;
	return true;
}
