/*
 * tile.c
 *		The paths of a log's tiles: C2SP tlog-tiles.
 *
 * A tile has exactly one path. Parsing accepts nothing else, so that a server can
 * use a path as a key of a cache or a table without two keys for one tile.
 */
#include "merkle.h"

#include <stdio.h>
#include <string.h>

#define TILE_WIDTH		256
#define TILE_MAX_LEVEL	63

/* Three decimal digits at *cursor, which moves behind them. */
static bool
read_three_digits(const char **cursor, uint64_t *value)
{
	uint64_t	result = 0;

	for (int i = 0; i < 3; i++)
	{
		char		c = (*cursor)[i];

		if (c < '0' || c > '9')
			return false;
		result = result * 10 + (uint64_t) (c - '0');
	}
	*cursor += 3;
	*value = result;
	return true;
}

/* A decimal number of at most max_digits digits without leading zeroes. */
static bool
read_number(const char **cursor, int max_digits, int *value)
{
	int			result = 0;
	int			digits = 0;

	while ((*cursor)[digits] >= '0' && (*cursor)[digits] <= '9')
	{
		if (digits == max_digits)
			return false;
		result = result * 10 + ((*cursor)[digits] - '0');
		digits++;
	}
	if (digits == 0 || (digits > 1 && (*cursor)[0] == '0'))
		return false;
	*cursor += digits;
	*value = result;
	return true;
}

/* The index: elements of three digits, all but the last with an "x" before them. */
static bool
read_index(const char **cursor, uint64_t *value)
{
	uint64_t	result = 0;
	uint64_t	element;
	bool		is_first = true;

	for (;;)
	{
		bool		is_last = **cursor != 'x';

		if (!is_last)
			(*cursor)++;
		if (!read_three_digits(cursor, &element))
			return false;
		if (is_first && !is_last && element == 0)
			return false;
		if (result > (INT64_MAX - element) / 1000)
			return false;
		result = result * 1000 + element;
		if (is_last)
			break;
		if (*(*cursor)++ != '/')
			return false;
		is_first = false;
	}
	*value = result;
	return true;
}

HdmsStatus
hdms_tile_path(int level, uint64_t index, int width, char path[96])
{
	char		level_text[8] = "entries";
	char		index_text[48];
	size_t		start = sizeof(index_text) - 1;
	char		width_text[16] = "";

	if (level < -1 || level > TILE_MAX_LEVEL || index > INT64_MAX || width < 1 || width > TILE_WIDTH)
		return HDMS_BAD_ARGUMENT;
	if (level >= 0)
		snprintf(level_text, sizeof(level_text), "%d", level);
	if (width < TILE_WIDTH)
		snprintf(width_text, sizeof(width_text), ".p/%d", width);

	index_text[start] = '\0';
	for (bool is_last = true; is_last || index > 0; is_last = false)
	{
		unsigned	element = (unsigned) (index % 1000);

		index /= 1000;
		if (!is_last)
			index_text[--start] = '/';
		index_text[--start] = (char) ('0' + element % 10);
		index_text[--start] = (char) ('0' + element / 10 % 10);
		index_text[--start] = (char) ('0' + element / 100);
		if (!is_last)
			index_text[--start] = 'x';
	}
	snprintf(path, 96, "tile/%s/%s%s", level_text, index_text + start, width_text);
	return HDMS_OK;
}

HdmsStatus
hdms_tile_parse(const char *path, int *level, uint64_t *index, int *width)
{
	const char *cursor = path;
	int			found_level = -1;
	uint64_t	found_index;
	int			found_width = TILE_WIDTH;

	if (strncmp(cursor, "tile/", 5) != 0)
		return HDMS_BAD_FORMAT;
	cursor += 5;
	if (strncmp(cursor, "entries", 7) == 0)
		cursor += 7;
	else if (!read_number(&cursor, 2, &found_level) || found_level > TILE_MAX_LEVEL)
		return HDMS_BAD_FORMAT;
	if (*cursor++ != '/')
		return HDMS_BAD_FORMAT;
	if (!read_index(&cursor, &found_index))
		return HDMS_BAD_FORMAT;
	if (strncmp(cursor, ".p/", 3) == 0)
	{
		cursor += 3;
		if (!read_number(&cursor, 3, &found_width) || found_width < 1 || found_width >= TILE_WIDTH)
			return HDMS_BAD_FORMAT;
	}
	if (*cursor != '\0')
		return HDMS_BAD_FORMAT;
	*level = found_level;
	*index = found_index;
	*width = found_width;
	return HDMS_OK;
}
