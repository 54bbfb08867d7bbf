/*
 * utf8.h
 *		One UTF-8 sequence (RFC 3629).  Internal to protocol/.
 */
#ifndef HDMS_UTF8_H
#define HDMS_UTF8_H

#include <stddef.h>

/*
 * The length of the well-formed sequence at the start of the bytes, 1 to 4; 0 when there is none: overlong forms,
 * surrogates, values above U+10FFFF and cut sequences are not well-formed.
 */
static inline size_t
hdms_utf8_sequence(const unsigned char *at, size_t left)
{
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t		length;

	if (left == 0)
		return 0;
	if (at[0] < 0x80)
		return 1;
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (left < length)
		return 0;
	if (at[0] == 0xe0)
		low = 0xa0;
	else if (at[0] == 0xed)
		high = 0x9f;
	else if (at[0] == 0xf0)
		low = 0x90;
	else if (at[0] == 0xf4)
		high = 0x8f;
	if (at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
	{
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}

#endif
