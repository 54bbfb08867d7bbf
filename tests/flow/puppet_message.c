/*
 * puppet_message.c
 *		Sealing messages, also false ones, and opening what came.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "puppet.h"

static void
copy_text(const json_t *command, const char *name, char *out, size_t size)
{
	if (text_of(command, name) != NULL)
		snprintf(out, size, "%s", text_of(command, name));
}

/*
 * {"to", "type", "body"[, "re", "jti", "iss", "aud", "iat", "exp", "seal_to", "strange_key"]}: {"envelope", "id", "jti"}.
 * The head says what it is told to say. seal_to: another node, whose key it is sealed to. strange_key: signed by a key
 * that belongs to nobody. body: an object, or a text that is sent as it is.
 */
json_t *
command_seal(const json_t *command)
{
	HdmsMessageHead head = {0};
	const json_t *given = json_object_get(command, "body");
	char	   *body = json_is_string(given) ? strdup(json_string_value(given)) : json_dumps(given, JSON_COMPACT);
	const char *seal_to = text_of(command, "seal_to");
	const HdmsHistory *receiver;
	HdmsKey    *stranger = NULL;
	char	   *envelope = NULL;
	json_t	   *members = NULL;
	char		id[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status;

	if (text_of(command, "to") == NULL || text_of(command, "type") == NULL || body == NULL)
	{
		free(body);
		return answer_error("bad-argument");
	}
	head.iat = number_of(command, "iat", time(NULL));
	head.exp = number_of(command, "exp", head.iat + 86400);
	snprintf(head.iss, sizeof(head.iss), "%s", puppet.id);
	copy_text(command, "to", head.aud, sizeof(head.aud));
	copy_text(command, "iss", head.iss, sizeof(head.iss));
	copy_text(command, "aud", head.aud, sizeof(head.aud));
	copy_text(command, "type", head.type, sizeof(head.type));
	copy_text(command, "re", head.re, sizeof(head.re));
	status = hdms_uuid7((int64_t) time(NULL) * 1000, head.jti);
	copy_text(command, "jti", head.jti, sizeof(head.jti));
	receiver = node_history(seal_to == NULL ? text_of(command, "to") : seal_to);
	if (receiver == NULL)
		status = HDMS_UNKNOWN_KEY;
	if (status == HDMS_OK && json_is_true(json_object_get(command, "strange_key")))
		status = hdms_key_generate(HDMS_KEY_P256, 0, &stranger);
	if (status == HDMS_OK)
		status = hdms_message_seal(&head, body, strlen(body), stranger == NULL ? puppet.sign : stranger,
								   hdms_history_current(receiver, HDMS_ROLE_ENCRYPT), &envelope);
	if (status == HDMS_OK)
		status = hdms_envelope_id(envelope, strlen(envelope), id);
	if (status == HDMS_OK)
		members = json_pack("{s:s, s:s, s:s}", "envelope", envelope, "id", id, "jti", head.jti);
	hdms_key_free(stranger);
	free(envelope);
	free(body);
	return answer_status(status, members);
}

/* {"id", "envelope", "verified"} and, where it could be opened, "type", "iss", "jti", "re", "body". */
json_t *
open_parcel(const HdmsParcel *parcel)
{
	json_t	   *result = json_pack("{s:s, s:s#}", "id", parcel->id, "envelope", parcel->data, parcel->len);
	HdmsMessage message = {0};
	const HdmsHistory *sender;

	if (hdms_message_open(parcel->data, parcel->len, puppet.encrypt, puppet.id, time(NULL), &message) != HDMS_OK)
		return result;
	sender = node_history(message.head.iss);
	json_object_set_new(result, "verified",
						json_boolean(sender != NULL
									 && hdms_message_verify(&message, hdms_history_current(sender, HDMS_ROLE_SIGN)) == HDMS_OK));
	json_object_set_new(result, "type", json_string(message.head.type));
	json_object_set_new(result, "iss", json_string(message.head.iss));
	json_object_set_new(result, "jti", json_string(message.head.jti));
	json_object_set_new(result, "re", json_string(message.head.re));
	json_object_set_new(result, "body", json_loadb((char *) message.body.data, message.body.len, 0, NULL));
	hdms_message_free(&message);
	return result;
}
