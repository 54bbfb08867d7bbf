/*
 * acceptance.c
 *		The patient's signature over a state: a Key Binding JWT to the issuer.
 *
 * It covers the JWT and every disclosure, and its nonce is the verification key, so
 * it says: this version, with exactly this content.
 */
#include <string.h>

#include "binding.h"
#include "state.h"

HdmsStatus
hdms_acceptance_sign(const char *sd_jwt, size_t len, const HdmsKey *holder, int64_t now, char **acceptance)
{
	HdmsState	state;
	HdmsStatus	status;

	if (holder == NULL || acceptance == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_state_parse(sd_jwt, len, true, &state)) != HDMS_OK)
		return status;
	return hdms_binding_sign((HdmsSpan) {sd_jwt, len}, state.iss, state.vk, HDMS_USE_ACCEPT, holder, now, acceptance);
}

HdmsStatus
hdms_acceptance_verify(const char *acceptance, size_t len, const char *sd_jwt, size_t sd_jwt_len,
					   const HdmsHistory *holder, int64_t time)
{
	HdmsState	state;
	HdmsStatus	status;

	if (acceptance == NULL || holder == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_state_parse(sd_jwt, sd_jwt_len, true, &state)) != HDMS_OK)
		return status;
	if (strcmp(state.sub, hdms_history_node_id(holder)) != 0)
		return HDMS_WRONG_SENDER;
	return hdms_binding_verify((HdmsSpan) {acceptance, len}, (HdmsSpan) {sd_jwt, sd_jwt_len}, state.iss, state.vk,
							   HDMS_USE_ACCEPT, holder, time, NULL);
}
