/*
 * hdms_server.c
 *		The command line of hdms-server.
 *
 * Exit status: 0 done, 1 refused or failed (with a line on stderr that says why), 2 usage.
 */
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "bytes.h"
#include "serve.h"

#define DEFAULT_CONFIG "/etc/hdms/hdms-server.conf"

static const char usage_text[] =
"Usage: hdms-server [--config FILE] COMMAND\n"
"\n"
"Commands:\n"
"  init                   make the network key unless it is there, bring up the database, print the key's fingerprint\n"
"  migrate                bring the database up to this program's version\n"
"  serve                  run the server\n"
"  pending                list the institutions that wait to be admitted\n"
"  nodes                  list all nodes\n"
"  admit NODE [--notary]  admit an institution, or change whether it is a notary\n"
"  thaw NODE              let a frozen node back in with the history that is known\n"
"\n"
"  --config FILE          instead of " DEFAULT_CONFIG "\n"
"  --help, --version      print this, or the version\n";

static int
usage(void)
{
	fputs(usage_text, stderr);
	return 2;
}

static int
run_with_node(const Config *config, const char *command, int count, char **arguments)
{
	bool		is_admit = strcmp(command, "admit") == 0;
	bool		notary = is_admit && count == 2 && strcmp(arguments[1], "--notary") == 0;

	if (count < 1 || count > 1 + notary)
		return usage();
	if (!hdms_is_digest_text(arguments[0], strlen(arguments[0])))
	{
		fprintf(stderr, "hdms-server: \"%s\" is not a node id: 43 characters of base64url\n", arguments[0]);
		return 2;
	}
	return is_admit ? admin_admit(config, arguments[0], notary) : admin_thaw(config, arguments[0]);
}

/* Whether it is one of the commands, before the configuration is looked at. */
static bool
is_command(const char *command)
{
	static const char *const commands[] = {"init", "migrate", "serve", "pending", "nodes", "admit", "thaw"};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
	{
		if (strcmp(commands[i], command) == 0)
			return true;
	}
	return false;
}

int
main(int argc, char **argv)
{
	const char *path = DEFAULT_CONFIG;
	const char *command;
	Config	   *config;
	int			next = 1;
	int			status;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
	{
		fputs(usage_text, stdout);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
	{
		puts("hdms-server " HDMS_VERSION);
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "--config") == 0)
	{
		path = argv[2];
		next = 3;
	}
	if (next >= argc || !is_command(argv[next]))
		return usage();
	command = argv[next++];
	if (strcmp(command, "admit") != 0 && strcmp(command, "thaw") != 0 && next != argc)
		return usage();
	config = config_read(path, false);
	if (config == NULL)
		return 1;
	if (strcmp(command, "serve") == 0)
		return serve(config, path);
	if (strcmp(command, "init") == 0)
		status = admin_init(config);
	else if (strcmp(command, "migrate") == 0)
		status = admin_migrate(config);
	else if (strcmp(command, "pending") == 0)
		status = admin_pending(config);
	else if (strcmp(command, "nodes") == 0)
		status = admin_nodes(config);
	else
		status = run_with_node(config, command, argc - next, argv + next);
	config_free(config);
	return status;
}
