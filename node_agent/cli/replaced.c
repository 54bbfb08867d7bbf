/*
 * replaced.c
 *		hdms-node accept --replaced: one decision for everything that continues older records.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "cli.h"

/* Asks a home about the waiting records, or to accept them. The numbers of the answer; false after complaining. */
static bool
replaced_ask(const Invocation *invocation, bool only_count, HdmsHome **home, json_int_t *waiting, json_int_t *accepted)
{
	json_t	   *request = json_pack("{s:s, s:s*, s:b}", "command", "accept_replaced", "institution",
									invocation->argument_count > 0 ? invocation->argument[0] : NULL, "count", only_count);
	char	   *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	char	   *line = NULL;
	char	   *answer = NULL;
	json_t	   *parsed = NULL;
	const json_t *result;
	bool		good = false;

	json_decref(request);
	if (text != NULL && asprintf(&line, "%s\n", text) > 0)
		answer = answer_get(invocation, line, home);
	if (answer != NULL)
	{
		parsed = json_loads(answer, 0, NULL);
		result = json_object_get(parsed, "result");
		good = json_is_true(json_object_get(parsed, "ok"));
		*waiting = json_integer_value(json_object_get(result, "waiting"));
		*accepted = json_integer_value(json_object_get(result, "accepted"));
		if (!good)
			complain("%s", json_is_string(json_object_get(parsed, "error")) ? json_string_value(json_object_get(parsed, "error")) :
					 "the service's answer is not understood");
	}
	json_decref(parsed);
	free(text);
	free(line);
	free(answer);
	return good;
}

static bool
person_agrees(json_int_t waiting)
{
	char		answer[8] = "";

	printf("%lld records continue older ones that a device of yours had, which is lost. Accept them all? [y/N] ", (long long) waiting);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

int
command_accept_replaced(const Invocation *invocation)
{
	HdmsHome   *home = NULL;
	json_int_t	waiting = 0;
	json_int_t	accepted = 0;
	bool		good = replaced_ask(invocation, true, &home, &waiting, &accepted);

	if (good && waiting > 0 && !invocation->json && isatty(STDIN_FILENO) && !person_agrees(waiting))
	{
		complain("nothing was accepted");
		good = false;
	}
	else if (good && waiting > 0)
		good = replaced_ask(invocation, false, &home, &waiting, &accepted);
	if (good && invocation->json)
		printf("{\"waiting\":%lld,\"accepted\":%lld}\n", (long long) waiting, (long long) accepted);
	else if (good)
		printf("%lld of %lld records that continue older ones are accepted.\n", (long long) accepted, (long long) waiting);
	hdms_home_close(home);
	return good ? EXIT_DONE : EXIT_REFUSED;
}
