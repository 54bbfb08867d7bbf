/*
 * export_all.c
 *		"export --all --out DIR": the evidence of every record, a file each, named by the record's id.
 *
 * Asks for the list and then for one record after the other, so that neither side ever holds more than one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "json_scan.h"

/* The "result" of an answer, borrowed from it; complains where it is an error. */
static bool
answer_result(const char *answer, HdmsSpan *result)
{
	HdmsJsonItem item;
	HdmsBytes	message = {0};

	if (hdms_json_member(answer, strlen(answer), "ok", &item) == HDMS_OK && item.kind == HDMS_JSON_TRUE &&
		hdms_json_member(answer, strlen(answer), "result", &item) == HDMS_OK)
	{
		*result = item.value;
		return true;
	}
	if (hdms_json_member(answer, strlen(answer), "error", &item) == HDMS_OK && hdms_json_unescape(item.value, &message) == HDMS_OK)
		complain("%s", (char *) message.data);
	else
		complain("the service's answer is not understood");
	hdms_bytes_free(&message);
	return false;
}

static bool
export_one(const Invocation *invocation, const char *record, HdmsHome **home)
{
	char		line[128];
	char	   *path = NULL;
	char	   *answer;
	HdmsSpan	evidence;
	bool		written = false;

	snprintf(line, sizeof(line), "{\"command\":\"export\",\"id\":\"%s\"}\n", record);
	answer = answer_get(invocation, line, home);
	if (answer != NULL && answer_result(answer, &evidence) && asprintf(&path, "%s/%s.json", invocation->out, record) > 0)
		written = file_write(path, evidence.data, evidence.len);
	free(path);
	free(answer);
	return written;
}

/* Whether a listed version has evidence: the newest of each record. */
static bool
is_exportable(const json_t *list, size_t at)
{
	const json_t *entry = json_array_get(list, at);
	const char *status = json_string_value(json_object_get(entry, "status"));
	const char *record = json_string_value(json_object_get(entry, "record"));

	return record != NULL && status != NULL && (strcmp(status, "final") == 0 || strcmp(status, "notarised") == 0);
}

int
command_export_all(const Invocation *invocation)
{
	HdmsHome   *home = NULL;
	char	   *answer = answer_get(invocation, "{\"command\":\"records\"}\n", &home);
	json_t	   *list = NULL;
	HdmsSpan	result;
	int			status = EXIT_REFUSED;
	size_t		written = 0;

	if (answer == NULL || !answer_result(answer, &result))
		goto cleanup;
	list = json_loadb(result.data, result.len, 0, NULL);
	if (!json_is_array(list))
	{
		complain("the service's answer is not understood");
		goto cleanup;
	}
	if (mkdir(invocation->out, 0700) != 0 && errno != EEXIST)
	{
		complain("cannot make \"%s\": %s", invocation->out, strerror(errno));
		goto cleanup;
	}
	for (size_t i = 0; i < json_array_size(list); i++)
	{
		if (!is_exportable(list, i))
			continue;
		if (!export_one(invocation, json_string_value(json_object_get(json_array_get(list, i), "record")), &home))
			goto cleanup;
		written++;
	}
	printf(invocation->json ? "{\"exported\":%zu}\n" : "%zu evidence files written\n", written);
	status = EXIT_DONE;

cleanup:
	json_decref(list);
	free(answer);
	hdms_home_close(home);
	return status;
}
