/*
 * show.c
 *		Results for a person to read.
 *
 * Labels and reasons come from others: nothing in them may move the cursor or change the terminal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "json_scan.h"

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

/* Prints without control characters, C1 ones included, and without those that change the direction of writing. */
static void
print_plain(const char *text, int width)
{
	int			columns = 0;

	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++)
	{
		bool		is_format = c[0] == 0xe2 && c[1] == 0x80 && c[2] >= 0x8b && c[2] <= 0xae;
		bool		is_isolate = c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa0 && c[2] <= 0xaf;

		if (is_format || is_isolate)
		{
			c += 2;
			continue;
		}
		if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
		{
			c++;
			continue;
		}
		if (*c < 0x20 || *c == 0x7f)
			continue;
		if ((*c & 0xc0) != 0x80)
			columns++;
		putchar(*c);
	}
	for (; columns < width; columns++)
		putchar(' ');
}

static void
print_time(json_int_t seconds)
{
	time_t		time = (time_t) seconds;
	struct tm	parts;
	char		text[32];

	if (localtime_r(&time, &parts) != NULL && strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &parts) > 0)
		fputs(text, stdout);
}

static void
show_entries(const json_t *array)
{
	const json_t *entry;
	size_t		index;

	if (json_array_size(array) == 0)
		printf("nothing\n");
	json_array_foreach(array, index, entry)
	{
		printf("%5lld  ", (long long) json_integer_value(json_object_get(entry, "id")));
		print_plain(text_of(entry, "status"), 11);
		print_plain(text_of(entry, "date"), 11);
		print_plain(text_of(entry, "type"), 28);
		print_plain(text_of(entry, "label"), 0);
		printf("  (");
		print_plain(text_of(entry, "institution"), 0);
		printf(", %s version %lld)\n", text_of(entry, "record"), (long long) json_integer_value(json_object_get(entry, "version")));
	}
}

static void
show_reads(const json_t *array)
{
	const json_t *entry;
	size_t		index;

	if (json_array_size(array) == 0)
		printf("nothing was told\n");
	json_array_foreach(array, index, entry)
	{
		print_time(json_integer_value(json_object_get(entry, "at")));
		printf("  ");
		print_plain(text_of(entry, "action"), 7);
		print_plain(text_of(entry, "purpose"), 0);
		printf("  (");
		print_plain(text_of(entry, "institution"), 0);
		printf(", %s)\n", text_of(entry, "record"));
	}
}

static void
show_pairing(const json_t *pairing)
{
	printf("%5lld  ", (long long) json_integer_value(json_object_get(pairing, "pairing")));
	print_plain(text_of(pairing, "status"), 11);
	print_plain(text_of(pairing, "policy"), 7);
	print_plain(text_of(pairing, "name"), 24);
	printf("  %s", text_of(pairing, "institution"));
	if (json_is_true(json_object_get(pairing, "recovering")))
		printf("  records are being fetched");
	if (strcmp(text_of(pairing, "erasures"), "erase") == 0)
		printf("  follows erasures");
	if (json_is_string(json_object_get(pairing, "code")))
		printf("  code %s", text_of(pairing, "code"));
	if (json_is_string(json_object_get(pairing, "problem")))
	{
		printf("  ");
		print_plain(text_of(pairing, "problem"), 0);
	}
	printf("\n");
}

static void
show_pairings(const json_t *array)
{
	const json_t *pairing;
	size_t		index;

	if (json_array_size(array) == 0)
		printf("no pairings\n");
	json_array_foreach(array, index, pairing)
		show_pairing(pairing);
}

static void
show_paired(const json_t *pairing)
{
	printf("Paired with ");
	print_plain(text_of(pairing, "name"), 0);
	printf(" (%s).\n", text_of(pairing, "institution"));
	if (json_is_string(json_object_get(pairing, "code")))
		printf("Tell the staff this code: %s\n", text_of(pairing, "code"));
}

static void
show_checks(const json_t *result)
{
	const json_t *check;
	size_t		index;

	json_array_foreach(json_object_get(result, "checks"), index, check)
	{
		json_int_t	version = json_integer_value(json_object_get(check, "version"));

		printf("%s  ", json_is_true(json_object_get(check, "ok")) ? "good" : "BAD ");
		if (version > 0)
			printf("version %lld: ", (long long) version);
		printf("%s", text_of(check, "check"));
		if (json_is_string(json_object_get(check, "problem")))
			printf(": %s", text_of(check, "problem"));
		printf("\n");
	}
	printf("record %s %s\n", text_of(result, "record"), json_is_true(json_object_get(result, "ok")) ? "verifies" : "DOES NOT VERIFY");
}

static void
show_status(const json_t *result)
{
	const char *name;
	const json_t *value;
	const json_t *notice;
	size_t		index;
	const json_t *recovery = json_object_get(result, "recovery");
	json_int_t	offset = json_integer_value(json_object_get(result, "clock_offset_seconds"));

	printf("service: %s\n", json_is_true(json_object_get(result, "running")) ? "running" : "not running");
	show_pairings(json_object_get(result, "pairings"));
	if (json_is_object(recovery))
		printf("recovery: looked at %lld numbers, found %lld pairings%s%s\n", (long long) json_integer_value(json_object_get(recovery, "looked")),
			   (long long) json_integer_value(json_object_get(recovery, "found")), json_is_string(json_object_get(recovery, "problem")) ? "; " : "",
			   json_is_string(json_object_get(recovery, "problem")) ? text_of(recovery, "problem") : "");
	printf("records:");
	json_object_foreach((json_t *) json_object_get(result, "records"), name, value)
		printf(" %s %lld", name, (long long) json_integer_value(value));
	printf("\nmessages: %lld to be answered, %lld waiting, %lld put aside\n", (long long) json_integer_value(json_object_get(result, "outbox")),
		   (long long) json_integer_value(json_object_get(result, "inbox")), (long long) json_integer_value(json_object_get(result, "quarantined")));
	if (offset != 0)
		printf("this device's clock differs from the server's by %lld seconds\n", (long long) offset);
	json_array_foreach(json_object_get(result, "notices"), index, notice)
	{
		print_time(json_integer_value(json_object_get(notice, "at")));
		printf("  %s: ", text_of(notice, "kind"));
		print_plain(text_of(notice, "text"), 0);
		printf("\n");
	}
}

static void
show_record(const json_t *result, const char *json, size_t len)
{
	HdmsJsonItem content;

	printf("record %s version %lld, %s\n", text_of(result, "record"), (long long) json_integer_value(json_object_get(result, "version")), text_of(result, "status"));
	printf("type: %s\nfrom: ", text_of(result, "type"));
	print_plain(text_of(result, "institution"), 0);
	printf("\nreceived: ");
	print_time(json_integer_value(json_object_get(result, "received")));
	printf("\nverification key: %s\n", text_of(result, "vk"));
	if (json_is_string(json_object_get(result, "replaces")))
		printf("continues: record %s, which another device of yours had\n", text_of(result, "replaces"));
	if (json_is_string(json_object_get(result, "problem")))
		printf("problem: %s\n", text_of(result, "problem"));
	if (json_is_string(json_object_get(result, "tombstone")))
		printf("The institution has erased this record.\n");

	/* The bytes as they were signed; a strict scanner saw them, so only a string can hold what a terminal would act upon, and JSON escapes control characters. */
	if (hdms_json_member(json, len, "content", &content) == HDMS_OK && content.kind != HDMS_JSON_NULL)
	{
		char	   *copy = strndup(content.value.data, content.value.len);

		printf("\n");
		for (char *line = copy; line != NULL && line[0] != '\0';)
		{
			size_t		part = strcspn(line, "\n");
			char		end = line[part];

			line[part] = '\0';
			print_plain(line, 0);
			printf("\n");
			line += part + (end != '\0');
		}
		free(copy);
	}
}

/* Of all records only what fails. */
static void
show_survey(const json_t *result)
{
	const json_t *failure;
	size_t		index;
	json_int_t	asked = json_integer_value(json_object_get(result, "asked"));

	json_array_foreach(json_object_get(result, "failures"), index, failure)
		printf("BAD   record %s version %lld: %s\n", text_of(failure, "record"), (long long) json_integer_value(json_object_get(failure, "version")),
			   text_of(failure, "problem"));
	printf("%lld records, %lld of them damaged\n", (long long) json_integer_value(json_object_get(result, "records")),
		   (long long) json_integer_value(json_object_get(result, "failed")));
	if (asked > 0)
		printf("asked the institutions for %lld versions; \"status\" tells what came of it\n", (long long) asked);
}

void
result_show(const Invocation *invocation, const char *result, size_t len)
{
	const char *command = invocation->command;
	json_t	   *value;

	if (strcmp(command, "export") == 0)
	{
		printf("%.*s\n", (int) len, result);
		return;
	}

	/* Reals become doubles here, which is good enough for everything but the content, and that is taken from the bytes. */
	value = json_loadb(result, len, JSON_DECODE_ANY, NULL);
	if (strcmp(command, "inbox") == 0 || strcmp(command, "records") == 0)
		show_entries(value);
	else if (strcmp(command, "reads") == 0)
		show_reads(value);
	else if (strcmp(command, "policy") == 0)
		show_pairings(value);
	else if (strcmp(command, "pair") == 0)
		show_paired(value);
	else if (strcmp(command, "repair") == 0 || (strcmp(command, "verify") == 0 && invocation->all))
		show_survey(value);
	else if (strcmp(command, "verify") == 0)
		show_checks(value);
	else if (strcmp(command, "status") == 0)
		show_status(value);
	else if (strcmp(command, "rotate") == 0)
		printf("The keys of %lld pairings are replaced as soon as no record of theirs is with a notary and \"run\" is up.\n",
			   (long long) json_integer_value(json_object_get(value, "rotating")));
	else if (strcmp(command, "show") == 0)
		show_record(value, result, len);
	json_decref(value);
}
