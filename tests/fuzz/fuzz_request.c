/*
 * fuzz_request.c
 *		The notary request: the input as a JWS, and as claims laid over a request that is right.
 *
 * The claims of the input replace those of a valid request, which the patient then signs
 * again; the notary's checks see everything that a patient with a right key can send.
 */
#include "../protocol/forge.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Fixture fixture;
static FixtureVersion versions[2];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_version(&fixture, NULL, "{}", &versions[0]);
	fixture_version(&fixture, &versions[0], "{}", &versions[1]);
	return 0;
}

static void
verify_overlaid(int which, json_t *overlay)
{
	const char *original = versions[which].request;
	json_t	   *claims = forge_claims(original, strlen(original));
	HdmsRequest request;
	HdmsStatus	status;
	char	   *jws;

	json_object_update(claims, overlay);
	jws = forge_sign(fixture.patient.key[HDMS_ROLE_SIGN], HDMS_TYP_NOTARISE, claims);
	status = hdms_request_verify(jws, strlen(jws), fixture.institution[0].history, fixture.patient.history, &fixture.list,
								 which == 0 ? NULL : versions[0].request, fixture.now, &request);

	/* whatever passes went to the notary that was drawn, for this patient */
	if (status == HDMS_OK && (strcmp(request.aud, versions[0].notary) != 0 || strcmp(request.iss, fixture.patient.id) != 0))
		abort();
	free(jws);
	json_decref(claims);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HdmsRequest request;
	json_t	   *overlay = NULL;

	hdms_request_peek((const char *) data, size, &request);
	if (hdms_claims_parse((const char *) data, size, &overlay) != HDMS_OK)
		return 0;
	verify_overlaid(0, overlay);
	verify_overlaid(1, overlay);
	json_decref(overlay);
	return 0;
}
