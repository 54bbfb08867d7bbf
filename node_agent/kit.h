/*
 * kit.h
 *		The recovery kit as one text, for a QR code: hdms:kit?v=1&seed=BASE64URL&network=THUMBPRINT&server=URL
 */
#ifndef NODE_KIT_H
#define NODE_KIT_H

#include "words.h"

typedef struct Kit
{
	unsigned char seed[SEED_SIZE];
	char		network[HDMS_DIGEST_TEXT + 1];	/* the network key's fingerprint */
	char		server[513];	/* base URL without a trailing '/' */
} Kit;

/* malloc'ed, to be wiped; NULL when there is no memory. */
extern char *kit_uri(const unsigned char seed[SEED_SIZE], const char *server, const char *network);

/* The caller wipes the kit. */
extern bool kit_parse(const char *uri, Kit *kit);

/* Whether the two places may stand in a kit. */
extern bool kit_places_fit(const char *server, const char *network);

#endif
