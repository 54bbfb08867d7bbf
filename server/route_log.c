/*
 * route_log.c
 *		Logs in C2SP tlog-tiles layout, for anybody to read.
 *
 * A stored tile may be wider than the partial one that is asked for: the beginning of it is the answer. Full tiles never
 * change; those of the directory do when it begins a new generation, so only who names the generation gets an answer
 * to be kept for ever.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory_sequencer.h"
#include "log_path.h"
#include "routes.h"
#include "server_clock.h"

#define FOR_EVER	"public, max-age=31536000, immutable"
#define A_MINUTE	"public, max-age=60"

typedef struct LogReading
{
	char		name[LOG_NAME_SIZE];
	int			width;			/* of the tile that is asked for */
	int64_t		generation;		/* -1: none was named */
} LogReading;

static void
reading_free(Request *request)
{
	free(request->operation.log.data);
	free(request->state);
}

/* Limits by address what costs no signature. False after replying. */
static bool
reading_allowed(Request *request)
{
	const Config *config = request->server->config;
	char		key[64 + 16] = "log ";
	int64_t		retry_after;

	request_address(request, key + 4);
	if (rate_take(request->server->address_rates, key, strlen(key), 60 * config->log_rate_per_second, config->log_rate_burst, &retry_after))
		return true;
	metrics_count(COUNTER_RATE_LIMITED, 1);
	request_problem_later(request, 429, "too-many-requests", "too many questions about logs from this address", retry_after);
	return false;
}

/* Prepares an operation about a log. NULL after replying. */
static LogReading *
reading_new(Request *request, const char *name)
{
	LogReading *reading;

	if (!reading_allowed(request))
		return NULL;
	reading = calloc(1, sizeof(LogReading));
	if (reading == NULL)
	{
		request_problem(request, 500, "internal-error", NULL);
		return NULL;
	}
	snprintf(reading->name, sizeof(reading->name), "%s", name);
	request->operation.log.name = reading->name;
	request->operation.log.data = NULL;
	request->operation.log.len = 0;
	request->state = reading;
	request->free_state = reading_free;
	return reading;
}

static void
reply_checkpoint(Request *request)
{
	char	   *note = request->operation.log.data;

	if (request_operation_failed(request))
		return;
	if (note == NULL)
	{
		request_problem(request, 404, "unknown-log", "there is no checkpoint of this log");
		return;
	}
	request->operation.log.data = NULL;
	metrics_count(COUNTER_LOG_TILES_SERVED, 1);
	request_reply_text(request, 200, "text/plain; charset=utf-8", note, request->operation.log.len);
}

static void
read_checkpoint(Request *request, const char *name)
{
	if (reading_new(request, name) == NULL)
		return;
	request->operation.kind = OPERATION_LOAD_CHECKPOINT;
	request_submit(request, reply_checkpoint);
}

/* How long the first so many entries of a bundle are; 0 when it has fewer. */
static size_t
bundle_length(const unsigned char *data, size_t len, int width)
{
	const unsigned char *at = data;

	for (int i = 0; i < width; i++)
	{
		const unsigned char *entry;
		size_t		entry_len;

		if (hdms_bundle_next(&at, data + len, &entry, &entry_len) != HDMS_OK)
			return 0;
	}
	return (size_t) (at - data);
}

static void
reply_tile(Request *request)
{
	LogReading *reading = request->state;
	char	   *data = request->operation.log.data;
	size_t		len = 0;
	bool		is_kept = reading->width == HDMS_TILE_WIDTH;

	if (request_operation_failed(request))
		return;
	if (data != NULL && request->operation.log.size >= reading->width)
		len = request->operation.log.level == LOG_ENTRIES
			? bundle_length((const unsigned char *) data, request->operation.log.len, reading->width)
			: (size_t) reading->width * HDMS_DIGEST_SIZE;
	if (len == 0 || len > request->operation.log.len)
	{
		request_problem(request, 404, "unknown-tile", "the log has no such tile, or not as many hashes in it");
		return;
	}
	request->operation.log.data = NULL;
	metrics_count(COUNTER_LOG_TILES_SERVED, 1);
	request_reply_text(request, 200, "application/octet-stream", data, len);
	if (is_kept && request->response != NULL)
		request_cache(request, strcmp(reading->name, DIRECTORY_LOG) != 0 || reading->generation > 0 ? FOR_EVER : A_MINUTE);
}

static void
load_tile(Request *request)
{
	request->operation.kind = OPERATION_LOAD_TILE;
	request_submit(request, reply_tile);
}

/* The checkpoint of the directory, before a tile of a generation that was named. */
static void
generation_loaded(Request *request)
{
	LogReading *reading = request->state;
	char	   *note = request->operation.log.data;
	HdmsCheckpoint checkpoint;
	char		origin[HDMS_ORIGIN_MAX];

	if (request_operation_failed(request))
		return;
	hdms_directory_origin(hdms_key_thumbprint(request->server->network), reading->generation, origin);
	if (note == NULL || hdms_checkpoint_parse(note, request->operation.log.len, &checkpoint) != HDMS_OK || strcmp(checkpoint.origin, origin) != 0)
	{
		request_problem(request, 404, "unknown-log", "the directory's log has another generation");
		return;
	}
	free(note);
	request->operation.log.data = NULL;
	load_tile(request);
}

static void
read_tile(Request *request, const char *name)
{
	LogReading *reading;
	char		path[sizeof(request->match.rest) + 8];
	int			level;
	uint64_t	index;
	int			width;
	int64_t		generation;

	snprintf(path, sizeof(path), "tile/%s", request->match.rest);
	if (hdms_tile_parse(path, &level, &index, &width) != HDMS_OK || level >= LOG_TILE_LEVELS)
	{
		request_problem(request, 404, "unknown-tile", "this is not the path of a tile");
		return;
	}
	if (!request_number(request, "generation", INT64_C(1) << 50, -1, &generation))
	{
		request_problem(request, 400, "bad-argument", "\"generation\" is a number");
		return;
	}
	reading = reading_new(request, name);
	if (reading == NULL)
		return;
	reading->width = width;
	reading->generation = generation;
	request->operation.log.level = level;
	request->operation.log.index = index;
	if (generation > 0 && strcmp(name, DIRECTORY_LOG) == 0)
	{
		request->operation.kind = OPERATION_LOAD_CHECKPOINT;
		request_submit(request, generation_loaded);
	}
	else
		load_tile(request);
}

/* A log of an institution. */
void
route_log(Request *request)
{
	LogPath		path;
	LogReading *reading;

	if (!log_path_read(request->match.ids[0], request->match.rest, &path))
		request_problem(request, 404, "unknown-log", "there is no log, or no tile, of this path");
	else if (path.is_checkpoint)
		read_checkpoint(request, path.log);
	else if ((reading = reading_new(request, path.log)) != NULL)
	{
		reading->width = path.width;
		request->operation.log.level = path.level;
		request->operation.log.index = path.index;
		load_tile(request);
	}
}

void
route_directory_checkpoint(Request *request)
{
	read_checkpoint(request, DIRECTORY_LOG);
}

void
route_directory_tile(Request *request)
{
	read_tile(request, DIRECTORY_LOG);
}

/*
 * A node shows a checkpoint that it has kept. Its signature says all: whether this directory's log still has those leaves
 * is found out by the housekeeper.
 */
void
route_directory_shown(Request *request)
{
	static const char done[] = "{}";
	HdmsCheckpoint checkpoint;
	SeenCheckpoint shown = {0};
	HdmsStatus	status;

	if (!reading_allowed(request))
		return;
	status = hdms_directory_checkpoint_verify(request->body, request->body_len, request->server->network, &checkpoint, &shown.generation);
	if (status != HDMS_OK)
	{
		request_problem(request, 400, hdms_status_word(status), "this is no checkpoint that this network's key signed");
		return;
	}
	shown.size = checkpoint.size;
	memcpy(shown.root, checkpoint.root, sizeof(shown.root));
	housekeeper_was_shown(request->server->housekeeper, &shown);
	request_reply_json(request, 202, strdup(done));
}
