/*
 * config.c
 *		Reading the settings of a home.
 *
 * An unknown key is an error: a misspelt timer that silently keeps its default would be found only when it is needed.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND	INT64_C(1000)
#define MINUTE	(60 * SECOND)
#define HOUR	(60 * MINUTE)
#define DAY		(24 * HOUR)

void
config_default(NodeConfig *config)
{
	memset(config, 0, sizeof(*config));
	config->notary_patience = 10 * MINUTE;
	config->resend_initial = 10 * MINUTE;
	config->resend_max = DAY;
	config->retry_initial = SECOND;
	config->retry_max = 5 * MINUTE;
	config->poll_wait = 50 * SECOND;
	config->message_ttl = 30 * DAY;
	config->request_timeout = 60 * SECOND;
	config->expiry_grace = HOUR;
	config->pair_timeout = 2 * MINUTE;
}

static bool
parse_duration(const char *text, int64_t *ms)
{
	static const struct
	{
		const char *suffix;
		int64_t		unit;
	}			units[] = {{"", SECOND}, {"ms", 1}, {"s", SECOND}, {"m", MINUTE}, {"h", HOUR}, {"d", DAY}};
	char	   *end;
	long long	value;

	if (!isdigit((unsigned char) text[0]))
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].suffix) == 0 && errno == 0 && value <= 3650 * DAY / units[i].unit)
		{
			*ms = value * units[i].unit;
			return true;
		}
	return false;
}

static bool
parse_boolean(const char *text, bool *value)
{
	if (strcmp(text, "yes") == 0 || strcmp(text, "on") == 0 || strcmp(text, "true") == 0)
		*value = true;
	else if (strcmp(text, "no") == 0 || strcmp(text, "off") == 0 || strcmp(text, "false") == 0)
		*value = false;
	else
		return false;
	return true;
}

bool
config_set(NodeConfig *config, const char *key, const char *value)
{
	const struct
	{
		const char *key;
		int64_t    *duration;
	}			durations[] = {
		{"notary_patience", &config->notary_patience},
		{"resend_initial", &config->resend_initial},
		{"resend_max", &config->resend_max},
		{"retry_initial", &config->retry_initial},
		{"retry_max", &config->retry_max},
		{"poll_wait", &config->poll_wait},
		{"message_ttl", &config->message_ttl},
		{"request_timeout", &config->request_timeout},
		{"expiry_grace", &config->expiry_grace},
		{"pair_timeout", &config->pair_timeout},
		{"linger", &config->linger},
	};

	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		if (strcmp(key, durations[i].key) == 0)
			return parse_duration(value, durations[i].duration);
	if (strcmp(key, "allow_http") == 0)
		return parse_boolean(value, &config->allow_http);
	if (strcmp(key, "policy") == 0)
	{
		config->accept_all = strcmp(value, "accept") == 0;
		return config->accept_all || strcmp(value, "ask") == 0;
	}
	if (strcmp(key, "ca_file") == 0)
	{
		if (strlen(value) >= sizeof(config->ca_file))
			return false;
		strcpy(config->ca_file, value);
		return true;
	}
	return false;
}

/* Cuts white space at both ends, in place. */
static char *
trimmed(char *text)
{
	size_t		len;

	while (isspace((unsigned char) *text))
		text++;
	len = strlen(text);
	while (len > 0 && isspace((unsigned char) text[len - 1]))
		text[--len] = '\0';
	return text;
}

bool
config_read(const char *path, NodeConfig *config, HdmsNodeError *error)
{
	FILE	   *file = fopen(path, "re");
	char		line[1024];
	int			number = 0;
	bool		good = true;

	if (file == NULL)
	{
		if (errno == ENOENT)
			return true;
		if (error)
			snprintf(error->message, sizeof(error->message), "cannot read \"%s\": %s", path, strerror(errno));
		return false;
	}
	while (good && fgets(line, sizeof(line), file) != NULL)
	{
		char	   *text = trimmed(line);
		char	   *equals = strchr(text, '=');

		number++;
		if (text[0] == '\0' || text[0] == '#')
			continue;
		good = false;
		if (equals != NULL)
		{
			*equals = '\0';
			good = config_set(config, trimmed(text), trimmed(equals + 1));
		}
		if (!good && error)
			snprintf(error->message, sizeof(error->message), "line %d of \"%s\" is not a known setting with a fitting value", number, path);
	}
	fclose(file);
	return good;
}
