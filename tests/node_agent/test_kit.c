/*
 * test_kit.c
 *		The recovery kit: words that others read too, and a home that gives its seed only for the passphrase.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench.h"
#include "kit.h"

/* The published vectors of BIP-39 that have 256 bits. */
static const struct
{
	const char *seed;
	const char *words;
}			vectors[] = {
	{"0000000000000000000000000000000000000000000000000000000000000000",
		"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
		"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"},
	{"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
		"legal winner thank year wave sausage worth useful legal winner thank year "
		"wave sausage worth useful legal winner thank year wave sausage worth title"},
	{"8080808080808080808080808080808080808080808080808080808080808080",
		"letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd "
		"amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless"},
	{"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo "
		"zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote"},
	{"68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
		"hamster diagram private dutch cause delay private meat slide toddler razor book "
		"happy fancy gospel tennis maple dilemma loan word shrug inflict delay length"},
	{"9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
		"panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich "
		"alcohol speed nation flash devote level hobby quick inner drive ghost inside"},
	{"066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
		"all hour make first leader extend hole alien behind guard gospel lava "
		"path output census museum junior mass reopen famous sing advance salt reform"},
	{"f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
		"void come effort suffer camp survey warrior heavy shoot primary clutch crush "
		"open amazing screen patrol group space point ten exist slush involve unfold"},
};

static void
seed_read(const char *hex, unsigned char seed[SEED_SIZE])
{
	for (int i = 0; i < SEED_SIZE; i++)
	{
		unsigned	byte;

		assert_int_equal(sscanf(hex + i * 2, "%2x", &byte), 1);
		seed[i] = (unsigned char) byte;
	}
}

static void
the_words_are_those_of_the_standard(void **unused)
{
	(void) unused;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
	{
		unsigned char seed[SEED_SIZE];
		unsigned char again[SEED_SIZE];
		char		text[SEED_WORDS_SIZE];
		int			wrong;

		seed_read(vectors[i].seed, seed);
		MUST(words_print(seed, text));
		assert_string_equal(text, vectors[i].words);
		MUST(words_parse(text, again, &wrong));
		assert_memory_equal(seed, again, SEED_SIZE);
	}
}

static void
words_are_read_as_a_person_writes_them(void **unused)
{
	unsigned char seed[SEED_SIZE];
	unsigned char again[SEED_SIZE];
	char		text[SEED_WORDS_SIZE];
	char		written[1024] = "";
	int			wrong;
	int			number = 1;

	(void) unused;
	for (int i = 0; i < SEED_SIZE; i++)
		seed[i] = (unsigned char) (i * 37 + 11);
	MUST(words_print(seed, text));
	for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "), number++)
	{
		word[0] = (char) (word[0] - 'a' + 'A');
		sprintf(written + strlen(written), "%d. %.4s%s", number, word, number % 6 == 0 ? "\r\n" : "\t");
	}
	MUST(words_parse(written, again, &wrong));
	assert_memory_equal(seed, again, SEED_SIZE);
}

static void
a_slip_of_the_pen_is_noticed_and_shown(void **unused)
{
	static const char abandon[] = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
		"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon ";
	char		text[400];
	unsigned char seed[SEED_SIZE] = {1};
	int			wrong;

	(void) unused;
	snprintf(text, sizeof(text), "%sart", abandon);
	MUST(words_parse(text, seed, &wrong));
	assert_int_equal(seed[0], 0);
	snprintf(text, sizeof(text), "%szoo", abandon);
	assert_int_equal(words_parse(text, seed, &wrong), HDMS_DIGEST_MISMATCH);
	snprintf(text, sizeof(text), "%sartt", abandon);
	assert_int_equal(words_parse(text, seed, &wrong), HDMS_BAD_FORMAT);
	assert_int_equal(wrong, 24);
	snprintf(text, sizeof(text), "abandon abandno %s", abandon);
	assert_int_equal(words_parse(text, seed, &wrong), HDMS_BAD_FORMAT);
	assert_int_equal(wrong, 2);
	assert_int_equal(words_parse(abandon, seed, &wrong), HDMS_BAD_FORMAT);
	assert_int_equal(wrong, 0);
	snprintf(text, sizeof(text), "%sart art", abandon);
	assert_int_equal(words_parse(text, seed, &wrong), HDMS_BAD_FORMAT);
	assert_int_equal(words_parse("", seed, &wrong), HDMS_BAD_FORMAT);
	assert_int_equal(words_parse("abandonabandonabandon", seed, &wrong), HDMS_BAD_FORMAT);
}

static void
the_text_behind_the_picture_has_the_whole_kit_and_nothing_else_is_one(void **unused)
{
	unsigned char seed[SEED_SIZE] = {7, 8, 9};
	const char *network = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	char	   *uri = kit_uri(seed, "https://hdms.example:8443/below", network);
	char		altered[400];
	Kit			kit;

	(void) unused;
	assert_true(kit_parse(uri, &kit));
	assert_memory_equal(kit.seed, seed, SEED_SIZE);
	assert_string_equal(kit.network, network);
	assert_string_equal(kit.server, "https://hdms.example:8443/below");
	for (size_t len = 0; len < strlen(uri) - 23; len++)
	{
		snprintf(altered, sizeof(altered), "%.*s", (int) len, uri);
		assert_false(kit_parse(altered, &kit));
	}
	snprintf(altered, sizeof(altered), "%s/", uri);
	assert_false(kit_parse(altered, &kit));
	snprintf(altered, sizeof(altered), "%s x", uri);
	assert_false(kit_parse(altered, &kit));
	free(uri);
}

static void
the_kit_needs_the_passphrase_even_while_the_home_is_open(void **unused)
{
	Bench		bench;
	unsigned char key[32] = {1, 2, 3};
	unsigned char other[32] = {3, 2, 1};
	HdmsNodeSecret right = {.platform_key = key};
	HdmsNodeSecret wrong = {.platform_key = other};
	HdmsNodeError error;
	char		words[SEED_WORDS_SIZE];
	char	   *json = NULL;
	json_t	   *kit;
	const json_t *network;

	(void) unused;
	bench_open(&bench, false);
	assert_int_equal(hdms_home_kit(bench.path, &wrong, &json, &error), HDMS_NODE_WRONG_SECRET);
	assert_int_equal(hdms_home_kit(bench.path, &right, &json, &error), HDMS_NODE_OK);
	kit = json_loads(json, 0, NULL);
	MUST(words_print(bench.home->seed, words));
	assert_string_equal(json_string_value(json_object_get(kit, "words")), words);
	network = json_array_get(json_object_get(kit, "kits"), 0);
	assert_string_equal(json_string_value(json_object_get(network, "network")), bench.pairing->network);
	assert_string_equal(json_string_value(json_object_get(network, "server")), bench.pairing->server);
	assert_int_equal(json_integer_value(json_object_get(network, "pairings")), 1);
	json_decref(kit);
	free(json);
	bench_close(&bench);
}

static void
another_passphrase_opens_the_home_and_the_old_one_does_not(void **unused)
{
	HdmsNodeSecret first = {.passphrase = "correct horse battery"};
	HdmsNodeSecret second = {.passphrase = "quite another thing"};
	HdmsNodeSecret none = {0};
	unsigned char seed[SEED_SIZE];
	char		path[] = "/tmp/hdms-kit-XXXXXX";
	char		command[64];
	HdmsHome   *home = NULL;
	HdmsNodeError error;

	(void) unused;
	assert_non_null(mkdtemp(path));
	assert_int_equal(hdms_home_create(path, &first, HDMS_SUITE_P256, seed, &error), HDMS_NODE_OK);
	assert_int_equal(hdms_home_change_secret(path, &second, &first, &error), HDMS_NODE_WRONG_SECRET);
	assert_int_equal(hdms_home_change_secret(path, &first, &none, &error), HDMS_NODE_BAD_ARGUMENT);
	assert_int_equal(hdms_home_open(path, &first, NULL, &home, &error), HDMS_NODE_OK);
	assert_int_equal(hdms_home_change_secret(path, &first, &second, &error), HDMS_NODE_OK);
	hdms_home_close(home);
	assert_int_equal(hdms_home_open(path, &first, NULL, &home, &error), HDMS_NODE_WRONG_SECRET);
	assert_int_equal(hdms_home_open(path, &second, NULL, &home, &error), HDMS_NODE_OK);
	assert_memory_equal(home->seed, seed, SEED_SIZE);
	hdms_home_close(home);
	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words_are_those_of_the_standard),
		cmocka_unit_test(words_are_read_as_a_person_writes_them),
		cmocka_unit_test(a_slip_of_the_pen_is_noticed_and_shown),
		cmocka_unit_test(the_text_behind_the_picture_has_the_whole_kit_and_nothing_else_is_one),
		cmocka_unit_test(the_kit_needs_the_passphrase_even_while_the_home_is_open),
		cmocka_unit_test(another_passphrase_opens_the_home_and_the_old_one_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
