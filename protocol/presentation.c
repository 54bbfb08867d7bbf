/*
 * presentation.c
 *		Showing part of a state to somebody else (RFC 9901, 7.2 and 7.3).
 *
 * The receiver sees only the members that the holder releases; the digests of the
 * others stay in the issuer-signed JWT and say nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "binding.h"
#include "message.h"
#include "state_parts.h"

/* A nonce names a request; longer ones are somebody's mistake. */
#define NONCE_MAX	256

static bool
is_released(const HdmsDisclosure *disclosure, const char *const *members)
{
	if (members == NULL)
		return true;
	for (; *members != NULL; members++)
	{
		if (strlen(*members) == disclosure->plain_name.len
			&& memcmp(*members, disclosure->plain_name.data, disclosure->plain_name.len) == 0)
			return true;
	}
	return false;
}

/* The JWT and the released disclosures, ending in "~". */
static HdmsStatus
select_disclosures(const HdmsSdJwt *parts, const char *const *members, HdmsBytes *selected)
{
	char	   *text = malloc(parts->covered.len + 1);
	char	   *at = text;

	if (text == NULL)
		return HDMS_OUT_OF_MEMORY;
	at = mempcpy(at, parts->jwt.data, parts->jwt.len);
	*at++ = '~';
	for (size_t i = 0; i < parts->count; i++)
	{
		const HdmsDisclosure *disclosure = &parts->disclosures[i];

		if (!is_released(disclosure, members))
			continue;
		at = mempcpy(at, disclosure->text.data, disclosure->text.len);
		*at++ = '~';
	}
	*at = '\0';
	selected->data = (unsigned char *) text;
	selected->len = at - text;
	return HDMS_OK;
}

HdmsStatus
hdms_presentation_build(const char *sd_jwt, size_t len, const char *const *members, const char *aud,
						const char *nonce, const HdmsKey *holder, int64_t now, char **presentation)
{
	HdmsSdJwt	parts = {0};
	HdmsBytes	selected = {0};
	HdmsState	state;
	char	   *binding = NULL;
	char	   *text;
	HdmsStatus	status;

	if (aud == NULL || nonce == NULL || holder == NULL || presentation == NULL
		|| nonce[0] == '\0' || strlen(nonce) > NONCE_MAX || !hdms_is_digest_text(aud, strlen(aud)))
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_sd_jwt_split(sd_jwt, len, &parts)) != HDMS_OK)
		return status;
	status = HDMS_BAD_FORMAT;
	if (parts.binding.len != 0)
		goto cleanup;
	if ((status = hdms_state_read(&parts, false, &state)) != HDMS_OK
		|| (status = select_disclosures(&parts, members, &selected)) != HDMS_OK
		|| (status = hdms_binding_sign((HdmsSpan) {(const char *) selected.data, selected.len}, aud, nonce,
									   HDMS_USE_PRESENT, holder, now, &binding)) != HDMS_OK)
		goto cleanup;
	status = HDMS_OUT_OF_MEMORY;
	if ((text = malloc(selected.len + strlen(binding) + 1)) == NULL)
		goto cleanup;
	strcpy(mempcpy(text, selected.data, selected.len), binding);
	*presentation = text;
	status = HDMS_OK;

cleanup:
	hdms_sd_jwt_free(&parts);
	hdms_bytes_wipe(&selected);
	free(binding);
	return status;
}

HdmsStatus
hdms_presentation_verify(const char *presentation, size_t len, const HdmsHistory *issuer, const HdmsHistory *holder,
						 const char *aud, const char *nonce, int64_t now, HdmsState *state, HdmsBytes *content)
{
	HdmsSdJwt	parts = {0};
	HdmsState	shown;
	HdmsBytes	members = {0};
	int64_t		iat;
	HdmsStatus	status;

	if (issuer == NULL || holder == NULL || aud == NULL || nonce == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_sd_jwt_split(presentation, len, &parts)) != HDMS_OK)
		return status;
	status = HDMS_BAD_FORMAT;
	if (parts.binding.len == 0)
		goto cleanup;

	/* the issuer may have changed its key long ago: the one of the state's own time counts, unless it was revoked */
	if ((status = hdms_state_authenticate(&parts, false, issuer, HDMS_AT_ITS_IAT, &shown)) != HDMS_OK)
		goto cleanup;
	status = HDMS_WRONG_SENDER;
	if (strcmp(shown.sub, hdms_history_node_id(holder)) != 0)
		goto cleanup;
	if ((status = hdms_binding_verify(parts.binding, parts.covered, aud, nonce, HDMS_USE_PRESENT, holder, 0, &iat)) != HDMS_OK)
		goto cleanup;
	status = HDMS_NOT_YET_VALID;
	if (now != 0 && (iat - HDMS_CLOCK_SKEW > now || shown.iat - HDMS_CLOCK_SKEW > now))
		goto cleanup;
	if ((status = hdms_sd_jwt_content(&parts, &members)) != HDMS_OK)
		goto cleanup;
	if (state != NULL)
		*state = shown;
	if (content != NULL)
		*content = members;
	else
		hdms_bytes_wipe(&members);

cleanup:
	hdms_sd_jwt_free(&parts);
	return status;
}
