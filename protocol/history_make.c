/*
 * history_make.c
 *		Making a key history: the first entry, and each later one.
 *
 * What was made is parsed again before it is handed out: a node that published an
 * entry which others refuse could never add another one.
 */
#include "history_inside.h"

#include <stdlib.h>
#include <string.h>

/* Adds a member, taking over the value, which may be NULL when there was no memory for it. */
static bool
add_member(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value) == 0;
}

/* The claims "keys" and "recovery". */
static HdmsStatus
add_keys(json_t *claims, HdmsNodeKind kind, const HdmsNodeKeys *keys, const char *recovery)
{
	json_t	   *object = json_pack("{}");

	if (!add_member(claims, "keys", object) || !add_member(claims, "recovery", json_string(recovery)))
		return HDMS_OUT_OF_MEMORY;
	for (int role = 0; role < HDMS_ROLE_COUNT; role++)
	{
		char	   *jwk = NULL;
		bool		is_added;
		HdmsStatus	status;

		if ((keys->role[role] != NULL) != hdms_kind_has_role(kind, role))
			return HDMS_BAD_ARGUMENT;
		if (keys->role[role] == NULL)
			continue;
		status = hdms_key_to_jwk(keys->role[role], false, &jwk);
		if (status != HDMS_OK)
			return status;
		is_added = add_member(object, hdms_role_names[role], json_loads(jwk, JSON_REJECT_DUPLICATES, NULL));
		free(jwk);
		if (!is_added)
			return HDMS_OUT_OF_MEMORY;
	}
	return HDMS_OK;
}

/* Signs the claims, appends the entry to those of history (NULL: none), and checks the whole. */
static HdmsStatus
finish(const HdmsHistory *history, const json_t *claims, const HdmsKey *signer, bool is_recovery, char **json)
{
	int			length = history == NULL ? 0 : history->length;
	const char **entries = calloc((size_t) length + 1, sizeof(*entries));
	char	   *jws = NULL;
	char	   *result = NULL;
	HdmsHistory *check = NULL;
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (entries == NULL)
		goto cleanup;
	status = hdms_jws_sign_claims(signer, HDMS_TYP_KEYS, is_recovery, claims, &jws);
	if (status != HDMS_OK)
		goto cleanup;
	for (int seq = 0; seq < length; seq++)
		entries[seq] = history->entries[seq].jws;
	entries[length] = jws;
	status = hdms_history_join(entries, length + 1, &result);
	if (status == HDMS_OK)
		status = hdms_history_parse(result, strlen(result), &check);
	if (status != HDMS_OK)
		goto cleanup;
	*json = result;
	result = NULL;

cleanup:
	hdms_history_free(check);
	free(result);
	free(jws);
	free(entries);
	return status;
}

HdmsStatus
hdms_history_create(HdmsNodeKind kind, const char *name, const HdmsNodeKeys *keys, int64_t now, char **json)
{
	const HdmsKey *signer = keys->role[HDMS_ROLE_SIGN];
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if (signer == NULL || keys->recovery == NULL || (name != NULL) != (kind == HDMS_INSTITUTION))
		return HDMS_BAD_ARGUMENT;
	if (!hdms_key_is_private(signer) || !hdms_role_takes(HDMS_ROLE_SIGN, hdms_key_type(keys->recovery)))
		return HDMS_BAD_KEY;
	claims = json_pack("{s:s, s:i, s:I, s:s}", "iss", hdms_key_thumbprint(signer), "seq", 0,
					   "iat", (json_int_t) now, "kind", hdms_kind_name(kind));
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;

	/* jansson refuses a name that is not UTF-8; hdms_history_parse() refuses what else is wrong with it. */
	status = name == NULL || add_member(claims, "name", json_string(name)) ? HDMS_OK : HDMS_BAD_ARGUMENT;
	if (status == HDMS_OK)
		status = add_keys(claims, kind, keys, hdms_key_thumbprint(keys->recovery));
	if (status == HDMS_OK)
		status = finish(NULL, claims, signer, false, json);
	json_decref(claims);
	return status;
}

/*
 * A clock that stands before the newest entry's time is taken to stand at it, because
 * a node must be able to revoke a key whatever its clock says. keys->recovery NULL keeps the
 * commitment, which the signing key cannot change anyway.
 */
HdmsStatus
hdms_history_extend(const HdmsHistory *history, const HdmsNodeKeys *keys, const HdmsKey *signer,
					const char *revoked_kid, int64_t revoked_since, int64_t now, char **json)
{
	const HdmsHistoryEntry *previous = &history->entries[history->length - 1];
	const char *recovery = keys->recovery == NULL ? previous->recovery : hdms_key_thumbprint(keys->recovery);
	int64_t		iat = now < previous->iat ? previous->iat : now;
	char		prev[HDMS_DIGEST_TEXT + 1];
	bool		is_recovery;
	json_t	   *claims = NULL;
	HdmsStatus	status;

	if (signer == NULL || !hdms_key_is_private(signer))
		return HDMS_BAD_KEY;
	is_recovery = strcmp(hdms_key_thumbprint(signer), previous->recovery) == 0;
	if (!is_recovery && strcmp(hdms_key_thumbprint(signer), hdms_key_thumbprint(previous->keys[HDMS_ROLE_SIGN])) != 0)
		return HDMS_BAD_KEY;
	if (keys->recovery != NULL && !hdms_role_takes(HDMS_ROLE_SIGN, hdms_key_type(keys->recovery)))
		return HDMS_BAD_KEY;
	if (is_recovery == (strcmp(recovery, previous->recovery) == 0))
		return HDMS_BAD_ARGUMENT;

	status = hdms_sha256_text(previous->jws, strlen(previous->jws), prev);
	if (status != HDMS_OK)
		return status;
	claims = json_pack("{s:s, s:i, s:I, s:s}", "iss", history->node, "seq", history->length,
					   "iat", (json_int_t) iat, "prev", prev);
	if (claims == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = add_keys(claims, history->kind, keys, recovery);
	if (status == HDMS_OK && revoked_kid != NULL &&
		!add_member(claims, "revoked", json_pack("{s:I}", revoked_kid, (json_int_t) revoked_since)))
		status = HDMS_OUT_OF_MEMORY;
	if (status == HDMS_OK)
		status = finish(history, claims, signer, is_recovery, json);
	json_decref(claims);
	return status;
}
