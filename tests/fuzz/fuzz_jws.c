/*
 * fuzz_jws.c
 *		Any bytes as a JWS: no crash, and what verifies is what peeking showed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jws.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 7515, A.3. */
static const char jwk[] =
"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static HdmsKey *key;
	const char *compact = (const char *) data;
	HdmsJwsHeader header = {0};
	HdmsBytes	peeked = {0};
	HdmsBytes	payload = {0};
	json_t	   *claims = NULL;

	if (key == NULL && hdms_key_from_jwk(jwk, strlen(jwk), &key) != HDMS_OK)
		abort();
	if (hdms_jws_peek(compact, size, &header) == HDMS_OK)
		hdms_jws_header_free(&header);
	hdms_jws_peek_payload(compact, size, &peeked);
	if (hdms_jws_verify(compact, size, key, NULL, &payload) == HDMS_OK)
	{
		if (payload.len != peeked.len || memcmp(payload.data, peeked.data, payload.len) != 0)
			abort();
		hdms_bytes_free(&payload);
	}
	if (hdms_jws_verify_claims(compact, size, key, HDMS_TYP_MESSAGE, &claims) == HDMS_OK)
		json_decref(claims);
	hdms_bytes_free(&peeked);
	return 0;
}
