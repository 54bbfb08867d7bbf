/*
 * disclosure.c
 *		The compact form of an SD-JWT taken apart, and its disclosures (RFC 9901, 4 and 7.1).
 *
 * Disclosures come from strangers: a presentation's are checked before anything is
 * known of who signed. So all of it is bounded and takes O(n log n).
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "disclosure.h"
#include "state.h"

static bool
is_reserved(const HdmsBytes *name)
{
	static const char *const reserved[] = {"_sd", "_sd_alg", "..."};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
	{
		if (name->len == strlen(reserved[i]) && memcmp(name->data, reserved[i], name->len) == 0)
			return true;
	}
	return false;
}

static int
name_compare(const void *a, const void *b)
{
	const HdmsBytes *x = &(*(const HdmsDisclosure *const *) a)->plain_name;
	const HdmsBytes *y = &(*(const HdmsDisclosure *const *) b)->plain_name;
	int			order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);

	if (order != 0)
		return order;
	return (x->len > y->len) - (x->len < y->len);
}

int
hdms_digest_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static HdmsStatus
disclosure_read(HdmsSpan text, HdmsDisclosure *disclosure)
{
	HdmsJsonItem *items = NULL;
	size_t		count;
	HdmsStatus	status;

	disclosure->text = text;
	if ((status = hdms_base64url_decode(text.data, text.len, &disclosure->json)) != HDMS_OK)
		return status;
	if ((status = hdms_json_items((const char *) disclosure->json.data, disclosure->json.len, &items, &count)) != HDMS_OK)
		return status;

	/* an object's members have names, with quotes; an array's elements have none */
	status = HDMS_BAD_FORMAT;
	if (count != 3 || items[0].name.len != 0 || items[0].kind != HDMS_JSON_STRING || items[1].kind != HDMS_JSON_STRING)
		goto cleanup;
	if (items[0].value.len < HDMS_SALT_MIN_TEXT + 2 || memchr(items[0].value.data, '\\', items[0].value.len) != NULL)
		goto cleanup;
	disclosure->name = items[1].value;
	disclosure->value = items[2].value;
	if ((status = hdms_json_unescape(disclosure->name, &disclosure->plain_name)) != HDMS_OK)
		goto cleanup;
	status = HDMS_RESERVED_MEMBER;
	if (is_reserved(&disclosure->plain_name)
		|| hdms_json_has_reserved((const char *) disclosure->json.data, disclosure->json.len))
		goto cleanup;
	status = hdms_sha256_text(text.data, text.len, disclosure->digest);

cleanup:
	free(items);
	return status;
}

/* That no member name occurs twice, however it is spelled. */
static HdmsStatus
check_names(const HdmsSdJwt *parts)
{
	const HdmsDisclosure **sorted;
	HdmsStatus	status = HDMS_OK;

	if (parts->count < 2)
		return HDMS_OK;
	if ((sorted = malloc(parts->count * sizeof(*sorted))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	for (size_t i = 0; i < parts->count; i++)
		sorted[i] = &parts->disclosures[i];
	qsort(sorted, parts->count, sizeof(*sorted), name_compare);
	for (size_t i = 1; i < parts->count && status == HDMS_OK; i++)
	{
		if (name_compare(&sorted[i - 1], &sorted[i]) == 0)
			status = HDMS_BAD_FORMAT;
	}
	free(sorted);
	return status;
}

/* That the members would make content that may be issued. */
static HdmsStatus
check_size(const HdmsSdJwt *parts)
{
	size_t		total = 2;

	for (size_t i = 0; i < parts->count; i++)
		total += parts->disclosures[i].name.len + parts->disclosures[i].value.len + (i == 0 ? 1 : 2);
	return total > HDMS_CONTENT_MAX ? HDMS_TOO_LARGE : HDMS_OK;
}

HdmsStatus
hdms_sd_jwt_split(const char *text, size_t len, HdmsSdJwt *result)
{
	HdmsSdJwt	parts = {0};
	const char *end;
	const char *at;
	size_t		tildes = 0;
	HdmsStatus	status;

	if (text == NULL)
		return HDMS_BAD_ARGUMENT;
	if (len > HDMS_SD_JWT_MAX)
		return HDMS_TOO_LARGE;
	end = text + len;
	for (at = text; (at = memchr(at, '~', end - at)) != NULL; at++)
	{
		if (tildes++ == 0)
			parts.jwt = (HdmsSpan) {text, at - text};
		parts.covered = (HdmsSpan) {text, at + 1 - text};
	}
	if (tildes == 0)
		return HDMS_BAD_FORMAT;
	if (tildes - 1 > HDMS_CONTENT_MAX_MEMBERS)
		return HDMS_TOO_LARGE;
	parts.binding = (HdmsSpan) {text + parts.covered.len, len - parts.covered.len};

	if (tildes > 1)
	{
		if ((parts.disclosures = calloc(tildes - 1, sizeof(HdmsDisclosure))) == NULL)
			return HDMS_OUT_OF_MEMORY;
		parts.count = tildes - 1;
	}
	at = text + parts.jwt.len + 1;
	for (size_t i = 0; i < parts.count; i++)
	{
		const char *stop = memchr(at, '~', end - at);

		if ((status = disclosure_read((HdmsSpan) {at, stop - at}, &parts.disclosures[i])) != HDMS_OK)
			goto cleanup;
		at = stop + 1;
	}
	if ((status = check_size(&parts)) != HDMS_OK || (status = check_names(&parts)) != HDMS_OK)
		goto cleanup;
	*result = parts;
	return HDMS_OK;

cleanup:
	hdms_sd_jwt_free(&parts);
	return status;
}

void
hdms_sd_jwt_free(HdmsSdJwt *parts)
{
	for (size_t i = 0; i < parts->count; i++)
	{
		hdms_bytes_wipe(&parts->disclosures[i].json);
		hdms_bytes_wipe(&parts->disclosures[i].plain_name);
	}
	free(parts->disclosures);
	memset(parts, 0, sizeof(*parts));
}

HdmsStatus
hdms_sd_jwt_match(const HdmsSdJwt *parts, const json_t *digests, bool all_disclosed)
{
	size_t		count = json_array_size(digests);
	const char **sorted = NULL;
	bool	   *seen = NULL;
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (!json_is_array(digests))
		return HDMS_BAD_CLAIM;
	if (count > HDMS_CONTENT_MAX_MEMBERS)
		return HDMS_TOO_LARGE;
	if (parts->count > count || (all_disclosed && parts->count != count))
		return HDMS_DIGEST_MISMATCH;
	if (count == 0)
		return HDMS_OK;

	sorted = malloc(count * sizeof(*sorted));
	seen = calloc(count, sizeof(*seen));
	if (sorted == NULL || seen == NULL)
		goto cleanup;
	status = HDMS_BAD_CLAIM;
	for (size_t i = 0; i < count; i++)
	{
		const json_t *item = json_array_get(digests, i);

		sorted[i] = json_string_value(item);
		if (sorted[i] == NULL || !hdms_is_digest_text(sorted[i], json_string_length(item)))
			goto cleanup;
		if (i > 0 && strcmp(sorted[i - 1], sorted[i]) >= 0)
			goto cleanup;
	}
	status = HDMS_DIGEST_MISMATCH;
	for (size_t i = 0; i < parts->count; i++)
	{
		const char *digest = parts->disclosures[i].digest;
		const char **found = bsearch(&digest, sorted, count, sizeof(*sorted), hdms_digest_compare);

		if (found == NULL || seen[found - sorted])
			goto cleanup;
		seen[found - sorted] = true;
	}
	status = HDMS_OK;

cleanup:
	free(sorted);
	free(seen);
	return status;
}

static char *
span_put(char *at, HdmsSpan span)
{
	memcpy(at, span.data, span.len);
	return at + span.len;
}

HdmsStatus
hdms_sd_jwt_content(const HdmsSdJwt *parts, HdmsBytes *content)
{
	size_t		total = 2;
	char	   *text;
	char	   *at;

	for (size_t i = 0; i < parts->count; i++)
		total += parts->disclosures[i].name.len + parts->disclosures[i].value.len + 2;
	if ((text = malloc(total + 1)) == NULL)
		return HDMS_OUT_OF_MEMORY;
	at = text;
	*at++ = '{';
	for (size_t i = 0; i < parts->count; i++)
	{
		if (i > 0)
			*at++ = ',';
		at = span_put(at, parts->disclosures[i].name);
		*at++ = ':';
		at = span_put(at, parts->disclosures[i].value);
	}
	*at++ = '}';
	*at = '\0';
	content->data = (unsigned char *) text;
	content->len = at - text;
	return HDMS_OK;
}

HdmsStatus
hdms_disclosure_make(const unsigned char salt[HDMS_SALT_SIZE], HdmsSpan name, HdmsSpan value,
					 char **text, char digest[HDMS_DIGEST_TEXT + 1])
{
	size_t		room = HDMS_BASE64URL_SIZE(HDMS_SALT_SIZE) + name.len + value.len + 7;
	char	   *json = malloc(room);
	char	   *encoded = NULL;
	char	   *at = json;
	HdmsStatus	status;

	if (json == NULL)
		return HDMS_OUT_OF_MEMORY;
	*at++ = '[';
	*at++ = '"';
	hdms_base64url_write(salt, HDMS_SALT_SIZE, at);
	at += strlen(at);
	*at++ = '"';
	*at++ = ',';
	at = span_put(at, name);
	*at++ = ',';
	at = span_put(at, value);
	*at++ = ']';
	if ((status = hdms_base64url_encode(json, at - json, &encoded)) != HDMS_OK)
		goto cleanup;
	if ((status = hdms_sha256_text(encoded, strlen(encoded), digest)) != HDMS_OK)
		goto cleanup;
	*text = encoded;
	encoded = NULL;

cleanup:
	OPENSSL_cleanse(json, room);
	free(json);
	hdms_string_wipe(encoded);
	return status;
}
