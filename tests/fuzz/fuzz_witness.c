/*
 * fuzz_witness.c
 *		Requests to a witness, a witness's lines, and evidence of a fork: the input as each of them.
 *
 * The keys are fixed, so that the corpus has requests and lines that verify.
 */
#include <stdlib.h>
#include <string.h>

#include "fork.h"
#include "witness.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WITNESS	"witness.example/w1"
#define NOTE	"example.org/log\n20852163\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" \
	"\xe2\x80\x94 example.org/log jxP55CYSwtLYWgPYtBLOOUnxaOgrIoBfC3kQyq0UFNz+BR0PToIqzYUn1Gj05Kyg4j2JlB+gIR55yw6I0h3e1ITRzAk=\n"

static HdmsKey *witness_key;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char witness_jwk[] =
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q\","
		"\"d\":\"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\"}";

	(void) argc;
	(void) argv;
	if (hdms_key_from_jwk(witness_jwk, strlen(witness_jwk), &witness_key) != HDMS_OK)
		abort();
	return 0;
}

/* A request that was read is the one that would be built from what it says. */
static void
build_again(const char *text, size_t len, const HdmsWitnessRequest *request)
{
	char	   *note = strndup(request->note, request->note_len);
	char	   *built = NULL;

	if (hdms_witness_request_build(request->old_size, (const HdmsHash *) request->proof, request->count, note, &built) != HDMS_OK
		|| strlen(built) != len || memcmp(built, text, len) != 0)
		abort();
	free(built);
	free(note);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	HdmsWitnessRequest request;
	HdmsHash	seen = {0};
	char	   *merged = NULL;
	size_t		found;
	const HdmsWitness witness = {WITNESS, witness_key};

	if (hdms_witness_request_parse(text, size, &request) == HDMS_OK)
	{
		build_again(text, size, &request);
		(void) hdms_witness_request_verify(&request, (const unsigned char *) seen);
	}
	if (hdms_cosignature_merge(NOTE, strlen(NOTE), text, size, WITNESS, witness_key, &merged, NULL) == HDMS_OK
		&& (hdms_cosignature_count(merged, strlen(merged), &witness, 1, &found) != HDMS_OK || found != 1))
		abort();
	free(merged);
	(void) hdms_fork_verify(text, size, NULL);
	return 0;
}
