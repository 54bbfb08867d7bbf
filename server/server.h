/*
 * server.h
 *		The parts of a running server, as its requests see them.
 */
#ifndef HDMS_SERVER_SERVER_H
#define HDMS_SERVER_SERVER_H

#include <stdatomic.h>

#include "config.h"
#include "database.h"
#include "listener.h"
#include "housekeeper.h"
#include "node_cache.h"
#include "rate_limit.h"
#include "tls.h"
#include "usage.h"
#include "waiter.h"

typedef struct Server
{
	const Config *_Atomic config;
	HdmsKey    *network;
	char	   *network_jwk;	/* public */
	char		authority[300];	/* what nodes sign as @authority */
	Database   *database;
	NodeCache  *nodes;
	Usage	   *usage;
	WaiterTable *waiters;
	RateLimiter *node_rates;
	RateLimiter *address_rates;
	Listener   *listener;
	Housekeeper *housekeeper;
	Tls		   *tls;			/* NULL: plain HTTP */
	atomic_bool stopping;
	_Atomic int64_t in_flight;	/* requests that are not answered */
	_Atomic int64_t suspended;	/* those of them that no HTTP thread looks after */
} Server;

#endif
