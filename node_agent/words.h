/*
 * words.h
 *		The recovery seed as words that a person can write down: BIP-39, English, 24 words.
 */
#ifndef NODE_WORDS_H
#define NODE_WORDS_H

#include "bytes.h"

#define SEED_SIZE		32
#define SEED_WORDS		24
#define SEED_WORDS_SIZE	(SEED_WORDS * 9)	/* words have at most 8 letters; each is followed by a space or the end */

/* The words with one space between them. The caller wipes them. */
extern HdmsStatus words_print(const unsigned char seed[SEED_SIZE], char text[SEED_WORDS_SIZE]);

/*
 * The seed again. Any white space between the words, upper case and numbers before the words ("1. abandon 2. ...") do not matter, and the first
 * four letters of a word are enough. HDMS_BAD_FORMAT: not 24 words of the list; *wrong is the position of the first that is not (1 ...; 0: too few
 * or too many). HDMS_DIGEST_MISMATCH: all are, but one is another than was written down, or two were exchanged.
 */
extern HdmsStatus words_parse(const char *text, unsigned char seed[SEED_SIZE], int *wrong);

#endif
