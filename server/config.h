/*
 * config.h
 *		The configuration file: "key = value" lines, comments with "#".
 *
 * A Config is immutable once parsed. A reload makes another one, and the old ones stay until the process ends, so
 * that threads read the current one without a lock.
 */
#ifndef HDMS_SERVER_CONFIG_H
#define HDMS_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

typedef struct Config
{
	char	   *name;
	char	   *database;		/* libpq connection string */
	char	   *public_url;
	char	   *listen;			/* address:port */
	char	   *port_file;		/* NULL: none */
	char	   *tls_certificate;
	char	   *tls_key;
	bool		behind_proxy;
	char	   *network_key_file;
	char	   *metrics_listen; /* NULL: no metrics */
	int64_t		mailbox_bytes;
	int64_t		mailbox_envelopes;
	int64_t		default_ttl;	/* seconds */
	int64_t		max_ttl;
	int64_t		session_ttl;
	int64_t		pending_ttl;	/* of an institution that was not admitted and does not ask any more */
	int64_t		rate_per_second;
	int64_t		rate_burst;
	int64_t		institution_rate_per_second;
	int64_t		institution_rate_burst;
	int64_t		log_rate_per_second;	/* questions about logs, for each client address */
	int64_t		log_rate_burst;
	int64_t		registrations_per_minute;	/* for each client address */
	int64_t		notary_list_max_age;	/* seconds */
	LogLevel	log_level;
	int64_t		threads;
	int64_t		database_connections;
	int64_t		connections;
	int64_t		connections_per_address;	/* 0: no limit */
	int64_t		idle_timeout;	/* seconds */
	int64_t		body_memory;	/* bytes of request and response bodies held at once */
	int64_t		node_cache;		/* nodes */

	struct Config *previous;	/* what a reload replaced */
} Config;

/*
 * Reads a file. On failure says what is wrong in which line, and returns NULL: on stderr for the person at the command
 * line, or as events for the log.
 */
extern Config *config_read(const char *path, bool as_events);
extern void config_free(Config *config);

/* Whether a listening address is loopback only. */
extern bool config_is_loopback(const char *listen_address);

/* Splits "address:port" or "[address]:port"; host has room for 64 characters. False when it is no such text. */
extern bool config_split_address(const char *text, char host[64], uint16_t *port);

/* Gives loaded the running values of the settings that only count after a restart. False when out of memory. */
extern bool config_keep_restart_only(const Config *running, Config *loaded);

/* Logs each setting that differs and only counts after a restart; returns how many. */
extern int	config_report_restart_only(const Config *running, const Config *loaded);

#endif
