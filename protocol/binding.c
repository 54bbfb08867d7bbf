/*
 * binding.c
 *		The Key Binding JWT (RFC 9901, 4.3): acceptances and presentations are both one.
 */
#include "binding.h"
#include "signer.h"

static const char *const binding_claims[] = {"iat", "aud", "nonce", "sd_hash", "use", NULL};

HdmsStatus
hdms_binding_sign(HdmsSpan covered, const char *aud, const char *nonce, const char *use,
				  const HdmsKey *holder, int64_t now, char **jwt)
{
	char		sd_hash[HDMS_DIGEST_TEXT + 1];
	json_t	   *claims;
	HdmsStatus	status;

	if ((status = hdms_sha256_text(covered.data, covered.len, sd_hash)) != HDMS_OK)
		return status;
	claims = json_pack("{s:I, s:s, s:s, s:s, s:s}", "iat", (json_int_t) now, "aud", aud, "nonce", nonce,
					   "sd_hash", sd_hash, "use", use);
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_jws_sign_claims(holder, HDMS_TYP_BINDING, false, claims, jwt);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_binding_verify(HdmsSpan jwt, HdmsSpan covered, const char *aud, const char *nonce, const char *use,
					const HdmsHistory *holder, int64_t time, int64_t *iat)
{
	char		sd_hash[HDMS_DIGEST_TEXT + 1];
	json_t	   *claims = NULL;
	const char *signed_hash;
	int64_t		signed_iat;
	HdmsStatus	status;

	if ((status = hdms_signer_verify(jwt.data, jwt.len, HDMS_TYP_BINDING, holder, time, &claims)) != HDMS_OK
		|| (status = hdms_signer_known_claims(claims, binding_claims)) != HDMS_OK
		|| (status = hdms_claims_integer(claims, "iat", &signed_iat)) != HDMS_OK
		|| (status = hdms_claims_equal(claims, "use", use)) != HDMS_OK
		|| (status = hdms_claims_equal(claims, "nonce", nonce)) != HDMS_OK
		|| (status = hdms_claims_digest(claims, "sd_hash", NULL, &signed_hash)) != HDMS_OK)
		goto cleanup;
	status = HDMS_WRONG_RECEIVER;
	if (hdms_claims_equal(claims, "aud", aud) != HDMS_OK)
		goto cleanup;
	if ((status = hdms_sha256_text(covered.data, covered.len, sd_hash)) != HDMS_OK)
		goto cleanup;
	status = HDMS_DIGEST_MISMATCH;
	if (!hdms_equal(sd_hash, signed_hash, HDMS_DIGEST_TEXT))
		goto cleanup;
	if (iat != NULL)
		*iat = signed_iat;
	status = HDMS_OK;

cleanup:
	json_decref(claims);
	return status;
}
