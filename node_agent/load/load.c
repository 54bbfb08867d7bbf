/*
 * load.c
 *		hdms-load: thousands of personal nodes in one process, to see what servers and institutions bear.
 *
 * Each pairing is a node of its own anyway, so the nodes are spread over a few homes; they run through the same library as a phone's,
 * with one event loop and one pool of connections. Every record is accepted. Progress and figures are lines of JSON on standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "catalogue.h"
#include "engine.h"
#include "pairing_row.h"

#define LINE_MAX_LENGTH 16384
#define MAX_HOMES		64

static const char usage[] =
"Usage: hdms-load [OPTION]... [FILE]\n"
"Pairs a node with each pairing URI in FILE (standard input), accepts every record, and prints figures as lines of JSON.\n"
"\n"
"  --homes N           spread the nodes over N databases (1)\n"
"  --directory DIR     keep the databases below DIR (in memory)\n"
"  --window N          pair at most N nodes at the same time (64)\n"
"  --expect N          end when N versions have become final\n"
"  --seconds N         end after N seconds (not before they have passed without --expect)\n"
"  --set KEY=VALUE     a setting of the homes, as in their file \"config\"\n"
"  --verbose           the homes' log on standard error\n";

typedef struct Load
{
	HdmsEngine *engine;
	HdmsHome   *homes[MAX_HOMES];
	int			home_count;
	const char *directory;
	const char *settings[32];
	int			setting_count;
	bool		verbose;
	size_t		window;
	size_t		expect;
	int64_t		seconds;
	const char *file;

	int			input;			/* -1: read to its end */
	char		line[LINE_MAX_LENGTH];
	size_t		len;
	size_t		begun;
	size_t		paired;
	size_t		refused;
	size_t		final;
	uint32_t   *latencies;		/* milliseconds from arrival to final */
	size_t		latency_size;
	int64_t		first_final;	/* engine_clock() */
	int64_t		last_final;
} Load;

static int64_t
wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static double
cpu_seconds(void)
{
	struct rusage usage_now;

	getrusage(RUSAGE_SELF, &usage_now);
	return (double) (usage_now.ru_utime.tv_sec + usage_now.ru_stime.tv_sec) + (double) (usage_now.ru_utime.tv_usec + usage_now.ru_stime.tv_usec) / 1e6;
}

static long
memory_kb(void)
{
	FILE	   *file = fopen("/proc/self/statm", "r");
	long		pages = 0;

	if (file != NULL)
	{
		if (fscanf(file, "%*d %ld", &pages) != 1)
			pages = 0;
		fclose(file);
	}
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
version_final(void *arg, int64_t received)
{
	Load	   *load = arg;
	int64_t		latency = wall_clock() - received;

	if (load->final == load->latency_size)
	{
		size_t		size = load->latency_size ? load->latency_size * 2 : 4096;
		uint32_t   *bigger = realloc(load->latencies, size * sizeof(*bigger));

		if (bigger == NULL)
			return;
		load->latencies = bigger;
		load->latency_size = size;
	}
	load->latencies[load->final++] = latency > 0 ? (uint32_t) latency : 0;
	load->last_final = engine_clock();
	if (load->first_final == 0)
		load->first_final = load->last_final;
}

static void
log_line(void *arg, const char *line)
{
	(void) arg;
	fprintf(stderr, "%s\n", line);
}

static bool
option_read(Load *load, const char *option, const char *value)
{
	if (strcmp(option, "--homes") == 0)
		load->home_count = atoi(value);
	else if (strcmp(option, "--directory") == 0)
		load->directory = value;
	else if (strcmp(option, "--window") == 0)
		load->window = (size_t) atol(value);
	else if (strcmp(option, "--expect") == 0)
		load->expect = (size_t) atol(value);
	else if (strcmp(option, "--seconds") == 0)
		load->seconds = atol(value);
	else if (strcmp(option, "--set") == 0 && load->setting_count < 32)
		load->settings[load->setting_count++] = value;
	else
		return false;
	return true;
}

static bool
arguments_read(int argc, char **argv, Load *load)
{
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--verbose") == 0)
			load->verbose = true;
		else if (strncmp(argv[i], "--", 2) != 0 && load->file == NULL)
			load->file = argv[i];
		else if (i + 1 == argc || !option_read(load, argv[i], argv[i + 1]))
			return false;
		else
			i++;
	}
	return load->home_count >= 1 && load->home_count <= MAX_HOMES && load->window > 0;
}

static bool
settings_apply(const Load *load, HdmsHome *home)
{
	(void) config_set(&home->config, "policy", "accept");
	for (int i = 0; i < load->setting_count; i++)
	{
		char		key[64];
		const char *equals = strchr(load->settings[i], '=');

		if (equals == NULL || snprintf(key, sizeof(key), "%.*s", (int) (equals - load->settings[i]), load->settings[i]) >= (int) sizeof(key) ||
			!config_set(&home->config, key, equals + 1))
		{
			fprintf(stderr, "hdms-load: \"%s\" is not a setting\n", load->settings[i]);
			return false;
		}
	}
	return true;
}

/* Load nodes guard nothing: a fixed key opens them. */
static bool
home_begin(Load *load, int number)
{
	static const unsigned char key[32] = {0};
	HdmsNodeSecret secret = {.platform_key = key};
	HdmsHomeOptions options = {.in_memory = load->directory == NULL, .log = load->verbose ? log_line : NULL};
	HdmsNodeError error;
	char		path[4096];

	snprintf(path, sizeof(path), "%s/%d", load->directory ? load->directory : "/nonexistent", number);
	if (load->directory != NULL && access(path, F_OK) != 0 && hdms_home_create(path, &secret, HDMS_SUITE_P256, NULL, &error) != HDMS_NODE_OK)
	{
		fprintf(stderr, "hdms-load: %s\n", error.message);
		return false;
	}
	if (hdms_home_open(path, &secret, &options, &load->homes[number], &error) != HDMS_NODE_OK ||
		!settings_apply(load, load->homes[number]) || hdms_engine_attach(load->engine, load->homes[number], &error) != HDMS_NODE_OK)
	{
		fprintf(stderr, "hdms-load: %s\n", error.message);
		return false;
	}
	load->homes[number]->finished = version_final;
	load->homes[number]->finished_arg = load;
	load->begun += load->homes[number]->pairing_count;
	return true;
}

/* Recounts the pairings: there is no event for them, and this happens only while there are new ones. */
static void
pairings_count(Load *load)
{
	load->paired = 0;
	load->refused = 0;
	for (int i = 0; i < load->home_count; i++)
		for (size_t j = 0; j < load->homes[i]->pairing_count; j++)
		{
			load->paired += load->homes[i]->pairings[j]->status == PAIRING_PAIRED;
			load->refused += load->homes[i]->pairings[j]->status == PAIRING_REFUSED;
		}
}

/* Begins pairings for the lines that are here, as far as the window lets. */
static void
pairings_begin(Load *load)
{
	char	   *end;

	while (load->begun < load->paired + load->refused + load->window && (end = memchr(load->line, '\n', load->len)) != NULL)
	{
		int64_t		pairing;
		HdmsNodeError error;

		*end = '\0';
		if (load->line[0] != '\0')
		{
			if (hdms_home_pair(load->homes[load->begun % (size_t) load->home_count], load->line, &pairing, &error) == HDMS_NODE_OK)
				load->begun++;
			else
				fprintf(stderr, "hdms-load: %s\n", error.message);
		}
		load->len -= (size_t) (end + 1 - load->line);
		memmove(load->line, end + 1, load->len);
	}
}

static void
input_read(Load *load)
{
	struct pollfd waited = {.fd = load->input, .events = POLLIN};
	ssize_t		count;

	if (load->input < 0 || load->len == sizeof(load->line) || poll(&waited, 1, 0) != 1)
		return;
	count = read(load->input, load->line + load->len, sizeof(load->line) - load->len);
	if (count <= 0)
		load->input = -1;
	else
		load->len += (size_t) count;
}

static int
latency_order(const void *a, const void *b)
{
	uint32_t	first = *(const uint32_t *) a;
	uint32_t	second = *(const uint32_t *) b;

	return (first > second) - (first < second);
}

static void
report(Load *load, int64_t started, size_t before, double seconds)
{
	printf("{\"at\":%.1f,\"nodes\":%zu,\"paired\":%zu,\"refused\":%zu,\"final\":%zu,\"per_second\":%.1f,\"cpu_seconds\":%.2f,\"rss_kb\":%ld}\n",
		   (double) (engine_clock() - started) / 1000, load->begun, load->paired, load->refused, load->final,
		   seconds > 0 ? (double) (load->final - before) / seconds : 0, cpu_seconds(), memory_kb());
	fflush(stdout);
}

static void
summary(Load *load, double cpu_before)
{
	double		busy = (double) (load->last_final - load->first_final) / 1000;
	size_t		count = load->final;

	qsort(load->latencies, count, sizeof(*load->latencies), latency_order);
	printf("{\"summary\":true,\"nodes\":%zu,\"final\":%zu,\"seconds\":%.2f,\"per_second\":%.1f,\"cpu_ms_per_version\":%.3f,"
		   "\"latency_ms\":{\"p50\":%u,\"p95\":%u,\"p99\":%u,\"max\":%u},\"rss_kb\":%ld}\n",
		   load->begun, count, busy, busy > 0 ? (double) count / busy : 0, count ? (cpu_seconds() - cpu_before) * 1000 / (double) count : 0,
		   count ? load->latencies[count / 2] : 0, count ? load->latencies[count * 95 / 100] : 0,
		   count ? load->latencies[count * 99 / 100] : 0, count ? load->latencies[count - 1] : 0, memory_kb());
	fflush(stdout);
}

static bool
load_open(Load *load)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		(void) setrlimit(RLIMIT_NOFILE, &limit);
	}
	load->input = load->file ? open(load->file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (load->input < 0)
	{
		fprintf(stderr, "hdms-load: cannot read \"%s\": %s\n", load->file, strerror(errno));
		return false;
	}
	load->engine = hdms_engine_create();
	for (int i = 0; load->engine != NULL && i < load->home_count; i++)
		if (!home_begin(load, i))
			return false;
	return load->engine != NULL;
}

/* Versions that have arrived. */
static size_t
versions_count(Load *load)
{
	size_t		sum = 0;

	for (int i = 0; i < load->home_count; i++)
	{
		size_t		count;

		(void) catalogue_entries(load->homes[i], &count);
		sum += count;
	}
	return sum;
}

static void
load_run(Load *load)
{
	int64_t		started = engine_clock();
	int64_t		reported = started;
	size_t		final_before = 0;
	double		cpu_before = 0;

	for (;;)
	{
		int64_t		now;

		if (!hdms_engine_step(load->engine, 50))
			break;
		if (load->begun != load->paired + load->refused)
			pairings_count(load);
		input_read(load);
		pairings_begin(load);
		now = engine_clock();
		if (versions_count(load) == 0)
			cpu_before = cpu_seconds();
		if (now - reported >= 1000)
		{
			report(load, started, final_before, (double) (now - reported) / 1000);
			final_before = load->final;
			reported = now;
		}
		if (load->expect > 0 && load->final >= load->expect)
			break;
		if (load->seconds > 0 && now - started >= load->seconds * 1000)
			break;
	}
	summary(load, cpu_before);
}

int
main(int argc, char **argv)
{
	static Load load = {.home_count = 1, .window = 64};
	int			status = 1;

	umask(077);

	/* Envelopes come and go by the thousand: their memory is kept rather than given back each time. */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
	if (!arguments_read(argc, argv, &load))
	{
		fputs(usage, stderr);
		return 2;
	}
	if (load_open(&load))
	{
		load_run(&load);
		status = load.expect > 0 && load.final < load.expect ? 1 : 0;
	}
	for (int i = 0; i < load.home_count; i++)
		hdms_home_close(load.homes[i]);
	hdms_engine_free(load.engine);
	free(load.latencies);
	return status;
}
