/*
 * test_merkle.c
 *		Merkle trees against a naive recursive tree, foreign vectors, and the paths of tiles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <sys/stat.h>

#include "merkle.h"

#define LEAVES		131		/* crosses two powers of two by a few */
#define LEVELS		8

/* The complete nodes of a tree, as a log stores them. */
typedef struct Shelf
{
	HdmsHash	nodes[LEVELS][LEAVES];
	bool		has[LEVELS][LEAVES];
	int			stored;
	int			fetched;
} Shelf;

static HdmsHash leaf_hashes[LEAVES];

static int
make_leaves(void **state)
{
	(void) state;
	for (int i = 0; i < LEAVES; i++)
	{
		char		leaf[32];
		int			len = snprintf(leaf, sizeof(leaf), "leaf %d", i);

		assert_int_equal(hdms_merkle_leaf(leaf, (size_t) len, leaf_hashes[i]), HDMS_OK);
	}
	return 0;
}

static HdmsStatus
shelf_store(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	Shelf	   *shelf = arg;

	assert_in_range(level, 0, LEVELS - 1);
	assert_in_range(index, 0, LEAVES - 1);
	assert_false(shelf->has[level][index]);
	shelf->has[level][index] = true;
	memcpy(shelf->nodes[level][index], hash, sizeof(HdmsHash));
	shelf->stored++;
	return HDMS_OK;
}

static HdmsStatus
shelf_fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	Shelf	   *shelf = arg;

	if (level >= LEVELS || index >= LEAVES || !shelf->has[level][index])
		return HDMS_BAD_ARGUMENT;
	memcpy(hash, shelf->nodes[level][index], sizeof(HdmsHash));
	shelf->fetched++;
	return HDMS_OK;
}

/* RFC 6962, 2.1, to the letter. */
static void
naive_root(int start, int n, HdmsHash root)
{
	HdmsHash	left;
	HdmsHash	right;
	int			k = 1;

	if (n == 0)
	{
		assert_int_equal(hdms_sha256(NULL, 0, root), HDMS_OK);
		return;
	}
	if (n == 1)
	{
		memcpy(root, leaf_hashes[start], sizeof(HdmsHash));
		return;
	}
	while (k * 2 < n)
		k *= 2;
	naive_root(start, k, left);
	naive_root(start + k, n - k, right);
	assert_int_equal(hdms_merkle_node(left, right, root), HDMS_OK);
}

/* RFC 6962, 2.1.1: PATH(m, D[start:start+n]). */
static int
naive_path(int m, int start, int n, HdmsHash *path)
{
	int			k = 1;
	int			count;

	if (n == 1)
		return 0;
	while (k * 2 < n)
		k *= 2;
	if (m < k)
	{
		count = naive_path(m, start, k, path);
		naive_root(start + k, n - k, path[count]);
	}
	else
	{
		count = naive_path(m - k, start + k, n - k, path);
		naive_root(start, k, path[count]);
	}
	return count + 1;
}

/* RFC 6962, 2.1.2: SUBPROOF(m, D[start:start+n], b). */
static int
naive_subproof(int m, int start, int n, bool b, HdmsHash *path)
{
	int			k = 1;
	int			count;

	if (m == n)
	{
		if (b)
			return 0;
		naive_root(start, n, path[0]);
		return 1;
	}
	while (k * 2 < n)
		k *= 2;
	if (m <= k)
	{
		count = naive_subproof(m, start, k, b, path);
		naive_root(start + k, n - k, path[count]);
	}
	else
	{
		count = naive_subproof(m - k, start + k, n - k, false, path);
		naive_root(start, k, path[count]);
	}
	return count + 1;
}

static void
fill(Shelf *shelf, HdmsMerkleFrontier *frontier, int size)
{
	for (int i = 0; i < size; i++)
		assert_int_equal(hdms_merkle_append(frontier, leaf_hashes[i], shelf_store, shelf), HDMS_OK);
}

static void
leaves_and_nodes_are_hashed_apart_from_each_other(void **state)
{
	/* RFC 6962: SHA-256 of the byte 0x00, and of 0x01 and 64 zero bytes. */
	static const unsigned char empty_leaf[4] = {0x6e, 0x34, 0x0b, 0x9c};
	unsigned char input[65] = {0x01};
	HdmsHash	zero = {0};
	HdmsHash	expected;
	HdmsHash	hash;

	(void) state;
	assert_int_equal(hdms_merkle_leaf(NULL, 0, hash), HDMS_OK);
	assert_memory_equal(hash, empty_leaf, sizeof(empty_leaf));
	assert_int_equal(hdms_sha256(input, sizeof(input), expected), HDMS_OK);
	assert_int_equal(hdms_merkle_node(zero, zero, hash), HDMS_OK);
	assert_memory_equal(hash, expected, sizeof(hash));
}

static void
the_root_of_the_empty_tree_is_the_digest_of_nothing(void **state)
{
	static const unsigned char expected[4] = {0xe3, 0xb0, 0xc4, 0x42};
	HdmsMerkleFrontier frontier = {0};
	HdmsHash	root;

	(void) state;
	assert_int_equal(hdms_merkle_root(&frontier, root), HDMS_OK);
	assert_memory_equal(root, expected, sizeof(expected));
	memset(root, 0, sizeof(root));
	assert_int_equal(hdms_merkle_tree_root(0, shelf_fetch, NULL, root), HDMS_OK);
	assert_memory_equal(root, expected, sizeof(expected));
}

static void
appended_and_stored_trees_have_the_root_of_the_definition_at_every_size(void **state)
{
	Shelf	   *shelf = calloc(1, sizeof(*shelf));
	HdmsMerkleFrontier frontier = {0};

	(void) state;
	for (int size = 1; size <= LEAVES; size++)
	{
		HdmsHash	expected;
		HdmsHash	root;

		assert_int_equal(hdms_merkle_append(&frontier, leaf_hashes[size - 1], shelf_store, shelf), HDMS_OK);
		assert_int_equal(frontier.size, size);
		assert_int_equal(shelf->stored, 2 * size - __builtin_popcount((unsigned) size));
		naive_root(0, size, expected);
		assert_int_equal(hdms_merkle_root(&frontier, root), HDMS_OK);
		assert_memory_equal(root, expected, sizeof(root));
		assert_int_equal(hdms_merkle_tree_root((uint64_t) size, shelf_fetch, shelf, root), HDMS_OK);
		assert_memory_equal(root, expected, sizeof(root));
	}
	free(shelf);
}

static void
every_inclusion_proof_is_that_of_the_definition_and_no_other_place_accepts_it(void **state)
{
	Shelf	   *shelf = calloc(1, sizeof(*shelf));
	HdmsMerkleFrontier frontier = {0};

	(void) state;
	fill(shelf, &frontier, LEAVES);
	for (int size = 1; size <= LEAVES; size++)
	{
		HdmsHash	root;

		naive_root(0, size, root);
		for (int index = 0; index < size; index++)
		{
			HdmsHash	expected[64];
			HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
			int			expected_count = naive_path(index, 0, size, expected);
			int			count = -1;

			assert_int_equal(hdms_merkle_inclusion((uint64_t) index, (uint64_t) size, shelf_fetch, shelf, proof, &count), HDMS_OK);
			assert_int_equal(count, expected_count);
			assert_memory_equal(proof, expected, (size_t) count * sizeof(HdmsHash));
			assert_int_equal(hdms_merkle_verify_inclusion((uint64_t) index, (uint64_t) size, leaf_hashes[index], proof, count, root), HDMS_OK);
			assert_int_equal(hdms_merkle_verify_inclusion((uint64_t) (index + 1), (uint64_t) size, leaf_hashes[index], proof, count, root), HDMS_BAD_PROOF);
			if (size > 1)
			{
				int			other = (index + 1) % size;

				assert_int_equal(hdms_merkle_verify_inclusion((uint64_t) index, (uint64_t) size, leaf_hashes[other], proof, count, root), HDMS_BAD_PROOF);
				assert_int_equal(hdms_merkle_verify_inclusion((uint64_t) index, (uint64_t) size, leaf_hashes[index], proof, count - 1, root), HDMS_BAD_PROOF);
				proof[count / 2][7] ^= 0x10;
				assert_int_equal(hdms_merkle_verify_inclusion((uint64_t) index, (uint64_t) size, leaf_hashes[index], proof, count, root), HDMS_BAD_PROOF);
			}
		}
	}
	free(shelf);
}

static void
every_consistency_proof_is_that_of_the_definition_and_no_other_pair_accepts_it(void **state)
{
	Shelf	   *shelf = calloc(1, sizeof(*shelf));
	HdmsMerkleFrontier frontier = {0};
	HdmsHash   *roots = calloc(LEAVES + 1, sizeof(HdmsHash));

	(void) state;
	fill(shelf, &frontier, LEAVES);
	for (int size = 0; size <= LEAVES; size++)
		naive_root(0, size, roots[size]);
	for (int size2 = 1; size2 <= LEAVES; size2++)
	{
		for (int size1 = 1; size1 <= size2; size1++)
		{
			HdmsHash	expected[64];
			HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
			int			expected_count = naive_subproof(size1, 0, size2, true, expected);
			int			count = -1;

			assert_int_equal(hdms_merkle_consistency((uint64_t) size1, (uint64_t) size2, shelf_fetch, shelf, proof, &count), HDMS_OK);
			assert_int_equal(count, expected_count);
			assert_memory_equal(proof, expected, (size_t) count * sizeof(HdmsHash));
			assert_int_equal(hdms_merkle_verify_consistency((uint64_t) size1, (uint64_t) size2, roots[size1], roots[size2], proof, count), HDMS_OK);
			assert_int_equal(hdms_merkle_verify_consistency((uint64_t) size1, (uint64_t) size2, roots[size1 - 1], roots[size2], proof, count), HDMS_BAD_PROOF);
			assert_int_equal(hdms_merkle_verify_consistency((uint64_t) size1, (uint64_t) size2, roots[size1], roots[size2 - 1], proof, count), HDMS_BAD_PROOF);
			if (count > 0)
			{
				assert_int_equal(hdms_merkle_verify_consistency((uint64_t) size1, (uint64_t) size2, roots[size1], roots[size2], proof, count - 1), HDMS_BAD_PROOF);
				proof[count - 1][0] ^= 0x01;
				assert_int_equal(hdms_merkle_verify_consistency((uint64_t) size1, (uint64_t) size2, roots[size1], roots[size2], proof, count), HDMS_BAD_PROOF);
			}
		}
	}
	free(roots);
	free(shelf);
}

static void
a_tree_without_leaves_is_consistent_with_nothing(void **state)
{
	HdmsHash	root = {0};
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			count;

	(void) state;
	assert_int_equal(hdms_merkle_verify_consistency(0, 0, root, root, NULL, 0), HDMS_BAD_PROOF);
	assert_int_equal(hdms_merkle_verify_consistency(0, 5, root, root, NULL, 0), HDMS_BAD_PROOF);
	assert_int_equal(hdms_merkle_consistency(0, 5, shelf_fetch, NULL, proof, &count), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_merkle_verify_inclusion(0, 0, root, NULL, 0, root), HDMS_BAD_PROOF);
	assert_int_equal(hdms_merkle_inclusion(0, 0, shelf_fetch, NULL, proof, &count), HDMS_BAD_ARGUMENT);
}

static void
proofs_beyond_the_tree_are_refused(void **state)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	int			count;

	(void) state;
	assert_int_equal(hdms_merkle_inclusion(7, 7, shelf_fetch, NULL, proof, &count), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_merkle_consistency(8, 7, shelf_fetch, NULL, proof, &count), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_merkle_inclusion(0, UINT64_MAX, shelf_fetch, NULL, proof, &count), HDMS_TOO_LARGE);
	assert_int_equal(hdms_merkle_consistency(1, UINT64_MAX, shelf_fetch, NULL, proof, &count), HDMS_TOO_LARGE);
	assert_int_equal(hdms_merkle_verify_inclusion(0, 1, leaf_hashes[0], NULL, -1, leaf_hashes[0]), HDMS_BAD_PROOF);
	assert_int_equal(hdms_merkle_verify_consistency(3, 7, leaf_hashes[0], leaf_hashes[1], NULL, 0), HDMS_BAD_PROOF);
	assert_int_equal(hdms_merkle_verify_inclusion(0, 1, leaf_hashes[0], NULL, HDMS_MERKLE_MAX_PROOF + 1, leaf_hashes[0]), HDMS_BAD_PROOF);
}

static HdmsStatus
store_that_fails_at_level_1(void *arg, int level, uint64_t index, const HdmsHash hash)
{
	(void) arg;
	(void) index;
	(void) hash;
	return level == 1 ? HDMS_OUT_OF_MEMORY : HDMS_OK;
}

static void
a_store_that_fails_leaves_the_frontier_as_it_was(void **state)
{
	HdmsMerkleFrontier frontier = {0};
	HdmsMerkleFrontier before;

	(void) state;
	assert_int_equal(hdms_merkle_append(&frontier, leaf_hashes[0], store_that_fails_at_level_1, NULL), HDMS_OK);
	before = frontier;
	assert_int_equal(hdms_merkle_append(&frontier, leaf_hashes[1], store_that_fails_at_level_1, NULL), HDMS_OUT_OF_MEMORY);
	assert_memory_equal(&frontier, &before, sizeof(frontier));
}

static void
a_frontier_that_contradicts_itself_is_refused(void **state)
{
	HdmsMerkleFrontier frontier = {.size = 3, .count = 1};
	HdmsHash	root;

	(void) state;
	assert_int_equal(hdms_merkle_append(&frontier, leaf_hashes[0], NULL, NULL), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_merkle_root(&frontier, root), HDMS_BAD_ARGUMENT);
}

/* A log of any size in which every leaf is the same: each complete node follows from its level. */
typedef struct Monotony
{
	HdmsHash	level[64];
	uint64_t	size;
	int			fetched;
} Monotony;

static HdmsStatus
monotony_fetch(void *arg, int level, uint64_t index, HdmsHash hash)
{
	Monotony   *monotony = arg;

	assert_true((index + 1) << level <= monotony->size);
	memcpy(hash, monotony->level[level], sizeof(HdmsHash));
	monotony->fetched++;
	return HDMS_OK;
}

static void
proofs_in_a_log_of_ten_million_leaves_fetch_few_nodes_and_verify(void **state)
{
	Monotony	monotony = {.size = 10000019};
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	HdmsHash	root;
	HdmsHash	old_root;
	int			count;

	(void) state;
	memcpy(monotony.level[0], leaf_hashes[0], sizeof(HdmsHash));
	for (int level = 1; level < 64; level++)
		assert_int_equal(hdms_merkle_node(monotony.level[level - 1], monotony.level[level - 1], monotony.level[level]), HDMS_OK);
	assert_int_equal(hdms_merkle_tree_root(monotony.size, monotony_fetch, &monotony, root), HDMS_OK);
	assert_in_range(monotony.fetched, 1, 24);
	for (uint64_t index = 0; index < monotony.size; index += 999983)
	{
		monotony.fetched = 0;
		assert_int_equal(hdms_merkle_inclusion(index, monotony.size, monotony_fetch, &monotony, proof, &count), HDMS_OK);
		assert_in_range(monotony.fetched, count, 48);
		assert_in_range(count, 1, 24);
		assert_int_equal(hdms_merkle_verify_inclusion(index, monotony.size, leaf_hashes[0], proof, count, root), HDMS_OK);
	}
	monotony.fetched = 0;
	assert_int_equal(hdms_merkle_consistency(7654321, monotony.size, monotony_fetch, &monotony, proof, &count), HDMS_OK);
	assert_in_range(monotony.fetched, count, 72);
	assert_int_equal(hdms_merkle_tree_root(7654321, monotony_fetch, &monotony, old_root), HDMS_OK);
	assert_int_equal(hdms_merkle_verify_consistency(7654321, monotony.size, old_root, root, proof, count), HDMS_OK);
}

static void
the_largest_log_has_proofs_of_at_most_the_promised_length(void **state)
{
	Monotony	monotony = {.size = INT64_MAX};
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	HdmsHash	root;
	HdmsHash	old_root;
	int			count;

	(void) state;
	memcpy(monotony.level[0], leaf_hashes[0], sizeof(HdmsHash));
	for (int level = 1; level < 64; level++)
		assert_int_equal(hdms_merkle_node(monotony.level[level - 1], monotony.level[level - 1], monotony.level[level]), HDMS_OK);
	assert_int_equal(hdms_merkle_tree_root(monotony.size, monotony_fetch, &monotony, root), HDMS_OK);
	assert_int_equal(hdms_merkle_inclusion(0, monotony.size, monotony_fetch, &monotony, proof, &count), HDMS_OK);
	assert_int_equal(count, 63);
	assert_int_equal(hdms_merkle_verify_inclusion(0, monotony.size, leaf_hashes[0], proof, count, root), HDMS_OK);
	assert_int_equal(hdms_merkle_consistency(3, monotony.size, monotony_fetch, &monotony, proof, &count), HDMS_OK);
	assert_int_equal(count, 64);
	assert_int_equal(hdms_merkle_tree_root(3, monotony_fetch, &monotony, old_root), HDMS_OK);
	assert_int_equal(hdms_merkle_verify_consistency(3, monotony.size, old_root, root, proof, count), HDMS_OK);
}

/*
 * Base64 of a hash. One vector has shorter words as roots of two equal trees: they are filled up, which keeps
 * equal ones equal. Longer ones our types cannot even express.
 */
static bool
vector_hash(const json_t *text, HdmsHash hash)
{
	HdmsBytes	bytes = {0};
	bool		fits;

	if (!json_is_string(text) || hdms_base64_decode(json_string_value(text), json_string_length(text), &bytes) != HDMS_OK)
		return false;
	fits = bytes.len > 0 && bytes.len <= sizeof(HdmsHash);
	memset(hash, 0, sizeof(HdmsHash));
	if (fits)
		memcpy(hash, bytes.data, bytes.len);
	hdms_bytes_free(&bytes);
	return fits;
}

static bool
vector_proof(const json_t *array, HdmsHash *proof, int *count)
{
	*count = (int) json_array_size(array);
	if (*count > HDMS_MERKLE_MAX_PROOF)
		return false;
	for (int i = 0; i < *count; i++)
	{
		if (!vector_hash(json_array_get(array, (size_t) i), proof[i]))
			return false;
	}
	return true;
}

/* Some vectors have 2^64 - 1, which is no integer to jansson; all others are small. */
static uint64_t
vector_number(const json_t *object, const char *name)
{
	double		value = json_real_value(json_object_get(object, name));

	return value < 1e15 ? (uint64_t) value : UINT64_MAX;
}

/* Whether our verifier accepts the vector. */
static bool
vector_is_accepted(const json_t *vector)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	HdmsHash	a;
	HdmsHash	b;
	int			count;

	if (!vector_proof(json_object_get(vector, "proof"), proof, &count))
		return false;
	if (json_object_get(vector, "leafIdx") != NULL)
		return vector_hash(json_object_get(vector, "leafHash"), a) && vector_hash(json_object_get(vector, "root"), b) &&
			hdms_merkle_verify_inclusion(vector_number(vector, "leafIdx"), vector_number(vector, "treeSize"), a, proof, count, b) == HDMS_OK;
	return vector_hash(json_object_get(vector, "root1"), a) && vector_hash(json_object_get(vector, "root2"), b) &&
		hdms_merkle_verify_consistency(vector_number(vector, "size1"), vector_number(vector, "size2"), a, b, proof, count) == HDMS_OK;
}

/* Walks a folder of vectors; returns how many there were. */
static int
check_vectors(const char *folder, int *accepted)
{
	DIR		   *dir = opendir(folder);
	struct dirent *entry;
	int			found = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
	{
		char		path[1024];
		struct stat info;
		json_t	   *vector;
		bool		is_wrong;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		assert_int_equal(stat(path, &info), 0);
		if (S_ISDIR(info.st_mode))
		{
			found += check_vectors(path, accepted);
			continue;
		}
		vector = json_load_file(path, JSON_DECODE_INT_AS_REAL, NULL);
		assert_non_null(vector);
		is_wrong = json_is_true(json_object_get(vector, "wantErr"));

		/* RFC 9162 leaves an empty first tree open; here it is always an error. */
		if (json_object_get(vector, "size1") != NULL && vector_number(vector, "size1") == 0)
			is_wrong = true;
		if (vector_is_accepted(vector) == is_wrong)
			fail_msg("%s: %s", path, is_wrong ? "accepted" : "refused");
		*accepted += !is_wrong;
		found++;
		json_decref(vector);
	}
	closedir(dir);
	return found;
}

static void
foreign_vectors_are_judged_as_their_makers_say(void **state)
{
	struct stat info;
	int			accepted = 0;

	(void) state;
	if (stat(VECTORS "/merkle", &info) != 0)
	{
		print_message("skipped: no vectors at " VECTORS "/merkle\n");
		return;
	}
	assert_in_range(check_vectors(VECTORS "/merkle/inclusion", &accepted), 50, 10000);
	assert_in_range(check_vectors(VECTORS "/merkle/consistency", &accepted), 50, 10000);
	assert_in_range(accepted, 8, 1000);
}

static void
tiles_have_the_paths_of_the_specification(void **state)
{
	static const struct
	{
		int			level;
		uint64_t	index;
		int			width;
		const char *path;
	}			cases[] = {
		{0, 0, 256, "tile/0/000"},
		{0, 7, 1, "tile/0/007.p/1"},
		{1, 1234067, 256, "tile/1/x001/x234/067"},
		{-1, 1234067, 255, "tile/entries/x001/x234/067.p/255"},
		{-1, 999, 256, "tile/entries/999"},
		{2, 1000, 17, "tile/2/x001/000.p/17"},
		{63, INT64_MAX, 256, "tile/63/x009/x223/x372/x036/x854/x775/807"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char		path[96];
		int			level = -2;
		uint64_t	index = 1;
		int			width = 0;

		assert_int_equal(hdms_tile_path(cases[i].level, cases[i].index, cases[i].width, path), HDMS_OK);
		assert_string_equal(path, cases[i].path);
		assert_int_equal(hdms_tile_parse(path, &level, &index, &width), HDMS_OK);
		assert_int_equal(level, cases[i].level);
		assert_true(index == cases[i].index);
		assert_int_equal(width, cases[i].width);
	}
}

static void
every_other_spelling_of_a_tile_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile//000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/100/000",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/001", "tile/0/x001", "tile/0/x001/", "tile/0/x001/x002", "tile/0/001/002",
		"tile/0/X001/002", "tile/0/x001//002", "tile/0/000/", "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256",
		"tile/0/000.p/01", "tile/0/000.p/1/", "tile/0/000.p/1000", "tile/0/000.p/-1", "tile/entries", "tile/entries/", "tile/entrie/000",
		"tile/entries/000 ", "tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/0/+01", "tile/0/../000",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		int			level = 42;
		uint64_t	index = 42;
		int			width = 42;

		if (hdms_tile_parse(wrong[i], &level, &index, &width) != HDMS_BAD_FORMAT)
			fail_msg("accepted: %s", wrong[i]);
		assert_int_equal(level, 42);
		assert_int_equal(index, 42);
		assert_int_equal(width, 42);
	}
}

static void
tiles_that_cannot_exist_have_no_path(void **state)
{
	char		path[96];

	(void) state;
	assert_int_equal(hdms_tile_path(-2, 0, 256, path), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_tile_path(64, 0, 256, path), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_tile_path(0, 0, 0, path), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_tile_path(0, 0, 257, path), HDMS_BAD_ARGUMENT);
	assert_int_equal(hdms_tile_path(0, UINT64_MAX, 256, path), HDMS_BAD_ARGUMENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_and_nodes_are_hashed_apart_from_each_other),
		cmocka_unit_test(the_root_of_the_empty_tree_is_the_digest_of_nothing),
		cmocka_unit_test(appended_and_stored_trees_have_the_root_of_the_definition_at_every_size),
		cmocka_unit_test(every_inclusion_proof_is_that_of_the_definition_and_no_other_place_accepts_it),
		cmocka_unit_test(every_consistency_proof_is_that_of_the_definition_and_no_other_pair_accepts_it),
		cmocka_unit_test(a_tree_without_leaves_is_consistent_with_nothing),
		cmocka_unit_test(proofs_beyond_the_tree_are_refused),
		cmocka_unit_test(a_store_that_fails_leaves_the_frontier_as_it_was),
		cmocka_unit_test(a_frontier_that_contradicts_itself_is_refused),
		cmocka_unit_test(proofs_in_a_log_of_ten_million_leaves_fetch_few_nodes_and_verify),
		cmocka_unit_test(the_largest_log_has_proofs_of_at_most_the_promised_length),
		cmocka_unit_test(foreign_vectors_are_judged_as_their_makers_say),
		cmocka_unit_test(tiles_have_the_paths_of_the_specification),
		cmocka_unit_test(every_other_spelling_of_a_tile_is_refused),
		cmocka_unit_test(tiles_that_cannot_exist_have_no_path),
	};

	return cmocka_run_group_tests(tests, make_leaves, NULL);
}
