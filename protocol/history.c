/*
 * history.c
 *		Reading a verified key history: which key counts, and when.
 *
 * A key that was replaced does not come back (history_parse.c sees to that), so each
 * key counts during one unbroken run of entries.
 */
#include "history_inside.h"

#include <stdlib.h>
#include <string.h>

#include "message.h"

const char *const hdms_role_names[HDMS_ROLE_COUNT] = {
	[HDMS_ROLE_SIGN] = "sig",
	[HDMS_ROLE_ENCRYPT] = "enc",
	[HDMS_ROLE_VRF] = "vrf",
	[HDMS_ROLE_LOG] = "log",
	[HDMS_ROLE_COSIGNER] = "cosigner",
};

const char *
hdms_kind_name(HdmsNodeKind kind)
{
	return kind == HDMS_INSTITUTION ? "institution" : "person";
}

bool
hdms_kind_has_role(HdmsNodeKind kind, HdmsRole role)
{
	switch (role)
	{
		case HDMS_ROLE_SIGN:
		case HDMS_ROLE_ENCRYPT:
			return true;
		case HDMS_ROLE_VRF:
			return kind == HDMS_PERSON;
		case HDMS_ROLE_LOG:
		case HDMS_ROLE_COSIGNER:
			return kind == HDMS_INSTITUTION;
		default:
			return false;
	}
}

bool
hdms_role_takes(HdmsRole role, HdmsKeyType type)
{
	switch (role)
	{
		case HDMS_ROLE_SIGN:
		case HDMS_ROLE_ENCRYPT:
			return type == HDMS_KEY_P256 || type == HDMS_KEY_RSA;
		case HDMS_ROLE_VRF:
			return type == HDMS_KEY_P256;
		case HDMS_ROLE_LOG:
		case HDMS_ROLE_COSIGNER:
			return type == HDMS_KEY_ED25519;
		default:
			return false;
	}
}

void
hdms_history_entry_free(HdmsHistoryEntry *entry)
{
	for (int role = 0; role < HDMS_ROLE_COUNT; role++)
		hdms_key_free(entry->keys[role]);
	free(entry->jws);
	memset(entry, 0, sizeof(*entry));
}

HdmsStatus
hdms_history_join(const char *const *entries, int count, char **json)
{
	size_t		size = 3;
	char	   *result;
	char	   *at;

	for (int i = 0; i < count; i++)
		size += strlen(entries[i]) + 3;
	result = malloc(size);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	at = result;
	*at++ = '[';
	for (int i = 0; i < count; i++)
	{
		size_t		len = strlen(entries[i]);

		if (i > 0)
			*at++ = ',';
		*at++ = '"';
		memcpy(at, entries[i], len);
		at += len;
		*at++ = '"';
	}
	*at++ = ']';
	*at = '\0';
	*json = result;
	return HDMS_OK;
}

void
hdms_history_free(HdmsHistory *history)
{
	if (history == NULL)
		return;
	for (int i = 0; i < history->length; i++)
		hdms_history_entry_free(&history->entries[i]);
	free(history->entries);
	free(history->revocations);
	free(history->json);
	free(history);
}

const char *
hdms_history_node_id(const HdmsHistory *history)
{
	return history->node;
}

HdmsNodeKind
hdms_history_kind(const HdmsHistory *history)
{
	return history->kind;
}

const char *
hdms_history_name(const HdmsHistory *history)
{
	return history->name;
}

int
hdms_history_length(const HdmsHistory *history)
{
	return history->length;
}

const char *
hdms_history_json(const HdmsHistory *history)
{
	return history->json;
}

const char *
hdms_history_entry(const HdmsHistory *history, int seq)
{
	return seq >= 0 && seq < history->length ? history->entries[seq].jws : NULL;
}

const char *
hdms_history_recovery(const HdmsHistory *history)
{
	return history->entries[history->length - 1].recovery;
}

const HdmsKey *
hdms_history_current(const HdmsHistory *history, HdmsRole role)
{
	return role < HDMS_ROLE_COUNT ? history->entries[history->length - 1].keys[role] : NULL;
}

const HdmsKey *
hdms_history_key(const HdmsHistory *history, int seq, HdmsRole role)
{
	return seq >= 0 && seq < history->length && role < HDMS_ROLE_COUNT ? history->entries[seq].keys[role] : NULL;
}

/* The run of entries [*first, *last] in which the role's key has that thumbprint; NULL when there is none. */
static const HdmsKey *
find_run(const HdmsHistory *history, HdmsRole role, const char *kid, int *first, int *last)
{
	const HdmsKey *found = NULL;

	if (role >= HDMS_ROLE_COUNT || kid == NULL)
		return NULL;
	for (int seq = 0; seq < history->length; seq++)
	{
		const HdmsKey *key = history->entries[seq].keys[role];

		if (key != NULL && strcmp(hdms_key_thumbprint(key), kid) == 0)
		{
			if (found == NULL)
				*first = seq;
			*last = seq;
			found = key;
		}
		else if (found != NULL)
			break;
	}
	return found;
}

const HdmsKey *
hdms_history_find(const HdmsHistory *history, HdmsRole role, const char *kid, int64_t time)
{
	int			first;
	int			last;
	const HdmsKey *key = find_run(history, role, kid, &first, &last);

	if (key == NULL || time < 0)
		return NULL;

	/* A revoked key is never current: an entry with it would not have been accepted. */
	if (time == 0)
		return last == history->length - 1 ? key : NULL;
	if (time < history->entries[first].iat - HDMS_CLOCK_SKEW)
		return NULL;
	if (last < history->length - 1 && time > history->entries[last + 1].iat + HDMS_CLOCK_SKEW)
		return NULL;
	for (int i = 0; i < history->revocation_count; i++)
	{
		if (strcmp(history->revocations[i].kid, kid) == 0 && time >= history->revocations[i].since)
			return NULL;
	}
	return key;
}

const HdmsKey *
hdms_history_sender(const HdmsHistory *history, const char *kid, int64_t iat, int64_t received)
{
	const HdmsKey *key = iat > 0 ? hdms_history_find(history, HDMS_ROLE_SIGN, kid, iat) : NULL;
	int			first;
	int			last;

	if (key == NULL || find_run(history, HDMS_ROLE_SIGN, kid, &first, &last) == NULL)
		return NULL;
	for (int i = 0; i < history->revocation_count; i++)
	{
		if (strcmp(history->revocations[i].kid, kid) == 0)
			return NULL;
	}
	if (last < history->length - 1 && received - HDMS_REPLACED_KEY_LIFE > history->entries[last + 1].iat)
		return NULL;
	return key;
}

const HdmsKey *
hdms_history_find_ever(const HdmsHistory *history, HdmsRole role, const char *kid)
{
	int			first;
	int			last;

	return find_run(history, role, kid, &first, &last);
}

/*
 * Entries are compared without their signatures: anybody can turn one valid ECDSA signature
 * into a second one, and must not be able to make a node look forked with it.
 */
int
hdms_history_compare(const HdmsHistory *first, const HdmsHistory *second)
{
	int			shared = first->length < second->length ? first->length : second->length;

	for (int seq = 0; seq < shared; seq++)
	{
		const HdmsHistoryEntry *a = &first->entries[seq];
		const HdmsHistoryEntry *b = &second->entries[seq];

		if (a->signed_len != b->signed_len || memcmp(a->jws, b->jws, a->signed_len) != 0)
			return 2;
	}
	if (first->length == second->length)
		return 0;
	return first->length < second->length ? -1 : 1;
}
