/*
 * config.c
 *		Reads the configuration file against one table of settings.
 *
 * The table says of each setting its type, bounds, default, and whether a reload may change it. Unknown and doubled
 * keys are errors, so that a misspelt limit is not silently the default.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

typedef enum SettingType
{
	SETTING_TEXT, SETTING_BOOLEAN, SETTING_NUMBER, SETTING_SECONDS, SETTING_BYTES, SETTING_LEVEL
} SettingType;

typedef struct Setting
{
	const char *key;
	SettingType type;
	size_t		offset;
	const char *default_value;	/* NULL: empty text */
	int64_t		min;
	int64_t		max;
	bool		reloadable;
	bool		required;
} Setting;

#define KIB			INT64_C(1024)
#define MIB			(KIB * KIB)
#define DAY			INT64_C(86400)
#define FIELD(name)	offsetof(Config, name)

static const Setting settings[] = {
	{"name", SETTING_TEXT, FIELD(name), "hdms-server", 0, 0, false, false},
	{"database", SETTING_TEXT, FIELD(database), NULL, 0, 0, false, true},
	{"public_url", SETTING_TEXT, FIELD(public_url), NULL, 0, 0, false, true},
	{"listen", SETTING_TEXT, FIELD(listen), "127.0.0.1:8470", 0, 0, false, false},
	{"port_file", SETTING_TEXT, FIELD(port_file), NULL, 0, 0, false, false},
	{"tls_certificate", SETTING_TEXT, FIELD(tls_certificate), NULL, 0, 0, true, false},
	{"tls_key", SETTING_TEXT, FIELD(tls_key), NULL, 0, 0, true, false},
	{"behind_proxy", SETTING_BOOLEAN, FIELD(behind_proxy), "no", 0, 0, false, false},
	{"network_key_file", SETTING_TEXT, FIELD(network_key_file), NULL, 0, 0, false, true},
	{"metrics_listen", SETTING_TEXT, FIELD(metrics_listen), NULL, 0, 0, false, false},
	{"mailbox_bytes", SETTING_BYTES, FIELD(mailbox_bytes), "64M", KIB, KIB * MIB * 16, true, false},
	{"mailbox_envelopes", SETTING_NUMBER, FIELD(mailbox_envelopes), "10000", 1, 1000000, true, false},
	{"default_ttl", SETTING_SECONDS, FIELD(default_ttl), "30d", 1, 3650 * DAY, true, false},
	{"max_ttl", SETTING_SECONDS, FIELD(max_ttl), "90d", 1, 3650 * DAY, true, false},
	{"session_ttl", SETTING_SECONDS, FIELD(session_ttl), "12h", 1, 30 * DAY, true, false},
	{"pending_ttl", SETTING_SECONDS, FIELD(pending_ttl), "90d", 3600, 3650 * DAY, true, false},
	{"rate_per_second", SETTING_NUMBER, FIELD(rate_per_second), "100", 1, 1000000, true, false},
	{"rate_burst", SETTING_NUMBER, FIELD(rate_burst), "10000", 1, 10000000, true, false},
	{"institution_rate_per_second", SETTING_NUMBER, FIELD(institution_rate_per_second), "2000", 1, 1000000, true, false},
	{"institution_rate_burst", SETTING_NUMBER, FIELD(institution_rate_burst), "20000", 1, 10000000, true, false},
	{"log_rate_per_second", SETTING_NUMBER, FIELD(log_rate_per_second), "200", 1, 1000000, true, false},
	{"log_rate_burst", SETTING_NUMBER, FIELD(log_rate_burst), "20000", 1, 10000000, true, false},
	{"registrations_per_minute", SETTING_NUMBER, FIELD(registrations_per_minute), "120", 1, 1000000, true, false},
	{"notary_list_max_age", SETTING_SECONDS, FIELD(notary_list_max_age), "30d", 60, 3650 * DAY, true, false},
	{"log_level", SETTING_LEVEL, FIELD(log_level), "info", 0, 0, true, false},
	{"threads", SETTING_NUMBER, FIELD(threads), "0", 0, 256, false, false},
	{"database_connections", SETTING_NUMBER, FIELD(database_connections), "2", 1, 32, false, false},
	{"connections", SETTING_NUMBER, FIELD(connections), "16000", 8, 1000000, false, false},
	{"connections_per_address", SETTING_NUMBER, FIELD(connections_per_address), "4000", 0, 1000000, false, false},
	{"idle_timeout", SETTING_SECONDS, FIELD(idle_timeout), "75s", 1, 3600, false, false},
	{"body_memory", SETTING_BYTES, FIELD(body_memory), "512M", 16 * MIB, KIB * MIB * 64, true, false},
	{"node_cache", SETTING_NUMBER, FIELD(node_cache), "20000", 16, 10000000, true, false},
};

#define SETTINGS_COUNT	(sizeof(settings) / sizeof(settings[0]))

/* Says what is wrong with the file; number 0: with the whole. */
static void
complain(bool as_events, const char *path, int number, const char *format, ...) __attribute__((format(printf, 4, 5)));

static void
complain(bool as_events, const char *path, int number, const char *format, ...)
{
	char		text[512];
	char		place[24] = "";
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (number > 0)
		snprintf(place, sizeof(place), ":%d", number);
	if (as_events)
		log_event(LEVEL_ERROR, "configuration_error", "file=s", path, "line=i", (int64_t) number, "message=s", text, NULL);
	else
		fprintf(stderr, "hdms-server: %s%s: %s\n", path, place, text);
}

static const Setting *
setting_find(const char *key)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
	{
		if (strcmp(settings[i].key, key) == 0)
			return &settings[i];
	}
	return NULL;
}

/* How much a suffix multiplies by, or 0 when the setting has no such suffix. */
static int64_t
suffix_factor(SettingType type, const char *suffix)
{
	static const struct
	{
		SettingType type;
		char		letter;
		int64_t		factor;
	}			suffixes[] = {
		{SETTING_SECONDS, 's', 1}, {SETTING_SECONDS, 'm', 60}, {SETTING_SECONDS, 'h', 3600}, {SETTING_SECONDS, 'd', DAY},
		{SETTING_BYTES, 'k', KIB}, {SETTING_BYTES, 'M', MIB}, {SETTING_BYTES, 'G', KIB * MIB},
	};

	if (suffix[0] == '\0')
		return 1;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
	{
		if (suffixes[i].type == type && suffixes[i].letter == suffix[0] && suffix[1] == '\0')
			return suffixes[i].factor;
	}
	return 0;
}

/* NULL, or what is wrong with the value. */
static const char *
setting_assign(Config *config, const Setting *setting, const char *value)
{
	char	   *field = (char *) config + setting->offset;

	switch (setting->type)
	{
		case SETTING_TEXT:
			{
				char	   *copy = value[0] != '\0' ? strdup(value) : NULL;

				free(*(char **) (void *) field);
				*(char **) (void *) field = copy;
				return NULL;
			}
		case SETTING_BOOLEAN:
			if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
				return "must be yes or no";
			*(bool *) (void *) field = (strcmp(value, "yes") == 0);
			return NULL;
		case SETTING_LEVEL:
			if (log_level_parse(value, (LogLevel *) (void *) field) != 0)
				return "must be debug, info, warning or error";
			return NULL;
		default:
			{
				char	   *end;
				long long	number;
				int64_t		factor;

				errno = 0;
				number = strtoll(value, &end, 10);
				if (end == value || errno != 0 || !isdigit((unsigned char) value[0]))
					return "must be a number";
				factor = suffix_factor(setting->type, end);
				if (factor == 0)
					return setting->type == SETTING_SECONDS ? "has an unknown unit (s, m, h and d are known)"
						: setting->type == SETTING_BYTES ? "has an unknown unit (k, M and G are known)" : "must be a number";
				if (number > INT64_MAX / factor || number * factor < setting->min || number * factor > setting->max)
					return "is out of range";
				*(int64_t *) (void *) field = number * factor;
				return NULL;
			}
	}
}

static char *
trim(char *text)
{
	char	   *end;

	while (isspace((unsigned char) *text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char) end[-1]))
		*--end = '\0';
	return text;
}

bool
config_split_address(const char *text, char host[64], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	const char *start = text;
	size_t		len;
	char	   *end;
	unsigned long number;

	if (colon == NULL || colon == text || !isdigit((unsigned char) colon[1]))
		return false;
	len = (size_t) (colon - text);
	if (text[0] == '[')
	{
		if (colon[-1] != ']' || len < 3)
			return false;
		start++;
		len -= 2;
	}
	number = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || number > 65535 || len >= 64)
		return false;
	memcpy(host, start, len);
	host[len] = '\0';
	*port = (uint16_t) number;
	return true;
}

bool
config_is_loopback(const char *listen_address)
{
	char		host[64];
	uint16_t	port;
	struct in_addr address;

	if (!config_split_address(listen_address, host, &port))
		return false;
	if (strcmp(host, "::1") == 0)
		return true;
	return inet_pton(AF_INET, host, &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

/* What only makes sense together. Complains and returns false when something is wrong. */
static bool
config_check(const Config *config, const char *path, bool as_events)
{
	char		host[64];
	uint16_t	port;
	const char *wrong = NULL;

	if (!config_split_address(config->listen, host, &port))
		wrong = "\"listen\" must be address:port";
	else if (config->metrics_listen != NULL && !config_split_address(config->metrics_listen, host, &port))
		wrong = "\"metrics_listen\" must be address:port";
	else if (strncmp(config->public_url, "https://", 8) != 0 && strncmp(config->public_url, "http://", 7) != 0)
		wrong = "\"public_url\" must begin with https:// or http://";
	else if ((config->tls_certificate == NULL) != (config->tls_key == NULL))
		wrong = "\"tls_certificate\" and \"tls_key\" go together";
	else if (config->tls_certificate == NULL && !config->behind_proxy && !config_is_loopback(config->listen))
		wrong = "plain HTTP is refused on an address that is not loopback: set \"tls_certificate\" and \"tls_key\", or say \"behind_proxy = yes\"";
	else if (config->default_ttl > config->max_ttl)
		wrong = "\"default_ttl\" is more than \"max_ttl\"";
	if (wrong != NULL)
		complain(as_events, path, 0, "%s", wrong);
	return wrong == NULL;
}

static bool
config_read_lines(Config *config, FILE *file, const char *path, bool as_events)
{
	bool		seen[SETTINGS_COUNT] = {false};
	char		line[4096];
	bool		ok = true;

	for (int number = 1; fgets(line, sizeof(line), file) != NULL; number++)
	{
		const Setting *setting;
		const char *wrong;
		char	   *key = trim(line);
		char	   *equals;

		if (key[0] == '\0' || key[0] == '#')
			continue;
		equals = strchr(key, '=');
		if (equals == NULL)
		{
			complain(as_events, path, number, "expected \"key = value\"");
			ok = false;
			continue;
		}
		*equals = '\0';
		key = trim(key);
		setting = setting_find(key);
		if (setting == NULL)
			wrong = "is not a setting";
		else if (seen[setting - settings])
			wrong = "is set twice";
		else
			wrong = setting_assign(config, setting, trim(equals + 1));
		if (setting != NULL)
			seen[setting - settings] = true;
		if (wrong != NULL)
		{
			complain(as_events, path, number, "\"%s\" %s", key, wrong);
			ok = false;
		}
	}
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
	{
		if (settings[i].required && *(char **) (void *) ((char *) config + settings[i].offset) == NULL)
		{
			complain(as_events, path, 0, "\"%s\" is missing", settings[i].key);
			ok = false;
		}
	}
	return ok;
}

Config *
config_read(const char *path, bool as_events)
{
	Config	   *config = calloc(1, sizeof(Config));
	FILE	   *file = fopen(path, "r");
	bool		ok;

	if (file == NULL)
	{
		complain(as_events, path, 0, "cannot open: %s", strerror(errno));
		config_free(config);
		return NULL;
	}
	for (size_t i = 0; config != NULL && i < SETTINGS_COUNT; i++)
	{
		if (settings[i].default_value != NULL)
			setting_assign(config, &settings[i], settings[i].default_value);
	}
	ok = config != NULL && config_read_lines(config, file, path, as_events) && config_check(config, path, as_events);
	fclose(file);
	if (!ok)
	{
		config_free(config);
		return NULL;
	}
	if (config->threads == 0)
		config->threads = sysconf(_SC_NPROCESSORS_ONLN) > 0 ? sysconf(_SC_NPROCESSORS_ONLN) : 1;
	return config;
}

void
config_free(Config *config)
{
	while (config != NULL)
	{
		Config	   *previous = config->previous;

		for (size_t i = 0; i < SETTINGS_COUNT; i++)
		{
			if (settings[i].type == SETTING_TEXT)
				free(*(char **) (void *) ((char *) config + settings[i].offset));
		}
		free(config);
		config = previous;
	}
}

static bool
setting_differs(const Config *a, const Config *b, const Setting *setting)
{
	const char *left = (const char *) a + setting->offset;
	const char *right = (const char *) b + setting->offset;

	switch (setting->type)
	{
		case SETTING_TEXT:
			{
				const char *x = *(char *const *) (const void *) left;
				const char *y = *(char *const *) (const void *) right;

				return (x == NULL) != (y == NULL) || (x != NULL && strcmp(x, y) != 0);
			}
		case SETTING_BOOLEAN:
			return *(const bool *) left != *(const bool *) right;
		case SETTING_LEVEL:
			return *(const LogLevel *) (const void *) left != *(const LogLevel *) (const void *) right;
		default:
			return *(const int64_t *) (const void *) left != *(const int64_t *) (const void *) right;
	}
}

int
config_report_restart_only(const Config *running, const Config *loaded)
{
	int			count = 0;

	for (size_t i = 0; i < SETTINGS_COUNT; i++)
	{
		if (!settings[i].reloadable && setting_differs(running, loaded, &settings[i]))
		{
			log_event(LEVEL_WARNING, "setting_needs_restart", "setting=s", settings[i].key, NULL);
			count++;
		}
	}
	return count;
}

bool
config_keep_restart_only(const Config *running, Config *loaded)
{
	for (size_t i = 0; i < SETTINGS_COUNT; i++)
	{
		const char *from = (const char *) running + settings[i].offset;
		char	   *to = (char *) loaded + settings[i].offset;

		if (settings[i].reloadable)
			continue;
		if (settings[i].type == SETTING_BOOLEAN)
			*(bool *) (void *) to = *(const bool *) from;
		else if (settings[i].type == SETTING_TEXT)
		{
			const char *text = *(char *const *) (const void *) from;
			char	   *copy = text != NULL ? strdup(text) : NULL;

			if (text != NULL && copy == NULL)
				return false;
			free(*(char **) (void *) to);
			*(char **) (void *) to = copy;
		}
		else
			*(int64_t *) (void *) to = *(const int64_t *) (const void *) from;
	}
	return true;
}
