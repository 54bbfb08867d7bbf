/*
 * main.c
 *		hdms-tool: the protocol's objects on the command line.
 *
 * For looking into what a node did without trusting the node, for scripts, and
 * for testing against other implementations.  It knows no network and no
 * database: files and standard input in, standard output out.
 */
#include <stdio.h>
#include <string.h>

#include "tool.h"

typedef struct Command
{
	const char *name;
	int			(*run) (int argc, char **argv);
	const char *summary;
} Command;

static const Command commands[] = {
	{"key", tool_key, "new, show"},
	{"jws", tool_jws, "sign, verify"},
	{"jwe", tool_jwe, "seal, open"},
	{"state", tool_state, "show, verify"},
	{"receipt", tool_receipt, "verify"},
	{"checkpoint", tool_checkpoint, "verify, sign, cosign"},
	{"fork", tool_fork, "verify"},
	{"vrf", tool_vrf, "prove, verify"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void
print_help(FILE *stream)
{
	fprintf(stream, "hdms-tool makes and checks the objects of the HDMS protocol.\n\nUsage: hdms-tool COMMAND ...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(stream, "\nA command without more tells its options; --version the version. Exit status: 0 done, 1 refused, 2 usage.\n");
}

int
main(int argc, char **argv)
{
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
	{
		print_help(stdout);
		return TOOL_DONE;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
	{
		puts("hdms-tool " HDMS_VERSION);
		return TOOL_DONE;
	}
	for (size_t i = 0; argc >= 2 && i < COMMAND_COUNT; i++)
	{
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	if (argc >= 2)
		fprintf(stderr, "hdms-tool: there is no command \"%s\"\n", argv[1]);
	print_help(stderr);
	return TOOL_USAGE;
}
