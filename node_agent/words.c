/*
 * words.c
 *		The recovery seed as words.
 *
 * Each word stands for 11 bits; the last 8 bits of all are the first of the seed's SHA-256, so a slip of the pen is noticed with
 * probability 255/256. The list is made so that the first four letters tell its words apart.
 */
#include "words.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>

#include "words_english.h"

#define ENOUGH_LETTERS	4
#define LONGEST_WORD	8

/* The seed and its checksum, as BIP-39 lays them out. */
static HdmsStatus
with_checksum(const unsigned char seed[SEED_SIZE], unsigned char bits[SEED_SIZE + 1])
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	HdmsStatus	status = hdms_sha256(seed, SEED_SIZE, digest);

	if (status != HDMS_OK)
		return status;
	memcpy(bits, seed, SEED_SIZE);
	bits[SEED_SIZE] = digest[0];
	OPENSSL_cleanse(digest, sizeof(digest));
	return HDMS_OK;
}

HdmsStatus
words_print(const unsigned char seed[SEED_SIZE], char text[SEED_WORDS_SIZE])
{
	unsigned char bits[SEED_SIZE + 1];
	char	   *out = text;
	HdmsStatus	status = with_checksum(seed, bits);

	if (status != HDMS_OK)
		return status;
	for (int word = 0; word < SEED_WORDS; word++)
	{
		unsigned	index = 0;

		for (int bit = word * 11; bit < word * 11 + 11; bit++)
			index = index << 1 | (bits[bit / 8] >> (7 - bit % 8) & 1);
		if (word > 0)
			*out++ = ' ';
		out = stpcpy(out, words_english[index]);
	}
	OPENSSL_cleanse(bits, sizeof(bits));
	return HDMS_OK;
}

/* The place of a word in the list; -1 when it is not there. */
static int
word_find(const char *word, size_t len)
{
	for (int i = 0; i < WORD_COUNT; i++)
	{
		size_t		full = strlen(words_english[i]);

		if (len <= full && strncmp(words_english[i], word, len) == 0 && (len == full || len >= ENOUGH_LETTERS))
			return i;
	}
	return -1;
}

HdmsStatus
words_parse(const char *text, unsigned char seed[SEED_SIZE], int *wrong)
{
	unsigned char bits[SEED_SIZE + 1] = {0};
	unsigned char check[SEED_SIZE + 1];
	int			count = 0;
	HdmsStatus	status = HDMS_BAD_FORMAT;

	*wrong = 0;
	while (*text != '\0')
	{
		char		word[LONGEST_WORD + 1];
		size_t		len = 0;
		int			index;

		if (!isalpha((unsigned char) *text))
		{
			/* White space, and the numbers of a numbered list. */
			if (!isspace((unsigned char) *text) && !isdigit((unsigned char) *text) && *text != '.' && *text != ')')
				goto cleanup;
			text++;
			continue;
		}
		for (; isalpha((unsigned char) *text); text++)
		{
			if (len == LONGEST_WORD)
				goto unknown;
			word[len++] = (char) tolower((unsigned char) *text);
		}
		if (count == SEED_WORDS)
			goto cleanup;
		index = word_find(word, len);
		OPENSSL_cleanse(word, sizeof(word));
		if (index < 0)
			goto unknown;
		for (int bit = 0; bit < 11; bit++)
			if (index >> (10 - bit) & 1)
				bits[(count * 11 + bit) / 8] |= (unsigned char) (0x80 >> (count * 11 + bit) % 8);
		count++;
		continue;

unknown:
		*wrong = count + 1;
		goto cleanup;
	}
	if (count != SEED_WORDS)
		goto cleanup;
	status = with_checksum(bits, check);
	if (status == HDMS_OK && check[SEED_SIZE] != bits[SEED_SIZE])
		status = HDMS_DIGEST_MISMATCH;
	if (status == HDMS_OK)
		memcpy(seed, bits, SEED_SIZE);
	OPENSSL_cleanse(check, sizeof(check));

cleanup:
	OPENSSL_cleanse(bits, sizeof(bits));
	return status;
}
