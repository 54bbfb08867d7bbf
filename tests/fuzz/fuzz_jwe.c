/*
 * fuzz_jwe.c
 *		Any bytes as a JWE, and any bytes as what one contains: no crash.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 7515, A.3. */
static const char jwk[] =
"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}";

/* The same bytes as the plaintext of an envelope, which must open, and as a message, which need not. */
static void
open_sealed(const HdmsKey *key, const void *plaintext, size_t size)
{
	HdmsBytes	opened = {0};
	HdmsMessage message = {0};
	char	   *envelope = NULL;
	char		kid[HDMS_DIGEST_TEXT + 1];

	if (hdms_jwe_seal(key, HDMS_TYP_ENVELOPE, plaintext, size, &envelope) != HDMS_OK)
		return;
	if (hdms_jwe_open(envelope, strlen(envelope), key, HDMS_TYP_ENVELOPE, &opened) != HDMS_OK ||
		opened.len != size || memcmp(opened.data, plaintext, size) != 0)
		abort();
	hdms_bytes_free(&opened);
	if (hdms_message_open(envelope, strlen(envelope), key, hdms_key_thumbprint(key), 0, &message) == HDMS_OK)
	{
		hdms_message_verify(&message, key);
		hdms_message_kid(&message, kid);
		hdms_message_free(&message);
	}
	free(envelope);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static HdmsKey *key;
	const char *compact = (const char *) data;
	char		kid[HDMS_DIGEST_TEXT + 1];
	HdmsBytes	plaintext = {0};

	if (key == NULL && hdms_key_from_jwk(jwk, strlen(jwk), &key) != HDMS_OK)
		abort();
	hdms_jwe_peek_kid(compact, size, kid);
	if (hdms_jwe_open(compact, size, key, NULL, &plaintext) == HDMS_OK)
		hdms_bytes_free(&plaintext);
	open_sealed(key, data, size);
	return 0;
}
