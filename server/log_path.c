/*
 * log_path.c
 *		What a path below /v1/log/NODE/ speaks of.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log_path.h"

/* A number above 1 as one writes it, and the slash behind it. *rest moves behind that. */
static bool
read_epoch(const char **rest, int64_t *epoch)
{
	const char *at = *rest;
	int64_t		number = 0;

	if (*at == '0')
		return false;
	while (*at >= '0' && *at <= '9' && at - *rest < 15)
		number = number * 10 + (*at++ - '0');
	if (*at != '/' || number < 2)
		return false;
	*rest = at + 1;
	*epoch = number;
	return true;
}

bool
log_path_read(const char *node, const char *rest, LogPath *path)
{
	int64_t		epoch = 1;

	memset(path, 0, sizeof(*path));
	path->has_entries = strncmp(rest, "notary/", 7) == 0;
	if (!path->has_entries && strncmp(rest, "ledger/", 7) != 0)
		return false;
	rest += 7;
	if (path->has_entries)
	{
		hdms_log_origin(node, path->origin);
		snprintf(path->log, sizeof(path->log), "%s/notary", node);
	}
	else
	{
		if (*rest >= '0' && *rest <= '9' && !read_epoch(&rest, &epoch))
			return false;
		hdms_ledger_origin(node, epoch, path->origin);
		snprintf(path->log, sizeof(path->log), epoch > 1 ? "%s/ledger/%" PRId64 : "%s/ledger", node, epoch);
	}
	path->is_checkpoint = strcmp(rest, "checkpoint") == 0;
	if (path->is_checkpoint)
		return true;
	return hdms_tile_parse(rest, &path->level, &path->index, &path->width) == HDMS_OK && path->level < LOG_TILE_LEVELS
		&& (path->level != LOG_ENTRIES || path->has_entries);
}
