/*
 * test_directory_log.c
 *		The directory's log: leaves, bundles, and checkpoints of its generations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "directory_log.h"

#define NODE "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"

static void
a_leaf_reads_as_it_was_written(void **state)
{
	HdmsDirectoryLeaf made = {0};
	HdmsDirectoryLeaf read = {0};
	unsigned char bytes[HDMS_DIRECTORY_LEAF_SIZE + 1];

	(void) state;
	assert_int_equal(hdms_directory_leaf_make(HDMS_DIRECTORY_ADMISSION, NODE, 0x01020304, "a.b.c", &made), HDMS_OK);
	hdms_directory_leaf_write(&made, bytes);
	assert_int_equal(hdms_directory_leaf_read(bytes, HDMS_DIRECTORY_LEAF_SIZE, &read), HDMS_OK);
	assert_int_equal(read.kind, HDMS_DIRECTORY_ADMISSION);
	assert_int_equal(read.seq, 0x01020304);
	assert_memory_equal(read.subject, made.subject, sizeof(made.subject));
	assert_memory_equal(read.statement, made.statement, sizeof(made.statement));
	assert_int_equal(bytes[33], 1);
	assert_int_equal(bytes[36], 4);

	assert_int_equal(hdms_directory_leaf_read(bytes, HDMS_DIRECTORY_LEAF_SIZE - 1, &read), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_directory_leaf_read(bytes, HDMS_DIRECTORY_LEAF_SIZE + 1, &read), HDMS_BAD_FORMAT);
	bytes[0] = 2;
	assert_int_equal(hdms_directory_leaf_read(bytes, HDMS_DIRECTORY_LEAF_SIZE, &read), HDMS_BAD_FORMAT);
	assert_int_equal(hdms_directory_leaf_make(HDMS_DIRECTORY_KEYS, NODE, 0, "abc", &read), HDMS_BAD_FORMAT);
}

static void
another_signature_over_a_statement_is_the_same_leaf(void **state)
{
	HdmsDirectoryLeaf one = {0};
	HdmsDirectoryLeaf other = {0};

	(void) state;
	assert_int_equal(hdms_directory_leaf_make(HDMS_DIRECTORY_KEYS, NODE, 1, "header.payload.one", &one), HDMS_OK);
	assert_int_equal(hdms_directory_leaf_make(HDMS_DIRECTORY_KEYS, NODE, 1, "header.payload.other", &other), HDMS_OK);
	assert_memory_equal(one.statement, other.statement, sizeof(one.statement));
	assert_int_equal(hdms_directory_leaf_make(HDMS_DIRECTORY_KEYS, NODE, 1, "header.payloae.one", &other), HDMS_OK);
	assert_memory_not_equal(one.statement, other.statement, sizeof(one.statement));
}

static void
a_bundle_gives_whole_entries_only(void **state)
{
	static const unsigned char bundle[] = {0, 2, 'a', 'b', 0, 0, 1, 0, 'c'};
	const unsigned char *at = bundle;
	const unsigned char *end = bundle + sizeof(bundle);
	const unsigned char *entry;
	size_t		len = 7;

	(void) state;
	assert_int_equal(hdms_bundle_next(&at, end, &entry, &len), HDMS_OK);
	assert_int_equal(len, 2);
	assert_memory_equal(entry, "ab", 2);
	assert_int_equal(hdms_bundle_next(&at, end, &entry, &len), HDMS_OK);
	assert_int_equal(len, 0);
	assert_int_equal(hdms_bundle_next(&at, end, &entry, &len), HDMS_BAD_FORMAT);
	assert_ptr_equal(at, bundle + 6);
	at = end - 1;
	assert_int_equal(hdms_bundle_next(&at, end, &entry, &len), HDMS_BAD_FORMAT);
	at = end;
	assert_int_equal(hdms_bundle_next(&at, end, &entry, &len), HDMS_BAD_FORMAT);
}

static HdmsStatus
outcome(const char *origin, const HdmsKey *signer, const HdmsKey *network, int64_t *generation)
{
	HdmsCheckpoint checkpoint = {.size = 7};
	HdmsCheckpoint got;
	char	   *note = NULL;
	HdmsStatus	status;

	strcpy(checkpoint.origin, origin);
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, signer, &note), HDMS_OK);
	status = hdms_directory_checkpoint_verify(note, strlen(note), network, &got, generation);
	if (status == HDMS_OK)
		assert_int_equal(got.size, 7);
	free(note);
	return status;
}

static void
a_checkpoint_is_of_this_network_and_names_its_generation(void **state)
{
	static const char *const bad[] = {"/0", "/01", "/", "/-1", "/1x", "/123456789012345678", "", "/1/"};
	HdmsKey    *network = NULL;
	HdmsKey    *other = NULL;
	char		origin[HDMS_ORIGIN_MAX];
	int64_t		generation = 0;

	(void) state;
	assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &network), HDMS_OK);
	assert_int_equal(hdms_key_generate(HDMS_KEY_ED25519, 0, &other), HDMS_OK);
	hdms_directory_origin(hdms_key_thumbprint(network), 1795387824, origin);
	assert_int_equal(outcome(origin, network, network, &generation), HDMS_OK);
	assert_int_equal(generation, 1795387824);
	generation = 5;
	assert_int_not_equal(outcome(origin, other, network, &generation), HDMS_OK);
	assert_int_not_equal(outcome(origin, other, other, &generation), HDMS_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		hdms_directory_origin(hdms_key_thumbprint(network), 1, origin);
		strcpy(strrchr(origin, '/'), bad[i]);
		assert_int_equal(outcome(origin, network, network, &generation), HDMS_BAD_CLAIM);
	}
	hdms_log_origin(NODE, origin);
	assert_int_not_equal(outcome(origin, network, network, &generation), HDMS_OK);
	assert_int_equal(generation, 5);
	hdms_key_free(network);
	hdms_key_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_reads_as_it_was_written),
		cmocka_unit_test(another_signature_over_a_statement_is_the_same_leaf),
		cmocka_unit_test(a_bundle_gives_whole_entries_only),
		cmocka_unit_test(a_checkpoint_is_of_this_network_and_names_its_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
