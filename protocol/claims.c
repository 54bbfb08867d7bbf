/*
 * claims.c
 *		JOSE headers, claims and message bodies: strict reading with jansson.
 *
 * What nodes write is read by claims_read.c; whatever it does not know goes through jansson's own parser.
 * jansson checks grammar, UTF-8, duplicates and escaped NULs; what it would accept
 * beyond what the protocol defines (reals, deep nesting) is refused in a second walk.
 */
#include "claims.h"

#include <string.h>

#include "claims_read.h"

/* Whether a value nests too deeply or has a real number in it. */
static HdmsStatus
check_value(json_t *value, int depth)
{
	HdmsStatus	status = HDMS_OK;
	const char *name;
	json_t	   *member;
	size_t		index;

	switch (json_typeof(value))
	{
		case JSON_REAL:
			return HDMS_BAD_JSON;
		case JSON_OBJECT:
			if (depth >= CLAIMS_MAX_DEPTH)
				return HDMS_TOO_LARGE;
			json_object_foreach(value, name, member)
			{
				status = check_value(member, depth + 1);
				if (status != HDMS_OK)
					return status;
			}
			return HDMS_OK;
		case JSON_ARRAY:
			if (depth >= CLAIMS_MAX_DEPTH)
				return HDMS_TOO_LARGE;
			json_array_foreach(value, index, member)
			{
				status = check_value(member, depth + 1);
				if (status != HDMS_OK)
					return status;
			}
			return HDMS_OK;
		default:
			return HDMS_OK;
	}
}

HdmsStatus
hdms_claims_parse(const char *json, size_t len, json_t **object)
{
	json_error_t error;
	json_t	   *value;
	HdmsStatus	status;

	/* jansson steps over a NUL byte that follows a number. */
	if (json == NULL || len == 0 || memchr(json, '\0', len) != NULL)
		return HDMS_BAD_JSON;
	if ((value = hdms_claims_read(json, len)) != NULL)
	{
		*object = value;
		return HDMS_OK;
	}
	value = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error);
	if (value == NULL)
		return json_error_code(&error) == json_error_out_of_memory ? HDMS_OUT_OF_MEMORY : HDMS_BAD_JSON;
	status = json_is_object(value) ? check_value(value, 0) : HDMS_BAD_FORMAT;
	if (status != HDMS_OK)
	{
		json_decref(value);
		return status;
	}
	*object = value;
	return HDMS_OK;
}

HdmsStatus
hdms_claims_print(const json_t *object, char **json)
{
	char	   *result;

	if (!json_is_object(object))
		return HDMS_BAD_ARGUMENT;
	result = json_dumps(object, JSON_COMPACT);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	*json = result;
	return HDMS_OK;
}

HdmsStatus
hdms_claims_string(const json_t *object, const char *name, const char **value)
{
	const json_t *member = json_object_get(object, name);

	if (!json_is_string(member) || json_string_length(member) == 0)
		return HDMS_BAD_CLAIM;
	*value = json_string_value(member);
	return HDMS_OK;
}

HdmsStatus
hdms_claims_integer(const json_t *object, const char *name, int64_t *value)
{
	const json_t *member = json_object_get(object, name);

	if (!json_is_integer(member) || json_integer_value(member) < 0)
		return HDMS_BAD_CLAIM;
	*value = json_integer_value(member);
	return HDMS_OK;
}

HdmsStatus
hdms_claims_digest(const json_t *object, const char *name, unsigned char digest[HDMS_DIGEST_SIZE], const char **text)
{
	unsigned char bytes[HDMS_DIGEST_SIZE];
	const char *value;
	HdmsStatus	status = hdms_claims_string(object, name, &value);

	if (status != HDMS_OK)
		return status;
	if (hdms_base64url_read(value, strlen(value), bytes, sizeof(bytes)) != HDMS_OK)
		return HDMS_BAD_CLAIM;
	if (digest != NULL)
		memcpy(digest, bytes, sizeof(bytes));
	if (text != NULL)
		*text = value;
	return HDMS_OK;
}

HdmsStatus
hdms_claims_equal(const json_t *object, const char *name, const char *expected)
{
	const char *value;
	HdmsStatus	status = hdms_claims_string(object, name, &value);

	if (status != HDMS_OK)
		return status;
	return strcmp(value, expected) == 0 ? HDMS_OK : HDMS_BAD_CLAIM;
}
