/*
 * test_note.c
 *		Checkpoints and cosignatures: against notes that another implementation made, and notes that must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "note.h"

#define ORIGIN		"example.org/log"
#define WITNESS		"witness.example/w1"
#define DASH		"\xe2\x80\x94 "

/* Made with Node's crypto from the keys below: Ed25519 signatures are deterministic. */
static const char log_jwk[] =
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w\","
	"\"d\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}";
static const char witness_jwk[] =
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"gTl3Dqh9F19Wo1Rmw0x-zMuNipG07jeiXfYPW4_Js5Q\","
	"\"d\":\"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\"}";

#define TEXT		ORIGIN "\n20852163\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n"
#define LOG_LINE	DASH ORIGIN " jxP55CYSwtLYWgPYtBLOOUnxaOgrIoBfC3kQyq0UFNz+BR0PToIqzYUn1Gj05Kyg4j2JlB+gIR55yw6I0h3e1ITRzAk=\n"
#define WITNESS_LINE DASH WITNESS " 3xwKNQAAAABkGFDLD2DAjA4LUUX2bm+1u732nUTH95Zy2/9nC7KPJV0EvWz7UNCcW34UGFAOiFQozD/uzKiNIl8Mlixy3mrUZyHlDg==\n"
#define STRANGE_LINE DASH "strange.example/k AQIDBAUG\n"
#define WITNESS_TIME 1679315147

static HdmsKey *log_key;
static HdmsKey *witness_key;

static int
load_keys(void **state)
{
	(void) state;
	return hdms_key_from_jwk(log_jwk, strlen(log_jwk), &log_key) != HDMS_OK ||
		hdms_key_from_jwk(witness_jwk, strlen(witness_jwk), &witness_key) != HDMS_OK;
}

static int
free_keys(void **state)
{
	(void) state;
	hdms_key_free(log_key);
	hdms_key_free(witness_key);
	return 0;
}

static HdmsCheckpoint
example_checkpoint(void)
{
	HdmsCheckpoint checkpoint = {.origin = ORIGIN, .size = 20852163};

	assert_int_equal(hdms_sha256("root", 4, checkpoint.root), HDMS_OK);
	return checkpoint;
}

static void
a_signed_checkpoint_is_the_one_that_another_implementation_makes(void **state)
{
	HdmsCheckpoint checkpoint = example_checkpoint();
	char	   *note = NULL;

	(void) state;
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_OK);
	assert_string_equal(note, TEXT "\n" LOG_LINE);
	free(note);
}

static void
a_checkpoint_verifies_with_the_signatures_of_strangers_around_it(void **state)
{
	static const char *const notes[] = {
		TEXT "\n" LOG_LINE,
		TEXT "\n" STRANGE_LINE LOG_LINE,
		TEXT "\n" LOG_LINE STRANGE_LINE WITNESS_LINE,

		/* The log's name under another key id, and its key id under another name, are strangers too. */
		TEXT "\n" DASH ORIGIN " AQIDBAUG\n" LOG_LINE,
		TEXT "\n" DASH "other.example jxP55CYS\n" LOG_LINE,
	};
	HdmsCheckpoint expected = example_checkpoint();

	(void) state;
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
	{
		HdmsCheckpoint checkpoint;

		assert_int_equal(hdms_checkpoint_verify(notes[i], strlen(notes[i]), ORIGIN, log_key, &checkpoint), HDMS_OK);
		assert_string_equal(checkpoint.origin, ORIGIN);
		assert_int_equal(checkpoint.size, expected.size);
		assert_memory_equal(checkpoint.root, expected.root, sizeof(expected.root));
	}
}

static void
a_checkpoint_without_the_logs_signature_is_refused(void **state)
{
	static const char *const notes[] = {
		TEXT "\n" STRANGE_LINE,
		TEXT "\n" WITNESS_LINE,
		ORIGIN "\n20852164\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n" "\n" LOG_LINE,
		TEXT "extension\n" "\n" LOG_LINE,
		TEXT "\n" DASH ORIGIN " jxP55CYS\n",
		TEXT "\n" DASH ORIGIN " jxP55CYSwtLYWgPYtBLOOUnxaOgrIoBfC3kQyq0UFNz+BR0PToIqzYUn1Gj05Kyg4j2JlB+gIR55yw6I0h3e1ITRzAg=\n",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
	{
		HdmsCheckpoint checkpoint;

		assert_int_equal(hdms_checkpoint_verify(notes[i], strlen(notes[i]), ORIGIN, log_key, &checkpoint), HDMS_BAD_SIGNATURE);
	}
}

static void
a_checkpoint_of_another_log_or_key_is_refused(void **state)
{
	static const char note[] = TEXT "\n" LOG_LINE;
	HdmsCheckpoint checkpoint;

	(void) state;
	assert_int_equal(hdms_checkpoint_verify(note, strlen(note), "example.org/log2", log_key, &checkpoint), HDMS_BAD_CLAIM);
	assert_int_equal(hdms_checkpoint_verify(note, strlen(note), ORIGIN, witness_key, &checkpoint), HDMS_BAD_SIGNATURE);
}

static void
extension_lines_are_signed_and_skipped(void **state)
{
	HdmsCheckpoint checkpoint;
	static const char note[] = TEXT "extension 1\nextension 2\n\n" STRANGE_LINE;

	(void) state;
	assert_int_equal(hdms_checkpoint_parse(note, strlen(note), &checkpoint), HDMS_OK);
	assert_int_equal(checkpoint.size, 20852163);
}

static void
a_note_that_is_malformed_in_any_way_is_refused(void **state)
{
	static const struct
	{
		const char *note;
		HdmsStatus	status;
	}			cases[] = {
		{"", HDMS_BAD_FORMAT},
		{"\n\n", HDMS_BAD_FORMAT},
		{TEXT, HDMS_BAD_FORMAT},
		{TEXT "\n", HDMS_BAD_FORMAT},
		{TEXT LOG_LINE, HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE "\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE "x", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE LOG_LINE, HDMS_BAD_FORMAT},
		{TEXT "\n" STRANGE_LINE LOG_LINE DASH "strange.example/k AQIDBAUH\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE "trailing\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE "- strange AQIDBAUG\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH " AQIDBAUG\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH "strange\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH "str+ange AQIDBAUG\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH "str\xc2\xa0" "ange AQIDBAUG\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH "str\xe2\x80\x83" "ange AQIDBAUG\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH "strange AQIDBA==\n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH "strange \n", HDMS_BAD_FORMAT},
		{TEXT "\n" LOG_LINE DASH "strange AQIDBAUG \n", HDMS_BAD_ENCODING},
		{TEXT "\n" LOG_LINE DASH "strange AQIDBAU\n", HDMS_BAD_ENCODING},
		{TEXT "\n" LOG_LINE DASH "strange AQIDBAV=\n", HDMS_BAD_ENCODING},
		{TEXT "\n" LOG_LINE DASH "strange AQID-_UG\n", HDMS_BAD_ENCODING},
		{TEXT "\r\n\n" LOG_LINE, HDMS_BAD_ENCODING},
		{TEXT "a\tb\n\n" LOG_LINE, HDMS_BAD_ENCODING},
		{TEXT "\xc0\xaf\n\n" LOG_LINE, HDMS_BAD_ENCODING},
		{TEXT "\xed\xa0\x80\n\n" LOG_LINE, HDMS_BAD_ENCODING},
		{ORIGIN "\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n1\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{"\n1\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n01\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n+1\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n1 \nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n-1\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n9223372036854775808\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n99999999999999999999999\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n" LOG_LINE, HDMS_BAD_FORMAT},
		{ORIGIN "\n1\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I\n\n" LOG_LINE, HDMS_BAD_ENCODING},
		{ORIGIN "\n1\nAQIDBAUG\n\n" LOG_LINE, HDMS_BAD_FORMAT},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HdmsCheckpoint checkpoint = {.size = 42};
		HdmsStatus	status = hdms_checkpoint_parse(cases[i].note, strlen(cases[i].note), &checkpoint);

		if (status != cases[i].status)
			fail_msg("case %zu: %s", i, hdms_status_word(status));
		assert_int_equal(checkpoint.size, 42);
	}
}

static void
a_nul_in_a_note_is_refused(void **state)
{
	static const char note[] = TEXT "a\0b\n\n" LOG_LINE;
	HdmsCheckpoint checkpoint;

	(void) state;
	assert_int_equal(hdms_checkpoint_parse(note, sizeof(note) - 1, &checkpoint), HDMS_BAD_ENCODING);
}

static void
sizes_at_the_ends_of_the_range_survive_a_round_trip(void **state)
{
	static const uint64_t sizes[] = {0, 1, 10, INT64_MAX};

	(void) state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		HdmsCheckpoint checkpoint = example_checkpoint();
		HdmsCheckpoint result;
		char	   *note = NULL;

		checkpoint.size = sizes[i];
		assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_OK);
		assert_int_equal(hdms_checkpoint_verify(note, strlen(note), ORIGIN, log_key, &result), HDMS_OK);
		assert_true(result.size == sizes[i]);
		free(note);
	}
}

static void
a_checkpoint_that_nobody_could_parse_is_not_signed(void **state)
{
	HdmsCheckpoint checkpoint = example_checkpoint();
	HdmsKey    *p256 = NULL;
	char	   *note = NULL;

	(void) state;
	checkpoint.size = UINT64_MAX;
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_BAD_ARGUMENT);
	checkpoint = example_checkpoint();
	strcpy(checkpoint.origin, "two words");
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_BAD_ARGUMENT);
	strcpy(checkpoint.origin, "two\nlines");
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_BAD_ARGUMENT);
	checkpoint.origin[0] = '\0';
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_BAD_ARGUMENT);
	checkpoint = example_checkpoint();
	assert_int_equal(hdms_key_generate(HDMS_KEY_P256, 0, &p256), HDMS_OK);
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, p256, &note), HDMS_BAD_KEY);
	assert_null(note);
	hdms_key_free(p256);
}

static void
more_signatures_or_bytes_than_the_limit_are_refused_and_those_at_the_limit_are_not(void **state)
{
	HdmsCheckpoint checkpoint;
	char	   *note = calloc(1, 2 * HDMS_NOTE_MAX);
	size_t		len = (size_t) sprintf(note, "%s", TEXT "\n");

	(void) state;
	for (int i = 0; i < HDMS_NOTE_MAX_SIGNATURES; i++)
		len += (size_t) sprintf(note + len, DASH "strange%d AQIDBAUG\n", i);
	assert_int_equal(hdms_checkpoint_parse(note, len, &checkpoint), HDMS_OK);
	len += (size_t) sprintf(note + len, "%s", STRANGE_LINE);
	assert_int_equal(hdms_checkpoint_parse(note, len, &checkpoint), HDMS_TOO_LARGE);

	len = (size_t) sprintf(note, "%s", TEXT);
	memset(note + len, 'x', HDMS_NOTE_MAX);
	len = HDMS_NOTE_MAX - strlen("\n\n" LOG_LINE);
	strcpy(note + len, "\n\n" LOG_LINE);
	assert_int_equal(hdms_checkpoint_parse(note, HDMS_NOTE_MAX, &checkpoint), HDMS_OK);
	assert_int_equal(hdms_checkpoint_parse(note, HDMS_NOTE_MAX + 1, &checkpoint), HDMS_TOO_LARGE);
	free(note);
}

static void
a_cosignature_is_the_one_that_another_implementation_makes(void **state)
{
	static const char note[] = TEXT "\n" LOG_LINE;
	char	   *line = NULL;

	(void) state;
	assert_int_equal(hdms_cosignature_sign(note, strlen(note), WITNESS, witness_key, WITNESS_TIME, &line), HDMS_OK);
	assert_string_equal(line, WITNESS_LINE);
	free(line);
}

static void
a_cosignature_is_found_and_gives_its_time(void **state)
{
	static const char note[] = TEXT "\n" STRANGE_LINE LOG_LINE WITNESS_LINE;
	int64_t		time = 0;

	(void) state;
	assert_int_equal(hdms_cosignature_verify(note, strlen(note), WITNESS, witness_key, &time), HDMS_OK);
	assert_int_equal(time, WITNESS_TIME);
}

static void
a_cosignature_that_is_absent_altered_or_somebody_elses_is_refused(void **state)
{
	static const char *const notes[] = {
		TEXT "\n" LOG_LINE,
		TEXT "x\n\n" LOG_LINE WITNESS_LINE,

		/* One second later. */
		TEXT "\n" DASH WITNESS " 3xwKNQAAAABkGFDMD2DAjA4LUUX2bm+1u732nUTH95Zy2/9nC7KPJV0EvWz7UNCcW34UGFAOiFQozD/uzKiNIl8Mlixy3mrUZyHlDg==\n",

		/* A time beyond 2^63. */
		TEXT "\n" DASH WITNESS " 3xwKNYAAAABkGFDLD2DAjA4LUUX2bm+1u732nUTH95Zy2/9nC7KPJV0EvWz7UNCcW34UGFAOiFQozD/uzKiNIl8Mlixy3mrUZyHlDg==\n",

		/* The right name and key id, but too short. */
		TEXT "\n" DASH WITNESS " 3xwKNQAA\n",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
	{
		int64_t		time = 7;

		assert_int_equal(hdms_cosignature_verify(notes[i], strlen(notes[i]), WITNESS, witness_key, &time), HDMS_BAD_SIGNATURE);
		assert_int_equal(time, 7);
	}
}

static void
a_cosignature_with_a_byte_too_many_is_refused(void **state)
{
	static const char encoded[] = "3xwKNQAAAABkGFDLD2DAjA4LUUX2bm+1u732nUTH95Zy2/9nC7KPJV0EvWz7UNCcW34UGFAOiFQozD/uzKiNIl8Mlixy3mrUZyHlDg==";
	unsigned char blob[77] = {0};
	HdmsBytes	bytes = {0};
	char	   *longer = NULL;
	char	   *note = NULL;
	int64_t		time = 7;

	(void) state;
	assert_int_equal(hdms_base64_decode(encoded, strlen(encoded), &bytes), HDMS_OK);
	assert_int_equal(bytes.len, 76);
	memcpy(blob, bytes.data, bytes.len);
	assert_int_equal(hdms_base64_encode(blob, sizeof(blob), &longer), HDMS_OK);
	assert_true(asprintf(&note, "%s\n%s%s %s\n", TEXT, DASH, WITNESS, longer) > 0);
	assert_int_equal(hdms_cosignature_verify(note, strlen(note), WITNESS, witness_key, &time), HDMS_BAD_SIGNATURE);
	assert_int_equal(time, 7);
	free(note);
	free(longer);
	hdms_bytes_free(&bytes);
}

static void
a_time_that_does_not_fit_is_refused_though_the_witness_signed_it(void **state)
{
	static const char message[] = "cosignature/v1\ntime -5\n" TEXT;
	unsigned char blob[76] = {0xdf, 0x1c, 0x0a, 0x35, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb};
	HdmsBytes	signature = {0};
	char	   *encoded = NULL;
	char	   *note = NULL;
	int64_t		time = 7;

	(void) state;
	assert_int_equal(hdms_key_sign(witness_key, message, strlen(message), &signature), HDMS_OK);
	memcpy(blob + 12, signature.data, 64);
	assert_int_equal(hdms_base64_encode(blob, sizeof(blob), &encoded), HDMS_OK);
	assert_true(asprintf(&note, "%s\n%s%s %s\n", TEXT, DASH, WITNESS, encoded) > 0);
	assert_int_equal(hdms_cosignature_verify(note, strlen(note), WITNESS, witness_key, &time), HDMS_BAD_SIGNATURE);
	assert_int_equal(time, 7);
	free(note);
	free(encoded);
	hdms_bytes_free(&signature);
}

static void
an_origin_has_at_most_127_bytes(void **state)
{
	char		note[512];
	char		origin[HDMS_ORIGIN_MAX + 1];
	HdmsCheckpoint checkpoint;

	(void) state;
	memset(origin, 'o', sizeof(origin));
	origin[HDMS_ORIGIN_MAX] = '\0';
	snprintf(note, sizeof(note), "%s\n1\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n%s", origin, STRANGE_LINE);
	assert_int_equal(hdms_checkpoint_parse(note, strlen(note), &checkpoint), HDMS_TOO_LARGE);
	assert_int_equal(hdms_checkpoint_parse(note + 1, strlen(note + 1), &checkpoint), HDMS_OK);
	assert_string_equal(checkpoint.origin, origin + 1);
}

static void
a_logs_signature_is_no_cosignature_and_the_other_way_round(void **state)
{
	HdmsCheckpoint checkpoint = example_checkpoint();
	HdmsCheckpoint result;
	char	   *note = NULL;
	char	   *line = NULL;
	char	   *crossed = NULL;
	int64_t		time;

	(void) state;
	assert_int_equal(hdms_checkpoint_sign(&checkpoint, log_key, &note), HDMS_OK);
	assert_int_equal(hdms_cosignature_verify(note, strlen(note), ORIGIN, log_key, &time), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_cosignature_sign(note, strlen(note), ORIGIN, log_key, 5, &line), HDMS_OK);
	assert_true(asprintf(&crossed, "%s\n%s", TEXT, line) > 0);
	assert_int_equal(hdms_checkpoint_verify(crossed, strlen(crossed), ORIGIN, log_key, &result), HDMS_BAD_SIGNATURE);
	assert_int_equal(hdms_cosignature_verify(crossed, strlen(crossed), ORIGIN, log_key, &time), HDMS_OK);
	assert_int_equal(time, 5);
	free(crossed);
	free(line);
	free(note);
}

static void
a_cosignature_before_1970_is_not_made(void **state)
{
	static const char note[] = TEXT "\n" LOG_LINE;
	char	   *line = NULL;

	(void) state;
	assert_int_equal(hdms_cosignature_sign(note, strlen(note), WITNESS, witness_key, -1, &line), HDMS_BAD_ARGUMENT);
	assert_null(line);
}

static void
verifier_keys_are_written_as_others_write_them(void **state)
{
	/* The key of the note package's documentation in Go's checksum database. */
	static const char neumann[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"GlzZBxQ8OExB6DDFvOEqqIF-xWSaqr8sMTiLNbLXRNY\"}";
	HdmsKey    *key = NULL;
	char	   *vkey = NULL;

	(void) state;
	assert_int_equal(hdms_key_from_jwk(neumann, strlen(neumann), &key), HDMS_OK);
	assert_int_equal(hdms_note_vkey("PeterNeumann", key, 0x01, &vkey), HDMS_OK);
	assert_string_equal(vkey, "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
	free(vkey);
	assert_int_equal(hdms_note_vkey(WITNESS, witness_key, 0x04, &vkey), HDMS_OK);
	assert_string_equal(vkey, WITNESS "+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU");
	free(vkey);
	assert_int_equal(hdms_note_vkey(WITNESS, witness_key, 0x02, &vkey), HDMS_BAD_ARGUMENT);
	hdms_key_free(key);
}

static void
a_log_and_a_witness_are_named_after_their_node(void **state)
{
	char		name[HDMS_ORIGIN_MAX];

	(void) state;
	hdms_log_origin("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", name);
	assert_string_equal(name, "hdms.v1/log/NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	hdms_ledger_origin("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", 1, name);
	assert_string_equal(name, "hdms.v1/ledger/NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	hdms_ledger_origin("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", 2, name);
	assert_string_equal(name, "hdms.v1/ledger/NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs/2");
	hdms_witness_name("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", name);
	assert_string_equal(name, "hdms.v1/witness/NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signed_checkpoint_is_the_one_that_another_implementation_makes),
		cmocka_unit_test(a_checkpoint_verifies_with_the_signatures_of_strangers_around_it),
		cmocka_unit_test(a_checkpoint_without_the_logs_signature_is_refused),
		cmocka_unit_test(a_checkpoint_of_another_log_or_key_is_refused),
		cmocka_unit_test(extension_lines_are_signed_and_skipped),
		cmocka_unit_test(a_note_that_is_malformed_in_any_way_is_refused),
		cmocka_unit_test(a_nul_in_a_note_is_refused),
		cmocka_unit_test(sizes_at_the_ends_of_the_range_survive_a_round_trip),
		cmocka_unit_test(a_checkpoint_that_nobody_could_parse_is_not_signed),
		cmocka_unit_test(more_signatures_or_bytes_than_the_limit_are_refused_and_those_at_the_limit_are_not),
		cmocka_unit_test(a_cosignature_is_the_one_that_another_implementation_makes),
		cmocka_unit_test(a_cosignature_is_found_and_gives_its_time),
		cmocka_unit_test(a_cosignature_that_is_absent_altered_or_somebody_elses_is_refused),
		cmocka_unit_test(a_cosignature_with_a_byte_too_many_is_refused),
		cmocka_unit_test(a_time_that_does_not_fit_is_refused_though_the_witness_signed_it),
		cmocka_unit_test(an_origin_has_at_most_127_bytes),
		cmocka_unit_test(a_logs_signature_is_no_cosignature_and_the_other_way_round),
		cmocka_unit_test(a_cosignature_before_1970_is_not_made),
		cmocka_unit_test(verifier_keys_are_written_as_others_write_them),
		cmocka_unit_test(a_log_and_a_witness_are_named_after_their_node),
	};

	return cmocka_run_group_tests(tests, load_keys, free_keys);
}
