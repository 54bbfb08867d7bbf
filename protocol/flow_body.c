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
#define ACKS_MAX	10000

typedef enum MemberForm
{
	FORM_TEXT, FORM_DIGEST, FORM_UUID, FORM_WORD, FORM_DETAIL, FORM_NAME, FORM_HISTORY, FORM_BOOL, FORM_ACKS
} MemberForm;

typedef struct Member
{
	const char *name;
	MemberForm	form;
	size_t		offset;			/* in HdmsBody */
} Member;

/* Their order is the order of the bits below. */
typedef enum MemberIndex
{
	INVITATION, MAC, HISTORY, MEMBERSHIP, NAME, CONFIRM, CODE, DETAIL, STATE, COMMIT, ACCEPTANCE, REJECTION, REQUEST,
	RECEIPT, PREV_REQUEST, PREV_RECEIPT, SKIP, VK, NOTARY, ACKS, MEMBER_COUNT
} MemberIndex;

static const Member members[MEMBER_COUNT] = {
	[INVITATION] = {"invitation", FORM_UUID, offsetof(HdmsBody, invitation)},
	[MAC] = {"mac", FORM_DIGEST, offsetof(HdmsBody, mac)},
	[HISTORY] = {"history", FORM_HISTORY, offsetof(HdmsBody, history)},
	[MEMBERSHIP] = {"membership", FORM_TEXT, offsetof(HdmsBody, membership)},
	[NAME] = {"name", FORM_NAME, offsetof(HdmsBody, name)},
	[CONFIRM] = {"confirm", FORM_BOOL, offsetof(HdmsBody, confirm)},
	[CODE] = {"code", FORM_WORD, offsetof(HdmsBody, code)},
	[DETAIL] = {"detail", FORM_DETAIL, offsetof(HdmsBody, detail)},
	[STATE] = {"state", FORM_TEXT, offsetof(HdmsBody, state)},
	[COMMIT] = {"commit", FORM_TEXT, offsetof(HdmsBody, commit)},
	[ACCEPTANCE] = {"acceptance", FORM_TEXT, offsetof(HdmsBody, acceptance)},
	[REJECTION] = {"rejection", FORM_TEXT, offsetof(HdmsBody, rejection)},
	[REQUEST] = {"request", FORM_TEXT, offsetof(HdmsBody, request)},
	[RECEIPT] = {"receipt", FORM_TEXT, offsetof(HdmsBody, receipt)},
	[PREV_REQUEST] = {"prev_request", FORM_TEXT, offsetof(HdmsBody, prev_request)},
	[PREV_RECEIPT] = {"prev_receipt", FORM_TEXT, offsetof(HdmsBody, prev_receipt)},
	[SKIP] = {"skip", FORM_TEXT, offsetof(HdmsBody, skip)},
	[VK] = {"vk", FORM_DIGEST, offsetof(HdmsBody, vk)},
	[NOTARY] = {"notary", FORM_DIGEST, offsetof(HdmsBody, notary)},
	[ACKS] = {"acks", FORM_ACKS, offsetof(HdmsBody, acks)},
};

#define BIT(member)	(UINT32_C(1) << (member))

typedef struct MessageType
{
	const char *type;
	uint32_t	required;
	uint32_t	optional;
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

/* An array of strings, at least one; each a UUID where is_uuids says so. */
static bool
is_string_array(const json_t *array, bool is_uuids)
{
	for (size_t i = 0; i < json_array_size(array); i++)
	{
		const json_t *item = json_array_get(array, i);

		if (!json_is_string(item)
			|| (is_uuids && !hdms_is_uuid(json_string_value(item), json_string_length(item))))
			return false;
	}
	return json_array_size(array) > 0;
}

static HdmsStatus
read_acks(const json_t *array, HdmsBody *body)
{
	size_t		count = json_array_size(array);

	if (!is_string_array(array, true))
		return HDMS_BAD_CLAIM;
	if (count > ACKS_MAX)
		return HDMS_TOO_LARGE;
	if ((body->acks = calloc(count, sizeof(*body->acks))) == NULL)
		return HDMS_OUT_OF_MEMORY;
	body->ack_count = count;
	for (size_t i = 0; i < count; i++)
	{
		if ((body->acks[i] = strdup(json_string_value(json_array_get(array, i)))) == NULL)
			return HDMS_OUT_OF_MEMORY;
	}
	return HDMS_OK;
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
		case FORM_ACKS:
			return read_acks(value, body);
		case FORM_HISTORY:
			if (!is_string_array(value, false))
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
write_acks(json_t *object, const HdmsBody *body)
{
	json_t	   *array = json_array();

	if (array == NULL)
		return HDMS_OUT_OF_MEMORY;
	for (size_t i = 0; i < body->ack_count; i++)
	{
		if (json_array_append_new(array, json_string(body->acks[i])) != 0)
		{
			json_decref(array);
			return HDMS_OUT_OF_MEMORY;
		}
	}
	if (body->ack_count > ACKS_MAX || !is_string_array(array, true))
	{
		json_decref(array);
		return HDMS_BAD_CLAIM;
	}
	return json_object_set_new(object, "acks", array) == 0 ? HDMS_OK : HDMS_OUT_OF_MEMORY;
}

static HdmsStatus
write_history(json_t *object, const char *name, const char *text)
{
	json_t	   *array = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_array(array) || !is_string_array(array, false))
	{
		json_decref(array);
		return HDMS_BAD_CLAIM;
	}
	return json_object_set_new(object, name, array) == 0 ? HDMS_OK : HDMS_OUT_OF_MEMORY;
}

/* Puts a member where the body has it; HDMS_BAD_CLAIM when it is required and missing, or not what it should be. */
static HdmsStatus
write_member(const Member *member, bool is_required, const HdmsBody *body, json_t *object)
{
	const char *text;

	if (member->form == FORM_BOOL)
		return json_object_set_new(object, member->name, json_boolean(body->confirm)) == 0 ? HDMS_OK : HDMS_OUT_OF_MEMORY;
	if (member->form == FORM_ACKS)
		return write_acks(object, body);
	text = *text_place((HdmsBody *) body, member);
	if (text == NULL)
		return is_required ? HDMS_BAD_CLAIM : HDMS_OK;
	if (member->form == FORM_HISTORY)
		return write_history(object, member->name, text);
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

void
hdms_body_free(HdmsBody *body)
{
	for (int i = 0; i < MEMBER_COUNT; i++)
	{
		if (members[i].form != FORM_BOOL && members[i].form != FORM_ACKS)
			hdms_string_wipe(*text_place(body, &members[i]));
	}
	for (size_t i = 0; i < body->ack_count; i++)
		free(body->acks[i]);
	free(body->acks);
	memset(body, 0, sizeof(*body));
}
