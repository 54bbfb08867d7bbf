/*
 * pipeline.h
 *		Prepared statements sent many at a time over one connection, with arrays as parameters.
 */
#ifndef HDMS_SERVER_PIPELINE_H
#define HDMS_SERVER_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

typedef enum Statement
{
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_DURABLE,
	STATEMENT_META,
	STATEMENT_SNAPSHOT,
	STATEMENT_TAKE_ID,
	STATEMENT_NONCES,
	STATEMENT_USAGE,
	STATEMENT_PUT,
	STATEMENT_HELD,
	STATEMENT_ACKNOWLEDGE,
	STATEMENT_FETCH,
	STATEMENT_STREAM,
	STATEMENT_STREAM_HELD,
	STATEMENT_NODES,
	STATEMENT_LISTS,
	STATEMENT_NEWEST_LIST,
	STATEMENT_NODE_ENTRY,
	STATEMENT_LOG_CHECKPOINT,
	STATEMENT_LOG_TILE,
	STATEMENT_LOG_EDGE,
	STATEMENT_WRITE_TILE,
	STATEMENT_WRITE_CHECKPOINT,
	STATEMENT_LOCK_NODES,
	STATEMENT_CLAIM_VOUCHERS,
	STATEMENT_WRITE_NODES,
	STATEMENT_WRITE_LISTS,
	STATEMENT_ANNOUNCE_NODES,
	STATEMENT_COUNT
} Statement;

typedef enum PipelineStatus
{
	PIPELINE_OK,
	PIPELINE_CONFLICT,			/* deadlock or serialisation failure: the same again will do */
	PIPELINE_BUSY,				/* a timeout, or no resources */
	PIPELINE_MISSING,			/* tables are not there, or the server is going down */
	PIPELINE_ERROR,				/* anything else that PostgreSQL said */
	PIPELINE_LOST				/* the connection is gone */
} PipelineStatus;

/* A parameter in binary form that is being put together. An array of one dimension, or one value. */
typedef struct Parameter
{
	unsigned char *data;
	size_t		len;
	size_t		capacity;
	int32_t		count;
	bool		is_array;
	bool		failed;			/* out of memory */
} Parameter;

extern void parameter_text_array(Parameter *parameter);
extern void parameter_int8_array(Parameter *parameter);
extern void parameter_int4_array(Parameter *parameter);
extern void parameter_bytea_array(Parameter *parameter);
extern void parameter_bool_array(Parameter *parameter);
extern void parameter_add_text(Parameter *parameter, const char *text);	/* NULL: SQL's null */
extern void parameter_add_bytes(Parameter *parameter, const void *data, size_t len);
extern void parameter_add_int8(Parameter *parameter, int64_t value);
extern void parameter_add_int4(Parameter *parameter, int32_t value);
extern void parameter_add_bool(Parameter *parameter, bool value);
extern void parameter_int8(Parameter *parameter, int64_t value);	/* one value */
extern void parameter_text(Parameter *parameter, const char *text);
extern void parameter_free(Parameter *parameter);

/* Statements that were sent and their results, in order. */
typedef struct Pipeline
{
	PGconn	   *conn;
	PGresult  **results;
	int			sent;
	int			capacity;
	bool		failed;			/* something could not even be sent */
} Pipeline;

/* Prepares all statements and enters pipeline mode. False after logging. */
extern bool pipeline_open(Pipeline *pipeline, PGconn *conn);
extern void pipeline_close(Pipeline *pipeline);

/* Queues a statement; parameters are freed. Returns the number of its result in the next pipeline_run(). */
extern int	pipeline_send(Pipeline *pipeline, Statement statement, int count, Parameter *parameters);

/* Sends what is queued and waits for all results. They stay until the next pipeline_send() after a run, or close. */
extern PipelineStatus pipeline_run(Pipeline *pipeline);

/* Ends an open transaction after a failure. */
extern PipelineStatus pipeline_roll_back(Pipeline *pipeline);

/* Fields of binary results. */
extern int64_t result_int8(const PGresult *result, int row, int column);
extern int32_t result_int4(const PGresult *result, int row, int column);
extern bool result_bool(const PGresult *result, int row, int column);

#endif
