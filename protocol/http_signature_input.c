/*
 * http_signature_input.c
 *		The Signature-Input header of a request to the server: the part of RFC 8941's grammar that it needs.
 *
 * Strings with escapes are refused: neither a node id nor a session id has any.
 */
#include "http_signature_input.h"

#include <string.h>

#define HEADER_MAX	2048		/* bytes */

/* Steps over an expected text. */
static bool
take(const char **at, const char *expected)
{
	const size_t len = strlen(expected);

	if (strncmp(*at, expected, len) != 0)
		return false;
	*at += len;
	return true;
}

/* Steps over a string in quotes and copies what is between them, which must fit. */
static bool
take_string(const char **at, char *out, size_t size)
{
	size_t		len = 0;

	if (!take(at, "\""))
		return false;
	for (; **at != '"'; (*at)++)
	{
		if (**at < ' ' || **at > '~' || **at == '\\' || len + 1 >= size)
			return false;
		out[len++] = **at;
	}
	(*at)++;
	out[len] = '\0';
	return len > 0;
}

/* Steps over an integer of at most 15 digits (RFC 8941, 3.3.1), none of them a leading zero. */
static bool
take_integer(const char **at, int64_t *value)
{
	int64_t		result = 0;
	int			digits = 0;

	if ((*at)[0] == '0' && (*at)[1] >= '0' && (*at)[1] <= '9')
		return false;
	for (; **at >= '0' && **at <= '9'; (*at)++)
	{
		if (++digits > 15)
			return false;
		result = result * 10 + (**at - '0');
	}
	if (digits == 0)
		return false;
	*value = result;
	return true;
}

/* The list of components, with its parentheses. */
static bool
take_components(const char **at, const char *const names[HDMS_HTTP_COMPONENT_COUNT], HdmsHttpInput *input)
{
	bool		seen[HDMS_HTTP_COMPONENT_COUNT] = {false};

	if (!take(at, "("))
		return false;
	do
	{
		char		name[32];
		int			component;

		if (!take_string(at, name, sizeof(name)))
			return false;
		for (component = 0; component < HDMS_HTTP_COMPONENT_COUNT; component++)
		{
			if (strcmp(name, names[component]) == 0)
				break;
		}
		if (component == HDMS_HTTP_COMPONENT_COUNT || seen[component])
			return false;
		seen[component] = true;
		input->components[input->count++] = (HdmsHttpComponent) component;
	}
	while (take(at, " "));
	input->covers_digest = seen[HDMS_HTTP_CONTENT_DIGEST];
	return take(at, ")");
}

/* The parameters up to the end of the header. */
static bool
take_parameters(const char **at, HdmsHttpInput *input)
{
	bool		has_created = false;

	while (**at != '\0')
	{
		if (take(at, ";created="))
		{
			if (has_created || !take_integer(at, &input->claim.created))
				return false;
			has_created = true;
		}
		else if (take(at, ";keyid="))
		{
			if (input->claim.keyid[0] != '\0' || !take_string(at, input->claim.keyid, sizeof(input->claim.keyid)))
				return false;
		}
		else if (take(at, ";nonce="))
		{
			if (input->claim.nonce[0] != '\0' || !take_string(at, input->claim.nonce, sizeof(input->claim.nonce)))
				return false;
		}
		else if (take(at, ";tag="))
		{
			if (input->tag[0] != '\0' || !take_string(at, input->tag, sizeof(input->tag)))
				return false;
		}
		else
			return false;
	}
	return has_created && input->claim.keyid[0] != '\0';
}

HdmsStatus
hdms_http_input_parse(const char *header, const char *label,
					  const char *const names[HDMS_HTTP_COMPONENT_COUNT], HdmsHttpInput *input)
{
	HdmsHttpInput result = {0};
	const char *at = header;

	if (header == NULL || strnlen(header, HEADER_MAX + 1) > HEADER_MAX)
		return HDMS_BAD_FORMAT;
	if (!take(&at, label) || !take(&at, "="))
		return HDMS_BAD_FORMAT;
	result.params = at;
	if (!take_components(&at, names, &result) || !take_parameters(&at, &result))
		return HDMS_BAD_FORMAT;
	result.params_len = strlen(result.params);
	*input = result;
	return HDMS_OK;
}
