/*
 * passphrase.c
 *		Asking for the passphrase: from a file, or from the terminal without showing it.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

#define PASSPHRASE_MAX	1024
#define PASSPHRASE_MIN	8

/* One line without its line feed. */
static char *
line_read(FILE *file)
{
	char		line[PASSPHRASE_MAX + 2];
	char	   *copy = NULL;
	bool		good = fgets(line, sizeof(line), file) != NULL;

	if (good)
	{
		line[strcspn(line, "\r\n")] = '\0';
		if (strlen(line) <= PASSPHRASE_MAX)
			copy = strdup(line);
	}
	OPENSSL_cleanse(line, sizeof(line));
	return copy;
}

static char *
line_ask(FILE *terminal, const char *prompt)
{
	struct termios before;
	struct termios silent;
	bool		hidden = tcgetattr(fileno(terminal), &before) == 0;
	char	   *line;

	fputs(prompt, terminal);
	fflush(terminal);
	if (hidden)
	{
		silent = before;
		silent.c_lflag &= ~(tcflag_t) ECHO;
		tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
	}
	line = line_read(terminal);
	if (hidden)
	{
		tcsetattr(fileno(terminal), TCSAFLUSH, &before);
		fputs("\n", terminal);
	}
	return line;
}

static void
line_wipe(char *line)
{
	if (line != NULL)
		OPENSSL_cleanse(line, strlen(line));
	free(line);
}

static char *
passphrase_ask(bool is_new)
{
	FILE	   *terminal = fopen("/dev/tty", "r+e");
	char	   *first;
	char	   *second;

	if (terminal == NULL)
	{
		complain("there is no terminal to ask for the passphrase: use --passphrase-file");
		return NULL;
	}
	setvbuf(terminal, NULL, _IONBF, 0);
	first = line_ask(terminal, is_new ? "New passphrase: " : "Passphrase: ");
	if (first != NULL && is_new)
	{
		second = line_ask(terminal, "The same again: ");
		if (second == NULL || strcmp(first, second) != 0)
		{
			complain("the two were not the same");
			line_wipe(first);
			first = NULL;
		}
		line_wipe(second);
	}
	fclose(terminal);
	return first;
}

char *
passphrase_get(const char *name, bool is_new)
{
	char	   *passphrase;
	FILE	   *file;

	if (name == NULL)
		passphrase = passphrase_ask(is_new);
	else
	{
		file = fopen(name, "re");
		passphrase = file ? line_read(file) : NULL;
		if (passphrase == NULL)
			complain("cannot read the passphrase from \"%s\"%s%s", name, file ? "" : ": ", file ? "" : strerror(errno));
		if (file)
			fclose(file);
	}
	if (passphrase != NULL && is_new && strlen(passphrase) < PASSPHRASE_MIN)
	{
		complain("a passphrase needs at least %d characters", PASSPHRASE_MIN);
		line_wipe(passphrase);
		passphrase = NULL;
	}
	return passphrase;
}
