/*
 * fuzz_tile.c
 *		Tile paths: what is parsed is written again as exactly the same text.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *path = malloc(size + 1);
	char		again[96];
	int			level;
	uint64_t	index;
	int			width;

	if (path == NULL)
		return 0;
	memcpy(path, data, size);
	path[size] = '\0';
	if (hdms_tile_parse(path, &level, &index, &width) == HDMS_OK &&
		(hdms_tile_path(level, index, width, again) != HDMS_OK || strcmp(path, again) != 0))
		abort();
	free(path);
	return 0;
}
