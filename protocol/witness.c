/*
 * witness.c
 *		What a log and its witnesses say to each other (C2SP tlog-witness), and cosigned checkpoints.
 *
 * The log's request is parsed whole before anything of it counts; the note at its end is
 * checked by hdms_note_split(), so that a request that passed can be stored and shown.
 */
#include "witness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history_inside.h"
#include "note_lines.h"

#define OLD			"old "
#define HASH_LINE	45			/* base64 of a hash and a line feed */

/* Rules that do not depend on what was seen. */
static HdmsStatus
check_sizes(uint64_t old_size, int count, uint64_t size)
{
	if (old_size > size)
		return HDMS_BAD_CLAIM;
	return count > 0 && (old_size == 0 || old_size == size) ? HDMS_BAD_PROOF : HDMS_OK;
}

HdmsStatus
hdms_witness_request_build(uint64_t old_size, const HdmsHash *proof, int count, const char *note, char **request)
{
	HdmsCheckpoint checkpoint;
	char		lines[HDMS_WITNESS_MAX_PROOF * HASH_LINE + 1] = "";
	HdmsStatus	status;

	if (count < 0 || count > HDMS_WITNESS_MAX_PROOF
		|| hdms_checkpoint_parse(note, strlen(note), &checkpoint) != HDMS_OK
		|| check_sizes(old_size, count, checkpoint.size) != HDMS_OK)
		return HDMS_BAD_ARGUMENT;
	for (int i = 0; i < count; i++)
	{
		char	   *encoded = NULL;

		status = hdms_base64_encode(proof[i], sizeof(proof[i]), &encoded);
		if (status != HDMS_OK)
			return status;
		snprintf(lines + (size_t) i * HASH_LINE, HASH_LINE + 1, "%s\n", encoded);
		free(encoded);
	}
	{
		char	   *result = NULL;

		if (asprintf(&result, OLD "%" PRIu64 "\n%s\n%s", old_size, lines, note) < 0)
			return HDMS_OUT_OF_MEMORY;
		*request = result;
	}
	return HDMS_OK;
}

static HdmsStatus
read_hash(const char *line, size_t len, HdmsHash hash)
{
	HdmsBytes	bytes = {0};
	HdmsStatus	status;

	if (len != HASH_LINE - 1)
		return HDMS_BAD_FORMAT;
	status = hdms_base64_decode(line, len, &bytes);
	if (status == HDMS_OK && bytes.len != HDMS_DIGEST_SIZE)
		status = HDMS_BAD_FORMAT;
	if (status == HDMS_OK)
		memcpy(hash, bytes.data, HDMS_DIGEST_SIZE);
	hdms_bytes_free(&bytes);
	return status;
}

HdmsStatus
hdms_witness_request_parse(const char *text, size_t len, HdmsWitnessRequest *request)
{
	HdmsWitnessRequest result = {0};
	const char *at = text;
	const char *end = text + len;
	bool		is_first = true;
	HdmsStatus	status;

	for (;;)
	{
		const char *line_feed = at < end ? memchr(at, '\n', (size_t) (end - at)) : NULL;
		size_t		line_len;

		if (line_feed == NULL)
			return HDMS_BAD_FORMAT;
		line_len = (size_t) (line_feed - at);
		if (is_first)
		{
			if (line_len <= strlen(OLD) || memcmp(at, OLD, strlen(OLD)) != 0)
				return HDMS_BAD_FORMAT;
			status = hdms_note_number(at + strlen(OLD), line_len - strlen(OLD), &result.old_size);
		}
		else if (line_len == 0)
			break;
		else if (result.count == HDMS_WITNESS_MAX_PROOF)
			status = HDMS_TOO_LARGE;
		else
			status = read_hash(at, line_len, result.proof[result.count++]);
		if (status != HDMS_OK)
			return status;
		is_first = false;
		at = line_feed + 1;
	}
	result.note = at + 1;
	result.note_len = (size_t) (end - result.note);
	status = hdms_checkpoint_parse(result.note, result.note_len, &result.checkpoint);
	if (status == HDMS_OK)
		status = check_sizes(result.old_size, result.count, result.checkpoint.size);
	if (status == HDMS_OK)
		*request = result;
	return status;
}

HdmsStatus
hdms_witness_request_verify(const HdmsWitnessRequest *request, const HdmsHash seen_root)
{
	const HdmsCheckpoint *checkpoint = &request->checkpoint;
	HdmsHash	empty;
	HdmsStatus	status;

	if (request->old_size == checkpoint->size)
		return memcmp(seen_root, checkpoint->root, sizeof(checkpoint->root)) == 0 ? HDMS_OK : HDMS_BAD_PROOF;
	if (request->old_size == 0)
	{
		/* Everything continues the empty tree. */
		status = hdms_merkle_empty(empty);
		return status != HDMS_OK ? status : memcmp(seen_root, empty, sizeof(empty)) == 0 ? HDMS_OK : HDMS_BAD_PROOF;
	}
	return hdms_merkle_verify_consistency(request->old_size, checkpoint->size, seen_root, checkpoint->root,
										  request->proof, request->count);
}

bool
hdms_is_log_of(const char *origin, const char *node_id)
{
	char		expected[HDMS_ORIGIN_MAX];
	const char *last = strrchr(origin, '/');
	uint64_t	epoch = 1;

	hdms_log_origin(node_id, expected);
	if (strcmp(origin, expected) == 0)
		return true;
	if (last == NULL || hdms_note_number(last + 1, strlen(last + 1), &epoch) != HDMS_OK)
		epoch = 1;
	hdms_ledger_origin(node_id, (int64_t) epoch, expected);
	return strcmp(origin, expected) == 0;
}

HdmsStatus
hdms_checkpoint_verify_ever(const char *note, size_t len, const char *origin, const HdmsHistory *history,
							HdmsCheckpoint *checkpoint)
{
	HdmsCheckpoint ignored;
	const HdmsKey *tried = NULL;
	HdmsStatus	status = HDMS_UNKNOWN_KEY;

	/* Newest first; an entry that changes other keys repeats the log's. */
	for (int i = history->length - 1; i >= 0 && status != HDMS_OK; i--)
	{
		const HdmsKey *key = history->entries[i].keys[HDMS_ROLE_LOG];

		if (key == NULL || (tried != NULL && strcmp(hdms_key_thumbprint(key), hdms_key_thumbprint(tried)) == 0))
			continue;
		tried = key;
		status = hdms_checkpoint_verify(note, len, origin, key, checkpoint != NULL ? checkpoint : &ignored);
		if (status != HDMS_OK && status != HDMS_BAD_SIGNATURE)
			return status;
	}
	return status;
}

/* The line's place in the text, from the dash to the line feed. name and blob point into parsed parts of the same text. */
static void
line_extent(const char *text, const HdmsNoteLine *line, const char *end, const char **from, const char **to)
{
	const char *at = line->name;

	while (at > text && at[-1] != '\n')
		at--;
	*from = at;
	*to = (const char *) memchr(line->name, '\n', (size_t) (end - line->name)) + 1;
}

static const HdmsNoteLine *
find_line(const HdmsNoteParts *parts, const char *name, const unsigned char *id)
{
	for (int i = 0; i < parts->count; i++)
	{
		const HdmsNoteLine *line = &parts->lines[i];

		if (line->name_len == strlen(name) && memcmp(line->name, name, line->name_len) == 0
			&& memcmp(line->blob.data, id, HDMS_NOTE_KEY_ID_SIZE) == 0)
			return line;
	}
	return NULL;
}

/* The note's text with these lines instead of its own: what a witness's answer is a cosignature of. */
static HdmsStatus
note_with_lines(const char *note, size_t text_len, const char *lines, size_t lines_len, char **result)
{
	if (lines_len > HDMS_NOTE_MAX)
		return HDMS_TOO_LARGE;
	return asprintf(result, "%.*s\n%.*s", (int) text_len, note, (int) lines_len, lines) < 0 ? HDMS_OUT_OF_MEMORY : HDMS_OK;
}

/* The note without the old line, where there is one, and with the new one at its end. */
static HdmsStatus
exchange_line(const char *note, size_t len, const HdmsNoteLine *old, const char *added, size_t added_len, char **merged)
{
	HdmsCheckpoint checked;
	const char *from = note + len;
	const char *to = note + len;
	char	   *result = NULL;
	HdmsStatus	status;

	if (old != NULL)
		line_extent(note, old, note + len, &from, &to);
	if (asprintf(&result, "%.*s%.*s%.*s", (int) (from - note), note, (int) (note + len - to), to, (int) added_len, added) < 0)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_checkpoint_parse(result, strlen(result), &checked);
	if (status == HDMS_OK)
		*merged = result;
	else
		free(result);
	return status;
}

HdmsStatus
hdms_cosignature_merge(const char *note, size_t len, const char *lines, size_t lines_len, const char *name,
					   const HdmsKey *cosigner, char **merged, int64_t *time)
{
	HdmsNoteParts parts = {0};
	HdmsNoteParts answered = {0};
	unsigned char id[HDMS_NOTE_KEY_ID_SIZE];
	const HdmsNoteLine *had;
	const HdmsNoteLine *line;
	const char *from;
	const char *to;
	char	   *answer = NULL;
	char	   *result = NULL;
	int64_t		had_time = -1;
	int64_t		new_time;
	HdmsStatus	status = hdms_note_split(note, len, &parts);

	if (status == HDMS_OK)
		status = note_with_lines(note, parts.text_len, lines, lines_len, &answer);
	if (status == HDMS_OK)
		status = hdms_note_split(answer, strlen(answer), &answered);

	/* A line feed too many would have moved the end of what is signed. */
	if (status == HDMS_OK && answered.text_len != parts.text_len)
		status = HDMS_BAD_FORMAT;
	if (status == HDMS_OK)
		status = hdms_note_key_id(name, cosigner, HDMS_NOTE_COSIGNATURE, id);
	if (status == HDMS_OK)
		status = hdms_cosignature_verify(answer, strlen(answer), name, cosigner, &new_time);
	if (status != HDMS_OK)
		goto cleanup;
	line = find_line(&answered, name, id);
	had = find_line(&parts, name, id);
	if (had != NULL && hdms_cosignature_verify(note, len, name, cosigner, &had_time) == HDMS_OK && had_time >= new_time)
	{
		result = strndup(note, len);
		status = result == NULL ? HDMS_OUT_OF_MEMORY : HDMS_OK;
		new_time = had_time;
	}
	else
	{
		line_extent(answer, line, answer + strlen(answer), &from, &to);
		status = exchange_line(note, len, had, from, (size_t) (to - from), &result);
	}
	if (status == HDMS_OK)
	{
		*merged = result;
		if (time != NULL)
			*time = new_time;
	}

cleanup:
	hdms_note_parts_free(&parts);
	hdms_note_parts_free(&answered);
	free(answer);
	return status;
}

HdmsStatus
hdms_cosignature_count(const char *note, size_t len, const HdmsWitness *witnesses, size_t count, size_t *found)
{
	size_t		result = 0;

	for (size_t i = 0; i < count; i++)
	{
		bool		is_repeated = false;
		int64_t		time;
		HdmsStatus	status;

		for (size_t j = 0; j < i; j++)
			is_repeated |= strcmp(hdms_key_thumbprint(witnesses[i].cosigner), hdms_key_thumbprint(witnesses[j].cosigner)) == 0;
		if (is_repeated)
			continue;
		status = hdms_cosignature_verify(note, len, witnesses[i].name, witnesses[i].cosigner, &time);
		if (status == HDMS_OK)
			result++;
		else if (status != HDMS_BAD_SIGNATURE)
			return status;
	}
	*found = result;
	return HDMS_OK;
}
