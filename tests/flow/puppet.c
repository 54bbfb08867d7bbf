/*
 * puppet.c
 *		A node on strings: reads commands, answers each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "puppet.h"

Puppet		puppet;

typedef struct Command
{
	const char *name;
	json_t	   *(*run) (const json_t *command);
} Command;

static const Command commands[] = {
	{"pair", command_pair}, {"join", command_join}, {"put", command_put}, {"fetch", command_fetch}, {"ack", command_ack},
	{"seal", command_seal}, {"pair_body", command_pair_body}, {"accept", command_accept}, {"reject", command_reject},
	{"state", command_state}, {"receipt", command_receipt}, {"check_receipt", command_check_receipt},
	{"voucher", command_voucher}, {"skip", command_skip}, {"history", command_history}, {"invite", command_invite},
	{"rotate", command_rotate}, {"switch", command_switch}, {"steal", command_steal}, {"forget", command_forget},
	{"checkpoint", command_checkpoint}, {"cosign", command_cosign},
};

json_t *
answer_error(const char *word)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", word);
}

json_t *
answer_status(HdmsStatus status, json_t *members)
{
	if (status == HDMS_OK && members != NULL)
	{
		json_object_set_new(members, "ok", json_true());
		return members;
	}
	json_decref(members);
	return answer_error(hdms_status_word(status == HDMS_OK ? HDMS_OUT_OF_MEMORY : status));
}

const char *
text_of(const json_t *command, const char *name)
{
	return json_string_value(json_object_get(command, name));
}

int64_t
number_of(const json_t *command, const char *name, int64_t if_absent)
{
	const json_t *value = json_object_get(command, name);

	return json_is_integer(value) ? json_integer_value(value) : if_absent;
}

static json_t *
obey(const json_t *command)
{
	const char *name = text_of(command, "do");

	for (size_t i = 0; name != NULL && i < sizeof(commands) / sizeof(commands[0]); i++)
	{
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(command);
	}
	return answer_error("unknown-command");
}

int
main(void)
{
	char	   *line = NULL;
	size_t		size = 0;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	while (getline(&line, &size, stdin) > 0)
	{
		json_t	   *command = json_loads(line, 0, NULL);
		json_t	   *answer = command == NULL ? answer_error("bad-json") : obey(command);

		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		json_decref(answer);
		json_decref(command);
	}
	free(line);
	return 0;
}
