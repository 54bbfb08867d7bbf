/*
 * history_parse.c
 *		Verifying a key history: that nobody but the node itself could have changed its keys.
 *
 * Beyond the chain itself three rules keep a history unambiguous. One key serves in one
 * role only, for ever. A key that was replaced does not come back. And an entry signed by
 * the signing key keeps the recovery commitment: otherwise whoever steals a device could
 * lock its owner out, and the recovery key would be worth no more than the stolen one.
 */
#include "history_inside.h"

#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "signer.h"

#define HISTORY_MAX		(HDMS_HISTORY_MAX_ENTRIES * (HDMS_HISTORY_ENTRY_MAX + 3) + 2)
#define LATEST_TIME		INT64_C(253402300799)	/* the end of the year 9999: arithmetic with times never overflows */

static const char *const person_claims[] = {"iss", "seq", "iat", "kind", "keys", "recovery", NULL};
static const char *const institution_claims[] = {"iss", "seq", "iat", "kind", "name", "keys", "recovery", NULL};
static const char *const later_claims[] = {"iss", "seq", "iat", "prev", "keys", "recovery", NULL};
static const char *const revoking_claims[] = {"iss", "seq", "iat", "prev", "keys", "recovery", "revoked", NULL};

/* A JWK with exactly the members that a public key of its type needs: a private one has more. */
static HdmsStatus
read_key(const json_t *jwk, HdmsRole role, HdmsKey **key)
{
	char	   *text = NULL;
	HdmsKey    *result = NULL;
	HdmsStatus	status;

	if (!json_is_object(jwk))
		return HDMS_BAD_CLAIM;
	status = hdms_claims_print(jwk, &text);
	if (status == HDMS_OK)
		status = hdms_key_from_jwk(text, strlen(text), &result);
	if (status == HDMS_OK &&
		(!hdms_role_takes(role, hdms_key_type(result)) ||
		 json_object_size(jwk) != (hdms_key_type(result) == HDMS_KEY_P256 ? 4 : 3)))
		status = HDMS_BAD_KEY;
	if (status == HDMS_OK)
		*key = result;
	else
		hdms_key_free(result);
	hdms_string_wipe(text);
	return status;
}

/* The claim "keys": each role of that kind, and nothing else. Keys that the entry has already are not read again. */
static HdmsStatus
read_keys(const json_t *claims, HdmsNodeKind kind, HdmsHistoryEntry *entry)
{
	const json_t *keys = json_object_get(claims, "keys");
	size_t		expected = 0;

	if (!json_is_object(keys))
		return HDMS_BAD_CLAIM;
	for (int role = 0; role < HDMS_ROLE_COUNT; role++)
	{
		HdmsStatus	status;

		if (!hdms_kind_has_role(kind, role))
			continue;
		expected++;
		if (entry->keys[role] != NULL)
			continue;
		status = read_key(json_object_get(keys, hdms_role_names[role]), role, &entry->keys[role]);
		if (status != HDMS_OK)
			return status;
	}
	return json_object_size(keys) == expected ? HDMS_OK : HDMS_BAD_CLAIM;
}

static bool
is_thumbprint_of(const HdmsKey *key, const char *kid)
{
	return key != NULL && strcmp(hdms_key_thumbprint(key), kid) == 0;
}

/* Whether any key of the entry, in any role but one, has that thumbprint. */
static bool
entry_has_key(const HdmsHistoryEntry *entry, const char *kid, int except_role)
{
	for (int role = 0; role < HDMS_ROLE_COUNT; role++)
	{
		if (role != except_role && is_thumbprint_of(entry->keys[role], kid))
			return true;
	}
	return false;
}

/* Whether an earlier entry had that key in any role, or was committed to it as recovery key. */
static bool
was_ever_used(const HdmsHistory *history, const char *kid)
{
	for (int seq = 0; seq < history->length; seq++)
	{
		if (entry_has_key(&history->entries[seq], kid, -1) || strcmp(history->entries[seq].recovery, kid) == 0)
			return true;
	}
	return false;
}

/* One role a key; no key comes back; no recovery key is or was anything else. */
static HdmsStatus
check_reuse(const HdmsHistory *history, const HdmsHistoryEntry *entry)
{
	const HdmsHistoryEntry *previous = history->length > 0 ? &history->entries[history->length - 1] : NULL;

	for (int role = 0; role < HDMS_ROLE_COUNT; role++)
	{
		const char *kid;

		if (entry->keys[role] == NULL)
			continue;
		kid = hdms_key_thumbprint(entry->keys[role]);
		if (entry_has_key(entry, kid, role) || strcmp(entry->recovery, kid) == 0)
			return HDMS_BAD_KEY;
		if (previous != NULL && !is_thumbprint_of(previous->keys[role], kid) && was_ever_used(history, kid))
			return HDMS_BAD_KEY;
	}
	if (previous != NULL && strcmp(previous->recovery, entry->recovery) != 0 && was_ever_used(history, entry->recovery))
		return HDMS_BAD_KEY;
	return HDMS_OK;
}

/* The claim "revoked": known keys that this entry no longer has, and times that have passed, but not long before the entry. */
static HdmsStatus
read_revocations(HdmsHistory *history, const HdmsHistoryEntry *entry, json_t *revoked)
{
	HdmsRevocation *grown;
	const char *kid;
	json_t	   *since;

	if (!json_is_object(revoked) || json_object_size(revoked) == 0)
		return HDMS_BAD_CLAIM;
	json_object_foreach(revoked, kid, since)
	{
		bool		is_known = false;

		if (!hdms_is_digest_text(kid, strlen(kid)) || !json_is_integer(since) ||
			json_integer_value(since) < 0 || json_integer_value(since) > entry->iat ||
			json_integer_value(since) < entry->iat - HDMS_REVOCATION_REACH)
			return HDMS_BAD_CLAIM;
		for (int seq = 0; seq < history->length && !is_known; seq++)
			is_known = entry_has_key(&history->entries[seq], kid, -1);
		if (!is_known || entry_has_key(entry, kid, -1))
			return HDMS_BAD_CHAIN;
	}
	grown = realloc(history->revocations,
					((size_t) history->revocation_count + json_object_size(revoked)) * sizeof(HdmsRevocation));
	if (grown == NULL)
		return HDMS_OUT_OF_MEMORY;
	history->revocations = grown;
	json_object_foreach(revoked, kid, since)
	{
		HdmsRevocation *added = &history->revocations[history->revocation_count++];

		memcpy(added->kid, kid, sizeof(added->kid));
		added->since = json_integer_value(since);
	}
	return HDMS_OK;
}

/* What only the first entry says: the kind, the name, and by its signing key the node id. */
static HdmsStatus
read_first(HdmsHistory *history, HdmsHistoryEntry *entry, const json_t *claims)
{
	const char *kind;
	const char *name;
	HdmsStatus	status = hdms_claims_string(claims, "kind", &kind);

	if (status != HDMS_OK)
		return status;
	if (strcmp(kind, hdms_kind_name(HDMS_INSTITUTION)) == 0)
	{
		history->kind = HDMS_INSTITUTION;
		status = hdms_signer_known_claims(claims, institution_claims);
		if (status == HDMS_OK)
			status = hdms_claims_string(claims, "name", &name);
		if (status == HDMS_OK && !hdms_is_name(name))
			status = HDMS_BAD_CLAIM;
		if (status == HDMS_OK)
			strcpy(history->name, name);
	}
	else if (strcmp(kind, hdms_kind_name(HDMS_PERSON)) == 0)
	{
		history->kind = HDMS_PERSON;
		status = hdms_signer_known_claims(claims, person_claims);
	}
	else
		status = HDMS_BAD_CLAIM;
	if (status == HDMS_OK)
		status = read_keys(claims, history->kind, entry);
	if (status == HDMS_OK)
		memcpy(history->node, hdms_key_thumbprint(entry->keys[HDMS_ROLE_SIGN]), sizeof(history->node));
	return status;
}

/* What only later entries say, and how they hang on the one before. */
static HdmsStatus
read_later(HdmsHistory *history, HdmsHistoryEntry *entry, const json_t *claims, bool is_recovery)
{
	const HdmsHistoryEntry *previous = &history->entries[history->length - 1];
	json_t	   *revoked = json_object_get(claims, "revoked");
	char		digest[HDMS_DIGEST_TEXT + 1];
	const char *prev;
	HdmsStatus	status = hdms_signer_known_claims(claims, revoked == NULL ? later_claims : revoking_claims);

	if (status == HDMS_OK)
		status = hdms_claims_digest(claims, "prev", NULL, &prev);
	if (status == HDMS_OK)
		status = hdms_sha256_text(previous->jws, strlen(previous->jws), digest);
	if (status == HDMS_OK)
		status = read_keys(claims, history->kind, entry);
	if (status != HDMS_OK)
		return status;
	if (strcmp(prev, digest) != 0 || entry->iat < previous->iat)
		return HDMS_BAD_CHAIN;
	if (is_recovery == (strcmp(entry->recovery, previous->recovery) == 0))
		return HDMS_BAD_CHAIN;
	if (history->kind == HDMS_PERSON &&
		!is_thumbprint_of(entry->keys[HDMS_ROLE_VRF], hdms_key_thumbprint(previous->keys[HDMS_ROLE_VRF])))
		return HDMS_BAD_CHAIN;
	return revoked == NULL ? HDMS_OK : read_revocations(history, entry, revoked);
}

/* The verified claims of the next entry. */
static HdmsStatus
read_claims(HdmsHistory *history, HdmsHistoryEntry *entry, const json_t *claims, bool is_recovery)
{
	int64_t		seq;
	HdmsStatus	status = hdms_claims_integer(claims, "seq", &seq);

	if (status == HDMS_OK)
		status = hdms_claims_integer(claims, "iat", &entry->iat);
	if (status == HDMS_OK)
		status = hdms_signer_read_digest(claims, "recovery", entry->recovery);
	if (status != HDMS_OK)
		return status;
	if (entry->iat == 0 || entry->iat > LATEST_TIME)
		return HDMS_BAD_CLAIM;
	if (seq != history->length)
		return HDMS_BAD_CHAIN;
	status = seq == 0 ? read_first(history, entry, claims) : read_later(history, entry, claims, is_recovery);
	if (status == HDMS_OK)
		status = hdms_claims_equal(claims, "iss", history->node);
	if (status == HDMS_OK)
		status = check_reuse(history, entry);
	return status;
}

/* The signing key that entry 0 introduces, by its unverified claims: they vouch for themselves. */
static HdmsStatus
first_signer(const char *jws, size_t len, HdmsKey **signer)
{
	json_t	   *claims = NULL;
	HdmsStatus	status = hdms_signer_peek(jws, len, HDMS_TYP_KEYS, &claims);

	if (status == HDMS_OK)
		status = read_key(json_object_get(json_object_get(claims, "keys"), hdms_role_names[HDMS_ROLE_SIGN]),
						  HDMS_ROLE_SIGN, signer);
	json_decref(claims);
	return status;
}

/* Whose signature the next entry must have, by what its header says. */
static HdmsStatus
find_signer(const HdmsHistory *history, const char *jws, size_t len, HdmsKey **signer, bool *is_recovery)
{
	HdmsJwsHeader header = {0};
	const HdmsHistoryEntry *previous = history->length > 0 ? &history->entries[history->length - 1] : NULL;
	HdmsStatus	status = hdms_jws_peek(jws, len, &header);

	if (status != HDMS_OK)
		return status;
	if (previous == NULL)
		status = header.jwk == NULL ? first_signer(jws, len, signer) : HDMS_BAD_CHAIN;
	else if (header.jwk == NULL)
	{
		*signer = hdms_key_share(previous->keys[HDMS_ROLE_SIGN]);
		status = is_thumbprint_of(*signer, header.kid) ? HDMS_OK : HDMS_BAD_CHAIN;
	}
	else if (!is_thumbprint_of(header.jwk, previous->recovery))
		status = HDMS_BAD_CHAIN;
	else if (hdms_key_is_private(header.jwk) || !hdms_role_takes(HDMS_ROLE_SIGN, hdms_key_type(header.jwk)))
		status = HDMS_BAD_KEY;
	else
	{
		*signer = hdms_key_share(header.jwk);
		*is_recovery = true;
	}
	hdms_jws_header_free(&header);
	return status;
}

/* Verifies one entry more and appends it; entries has room for it. */
static HdmsStatus
add_entry(HdmsHistory *history, const char *jws, size_t len)
{
	HdmsHistoryEntry entry = {0};
	HdmsKey    *signer = NULL;
	bool		is_recovery = false;
	json_t	   *claims = NULL;
	HdmsStatus	status = len > HDMS_HISTORY_ENTRY_MAX ? HDMS_TOO_LARGE : HDMS_OK;

	if (status == HDMS_OK)
		status = find_signer(history, jws, len, &signer, &is_recovery);
	if (status == HDMS_OK)
		status = hdms_jws_verify_claims(jws, len, signer, HDMS_TYP_KEYS, &claims);
	if (status == HDMS_OK && history->length == 0)
		entry.keys[HDMS_ROLE_SIGN] = hdms_key_share(signer);	/* it was read from these same claims */
	if (status == HDMS_OK)
		status = read_claims(history, &entry, claims, is_recovery);
	if (status == HDMS_OK && (entry.jws = strdup(jws)) == NULL)
		status = HDMS_OUT_OF_MEMORY;
	if (status == HDMS_OK)
	{
		entry.signed_len = (size_t) (strrchr(entry.jws, '.') - entry.jws);
		history->entries[history->length++] = entry;
	}
	else
		hdms_history_entry_free(&entry);
	json_decref(claims);
	hdms_key_free(signer);
	return status;
}

HdmsStatus
hdms_history_parse(const char *json, size_t len, HdmsHistory **history)
{
	HdmsHistory *result = NULL;
	json_t	   *array = NULL;
	const char **jws = NULL;
	json_error_t error;
	size_t		count;
	HdmsStatus	status;

	if (len > HISTORY_MAX)
		return HDMS_TOO_LARGE;
	array = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error);
	if (array == NULL)
		return json_error_code(&error) == json_error_out_of_memory ? HDMS_OUT_OF_MEMORY : HDMS_BAD_JSON;
	count = json_array_size(array);
	status = HDMS_BAD_FORMAT;
	if (!json_is_array(array) || count == 0)
		goto cleanup;
	status = HDMS_TOO_LARGE;
	if (count > HDMS_HISTORY_MAX_ENTRIES)
		goto cleanup;

	status = HDMS_OUT_OF_MEMORY;
	result = calloc(1, sizeof(*result));
	jws = calloc(count, sizeof(*jws));
	if (result == NULL || jws == NULL || (result->entries = calloc(count, sizeof(*result->entries))) == NULL)
		goto cleanup;
	for (size_t i = 0; i < count; i++)
	{
		const json_t *element = json_array_get(array, i);

		status = json_is_string(element) ? HDMS_OK : HDMS_BAD_FORMAT;
		if (status == HDMS_OK)
			status = add_entry(result, json_string_value(element), json_string_length(element));
		if (status != HDMS_OK)
			goto cleanup;
		jws[i] = result->entries[i].jws;
	}
	status = hdms_history_join(jws, (int) count, &result->json);
	if (status != HDMS_OK)
		goto cleanup;
	*history = result;
	result = NULL;

cleanup:
	hdms_history_free(result);
	free(jws);
	json_decref(array);
	return status;
}
