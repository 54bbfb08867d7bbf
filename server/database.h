/*
 * database.h
 *		The queue of operations and the threads that run them, each with a connection of its own.
 *
 * Nobody waits here: an operation is submitted and its complete() is called later, or at once when there is no usable
 * database. When any connection is lost all of them are made anew, and the first one changes the epoch, because the
 * database may have lost mail: senders then put again what was not answered. That is also why mail need not be
 * flushed to disk at each commit.
 */
#ifndef HDMS_SERVER_DATABASE_H
#define HDMS_SERVER_DATABASE_H

#include "config.h"
#include "node_cache.h"
#include "operation.h"
#include "usage.h"

typedef struct Database Database;

/* What the database tells the rest of the process. Called from database threads; may not block. */
typedef struct DatabaseEvents
{
	void		(*mail_stored) (void *context, const char *node);	/* after the commit */
	void		(*node_changed) (void *context, const char *node);
	void		(*lists_wanted) (void *context);	/* somebody should look at the list of notaries */
	void		(*entered) (void *context);	/* connected to what may be another database: caches are void */
	void		(*ready) (void *context);	/* operations are taken again */
	void	   *context;
} DatabaseEvents;

/* Starts the threads. config is the current one's address, read anew by each batch. */
extern Database *database_start(const Config *_Atomic *config, Usage *usage, const DatabaseEvents *events);

/* Lets queued operations finish, ends the threads, frees. */
extern void database_stop(Database *database);

extern void database_submit(Database *database, Operation *operation);

/* Whether operations are taken at this moment. */
extern bool database_is_ready(Database *database);

/* The newest epoch that this process saw; "" before the first connection. */
extern void database_epoch(Database *database, char epoch[EPOCH_SIZE]);

/* False while there is none. */
extern bool database_session_secret(Database *database, unsigned char secret[32]);

#endif
