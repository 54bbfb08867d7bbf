/*
 * kit.c
 *		The recovery kit as one text.
 *
 * The server's URL stands last and goes on to the end, so that nothing in it needs to be escaped.
 */
#include "kit.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD		"hdms:kit?v=1&seed="
#define NETWORK		"&network="
#define SERVER		"&server="
#define SEED_TEXT	43

bool
kit_places_fit(const char *server, const char *network)
{
	size_t		len = strlen(server);

	if (len == 0 || len >= sizeof(((Kit *) NULL)->server) || server[len - 1] == '/' || !hdms_is_digest_text(network, strlen(network)))
		return false;
	if (strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0)
		return false;
	for (; *server != '\0'; server++)
		if (*server <= ' ' || *server == 0x7f)
			return false;
	return true;
}

char *
kit_uri(const unsigned char seed[SEED_SIZE], const char *server, const char *network)
{
	char		text[HDMS_BASE64URL_SIZE(SEED_SIZE)];
	char	   *uri = NULL;

	hdms_base64url_write(seed, SEED_SIZE, text);
	if (asprintf(&uri, HEAD "%s" NETWORK "%s" SERVER "%s", text, network, server) < 0)
		uri = NULL;
	OPENSSL_cleanse(text, sizeof(text));
	return uri;
}

bool
kit_parse(const char *uri, Kit *kit)
{
	const char *seed = uri + strlen(HEAD);
	const char *network = seed + SEED_TEXT + strlen(NETWORK);
	const char *server = network + HDMS_DIGEST_TEXT + strlen(SERVER);

	if (strlen(uri) < (size_t) (server - uri) || strncmp(uri, HEAD, strlen(HEAD)) != 0 || strncmp(seed + SEED_TEXT, NETWORK, strlen(NETWORK)) != 0 ||
		strncmp(network + HDMS_DIGEST_TEXT, SERVER, strlen(SERVER)) != 0)
		return false;
	memcpy(kit->network, network, HDMS_DIGEST_TEXT);
	kit->network[HDMS_DIGEST_TEXT] = '\0';
	if (!kit_places_fit(server, kit->network))
		return false;
	strcpy(kit->server, server);
	return hdms_base64url_read(seed, SEED_TEXT, kit->seed, SEED_SIZE) == HDMS_OK;
}
