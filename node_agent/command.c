/*
 * command.c
 *		The commands, from a line of JSON to a line of JSON: the same for the service and for a command line without it.
 */
#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "control.h"
#include "pairing_row.h"

/* {"ok": true, "result": result}; result is JSON and stays as it is. */
static char *
answer_good(const char *result)
{
	size_t		size = strlen(result) + 32;
	char	   *answer = malloc(size);

	if (answer != NULL)
		snprintf(answer, size, "{\"ok\":true,\"result\":%s}\n", result);
	return answer;
}

/* {"ok": false, ...}, with the result where a failed check has one. */
static char *
answer_bad(const HdmsNodeError *error, const char *result)
{
	char	   *message = NULL;
	char	   *answer = NULL;
	json_t	   *text = json_string(error->message);
	size_t		size;

	if (text == NULL)
		text = json_string("failed");
	message = json_dumps(text, JSON_ENCODE_ANY);
	json_decref(text);
	if (message == NULL)
		return NULL;
	size = strlen(message) + (result ? strlen(result) : 4) + 80;
	answer = malloc(size);
	if (answer != NULL)
		snprintf(answer, size, "{\"ok\":false,\"code\":%d,\"error\":%s,\"result\":%s}\n", (int) error->result, message, result ? result : "null");
	free(message);
	return answer;
}

static const char *
argument(const json_t *request, const char *name)
{
	return json_string_value(json_object_get(request, name));
}

static HdmsNodeResult
command_policy(HdmsHome *home, const json_t *request, char **result, HdmsNodeError *error)
{
	const char *institution = argument(request, "institution");
	const char *policy = argument(request, "policy");

	if (institution != NULL && policy != NULL)
	{
		if (strcmp(policy, "keep") == 0 || strcmp(policy, "erase") == 0)
		{
			if (hdms_home_set_erasures(home, institution, strcmp(policy, "erase") == 0, error) != HDMS_NODE_OK)
				return error->result;
			return hdms_home_pairings(home, result, error);
		}
		if (strcmp(policy, "ask") != 0 && strcmp(policy, "accept") != 0)
			return node_error(error, HDMS_NODE_BAD_ARGUMENT, "a policy is \"ask\" or \"accept\", for erasures \"keep\" or \"erase\"");
		if (hdms_home_set_policy(home, institution, strcmp(policy, "accept") == 0, error) != HDMS_NODE_OK)
			return error->result;
	}
	return hdms_home_pairings(home, result, error);
}

static HdmsNodeResult
command_records(HdmsHome *home, const json_t *request, char **result, HdmsNodeError *error)
{
	HdmsRecordQuery query = {.type = argument(request, "type"), .text = argument(request, "text"), .since = argument(request, "since"),
	.every_status = json_is_true(json_object_get(request, "all"))};

	return hdms_home_records(home, &query, result, error);
}

static HdmsNodeResult
command_retry(HdmsHome *home, char **result, HdmsNodeError *error)
{
	int64_t		count;
	char		text[48];

	if (hdms_home_retry(home, &count, error) != HDMS_NODE_OK)
		return error->result;
	snprintf(text, sizeof(text), "{\"retried\":%lld}", (long long) count);
	*result = strdup(text);
	return HDMS_NODE_OK;
}

static HdmsNodeResult
decided(HdmsNodeResult ended, char **result)
{
	if (ended == HDMS_NODE_OK)
		*result = strdup("null");
	return ended;
}

static HdmsNodeResult
command_with_id(HdmsHome *home, const char *command, const json_t *request, char **result, HdmsNodeError *error)
{
	const char *id = argument(request, "id");

	if (id == NULL)
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "the command needs an id");
	if (strcmp(command, "accept") == 0)
		return decided(hdms_home_accept(home, id, error), result);
	if (strcmp(command, "reject") == 0)
		return decided(hdms_home_reject(home, id, argument(request, "reason"), error), result);
	if (strcmp(command, "erase") == 0)
		return decided(hdms_home_erase(home, id, error), result);
	if (strcmp(command, "show") == 0)
		return hdms_home_show(home, id, result, error);
	if (strcmp(command, "verify") == 0)
		return hdms_home_verify(home, id, result, error);
	if (strcmp(command, "export") == 0)
		return hdms_home_export(home, id, result, error);
	return node_error(error, HDMS_NODE_BAD_ARGUMENT, "unknown command");
}

static HdmsNodeResult
command_pair(HdmsHome *home, const json_t *request, char **result, int64_t *waits, HdmsNodeError *error)
{
	const char *uri = argument(request, "uri");
	int64_t		pairing;
	HdmsNodeResult ended;

	if (uri == NULL)
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "the command needs a pairing code");
	ended = hdms_home_pair(home, uri, &pairing, error);
	if (ended != HDMS_NODE_OK)
		return ended;
	*result = command_pairing_ended(home, pairing, false);
	if (*result == NULL)
		*waits = pairing;
	return HDMS_NODE_OK;
}

char *
command_pairing_ended(HdmsHome *home, int64_t id, bool timed_out)
{
	const Pairing *pairing = pairing_find(home, id);
	HdmsNodeError error = {.result = HDMS_NODE_NETWORK};
	char	   *result = NULL;
	char	   *answer;

	if (pairing == NULL || (pairing->status != PAIRING_PAIRED && pairing->status != PAIRING_REFUSED && !timed_out))
		return NULL;
	if (hdms_home_pairing(home, id, &result, &error) != HDMS_NODE_OK)
		return answer_bad(&error, NULL);
	if (pairing->status == PAIRING_PAIRED)
		answer = answer_good(result);
	else
	{
		if (pairing->status == PAIRING_REFUSED)
			node_error(&error, HDMS_NODE_REFUSED, "pairing failed: %s", pairing->problem);
		else if (pairing->unreachable[0] != '\0')
			node_error(&error, HDMS_NODE_NETWORK, "the server cannot be talked to: %s (pairing is %s; it goes on when the service runs)",
					   pairing->unreachable, pairing_status_word(pairing->status));
		else
			node_error(&error, HDMS_NODE_NETWORK, "the institution has not answered yet (pairing is %s); it goes on when the service runs",
					   pairing_status_word(pairing->status));
		answer = answer_bad(&error, result);
	}
	free(result);
	return answer;
}

void
command_run(HdmsHome *home, const char *line, size_t len, char **answer, int64_t *waits)
{
	json_t	   *request = NULL;
	HdmsNodeError error = {.result = HDMS_NODE_FAILED, .message = "failed"};
	const char *command = NULL;
	char	   *result = NULL;
	HdmsNodeResult ended;

	*waits = 0;
	*answer = NULL;
	if (hdms_claims_parse(line, len, &request) == HDMS_OK)
		command = argument(request, "command");
	if (command == NULL)
		ended = node_error(&error, HDMS_NODE_BAD_ARGUMENT, "the request is not understood");
	else if (strcmp(command, "pair") == 0)
	{
		ended = command_pair(home, request, &result, waits, &error);
		if (ended == HDMS_NODE_OK)
		{
			*answer = result;
			json_decref(request);
			return;
		}
	}
	else if (strcmp(command, "inbox") == 0)
		ended = hdms_home_inbox(home, &result, &error);
	else if (strcmp(command, "records") == 0)
		ended = command_records(home, request, &result, &error);
	else if (strcmp(command, "reads") == 0)
		ended = hdms_home_reads(home, argument(request, "id"), &result, &error);
	else if (strcmp(command, "policy") == 0)
		ended = command_policy(home, request, &result, &error);
	else if (strcmp(command, "accept_replaced") == 0)
		ended = hdms_home_accept_replaced(home, argument(request, "institution"), json_is_true(json_object_get(request, "count")), &result, &error);
	else if (strcmp(command, "rotate") == 0)
		ended = hdms_home_rotate(home, argument(request, "id"), &result, &error);
	else if (strcmp(command, "retry") == 0)
		ended = command_retry(home, &result, &error);
	else if (strcmp(command, "verify") == 0 && json_is_true(json_object_get(request, "all")))
		ended = hdms_home_verify_all(home, &result, &error);
	else if (strcmp(command, "repair") == 0)
		ended = hdms_home_repair(home, argument(request, "id"), &result, &error);
	else if (strcmp(command, "status") == 0)
		ended = hdms_home_status(home, &result, &error);
	else
		ended = command_with_id(home, command, request, &result, &error);
	if (ended == HDMS_NODE_OK && result != NULL)
		*answer = answer_good(result);
	else
		*answer = answer_bad(&error, result);
	free(result);
	json_decref(request);
}
