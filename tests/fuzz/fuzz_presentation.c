/*
 * fuzz_presentation.c
 *		A presentation's disclosures under signatures that are right.
 *
 * Random bytes never get past a signature, so the target signs: the input is the disclosures ("~"
 * between them); an issuer signs a state with their digests, the holder binds them, and the
 * verifier decides whether they are fit to be shown.
 */
#include "../protocol/forge.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Fixture fixture;
static json_t *claims;			/* of a state, without digests */

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	FixtureVersion version;

	(void) argc;
	(void) argv;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	fixture_issue(&fixture, NULL, "{}", &version);
	claims = forge_claims(version.sd_jwt, strlen(version.sd_jwt) - 1);
	fixture_version_free(&version);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The digests of the disclosures in text, as a verifier asks for them: ascending, each once. */
static json_t *
digest_array(const char *text)
{
	char		digests[64][HDMS_DIGEST_TEXT + 1];
	size_t		count = 0;
	json_t	   *array = json_array();

	while (*text != '\0' && count < 64)
	{
		size_t		len = strcspn(text, "~");

		FIXTURE_OK(hdms_sha256_text(text, len, digests[count++]));
		text += len;
		text += *text == '~';
	}
	qsort(digests, count, sizeof(digests[0]), compare);
	for (size_t i = 0; i < count; i++)
	{
		if (i == 0 || strcmp(digests[i - 1], digests[i]) != 0)
			json_array_append_new(array, json_string(digests[i]));
	}
	return array;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *aud = fixture.institution[1].id;
	char	   *disclosures = strndup((const char *) data, size);
	char	   *jwt;
	char	   *sd_jwt;
	char	   *presentation = NULL;
	HdmsState	state;
	HdmsBytes	content = {0};

	json_object_set_new(json_object_get(claims, "content"), "_sd", digest_array(disclosures));
	jwt = forge_sign(fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_STATE, claims);
	sd_jwt = forge_join(jwt, "~", disclosures);
	if (hdms_presentation_build(sd_jwt, strlen(sd_jwt), NULL, aud, "nonce", fixture.patient.key[HDMS_ROLE_SIGN],
								fixture.now, &presentation) == HDMS_OK)
	{
		if (hdms_presentation_verify(presentation, strlen(presentation), fixture.institution[0].history,
									 fixture.patient.history, aud, "nonce", fixture.now, &state, &content) != HDMS_OK)
			abort();
		if (hdms_content_check((const char *) content.data, content.len) != HDMS_OK)
			abort();
		hdms_bytes_free(&content);
		free(presentation);
	}
	free(disclosures);
	free(jwt);
	free(sd_jwt);
	return 0;
}
