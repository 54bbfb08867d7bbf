/*
 * migrate.h
 *		Numbered migrations of the server's database.
 */
#ifndef HDMS_SERVER_MIGRATE_H
#define HDMS_SERVER_MIGRATE_H

#include <stdbool.h>

#include <libpq-fe.h>

typedef struct Migration
{
	int			number;
	const char *name;
	const char *sql;
} Migration;

/* Made from server/migrations/ when the program is built; ends with number 0. */
extern const Migration migrations[];

/* The number that this program needs. */
extern int	migrate_newest(void);

/* The number that the database has; 0 when it has none; -1 after logging an error. */
extern int	migrate_current(PGconn *conn);

/* Applies what is missing, each migration in a transaction. Refuses a database that is newer than the program. */
extern bool migrate_run(PGconn *conn);

#endif
