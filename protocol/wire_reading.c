/*
 * wire_reading.c
 *		Reading members of HTTP bodies into owned strings.
 */
#include "wire_reading.h"

#include <stdlib.h>
#include <string.h>

char *
hdms_wire_copy(const char *bytes, size_t len)
{
	char	   *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	if (len > 0)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

HdmsStatus
hdms_wire_string(const json_t *object, const char *name, char **string)
{
	const char *value;
	HdmsStatus	status = hdms_claims_string(object, name, &value);
	char	   *copy;

	if (status != HDMS_OK)
		return status;
	copy = hdms_wire_copy(value, strlen(value));
	if (copy == NULL)
		return HDMS_OUT_OF_MEMORY;
	*string = copy;
	return HDMS_OK;
}

HdmsStatus
hdms_wire_optional_string(const json_t *object, const char *name, char **string)
{
	if (json_object_get(object, name) == NULL)
		return HDMS_OK;
	return hdms_wire_string(object, name, string);
}

HdmsStatus
hdms_wire_id(const json_t *object, const char *name, char id[HDMS_DIGEST_TEXT + 1])
{
	const char *text;
	HdmsStatus	status = hdms_claims_digest(object, name, NULL, &text);

	if (status == HDMS_OK)
		memcpy(id, text, HDMS_DIGEST_TEXT + 1);
	return status;
}

HdmsStatus
hdms_wire_word(const json_t *object, const char *name, char *word, size_t size)
{
	const char *text;
	HdmsStatus	status = hdms_claims_string(object, name, &text);
	size_t		len;

	if (status != HDMS_OK)
		return status;
	len = strlen(text);
	if (len >= size)
		return HDMS_BAD_CLAIM;
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] <= ' ' || text[i] > '~')
			return HDMS_BAD_CLAIM;
	}
	memcpy(word, text, len + 1);
	return HDMS_OK;
}

HdmsStatus
hdms_wire_integer(const json_t *object, const char *name, int64_t max, int64_t missing, int64_t *value)
{
	int64_t		number;
	HdmsStatus	status;

	if (json_object_get(object, name) == NULL)
	{
		*value = missing;
		return HDMS_OK;
	}
	status = hdms_claims_integer(object, name, &number);
	if (status != HDMS_OK)
		return status;
	if (number > max)
		return HDMS_BAD_CLAIM;
	*value = number;
	return HDMS_OK;
}

HdmsStatus
hdms_wire_source(const char *json, size_t len, const char *name, HdmsJsonKind kind, char **text)
{
	HdmsJsonItem item;
	HdmsStatus	status = hdms_json_member(json, len, name, &item);
	char	   *copy;

	if (status == HDMS_BAD_FORMAT || (status == HDMS_OK && item.kind != kind))
		return HDMS_BAD_CLAIM;
	if (status != HDMS_OK)
		return status;
	copy = hdms_wire_copy(item.value.data, item.value.len);
	if (copy == NULL)
		return HDMS_OUT_OF_MEMORY;
	*text = copy;
	return HDMS_OK;
}
