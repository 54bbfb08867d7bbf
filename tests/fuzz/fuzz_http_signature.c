/*
 * fuzz_http_signature.c
 *		Any bytes as the headers of a signed request, one a line: no crash, and none verifies.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http_signature.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts the next line off. */
static char *
next_line(char **at)
{
	char	   *line = *at;
	char	   *end = strchr(line, '\n');

	if (end == NULL)
		*at = line + strlen(line);
	else
	{
		*end = '\0';
		*at = end + 1;
	}
	return line;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char secret[32] = "a secret that the fuzzer does no";
	char	   *text = malloc(size + 1);
	char	   *at = text;
	HdmsHttpRequest request = {.method = "POST", .authority = "hdms.example", .path = "/v1/envelopes", .query = "?"};
	HdmsHttpSignature made = {0};
	HdmsHttpClaim claim;
	char	   *input;
	char	   *signature;
	char	   *digest;
	int64_t		now = 1767225600;

	if (text == NULL)
		abort();
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	input = next_line(&at);
	signature = next_line(&at);
	digest = next_line(&at);
	request.body = at;
	request.body_len = strlen(at);
	if (hdms_http_peek(input, &claim) == HDMS_OK)
		now = claim.created;
	if (hdms_http_verify(&request, input, signature, digest, NULL, secret, now) == HDMS_OK)
		abort();

	/* The lines as parts of a request instead: what can be signed verifies. */
	request.path = input;
	request.query = signature;
	request.authority = digest;
	if (hdms_http_sign_session(&request, secret, "session", now, NULL, &made) == HDMS_OK)
	{
		if (hdms_http_verify(&request, made.signature_input, made.signature, made.content_digest, NULL, secret, now) != HDMS_OK)
			abort();
		hdms_http_signature_free(&made);
	}
	free(text);
	return 0;
}
