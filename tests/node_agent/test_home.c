/*
 * test_home.c
 *		What lies on the disk: nothing readable, nothing that can be swapped, nothing that opens for the wrong secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench.h"
#include "pack.h"
#include "url.h"

#define MARKER "QuicksilverMarkerOfThisTest"

static Bench bench;
static Packer *packer;

/* Whether any file of the folder has the bytes. */
static bool
folder_has(const char *path, const void *bytes, size_t len)
{
	DIR		   *folder = opendir(path);
	struct dirent *entry;
	bool		found = false;

	while ((entry = readdir(folder)) != NULL)
	{
		char		name[512];
		FILE	   *file;
		static char content[16 << 20];
		size_t		size;

		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] == '.' || (file = fopen(name, "r")) == NULL)
			continue;
		size = fread(content, 1, sizeof(content), file);
		fclose(file);
		found = found || memmem(content, size, bytes, len) != NULL;
	}
	closedir(folder);
	return found;
}

static void
nothing_that_is_secret_or_about_health_can_be_read_in_the_files(void **unused)
{
	char		content[] = "{\"resourceType\":\"Observation\",\"code\":{\"text\":\"" MARKER "\"},\"note\":\"" MARKER MARKER "\"}";
	char	   *encoded;
	char	   *jwk;
	size_t		index;
	HdmsNodeError error;

	(void) unused;
	bench_open(&bench, false);
	index = bench_issue(&bench, content, 0);
	bench_run(&bench);
	for (int stage = 0; stage < 2; stage++)
	{
		assert_false(folder_has(bench.path, MARKER, strlen(MARKER)));

		/* In base64url it begins at one of three places of a group of four characters. */
		for (int shift = 0; shift < 3; shift++)
		{
			MUST(hdms_base64url_encode(&MARKER[shift], 24, &encoded));
			assert_false(folder_has(bench.path, encoded, strlen(encoded)));
			free(encoded);
		}
		assert_false(folder_has(bench.path, bench.home->seed, sizeof(bench.home->seed)));
		MUST(hdms_key_to_jwk(bench.pairing->sign, true, &jwk));
		assert_false(folder_has(bench.path, strstr(jwk, "\"d\":") + 5, 40));
		free(jwk);
		assert_false(folder_has(bench.path, "Hospital of Examples", 20));
		assert_false(folder_has(bench.path, "Observation", 11));
		if (stage == 0)
			assert_int_equal(hdms_home_accept(bench.home, bench.sim.versions[index].state.record, &error), HDMS_NODE_OK);
		bench_run(&bench);
	}

	/* The search itself works: ids are in plain text. */
	{
		unsigned char vk[HDMS_DIGEST_SIZE];

		MUST(hdms_base64url_read(bench.sim.versions[index].state.vk, HDMS_DIGEST_TEXT, vk, sizeof(vk)));
		assert_true(folder_has(bench.path, vk, sizeof(vk)));
	}
	bench_close(&bench);
}

/* A folder for a home of its own. */
static void
fresh_path(char path[64])
{
	strcpy(path, "/tmp/hdms-home-XXXXXX");
	assert_non_null(mkdtemp(path));
}

static void
remove_path(const char *path)
{
	char		command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
}

static void
only_the_right_passphrase_opens_a_home(void **unused)
{
	HdmsNodeSecret right = {.passphrase = "correct horse battery"};
	HdmsNodeSecret wrong = {.passphrase = "correct horse batterz"};
	HdmsNodeSecret key = {.platform_key = (const unsigned char *) "0123456789abcdef0123456789abcdef"};
	unsigned char seed[32];
	char		path[64];
	HdmsHome   *home = NULL;
	HdmsNodeError error;

	(void) unused;
	fresh_path(path);
	assert_int_equal(hdms_home_create(path, &right, HDMS_SUITE_P256, seed, &error), HDMS_NODE_OK);
	assert_int_equal(hdms_home_create(path, &right, HDMS_SUITE_P256, NULL, &error), HDMS_NODE_REFUSED);
	assert_int_equal(hdms_home_open(path, &wrong, NULL, &home, &error), HDMS_NODE_WRONG_SECRET);
	assert_int_equal(hdms_home_open(path, &key, NULL, &home, &error), HDMS_NODE_WRONG_SECRET);
	assert_int_equal(hdms_home_open(path, &right, NULL, &home, &error), HDMS_NODE_OK);
	assert_memory_equal(home->seed, seed, sizeof(seed));
	hdms_home_close(home);
	assert_false(folder_has(path, "correct horse", 13));
	remove_path(path);
}

static void
a_home_without_a_secret_is_not_made(void **unused)
{
	HdmsNodeSecret none = {0};
	HdmsNodeSecret empty = {.passphrase = ""};
	HdmsNodeError error;
	char		path[64];

	(void) unused;
	fresh_path(path);
	assert_int_equal(hdms_home_create(path, &none, HDMS_SUITE_P256, NULL, &error), HDMS_NODE_BAD_ARGUMENT);
	assert_int_equal(hdms_home_create(path, &empty, HDMS_SUITE_P256, NULL, &error), HDMS_NODE_BAD_ARGUMENT);
	remove_path(path);
}

static void
a_home_is_open_once_and_closed_to_other_users(void **unused)
{
	HdmsNodeSecret secret = {.platform_key = (const unsigned char *) "0123456789abcdef0123456789abcdef"};
	char		path[64];
	char		database[128];
	struct stat status;
	HdmsHome   *home = NULL;
	HdmsHome   *second = NULL;
	HdmsNodeError error;

	(void) unused;
	fresh_path(path);
	assert_int_equal(hdms_home_create(path, &secret, HDMS_SUITE_P256, NULL, &error), HDMS_NODE_OK);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(hdms_home_open(path, &secret, NULL, &home, &error), HDMS_NODE_OK);
	assert_int_equal(hdms_home_open(path, &secret, NULL, &second, &error), HDMS_NODE_BUSY);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	snprintf(database, sizeof(database), "%s/node.db", path);
	assert_int_equal(stat(database, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	hdms_home_close(home);
	assert_int_equal(hdms_home_open(path, &secret, NULL, &home, &error), HDMS_NODE_OK);
	hdms_home_close(home);
	remove_path(path);
}

/* Runs SQL against the closed home's file, as somebody with the disk would. */
static void
tamper(const char *path, const char *sql)
{
	char		name[128];
	sqlite3    *db;
	char	   *message = NULL;

	snprintf(name, sizeof(name), "%s/node.db", path);
	assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_close(db);
}

static void
values_that_were_swapped_or_altered_on_the_disk_are_noticed(void **unused)
{
	static const char *const attacks[] = {
		/* one record's text in another's place, one text in another's place, one bit */
		"UPDATE part SET sealed = (SELECT sealed FROM part WHERE id = 64) WHERE id = 128",
		"UPDATE part SET sealed = (SELECT sealed FROM part WHERE id = 66) WHERE id = 128",
		"UPDATE part SET sealed = CAST(substr(sealed, 1, 40) || x'00' || substr(sealed, 42) AS BLOB) WHERE id = 128",
		"UPDATE part SET sealed = substr(sealed, 1, 20) WHERE id = 128",
	};
	char	   *json;
	HdmsNodeError error;

	(void) unused;
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
	{
		HdmsNodeSecret secret = {.platform_key = (const unsigned char[32]) {1, 2, 3}};

		bench_open(&bench, true);
		bench_issue(&bench, CONTENT, 0);
		bench_issue(&bench, "{\"b\":1}", 0);
		bench_run(&bench);
		assert_int_equal(hdms_home_show(bench.home, "2", &json, &error), HDMS_NODE_OK);
		free(json);
		hdms_home_close(bench.home);
		tamper(bench.path, attacks[i]);
		assert_int_equal(hdms_home_open(bench.path, &secret, NULL, &bench.home, &error), HDMS_NODE_OK);
		assert_int_equal(hdms_home_show(bench.home, "1", &json, &error), HDMS_NODE_OK);
		free(json);
		assert_int_equal(hdms_home_show(bench.home, "2", &json, &error), HDMS_NODE_STORAGE);
		assert_int_equal(hdms_home_verify(bench.home, "2", &json, &error), HDMS_NODE_STORAGE);
		bench_close(&bench);
	}
}

static void
what_a_busy_outbox_took_of_the_disk_is_given_back(void **unused)
{
	char		name[128];
	sqlite3    *db;
	sqlite3_stmt *statement;
	OutboxItem	items[64];
	size_t		count;

	(void) unused;
	bench_open(&bench, true);
	for (int i = 0; i < 60; i++)
	{
		SimMail		mail;

		(void) bench_issue(&bench, CONTENT, 0);
		while (sim_take(&bench.sim, &mail))
		{
			bench_arrive(&bench, mail.envelope);
			free(mail.envelope);
		}
	}
	bench_run(&bench);
	assert_true(outbox_due(bench.pairing, INT64_MAX, 64, 8 << 20, items, &count));
	assert_int_equal(count, 0);
	bench_restart(&bench);
	snprintf(name, sizeof(name), "%s/node.db", bench.path);
	assert_int_equal(sqlite3_open_v2(name, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA freelist_count", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(statement, 0), 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	bench_close(&bench);
}

static void
a_sealed_value_opens_in_its_own_column_and_row_only(void **unused)
{
	HdmsNodeSecret secret = {.platform_key = (const unsigned char *) "0123456789abcdef0123456789abcdef"};
	Vault	   *vault;
	HdmsBytes	wrapped = {0};
	HdmsBytes	sealed = {0};
	HdmsBytes	opened = {0};

	(void) unused;
	MUST(vault_create(&secret, &wrapped, &vault));
	MUST(vault_seal(vault, "part", 7, "text", 4, &sealed));
	assert_int_equal(vault_open(vault, "version", 7, sealed.data, sealed.len, &opened), HDMS_CANNOT_DECRYPT);
	assert_int_equal(vault_open(vault, "part", 8, sealed.data, sealed.len, &opened), HDMS_CANNOT_DECRYPT);
	MUST(vault_open(vault, "part", 7, sealed.data, sealed.len, &opened));
	assert_string_equal((char *) opened.data, "text");
	hdms_bytes_free(&wrapped);
	hdms_bytes_free(&sealed);
	hdms_bytes_free(&opened);
	vault_free(vault);
}

static void
a_database_of_a_newer_program_is_left_alone(void **unused)
{
	HdmsNodeSecret secret = {.platform_key = (const unsigned char *) "0123456789abcdef0123456789abcdef"};
	char		path[64];
	HdmsHome   *home = NULL;
	HdmsNodeError error;

	(void) unused;
	fresh_path(path);
	assert_int_equal(hdms_home_create(path, &secret, HDMS_SUITE_P256, NULL, &error), HDMS_NODE_OK);
	tamper(path, "PRAGMA user_version = 999");
	assert_int_equal(hdms_home_open(path, &secret, NULL, &home, &error), HDMS_NODE_STORAGE);
	assert_non_null(strstr(error.message, "newer"));
	remove_path(path);
}

static void
assert_packs(const void *data, size_t len)
{
	HdmsBytes	packed = {0};
	HdmsBytes	back = {0};

	MUST(pack(packer, data, len, &packed));
	MUST(unpack(packer, packed.data, packed.len, len, &back));
	assert_int_equal(back.len, len);
	assert_memory_equal(back.data, data, len);
	hdms_bytes_free(&back);
	if (len > 0)
		assert_int_equal(unpack(packer, packed.data, packed.len, len - 1, &back), HDMS_TOO_LARGE);
	hdms_bytes_free(&packed);
}

static void
packing_gives_the_exact_bytes_again(void **unused)
{
	static const char *const texts[] = {
		"", "a", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAAAAA", "eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA~",
		"~AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA~AAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "-----------------------________________________________-",
	};
	unsigned char random[4096];
	char	   *nested;
	char	   *twice;

	(void) unused;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_packs(texts[i], strlen(texts[i]));
	for (size_t len = 1; len < sizeof(random); len += 97)
	{
		MUST(hdms_random(random, len));
		assert_packs(random, len);
		MUST(hdms_base64url_encode(random, len, &nested));
		assert_packs(nested, strlen(nested));
		MUST(hdms_base64url_encode(nested, strlen(nested), &twice));
		assert_packs(twice, strlen(twice));

		/* A last character with bits that canonical base64url has not. */
		nested[strlen(nested) - 1] = '_';
		assert_packs(nested, strlen(nested));
		free(nested);
		free(twice);
	}
}

static void
packed_bytes_that_were_altered_never_crash(void **unused)
{
	HdmsBytes	packed = {0};
	HdmsBytes	back = {0};
	char	   *text;
	unsigned char random[600];

	(void) unused;
	MUST(hdms_random(random, sizeof(random)));
	MUST(hdms_base64url_encode(random, sizeof(random), &text));
	MUST(pack(packer, text, strlen(text), &packed));
	for (size_t at = 0; at < packed.len; at++)
		for (int bit = 0; bit < 8; bit++)
		{
			packed.data[at] ^= (unsigned char) (1 << bit);
			if (unpack(packer, packed.data, packed.len, 4096, &back) == HDMS_OK)
				hdms_bytes_free(&back);
			packed.data[at] ^= (unsigned char) (1 << bit);
		}
	for (size_t len = 0; len < packed.len; len++)
		if (unpack(packer, packed.data, len, 4096, &back) == HDMS_OK)
			hdms_bytes_free(&back);
	hdms_bytes_free(&packed);
	free(text);
}

static void
settings_are_read_and_mistakes_are_told(void **unused)
{
	NodeConfig	config;

	(void) unused;
	config_default(&config);
	assert_true(config_set(&config, "notary_patience", "250ms"));
	assert_int_equal(config.notary_patience, 250);
	assert_true(config_set(&config, "resend_initial", "5"));
	assert_int_equal(config.resend_initial, 5000);
	assert_true(config_set(&config, "message_ttl", "30 d"));
	assert_int_equal(config.message_ttl, INT64_C(2592000000));
	assert_false(config_set(&config, "resend_initial", "-5"));
	assert_false(config_set(&config, "resend_initial", "5 parsecs"));
	assert_false(config_set(&config, "resend_initial", "99999999999999999999"));
	assert_false(config_set(&config, "no_such_setting", "1"));
	assert_false(config_set(&config, "policy", "perhaps"));
}

static void
plain_http_is_for_loopback_addresses_only(void **unused)
{
	char		authority[100];

	(void) unused;
	assert_true(url_allowed("https://hdms.example", false));
	assert_true(url_allowed("http://127.0.0.1:8080", false));
	assert_true(url_allowed("http://[::1]:8080", false));
	assert_true(url_allowed("http://localhost", false));
	assert_false(url_allowed("http://hdms.example", false));
	assert_false(url_allowed("http://127.0.0.1.example", false));
	assert_false(url_allowed("http://localhost.example", false));
	assert_false(url_allowed("http://user@127.0.0.1", false));
	assert_false(url_allowed("ftp://127.0.0.1", true));
	assert_false(url_allowed("file:///etc/passwd", true));
	assert_false(url_allowed("https://hdms.example?x=1", false));
	assert_true(url_allowed("http://hdms.example", true));
	assert_true(url_authority("https://HDMS.example:443/a", authority, sizeof(authority)));
	assert_string_equal(authority, "hdms.example");
	assert_true(url_authority("https://hdms.example:8443", authority, sizeof(authority)));
	assert_string_equal(authority, "hdms.example:8443");
	assert_string_equal(url_path("https://hdms.example:8443/below"), "/below");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_is_secret_or_about_health_can_be_read_in_the_files),
		cmocka_unit_test(only_the_right_passphrase_opens_a_home),
		cmocka_unit_test(a_home_without_a_secret_is_not_made),
		cmocka_unit_test(a_home_is_open_once_and_closed_to_other_users),
		cmocka_unit_test(values_that_were_swapped_or_altered_on_the_disk_are_noticed),
		cmocka_unit_test(what_a_busy_outbox_took_of_the_disk_is_given_back),
		cmocka_unit_test(a_sealed_value_opens_in_its_own_column_and_row_only),
		cmocka_unit_test(a_database_of_a_newer_program_is_left_alone),
		cmocka_unit_test(packing_gives_the_exact_bytes_again),
		cmocka_unit_test(packed_bytes_that_were_altered_never_crash),
		cmocka_unit_test(settings_are_read_and_mistakes_are_told),
		cmocka_unit_test(plain_http_is_for_loopback_addresses_only),
	};

	int			failed;

	packer = packer_create();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	packer_free(packer);
	return failed;
}
