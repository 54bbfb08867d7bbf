/*
 * test_receipt.c
 *		A notary's leaves and receipts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "receipt.h"

#define NOTARY		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define OTHER		"LzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define SIZE		11

static HdmsKey *log_key;
static HdmsHash nodes[5][SIZE];
static HdmsLeaf leaves[SIZE];
static char *note;

static HdmsStatus
store(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	(void) arg;
	memcpy(nodes[level][index], hash, sizeof(HdmsHash));
	return HDMS_OK;
}

static HdmsStatus
fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	(void) arg;
	memcpy(hash, nodes[level][index], sizeof(HdmsHash));
	return HDMS_OK;
}

/* A log of a few leaves and its checkpoint. */
static int
make_log(void **state)
{
	HdmsMerkleFrontier frontier = {0};
	HdmsCheckpoint checkpoint = {0};

	(void) state;
	assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &log_key), HDMS_OK);
	for (int i = 0; i < SIZE; i++)
	{
		unsigned char bytes[HDMS_LEAF_SIZE];
		HdmsHash	hash;

		leaves[i].time_ms = 1767225600000 + i;
		memset(leaves[i].tag, i, sizeof(leaves[i].tag));
		memset(leaves[i].request, 0x80 + i, sizeof(leaves[i].request));
		hdms_leaf_write(&leaves[i], bytes);
		assert_int_equal(hdms_merkle_leaf(bytes, sizeof(bytes), hash), HDMS_OK);
		assert_int_equal(hdms_merkle_append(&frontier, hash, store, NULL), HDMS_OK);
	}
	hdms_log_origin(NOTARY, checkpoint.origin);
	checkpoint.size = SIZE;
	assert_int_equal(hdms_merkle_root(&frontier, checkpoint.root), HDMS_OK);
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_OK);
	return 0;
}

static int
drop_log(void **state)
{
	(void) state;
	hdms_key_free(log_key);
	free(note);
	return 0;
}

static char *
receipt_of(int index)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			count;
	char	   *receipt = NULL;

	assert_int_equal(hdms_merkle_inclusion((uint64_t) index, SIZE, fetch, NULL, proof, &count), HDMS_OK);
	assert_int_equal(hdms_receipt_build(&leaves[index], (uint64_t) index, (const HdmsHash *) proof, count, note, &receipt), HDMS_OK);
	return receipt;
}

static HdmsStatus
verify(const char *receipt)
{
	return hdms_receipt_verify(receipt, strlen(receipt), NOTARY, log_key, NULL, NULL, NULL);
}

/* The text with its first occurrence of one part replaced. */
static char *
replaced(const char *text, const char *part, const char *with)
{
	const char *at = strstr(text, part);
	char	   *result = NULL;

	assert_non_null(at);
	assert_true(asprintf(&result, "%.*s%s%s", (int) (at - text), text, with, at + strlen(part)) >= 0);
	return result;
}

static void
a_leaf_is_time_tag_and_request_in_72_bytes(void **state)
{
	HdmsLeaf	leaf = {.time_ms = 0x0102030405060708};
	HdmsLeaf	read;
	unsigned char bytes[HDMS_LEAF_SIZE];

	(void) state;
	memset(leaf.tag, 0xaa, sizeof(leaf.tag));
	memset(leaf.request, 0xbb, sizeof(leaf.request));
	hdms_leaf_write(&leaf, bytes);
	for (int i = 0; i < 8; i++)
		assert_int_equal(bytes[i], i + 1);
	assert_memory_equal(bytes + 8, leaf.tag, 32);
	assert_memory_equal(bytes + 40, leaf.request, 32);
	assert_int_equal(hdms_leaf_read(bytes, sizeof(bytes), &read), HDMS_OK);
	assert_true(read.time_ms == leaf.time_ms);
	assert_memory_equal(read.tag, leaf.tag, 32);
	assert_memory_equal(read.request, leaf.request, 32);
	assert_int_equal(hdms_leaf_read(bytes, 71, &read), HDMS_BAD_FORMAT);
	bytes[0] = 0x80;
	assert_int_equal(hdms_leaf_read(bytes, sizeof(bytes), &read), HDMS_BAD_FORMAT);
}

static void
a_receipt_has_the_lines_of_a_tlog_proof(void **state)
{
	char	   *receipt = receipt_of(3);
	char		head[200];
	unsigned char bytes[HDMS_LEAF_SIZE];
	char	   *extra = NULL;
	const char *at;
	int			hashes = 0;

	(void) state;
	hdms_leaf_write(&leaves[3], bytes);
	assert_int_equal(hdms_base64_encode(bytes, sizeof(bytes), &extra), HDMS_OK);
	snprintf(head, sizeof(head), "c2sp.org/tlog-proof@v1\nextra %s\nindex 3\n", extra);
	assert_memory_equal(receipt, head, strlen(head));
	for (at = receipt + strlen(head); *at != '\n'; at += 45)
	{
		assert_int_equal(at[44], '\n');
		hashes++;
	}
	assert_int_equal(hashes, 4);
	assert_string_equal(at + 1, note);
	free(extra);
	free(receipt);
}

static void
every_receipt_of_a_log_verifies_and_gives_leaf_index_and_checkpoint(void **state)
{
	(void) state;
	for (int i = 0; i < SIZE; i++)
	{
		char	   *receipt = receipt_of(i);
		HdmsLeaf	leaf;
		uint64_t	index;
		HdmsCheckpoint checkpoint;

		assert_int_equal(hdms_receipt_verify(receipt, strlen(receipt), NOTARY, log_key, &leaf, &index, &checkpoint), HDMS_OK);
		assert_true(leaf.time_ms == leaves[i].time_ms);
		assert_memory_equal(leaf.tag, leaves[i].tag, sizeof(leaf.tag));
		assert_memory_equal(leaf.request, leaves[i].request, sizeof(leaf.request));
		assert_int_equal(index, i);
		assert_int_equal(checkpoint.size, SIZE);
		free(receipt);
	}
}

static void
the_receipt_of_a_logs_only_leaf_has_no_hashes(void **state)
{
	HdmsMerkleFrontier frontier = {0};
	HdmsCheckpoint checkpoint = {.size = 1};
	unsigned char bytes[HDMS_LEAF_SIZE];
	HdmsHash	hash;
	char	   *single = NULL;
	char	   *receipt = NULL;

	(void) state;
	hdms_leaf_write(&leaves[0], bytes);
	assert_int_equal(hdms_merkle_leaf(bytes, sizeof(bytes), hash), HDMS_OK);
	assert_int_equal(hdms_merkle_append(&frontier, hash, NULL, NULL), HDMS_OK);
	assert_int_equal(hdms_merkle_root(&frontier, checkpoint.root), HDMS_OK);
	hdms_log_origin(NOTARY, checkpoint.origin);
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &single), HDMS_OK);
	assert_int_equal(hdms_receipt_build(&leaves[0], 0, NULL, 0, single, &receipt), HDMS_OK);
	assert_non_null(strstr(receipt, "\nindex 0\n\nhdms.v1/log/"));
	assert_int_equal(verify(receipt), HDMS_OK);
	free(receipt);
	free(single);
}

static void
a_receipt_with_any_bit_changed_is_refused(void **state)
{
	char	   *receipt = receipt_of(6);
	size_t		len = strlen(receipt);

	(void) state;
	for (size_t bit = 0; bit < len * 8; bit++)
	{
		receipt[bit / 8] ^= (char) (1 << (bit % 8));
		assert_int_not_equal(hdms_receipt_verify(receipt, len, NOTARY, log_key, NULL, NULL, NULL), HDMS_OK);
		receipt[bit / 8] ^= (char) (1 << (bit % 8));
	}
	assert_int_equal(verify(receipt), HDMS_OK);
	free(receipt);
}

static void
a_receipt_cut_anywhere_is_refused(void **state)
{
	char	   *receipt = receipt_of(6);
	size_t		len = strlen(receipt);

	(void) state;
	for (size_t cut = 0; cut < len; cut++)
	{
		/* A buffer of exactly that size, so that reading past it is seen. */
		char	   *part = malloc(cut + 1);

		memcpy(part, receipt, cut);
		part = realloc(part, cut > 0 ? cut : 1);
		assert_int_not_equal(hdms_receipt_verify(part, cut, NOTARY, log_key, NULL, NULL, NULL), HDMS_OK);
		free(part);
	}
	free(receipt);
}

static void
a_receipt_spelled_another_way_is_refused(void **state)
{
	static const struct
	{
		const char *part;
		const char *with;
	}			cases[] = {
		{"@v1", "@v2"},
		{"extra ", ""},
		{"extra ", "extra  "},
		{"index 6", "index 06"},
		{"index 6", "index +6"},
		{"index 6", "index 6 "},
		{"index 6", "index "},
		{"index 6", "index 99999999999999999999"},
		{"index 6\n", "index 6\r\n"},
		{"index 6\n", "index 6\n\n"},
		{"index 6\n", "index 6\nextra AAAA\n"},
		{"\n\nhdms", "\nhdms"},
		{"\n\nhdms", "\n\n\nhdms"},
	};
	char	   *receipt = receipt_of(6);

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char	   *other = replaced(receipt, cases[i].part, cases[i].with);

		if (verify(other) == HDMS_OK)
			fail_msg("accepted: \"%s\" for \"%s\"", cases[i].with, cases[i].part);
		free(other);
	}
	free(receipt);
}

static void
a_leaf_at_another_place_is_refused(void **state)
{
	char	   *receipt = receipt_of(6);
	char	   *other = replaced(receipt, "index 6", "index 7");

	(void) state;
	assert_int_equal(verify(other), HDMS_BAD_PROOF);
	free(other);
	other = replaced(receipt, "index 6", "index 11");
	assert_int_equal(verify(other), HDMS_BAD_PROOF);
	free(other);
	free(receipt);
}

static void
a_receipt_of_another_notary_or_key_is_refused(void **state)
{
	char	   *receipt = receipt_of(2);
	HdmsKey    *other = NULL;

	(void) state;
	assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &other), HDMS_OK);
	assert_int_equal(hdms_receipt_verify(receipt, strlen(receipt), OTHER, log_key, NULL, NULL, NULL), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_receipt_verify(receipt, strlen(receipt), NOTARY, other, NULL, NULL, NULL), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_receipt_verify(receipt, strlen(receipt), "nobody", log_key, NULL, NULL, NULL), HDMS_BAD_ARGUMENT);
	hdms_key_free(other);
	free(receipt);
}

static void
more_hashes_than_any_proof_has_are_refused(void **state)
{
	char	   *receipt = receipt_of(2);
	char		hashes[HDMS_MERKLE_MAX_PROOF * 45 + 16] = "index 2\n";
	char	   *other;

	(void) state;
	for (int i = 0; i < HDMS_MERKLE_MAX_PROOF - 3; i++)
		strcat(hashes, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	other = replaced(receipt, "index 2\n", hashes);
	assert_int_equal(verify(other), HDMS_TOO_LARGE);
	free(other);
	free(receipt);
}

static void
a_receipt_that_nobody_would_accept_is_not_built(void **state)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			count;
	char	   *receipt = NULL;

	(void) state;
	assert_int_equal(hdms_merkle_inclusion(4, SIZE, fetch, NULL, proof, &count), HDMS_OK);
	assert_int_equal(hdms_receipt_build(&leaves[4], 5, (const HdmsHash *) proof, count, note, &receipt), HDMS_BAD_PROOF);
	assert_int_equal(hdms_receipt_build(&leaves[5], 4, (const HdmsHash *) proof, count, note, &receipt), HDMS_BAD_PROOF);
	assert_int_equal(hdms_receipt_build(&leaves[4], 4, (const HdmsHash *) proof, count - 1, note, &receipt), HDMS_BAD_PROOF);
	assert_int_equal(hdms_receipt_build(&leaves[4], 4, (const HdmsHash *) proof, HDMS_MERKLE_MAX_PROOF + 1, note, &receipt), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_receipt_build(&leaves[4], 4, (const HdmsHash *) proof, count, "no note", &receipt), HDMS_BAD_FORMAT);
	assert_null(receipt);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_is_time_tag_and_request_in_72_bytes),
		cmocka_unit_test(a_receipt_has_the_lines_of_a_tlog_proof),
		cmocka_unit_test(every_receipt_of_a_log_verifies_and_gives_leaf_index_and_checkpoint),
		cmocka_unit_test(the_receipt_of_a_logs_only_leaf_has_no_hashes),
		cmocka_unit_test(a_receipt_with_any_bit_changed_is_refused),
		cmocka_unit_test(a_receipt_cut_anywhere_is_refused),
		cmocka_unit_test(a_receipt_spelled_another_way_is_refused),
		cmocka_unit_test(a_leaf_at_another_place_is_refused),
		cmocka_unit_test(a_receipt_of_another_notary_or_key_is_refused),
		cmocka_unit_test(more_hashes_than_any_proof_has_are_refused),
		cmocka_unit_test(a_receipt_that_nobody_would_accept_is_not_built),
	};

	return cmocka_run_group_tests(tests, make_log, drop_log);
}
