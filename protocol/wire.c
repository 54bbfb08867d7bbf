/*
 * wire.c
 *		The JSON bodies by which nodes register, find each other, open sessions and learn of problems.
 *
 * Bodies about envelopes are in wire_mailbox.c.  Histories and keys pass through
 * as the text they came in, since what is signed is bytes.  Members that are not
 * known are ignored: a newer server may say more.
 */
#include "wire.h"

#include <stdlib.h>
#include <string.h>

#include "json_scan.h"
#include "text.h"
#include "wire_reading.h"

#define PROBLEM_PREFIX "urn:hdms:problem:"

/* Adds source text that must be JSON of the given kind. */
static void
add_source(HdmsText *text, const char *source, HdmsJsonKind expected)
{
	HdmsJsonKind kind;

	if (source == NULL || hdms_json_check(source, strlen(source), SIZE_MAX, &kind, NULL) != HDMS_OK || kind != expected)
		text->status = text->status == HDMS_OK ? HDMS_BAD_ARGUMENT : text->status;
	else
		hdms_text_add(text, source);
}

/* Adds ,"name":"value" unless the value is NULL. */
static void
add_optional(HdmsText *text, const char *name, const char *value)
{
	if (value == NULL)
		return;
	hdms_text_add(text, ",\"");
	hdms_text_add(text, name);
	hdms_text_add(text, "\":");
	hdms_text_add_json(text, value);
}

HdmsStatus
hdms_wire_registration_print(const HdmsRegistration *registration, char **json)
{
	HdmsText	text = {0};

	hdms_text_add(&text, "{\"history\":");
	add_source(&text, registration->history, HDMS_JSON_ARRAY);
	add_optional(&text, "voucher", registration->voucher);
	add_optional(&text, "admission", registration->admission);
	if (registration->notaries_count > 0)
	{
		hdms_text_add(&text, ",\"notaries\":[");
		for (size_t i = 0; i < registration->notaries_count; i++)
		{
			hdms_text_add(&text, i == 0 ? "" : ",");
			hdms_text_add_json(&text, registration->notaries[i]);
		}
		hdms_text_add(&text, "]");
	}
	hdms_text_add(&text, "}");
	return hdms_text_take(&text, json);
}

static HdmsStatus
read_notaries(const json_t *object, HdmsRegistration *registration)
{
	const json_t *list = json_object_get(object, "notaries");
	const json_t *element;
	size_t		count;
	size_t		index;

	if (list == NULL)
		return HDMS_OK;
	if (!json_is_array(list))
		return HDMS_BAD_CLAIM;
	count = json_array_size(list);
	if (count == 0)
		return HDMS_OK;
	registration->notaries = calloc(count, sizeof(char *));
	if (registration->notaries == NULL)
		return HDMS_OUT_OF_MEMORY;
	registration->notaries_count = count;
	json_array_foreach(list, index, element)
	{
		if (!json_is_string(element) || json_string_length(element) == 0)
			return HDMS_BAD_CLAIM;
		registration->notaries[index] = hdms_wire_copy(json_string_value(element), json_string_length(element));
		if (registration->notaries[index] == NULL)
			return HDMS_OUT_OF_MEMORY;
	}
	return HDMS_OK;
}

HdmsStatus
hdms_wire_registration_parse(const char *json, size_t len, HdmsRegistration *registration)
{
	HdmsRegistration result = {0};
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = hdms_wire_source(json, len, "history", HDMS_JSON_ARRAY, &result.history);
	if (status == HDMS_OK)
		status = hdms_wire_optional_string(object, "voucher", &result.voucher);
	if (status == HDMS_OK)
		status = hdms_wire_optional_string(object, "admission", &result.admission);
	if (status == HDMS_OK)
		status = read_notaries(object, &result);
	json_decref(object);
	if (status != HDMS_OK)
	{
		hdms_wire_registration_free(&result);
		return status;
	}
	*registration = result;
	return HDMS_OK;
}

void
hdms_wire_registration_free(HdmsRegistration *registration)
{
	free(registration->history);
	free(registration->voucher);
	free(registration->admission);
	for (size_t i = 0; i < registration->notaries_count; i++)
		free(registration->notaries[i]);
	free(registration->notaries);
	*registration = (HdmsRegistration) {0};
}

static bool
is_node_status(const char *word)
{
	return strcmp(word, "pending") == 0 || strcmp(word, "active") == 0 || strcmp(word, "frozen") == 0;
}

static void
add_log(HdmsText *text, const HdmsNodeEntry *entry)
{
	hdms_text_add(text, ",\"log\":{\"index\":");
	hdms_text_add_integer(text, entry->log_index);
	hdms_text_add(text, ",\"checkpoint\":");
	hdms_text_add_json(text, entry->checkpoint);
	hdms_text_add(text, ",\"proof\":[");
	for (int i = 0; i < entry->proof_count; i++)
	{
		hdms_text_add(text, i == 0 ? "\"" : ",\"");
		hdms_text_add_base64url(text, entry->proof[i], sizeof(HdmsHash));
		hdms_text_add(text, "\"");
	}
	hdms_text_add(text, "]}");
}

HdmsStatus
hdms_wire_node_print(const HdmsNodeEntry *entry, char **json)
{
	HdmsText	text = {0};

	if (!is_node_status(entry->status))
		return HDMS_BAD_ARGUMENT;
	hdms_text_add(&text, "{\"status\":\"");
	hdms_text_add(&text, entry->status);
	hdms_text_add(&text, "\",\"history\":");
	add_source(&text, entry->history, HDMS_JSON_ARRAY);
	add_optional(&text, "admission", entry->admission);
	if (entry->checkpoint != NULL)
		add_log(&text, entry);
	hdms_text_add(&text, "}");
	return hdms_text_take(&text, json);
}

/* The member "log", where there is one. */
static HdmsStatus
read_log(const json_t *object, HdmsNodeEntry *entry)
{
	const json_t *log = json_object_get(object, "log");
	const json_t *list = json_object_get(log, "proof");
	const json_t *element;
	size_t		index;
	HdmsStatus	status;

	if (log == NULL)
		return HDMS_OK;
	if (!json_is_object(log) || !json_is_array(list) || json_array_size(list) > HDMS_MERKLE_MAX_PROOF || json_object_get(log, "index") == NULL)
		return HDMS_BAD_CLAIM;
	status = hdms_wire_integer(log, "index", INT64_MAX, 0, &entry->log_index);
	if (status == HDMS_OK)
		status = hdms_wire_string(log, "checkpoint", &entry->checkpoint);
	if (status != HDMS_OK)
		return status;
	entry->proof = calloc(json_array_size(list) + 1, sizeof(HdmsHash));
	if (entry->proof == NULL)
		return HDMS_OUT_OF_MEMORY;
	json_array_foreach(list, index, element)
	{
		if (!json_is_string(element)
			|| hdms_base64url_read(json_string_value(element), json_string_length(element), entry->proof[index], sizeof(HdmsHash)) != HDMS_OK)
			return HDMS_BAD_CLAIM;
	}
	entry->proof_count = (int) json_array_size(list);
	return HDMS_OK;
}

HdmsStatus
hdms_wire_node_parse(const char *json, size_t len, HdmsNodeEntry *entry)
{
	HdmsNodeEntry result = {0};
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = hdms_wire_word(object, "status", result.status, sizeof(result.status));
	if (status == HDMS_OK && !is_node_status(result.status))
		status = HDMS_BAD_CLAIM;
	if (status == HDMS_OK)
		status = hdms_wire_source(json, len, "history", HDMS_JSON_ARRAY, &result.history);
	if (status == HDMS_OK)
		status = hdms_wire_optional_string(object, "admission", &result.admission);
	if (status == HDMS_OK)
		status = read_log(object, &result);
	json_decref(object);
	if (status != HDMS_OK)
	{
		hdms_wire_node_free(&result);
		return status;
	}
	*entry = result;
	return HDMS_OK;
}

void
hdms_wire_node_free(HdmsNodeEntry *entry)
{
	free(entry->history);
	free(entry->admission);
	free(entry->checkpoint);
	free(entry->proof);
	*entry = (HdmsNodeEntry) {0};
}

HdmsStatus
hdms_wire_network_print(const char *network_jwk, const char *notaries, char **json)
{
	HdmsText	text = {0};

	hdms_text_add(&text, "{\"network\":");
	add_source(&text, network_jwk, HDMS_JSON_OBJECT);
	add_optional(&text, "notaries", notaries);
	hdms_text_add(&text, "}");
	return hdms_text_take(&text, json);
}

HdmsStatus
hdms_wire_network_parse(const char *json, size_t len, char **network_jwk, char **notaries)
{
	char	   *jwk = NULL;
	char	   *list = NULL;
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = hdms_wire_source(json, len, "network", HDMS_JSON_OBJECT, &jwk);
	if (status == HDMS_OK)
		status = hdms_wire_optional_string(object, "notaries", &list);
	json_decref(object);
	if (status != HDMS_OK)
	{
		free(jwk);
		return status;
	}
	*network_jwk = jwk;
	*notaries = list;
	return HDMS_OK;
}

HdmsStatus
hdms_wire_session_print(const HdmsSession *session, char **json)
{
	HdmsText	text = {0};

	if (session->id[0] == '\0' || session->secret == NULL || session->expires < 0)
		return HDMS_BAD_ARGUMENT;
	hdms_text_add(&text, "{\"session\":");
	hdms_text_add_json(&text, session->id);
	hdms_text_add(&text, ",\"secret\":");
	hdms_text_add_json(&text, session->secret);
	hdms_text_add(&text, ",\"expires\":");
	hdms_text_add_integer(&text, session->expires);
	hdms_text_add(&text, "}");
	return hdms_text_take(&text, json);
}

HdmsStatus
hdms_wire_session_parse(const char *json, size_t len, HdmsSession *session)
{
	HdmsSession result = {0};
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = hdms_wire_word(object, "session", result.id, sizeof(result.id));
	if (status == HDMS_OK)
		status = hdms_claims_integer(object, "expires", &result.expires);
	if (status == HDMS_OK)
		status = hdms_wire_string(object, "secret", &result.secret);
	json_decref(object);
	if (status == HDMS_OK)
		*session = result;
	return status;
}

HdmsStatus
hdms_wire_problem_print(const char *word, const char *title, int status, const char *detail, int64_t now, char **json)
{
	HdmsText	text = {0};

	for (const char *at = word; *at != '\0'; at++)
	{
		if (!((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-'))
			return HDMS_BAD_ARGUMENT;
	}
	hdms_text_add(&text, "{\"type\":\"" PROBLEM_PREFIX);
	hdms_text_add(&text, word);
	hdms_text_add(&text, "\",\"title\":");
	hdms_text_add_json(&text, title);
	hdms_text_add(&text, ",\"status\":");
	hdms_text_add_integer(&text, status);
	add_optional(&text, "detail", detail);
	if (now != 0)
	{
		hdms_text_add(&text, ",\"now\":");
		hdms_text_add_integer(&text, now);
	}
	hdms_text_add(&text, "}");
	return hdms_text_take(&text, json);
}

HdmsStatus
hdms_wire_problem_parse(const char *json, size_t len, char word[48], char **detail, int64_t *now)
{
	const size_t prefix_len = strlen(PROBLEM_PREFIX);
	const char *type = NULL;
	const char *text = "";
	const char *found = "";
	char	   *copy = NULL;
	int64_t		time = 0;
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status != HDMS_OK)
		return status;

	/* Each member is optional in RFC 9457; whatever is not ours is not a word of ours. */
	if (hdms_claims_string(object, "type", &type) == HDMS_OK && strncmp(type, PROBLEM_PREFIX, prefix_len) == 0 &&
		strlen(type + prefix_len) < 48)
		found = type + prefix_len;
	if (hdms_claims_string(object, "detail", &text) != HDMS_OK)
		text = "";
	if (hdms_claims_integer(object, "now", &time) != HDMS_OK)
		time = 0;
	copy = hdms_wire_copy(text, strlen(text));
	if (copy == NULL)
		status = HDMS_OUT_OF_MEMORY;
	else
	{
		memcpy(word, found, strlen(found) + 1);
		*detail = copy;
		*now = time;
	}
	json_decref(object);
	return status;
}
