/*
 * receipt.c
 *		A notary's leaf and receipt: C2SP tlog-proof.
 *
 * The "extra" line, which the format leaves unauthenticated, carries the leaf: it is
 * what the proof is about, so the proof authenticates it.
 */
#include "receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "note_lines.h"

#define RECEIPT_HEAD	"c2sp.org/tlog-proof@v1\nextra "
#define RECEIPT_INDEX	"\nindex "
#define HASH_TEXT		44		/* a hash in base64 */
#define LEAF_TEXT		96		/* HDMS_LEAF_SIZE in base64: a multiple of three bytes, so without padding */
#define RECEIPT_MAX		(HDMS_NOTE_MAX + 256 + HDMS_MERKLE_MAX_PROOF * (HASH_TEXT + 1))

void
hdms_leaf_write(const HdmsLeaf *leaf, unsigned char out[HDMS_LEAF_SIZE])
{
	for (int i = 0; i < 8; i++)
		out[i] = (unsigned char) ((uint64_t) leaf->time_ms >> (56 - 8 * i));
	memcpy(out + 8, leaf->tag, HDMS_DIGEST_SIZE);
	memcpy(out + 8 + HDMS_DIGEST_SIZE, leaf->request, HDMS_DIGEST_SIZE);
}

HdmsStatus
hdms_leaf_read(const void *data, size_t len, HdmsLeaf *leaf)
{
	const unsigned char *bytes = data;
	uint64_t	time = 0;

	if (len != HDMS_LEAF_SIZE)
		return HDMS_BAD_FORMAT;
	for (int i = 0; i < 8; i++)
		time = time << 8 | bytes[i];
	if (time > INT64_MAX)
		return HDMS_BAD_FORMAT;
	leaf->time_ms = (int64_t) time;
	memcpy(leaf->tag, bytes + 8, HDMS_DIGEST_SIZE);
	memcpy(leaf->request, bytes + 8 + HDMS_DIGEST_SIZE, HDMS_DIGEST_SIZE);
	return HDMS_OK;
}

/* Whether the leaf is at that place under the checkpoint's root. */
static HdmsStatus
check_inclusion(const HdmsLeaf *leaf, uint64_t index, const HdmsHash *proof, int count, const HdmsCheckpoint *checkpoint)
{
	unsigned char bytes[HDMS_LEAF_SIZE];
	HdmsHash	hash;
	HdmsStatus	status;

	hdms_leaf_write(leaf, bytes);
	status = hdms_merkle_leaf(bytes, sizeof(bytes), hash);
	if (status != HDMS_OK)
		return status;
	return hdms_merkle_verify_inclusion(index, checkpoint->size, hash, proof, count, checkpoint->root);
}

HdmsStatus
hdms_receipt_build(const HdmsLeaf *leaf, uint64_t index, const HdmsHash *proof, int count,
				   const char *checkpoint_note, char **receipt)
{
	HdmsCheckpoint checkpoint;
	unsigned char bytes[HDMS_LEAF_SIZE];
	char	   *encoded = NULL;
	char	   *result = NULL;
	char	   *at;
	size_t		note_len = strlen(checkpoint_note);
	size_t		size;
	HdmsStatus	status;

	if (leaf->time_ms < 0 || count < 0 || count > HDMS_MERKLE_MAX_PROOF)
		return HDMS_BAD_ARGUMENT;

	/* A notary that would hand out a receipt that nobody accepts should notice first. */
	status = hdms_checkpoint_parse(checkpoint_note, note_len, &checkpoint);
	if (status == HDMS_OK)
		status = check_inclusion(leaf, index, proof, count, &checkpoint);
	if (status != HDMS_OK)
		return status;

	size = sizeof(RECEIPT_HEAD) + LEAF_TEXT + sizeof(RECEIPT_INDEX) + 20 + (size_t) count * (HASH_TEXT + 1) + 2 + note_len + 1;
	result = malloc(size);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	hdms_leaf_write(leaf, bytes);
	status = hdms_base64_encode(bytes, sizeof(bytes), &encoded);
	if (status != HDMS_OK)
		goto cleanup;
	at = result + sprintf(result, RECEIPT_HEAD "%s" RECEIPT_INDEX "%llu\n", encoded, (unsigned long long) index);
	for (int i = 0; i < count; i++)
	{
		free(encoded);
		encoded = NULL;
		status = hdms_base64_encode(proof[i], sizeof(proof[i]), &encoded);
		if (status != HDMS_OK)
			goto cleanup;
		memcpy(at, encoded, HASH_TEXT);
		at += HASH_TEXT;
		*at++ = '\n';
	}
	*at++ = '\n';
	memcpy(at, checkpoint_note, note_len + 1);
	*receipt = result;
	result = NULL;

cleanup:
	free(encoded);
	free(result);
	return status;
}

/* The base64 text of exactly size bytes at the cursor, which moves behind it. */
static HdmsStatus
read_base64(const char **at, const char *end, size_t text_len, void *out, size_t size)
{
	HdmsBytes	bytes = {0};
	HdmsStatus	status;

	if ((size_t) (end - *at) < text_len)
		return HDMS_BAD_FORMAT;
	status = hdms_base64_decode(*at, text_len, &bytes);
	if (status != HDMS_OK)
		return status;
	if (bytes.len == size)
	{
		memcpy(out, bytes.data, size);
		*at += text_len;
	}
	else
		status = HDMS_BAD_FORMAT;
	hdms_bytes_free(&bytes);
	return status;
}

static bool
read_literal(const char **at, const char *end, const char *literal)
{
	size_t		len = strlen(literal);

	if ((size_t) (end - *at) < len || memcmp(*at, literal, len) != 0)
		return false;
	*at += len;
	return true;
}

/* Everything before the checkpoint; *note is where that begins. */
static HdmsStatus
read_proof(const char *receipt, size_t len, HdmsLeaf *leaf, uint64_t *index, HdmsHash proof[HDMS_MERKLE_MAX_PROOF], int *count,
		   const char **note)
{
	const char *at = receipt;
	const char *end = receipt + len;
	const char *line_feed;
	unsigned char bytes[HDMS_LEAF_SIZE];
	int			found = 0;
	HdmsStatus	status;

	if (!read_literal(&at, end, RECEIPT_HEAD))
		return HDMS_BAD_FORMAT;
	status = read_base64(&at, end, LEAF_TEXT, bytes, sizeof(bytes));
	if (status == HDMS_OK)
		status = hdms_leaf_read(bytes, sizeof(bytes), leaf);
	if (status != HDMS_OK)
		return status;
	if (!read_literal(&at, end, RECEIPT_INDEX))
		return HDMS_BAD_FORMAT;
	line_feed = memchr(at, '\n', (size_t) (end - at));
	if (line_feed == NULL)
		return HDMS_BAD_FORMAT;
	status = hdms_note_number(at, (size_t) (line_feed - at), index);
	if (status != HDMS_OK)
		return status;
	at = line_feed + 1;
	while (!read_literal(&at, end, "\n"))
	{
		if (found == HDMS_MERKLE_MAX_PROOF)
			return HDMS_TOO_LARGE;
		status = read_base64(&at, end, HASH_TEXT, proof[found], sizeof(proof[found]));
		if (status != HDMS_OK)
			return status;
		if (!read_literal(&at, end, "\n"))
			return HDMS_BAD_FORMAT;
		found++;
	}
	*count = found;
	*note = at;
	return HDMS_OK;
}

HdmsStatus
hdms_receipt_peek(const char *receipt, size_t len, HdmsLeaf *leaf, uint64_t *index)
{
	HdmsLeaf	found_leaf;
	uint64_t	found_index;
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			count;
	const char *note;
	HdmsStatus	status = len > RECEIPT_MAX ? HDMS_TOO_LARGE : read_proof(receipt, len, &found_leaf, &found_index, proof, &count, &note);

	if (status != HDMS_OK)
		return status;
	if (leaf != NULL)
		*leaf = found_leaf;
	if (index != NULL)
		*index = found_index;
	return HDMS_OK;
}

HdmsStatus
hdms_receipt_verify(const char *receipt, size_t len, const char *notary_id, const HdmsKey *log_key,
					HdmsLeaf *leaf, uint64_t *index, HdmsCheckpoint *checkpoint)
{
	HdmsLeaf	found_leaf;
	uint64_t	found_index;
	HdmsCheckpoint found_checkpoint;
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			count;
	const char *note;
	char		origin[HDMS_ORIGIN_MAX];
	HdmsStatus	status;

	if (!hdms_is_digest_text(notary_id, strlen(notary_id)))
		return HDMS_BAD_ARGUMENT;
	if (len > RECEIPT_MAX)
		return HDMS_TOO_LARGE;
	hdms_log_origin(notary_id, origin);
	status = read_proof(receipt, len, &found_leaf, &found_index, proof, &count, &note);
	if (status == HDMS_OK)
		status = hdms_checkpoint_verify(note, (size_t) (receipt + len - note), origin, log_key, &found_checkpoint);
	if (status == HDMS_OK)
		status = check_inclusion(&found_leaf, found_index, proof, count, &found_checkpoint);
	if (status != HDMS_OK)
		return status;
	if (leaf != NULL)
		*leaf = found_leaf;
	if (index != NULL)
		*index = found_index;
	if (checkpoint != NULL)
		*checkpoint = found_checkpoint;
	return HDMS_OK;
}
