/*
 * content.c
 *		What may become a record's content, and what type of record it makes.
 *
 * A state has one disclosure for each top-level member, so what costs room in an
 * envelope is both the bytes and the number of members; both are bounded here, before
 * anything is signed that could then not be sent.
 */
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"
#include "state.h"

/*
 * A member costs its salt, quotes and digest beside its own bytes: as much as 74 bytes of
 * content after both base64 codings. With all of it an envelope stays below 1 MiB.
 */
#define MEMBER_COST		74
#define CONTENT_ROOM	(HDMS_CONTENT_MAX + 60 * 1024)

HdmsStatus
hdms_content_check(const char *content, size_t len)
{
	HdmsJsonItem *items = NULL;
	HdmsJsonKind kind;
	size_t		count;
	HdmsStatus	status;

	if (content == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((status = hdms_json_check(content, len, HDMS_CONTENT_MAX, &kind, NULL)) != HDMS_OK)
		return status;
	if (kind != HDMS_JSON_OBJECT)
		return HDMS_BAD_FORMAT;
	if (hdms_json_has_reserved(content, len))
		return HDMS_RESERVED_MEMBER;
	if ((status = hdms_json_items(content, len, &items, &count)) != HDMS_OK)
		return status;
	free(items);
	if (count > HDMS_CONTENT_MAX_MEMBERS || len + count * MEMBER_COST > CONTENT_ROOM)
		return HDMS_TOO_LARGE;
	return HDMS_OK;
}

/* FHIR's type names are letters only; anything else under "resourceType" is not FHIR. */
static bool
is_resource_type(const HdmsBytes *name)
{
	if (name->len == 0 || name->len > 64)
		return false;
	for (size_t i = 0; i < name->len; i++)
	{
		unsigned char c = name->data[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
			return false;
	}
	return true;
}

HdmsStatus
hdms_content_type(const char *content, size_t len, char type[HDMS_TYPE_MAX + 1])
{
	static const char prefix[] = "fhir/R4/";
	HdmsJsonItem item;
	HdmsBytes	name = {0};
	HdmsStatus	status;

	if (content == NULL)
		return HDMS_BAD_ARGUMENT;
	status = hdms_json_member(content, len, "resourceType", &item);
	if (status == HDMS_OK && item.kind == HDMS_JSON_STRING)
	{
		if ((status = hdms_json_unescape(item.value, &name)) != HDMS_OK)
			return status;
		if (is_resource_type(&name))
		{
			memcpy(type, prefix, sizeof(prefix) - 1);
			memcpy(type + sizeof(prefix) - 1, name.data, name.len);
			type[sizeof(prefix) - 1 + name.len] = '\0';
			hdms_bytes_free(&name);
			return HDMS_OK;
		}
		hdms_bytes_free(&name);
	}
	else if (status != HDMS_OK && status != HDMS_BAD_FORMAT)
		return status;
	strcpy(type, "json");
	return HDMS_OK;
}
