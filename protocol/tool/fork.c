/*
 * fork.c
 *		hdms-tool fork: checking evidence that a node's log says two things.
 *
 * The file is all that is needed: the node's history is certified by the node's id, and the two
 * contradicting statements by that history.
 */
#include "fork.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

static const char usage[] =
"  hdms-tool fork verify FILE\n";

static bool
write_findings(const HdmsFork *fork)
{
	char		text[2][HDMS_DIGEST_TEXT + 1];
	char		tag[HDMS_DIGEST_TEXT + 1];
	char		lines[640];

	if (fork->kind == HDMS_FORK_CHECKPOINTS)
	{
		for (int i = 0; i < 2; i++)
			hdms_base64url_write(fork->roots[i], sizeof(HdmsHash), text[i]);
		snprintf(lines, sizeof(lines), "node %s\norigin %s\nsize %" PRIu64 "\nroot %s\nroot %s\n"
				 "This node signed two different trees of one size.", fork->node, fork->origin, fork->size, text[0], text[1]);
		return tool_write_line(lines);
	}
	for (int i = 0; i < 2; i++)
		hdms_base64url_write(fork->leaves[i].request, HDMS_DIGEST_SIZE, text[i]);
	hdms_base64url_write(fork->leaves[0].tag, HDMS_DIGEST_SIZE, tag);
	snprintf(lines, sizeof(lines), "node %s\norigin %s\ntag %s\nrequest %s\nrequest %s\n"
			 "This notary gave receipts for two different requests with one tag.", fork->node, fork->origin, tag, text[0], text[1]);
	return tool_write_line(lines);
}

int
tool_fork(int argc, char **argv)
{
	static const ToolOption none[] = {{NULL, NULL}};
	const char *path = NULL;
	HdmsBytes	file = {0};
	HdmsFork	fork;
	int			count = 0;
	HdmsStatus	status;

	if (argc < 2 || strcmp(argv[1], "verify") != 0 || !tool_options(argc - 1, argv + 1, none, &path, 1, &count) || count != 1)
		return tool_usage(usage);
	if (!tool_read(path, &file))
		return TOOL_REFUSED;
	status = hdms_fork_verify((const char *) file.data, file.len, &fork);
	hdms_bytes_free(&file);
	if (status != HDMS_OK)
		return tool_refuse("the evidence proves nothing", status);
	return write_findings(&fork) ? TOOL_DONE : TOOL_REFUSED;
}
