/*
 * checkpoint.c
 *		C2SP tlog checkpoints and cosignatures: what a log and its witnesses promise.
 *
 * A checkpoint's text is origin, size and root hash, each on a line; more lines are
 * allowed and signed, but mean nothing here.
 */
#include "note_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE_SIZE	64
#define TIME_SIZE		8

/* The next line of a text whose lines all end in a line feed. */
static bool
next_line(const char **at, const char *end, const char **line, size_t *len)
{
	const char *line_feed;

	if (*at >= end)
		return false;
	line_feed = memchr(*at, '\n', (size_t) (end - *at));
	if (line_feed == NULL)
		return false;
	*line = *at;
	*len = (size_t) (line_feed - *at);
	*at = line_feed + 1;
	return true;
}

/* A note's text as checkpoint. */
static HdmsStatus
read_text(const char *text, size_t text_len, HdmsCheckpoint *checkpoint)
{
	HdmsCheckpoint result = {0};
	const char *at = text;
	const char *end = text + text_len;
	const char *line;
	size_t		len;
	HdmsBytes	root = {0};
	HdmsStatus	status;

	if (!next_line(&at, end, &line, &len) || len == 0)
		return HDMS_BAD_FORMAT;
	if (len >= sizeof(result.origin))
		return HDMS_TOO_LARGE;
	memcpy(result.origin, line, len);

	if (!next_line(&at, end, &line, &len))
		return HDMS_BAD_FORMAT;
	status = hdms_note_number(line, len, &result.size);
	if (status != HDMS_OK)
		return status;

	if (!next_line(&at, end, &line, &len))
		return HDMS_BAD_FORMAT;
	status = hdms_base64_decode(line, len, &root);
	if (status != HDMS_OK)
		return status;
	status = root.len == sizeof(result.root) ? HDMS_OK : HDMS_BAD_FORMAT;
	if (status == HDMS_OK)
		memcpy(result.root, root.data, sizeof(result.root));
	hdms_bytes_free(&root);
	while (status == HDMS_OK && at < end)
	{
		if (!next_line(&at, end, &line, &len) || len == 0)
			status = HDMS_BAD_FORMAT;
	}
	if (status == HDMS_OK)
		*checkpoint = result;
	return status;
}

/* The message of cosignature/v1: two lines before the text. */
static HdmsStatus
cosigned_message(const HdmsNoteParts *parts, int64_t time, HdmsBytes *message)
{
	char		head[64];
	size_t		head_len = (size_t) snprintf(head, sizeof(head), "cosignature/v1\ntime %lld\n", (long long) time);
	unsigned char *data = malloc(head_len + parts->text_len);

	if (data == NULL)
		return HDMS_OUT_OF_MEMORY;
	memcpy(data, head, head_len);
	memcpy(data + head_len, parts->text, parts->text_len);
	message->data = data;
	message->len = head_len + parts->text_len;
	return HDMS_OK;
}

void
hdms_log_origin(const char *node_id, char origin[HDMS_ORIGIN_MAX])
{
	snprintf(origin, HDMS_ORIGIN_MAX, "hdms.v1/log/%s", node_id);
}

void
hdms_ledger_origin(const char *node_id, int64_t epoch, char origin[HDMS_ORIGIN_MAX])
{
	if (epoch > 1)
		snprintf(origin, HDMS_ORIGIN_MAX, "hdms.v1/ledger/%s/%lld", node_id, (long long) epoch);
	else
		snprintf(origin, HDMS_ORIGIN_MAX, "hdms.v1/ledger/%s", node_id);
}

void
hdms_witness_name(const char *node_id, char name[HDMS_ORIGIN_MAX])
{
	snprintf(name, HDMS_ORIGIN_MAX, "hdms.v1/witness/%s", node_id);
}

HdmsStatus
hdms_checkpoint_sign(const HdmsCheckpoint *checkpoint, const HdmsKey *log_key, char **note)
{
	unsigned char id[HDMS_NOTE_KEY_ID_SIZE];
	HdmsBytes	signature = {0};
	char	   *root = NULL;
	char	   *text = NULL;
	char	   *line = NULL;
	char	   *result = NULL;
	int			text_len;
	HdmsStatus	status;

	if (memchr(checkpoint->origin, '\0', sizeof(checkpoint->origin)) == NULL || checkpoint->size > INT64_MAX)
		return HDMS_BAD_ARGUMENT;
	status = hdms_note_key_id(checkpoint->origin, log_key, HDMS_NOTE_LOG, id);
	if (status == HDMS_OK)
		status = hdms_base64_encode(checkpoint->root, sizeof(checkpoint->root), &root);
	if (status != HDMS_OK)
		goto cleanup;
	text_len = asprintf(&text, "%s\n%llu\n%s\n", checkpoint->origin, (unsigned long long) checkpoint->size, root);
	if (text_len < 0)
	{
		text = NULL;
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	status = hdms_key_sign(log_key, text, (size_t) text_len, &signature);
	if (status == HDMS_OK)
		status = hdms_note_line(checkpoint->origin, id, signature.data, signature.len, &line);
	if (status != HDMS_OK)
		goto cleanup;
	if (asprintf(&result, "%s\n%s", text, line) < 0)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	*note = result;

cleanup:
	hdms_bytes_free(&signature);
	free(root);
	free(text);
	free(line);
	return status;
}

HdmsStatus
hdms_checkpoint_verify(const char *note, size_t len, const char *origin, const HdmsKey *log_key, HdmsCheckpoint *checkpoint)
{
	HdmsNoteParts parts = {0};
	HdmsCheckpoint result;
	unsigned char id[HDMS_NOTE_KEY_ID_SIZE];
	const unsigned char *signature;
	size_t		signature_len;
	HdmsStatus	status = hdms_note_split(note, len, &parts);

	if (status == HDMS_OK)
		status = read_text(parts.text, parts.text_len, &result);
	if (status == HDMS_OK && strcmp(result.origin, origin) != 0)
		status = HDMS_BAD_CLAIM;
	if (status == HDMS_OK)
		status = hdms_note_key_id(origin, log_key, HDMS_NOTE_LOG, id);
	if (status == HDMS_OK)
		status = hdms_note_find(&parts, origin, id, &signature, &signature_len);
	if (status == HDMS_OK)
		status = hdms_key_verify(log_key, parts.text, parts.text_len, signature, signature_len);
	if (status == HDMS_OK)
		*checkpoint = result;
	hdms_note_parts_free(&parts);
	return status;
}

HdmsStatus
hdms_checkpoint_parse(const char *note, size_t len, HdmsCheckpoint *checkpoint)
{
	HdmsNoteParts parts = {0};
	HdmsStatus	status = hdms_note_split(note, len, &parts);

	if (status == HDMS_OK)
		status = read_text(parts.text, parts.text_len, checkpoint);
	hdms_note_parts_free(&parts);
	return status;
}

HdmsStatus
hdms_cosignature_sign(const char *note, size_t len, const char *name, const HdmsKey *cosigner, int64_t time, char **line)
{
	HdmsNoteParts parts = {0};
	HdmsCheckpoint checkpoint;
	unsigned char id[HDMS_NOTE_KEY_ID_SIZE];
	unsigned char stamped[TIME_SIZE + SIGNATURE_SIZE];
	HdmsBytes	message = {0};
	HdmsBytes	signature = {0};
	HdmsStatus	status;

	if (time < 0)
		return HDMS_BAD_ARGUMENT;
	status = hdms_note_split(note, len, &parts);
	if (status == HDMS_OK)
		status = read_text(parts.text, parts.text_len, &checkpoint);
	if (status == HDMS_OK)
		status = hdms_note_key_id(name, cosigner, HDMS_NOTE_COSIGNATURE, id);
	if (status == HDMS_OK)
		status = cosigned_message(&parts, time, &message);
	if (status == HDMS_OK)
		status = hdms_key_sign(cosigner, message.data, message.len, &signature);
	if (status == HDMS_OK && signature.len != SIGNATURE_SIZE)
		status = HDMS_CRYPTO_FAILED;
	if (status == HDMS_OK)
	{
		for (int i = 0; i < TIME_SIZE; i++)
			stamped[i] = (unsigned char) ((uint64_t) time >> (8 * (TIME_SIZE - 1 - i)));
		memcpy(stamped + TIME_SIZE, signature.data, SIGNATURE_SIZE);
		status = hdms_note_line(name, id, stamped, sizeof(stamped), line);
	}
	hdms_bytes_free(&signature);
	hdms_bytes_free(&message);
	hdms_note_parts_free(&parts);
	return status;
}

HdmsStatus
hdms_cosignature_verify(const char *note, size_t len, const char *name, const HdmsKey *cosigner, int64_t *time)
{
	HdmsNoteParts parts = {0};
	HdmsCheckpoint checkpoint;
	unsigned char id[HDMS_NOTE_KEY_ID_SIZE];
	const unsigned char *stamped;
	size_t		stamped_len;
	uint64_t	stamp = 0;
	HdmsBytes	message = {0};
	HdmsStatus	status = hdms_note_split(note, len, &parts);

	if (status == HDMS_OK)
		status = read_text(parts.text, parts.text_len, &checkpoint);
	if (status == HDMS_OK)
		status = hdms_note_key_id(name, cosigner, HDMS_NOTE_COSIGNATURE, id);
	if (status == HDMS_OK)
		status = hdms_note_find(&parts, name, id, &stamped, &stamped_len);
	if (status == HDMS_OK && stamped_len != TIME_SIZE + SIGNATURE_SIZE)
		status = HDMS_BAD_SIGNATURE;
	if (status == HDMS_OK)
	{
		for (int i = 0; i < TIME_SIZE; i++)
			stamp = stamp << 8 | stamped[i];
		status = stamp > INT64_MAX ? HDMS_BAD_SIGNATURE : cosigned_message(&parts, (int64_t) stamp, &message);
	}
	if (status == HDMS_OK)
		status = hdms_key_verify(cosigner, message.data, message.len, stamped + TIME_SIZE, SIGNATURE_SIZE);
	if (status == HDMS_OK)
		*time = (int64_t) stamp;
	hdms_bytes_free(&message);
	hdms_note_parts_free(&parts);
	return status;
}
