/*
 * main.c
 *		hdms-node: the personal node on the command line.
 *
 * A command is asked of the service if that is running; otherwise the home is opened here, which needs the passphrase.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "cli.h"
#include "control.h"
#include "engine.h"
#include "json_scan.h"

static const char usage[] =
"Usage: hdms-node [--home DIR] [--json] [--passphrase-file FILE] COMMAND\n"
"\n"
"  init [--suite p256|rsa] [--seed-file FILE]   make a home\n"
"  pair URI                                     pair with an institution (\"-\" reads the URI from standard input)\n"
"  run                                          keep records coming; other commands then need no passphrase\n"
"  inbox                                        what waits for your decision\n"
"  accept ID | reject ID --reason TEXT          decide\n"
"  accept --replaced [INSTITUTION]              all that continues records which a lost device of yours had\n"
"  records [--type T] [--text T] [--since DATE] [--all]\n"
"  show ID | verify ID                          one record; check all its signatures and proofs\n"
"  verify --all                                 check all records; what fails\n"
"  repair [ID]                                  ask the institutions for what fails, and put it back\n"
"  export ID [--out FILE]                       its evidence file, which anybody can check\n"
"  export --all --out DIR                       the evidence files of all records, one each\n"
"  reads [ID]                                   when your records were read and why, where the institution tells\n"
"  policy [INSTITUTION ask|accept]              the standing rule for an institution\n"
"  policy INSTITUTION keep|erase                what becomes of your copy of a record that it erases\n"
"  erase ID                                     erases your copy of a record that its institution has erased\n"
"  status                                       how the node is\n"
"  retry                                        try again what \"status\" says was put aside\n"
"  kit [--qr] [--out FILE]                      the recovery kit, to be kept apart from the device\n"
"  recover --server URL --network FINGERPRINT [--words-file FILE] | recover KIT\n"
"                                               take over from a lost device (KIT: what is behind the picture; \"-\" reads it)\n"
"  rotate [INSTITUTION]                         replace the keys of one pairing, or of all\n"
"  passphrase [--new-passphrase-file FILE]      change the passphrase\n"
"\n"
"The home is $HDMS_HOME, or ~/.hdms-node, unless given. An ID is a number that the lists show, a record's UUID or a verification key.\n";

void
complain(const char *format,...)
{
	va_list		arguments;

	fputs("hdms-node: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

/* Where an option with a value puts it; NULL for no such option. */
static const char **
option_target(Invocation *invocation, const char *option)
{
	struct
	{
		const char *name;
		const char **target;
	}			options[] = {
		{"--home", &invocation->home}, {"--passphrase-file", &invocation->passphrase_file}, {"--reason", &invocation->reason},
		{"--suite", &invocation->suite}, {"--seed-file", &invocation->seed_file}, {"--out", &invocation->out},
		{"--type", &invocation->type}, {"--text", &invocation->text}, {"--since", &invocation->since},
		{"--new-passphrase-file", &invocation->new_passphrase_file}, {"--words-file", &invocation->words_file},
		{"--server", &invocation->server}, {"--network", &invocation->network},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strcmp(option, options[i].name) == 0)
			return options[i].target;
	return NULL;
}

static bool
arguments_read(int argc, char **argv, Invocation *invocation)
{
	for (int i = 1; i < argc; i++)
	{
		const char **target;

		if (strcmp(argv[i], "--json") == 0)
			invocation->json = true;
		else if (strcmp(argv[i], "--all") == 0)
			invocation->all = true;
		else if (strcmp(argv[i], "--qr") == 0)
			invocation->qr = true;
		else if (strcmp(argv[i], "--replaced") == 0)
			invocation->replaced = true;
		else if (strncmp(argv[i], "--", 2) == 0)
		{
			target = option_target(invocation, argv[i]);
			if (target == NULL || i + 1 == argc)
				return false;
			*target = argv[++i];
		}
		else if (invocation->command == NULL)
			invocation->command = argv[i];
		else if (invocation->argument_count < 3)
			invocation->argument[invocation->argument_count++] = argv[i];
		else
			return false;
	}
	return invocation->command != NULL;
}

/* Whether the command exists and has what it needs. */
static bool
arguments_fit(const Invocation *invocation)
{
	static const struct
	{
		const char *command;
		int			min;
		int			max;
	}			commands[] = {
		{"init", 0, 0}, {"pair", 1, 1}, {"run", 0, 0}, {"inbox", 0, 0}, {"accept", 0, 1}, {"reject", 1, 1}, {"records", 0, 0},
		{"show", 1, 1}, {"erase", 1, 1}, {"reads", 0, 1}, {"verify", 0, 1}, {"repair", 0, 1}, {"export", 0, 1}, {"policy", 0, 2}, {"status", 0, 0},
		{"retry", 0, 0},
		{"kit", 0, 0}, {"rotate", 0, 1}, {"passphrase", 0, 0}, {"recover", 0, 1},
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(invocation->command, commands[i].command) == 0)
			return invocation->argument_count >= commands[i].min && invocation->argument_count <= commands[i].max &&
				(strcmp(invocation->command, "policy") != 0 || invocation->argument_count != 1) &&
				(strcmp(invocation->command, "export") != 0 ||
				 (invocation->all ? invocation->argument_count == 0 && invocation->out != NULL : invocation->argument_count == 1)) &&
				(strcmp(invocation->command, "accept") != 0 || invocation->argument_count == 1 || invocation->replaced) &&
				(strcmp(invocation->command, "verify") != 0 || invocation->all == (invocation->argument_count == 0)) &&
				(strcmp(invocation->command, "recover") != 0 || invocation->argument_count == 1 ||
				 (invocation->server != NULL && invocation->network != NULL)) &&
				(strcmp(invocation->command, "reject") != 0 || invocation->reason != NULL);
	return false;
}

HdmsHome *
home_open_or_complain(const Invocation *invocation, const HdmsHomeOptions *options)
{
	HdmsNodeError error;
	HdmsHome   *home = NULL;
	HdmsNodeSecret secret = {0};
	char		database[4096];
	char	   *passphrase;

	/* Nobody should type a passphrase for a home that is not there. */
	snprintf(database, sizeof(database), "%s/node.db", invocation->home);
	if (access(database, F_OK) != 0)
	{
		complain("there is no home in \"%s\": run init first", invocation->home);
		return NULL;
	}
	passphrase = passphrase_get(invocation->passphrase_file, false);
	if (passphrase == NULL)
		return NULL;
	secret.passphrase = passphrase;
	if (hdms_home_open(invocation->home, &secret, options, &home, &error) != HDMS_NODE_OK)
	{
		complain("%s", error.message);
		home = NULL;
	}
	hdms_string_wipe(passphrase);
	return home;
}

/* A pairing URI has a secret in it: from standard input it is in no process list. */
static char *
uri_read(void)
{
	char		line[16384];

	if (fgets(line, sizeof(line), stdin) == NULL)
		return NULL;
	line[strcspn(line, "\r\n")] = '\0';
	return strdup(line);
}

static char *
request_line(const Invocation *invocation)
{
	json_t	   *request = json_object();
	char	   *uri = NULL;
	char	   *text;
	char	   *line = NULL;

	json_object_set_new(request, "command", json_string(invocation->command));
	if (strcmp(invocation->command, "pair") == 0)
	{
		if (strcmp(invocation->argument[0], "-") == 0)
			uri = uri_read();
		json_object_set_new(request, "uri", json_string(uri ? uri : invocation->argument[0]));
	}
	else if (strcmp(invocation->command, "policy") == 0 && invocation->argument_count == 2)
	{
		json_object_set_new(request, "institution", json_string(invocation->argument[0]));
		json_object_set_new(request, "policy", json_string(invocation->argument[1]));
	}
	else if (invocation->argument_count > 0)
		json_object_set_new(request, "id", json_string(invocation->argument[0]));
	if (invocation->reason)
		json_object_set_new(request, "reason", json_string(invocation->reason));
	if (invocation->type)
		json_object_set_new(request, "type", json_string(invocation->type));
	if (invocation->text)
		json_object_set_new(request, "text", json_string(invocation->text));
	if (invocation->since)
		json_object_set_new(request, "since", json_string(invocation->since));
	if (invocation->all)
		json_object_set_new(request, "all", json_true());
	text = json_dumps(request, JSON_COMPACT);
	if (text != NULL && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	json_decref(request);
	hdms_string_wipe(text);
	hdms_string_wipe(uri);
	return line;
}

/* Without the service: asks the home itself, and for "pair" moves messages until it has ended. */
static char *
home_ask(HdmsHome *home, const char *line)
{
	HdmsEngine *engine = NULL;
	HdmsNodeError error;
	char	   *answer = NULL;
	int64_t		pairing = 0;
	int64_t		until;

	command_run(home, line, strlen(line) - 1, &answer, &pairing);
	if (answer == NULL && pairing != 0 && (engine = hdms_engine_create()) != NULL && hdms_engine_attach(engine, home, &error) == HDMS_NODE_OK)
	{
		until = engine_clock() + home->config.pair_timeout;
		while ((answer = command_pairing_ended(home, pairing, engine_clock() >= until)) == NULL)
			hdms_engine_step(engine, 200);

		/* The institution is still owed its acknowledgement. */
		until = engine_clock() + 5000;
		while (engine_clock() < until && engine_is_busy(engine))
			hdms_engine_step(engine, 50);
	}
	if (engine != NULL)
		hdms_engine_detach(engine, home);
	hdms_engine_free(engine);
	return answer;
}

char *
answer_get(const Invocation *invocation, const char *line, HdmsHome **home)
{
	char	   *answer = NULL;

	if (*home == NULL)
	{
		if (service_ask(invocation->home, line, &answer))
		{
			if (answer == NULL)
				complain("the service did not answer");
			return answer;
		}
		*home = home_open_or_complain(invocation, NULL);
	}
	return *home != NULL ? home_ask(*home, line) : NULL;
}

bool
file_write(const char *path, const char *text, size_t len)
{
	int			file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE	   *out = file < 0 ? NULL : fdopen(file, "w");
	bool		written = out != NULL && fwrite(text, 1, len, out) == len;

	if (out != NULL && fclose(out) != 0)
		written = false;
	if (!written)
		complain("cannot write \"%s\": %s", path, strerror(errno));
	return written;
}

static int
result_write(const Invocation *invocation, const char *result, size_t len)
{
	if (strcmp(invocation->command, "export") == 0 && invocation->out != NULL)
		return file_write(invocation->out, result, len) ? EXIT_DONE : EXIT_REFUSED;
	if (invocation->json)
		printf("%.*s\n", (int) len, result);
	else
		result_show(invocation, result, len);
	if (fflush(stdout) != 0)
	{
		complain("cannot write the result: %s", strerror(errno));
		return EXIT_REFUSED;
	}
	return EXIT_DONE;
}

/* What a home or its service answered. */
static int
answer_report(const Invocation *invocation, const char *answer)
{
	size_t		len = strlen(answer);
	HdmsJsonItem ok;
	HdmsJsonItem result;
	HdmsJsonItem message;
	HdmsJsonItem code;
	HdmsBytes	text = {0};
	int			status = EXIT_REFUSED;

	if (hdms_json_member(answer, len, "ok", &ok) != HDMS_OK || hdms_json_member(answer, len, "result", &result) != HDMS_OK)
	{
		complain("the service's answer is not understood");
		return EXIT_REFUSED;
	}
	if (ok.kind == HDMS_JSON_TRUE)
		return result_write(invocation, result.value.data, result.value.len);
	if (result.kind != HDMS_JSON_NULL && (invocation->json || strcmp(invocation->command, "verify") == 0))
		(void) result_write(invocation, result.value.data, result.value.len);
	if (hdms_json_member(answer, len, "error", &message) == HDMS_OK && hdms_json_unescape(message.value, &text) == HDMS_OK)
		complain("%s", (char *) text.data);
	if (hdms_json_member(answer, len, "code", &code) == HDMS_OK && atoi(code.value.data) == HDMS_NODE_BAD_ARGUMENT)
		status = EXIT_USAGE;
	hdms_bytes_free(&text);
	return status;
}

static int
command_ask(const Invocation *invocation)
{
	char	   *line = request_line(invocation);
	HdmsHome   *home = NULL;
	char	   *answer;
	int			status = EXIT_REFUSED;

	if (line == NULL)
	{
		complain("the arguments are not text");
		return EXIT_USAGE;
	}
	answer = answer_get(invocation, line, &home);
	if (answer != NULL)
		status = answer_report(invocation, answer);
	hdms_home_close(home);
	hdms_string_wipe(line);
	hdms_string_wipe(answer);
	return status;
}

int
main(int argc, char **argv)
{
	Invocation	invocation = {.home = getenv("HDMS_HOME")};
	struct rlimit no_core = {0, 0};
	char		fallback[4096];

	/* Keys and records are in memory: no core files, and nothing that others can read. */
	(void) setrlimit(RLIMIT_CORE, &no_core);
	umask(077);
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
	{
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
	{
		puts("hdms-node " HDMS_VERSION);
		return EXIT_DONE;
	}
	if (!arguments_read(argc, argv, &invocation) || !arguments_fit(&invocation))
	{
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (invocation.home == NULL)
	{
		snprintf(fallback, sizeof(fallback), "%s/.hdms-node", getenv("HOME") ? getenv("HOME") : ".");
		invocation.home = fallback;
	}
	if (strcmp(invocation.command, "init") == 0)
		return command_init(&invocation);
	if (strcmp(invocation.command, "accept") == 0 && invocation.replaced)
		return command_accept_replaced(&invocation);
	if (strcmp(invocation.command, "kit") == 0)
		return command_kit(&invocation);
	if (strcmp(invocation.command, "recover") == 0)
		return command_recover(&invocation);
	if (strcmp(invocation.command, "passphrase") == 0)
		return command_passphrase(&invocation);
	if (strcmp(invocation.command, "run") == 0)
		return command_service(&invocation);
	if (strcmp(invocation.command, "export") == 0 && invocation.all)
		return command_export_all(&invocation);
	return command_ask(&invocation);
}
