/*
 * init.c
 *		hdms-node init: a new home, and the recovery seed for the person to keep.
 *
 * Who loses the device needs the seed. It is shown once, on the terminal and only if the person wants to see it, or written to a file of their
 * choice; it is never printed where output may be logged.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "cli.h"
#include "words.h"

#define WORDS_PER_LINE	6

static bool
seed_save(const char *name, const char *text)
{
	int			file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool		good;

	if (file < 0)
	{
		complain("cannot write the recovery seed to \"%s\": %s", name, strerror(errno));
		return false;
	}
	good = dprintf(file, "%s\n", text) > 0 && fsync(file) == 0;
	return close(file) == 0 && good;
}

void
words_write(FILE *out, const char *words)
{
	for (int i = 1; *words != '\0'; i++)
	{
		int			len = (int) strcspn(words, " ");

		fprintf(out, "%2d. %-9.*s%s", i, len, words, i % WORDS_PER_LINE == 0 ? "\n" : " ");
		words += len + (words[len] != '\0');
	}
}

/* Offers to show it. */
static bool
seed_show(const char *text)
{
	FILE	   *terminal = fopen("/dev/tty", "r+e");
	char		answer[8] = "";
	bool		wanted;

	if (terminal == NULL)
		return false;
	setvbuf(terminal, NULL, _IONBF, 0);
	fputs("If this device is lost, 24 words, the recovery seed, bring your records back. Whoever has them can act as you.\n"
		  "Show it now, to write it on paper? [y/N] ", terminal);
	wanted = fgets(answer, sizeof(answer), terminal) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
	if (wanted)
	{
		words_write(terminal, text);
		fputs("Press Enter when it is on paper. ", terminal);
		(void) fgets(answer, sizeof(answer), terminal);

		/* Not to be left on the screen. */
		fputs("\033[H\033[2J\033[3J", terminal);
	}
	fclose(terminal);
	return wanted;
}

int
command_init(const Invocation *invocation)
{
	unsigned char seed[32];
	char		text[SEED_WORDS_SIZE];
	HdmsNodeError error;
	HdmsSuite	suite = HDMS_SUITE_P256;
	HdmsNodeSecret secret = {0};
	HdmsNodeResult result;
	char	   *passphrase;
	bool		kept = false;

	if (invocation->suite != NULL && strcmp(invocation->suite, "rsa") == 0)
		suite = HDMS_SUITE_RSA;
	else if (invocation->suite != NULL && strcmp(invocation->suite, "p256") != 0)
	{
		complain("a suite is \"p256\" or \"rsa\"");
		return EXIT_USAGE;
	}
	passphrase = passphrase_get(invocation->passphrase_file, true);
	if (passphrase == NULL)
		return EXIT_REFUSED;
	secret.passphrase = passphrase;
	result = hdms_home_create(invocation->home, &secret, suite, seed, &error);
	hdms_string_wipe(passphrase);
	if (result != HDMS_NODE_OK)
	{
		complain("%s", error.message);
		return EXIT_REFUSED;
	}
	if (words_print(seed, text) != HDMS_OK)
		text[0] = '\0';
	OPENSSL_cleanse(seed, sizeof(seed));
	if (text[0] == '\0')
		complain("the recovery seed cannot be shown: try \"kit\"");
	else if (invocation->seed_file != NULL)
		kept = seed_save(invocation->seed_file, text);
	else if (!invocation->json && isatty(STDIN_FILENO))
		kept = seed_show(text);
	OPENSSL_cleanse(text, sizeof(text));
	if (invocation->json)
		printf("{\"home\":true,\"seed_kept\":%s}\n", kept ? "true" : "false");
	else
	{
		printf("The home is ready: continue with \"pair\".\n");
		if (!kept)
			printf("The recovery seed was not written down (\"kit\" shows it). Without it, a lost device means new keys at every institution.\n");
	}
	return invocation->seed_file != NULL && !kept ? EXIT_REFUSED : EXIT_DONE;
}
