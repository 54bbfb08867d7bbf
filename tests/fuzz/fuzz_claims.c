/*
 * fuzz_claims.c
 *		Any bytes as claims: no crash, and never more lenient than the scanner for content; what is accepted prints, and
 *		means the same when read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "json_scan.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t	   *object = NULL;
	json_t	   *again = NULL;
	char	   *text = NULL;
	const char *string;
	int64_t		number;
	unsigned char digest[HDMS_DIGEST_SIZE];

	if (hdms_claims_parse((const char *) data, size, &object) != HDMS_OK)
		return 0;
	if (hdms_json_check((const char *) data, size, SIZE_MAX, NULL, NULL) != HDMS_OK)
		abort();
	hdms_claims_string(object, "iss", &string);
	hdms_claims_integer(object, "iat", &number);
	hdms_claims_digest(object, "vk", digest, &string);
	hdms_claims_equal(object, "typ", "x");
	if (hdms_claims_print(object, &text) != HDMS_OK ||
		hdms_claims_parse(text, strlen(text), &again) != HDMS_OK || !json_equal(object, again))
		abort();
	free(text);
	json_decref(object);
	json_decref(again);
	return 0;
}
