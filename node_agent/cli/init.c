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

#define SEED_TEXT	(17 * 5 + 1)

/* 16 groups of 4 hexadecimal digits, and one more of the seed's SHA-256 against slips of the pen. */
static void
seed_write(const unsigned char seed[32], char text[SEED_TEXT])
{
	unsigned char digest[HDMS_DIGEST_SIZE] = {0};
	char	   *out = text;

	(void) hdms_sha256(seed, 32, digest);
	for (int i = 0; i < 34; i += 2)
		out += sprintf(out, "%02x%02x%s", i < 32 ? seed[i] : digest[0], i < 32 ? seed[i + 1] : digest[1], i < 32 ? " " : "");
	OPENSSL_cleanse(digest, sizeof(digest));
}

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
	fputs("If this device is lost, the recovery seed brings your records back. Whoever has it can act as you.\n"
		  "Show it now, to write it on paper? [y/N] ", terminal);
	wanted = fgets(answer, sizeof(answer), terminal) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
	if (wanted)
	{
		for (int i = 0; i < 17; i++)
			fprintf(terminal, "%.4s%s", text + i * 5, i % 4 == 3 || i == 16 ? "\n" : " ");
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
	char		text[SEED_TEXT];
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
	seed_write(seed, text);
	OPENSSL_cleanse(seed, sizeof(seed));
	if (invocation->seed_file != NULL)
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
			printf("The recovery seed was not written down. Without it, a lost device means new keys at every institution.\n");
	}
	return invocation->seed_file != NULL && !kept ? EXIT_REFUSED : EXIT_DONE;
}
