/*
 * puppet_rotate.c
 *		A puppet that replaces its signing and encryption keys.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "puppet.h"

static HdmsKey *next_sign;
static HdmsKey *next_encrypt;
static char *next_history;

/* {}: {"history"}: what it would be with other keys, signed with the present ones. Nothing is changed; another call gives a rival. */
json_t *
command_rotate(const json_t *command)
{
	HdmsNodeKeys keys = {{NULL}, NULL};
	HdmsStatus	status;

	(void) command;
	hdms_key_free(next_sign);
	hdms_key_free(next_encrypt);
	free(next_history);
	next_sign = next_encrypt = NULL;
	next_history = NULL;
	if ((status = hdms_key_generate(HDMS_KEY_P256, 0, &next_sign)) != HDMS_OK ||
		(status = hdms_key_generate(HDMS_KEY_P256, 0, &next_encrypt)) != HDMS_OK)
		return answer_status(status, NULL);
	for (int role = 0; role < HDMS_ROLE_COUNT; role++)
		keys.role[role] = hdms_history_current(puppet.history, role);
	keys.role[HDMS_ROLE_SIGN] = next_sign;
	keys.role[HDMS_ROLE_ENCRYPT] = next_encrypt;
	status = hdms_history_extend(puppet.history, &keys, puppet.sign, NULL, 0, time(NULL), &next_history);
	return answer_status(status, status == HDMS_OK ? json_pack("{s:s}", "history", next_history) : NULL);
}

/* {}: the keys of the last "rotate" are the puppet's, and registered. */
json_t *
command_switch(const json_t *command)
{
	HdmsHistory *history = NULL;

	(void) command;
	if (next_history == NULL || hdms_history_parse(next_history, strlen(next_history), &history) != HDMS_OK)
		return answer_error("bad-argument");
	hdms_history_free(puppet.history);
	hdms_key_free(puppet.sign);
	hdms_key_free(puppet.encrypt);
	puppet.history = history;
	puppet.sign = next_sign;
	puppet.encrypt = next_encrypt;
	next_sign = next_encrypt = NULL;
	return register_node(NULL);
}
