/*
 * config.h
 *		The settings of a home: its file "config", lines of "key = value".
 *
 * Times are written as a number with "ms", "s", "m", "h" or "d"; a bare number means seconds. All are kept in milliseconds.
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "hdms_node.h"

typedef struct NodeConfig
{
	int64_t		notary_patience;	/* before the institution is asked about a silent notary */
	int64_t		resend_initial;		/* before an unanswered message is put again; doubles */
	int64_t		resend_max;
	int64_t		retry_initial;		/* after a request failed; doubles */
	int64_t		retry_max;
	int64_t		poll_wait;			/* how long the server may hold an empty answer */
	int64_t		message_ttl;		/* exp of own messages */
	int64_t		request_timeout;	/* of requests that the server does not hold */
	int64_t		expiry_grace;		/* after accept_until, before a version counts as expired here */
	int64_t		pair_timeout;		/* how long the command "pair" waits for the institution */
	int64_t		linger;				/* collects work for one transaction: the load driver */
	bool		allow_http;			/* plain HTTP to other than loopback addresses */
	bool		accept_all;			/* new pairings begin with the policy "accept" */
	char		ca_file[512];		/* "" for the system's */
} NodeConfig;

extern void config_default(NodeConfig *config);

/* Reads the file if it is there. On a line that cannot be understood returns false and says which in error. */
extern bool config_read(const char *path, NodeConfig *config, HdmsNodeError *error);

/* One setting. False for an unknown key or a bad value. */
extern bool config_set(NodeConfig *config, const char *key, const char *value);

#endif
