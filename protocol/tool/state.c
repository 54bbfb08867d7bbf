/*
 * state.c
 *		hdms-tool state: looking into states, and checking evidence without trusting any database.
 *
 * "show" reads and verifies nothing; "verify" rests on the network key's fingerprint alone.
 * Neither needs a node, so an auditor can run it on files that were handed over.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "evidence.h"
#include "tool.h"

static const char usage[] =
"  hdms-tool state show FILE                           FILE: a state, or a record's evidence\n"
"  hdms-tool state verify FILE... --network THUMBPRINT FILE: a record's evidence, or a folder of *.json\n"
"      of a file every check is shown, of a folder those that failed; the last line has the numbers\n";

static void
show_claims(const HdmsState *state)
{
	printf("record   %s\nversion  %lld\ntype     %s\nissuer   %s\npatient  %s\nissued   %lld\nvk       %s\n",
		   state->record, (long long) state->version, state->type, state->iss, state->sub, (long long) state->iat, state->vk);
	if (state->prev[0] != '\0')
		printf("prev     %s\n", state->prev);
	if (state->replaces[0] != '\0')
		printf("replaces %s\n", state->replaces);
}

/* One state with what it discloses; not verified. */
static HdmsStatus
show_state(const char *sd_jwt, size_t len)
{
	HdmsState	state;
	HdmsBytes	content = {0};
	HdmsStatus	status;

	if ((status = hdms_state_parse(sd_jwt, len, false, &state)) != HDMS_OK
		|| (status = hdms_state_content(sd_jwt, len, &content)) != HDMS_OK)
		return status;
	show_claims(&state);
	printf("content  %s\n", (char *) content.data);
	hdms_bytes_wipe(&content);
	return HDMS_OK;
}

/* Each version of a record's evidence. */
static HdmsStatus
show_evidence(const char *json, size_t len)
{
	json_t	   *root = NULL;
	const json_t *versions;
	const char *state;
	HdmsStatus	status;

	if ((status = hdms_claims_parse(json, len, &root)) != HDMS_OK)
		return status;
	versions = json_object_get(root, "versions");
	status = json_array_size(versions) > 0 ? HDMS_OK : HDMS_BAD_FORMAT;
	for (size_t i = 0; status == HDMS_OK && i < json_array_size(versions); i++)
	{
		if (i > 0)
			printf("\n");
		if ((status = hdms_claims_string(json_array_get(versions, i), "state", &state)) == HDMS_OK)
			status = show_state(state, strlen(state));
	}
	json_decref(root);
	return status;
}

static int
show(int argc, char **argv)
{
	static const ToolOption none[] = {{NULL, NULL}};
	const char *path = NULL;
	HdmsBytes	text = {0};
	const char *data;
	int			count;
	HdmsStatus	status;

	if (!tool_options(argc, argv, none, &path, 1, &count) || count != 1)
		return tool_usage(usage);
	if (!tool_read_line(path, &text))
		return TOOL_REFUSED;
	data = (const char *) text.data;
	status = text.len > 0 && data[0] == '{' ? show_evidence(data, text.len) : show_state(data, text.len);
	hdms_bytes_wipe(&text);
	if (status != HDMS_OK)
		return tool_refuse(path, status);
	printf("\nNothing of this was verified.\n");
	return TOOL_DONE;
}

/* What verifying several files has come to. */
typedef struct Verification
{
	const char *network;
	const char *path;			/* of the file at hand */
	bool		is_folder;		/* what passed is not shown: it would hide what did not */
	int			verified;
	int			failed;
} Verification;

static bool
print_check(void *arg, int64_t version, const char *check, HdmsStatus status)
{
	const Verification *verification = arg;

	if (verification->is_folder && status == HDMS_OK)
		return true;
	printf("%s: ", verification->path);
	if (version > 0)
		printf("version %lld: ", (long long) version);
	printf("%s: %s\n", check, status == HDMS_OK ? "ok" : hdms_status_sentence(status));
	return true;
}

static void
verify_file(Verification *verification, const char *path)
{
	HdmsBytes	text = {0};
	HdmsStatus	status = HDMS_BAD_FORMAT;

	verification->path = path;
	if (tool_read(path, &text))
		status = hdms_evidence_verify_file((const char *) text.data, text.len, verification->network, print_check,
										   verification, NULL, NULL);
	else
		printf("%s: file: cannot be read\n", path);
	hdms_bytes_wipe(&text);
	if (status == HDMS_OK)
		verification->verified++;
	else
		verification->failed++;
}

static int
is_json_file(const struct dirent *entry)
{
	size_t		len = strlen(entry->d_name);

	return len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

/* Each *.json of a folder, by name. A folder without any was not what was meant. */
static void
verify_folder(Verification *verification, const char *folder)
{
	struct dirent **entries = NULL;
	int			count = scandir(folder, &entries, is_json_file, alphasort);

	verification->is_folder = true;
	if (count <= 0)
	{
		printf("%s: folder: %s\n", folder, count < 0 ? strerror(errno) : "there is no *.json in it");
		verification->failed++;
	}
	for (int i = 0; i < count; i++)
	{
		char	   *path = NULL;

		if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0)
			path = NULL;
		if (path != NULL)
			verify_file(verification, path);
		else
			verification->failed++;
		free(path);
		free(entries[i]);
	}
	free(entries);
	verification->is_folder = false;
}

static int
verify(int argc, char **argv)
{
	Verification verification = {0};
	const ToolOption options[] = {{"network", &verification.network}, {NULL, NULL}};
	const char **paths = calloc((size_t) argc, sizeof(*paths));
	int			count = 0;

	if (paths == NULL)
		return tool_refuse("state verify", HDMS_OUT_OF_MEMORY);
	if (!tool_options(argc, argv, options, paths, argc, &count) || count == 0 || verification.network == NULL
		|| !hdms_is_digest_text(verification.network, strlen(verification.network)))
	{
		free(paths);
		return tool_usage(usage);
	}
	for (int i = 0; i < count; i++)
	{
		struct stat what;

		if (stat(paths[i], &what) == 0 && S_ISDIR(what.st_mode))
			verify_folder(&verification, paths[i]);
		else
			verify_file(&verification, paths[i]);
	}
	free(paths);
	printf("%d verified, %d failed\n", verification.verified, verification.failed);
	if (fflush(stdout) != 0)
		return TOOL_REFUSED;
	return verification.failed == 0 ? TOOL_DONE : TOOL_REFUSED;
}

int
tool_state(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "show") == 0)
		return show(argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[1], "verify") == 0)
		return verify(argc - 1, argv + 1);
	return tool_usage(usage);
}
