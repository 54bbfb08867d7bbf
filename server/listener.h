/*
 * listener.h
 *		What server processes tell each other through the database: LISTEN and NOTIFY.
 */
#ifndef HDMS_SERVER_LISTENER_H
#define HDMS_SERVER_LISTENER_H

#include "config.h"
#include "node_cache.h"
#include "usage.h"
#include "waiter.h"

typedef struct Listener Listener;

extern Listener *listener_start(const Config *_Atomic *config, NodeCache *nodes, Usage *usage, WaiterTable *waiters);
extern void listener_stop(Listener *listener);

/* Tells the other processes, within a few milliseconds, that there is mail for a node. Never blocks. */
extern void listener_announce(Listener *listener, const char *node);

#endif
