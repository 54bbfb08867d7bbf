/*
 * name.c
 *		Names that people read: of institutions and notaries.
 *
 * Whoever decides about a hospital by its name must not be shown one that hides
 * a part of itself or turns the rest of the line round.
 */
#include "name.h"

#include <string.h>

#include "history.h"
#include "utf8.h"

/* C0, DEL, C1, line and paragraph separator, and Unicode's Bidi_Control. */
static bool
is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

bool
hdms_is_name(const char *name)
{
	const unsigned char *at = (const unsigned char *) name;
	size_t		left = strnlen(name, HDMS_NAME_MAX + 1);

	if (left == 0 || left > HDMS_NAME_MAX)
		return false;
	while (left > 0)
	{
		size_t		length = hdms_utf8_sequence(at, left);

		if (length == 0)
			return false;

		/* All harmful code points are sequences of at most three bytes. */
		if ((length == 1 && is_harmful(at[0])) ||
			(length == 2 && is_harmful((at[0] & 0x1fu) << 6 | (at[1] & 0x3fu))) ||
			(length == 3 && is_harmful((at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu))))
			return false;
		at += length;
		left -= length;
	}
	return true;
}
