/*
 * log_path.h
 *		What a path below /v1/log/NODE/ speaks of: one of an institution's logs, and its checkpoint or a tile.
 */
#ifndef HDMS_SERVER_LOG_PATH_H
#define HDMS_SERVER_LOG_PATH_H

#include "log_tree.h"

#define LOG_NAME_SIZE	(HDMS_DIGEST_TEXT + 32)

typedef struct LogPath
{
	char		log[LOG_NAME_SIZE]; /* as it is stored */
	char		origin[HDMS_ORIGIN_MAX];
	bool		has_entries;	/* its entries are for everybody */
	bool		is_checkpoint;	/* and no tile */
	int			level;
	uint64_t	index;
	int			width;
} LogPath;

/*
 * rest: "notary/" or "ledger/" or "ledger/EPOCH/" with an epoch above 1, and then "checkpoint" or "tile/...". False when it
 * is anything else; each has one form.
 */
extern bool log_path_read(const char *node, const char *rest, LogPath *path);

#endif
