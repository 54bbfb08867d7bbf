/*
 * fuzz_admission.c
 *		Admissions, lists of notaries and vouchers: the input as a JWS, and as claims laid over right ones.
 */
#include <stdlib.h>
#include <string.h>

#include "../protocol/forge.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Fixture fixture;
static char *voucher_jws;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	HdmsVoucher voucher = {.iat = FIXTURE_NOW, .exp = FIXTURE_NOW + 900, .jti = "019b76da-a800-7000-8000-000000000001"};

	(void) argc;
	(void) argv;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	strcpy(voucher.iss, fixture.institution[0].id);
	FIXTURE_OK(hdms_voucher_sign(fixture.institution[0].key[HDMS_ROLE_SIGN], &voucher, &voucher_jws));
	return 0;
}

/* The original with claims of the input, signed again. */
static char *
overlaid(const char *original, json_t *overlay, const HdmsKey *key, const char *typ)
{
	json_t	   *claims = forge_claims(original, strlen(original));
	char	   *jws;

	json_object_update(claims, overlay);
	jws = forge_sign(key, typ, claims);
	json_decref(claims);
	return jws;
}

static void
verify_all(const char *admission_jws, const char *list_jws, const char *voucher_text, size_t admission_len, size_t list_len, size_t voucher_len)
{
	const HdmsHistory *hospital = fixture.institution[0].history;
	HdmsAdmission admission;
	HdmsNotaryList list = {0};
	HdmsVoucher voucher;

	/* Whatever passes is about this hospital, in order, and in time. */
	if (hdms_admission_verify(admission_jws, admission_len, fixture.network, hospital, &admission) == HDMS_OK &&
		(strcmp(admission.node, fixture.institution[0].id) != 0 || strcmp(admission.name, hdms_history_name(hospital)) != 0))
		abort();
	if (hdms_notaries_parse(list_jws, list_len, fixture.network, &list) == HDMS_OK)
	{
		for (size_t i = 0; i < list.count; i++)
		{
			if (hdms_notaries_find(&list, list.notaries[i].node) != &list.notaries[i] ||
				hdms_key_type(list.notaries[i].log) != HDMS_KEY_ED25519)
				abort();
		}
	}
	hdms_notaries_free(&list);
	if (hdms_voucher_verify(voucher_text, voucher_len, hospital, fixture.now, &voucher) == HDMS_OK &&
		(strcmp(voucher.iss, fixture.institution[0].id) != 0 || voucher.exp <= fixture.now || !hdms_is_uuid(voucher.jti, strlen(voucher.jti))))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	json_t	   *overlay = NULL;
	HdmsVoucher voucher;
	char	   *admission_jws;
	char	   *list_jws;
	char	   *voucher_text;

	hdms_voucher_peek(text, size, &voucher);
	verify_all(text, text, text, size, size, size);
	if (hdms_claims_parse(text, size, &overlay) != HDMS_OK)
		return 0;
	admission_jws = overlaid(fixture.admission[0], overlay, fixture.network, HDMS_TYP_ADMISSION);
	list_jws = overlaid(fixture.list.jws, overlay, fixture.network, HDMS_TYP_NOTARIES);
	voucher_text = overlaid(voucher_jws, overlay, fixture.institution[0].key[HDMS_ROLE_SIGN], HDMS_TYP_VOUCHER);
	verify_all(admission_jws, list_jws, voucher_text, strlen(admission_jws), strlen(list_jws), strlen(voucher_text));
	free(voucher_text);
	free(list_jws);
	free(admission_jws);
	json_decref(overlay);
	return 0;
}
