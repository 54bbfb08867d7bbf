/*
 * cli.h
 *		The command line's parts.
 */
#ifndef NODE_CLI_H
#define NODE_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "hdms_node.h"

#define EXIT_DONE		0
#define EXIT_REFUSED	1
#define EXIT_USAGE		2

/* What was typed. Strings are borrowed from argv. */
typedef struct Invocation
{
	const char *home;
	const char *passphrase_file;
	const char *command;
	const char *argument[3];
	int			argument_count;
	const char *reason;
	const char *suite;
	const char *seed_file;
	const char *out;
	const char *type;
	const char *text;
	const char *since;
	const char *new_passphrase_file;
	const char *words_file;
	const char *server;
	const char *network;
	bool		all;
	bool		qr;
	bool		replaced;
	bool		json;
} Invocation;

/* One line on stderr, after the program's name. */
extern void complain(const char *format,...) __attribute__((format(printf, 1, 2)));

/* The passphrase from the file or the terminal, to be wiped with hdms_string_wipe(); NULL after complaining. is_new: asked for twice. */
extern char *passphrase_get(const char *file, bool is_new);

/*
 * Sends a line to the service of that home. *answer: what it said, malloc'ed. False when there is no service.
 */
extern bool service_ask(const char *home, const char *line, char **answer);

/*
 * What the service, or without one the home itself, answers to a line. *home: NULL at first; is set when it had to be
 * opened, for the next line, and is the caller's to close. malloc'ed; NULL after complaining.
 */
extern char *answer_get(const Invocation *invocation, const char *line, HdmsHome **home);

/* Writes a file that only its owner reads. False after complaining. */
extern bool file_write(const char *path, const char *text, size_t len);

/* Shows the result of a command to a person. result is JSON. */
extern void result_show(const Invocation *invocation, const char *result, size_t len);

/* The seed's words, numbered, some to a line. */
extern void words_write(FILE *out, const char *words);

/* The commands that are not questions to a home. They return the exit status. */
extern int	command_init(const Invocation *invocation);
extern int	command_accept_replaced(const Invocation *invocation);
extern int	command_kit(const Invocation *invocation);
extern int	command_passphrase(const Invocation *invocation);
extern int	command_recover(const Invocation *invocation);
extern int	command_service(const Invocation *invocation);
extern int	command_export_all(const Invocation *invocation);

/* Opens the home for this process. NULL after complaining. */
extern HdmsHome *home_open_or_complain(const Invocation *invocation, const HdmsHomeOptions *options);

#endif
