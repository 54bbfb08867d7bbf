/*
 * fn_content.c
 *		What EMRs hand in as content: checked, typed and digested before anything is written.
 *
 * The messages say which limit was exceeded and where, as a byte offset; they never
 * quote the content, because errors end up in logs.
 */
#include "postgres.h"

#include <stdlib.h>

#include "fn_content.h"
#include "json_scan.h"

/* Says what the scanner found wrong. offset: of the first fault. */
static void
describe_fault(HdmsStatus status, size_t len, size_t offset, ContentProblem *problem)
{
	switch (status)
	{
		case HDMS_TOO_LARGE:
			problem->sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			if (len > HDMS_CONTENT_MAX)
			{
				problem->message = "content is too large";
				problem->detail = psprintf("It has %zu bytes, at most %d fit into an envelope.", len, HDMS_CONTENT_MAX);
				problem->hint = "Keep large attachments elsewhere and refer to them by URL and digest.";
			}
			else
			{
				problem->message = "content is nested too deeply";
				problem->detail = psprintf("It has more than %d levels at byte %zu.", HDMS_JSON_MAX_DEPTH, offset);
			}
			break;
		case HDMS_BAD_ENCODING:
			problem->sqlstate = ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
			problem->message = "content is not UTF-8";
			problem->detail = psprintf("The first fault is at byte %zu.", offset);
			break;
		case HDMS_BAD_JSON:
			problem->sqlstate = ERRCODE_INVALID_JSON_TEXT;
			problem->message = "content is not strict JSON";
			problem->detail = psprintf("The first fault is at byte %zu.", offset);
			problem->hint = "Names must not occur twice in one object, and surrogate escapes must come in pairs.";
			break;
		default:
			problem->sqlstate = ERRCODE_INTERNAL_ERROR;
			problem->message = "content could not be checked";
			problem->detail = psprintf("%s.", hdms_status_sentence(status));
			break;
	}
}

/* What hdms_content_check() refuses in a document that is good JSON. */
static void
describe_refusal(HdmsStatus status, ContentProblem *problem)
{
	problem->sqlstate = ERRCODE_INVALID_PARAMETER_VALUE;
	switch (status)
	{
		case HDMS_BAD_FORMAT:
			problem->message = "content is not a JSON object";
			break;
		case HDMS_RESERVED_MEMBER:
			problem->message = "content has a reserved member";
			problem->detail = pstrdup("Members named \"_sd\", \"_sd_alg\" or \"...\" are reserved at any depth (RFC 9901).");
			break;
		case HDMS_TOO_LARGE:
			problem->sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			problem->message = "content has too many members";
			problem->detail = psprintf("At most %d members at the top level, fewer in large content, fit into an envelope.",
									   HDMS_CONTENT_MAX_MEMBERS);
			break;
		default:
			problem->sqlstate = ERRCODE_INTERNAL_ERROR;
			problem->message = "content could not be checked";
			problem->detail = psprintf("%s.", hdms_status_sentence(status));
			break;
	}
}

bool
content_prepare(const char *data, size_t len, Content *content, ContentProblem *problem)
{
	HdmsBytes	compact = {0};
	HdmsJsonKind kind;
	HdmsStatus	status;
	size_t		offset = 0;

	memset(problem, 0, sizeof(*problem));
	content->data = data;
	content->len = len;

	/* The check that knows the place comes second: good content, the common case, is scanned once less. */
	status = hdms_content_check(data, len);
	if (status != HDMS_OK)
	{
		HdmsStatus	fault = hdms_json_check(data, len, HDMS_CONTENT_MAX, &kind, &offset);

		if (fault != HDMS_OK)
			describe_fault(fault, len, offset, problem);
		else
			describe_refusal(status, problem);
		return false;
	}

	status = hdms_content_type(data, len, content->type);
	if (status == HDMS_OK)
		status = hdms_json_compact(data, len, &compact);
	if (status == HDMS_OK)
		status = hdms_sha256(compact.data, compact.len, content->digest);
	hdms_bytes_wipe(&compact);
	if (status != HDMS_OK)
	{
		describe_fault(status, len, 0, problem);
		return false;
	}
	return true;
}

void
content_refuse(const ContentProblem *problem)
{
	ereport(ERROR,
			(errcode(problem->sqlstate),
			 errmsg("%s", problem->message),
			 problem->detail != NULL ? errdetail("%s", problem->detail) : 0,
			 problem->hint != NULL ? errhint("%s", problem->hint) : 0));
}
