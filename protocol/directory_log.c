/*
 * directory_log.c
 *		The directory as a log: its leaves, bundles and checkpoints.
 */
#include "directory_log.h"

#include <stdio.h>
#include <string.h>

#define PREFIX	"hdms.v1/directory/"

HdmsStatus
hdms_directory_leaf_make(HdmsDirectoryKind kind, const char *node_id, uint32_t seq, const char *jws, HdmsDirectoryLeaf *leaf)
{
	const char *dot = strrchr(jws, '.');
	HdmsDirectoryLeaf result = {.kind = kind, .seq = seq};
	HdmsStatus	status = dot == NULL ? HDMS_BAD_FORMAT : hdms_sha256(node_id, strlen(node_id), result.subject);

	if (status == HDMS_OK)
		status = hdms_sha256(jws, (size_t) (dot - jws), result.statement);
	if (status == HDMS_OK)
		*leaf = result;
	return status;
}

void
hdms_directory_leaf_write(const HdmsDirectoryLeaf *leaf, unsigned char bytes[HDMS_DIRECTORY_LEAF_SIZE])
{
	unsigned char *at = bytes;

	*at++ = (unsigned char) leaf->kind;
	memcpy(at, leaf->subject, sizeof(leaf->subject));
	at += sizeof(leaf->subject);
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = (unsigned char) (leaf->seq >> shift);
	memcpy(at, leaf->statement, sizeof(leaf->statement));
}

HdmsStatus
hdms_directory_leaf_read(const unsigned char *bytes, size_t len, HdmsDirectoryLeaf *leaf)
{
	HdmsDirectoryLeaf result;

	if (len != HDMS_DIRECTORY_LEAF_SIZE || bytes[0] > HDMS_DIRECTORY_ADMISSION)
		return HDMS_BAD_FORMAT;
	result.kind = (HdmsDirectoryKind) bytes[0];
	memcpy(result.subject, bytes + 1, sizeof(result.subject));
	bytes += 1 + sizeof(result.subject);
	result.seq = (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 | bytes[3];
	memcpy(result.statement, bytes + 4, sizeof(result.statement));
	*leaf = result;
	return HDMS_OK;
}

void
hdms_directory_origin(const char *network_thumbprint, int64_t generation, char origin[HDMS_ORIGIN_MAX])
{
	snprintf(origin, HDMS_ORIGIN_MAX, PREFIX "%s/%lld", network_thumbprint, (long long) generation);
}

/* The generation that an origin ends with; 0 when it is not written as one. */
static int64_t
read_generation(const char *origin)
{
	const char *digit = strrchr(origin, '/');
	int64_t		generation = 0;

	if (digit == NULL || digit[1] < '1' || digit[1] > '9' || strlen(digit + 1) > 17)
		return 0;
	while (*++digit != '\0')
	{
		if (*digit < '0' || *digit > '9')
			return 0;
		generation = generation * 10 + (*digit - '0');
	}
	return generation;
}

HdmsStatus
hdms_directory_checkpoint_verify(const char *note, size_t len, const HdmsKey *network, HdmsCheckpoint *checkpoint,
								 int64_t *generation)
{
	HdmsCheckpoint claimed;
	char		origin[HDMS_ORIGIN_MAX];
	int64_t		found;
	HdmsStatus	status = hdms_checkpoint_parse(note, len, &claimed);

	if (status != HDMS_OK)
		return status;
	found = read_generation(claimed.origin);
	if (found == 0)
		return HDMS_BAD_CLAIM;
	hdms_directory_origin(hdms_key_thumbprint(network), found, origin);
	status = hdms_checkpoint_verify(note, len, origin, network, &claimed);
	if (status != HDMS_OK)
		return status;
	*checkpoint = claimed;
	*generation = found;
	return HDMS_OK;
}

HdmsStatus
hdms_bundle_next(const unsigned char **at, const unsigned char *end, const unsigned char **entry, size_t *len)
{
	size_t		found;

	if (end - *at < 2)
		return HDMS_BAD_FORMAT;
	found = (size_t) (*at)[0] << 8 | (*at)[1];
	if ((size_t) (end - *at) - 2 < found)
		return HDMS_BAD_FORMAT;
	*entry = *at + 2;
	*len = found;
	*at += 2 + found;
	return HDMS_OK;
}
