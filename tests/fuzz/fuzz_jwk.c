/*
 * fuzz_jwk.c
 *		Any bytes as a key: no crash; what is accepted exports, imports and stays the same key.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HdmsKey    *key = NULL;
	HdmsKey    *again = NULL;
	char	   *jwk = NULL;

	if (hdms_key_from_jwk((const char *) data, size, &key) != HDMS_OK)
		return 0;
	if (hdms_key_to_jwk(key, hdms_key_is_private(key), &jwk) != HDMS_OK ||
		hdms_key_from_jwk(jwk, strlen(jwk), &again) != HDMS_OK ||
		strcmp(hdms_key_thumbprint(key), hdms_key_thumbprint(again)) != 0 ||
		hdms_key_is_private(key) != hdms_key_is_private(again))
		abort();
	hdms_string_wipe(jwk);
	hdms_key_free(key);
	hdms_key_free(again);
	return 0;
}
