/*
 * recover.c
 *		hdms-node recover: a new device takes over from a lost one.
 *
 * The words are typed, or come from a file or with the kit's text; then the search begins, and this program waits for it for as long as something moves.
 * Whatever is left is done by "run".
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "engine.h"
#include "kit.h"
#include "pairing_row.h"
#include "recovery.h"
#include "version.h"

/* All words from a file, or from the terminal up to an empty line. */
static bool
words_get(const char *name, char text[2048])
{
	FILE	   *file = fopen(name ? name : "/dev/tty", name ? "re" : "r+e");
	size_t		len = 0;

	if (file == NULL)
	{
		complain(name ? "cannot read \"%s\"" : "there is no terminal to ask for the words: use --words-file", name);
		return false;
	}
	if (name == NULL)
	{
		setvbuf(file, NULL, _IONBF, 0);
		fputs("The 24 words, on one line or several; an empty line ends them:\n", file);
	}
	while (len + 1 < 2048 && fgets(text + len, (int) (2048 - len), file) != NULL)
	{
		if (name == NULL && text[len] == '\n')
			break;
		len += strlen(text + len);
	}
	fclose(file);
	return true;
}

/* One line of standard input. */
static bool
uri_get(char text[2048])
{
	if (fgets(text, 2048, stdin) == NULL)
		return false;
	text[strcspn(text, "\r\n")] = '\0';
	return true;
}

/* Seed, server and network from what was typed. The exit status. */
static int
kit_get(const Invocation *invocation, Kit *kit)
{
	char		text[2048] = "";
	int			wrong = 0;
	HdmsStatus	status = HDMS_OK;
	bool		good;

	if (invocation->argument_count == 1)
	{
		bool		is_dash = strcmp(invocation->argument[0], "-") == 0;

		good = (!is_dash || uri_get(text)) && kit_parse(is_dash ? text : invocation->argument[0], kit);
		OPENSSL_cleanse(text, sizeof(text));
		if (!good)
			complain("this is not the text of a recovery kit");
		return good ? EXIT_DONE : EXIT_USAGE;
	}
	if (!kit_places_fit(invocation->server, invocation->network))
	{
		complain("the server or the network's fingerprint is not as the kit has it");
		return EXIT_USAGE;
	}
	strcpy(kit->server, invocation->server);
	strcpy(kit->network, invocation->network);
	if (!words_get(invocation->words_file, text))
		return EXIT_REFUSED;
	status = words_parse(text, kit->seed, &wrong);
	OPENSSL_cleanse(text, sizeof(text));
	if (status == HDMS_DIGEST_MISMATCH)
		complain("all are words of the list, but one of them is another than was written down, or two were exchanged");
	else if (status != HDMS_OK && wrong > 0)
		complain("word %d is not in the list", wrong);
	else if (status != HDMS_OK)
		complain("these are not 24 words");
	return status == HDMS_OK ? EXIT_DONE : EXIT_REFUSED;
}

/* How far it is, as one number that grows; *is_over: nothing is left to wait for. */
static int64_t
progress_of(const HdmsHome *home, bool *is_over)
{
	const char *problem;
	bool		searching = recovery_is_searching(home, &problem);
	int64_t		progress = home->pairing_count;

	*is_over = !searching || problem != NULL;
	for (size_t i = 0; i < home->pairing_count; i++)
	{
		const Pairing *pairing = home->pairings[i];

		progress += (int64_t) pairing->status * 2 + !pairing->is_recovering;
		if (pairing->is_recovering && pairing->status != PAIRING_REFUSED)
			*is_over = false;
	}
	return progress;
}

/* Moves messages until all is back, or nothing has changed for a while. */
static bool
wait_for_records(HdmsHome *home, HdmsNodeError *error)
{
	HdmsEngine *engine = hdms_engine_create();
	int64_t		seen = -1;
	int64_t		changed = engine_clock();
	bool		is_over = false;

	if (engine == NULL || hdms_engine_attach(engine, home, error) != HDMS_NODE_OK)
	{
		hdms_engine_free(engine);
		return false;
	}
	while (!is_over && engine_clock() < changed + home->config.pair_timeout)
	{
		int64_t		progress;

		if (!hdms_engine_step(engine, 200))
			break;
		progress = progress_of(home, &is_over);
		if (progress != seen)
			changed = engine_clock();
		seen = progress;
	}

	/* The institutions are still owed their acknowledgements. */
	for (int64_t until = engine_clock() + 5000; engine_clock() < until && engine_is_busy(engine);)
		hdms_engine_step(engine, 50);
	hdms_engine_detach(engine, home);
	hdms_engine_free(engine);
	return is_over;
}

static int
recovery_report(const Invocation *invocation, HdmsHome *home, bool is_over)
{
	const char *problem;
	HdmsNodeError error;
	char	   *text = NULL;
	json_t	   *status;
	json_int_t	found;

	(void) recovery_is_searching(home, &problem);
	if (problem != NULL)
	{
		complain("%s", problem);
		return EXIT_REFUSED;
	}
	if (hdms_home_status(home, &text, &error) != HDMS_NODE_OK)
	{
		complain("%s", error.message);
		return EXIT_REFUSED;
	}
	status = json_loads(text, 0, NULL);
	found = (json_int_t) json_array_size(json_object_get(status, "pairings"));
	if (invocation->json)
		printf("%s\n", text);
	else
	{
		printf("%lld pairings, %lld records in force. ", (long long) found,
			   (long long) json_integer_value(json_object_get(json_object_get(status, "records"), "final")));
		printf(is_over ? "The lost device is shut out. Continue with \"run\".\n" : "The rest comes with \"run\"; \"status\" says how far it is.\n");
	}
	json_decref(status);
	free(text);
	return EXIT_DONE;
}

int
command_recover(const Invocation *invocation)
{
	Kit			kit = {.network = ""};
	HdmsNodeSecret secret = {0};
	HdmsNodeError error = {.message = "out of memory"};
	HdmsHome   *home = NULL;
	int			status = kit_get(invocation, &kit);
	bool		good;
	bool		is_over;

	if (status != EXIT_DONE)
		return status;
	secret.passphrase = passphrase_get(invocation->passphrase_file, true);
	good = secret.passphrase != NULL;
	if (good && (hdms_home_recover(invocation->home, &secret, kit.seed, kit.server, kit.network, &error) != HDMS_NODE_OK ||
				 hdms_home_open(invocation->home, &secret, NULL, &home, &error) != HDMS_NODE_OK))
	{
		complain("%s", error.message);
		good = false;
	}
	OPENSSL_cleanse(&kit, sizeof(kit));
	hdms_string_wipe((char *) secret.passphrase);
	if (!good)
		return EXIT_REFUSED;
	is_over = wait_for_records(home, &error);
	status = recovery_report(invocation, home, is_over);
	hdms_home_close(home);
	return status;
}
