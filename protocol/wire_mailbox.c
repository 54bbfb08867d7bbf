/*
 * wire_mailbox.c
 *		The JSON bodies by which envelopes are put, fetched and acknowledged.
 */
#include "wire.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "wire_reading.h"

#define EPOCH_SIZE	64

void
hdms_parcels_free(HdmsParcel *parcels, size_t count)
{
	if (parcels == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		free(parcels[i].data);
	free(parcels);
}

/* Whether the text is made of what a compact JWE is made of. */
static bool
is_compact(const char *text, size_t len)
{
	if (len == 0)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		const char	c = text[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

/* Adds the envelopes of a put (with "to" and "ttl") or of a mailbox (without). */
static void
add_parcels(HdmsText *text, const HdmsParcel *parcels, size_t count, bool is_put)
{
	size_t		total = 0;

	for (size_t i = 0; i < count; i++)
		total += parcels[i].len + 200;
	hdms_text_reserve(text, total);
	hdms_text_add(text, "\"envelopes\":[");
	for (size_t i = 0; i < count && text->status == HDMS_OK; i++)
	{
		const HdmsParcel *parcel = &parcels[i];

		if (!hdms_is_digest_text(parcel->id, strlen(parcel->id)) || !is_compact(parcel->data, parcel->len) ||
			(is_put && !hdms_is_digest_text(parcel->to, strlen(parcel->to))) || parcel->ttl < 0)
		{
			text->status = HDMS_BAD_ARGUMENT;
			return;
		}
		hdms_text_add(text, i == 0 ? "{" : ",{");
		if (is_put)
		{
			hdms_text_add(text, "\"to\":\"");
			hdms_text_add(text, parcel->to);
			hdms_text_add(text, "\",");
		}
		hdms_text_add(text, "\"id\":\"");
		hdms_text_add(text, parcel->id);
		if (is_put && parcel->ttl > 0)
		{
			hdms_text_add(text, "\",\"ttl\":");
			hdms_text_add_integer(text, parcel->ttl);
			hdms_text_add(text, ",\"data\":\"");
		}
		else
			hdms_text_add(text, "\",\"data\":\"");
		hdms_text_add_bytes(text, parcel->data, parcel->len);
		hdms_text_add(text, "\"}");
	}
	hdms_text_add(text, "]");
}

static HdmsStatus
read_parcel(const json_t *element, bool is_put, HdmsParcel *parcel)
{
	const json_t *data = json_object_get(element, "data");
	HdmsStatus	status = HDMS_OK;

	if (!json_is_object(element) || !json_is_string(data) || !is_compact(json_string_value(data), json_string_length(data)))
		return HDMS_BAD_CLAIM;
	if (is_put)
		status = hdms_wire_id(element, "to", parcel->to);
	if (status == HDMS_OK)
		status = hdms_wire_id(element, "id", parcel->id);
	if (status == HDMS_OK && is_put)
		status = hdms_wire_integer(element, "ttl", INT64_MAX, 0, &parcel->ttl);
	if (status != HDMS_OK)
		return status;
	parcel->len = json_string_length(data);
	parcel->data = hdms_wire_copy(json_string_value(data), parcel->len);
	return parcel->data == NULL ? HDMS_OUT_OF_MEMORY : HDMS_OK;
}

/* The member "envelopes". *parcels is NULL when there are none. */
static HdmsStatus
read_parcels(const json_t *object, bool is_put, HdmsParcel **parcels, size_t *count)
{
	const json_t *list = json_object_get(object, "envelopes");
	const json_t *element;
	HdmsParcel *result = NULL;
	size_t		result_count;
	size_t		index;

	if (!json_is_array(list))
		return HDMS_BAD_CLAIM;
	result_count = json_array_size(list);
	if (result_count > 0)
	{
		result = calloc(result_count, sizeof(*result));
		if (result == NULL)
			return HDMS_OUT_OF_MEMORY;
	}
	json_array_foreach(list, index, element)
	{
		const HdmsStatus status = read_parcel(element, is_put, &result[index]);

		if (status != HDMS_OK)
		{
			hdms_parcels_free(result, result_count);
			return status;
		}
	}
	*parcels = result;
	*count = result_count;
	return HDMS_OK;
}

HdmsStatus
hdms_wire_put_print(const HdmsParcel *parcels, size_t count, char **json)
{
	HdmsText	text = {0};

	hdms_text_add(&text, "{");
	add_parcels(&text, parcels, count, true);
	hdms_text_add(&text, "}");
	return hdms_text_take(&text, json);
}

HdmsStatus
hdms_wire_put_parse(const char *json, size_t len, HdmsParcel **parcels, size_t *count)
{
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = read_parcels(object, true, parcels, count);
	json_decref(object);
	return status;
}

HdmsStatus
hdms_wire_results_print(const char *epoch, const HdmsPutResult *results, size_t count, char **json)
{
	HdmsText	text = {0};

	hdms_text_add(&text, "{\"epoch\":");
	hdms_text_add_json(&text, epoch);
	hdms_text_add(&text, ",\"results\":[");
	for (size_t i = 0; i < count; i++)
	{
		hdms_text_add(&text, i == 0 ? "{\"id\":" : ",{\"id\":");
		hdms_text_add_json(&text, results[i].id);
		hdms_text_add(&text, ",\"status\":");
		hdms_text_add_integer(&text, results[i].status);
		hdms_text_add(&text, "}");
	}
	hdms_text_add(&text, "]}");
	return hdms_text_take(&text, json);
}

/* The member "results". *results is NULL when there are none. */
static HdmsStatus
read_results(const json_t *object, HdmsPutResult **results, size_t *count)
{
	const json_t *list = json_object_get(object, "results");
	const json_t *element;
	HdmsPutResult *result = NULL;
	size_t		result_count;
	size_t		index;

	if (!json_is_array(list))
		return HDMS_BAD_CLAIM;
	result_count = json_array_size(list);
	if (result_count > 0)
	{
		result = calloc(result_count, sizeof(*result));
		if (result == NULL)
			return HDMS_OUT_OF_MEMORY;
	}
	json_array_foreach(list, index, element)
	{
		int64_t		number = 0;
		HdmsStatus	status = hdms_wire_id(element, "id", result[index].id);

		if (status == HDMS_OK)
			status = hdms_wire_integer(element, "status", 599, 0, &number);
		if (status == HDMS_OK && number < 100)
			status = HDMS_BAD_CLAIM;
		if (status != HDMS_OK)
		{
			free(result);
			return status;
		}
		result[index].status = (int) number;
	}
	*results = result;
	*count = result_count;
	return HDMS_OK;
}

HdmsStatus
hdms_wire_results_parse(const char *json, size_t len, char epoch[64], HdmsPutResult **results, size_t *count)
{
	char		word[EPOCH_SIZE];
	json_t	   *object = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = hdms_wire_word(object, "epoch", word, sizeof(word));
	if (status == HDMS_OK)
		status = read_results(object, results, count);
	if (status == HDMS_OK)
		memcpy(epoch, word, sizeof(word));
	json_decref(object);
	return status;
}

HdmsStatus
hdms_wire_mailbox_print(const char *epoch, const HdmsParcel *parcels, size_t count, bool more, char **json)
{
	HdmsText	text = {0};

	hdms_text_add(&text, "{\"epoch\":");
	hdms_text_add_json(&text, epoch);
	hdms_text_add(&text, ",");
	add_parcels(&text, parcels, count, false);
	hdms_text_add(&text, more ? ",\"more\":true}" : ",\"more\":false}");
	return hdms_text_take(&text, json);
}

HdmsStatus
hdms_wire_mailbox_parse(const char *json, size_t len, char epoch[64], HdmsParcel **parcels, size_t *count, bool *more)
{
	char		word[EPOCH_SIZE];
	json_t	   *object = NULL;
	const json_t *flag = NULL;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = hdms_wire_word(object, "epoch", word, sizeof(word));
	if (status == HDMS_OK)
	{
		flag = json_object_get(object, "more");
		if (!json_is_boolean(flag))
			status = HDMS_BAD_CLAIM;
	}
	if (status == HDMS_OK)
		status = read_parcels(object, false, parcels, count);
	if (status == HDMS_OK)
	{
		memcpy(epoch, word, sizeof(word));
		*more = json_is_true(flag);
	}
	json_decref(object);
	return status;
}

HdmsStatus
hdms_wire_ack_print(const char *const *ids, size_t count, int wait, int limit, char **json)
{
	HdmsText	text = {0};

	hdms_text_add(&text, "{\"ids\":[");
	for (size_t i = 0; i < count; i++)
	{
		hdms_text_add(&text, i == 0 ? "" : ",");
		hdms_text_add_json(&text, ids[i]);
	}
	hdms_text_add(&text, "]");
	if (wait >= 0)
	{
		hdms_text_add(&text, ",\"wait\":");
		hdms_text_add_integer(&text, wait);
	}
	if (limit > 0)
	{
		hdms_text_add(&text, ",\"limit\":");
		hdms_text_add_integer(&text, limit);
	}
	hdms_text_add(&text, "}");
	return hdms_text_take(&text, json);
}

/* The member "ids". *ids is NULL when there are none. */
static HdmsStatus
read_ids(const json_t *object, char ***ids, size_t *count)
{
	const json_t *list = json_object_get(object, "ids");
	const json_t *element;
	char	  **result = NULL;
	size_t		result_count;
	size_t		index;
	HdmsStatus	status = HDMS_OK;

	if (!json_is_array(list))
		return HDMS_BAD_CLAIM;
	result_count = json_array_size(list);
	if (result_count > 0)
	{
		result = calloc(result_count, sizeof(*result));
		if (result == NULL)
			return HDMS_OUT_OF_MEMORY;
	}
	json_array_foreach(list, index, element)
	{
		if (!json_is_string(element) || !hdms_is_digest_text(json_string_value(element), json_string_length(element)))
		{
			status = HDMS_BAD_CLAIM;
			break;
		}
		result[index] = hdms_wire_copy(json_string_value(element), HDMS_DIGEST_TEXT);
		if (result[index] == NULL)
		{
			status = HDMS_OUT_OF_MEMORY;
			break;
		}
	}
	if (status != HDMS_OK)
	{
		for (size_t i = 0; i < result_count; i++)
			free(result[i]);
		free(result);
		return status;
	}
	*ids = result;
	*count = result_count;
	return HDMS_OK;
}

HdmsStatus
hdms_wire_ack_parse(const char *json, size_t len, char ***ids, size_t *count, int *wait, int *limit)
{
	json_t	   *object = NULL;
	int64_t		wait_number = 0;
	int64_t		limit_number = 0;
	HdmsStatus	status = hdms_claims_parse(json, len, &object);

	if (status == HDMS_OK)
		status = hdms_wire_integer(object, "wait", INT_MAX, -1, &wait_number);
	if (status == HDMS_OK)
		status = hdms_wire_integer(object, "limit", INT_MAX, 0, &limit_number);
	if (status == HDMS_OK)
		status = read_ids(object, ids, count);
	if (status == HDMS_OK)
	{
		*wait = (int) wait_number;
		*limit = (int) limit_number;
	}
	json_decref(object);
	return status;
}
