/*
 * voucher.c
 *		Vouchers: an institution's word that lets a person's node register.
 *
 * A voucher costs nothing and proves little; what keeps it from being used twice is
 * the server's memory of "jti", and the end of its validity.
 */
#include "admission.h"

#include <string.h>

#include "message.h"
#include "signer.h"

static const char *const unnamed_claims[] = {"iss", "iat", "exp", "jti", NULL};
static const char *const named_claims[] = {"iss", "sub", "iat", "exp", "jti", NULL};

HdmsStatus
hdms_voucher_sign(const HdmsKey *signer, const HdmsVoucher *voucher, char **jws)
{
	bool		is_named = voucher->sub[0] != '\0';
	json_t	   *claims;
	HdmsStatus	status;

	if (!hdms_is_digest_text(voucher->iss, strnlen(voucher->iss, sizeof(voucher->iss))) ||
		(is_named && !hdms_is_digest_text(voucher->sub, strnlen(voucher->sub, sizeof(voucher->sub)))) ||
		!hdms_is_uuid(voucher->jti, strnlen(voucher->jti, sizeof(voucher->jti))) ||
		voucher->iat <= 0 || voucher->exp <= voucher->iat)
		return HDMS_BAD_ARGUMENT;
	claims = json_pack("{s:s, s:s*, s:I, s:I, s:s}", "iss", voucher->iss, "sub", is_named ? voucher->sub : NULL,
					   "iat", (json_int_t) voucher->iat, "exp", (json_int_t) voucher->exp, "jti", voucher->jti);
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_jws_sign_claims(signer, HDMS_TYP_VOUCHER, false, claims, jws);
	json_decref(claims);
	return status;
}

static HdmsStatus
read_claims(const json_t *claims, HdmsVoucher *voucher)
{
	HdmsVoucher result = {0};
	bool		is_named = json_object_get(claims, "sub") != NULL;
	const char *jti;
	HdmsStatus	status = hdms_signer_known_claims(claims, is_named ? named_claims : unnamed_claims);

	if (status == HDMS_OK)
		status = hdms_signer_read_digest(claims, "iss", result.iss);
	if (status == HDMS_OK && is_named)
		status = hdms_signer_read_digest(claims, "sub", result.sub);
	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "iat", &result.iat);
	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "exp", &result.exp);
	if (status == HDMS_OK)
		status = hdms_claims_string(claims, "jti", &jti);
	if (status == HDMS_OK && (!hdms_is_uuid(jti, strlen(jti)) || result.iat == 0 || result.exp <= result.iat))
		status = HDMS_BAD_CLAIM;
	if (status != HDMS_OK)
		return status;
	strcpy(result.jti, jti);
	*voucher = result;
	return HDMS_OK;
}

HdmsStatus
hdms_voucher_peek(const char *jws, size_t len, HdmsVoucher *voucher)
{
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_signer_peek(jws, len, HDMS_TYP_VOUCHER, &claims);

	if (status == HDMS_OK)
		status = read_claims(claims, voucher);
	json_decref(claims);
	return status;
}

HdmsStatus
hdms_voucher_verify(const char *jws, size_t len, const HdmsHistory *institution, int64_t now, HdmsVoucher *voucher)
{
	HdmsVoucher claimed;
	HdmsVoucher result;
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_voucher_peek(jws, len, &claimed);

	if (status != HDMS_OK)
		return status;
	if (hdms_history_kind(institution) != HDMS_INSTITUTION || strcmp(claimed.iss, hdms_history_node_id(institution)) != 0)
		return HDMS_WRONG_SENDER;
	status = hdms_signer_verify(jws, len, HDMS_TYP_VOUCHER, institution, claimed.iat, &claims);
	if (status == HDMS_OK)
		status = read_claims(claims, &result);
	json_decref(claims);
	if (status != HDMS_OK)
		return status;
	if (now >= result.exp)
		return HDMS_EXPIRED;
	if (result.iat - HDMS_CLOCK_SKEW > now)
		return HDMS_NOT_YET_VALID;
	*voucher = result;
	return HDMS_OK;
}
