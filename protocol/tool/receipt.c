/*
 * receipt.c
 *		hdms-tool receipt: checking a notary's receipts.
 *
 * The log's key is either given, or taken from a list of notaries that the given
 * network key has signed; which notary it is about, the receipt says itself.
 */
#include "receipt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admission.h"
#include "tool.h"

static const char usage[] =
"  hdms-tool receipt verify FILE --log FILE.jwk                         with the notary's log key\n"
"  hdms-tool receipt verify FILE --notaries FILE --network FILE.jwk     with the network's list of notaries\n";

/* The node id in the origin of the receipt's checkpoint, which nobody has verified yet. */
static HdmsStatus
claimed_notary(const HdmsBytes *receipt, char node[HDMS_DIGEST_TEXT + 1])
{
	const char *text = (const char *) receipt->data;
	const char *note = memmem(text, receipt->len, "\n\n", 2);
	HdmsCheckpoint checkpoint;
	char		origin[HDMS_ORIGIN_MAX];
	const char *last;
	HdmsStatus	status;

	if (note == NULL)
		return HDMS_BAD_FORMAT;
	note += 2;
	status = hdms_checkpoint_parse(note, receipt->len - (size_t) (note - text), &checkpoint);
	if (status != HDMS_OK)
		return status;
	last = strrchr(checkpoint.origin, '/');
	if (last == NULL || !hdms_is_digest_text(last + 1, strlen(last + 1)))
		return HDMS_BAD_CLAIM;
	hdms_log_origin(last + 1, origin);
	if (strcmp(origin, checkpoint.origin) != 0)
		return HDMS_BAD_CLAIM;
	strcpy(node, last + 1);
	return HDMS_OK;
}

/* The log key of that notary in the list; NULL after a line on stderr. */
static HdmsKey *
listed_log_key(const char *list_path, const char *network_path, const char *node)
{
	HdmsBytes	jws = {0};
	HdmsNotaryList list = {0};
	HdmsKey    *network = tool_read_key(network_path);
	HdmsKey    *result = NULL;
	HdmsStatus	status;

	if (network == NULL || !tool_read_line(list_path, &jws))
		goto cleanup;
	status = hdms_notaries_parse((const char *) jws.data, jws.len, network, &list);
	if (status != HDMS_OK)
	{
		tool_refuse("the list of notaries is refused", status);
		goto cleanup;
	}
	if (hdms_notaries_find(&list, node) == NULL)
	{
		tool_refuse("the receipt's notary is not in the list", HDMS_NOT_ADMITTED);
		goto cleanup;
	}
	result = hdms_key_share(hdms_notaries_find(&list, node)->log);

cleanup:
	hdms_notaries_free(&list);
	hdms_bytes_free(&jws);
	hdms_key_free(network);
	return result;
}

static bool
write_findings(const char *node, const HdmsLeaf *leaf, uint64_t index, const HdmsCheckpoint *checkpoint)
{
	time_t		seconds = (time_t) (leaf->time_ms / 1000);
	struct tm	utc;
	char		when[64] = "";
	char		tag[HDMS_DIGEST_TEXT + 1];
	char		request[HDMS_DIGEST_TEXT + 1];
	char		root[HDMS_DIGEST_TEXT + 1];
	char		lines[640];

	/* A leaf may claim a year that no calendar has; the number is printed all the same. */
	if (gmtime_r(&seconds, &utc) != NULL)
		strftime(when, sizeof(when), " (%Y-%m-%dT%H:%M:%SZ)", &utc);
	hdms_base64url_write(leaf->tag, sizeof(leaf->tag), tag);
	hdms_base64url_write(leaf->request, sizeof(leaf->request), request);
	hdms_base64url_write(checkpoint->root, sizeof(checkpoint->root), root);
	snprintf(lines, sizeof(lines), "notary %s\ntime_ms %" PRId64 "%s\ntag %s\nrequest %s\nindex %" PRIu64 "\nsize %" PRIu64 "\nroot %s",
			 node, leaf->time_ms, when, tag, request, index, checkpoint->size, root);
	return tool_write_line(lines);
}

static int
verify(const char *path, const char *log_path, const char *list_path, const char *network_path)
{
	HdmsBytes	receipt = {0};
	HdmsKey    *log_key = NULL;
	char		node[HDMS_DIGEST_TEXT + 1];
	HdmsLeaf	leaf;
	uint64_t	index;
	HdmsCheckpoint checkpoint;
	HdmsStatus	status;
	int			result = TOOL_REFUSED;

	if (!tool_read(path, &receipt))
		return TOOL_REFUSED;
	status = claimed_notary(&receipt, node);
	if (status != HDMS_OK)
	{
		tool_refuse("the receipt is refused", status);
		goto cleanup;
	}
	log_key = log_path != NULL ? tool_read_key(log_path) : listed_log_key(list_path, network_path, node);
	if (log_key == NULL)
		goto cleanup;
	status = hdms_receipt_verify((const char *) receipt.data, receipt.len, node, log_key, &leaf, &index, &checkpoint);
	if (status != HDMS_OK)
		tool_refuse("the receipt is refused", status);
	else if (write_findings(node, &leaf, index, &checkpoint))
		result = TOOL_DONE;

cleanup:
	hdms_key_free(log_key);
	hdms_bytes_free(&receipt);
	return result;
}

int
tool_receipt(int argc, char **argv)
{
	const char *log_path = NULL;
	const char *list_path = NULL;
	const char *network_path = NULL;
	const char *path = NULL;
	const ToolOption options[] = {{"log", &log_path}, {"notaries", &list_path}, {"network", &network_path}, {NULL, NULL}};
	int			count = 0;

	if (argc < 2 || strcmp(argv[1], "verify") != 0)
		return tool_usage(usage);
	if (!tool_options(argc - 1, argv + 1, options, &path, 1, &count) || count != 1 ||
		(log_path == NULL) != (list_path != NULL) || (list_path == NULL) != (network_path == NULL))
		return tool_usage(usage);
	return verify(path, log_path, list_path, network_path);
}
