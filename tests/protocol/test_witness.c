/*
 * test_witness.c
 *		Requests to witnesses, cosignatures that are put together, and evidence of a fork.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture.h"
#include "fork.h"
#include "witness.h"

#define LEAVES		300
#define DASH		"\xe2\x80\x94 "

static Fixture fixture;

/* The hashes of a tree of LEAVES leaves. */
typedef struct Tree
{
	HdmsMerkleFrontier frontier;
	HdmsHash	nodes[10][LEAVES];
} Tree;

static HdmsStatus
tree_store(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	memcpy(((Tree *) arg)->nodes[level][index], hash, sizeof(HdmsHash));
	return HDMS_OK;
}

static HdmsStatus
tree_fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	memcpy(hash, ((Tree *) arg)->nodes[level][index], sizeof(HdmsHash));
	return HDMS_OK;
}

static void
tree_make(Tree *tree, const char *word)
{
	memset(tree, 0, sizeof(*tree));
	for (int i = 0; i < LEAVES; i++)
	{
		char		leaf[64];
		HdmsHash	hash;

		snprintf(leaf, sizeof(leaf), "%s %d", word, i);
		FIXTURE_OK(hdms_merkle_leaf(leaf, strlen(leaf), hash));
		FIXTURE_OK(hdms_merkle_append(&tree->frontier, hash, tree_store, tree));
	}
}

/* The note of the first size leaves, signed by institution 1: of its log as a notary, or of its own log in the epoch is_ledger. */
static char *
tree_note(Tree *tree, uint64_t size, int is_ledger)
{
	HdmsCheckpoint checkpoint = {.size = size};
	char	   *note = NULL;

	if (is_ledger)
		hdms_ledger_origin(fixture.institution[1].id, is_ledger, checkpoint.origin);
	else
		hdms_log_origin(fixture.institution[1].id, checkpoint.origin);
	if (size == 0)
		FIXTURE_OK(hdms_merkle_empty(checkpoint.root));
	else
		FIXTURE_OK(hdms_merkle_tree_root(size, tree_fetch, tree, checkpoint.root));
	FIXTURE_OK(hdms_checkpoint_sign(&checkpoint, fixture.institution[1].key[HDMS_ROLE_LOG], &note));
	return note;
}

static int
open_fixture(void **state)
{
	(void) state;
	fixture_open(&fixture, HDMS_KEY_P256, HDMS_KEY_P256);
	return 0;
}

static int
close_fixture(void **state)
{
	(void) state;
	fixture_close(&fixture);
	return 0;
}

static void
a_request_is_read_as_it_was_built_and_its_proof_holds(void **state)
{
	static const uint64_t sizes[][2] = {{0, 0}, {0, 1}, {1, 1}, {1, 2}, {7, 8}, {8, 13}, {255, 256}, {256, 257}, {100, 300}, {300, 300}};
	Tree	   *tree = malloc(sizeof(Tree));

	(void) state;
	tree_make(tree, "leaf");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		uint64_t	old = sizes[i][0];
		uint64_t	size = sizes[i][1];
		HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
		HdmsHash	seen;
		HdmsHash	other = {1};
		HdmsWitnessRequest read;
		char	   *note = tree_note(tree, size, 0);
		char	   *request = NULL;
		int			count = 0;

		if (old > 0 && old < size)
			assert_int_equal(hdms_merkle_consistency(old, size, tree_fetch, tree, proof, &count), HDMS_OK);
		if (old == 0)
			assert_int_equal(hdms_merkle_empty(seen), HDMS_OK);
		else
			assert_int_equal(hdms_merkle_tree_root(old, tree_fetch, tree, seen), HDMS_OK);
		assert_int_equal(hdms_witness_request_build(old, (const HdmsHash *) proof, count, note, &request), HDMS_OK);
		assert_int_equal(hdms_witness_request_parse(request, strlen(request), &read), HDMS_OK);
		assert_true(read.old_size == old && read.count == count && read.checkpoint.size == size);
		assert_true(read.note_len == strlen(note) && memcmp(read.note, note, read.note_len) == 0);
		assert_int_equal(hdms_witness_request_verify(&read, (const unsigned char *) seen), HDMS_OK);
		assert_int_equal(hdms_witness_request_verify(&read, (const unsigned char *) other), HDMS_BAD_PROOF);
		free(request);
		free(note);
	}
	free(tree);
}

static void
a_request_that_is_malformed_in_any_way_is_refused(void **state)
{
	static const char hash[] = "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n";
	static const struct
	{
		const char *head;
		HdmsStatus	status;
	}			cases[] = {
		{"", HDMS_BAD_FORMAT},
		{"\n", HDMS_BAD_FORMAT},
		{"old \n\n", HDMS_BAD_FORMAT},
		{"old x\n\n", HDMS_BAD_FORMAT},
		{"old 01\n\n", HDMS_BAD_FORMAT},
		{"old -1\n\n", HDMS_BAD_FORMAT},
		{"old  1\n\n", HDMS_BAD_FORMAT},
		{"Old 1\n\n", HDMS_BAD_FORMAT},
		{"old 1\r\n\n", HDMS_BAD_FORMAT},
		{"old 99999999999999999999\n\n", HDMS_BAD_FORMAT},
		{"old 1\nAAAA\n\n", HDMS_BAD_FORMAT},
		{"old 1\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7J=\n\n", HDMS_BAD_ENCODING},
		{"old 1\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I \n\n", HDMS_BAD_ENCODING},
		{"old 301\n\n", HDMS_BAD_CLAIM},
		{"old 0\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n", HDMS_BAD_PROOF},
		{"old 300\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n", HDMS_BAD_PROOF},
		{"old 1\n\n", HDMS_OK},
	};
	Tree	   *tree = malloc(sizeof(Tree));
	char	   *note;
	char	   *text = NULL;
	char		many[64 * 45 + 1] = "";
	HdmsWitnessRequest read = {.count = 42};

	(void) state;
	tree_make(tree, "leaf");
	note = tree_note(tree, 300, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HdmsStatus	status;

		assert_true(asprintf(&text, "%s%s", cases[i].head, note) > 0);
		status = hdms_witness_request_parse(text, strlen(text), &read);
		if (status != cases[i].status)
			fail_msg("case %zu: %s", i, hdms_status_word(status));
		if (status != HDMS_OK)
			assert_int_equal(read.count, 42);
		free(text);
	}
	assert_int_equal(hdms_witness_request_parse("old 1\n\n", 7, &read), HDMS_BAD_FORMAT);
	for (int i = 0; i < 64; i++)
		strcat(many, hash);
	assert_true(asprintf(&text, "old 1\n%s\n%s", many + 45, note) > 0);
	assert_int_equal(hdms_witness_request_parse(text, strlen(text), &read), HDMS_OK);
	free(text);
	assert_true(asprintf(&text, "old 1\n%s\n%s", many, note) > 0);
	assert_int_equal(hdms_witness_request_parse(text, strlen(text), &read), HDMS_TOO_LARGE);
	free(text);
	free(note);
	free(tree);
}

static void
a_request_that_no_witness_would_read_is_not_built(void **state)
{
	HdmsHash	proof[1] = {{1}};
	Tree	   *tree = malloc(sizeof(Tree));
	char	   *note;
	char	   *request = NULL;

	(void) state;
	tree_make(tree, "leaf");
	note = tree_note(tree, 5, 0);
	assert_int_equal(hdms_witness_request_build(6, NULL, 0, note, &request), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_witness_request_build(0, (const HdmsHash *) proof, 1, note, &request), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_witness_request_build(5, (const HdmsHash *) proof, 1, note, &request), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_witness_request_build(1, (const HdmsHash *) proof, 64, note, &request), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_witness_request_build(1, (const HdmsHash *) proof, 1, "no note", &request), HDMS_BAD_ARGUMENT);
	assert_null(request);
	free(note);
	free(tree);
}

static char *
cosign(const char *note, int institution, int64_t time)
{
	char		name[HDMS_ORIGIN_MAX];
	char	   *line = NULL;

	hdms_witness_name(fixture.institution[institution].id, name);
	FIXTURE_OK(hdms_cosignature_sign(note, strlen(note), name, fixture.institution[institution].key[HDMS_ROLE_COSIGNER], time, &line));
	return line;
}

static HdmsStatus
merge(const char *note, const char *lines, int institution, char **merged, int64_t *time)
{
	char		name[HDMS_ORIGIN_MAX];

	hdms_witness_name(fixture.institution[institution].id, name);
	return hdms_cosignature_merge(note, strlen(note), lines, strlen(lines), name,
								  fixture.institution[institution].key[HDMS_ROLE_COSIGNER], merged, time);
}

static size_t
count_cosigners(const char *note, int first, int last)
{
	char		names[FIXTURE_INSTITUTIONS][HDMS_ORIGIN_MAX];
	HdmsWitness witnesses[FIXTURE_INSTITUTIONS];
	size_t		count = 0;
	size_t		found = 0;

	for (int i = first; i <= last; i++)
	{
		hdms_witness_name(fixture.institution[i].id, names[count]);
		witnesses[count].name = names[count];
		witnesses[count++].cosigner = fixture.institution[i].key[HDMS_ROLE_COSIGNER];
	}
	FIXTURE_OK(hdms_cosignature_count(note, strlen(note), witnesses, count, &found));
	return found;
}

static void
cosignatures_of_two_witnesses_are_put_together_and_counted(void **state)
{
	Tree	   *tree = malloc(sizeof(Tree));
	HdmsCheckpoint checkpoint;
	char		origin[HDMS_ORIGIN_MAX];
	char	   *note;
	char	   *first;
	char	   *second;
	char	   *once = NULL;
	char	   *twice = NULL;
	int64_t		time = 0;

	(void) state;
	tree_make(tree, "leaf");
	note = tree_note(tree, 300, 1);
	first = cosign(note, 0, 1000);
	second = cosign(note, 2, 2000);
	assert_int_equal(count_cosigners(note, 0, 2), 0);
	assert_int_equal(merge(note, first, 0, &once, &time), HDMS_OK);
	assert_int_equal(time, 1000);
	assert_int_equal(merge(once, second, 2, &twice, NULL), HDMS_OK);
	assert_int_equal(count_cosigners(twice, 0, 2), 2);
	assert_int_equal(count_cosigners(twice, 0, 0), 1);
	assert_int_equal(count_cosigners(twice, 1, 1), 0);
	hdms_ledger_origin(fixture.institution[1].id, 1, origin);
	assert_int_equal(hdms_checkpoint_verify_ever(twice, strlen(twice), origin, fixture.institution[1].history, &checkpoint), HDMS_OK);
	assert_int_equal(hdms_checkpoint_verify_ever(twice, strlen(twice), origin, fixture.institution[0].history, NULL), HDMS_BAD_SIGNATURE);
	free(twice);
	free(once);
	free(second);
	free(first);
	free(note);
	free(tree);
}

static void
a_later_cosignature_of_one_witness_replaces_the_earlier_and_an_earlier_one_does_not(void **state)
{
	Tree	   *tree = malloc(sizeof(Tree));
	char	   *note;
	char	   *early;
	char	   *late;
	char	   *once = NULL;
	char	   *again = NULL;
	char	   *back = NULL;
	int64_t		time = 0;

	(void) state;
	tree_make(tree, "leaf");
	note = tree_note(tree, 300, 0);
	early = cosign(note, 0, 1000);
	late = cosign(note, 0, 3000);
	assert_int_equal(merge(note, early, 0, &once, NULL), HDMS_OK);
	assert_int_equal(merge(once, late, 0, &again, &time), HDMS_OK);
	assert_int_equal(time, 3000);
	assert_int_equal(strlen(again), strlen(once));
	assert_non_null(strstr(again, late));
	assert_null(strstr(again, early));
	assert_int_equal(merge(again, early, 0, &back, &time), HDMS_OK);
	assert_int_equal(time, 3000);
	assert_string_equal(back, again);
	free(back);
	free(again);
	free(once);
	free(late);
	free(early);
	free(note);
	free(tree);
}

static void
what_is_no_cosignature_of_this_note_by_this_witness_is_not_taken(void **state)
{
	Tree	   *tree = malloc(sizeof(Tree));
	char	   *note;
	char	   *other_note;
	char	   *of_another_witness;
	char	   *of_another_note;
	char	   *right;
	char	   *with_stranger = NULL;
	char	   *merged = NULL;

	(void) state;
	tree_make(tree, "leaf");
	note = tree_note(tree, 300, 0);
	other_note = tree_note(tree, 299, 0);
	of_another_witness = cosign(note, 2, 1000);
	of_another_note = cosign(other_note, 0, 1000);
	right = cosign(note, 0, 1000);
	assert_int_equal(merge(note, of_another_witness, 0, &merged, NULL), HDMS_BAD_SIGNATURE);
	assert_int_equal(merge(note, of_another_note, 0, &merged, NULL), HDMS_BAD_SIGNATURE);
	assert_int_equal(merge(note, "", 0, &merged, NULL), HDMS_BAD_FORMAT);
	assert_int_equal(merge(note, "\n", 0, &merged, NULL), HDMS_BAD_FORMAT);
	assert_int_equal(merge(note, "no line\n", 0, &merged, NULL), HDMS_BAD_FORMAT);
	assert_true(asprintf(&with_stranger, "evil\n\n%s", right) > 0);
	assert_int_equal(merge(note, with_stranger, 0, &merged, NULL), HDMS_BAD_FORMAT);
	free(with_stranger);
	assert_true(asprintf(&with_stranger, "%s%s", right, right) > 0);
	assert_int_equal(merge(note, with_stranger, 0, &merged, NULL), HDMS_BAD_FORMAT);
	assert_null(merged);
	free(with_stranger);

	/* A line of somebody whom nobody asked does no harm, and is not kept. */
	assert_true(asprintf(&with_stranger, DASH "strange.example/k AQIDBAUG\n%s", right) > 0);
	assert_int_equal(merge(note, with_stranger, 0, &merged, NULL), HDMS_OK);
	assert_null(strstr(merged, "strange"));
	assert_int_equal(count_cosigners(merged, 0, 2), 1);
	free(merged);
	free(with_stranger);
	free(right);
	free(of_another_note);
	free(of_another_witness);
	free(other_note);
	free(note);
	free(tree);
}

static void
a_note_takes_no_more_cosignatures_than_a_note_may_have(void **state)
{
	Tree	   *tree = malloc(sizeof(Tree));
	char	   *note;
	char	   *line;
	char	   *full = calloc(1, HDMS_NOTE_MAX);
	char	   *merged = NULL;

	(void) state;
	tree_make(tree, "leaf");
	note = tree_note(tree, 300, 0);
	line = cosign(note, 0, 1000);
	strcpy(full, note);
	for (int i = 1; i < HDMS_NOTE_MAX_SIGNATURES; i++)
		sprintf(full + strlen(full), DASH "strange%d AQIDBAUG\n", i);
	assert_int_equal(merge(full, line, 0, &merged, NULL), HDMS_TOO_LARGE);
	assert_null(merged);
	free(full);
	free(line);
	free(note);
	free(tree);
}

static void
two_trees_of_one_size_are_evidence_that_needs_nothing_else(void **state)
{
	Tree	   *one = malloc(sizeof(Tree));
	Tree	   *two = malloc(sizeof(Tree));
	char	   *notes[2];
	char	   *file = NULL;
	HdmsFork	fork;

	(void) state;
	tree_make(one, "one");
	tree_make(two, "two");
	for (int is_ledger = 0; is_ledger <= 2; is_ledger++)
	{
		notes[0] = tree_note(one, 17, is_ledger);
		notes[1] = tree_note(two, 17, is_ledger);
		assert_int_equal(hdms_fork_print(fixture.institution[1].history, HDMS_FORK_CHECKPOINTS, notes[0], notes[1], &file), HDMS_OK);
		assert_int_equal(hdms_fork_verify(file, strlen(file), &fork), HDMS_OK);
		assert_string_equal(fork.node, fixture.institution[1].id);
		assert_int_equal(fork.size, 17);
		for (size_t i = 0; i < strlen(file); i += 7)
		{
			char		kept = file[i];

			/* Whatever is changed, it is evidence no more, or says the same. */
			file[i] = kept == 'A' ? 'B' : 'A';
			if (hdms_fork_verify(file, strlen(file), &fork) == HDMS_OK)
				assert_string_equal(fork.node, fixture.institution[1].id);
			file[i] = kept;
		}
		free(file);
		free(notes[0]);
		free(notes[1]);
	}
	free(one);
	free(two);
}

static void
what_does_not_contradict_itself_is_no_evidence(void **state)
{
	Tree	   *one = malloc(sizeof(Tree));
	Tree	   *two = malloc(sizeof(Tree));
	const HdmsHistory *history = fixture.institution[1].history;
	char	   *note;
	char	   *longer;
	char	   *ledger;
	char	   *file = NULL;

	(void) state;
	tree_make(one, "one");
	tree_make(two, "two");
	note = tree_note(one, 17, 0);
	longer = tree_note(two, 18, 0);
	ledger = tree_note(two, 17, 1);
	assert_int_equal(hdms_fork_print(history, HDMS_FORK_CHECKPOINTS, note, note, &file), HDMS_BAD_PROOF);
	assert_int_equal(hdms_fork_print(history, HDMS_FORK_CHECKPOINTS, note, longer, &file), HDMS_BAD_PROOF);
	assert_int_equal(hdms_fork_print(history, HDMS_FORK_CHECKPOINTS, note, ledger, &file), HDMS_BAD_CLAIM);
	free(longer);
	longer = tree_note(two, 17, 0);
	assert_int_equal(hdms_fork_print(fixture.institution[0].history, HDMS_FORK_CHECKPOINTS, note, longer, &file), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_fork_print(fixture.patient.history, HDMS_FORK_CHECKPOINTS, note, longer, &file), HDMS_BAD_CLAIM);
	assert_null(file);
	free(note);
	free(longer);
	free(ledger);
	free(one);
	free(two);
}

/* A receipt of institution 1 for a leaf that is the only one of its log. */
static char *
lone_receipt(unsigned char tag, unsigned char request)
{
	HdmsLeaf	leaf = {.time_ms = FIXTURE_NOW * 1000, .tag = {tag}, .request = {request}};
	unsigned char bytes[HDMS_LEAF_SIZE];
	HdmsCheckpoint checkpoint = {.size = 1};
	char	   *note = NULL;
	char	   *receipt = NULL;

	hdms_leaf_write(&leaf, bytes);
	hdms_log_origin(fixture.institution[1].id, checkpoint.origin);
	FIXTURE_OK(hdms_merkle_leaf(bytes, sizeof(bytes), checkpoint.root));
	FIXTURE_OK(hdms_checkpoint_sign(&checkpoint, fixture.institution[1].key[HDMS_ROLE_LOG], &note));
	FIXTURE_OK(hdms_receipt_build(&leaf, 0, NULL, 0, note, &receipt));
	free(note);
	return receipt;
}

static void
receipts_for_two_requests_with_one_tag_are_evidence(void **state)
{
	const HdmsHistory *history = fixture.institution[1].history;
	char	   *one = lone_receipt(1, 1);
	char	   *rival = lone_receipt(1, 2);
	char	   *other = lone_receipt(2, 2);
	char	   *file = NULL;
	HdmsFork	fork;

	(void) state;
	assert_int_equal(hdms_fork_print(history, HDMS_FORK_RECEIPTS, one, one, &file), HDMS_BAD_PROOF);
	assert_int_equal(hdms_fork_print(history, HDMS_FORK_RECEIPTS, one, other, &file), HDMS_BAD_PROOF);
	assert_null(file);
	assert_int_equal(hdms_fork_print(history, HDMS_FORK_RECEIPTS, one, rival, &file), HDMS_OK);
	assert_int_equal(hdms_fork_verify(file, strlen(file), &fork), HDMS_OK);
	assert_int_equal(fork.kind, HDMS_FORK_RECEIPTS);
	assert_string_equal(fork.node, fixture.institution[1].id);
	assert_int_equal(fork.leaves[0].tag[0], 1);
	free(file);
	free(one);
	free(rival);
	free(other);
}

static void
only_a_nodes_own_logs_are_its_logs(void **state)
{
	const char *id = fixture.institution[1].id;
	char		origin[HDMS_ORIGIN_MAX];
	char		longer[HDMS_ORIGIN_MAX + 16];

	(void) state;
	hdms_log_origin(id, origin);
	assert_true(hdms_is_log_of(origin, id));
	assert_false(hdms_is_log_of(origin, fixture.institution[0].id));
	for (int64_t epoch = 1; epoch < 20; epoch += 9)
	{
		hdms_ledger_origin(id, epoch, origin);
		assert_true(hdms_is_log_of(origin, id));
		assert_false(hdms_is_log_of(origin, fixture.institution[0].id));
	}
	hdms_ledger_origin(id, 1, origin);
	snprintf(longer, sizeof(longer), "%s/1", origin);
	assert_false(hdms_is_log_of(longer, id));
	snprintf(longer, sizeof(longer), "%s/02", origin);
	assert_false(hdms_is_log_of(longer, id));
	snprintf(longer, sizeof(longer), "%s/", origin);
	assert_false(hdms_is_log_of(longer, id));
	assert_false(hdms_is_log_of("", id));
}

static void
a_file_that_is_no_evidence_is_refused(void **state)
{
	static const char *const files[] = {
		"", "{}", "[]", "{\"hdms_fork\":1}", "{\"hdms_fork\":2,\"history\":[],\"checkpoints\":[\"\",\"\"]}",
		"{\"hdms_fork\":1,\"history\":[],\"checkpoints\":[\"\",\"\"]}",
		"{\"hdms_fork\":1,\"history\":\"x\",\"checkpoints\":[\"\",\"\"]}",
		"{\"hdms_fork\":1,\"history\":[\"x\"],\"checkpoints\":[\"\"]}",
		"{\"hdms_fork\":1,\"history\":[\"x\"],\"checkpoints\":[1,2]}",
		"{\"hdms_fork\":1,\"history\":[\"x\"],\"receipts\":[\"\",\"\"],\"checkpoints\":[\"\",\"\"]}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		assert_int_not_equal(hdms_fork_verify(files[i], strlen(files[i]), NULL), HDMS_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read_as_it_was_built_and_its_proof_holds),
		cmocka_unit_test(a_request_that_is_malformed_in_any_way_is_refused),
		cmocka_unit_test(a_request_that_no_witness_would_read_is_not_built),
		cmocka_unit_test(cosignatures_of_two_witnesses_are_put_together_and_counted),
		cmocka_unit_test(a_later_cosignature_of_one_witness_replaces_the_earlier_and_an_earlier_one_does_not),
		cmocka_unit_test(what_is_no_cosignature_of_this_note_by_this_witness_is_not_taken),
		cmocka_unit_test(a_note_takes_no_more_cosignatures_than_a_note_may_have),
		cmocka_unit_test(two_trees_of_one_size_are_evidence_that_needs_nothing_else),
		cmocka_unit_test(what_does_not_contradict_itself_is_no_evidence),
		cmocka_unit_test(receipts_for_two_requests_with_one_tag_are_evidence),
		cmocka_unit_test(only_a_nodes_own_logs_are_its_logs),
		cmocka_unit_test(a_file_that_is_no_evidence_is_refused),
	};

	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
