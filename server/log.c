/*
 * log.c
 *		Events on stderr, one JSON object a line.
 *
 * A line is put together in a buffer of its own and written with one write(), so that lines of different threads
 * never mix. Text that is not UTF-8 or has control characters is escaped: a hostile header cannot forge a line.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define LINE_MAX_BYTES	4096

typedef struct Line
{
	char		text[LINE_MAX_BYTES];
	size_t		len;
	bool		full;
} Line;

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static _Atomic int current_level = LEVEL_INFO;
static const char *_Atomic process_name = "";

void
log_set_name(const char *name)
{
	process_name = name;
}

void
log_set_level(LogLevel level)
{
	current_level = (int) level;
}

int
log_level_parse(const char *text, LogLevel *level)
{
	for (int i = 0; i < 4; i++)
	{
		if (strcmp(text, level_names[i]) == 0)
		{
			*level = (LogLevel) i;
			return 0;
		}
	}
	return -1;
}

/* Keeps room for the closing brace and line feed. */
static void
line_append(Line *line, const char *text, size_t len)
{
	if (line->full || line->len + len > LINE_MAX_BYTES - 3)
	{
		line->full = true;
		return;
	}
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

static void
line_append_quoted(Line *line, const char *text)
{
	line_append(line, "\"", 1);
	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++)
	{
		char		escape[8];

		if (*c == '"' || *c == '\\')
		{
			escape[0] = '\\';
			escape[1] = (char) *c;
			line_append(line, escape, 2);
		}
		else if (*c < 0x20 || *c >= 0x7f)
		{
			snprintf(escape, sizeof(escape), "\\u%04x", *c);
			line_append(line, escape, 6);
		}
		else
			line_append(line, (const char *) c, 1);
	}
	line_append(line, "\"", 1);
}

/* One field, or nothing of it when it does not fit. */
static void
line_append_field(Line *line, const char *name, size_t name_len, const char *text, int64_t number)
{
	size_t		start = line->len;
	char		digits[24];

	line_append(line, ",\"", 2);
	line_append(line, name, name_len);
	line_append(line, "\":", 2);
	if (text != NULL)
		line_append_quoted(line, text);
	else
		line_append(line, digits, (size_t) snprintf(digits, sizeof(digits), "%lld", (long long) number));
	if (line->full)
	{
		line->len = start;
		line->full = false;
	}
}

void
log_event(LogLevel level, const char *event, ...)
{
	Line		line;
	va_list		fields;
	struct timespec now;
	struct tm	utc;
	char		head[64];
	const char *field;
	ssize_t		written;

	if ((int) level < current_level)
		return;
	line.len = 0;
	line.full = false;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	snprintf(head, sizeof(head), "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\",\"level\":\"", (utc.tm_year + 1900) % 10000, utc.tm_mon + 1,
			 utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int) (now.tv_nsec / 1000000));
	line_append(&line, head, strlen(head));
	line_append(&line, level_names[level], strlen(level_names[level]));
	line_append(&line, "\"", 1);
	line_append_field(&line, "event", 5, event, 0);
	if (process_name[0] != '\0')
		line_append_field(&line, "server", 6, process_name, 0);

	va_start(fields, event);
	while ((field = va_arg(fields, const char *)) != NULL)
	{
		size_t		name_len = strcspn(field, "=");

		if (field[name_len] == '=' && field[name_len + 1] == 's')
		{
			const char *text = va_arg(fields, const char *);

			line_append_field(&line, field, name_len, text != NULL ? text : "", 0);
		}
		else
			line_append_field(&line, field, name_len, NULL, va_arg(fields, int64_t));
	}
	va_end(fields);
	line.text[line.len++] = '}';
	line.text[line.len++] = '\n';
	written = write(STDERR_FILENO, line.text, line.len);
	(void) written;				/* there is nowhere to report a closed stderr to */
}
