/*
 * fuzz_note.c
 *		Notes: the input as a checkpoint, and as the text of one that the right key signed.
 *
 * The keys are fixed, so that the corpus has notes that verify.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "note.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ORIGIN	"example.org/log"
#define WITNESS	"witness.example/w1"

static HdmsKey *log_key;
static HdmsKey *witness_key;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char log_jwk[] =
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w\","
		"\"d\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}";
	static const char witness_jwk[] =
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q\","
		"\"d\":\"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\"}";

	(void) argc;
	(void) argv;
	if (hdms_key_from_jwk(log_jwk, strlen(log_jwk), &log_key) != HDMS_OK ||
		hdms_key_from_jwk(witness_jwk, strlen(witness_jwk), &witness_key) != HDMS_OK)
		abort();
	return 0;
}

/* A checkpoint that was parsed can be signed, cosigned, and verified again, unless its origin is no key name. */
static void
sign_again(const HdmsCheckpoint *checkpoint)
{
	HdmsCheckpoint result;
	char	   *note = NULL;
	char	   *line = NULL;
	char	   *cosigned = NULL;
	int64_t		time = 0;

	if (hdms_checkpoint_sign(checkpoint, log_key, &note) != HDMS_OK)
		return;
	if (hdms_checkpoint_verify(note, strlen(note), checkpoint->origin, log_key, &result) != HDMS_OK ||
		result.size != checkpoint->size || memcmp(result.root, checkpoint->root, sizeof(result.root)) != 0 ||
		hdms_cosignature_sign(note, strlen(note), WITNESS, witness_key, 7, &line) != HDMS_OK ||
		asprintf(&cosigned, "%s%s", note, line) < 0 ||
		hdms_cosignature_verify(cosigned, strlen(cosigned), WITNESS, witness_key, &time) != HDMS_OK || time != 7)
		abort();
	free(cosigned);
	free(line);
	free(note);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *note = (const char *) data;
	HdmsCheckpoint checkpoint;
	HdmsCheckpoint verified;
	int64_t		time;

	if (hdms_checkpoint_parse(note, size, &checkpoint) == HDMS_OK)
		sign_again(&checkpoint);
	else if (hdms_checkpoint_verify(note, size, ORIGIN, log_key, &verified) == HDMS_OK ||
			 hdms_cosignature_verify(note, size, WITNESS, witness_key, &time) == HDMS_OK)
		abort();
	if (hdms_checkpoint_verify(note, size, ORIGIN, log_key, &verified) == HDMS_OK && strcmp(verified.origin, ORIGIN) != 0)
		abort();
	if (hdms_cosignature_verify(note, size, WITNESS, witness_key, &time) == HDMS_OK && time < 0)
		abort();
	return 0;
}
