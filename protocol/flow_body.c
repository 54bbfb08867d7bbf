/*
 * flow_body.c
 *		The bodies of the messages between nodes.
 *
 * One table says which members each message type has and which of them it must have;
 * another what a member looks like. Members that a type does not have are
 * ignored, so that a later version may add some.
 */
#include <stdlib.h>
#include <string.h>

#include "flow_body.h"
#include "name.h"

#define TEXT_MAX	(1024 * 1024)	/* bytes of one member */
#define WORD_MAX	64
#define DETAIL_MAX	2000
#define LIST_MAX	10000

typedef enum MemberForm
{
	FORM_TEXT, FORM_DIGEST, FORM_UUID, FORM_WORD, FORM_NUMBER, FORM_DETAIL, FORM_NAME, FORM_HISTORY, FORM_READS, FORM_BOOL,
	FORM_UUIDS, FORM_DIGESTS, FORM_COPIES
} MemberForm;

typedef struct Member
{
	const char *name;
	MemberForm	form;
	size_t		offset;			/* in HdmsBody */
	size_t		count;			/* of a list: where its length is */
} Member;

/* Their order is the order of the bits below. */
typedef enum MemberIndex
{
	INVITATION, MAC, HISTORY, MEMBERSHIP, NAME, CONFIRM, CODE, DETAIL, STATE, COMMIT, ACCEPTANCE, REJECTION, REQUEST,
	RECEIPT, PREV_REQUEST, PREV_RECEIPT, SKIP, VK, NOTARY, ACKS, AFTER, NEXT, CHECKPOINT, COSIGNATURES, SIZE, TOMBSTONE, READS,
	WANTED, MISSING, COPIES, MEMBER_COUNT
} MemberIndex;

static const Member members[MEMBER_COUNT] = {
	[INVITATION] = {"invitation", FORM_UUID, offsetof(HdmsBody, invitation), 0},
	[MAC] = {"mac", FORM_DIGEST, offsetof(HdmsBody, mac), 0},
	[HISTORY] = {"history", FORM_HISTORY, offsetof(HdmsBody, history), 0},
	[MEMBERSHIP] = {"membership", FORM_TEXT, offsetof(HdmsBody, membership), 0},
	[NAME] = {"name", FORM_NAME, offsetof(HdmsBody, name), 0},
	[CONFIRM] = {"confirm", FORM_BOOL, offsetof(HdmsBody, confirm), 0},
	[CODE] = {"code", FORM_WORD, offsetof(HdmsBody, code), 0},
	[DETAIL] = {"detail", FORM_DETAIL, offsetof(HdmsBody, detail), 0},
	[STATE] = {"state", FORM_TEXT, offsetof(HdmsBody, state), 0},
	[COMMIT] = {"commit", FORM_TEXT, offsetof(HdmsBody, commit), 0},
	[ACCEPTANCE] = {"acceptance", FORM_TEXT, offsetof(HdmsBody, acceptance), 0},
	[REJECTION] = {"rejection", FORM_TEXT, offsetof(HdmsBody, rejection), 0},
	[REQUEST] = {"request", FORM_TEXT, offsetof(HdmsBody, request), 0},
	[RECEIPT] = {"receipt", FORM_TEXT, offsetof(HdmsBody, receipt), 0},
	[PREV_REQUEST] = {"prev_request", FORM_TEXT, offsetof(HdmsBody, prev_request), 0},
	[PREV_RECEIPT] = {"prev_receipt", FORM_TEXT, offsetof(HdmsBody, prev_receipt), 0},
	[SKIP] = {"skip", FORM_TEXT, offsetof(HdmsBody, skip), 0},
	[VK] = {"vk", FORM_DIGEST, offsetof(HdmsBody, vk), 0},
	[NOTARY] = {"notary", FORM_DIGEST, offsetof(HdmsBody, notary), 0},
	[ACKS] = {"acks", FORM_UUIDS, offsetof(HdmsBody, acks), offsetof(HdmsBody, ack_count)},
	[AFTER] = {"after", FORM_WORD, offsetof(HdmsBody, after), 0},
	[NEXT] = {"next", FORM_WORD, offsetof(HdmsBody, next), 0},
	[CHECKPOINT] = {"checkpoint", FORM_TEXT, offsetof(HdmsBody, checkpoint), 0},
	[COSIGNATURES] = {"cosignatures", FORM_TEXT, offsetof(HdmsBody, cosignatures), 0},
	[SIZE] = {"size", FORM_NUMBER, offsetof(HdmsBody, size), 0},
	[TOMBSTONE] = {"tombstone", FORM_TEXT, offsetof(HdmsBody, tombstone), 0},
	[READS] = {"reads", FORM_READS, offsetof(HdmsBody, reads), 0},
	[WANTED] = {"wanted", FORM_DIGESTS, offsetof(HdmsBody, wanted), offsetof(HdmsBody, wanted_count)},
	[MISSING] = {"missing", FORM_DIGESTS, offsetof(HdmsBody, missing), offsetof(HdmsBody, missing_count)},
	[COPIES] = {"copies", FORM_COPIES, offsetof(HdmsBody, copies), offsetof(HdmsBody, copy_count)},
};

#define BIT(member)	(UINT64_C(1) << (member))

typedef struct MessageType
{
	const char *type;
	uint64_t	required;
	uint64_t	optional;
} MessageType;

static const MessageType message_types[] = {
	{HDMS_MSG_PAIR, BIT(INVITATION) | BIT(MAC) | BIT(HISTORY), 0},
	{HDMS_MSG_PAIRED, BIT(MEMBERSHIP) | BIT(NAME) | BIT(CONFIRM), 0},
	{HDMS_MSG_PAIR_REFUSED, BIT(CODE), BIT(DETAIL)},
	{HDMS_MSG_RECORD, BIT(STATE) | BIT(COMMIT), 0},
	{HDMS_MSG_NOTARISE, BIT(REQUEST), BIT(PREV_REQUEST) | BIT(PREV_RECEIPT)},
	{HDMS_MSG_RECEIPT, BIT(RECEIPT), 0},
	{HDMS_MSG_REFUSED, BIT(CODE), BIT(DETAIL) | BIT(RECEIPT)},
	{HDMS_MSG_SILENT, BIT(VK) | BIT(NOTARY), 0},
	{HDMS_MSG_SKIP, BIT(VK) | BIT(SKIP), 0},
	{HDMS_MSG_ALIVE, BIT(VK) | BIT(NOTARY), 0},
	{HDMS_MSG_PROBE, 0, 0},
	{HDMS_MSG_PROBE_REPLY, 0, 0},
	{HDMS_MSG_ACCEPTED, BIT(VK) | BIT(ACCEPTANCE) | BIT(REQUEST) | BIT(RECEIPT), 0},
	{HDMS_MSG_REJECTED, BIT(VK) | BIT(REJECTION), 0},
	{HDMS_MSG_COMMITTED, BIT(VK), 0},
	{HDMS_MSG_WITHDRAWN, BIT(VK) | BIT(CODE), 0},
	{HDMS_MSG_ACK, BIT(ACKS), 0},
	{HDMS_MSG_WANT, 0, BIT(WANTED) | BIT(AFTER)},
	{HDMS_MSG_COPIES, BIT(COPIES), BIT(MISSING) | BIT(NEXT)},
	{HDMS_MSG_KEYS, BIT(HISTORY), 0},
	{HDMS_MSG_WITNESS, BIT(CHECKPOINT), 0},
	{HDMS_MSG_COSIGNED, 0, BIT(COSIGNATURES) | BIT(CODE) | BIT(SIZE) | BIT(CHECKPOINT)},
	{HDMS_MSG_ERASED, BIT(VK) | BIT(TOMBSTONE), 0},
	{HDMS_MSG_ERASURE, BIT(VK) | BIT(CODE), 0},
	{HDMS_MSG_READS, BIT(READS), 0},
	{HDMS_MSG_UNPAIRED, BIT(CODE), 0},
};

static const MessageType *
find_type(const char *type)
{
	for (size_t i = 0; type != NULL && i < sizeof(message_types) / sizeof(message_types[0]); i++)
	{
		if (strcmp(message_types[i].type, type) == 0)
			return &message_types[i];
	}
	return NULL;
}

static bool
is_word(const char *text, size_t len)
{
	if (len > WORD_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		char		c = text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

static bool
is_number(const char *text, size_t len)
{
	return len <= 18 && strspn(text, "0123456789") == len && (text[0] != '0' || len == 1);
}

/* Whether a string is what the member's form asks for. */
static bool
fits(MemberForm form, const char *text, size_t len)
{
	if (len == 0)
		return form == FORM_DETAIL;
	switch (form)
	{
		case FORM_DIGEST:
			return hdms_is_digest_text(text, len);
		case FORM_UUID:
			return hdms_is_uuid(text, len);
		case FORM_WORD:
			return is_word(text, len);
		case FORM_NUMBER:
			return is_number(text, len);
		case FORM_DETAIL:
			return len <= DETAIL_MAX && hdms_is_utf8(text, len);
		case FORM_NAME:
			return hdms_is_name(text);
		default:
			return len <= TEXT_MAX && hdms_is_utf8(text, len);
	}
}

static char **
text_place(HdmsBody *body, const Member *member)
{
	return (char **) ((char *) body + member->offset);
}

static size_t *
count_place(HdmsBody *body, const Member *member)
{
	return (size_t *) (void *) ((char *) body + member->count);
}

static char ***
list_place(HdmsBody *body, const Member *member)
{
	return (char ***) (void *) ((char *) body + member->offset);
}

/* An array of strings, at least one. */
static bool
is_string_array(const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++)
	{
		if (!json_is_string(json_array_get(array, i)))
			return false;
	}
	return json_array_size(array) > 0;
}

/* An array of objects, of whoever's making: it is shown, nothing depends on it. */
static bool
is_object_array(const json_t *array)
{
	for (size_t i = 0; i < json_array_size(array); i++)
	{
		if (!json_is_object(json_array_get(array, i)))
			return false;
	}
	return json_array_size(array) > 0;
}

static HdmsStatus
read_list(const Member *member, const json_t *array, HdmsBody *body)
{
	size_t		count = json_array_size(array);
	char	  **list;

	if (!is_string_array(array))
		return HDMS_BAD_CLAIM;
	if (count > LIST_MAX)
		return HDMS_TOO_LARGE;
	if ((list = calloc(count, sizeof(*list))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	*list_place(body, member) = list;
	*count_place(body, member) = count;
	for (size_t i = 0; i < count; i++)
	{
		const json_t *item = json_array_get(array, i);

		if (!fits(member->form == FORM_UUIDS ? FORM_UUID : FORM_DIGEST, json_string_value(item), json_string_length(item)))
			return HDMS_BAD_CLAIM;
		if ((list[i] = strdup(json_string_value(item))) == NULL)
			return HDMS_OUT_OF_MEMORY;
	}
	return HDMS_OK;
}

/* The members of a copy, in the order of the struct. */
static const char *const copy_members[] = {"state", "commit", "acceptance", "request", "receipt"};

#define COPY_MEMBERS (sizeof(copy_members) / sizeof(copy_members[0]))

static void
copy_places(HdmsCopy *copy, char **places[COPY_MEMBERS])
{
	places[0] = &copy->state;
	places[1] = &copy->commit;
	places[2] = &copy->acceptance;
	places[3] = &copy->request;
	places[4] = &copy->receipt;
}

static HdmsStatus
read_copy(const json_t *object, HdmsCopy *copy)
{
	char	  **places[COPY_MEMBERS];

	copy_places(copy, places);
	for (size_t i = 0; i < COPY_MEMBERS; i++)
	{
		const json_t *value = json_object_get(object, copy_members[i]);

		if (value == NULL && i > 0)
			continue;
		if (!json_is_string(value) || !fits(FORM_TEXT, json_string_value(value), json_string_length(value)))
			return HDMS_BAD_CLAIM;
		if ((*places[i] = strdup(json_string_value(value))) == NULL)
			return HDMS_OUT_OF_MEMORY;
	}
	return HDMS_OK;
}

/* May be empty: the holder has none of what was wanted. */
static HdmsStatus
read_copies(const json_t *array, HdmsBody *body)
{
	size_t		count = json_array_size(array);
	HdmsStatus	status = HDMS_OK;

	if (!json_is_array(array))
		return HDMS_BAD_CLAIM;
	if (count > LIST_MAX)
		return HDMS_TOO_LARGE;
	if (count > 0 && (body->copies = calloc(count, sizeof(*body->copies))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	body->copy_count = count;
	for (size_t i = 0; i < count && status == HDMS_OK; i++)
		status = read_copy(json_array_get(array, i), &body->copies[i]);
	return status;
}

static HdmsStatus
read_member(const Member *member, const json_t *value, HdmsBody *body)
{
	char	  **place = text_place(body, member);

	switch (member->form)
	{
		case FORM_BOOL:
			if (!json_is_boolean(value))
				return HDMS_BAD_CLAIM;
			*(bool *) (void *) place = json_is_true(value);
			return HDMS_OK;
		case FORM_UUIDS:
		case FORM_DIGESTS:
			return read_list(member, value, body);
		case FORM_COPIES:
			return read_copies(value, body);
		case FORM_HISTORY:
		case FORM_READS:
			if (member->form == FORM_HISTORY ? !is_string_array(value) : !is_object_array(value))
				return HDMS_BAD_CLAIM;
			*place = json_dumps(value, JSON_COMPACT);
			return *place == NULL ? HDMS_OUT_OF_MEMORY : HDMS_OK;
		default:
			if (!json_is_string(value) || !fits(member->form, json_string_value(value), json_string_length(value)))
				return HDMS_BAD_CLAIM;
			*place = strdup(json_string_value(value));
			return *place == NULL ? HDMS_OUT_OF_MEMORY : HDMS_OK;
	}
}

/* A predecessor's request without its receipt, or the reverse, is of no use. */
static bool
has_half_a_predecessor(const HdmsBody *body)
{
	return (body->prev_request == NULL) != (body->prev_receipt == NULL);
}

HdmsStatus
hdms_body_parse(const char *type, const void *json, size_t len, HdmsBody *result)
{
	const MessageType *message = find_type(type);
	HdmsBody	body = {0};
	json_t	   *object = NULL;
	HdmsStatus	status;

	if (message == NULL)
		return HDMS_BAD_TYPE;
	if ((status = hdms_claims_parse(json, len, &object)) != HDMS_OK)
		return status;
	for (int i = 0; i < MEMBER_COUNT && status == HDMS_OK; i++)
	{
		const json_t *value = json_object_get(object, members[i].name);

		if (((message->required | message->optional) & BIT(i)) == 0)
			continue;
		if (value != NULL)
			status = read_member(&members[i], value, &body);
		else if ((message->required & BIT(i)) != 0)
			status = HDMS_BAD_CLAIM;
	}
	if (status == HDMS_OK && has_half_a_predecessor(&body))
		status = HDMS_BAD_CLAIM;
	if (status == HDMS_OK)
		*result = body;
	else
		hdms_body_free(&body);
	json_decref(object);
	return status;
}

static HdmsStatus
write_list(const Member *member, const HdmsBody *body, json_t *object)
{
	size_t		count = *count_place((HdmsBody *) body, member);
	char	  **list = *list_place((HdmsBody *) body, member);
	json_t	   *array = json_array();
	HdmsStatus	status = array == NULL ? HDMS_OUT_OF_MEMORY : count > LIST_MAX ? HDMS_BAD_CLAIM : HDMS_OK;

	for (size_t i = 0; i < count && status == HDMS_OK; i++)
	{
		if (!fits(member->form == FORM_UUIDS ? FORM_UUID : FORM_DIGEST, list[i], strlen(list[i])))
			status = HDMS_BAD_CLAIM;
		else if (json_array_append_new(array, json_string(list[i])) != 0)
			status = HDMS_OUT_OF_MEMORY;
	}
	if (status == HDMS_OK && json_object_set(object, member->name, array) != 0)
		status = HDMS_OUT_OF_MEMORY;
	json_decref(array);
	return status;
}

static HdmsStatus
write_copy(HdmsCopy *copy, json_t *array)
{
	char	  **places[COPY_MEMBERS];
	json_t	   *object = json_pack("{}");
	HdmsStatus	status = object == NULL ? HDMS_OUT_OF_MEMORY : copy->state == NULL ? HDMS_BAD_CLAIM : HDMS_OK;

	copy_places(copy, places);
	for (size_t i = 0; i < COPY_MEMBERS && status == HDMS_OK; i++)
	{
		if (*places[i] == NULL)
			continue;
		if (!fits(FORM_TEXT, *places[i], strlen(*places[i])))
			status = HDMS_BAD_CLAIM;
		else if (json_object_set_new(object, copy_members[i], json_string(*places[i])) != 0)
			status = HDMS_OUT_OF_MEMORY;
	}
	if (status == HDMS_OK && json_array_append(array, object) != 0)
		status = HDMS_OUT_OF_MEMORY;
	json_decref(object);
	return status;
}

static HdmsStatus
write_copies(const HdmsBody *body, json_t *object)
{
	json_t	   *array = json_array();
	HdmsStatus	status = array == NULL ? HDMS_OUT_OF_MEMORY : body->copy_count > LIST_MAX ? HDMS_BAD_CLAIM : HDMS_OK;

	for (size_t i = 0; i < body->copy_count && status == HDMS_OK; i++)
		status = write_copy(&body->copies[i], array);
	if (status == HDMS_OK && json_object_set(object, "copies", array) != 0)
		status = HDMS_OUT_OF_MEMORY;
	json_decref(array);
	return status;
}

static HdmsStatus
write_json(const Member *member, const char *text, json_t *object)
{
	json_t	   *array = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	if (member->form == FORM_HISTORY ? !is_string_array(array) : !is_object_array(array))
	{
		json_decref(array);
		return HDMS_BAD_CLAIM;
	}
	return json_object_set_new(object, member->name, array) == 0 ? HDMS_OK : HDMS_OUT_OF_MEMORY;
}

static bool
is_list(MemberForm form)
{
	return form == FORM_UUIDS || form == FORM_DIGESTS;
}

/* Puts a member where the body has it; HDMS_BAD_CLAIM when it is required and missing, or not what it should be. */
static HdmsStatus
write_member(const Member *member, bool is_required, const HdmsBody *body, json_t *object)
{
	const char *text;

	if (member->form == FORM_BOOL)
		return json_object_set_new(object, member->name, json_boolean(body->confirm)) == 0 ? HDMS_OK : HDMS_OUT_OF_MEMORY;
	if (is_list(member->form))
	{
		if (*count_place((HdmsBody *) body, member) == 0)
			return is_required ? HDMS_BAD_CLAIM : HDMS_OK;
		return write_list(member, body, object);
	}
	if (member->form == FORM_COPIES)
		return write_copies(body, object);
	text = *text_place((HdmsBody *) body, member);
	if (text == NULL)
		return is_required ? HDMS_BAD_CLAIM : HDMS_OK;
	if (member->form == FORM_HISTORY || member->form == FORM_READS)
		return write_json(member, text, object);
	if (!fits(member->form, text, strlen(text)))
		return HDMS_BAD_CLAIM;
	return json_object_set_new(object, member->name, json_string(text)) == 0 ? HDMS_OK : HDMS_OUT_OF_MEMORY;
}

HdmsStatus
hdms_body_print(const char *type, const HdmsBody *body, char **json)
{
	const MessageType *message = find_type(type);
	json_t	   *object;
	HdmsStatus	status = HDMS_OK;

	if (message == NULL)
		return HDMS_BAD_TYPE;
	if (body == NULL || json == NULL)
		return HDMS_BAD_ARGUMENT;
	if ((object = json_pack("{}")) == NULL)
		return HDMS_OUT_OF_MEMORY;
	for (int i = 0; i < MEMBER_COUNT && status == HDMS_OK; i++)
	{
		if (((message->required | message->optional) & BIT(i)) != 0)
			status = write_member(&members[i], (message->required & BIT(i)) != 0, body, object);
	}
	if (status == HDMS_OK && (message->optional & BIT(PREV_REQUEST)) != 0 && has_half_a_predecessor(body))
		status = HDMS_BAD_CLAIM;
	if (status == HDMS_OK)
		status = hdms_claims_print(object, json);
	json_decref(object);
	return status;
}

static void
free_list(const Member *member, HdmsBody *body)
{
	for (size_t i = 0; i < *count_place(body, member); i++)
		free((*list_place(body, member))[i]);
	free(*list_place(body, member));
}

static void
free_copies(HdmsBody *body)
{
	for (size_t i = 0; i < body->copy_count; i++)
	{
		char	  **places[COPY_MEMBERS];

		copy_places(&body->copies[i], places);
		for (size_t j = 0; j < COPY_MEMBERS; j++)
			hdms_string_wipe(*places[j]);
	}
	free(body->copies);
}

void
hdms_body_free(HdmsBody *body)
{
	for (int i = 0; i < MEMBER_COUNT; i++)
	{
		if (is_list(members[i].form))
			free_list(&members[i], body);
		else if (members[i].form == FORM_COPIES)
			free_copies(body);
		else if (members[i].form != FORM_BOOL)
			hdms_string_wipe(*text_place(body, &members[i]));
	}
	memset(body, 0, sizeof(*body));
}
