/*
 * home_records.c
 *		What a person asks of their records: lists, one record, and decisions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "catalogue.h"
#include "engine.h"
#include "flow.h"
#include "home_json.h"
#include "statement.h"

static void
uuid_text(const unsigned char uuid[16], char text[37])
{
	char	   *out = text;

	for (int i = 0; i < 16; i++)
		out += sprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

static json_t *
entry_json(HdmsHome *home, const CatalogueEntry *entry)
{
	const Pairing *pairing = pairing_find(home, entry->pairing);
	char		record[37];
	json_t	   *object;

	uuid_text(entry->record, record);
	object = json_pack("{s:I, s:s, s:i, s:s, s:s, s:I, s:I}",
					   "id", (json_int_t) entry->id, "record", record, "version", (int) entry->number,
					   "status", version_status_word((VersionStatus) entry->status), "type", catalogue_type(home, entry),
					   "received", (json_int_t) (entry->received / 1000), "accept_until", (json_int_t) entry->accept_until);
	if (object == NULL)
		return NULL;
	json_object_set_new(object, "date", entry->date[0] ? json_string(entry->date) : json_null());
	json_object_set_new(object, "label", entry->label ? json_string(entry->label) : json_null());
	json_object_set_new(object, "pairing", json_integer(entry->pairing));
	json_object_set_new(object, "institution", pairing && pairing->name ? json_string(pairing->name) : json_null());
	return object;
}

void
json_list_add(JsonList *list, json_t *entry)
{
	size_t		need = entry ? json_dumpb(entry, NULL, 0, JSON_COMPACT) : 0;

	if (list->len + need + 3 > list->size)
	{
		size_t		size = (list->len + need + 3) * 3 / 2 + 1024;
		char	   *bigger = realloc(list->text, size);

		list->failed = list->failed || bigger == NULL;
		if (bigger != NULL)
		{
			list->text = bigger;
			list->size = size;
		}
	}
	list->failed = list->failed || need == 0;
	if (!list->failed)
	{
		list->text[list->len] = list->len == 0 ? '[' : ',';
		list->len += 1 + json_dumpb(entry, list->text + list->len + 1, need, JSON_COMPACT);
	}
	json_decref(entry);
}

HdmsNodeResult
json_list_result(JsonList *list, char **json, HdmsNodeError *error)
{
	if (list->failed || (list->text == NULL && (list->text = malloc(4)) == NULL))
	{
		free(list->text);
		return node_error(error, HDMS_NODE_FAILED, "out of memory");
	}
	strcpy(list->text + list->len, list->len == 0 ? "[]" : "]");
	*json = list->text;
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_inbox(HdmsHome *home, char **json, HdmsNodeError *error)
{
	JsonList	list = {0};
	size_t		count;
	const CatalogueEntry *entries = catalogue_entries(home, &count);

	for (size_t i = 0; i < count; i++)
		if (entries[i].status == VERSION_ASKED)
			json_list_add(&list, entry_json(home, &entries[i]));
	return json_list_result(&list, json, error);
}

static bool
entry_fits(const HdmsHome *home, const CatalogueEntry *entry, const HdmsRecordQuery *query)
{
	if (query == NULL || !query->every_status)
	{
		if (entry->status != VERSION_FINAL && entry->status != VERSION_NOTARISED)
			return false;
	}
	if (query == NULL)
		return true;
	if (query->type != NULL && strncmp(catalogue_type(home, entry), query->type, strlen(query->type)) != 0)
		return false;
	if (query->text != NULL && (entry->label == NULL || strcasestr(entry->label, query->text) == NULL))
		return false;
	return query->since == NULL || strcmp(entry->date, query->since) >= 0;
}

HdmsNodeResult
hdms_home_records(HdmsHome *home, const HdmsRecordQuery *query, char **json, HdmsNodeError *error)
{
	JsonList	list = {0};
	size_t		count;
	const CatalogueEntry *entries = catalogue_entries(home, &count);

	for (size_t i = count; i-- > 0;)
		if (entry_fits(home, &entries[i], query))
			json_list_add(&list, entry_json(home, &entries[i]));
	return json_list_result(&list, json, error);
}

/* The version of a record that a person means when they name the record. */
static bool
version_in_force(HdmsHome *home, const char *record, bool asked, Version *version, bool *found)
{
	static const VersionStatus order[] = {
		VERSION_FINAL, VERSION_NOTARISED, VERSION_NOTARISING, VERSION_ACCEPTED, VERSION_ASKED, VERSION_RECEIVED,
		VERSION_FAILED, VERSION_REJECTED, VERSION_EXPIRED, VERSION_WITHDRAWN, VERSION_ERASED
	};

	if (asked)
		return version_of_record(home, 0, record, VERSION_ASKED, version, found);
	*found = false;
	for (size_t i = 0; !*found && i < sizeof(order) / sizeof(order[0]); i++)
		if (!version_of_record(home, 0, record, order[i], version, found))
			return false;
	return true;
}

HdmsNodeResult
version_meant(HdmsHome *home, const char *id, bool asked, Version *version, HdmsNodeError *error)
{
	size_t		len = strlen(id);
	char	   *end;
	long long	number;
	bool		found = false;
	bool		good = true;

	errno = 0;
	number = strtoll(id, &end, 10);
	if (hdms_is_uuid(id, len))
		good = version_in_force(home, id, asked, version, &found);
	else if (hdms_is_digest_text(id, len))
		good = version_by_vk(home, 0, id, version, &found);
	else if (len > 0 && *end == '\0' && errno == 0)
		good = version_load(home, number, version, &found);
	else
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "\"%.60s\" is neither a number, a record's UUID nor a verification key", id);
	if (!good)
		return node_error(error, HDMS_NODE_STORAGE, "cannot read: %s", store_error(home->store));
	if (!found)
		return node_error(error, HDMS_NODE_NOT_FOUND, asked ? "nothing called \"%.60s\" waits for a decision" : "there is no record \"%.60s\"", id);
	if (asked && version->status != VERSION_ASKED)
		return node_error(error, HDMS_NODE_REFUSED, "record %s version %lld does not wait for a decision: it is %s", version->record,
						  (long long) version->number, version_status_word(version->status));
	return HDMS_NODE_OK;
}

/* {"id": ..., ..., "content": the bytes}: spliced, so that the content keeps its digits. */
static char *
with_content(json_t *object, const HdmsBytes *content)
{
	char	   *head = json_dumps(object, JSON_COMPACT);
	size_t		len = head ? strlen(head) : 0;
	char	   *text = head ? malloc(len + content->len + 16) : NULL;

	if (text != NULL)
		sprintf(text, "%.*s,\"content\":%s}", (int) (len - 1), head, (char *) content->data);
	free(head);
	return text;
}

/* The content after the rest of an entry; null where the copy was erased. */
static HdmsNodeResult
show_content(HdmsHome *home, const Version *version, json_t *object, char **json, HdmsNodeError *error)
{
	HdmsBytes	state = {0};
	HdmsBytes	content = {0};
	HdmsNodeResult result = HDMS_NODE_OK;

	if (version->status == VERSION_ERASED)
	{
		json_object_set_new(object, "content", json_null());
		*json = json_dumps(object, JSON_COMPACT);
		return *json != NULL ? HDMS_NODE_OK : node_error(error, HDMS_NODE_FAILED, "out of memory");
	}
	if (!part_get(home, version->id, PART_STATE, &state) || state.data == NULL)
		result = node_error(error, HDMS_NODE_STORAGE, "cannot read the record: %s", store_error(home->store));
	else if (hdms_state_content((const char *) state.data, state.len, &content) != HDMS_OK || (*json = with_content(object, &content)) == NULL)
		result = node_error(error, HDMS_NODE_FAILED, "cannot take the record apart");
	hdms_bytes_wipe(&state);
	hdms_bytes_wipe(&content);
	return result;
}

HdmsNodeResult
hdms_home_show(HdmsHome *home, const char *id, char **json, HdmsNodeError *error)
{
	Version		version;
	HdmsBytes	tombstone = {0};
	json_t	   *object = NULL;
	size_t		count;
	char		replaces[37];
	const CatalogueEntry *entries;
	HdmsNodeResult result = version_meant(home, id, false, &version, error);

	if (result != HDMS_NODE_OK)
		return result;
	entries = catalogue_entries(home, &count);
	for (size_t i = count; object == NULL && i-- > 0;)
		if (entries[i].id == version.id)
			object = entry_json(home, &entries[i]);
	if (object == NULL)
		return node_error(error, HDMS_NODE_FAILED, "out of memory");
	json_object_set_new(object, "vk", json_string(version.vk));
	json_object_set_new(object, "replaces", version_replaces(home, version.id, replaces) == HDMS_OK && replaces[0] ? json_string(replaces) : json_null());
	json_object_set_new(object, "notary", version.notary[0] ? json_string(version.notary) : json_null());
	json_object_set_new(object, "problem", version.last_error[0] ? json_string(version.last_error) : json_null());
	if (!part_get(home, version.id, PART_TOMBSTONE, &tombstone))
		result = node_error(error, HDMS_NODE_STORAGE, "cannot read the record: %s", store_error(home->store));
	if (tombstone.data != NULL)
		json_object_set_new(object, "tombstone", json_string((char *) tombstone.data));
	if (result == HDMS_NODE_OK)
		result = show_content(home, &version, object, json, error);
	json_decref(object);
	hdms_bytes_free(&tombstone);
	return result;
}

/* Ends a decision's transaction. */
static HdmsNodeResult
decision_end(HdmsHome *home, Pairing *pairing, HdmsStatus status, HdmsNodeError *error)
{
	if (status == HDMS_OK && store_commit(home->store))
	{
		if (home->engine != NULL)
			engine_wake(home->engine, pairing);
		return HDMS_NODE_OK;
	}
	if (status == HDMS_OK || status == HDMS_BAD_ARGUMENT)
		node_error(error, HDMS_NODE_STORAGE, "cannot write the decision: %s", store_error(home->store));
	else
		node_error(error, HDMS_NODE_REFUSED, "cannot sign the decision: %s", hdms_status_sentence(status));
	store_rollback(home->store);
	catalogue_doubt(home);
	return status == HDMS_OK || status == HDMS_BAD_ARGUMENT ? HDMS_NODE_STORAGE : HDMS_NODE_REFUSED;
}

static HdmsNodeResult
decision_begin(HdmsHome *home, const char *id, Version *version, Pairing **pairing, HdmsNodeError *error)
{
	HdmsNodeResult result = version_meant(home, id, true, version, error);

	if (result != HDMS_NODE_OK)
		return result;
	*pairing = pairing_find(home, version->pairing);
	if (*pairing == NULL)
		return node_error(error, HDMS_NODE_NOT_FOUND, "its pairing is gone");
	if (version->accept_until < home_now(home))
		return node_error(error, HDMS_NODE_REFUSED, "it is too late to decide about record %s", version->record);
	if (!store_begin(home->store))
		return node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_accept(HdmsHome *home, const char *id, HdmsNodeError *error)
{
	Version		version;
	Pairing    *pairing;
	HdmsNodeResult result = decision_begin(home, id, &version, &pairing, error);

	if (result != HDMS_NODE_OK)
		return result;
	return decision_end(home, pairing, flow_accept(pairing, &version, NULL), error);
}

HdmsNodeResult
hdms_home_reject(HdmsHome *home, const char *id, const char *reason, HdmsNodeError *error)
{
	Version		version;
	Pairing    *pairing;
	HdmsNodeResult result;

	if (reason == NULL || reason[0] == '\0' || strlen(reason) > HDMS_REASON_MAX || !hdms_is_utf8(reason, strlen(reason)))
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "a reason is needed, of at most %d bytes of text", HDMS_REASON_MAX);
	result = decision_begin(home, id, &version, &pairing, error);
	if (result != HDMS_NODE_OK)
		return result;
	return decision_end(home, pairing, flow_reject(pairing, &version, reason), error);
}
