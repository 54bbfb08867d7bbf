/*
 * serve.c
 *		hdms-server serve: the running server's life from start to SIGTERM.
 *
 * The main thread waits for signals and turns the waiters' wheel. Stopping goes from the outside to the inside: no new
 * connections, everybody who waits is answered, requests in flight end, then the threads behind them.
 */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http_server.h"
#include "metrics.h"
#include "network_key.h"
#include "serve.h"
#include "server_clock.h"

#define TICK_MS			100
#define STOP_MS			3500	/* for requests in flight */
#define STOP_LATEST_MS	4500	/* for everything */

static void
on_mail_stored(void *context, const char *node)
{
	Server	   *server = context;

	metrics_count(COUNTER_WAKES_LOCAL, (uint64_t) waiters_wake(server->waiters, node));
	listener_announce(server->listener, node);
}

static void
on_node_changed(void *context, const char *node)
{
	Server	   *server = context;

	node_cache_forget(server->nodes, node);
	usage_forget(server->usage, node);
	housekeeper_look_at_directory(server->housekeeper);
}

static void
on_lists_wanted(void *context)
{
	housekeeper_look_at_lists(((Server *) context)->housekeeper);
}

static void
on_entered(void *context)
{
	node_cache_forget_all(((Server *) context)->nodes);
}

static void
on_ready(void *context)
{
	waiters_wake_all(((Server *) context)->waiters);
}

/*
 * What nodes sign as @authority: host in lower case, port unless it is the scheme's. Port 0 in the URL stands for the
 * port that was picked. False when the URL has anything else than scheme, host and port.
 */
static bool
make_authority(const char *url, uint16_t picked, char *out, size_t size)
{
	bool		https = strncmp(url, "https://", 8) == 0;
	const char *host = url + (https ? 8 : 7);
	size_t		len = strcspn(host, "/?#");
	const char *colon = memrchr(host, ':', len);
	size_t		host_len;
	long		port = https ? 443 : 80;

	if (host[len] == '/' && host[len + 1] == '\0')
		;						/* one slash at the end does no harm */
	else if (host[len] != '\0')
		return false;
	if (colon != NULL && memchr(colon, ']', (size_t) (host + len - colon)) != NULL)
		colon = NULL;			/* inside an IPv6 address */
	host_len = colon != NULL ? (size_t) (colon - host) : len;
	if (colon != NULL)
	{
		char	   *end;

		port = strtol(colon + 1, &end, 10);
		if (end != host + len || end == colon + 1 || port < 0 || port > 65535)
			return false;
		if (port == 0)
			port = picked;
	}
	if (host_len == 0 || host_len + 8 > size || memchr(host, '@', host_len) != NULL)
		return false;
	for (size_t i = 0; i < host_len; i++)
		out[i] = (char) tolower((unsigned char) host[i]);
	out[host_len] = '\0';
	if (port != (https ? 443 : 80))
		snprintf(out + host_len, size - host_len, ":%ld", port);
	return true;
}

/* The ports that were picked, on a line each; written whole, so that who waits for the file never reads half of it. */
static bool
write_port_file(const char *path, const HttpServer *http)
{
	char		temporary[4096];
	FILE	   *file;

	if (path == NULL)
		return true;
	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int) sizeof(temporary))
		return false;
	file = fopen(temporary, "w");
	if (file != NULL)
	{
		fprintf(file, "%u\n", http_server_port(http));
		if (http_server_metrics_port(http) != 0)
			fprintf(file, "%u\n", http_server_metrics_port(http));
	}
	if (file == NULL || fclose(file) != 0 || rename(temporary, path) != 0)
	{
		log_event(LEVEL_ERROR, "cannot_write_port_file", "file=s", path, "why=s", strerror(errno), NULL);
		return false;
	}
	return true;
}

static void
server_reload(Server *server, const char *config_path)
{
	const Config *running = server->config;
	Config	   *loaded = config_read(config_path, true);
	int			restart_only;

	if (loaded == NULL)
	{
		log_event(LEVEL_ERROR, "reload_failed", "hint=s", "the configuration is unusable; the running one stays", NULL);
		return;
	}
	restart_only = config_report_restart_only(running, loaded);
	if (server->tls != NULL && (loaded->tls_certificate == NULL || !tls_reload(server->tls, loaded->tls_certificate, loaded->tls_key)))
		log_event(LEVEL_ERROR, "certificate_kept", NULL);
	/* settings that need a restart keep their running values, so that no two parts of the server disagree */
	if (!config_keep_restart_only(running, loaded))
	{
		config_free(loaded);
		return;
	}
	loaded->previous = (Config *) (uintptr_t) running;
	server->config = loaded;
	log_set_level(loaded->log_level);
	log_event(LEVEL_INFO, "reloaded", "need_restart=i", (int64_t) restart_only, NULL);
}

static bool
server_start_parts(Server *server)
{
	DatabaseEvents events = {on_mail_stored, on_node_changed, on_lists_wanted, on_entered, on_ready, server};
	const Config *config = server->config;

	server->nodes = node_cache_new();
	server->usage = usage_new();
	server->waiters = waiter_table_new();
	server->node_rates = rate_limiter_new();
	server->address_rates = rate_limiter_new();
	if (server->nodes == NULL || server->usage == NULL || server->waiters == NULL || server->node_rates == NULL || server->address_rates == NULL)
		return false;
	if (config->tls_certificate != NULL)
	{
		server->tls = tls_load(config->tls_certificate, config->tls_key);
		if (server->tls == NULL)
			return false;
	}
	server->listener = listener_start(&server->config, server->nodes, server->usage, server->waiters);
	server->housekeeper = housekeeper_start(&server->config, server->network);
	if (server->listener == NULL || server->housekeeper == NULL)
		return false;
	server->database = database_start(&server->config, server->usage, &events);
	return server->database != NULL;
}

/*
 * Answers what is in flight. False when a request still hangs on the database: then nothing can be freed. Clients that
 * are slow to read their answers are not waited for longer than that.
 */
static bool
server_drain(Server *server)
{
	int64_t		deadline = monotonic_ms() + STOP_MS;
	const struct timespec step = {.tv_nsec = 5 * 1000000};

	waiters_stop(server->waiters);
	while ((atomic_load(&server->in_flight) > 0 || atomic_load(&server->suspended) > 0) && monotonic_ms() < deadline)
		nanosleep(&step, NULL);
	return atomic_load(&server->suspended) == 0;
}

static void
server_free(Server *server)
{
	database_stop(server->database);
	housekeeper_stop(server->housekeeper);
	listener_stop(server->listener);
	rate_limiter_free(server->node_rates);
	rate_limiter_free(server->address_rates);
	waiter_table_free(server->waiters);
	usage_free(server->usage);
	node_cache_free(server->nodes);
	tls_free(server->tls);
	hdms_key_free(server->network);
	free(server->network_jwk);
	config_free((Config *) (uintptr_t) server->config);
	free(server);
}

/* Ends the process when its parts take too long to end: a thread may hang on a database that does not answer. */
static void *
stop_at_the_latest(void *status)
{
	const struct timespec patience = {.tv_sec = STOP_LATEST_MS / 1000, .tv_nsec = STOP_LATEST_MS % 1000 * 1000000};

	nanosleep(&patience, NULL);
	log_event(LEVEL_WARNING, "stopped", "hint=s", "a thread was still waiting for the database", NULL);
	_exit(*(const int *) status);
}

/* Until SIGTERM or SIGINT. */
static void
server_run(Server *server, const sigset_t *signals, const char *config_path)
{
	const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};

	for (;;)
	{
		int			number = sigtimedwait(signals, NULL, &tick);

		if (number == SIGTERM || number == SIGINT)
			return;
		if (number == SIGHUP)
			server_reload(server, config_path);
		waiters_tick(server->waiters);
	}
}

int
serve(Config *config, const char *config_path)
{
	Server	   *server = calloc(1, sizeof(Server));
	HttpServer *http = NULL;
	char		authority[sizeof(server->authority)];
	sigset_t	signals;
	pthread_t	watchdog;
	static int	status = 1;		/* outlives this function's frame, for the watchdog */

	if (server == NULL)
		return 1;
	server->config = config;
	log_set_name(config->name);
	log_set_level(config->log_level);

	/* before any thread is made: all of them inherit it */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	server->network = network_key_load(config->network_key_file);
	if (server->network == NULL || hdms_key_to_jwk(server->network, false, &server->network_jwk) != HDMS_OK
		|| !make_authority(config->public_url, 0, server->authority, sizeof(server->authority)))
	{
		if (server->network_jwk != NULL)
			fprintf(stderr, "hdms-server: \"public_url\" must be a scheme, a host and perhaps a port\n");
		goto cleanup;
	}
	if (!server_start_parts(server))
		goto cleanup;
	http = http_server_start(server);
	if (http == NULL || !make_authority(config->public_url, http_server_port(http), authority, sizeof(authority)))
		goto cleanup;
	if (strcmp(authority, server->authority) != 0)	/* the port was picked: nobody can know it yet */
		memcpy(server->authority, authority, sizeof(authority));
	if (!write_port_file(config->port_file, http))
		goto cleanup;
	log_event(LEVEL_INFO, "started", "authority=s", server->authority, "port=i", (int64_t) http_server_port(http),
			  "fingerprint=s", hdms_key_thumbprint(server->network), "threads=i", config->threads, NULL);
	server_run(server, &signals, config_path);
	log_event(LEVEL_INFO, "stopping", "in_flight=i", (int64_t) server->in_flight, NULL);
	status = 0;

cleanup:
	if (pthread_create(&watchdog, NULL, stop_at_the_latest, &status) == 0)
		pthread_detach(watchdog);
	atomic_store(&server->stopping, true);
	if (http != NULL)
	{
		http_server_quiesce(http);
		if (!server_drain(server))
		{
			log_event(LEVEL_WARNING, "stopped", "unanswered=i", (int64_t) server->suspended, NULL);
			_exit(status);
		}
	}
	http_server_stop(http);
	log_event(LEVEL_INFO, "stopped", NULL);
	log_set_name("");			/* the configuration, which has it, goes now */
	server_free(server);
	return status;
}
