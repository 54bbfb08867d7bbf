/*
 * checkpoint.c
 *		hdms-tool checkpoint: checking, signing and cosigning a log's checkpoints.
 *
 * "verify" takes the public key of the log and, where a witness must have cosigned, of that witness. "sign" and "cosign" are for tests
 *		and for looking at how other implementations of C2SP read what is signed here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"
#include "witness.h"

static const char usage[] =
"  hdms-tool checkpoint verify FILE --log FILE.jwk [--witness NODE --cosigner FILE.jwk]\n"
"  hdms-tool checkpoint sign --origin TEXT --size N --root BASE64 --log FILE.jwk\n"
"  hdms-tool checkpoint cosign FILE --witness NODE --cosigner FILE.jwk [--time SECONDS]\n";

/* All options of all commands; those that were not given are NULL. */
typedef struct CheckpointOptions
{
	const char *log;
	const char *witness;
	const char *cosigner;
	const char *origin;
	const char *size;
	const char *root;
	const char *time;
	const char *path;
	int			count;			/* of files */
} CheckpointOptions;

static bool
write_checkpoint(const HdmsCheckpoint *checkpoint)
{
	char		root[HDMS_DIGEST_TEXT + 1];
	char		lines[HDMS_ORIGIN_MAX + 128];

	hdms_base64url_write(checkpoint->root, sizeof(checkpoint->root), root);
	snprintf(lines, sizeof(lines), "origin %s\nsize %" PRIu64 "\nroot %s", checkpoint->origin, checkpoint->size, root);
	return tool_write_line(lines);
}

static bool
write_cosignature(const char *name, int64_t time)
{
	char		line[HDMS_ORIGIN_MAX + 64];

	snprintf(line, sizeof(line), "cosigned %s %" PRId64, name, time);
	return tool_write_line(line);
}

static int
verify_cosignature(const CheckpointOptions *options, const HdmsBytes *note)
{
	char		name[HDMS_ORIGIN_MAX];
	HdmsKey    *cosigner = tool_read_key(options->cosigner);
	int64_t		time;
	HdmsStatus	status;

	if (cosigner == NULL)
		return TOOL_REFUSED;
	hdms_witness_name(options->witness, name);
	status = hdms_cosignature_verify((const char *) note->data, note->len, name, cosigner, &time);
	hdms_key_free(cosigner);
	if (status != HDMS_OK)
		return tool_refuse("the checkpoint was not cosigned by that witness", status);
	return write_cosignature(name, time) ? TOOL_DONE : TOOL_REFUSED;
}

static int
verify(const CheckpointOptions *options)
{
	HdmsBytes	note = {0};
	HdmsKey    *log_key = NULL;
	HdmsCheckpoint checkpoint;
	HdmsStatus	status;
	int			result = TOOL_REFUSED;

	if (!tool_read(options->path, &note) || (log_key = tool_read_key(options->log)) == NULL)
		goto cleanup;
	status = hdms_checkpoint_parse((const char *) note.data, note.len, &checkpoint);
	if (status == HDMS_OK)
		status = hdms_checkpoint_verify((const char *) note.data, note.len, checkpoint.origin, log_key, &checkpoint);
	if (status != HDMS_OK)
		tool_refuse("the checkpoint is refused", status);
	else if (write_checkpoint(&checkpoint))
		result = options->witness == NULL ? TOOL_DONE : verify_cosignature(options, &note);

cleanup:
	hdms_key_free(log_key);
	hdms_bytes_free(&note);
	return result;
}

static int
sign(const CheckpointOptions *options)
{
	HdmsCheckpoint checkpoint = {0};
	HdmsBytes	root = {0};
	HdmsKey    *log_key;
	char	   *note = NULL;
	char	   *end;
	HdmsStatus	status = hdms_base64_decode(options->root, strlen(options->root), &root);

	if (status == HDMS_OK && root.len != sizeof(checkpoint.root))
		status = HDMS_BAD_FORMAT;
	if (status == HDMS_OK)
		memcpy(checkpoint.root, root.data, sizeof(checkpoint.root));
	hdms_bytes_free(&root);
	checkpoint.size = strtoull(options->size, &end, 10);
	if (status == HDMS_OK && (options->size[0] < '0' || options->size[0] > '9' || *end != '\0'
							  || strlen(options->origin) >= sizeof(checkpoint.origin)))
		status = HDMS_BAD_ARGUMENT;
	if (status != HDMS_OK)
		return tool_refuse("no checkpoint was signed", status);
	snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", options->origin);
	if ((log_key = tool_read_key(options->log)) == NULL)
		return TOOL_REFUSED;
	status = hdms_checkpoint_sign(&checkpoint, log_key, &note);
	hdms_key_free(log_key);
	if (status != HDMS_OK)
		return tool_refuse("no checkpoint was signed", status);
	status = tool_write(note, strlen(note)) ? HDMS_OK : HDMS_BAD_ARGUMENT;
	free(note);
	return status == HDMS_OK ? TOOL_DONE : TOOL_REFUSED;
}

static int
cosign(const CheckpointOptions *options)
{
	HdmsBytes	note = {0};
	char		name[HDMS_ORIGIN_MAX];
	HdmsKey    *cosigner = NULL;
	char	   *line = NULL;
	char	   *end = NULL;
	int64_t		at = options->time == NULL ? (int64_t) time(NULL) : strtoll(options->time, &end, 10);
	HdmsStatus	status;
	int			result = TOOL_REFUSED;

	if (end != NULL && (*end != '\0' || end == options->time))
		return tool_usage(usage);
	if (!tool_read(options->path, &note) || (cosigner = tool_read_key(options->cosigner)) == NULL)
		goto cleanup;
	hdms_witness_name(options->witness, name);
	status = hdms_cosignature_sign((const char *) note.data, note.len, name, cosigner, at, &line);
	if (status != HDMS_OK)
		tool_refuse("the checkpoint was not cosigned", status);
	else if (tool_write(line, strlen(line)))
		result = TOOL_DONE;

cleanup:
	free(line);
	hdms_key_free(cosigner);
	hdms_bytes_free(&note);
	return result;
}

static bool
is_witness(const CheckpointOptions *options)
{
	return options->witness != NULL && options->cosigner != NULL && hdms_is_digest_text(options->witness, strlen(options->witness));
}

int
tool_checkpoint(int argc, char **argv)
{
	CheckpointOptions given = {0};
	const ToolOption options[] = {
		{"log", &given.log}, {"witness", &given.witness}, {"cosigner", &given.cosigner}, {"origin", &given.origin},
		{"size", &given.size}, {"root", &given.root}, {"time", &given.time}, {NULL, NULL}
	};
	bool		signs;

	if (argc < 2 || !tool_options(argc - 1, argv + 1, options, &given.path, 1, &given.count))
		return tool_usage(usage);
	signs = given.origin != NULL || given.size != NULL || given.root != NULL;
	if (strcmp(argv[1], "verify") == 0 && given.count == 1 && given.log != NULL && !signs && given.time == NULL
		&& (is_witness(&given) || (given.witness == NULL && given.cosigner == NULL)))
		return verify(&given);
	if (strcmp(argv[1], "sign") == 0 && given.count == 0 && given.log != NULL && given.origin != NULL && given.size != NULL
		&& given.root != NULL && given.witness == NULL && given.cosigner == NULL && given.time == NULL)
		return sign(&given);
	if (strcmp(argv[1], "cosign") == 0 && given.count == 1 && is_witness(&given) && given.log == NULL && !signs)
		return cosign(&given);
	return tool_usage(usage);
}
