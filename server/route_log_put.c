/*
 * route_log_put.c
 *		Institutions put their logs here, tiles first and the checkpoint over them last, for everybody to read.
 *
 * Only the node itself does, with its signature. What was put stays: a tile can only get wider, a checkpoint only
 * larger, and a checkpoint is taken only when the tiles that are here have its root. So this is a mirror that its owner
 * cannot rewrite either; an attempt is refused, and said in the log.
 */
#include <stdlib.h>
#include <string.h>

#include "authenticate.h"
#include "log_path.h"
#include "receipt.h"
#include "routes.h"

typedef struct LogPutting
{
	LogPath		path;
	HdmsCheckpoint checkpoint;
	LogTiles	edge;
} LogPutting;

static void
putting_free(Request *request)
{
	LogPutting *putting = request->state;

	for (size_t i = 0; i < putting->edge.count; i++)
		free((void *) (uintptr_t) putting->edge.tiles[i].data);
	free(putting);
}

static void
reply_written(Request *request)
{
	static const char done[] = "{}";
	const LogPutting *putting = request->state;

	if (request_operation_failed(request))
		return;
	switch (request->operation.log_write.result)
	{
		case LOG_STORED:
			metrics_count(COUNTER_LOG_TILES_STORED, 1);
			request_reply_json(request, 201, strdup(done));
			break;
		case LOG_SAME:
			request_reply_json(request, 200, strdup(done));
			break;
		case LOG_CONFLICT:
			log_event(LEVEL_WARNING, "log_contradicted", "log=s", putting->path.log, "what=s",
					  putting->path.is_checkpoint ? "checkpoint" : "tile", NULL);
			request_problem(request, 409, "conflict", "this contradicts what the node put before");
			break;
	}
}

/* Whether a body has exactly the entries of the notary's log that a bundle of that width has. */
static bool
is_bundle(const char *body, size_t len, int width)
{
	const unsigned char *at = (const unsigned char *) body;
	const unsigned char *end = at + len;

	for (int i = 0; i < width; i++)
	{
		const unsigned char *entry;
		size_t		entry_len;

		if (hdms_bundle_next(&at, end, &entry, &entry_len) != HDMS_OK || entry_len != HDMS_LEAF_SIZE)
			return false;
	}
	return at == end;
}

static void
put_tile(Request *request)
{
	LogPutting *putting = request->state;
	const LogPath *path = &putting->path;

	if (path->level == LOG_ENTRIES ? !is_bundle(request->body, request->body_len, path->width)
		: request->body_len != (size_t) path->width * HDMS_DIGEST_SIZE)
	{
		request_problem(request, 400, "bad-format", "the body is not a tile of this width");
		return;
	}
	request->operation.kind = OPERATION_WRITE_TILE;
	request->operation.log_write.name = path->log;
	request->operation.log_write.level = path->level;
	request->operation.log_write.index = path->index;
	request->operation.log_write.width = path->width;
	request->operation.log_write.data = request->body;
	request->operation.log_write.len = request->body_len;
	request_submit(request, reply_written);
}

/* The right edge of the tiles is there: does it have the root that the checkpoint promises? */
static void
edge_loaded(Request *request)
{
	LogPutting *putting = request->state;
	HdmsHash	root;

	if (request_operation_failed(request))
		return;
	if (hdms_merkle_tree_root(putting->checkpoint.size, log_tiles_fetch, &putting->edge, root) != HDMS_OK
		|| memcmp(root, putting->checkpoint.root, sizeof(root)) != 0)
	{
		request_problem(request, 409, "tiles-missing", "the tiles that were put do not have the root of this checkpoint");
		return;
	}
	request->operation.kind = OPERATION_WRITE_CHECKPOINT;
	request->operation.log_write.name = putting->path.log;
	request->operation.log_write.size = (int64_t) putting->checkpoint.size;
	request->operation.log_write.data = request->body;
	request->operation.log_write.len = request->body_len;
	request_submit(request, reply_written);
}

static void
put_checkpoint(Request *request)
{
	LogPutting *putting = request->state;
	const HdmsKey *key = request->node->history != NULL ? hdms_history_current(request->node->history, HDMS_ROLE_LOG) : NULL;
	HdmsStatus	status = HDMS_UNKNOWN_KEY;

	if (key != NULL && memchr(request->body, '\0', request->body_len) == NULL)
		status = hdms_checkpoint_verify(request->body, request->body_len, putting->path.origin, key, &putting->checkpoint);
	if (status != HDMS_OK || putting->checkpoint.size == 0)
	{
		request_problem(request, 400, status != HDMS_OK ? hdms_status_word(status) : "bad-format",
						"this is no checkpoint of the node's log, signed by its log key");
		return;
	}
	request->operation.kind = OPERATION_LOAD_EDGE;
	request->operation.log_edge.name = putting->path.log;
	request->operation.log_edge.size = (int64_t) putting->checkpoint.size;
	request->operation.log_edge.tiles = &putting->edge;
	request_submit(request, edge_loaded);
}

static void
put_authenticated(Request *request)
{
	const Config *config = request->server->config;
	LogPutting *putting;

	if (request->node->kind != HDMS_INSTITUTION || strcmp(request->node->id, request->match.ids[0]) != 0)
	{
		request_problem(request, 403, "not-yours", "only the institution itself puts its logs");
		return;
	}
	putting = calloc(1, sizeof(LogPutting));
	if (putting == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return;
	}
	request->state = putting;
	request->free_state = putting_free;
	if (!log_path_read(request->match.ids[0], request->match.rest, &putting->path))
	{
		request_problem(request, 404, "unknown-log", "there is no log, or no tile, of this path");
		return;
	}
	/* a tile stays for ever: it costs a token for each kilobyte */
	rate_charge(request->server->node_rates, request->node->id, HDMS_DIGEST_TEXT, 60 * config->institution_rate_per_second,
				config->institution_rate_burst, (int64_t) request->body_len / 1024);
	if (request->body_len == 0)
		request_problem(request, 400, "bad-request", "this request has a body");
	else if (putting->path.is_checkpoint)
		put_checkpoint(request);
	else
		put_tile(request);
}

void
route_log_put(Request *request)
{
	authenticate(request, put_authenticated);
}
