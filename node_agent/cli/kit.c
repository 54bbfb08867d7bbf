/*
 * kit.c
 *		hdms-node kit: what a person needs to have, apart from the device, to get everything back. hdms-node passphrase.
 *
 * The kit goes to standard output, or to a file for its owner alone, and nowhere else: it is never asked of the service, whose socket any program
 * of the same login can reach.
 */
#include <fcntl.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "cli.h"

#define QUIET_ZONE	2

/* Two rows of modules to a line of text, dark on light whatever the terminal's colours are. */
static bool
qr_write(FILE *out, const char *text)
{
	QRcode	   *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);

	if (code == NULL)
		return false;
	for (int y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += 2)
	{
		fputs("\033[30;47m", out);
		for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++)
		{
			bool		dark[2];

			for (int half = 0; half < 2; half++)
				dark[half] = x >= 0 && x < code->width && y + half >= 0 && y + half < code->width &&
					(code->data[(y + half) * code->width + x] & 1) != 0;
			fputs(dark[0] ? dark[1] ? "\u2588" : "\u2580" : dark[1] ? "\u2584" : " ", out);
		}
		fputs("\033[0m\n", out);
	}
	QRcode_free(code);
	return true;
}

static bool
kit_write(FILE *out, const json_t *kit, bool with_qr)
{
	const json_t *kits = json_object_get(kit, "kits");
	const json_t *network;
	size_t		index;
	bool		good = true;

	fputs("HDMS recovery kit. Whoever has this can act as you: keep it where you keep your passport.\n\n", out);
	words_write(out, json_string_value(json_object_get(kit, "words")));
	if (json_array_size(kits) == 0)
		fputs("\nNo institution is paired yet: after the first pairing the kit also names the server and the network.\n", out);
	json_array_foreach(kits, index, network)
	{
		const char *server = json_string_value(json_object_get(network, "server"));
		const char *fingerprint = json_string_value(json_object_get(network, "network"));

		fprintf(out, "\nserver    %s\nnetwork   %s\npairings  %lld\non a new device: hdms-node recover --server %s --network %s\n", server, fingerprint,
				(long long) json_integer_value(json_object_get(network, "pairings")), server, fingerprint);
		if (with_qr)
			good = qr_write(out, json_string_value(json_object_get(network, "uri"))) && good;
	}
	return good;
}

/* Standard output, or a new file that only its owner reads. NULL after complaining. */
static FILE *
kit_output(const char *name)
{
	int			file;
	FILE	   *out;

	if (name == NULL)
		return stdout;
	file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out = file < 0 ? NULL : fdopen(file, "w");
	if (out == NULL)
		complain("cannot make \"%s\": it must not be there yet", name);
	return out;
}

int
command_kit(const Invocation *invocation)
{
	HdmsNodeSecret secret = {.passphrase = passphrase_get(invocation->passphrase_file, false)};
	HdmsNodeError error;
	char	   *text = NULL;
	json_t	   *kit = NULL;
	FILE	   *out;
	bool		good = false;

	if (secret.passphrase == NULL)
		return EXIT_REFUSED;
	if (hdms_home_kit(invocation->home, &secret, &text, &error) != HDMS_NODE_OK)
		complain("%s", error.message);
	else if ((out = kit_output(invocation->out)) != NULL)
	{
		if (invocation->json)
			good = fprintf(out, "%s\n", text) > 0;
		else
		{
			kit = json_loads(text, 0, NULL);
			good = kit != NULL && kit_write(out, kit, invocation->qr);
		}
		good = fflush(out) == 0 && (out == stdout || fsync(fileno(out)) == 0) && good;
		if (out != stdout)
			good = fclose(out) == 0 && good;
		if (!good)
			complain("cannot write the kit");
	}
	json_decref(kit);
	hdms_string_wipe(text);
	hdms_string_wipe((char *) secret.passphrase);
	return good ? EXIT_DONE : EXIT_REFUSED;
}

int
command_passphrase(const Invocation *invocation)
{
	HdmsNodeSecret before = {.passphrase = passphrase_get(invocation->passphrase_file, false)};
	HdmsNodeSecret after = {0};
	HdmsNodeError error;
	bool		good = false;

	if (before.passphrase != NULL)
		after.passphrase = passphrase_get(invocation->new_passphrase_file, true);
	if (after.passphrase != NULL)
	{
		good = hdms_home_change_secret(invocation->home, &before, &after, &error) == HDMS_NODE_OK;
		if (!good)
			complain("%s", error.message);
		else
			printf(invocation->json ? "{\"changed\":true}\n" : "The passphrase is changed. A copy of the home that was made before still opens with the old one.\n");
	}
	hdms_string_wipe((char *) before.passphrase);
	hdms_string_wipe((char *) after.passphrase);
	return good ? EXIT_DONE : EXIT_REFUSED;
}
