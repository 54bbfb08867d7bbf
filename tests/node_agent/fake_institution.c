/*
 * fake_institution.c
 *		The simulated institution and notaries on a real server, driven by lines on standard input.
 *
 *   fake_institution URL NETWORK_KEY_FILE [CA_FILE]
 *
 *   invite [N]          prints N lines "uri URI"
 *   paired N            waits until N persons have paired, prints "paired N"
 *   issue N [FILE]      issues N records to each person, in turn (content of FILE); prints "issued N"
 *   amend               issues the next version of each committed record
 *   resend              sends the records that are not committed again
 *   committed N         waits until N versions are committed; prints "committed N milliseconds"
 *   delivered N         waits until N versions are at least delivered
 *   rejected N          waits until N versions are rejected
 *   mute 1|0            notary 1 and 2 answer nothing, or again
 *   register            registers its nodes again
 *   quit
 *
 * A wait that lasts longer than a minute ends the program with status 1.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "sim.h"
#include "wire.h"

#define NODES		(SIM_NOTARIES + 1)
#define PUT_LIMIT	64

/* One of the sim's nodes at the server: a row of a pairing is all that the HTTP client wants to know. */
typedef struct Post
{
	SimNode    *node;
	Pairing		identity;
	HttpCall   *fetch;
	HttpCall   *put;
	HttpCall   *registration;
	bool		registered;
	char		acks[1000][HDMS_DIGEST_TEXT + 1];
	size_t		ack_count;
	size_t		acks_sent;
	SimMail		sending[PUT_LIMIT];
	size_t		sending_count;
	SimMail    *waiting;
	size_t		waiting_first;
	size_t		waiting_count;
	int64_t		not_before;
} Post;

static Sim sim;
static Http *http;
static HdmsHome home;
static Post posts[NODES];
static int	epoll;

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
post_failed(Post *post, const HttpAnswer *answer, const char *what)
{
	fprintf(stderr, "fake_institution: %s: HTTP %d %s %.200s\n", what, answer->status, answer->problem ? answer->problem : "", answer->body);
	post->not_before = engine_clock() + 200;
	if (answer->status == 401 && strstr(answer->body, "unknown-node"))
		post->registered = false;
}

static void
registration_done(void *arg, const HttpAnswer *answer)
{
	Post	   *post = arg;

	post->registration = NULL;
	if (answer->status == 200 || answer->status == 201)
		post->registered = true;
	else
		post_failed(post, answer, "registration");
}

static void
post_register(Post *post)
{
	char	   *lists[1] = {sim.list.jws};
	HdmsRegistration registration = {.history = (char *) hdms_history_json(post->node->history), .admission = post->node->admission,
	.notaries_count = 1, .notaries = lists};
	HttpRequest request = {.pairing = &post->identity, .method = "POST", .path = "/v1/nodes", .query = "", .signing = HTTP_KEY, .max_answer = 1 << 20,
	.timeout = 10000, .done = registration_done, .arg = post};

	MUST(hdms_wire_registration_print(&registration, &request.body));
	request.body_len = strlen(request.body);
	post->registration = http_start(http, &request);
}

static void
fetch_done(void *arg, const HttpAnswer *answer)
{
	Post	   *post = arg;
	HdmsParcel *parcels = NULL;
	size_t		count = 0;
	char		epoch[64];
	bool		more;

	post->fetch = NULL;
	if (answer->status != 200 || hdms_wire_mailbox_parse(answer->body, answer->len, epoch, &parcels, &count, &more) != HDMS_OK)
	{
		post_failed(post, answer, "fetch");
		return;
	}
	memmove(post->acks, post->acks + post->acks_sent, (post->ack_count - post->acks_sent) * sizeof(post->acks[0]));
	post->ack_count -= post->acks_sent;
	for (size_t i = 0; i < count; i++)
	{
		sim_deliver(&sim, post->node->id, parcels[i].data);
		strcpy(post->acks[post->ack_count++], parcels[i].id);
	}
	hdms_parcels_free(parcels, count);
}

static void
post_fetch(Post *post)
{
	const char *ids[1000];
	HttpRequest request = {.pairing = &post->identity, .method = "POST", .path = "/v1/mailbox/ack", .query = "", .signing = HTTP_KEY, .max_answer = 8 << 20,
	.timeout = 40000, .held = 20000, .done = fetch_done, .arg = post};

	post->acks_sent = post->ack_count;
	for (size_t i = 0; i < post->acks_sent; i++)
		ids[i] = post->acks[i];
	MUST(hdms_wire_ack_print(ids, post->acks_sent, 20, 100, &request.body));
	request.body_len = strlen(request.body);
	post->fetch = http_start(http, &request);
}

/* Every envelope must have been taken: a test that loses one here would blame the wrong side. */
static void
results_check(const HttpAnswer *answer)
{
	HdmsPutResult *results = NULL;
	size_t		count = 0;
	char		epoch[64];

	MUST(hdms_wire_results_parse(answer->body, answer->len, epoch, &results, &count));
	for (size_t i = 0; i < count; i++)
		if (results[i].status != 200 && results[i].status != 201)
			fprintf(stderr, "fake_institution: put: %s gave %d\n", results[i].id, results[i].status);
	free(results);
}

static void
put_done(void *arg, const HttpAnswer *answer)
{
	Post	   *post = arg;

	post->put = NULL;
	if (answer->status != 200)
	{
		post_failed(post, answer, "put");
		return;
	}
	results_check(answer);
	for (size_t i = 0; i < post->sending_count; i++)
		free(post->sending[i].envelope);
	post->sending_count = 0;
}

static void
post_put(Post *post)
{
	HdmsParcel	parcels[PUT_LIMIT] = {0};
	HttpRequest request = {.pairing = &post->identity, .method = "POST", .path = "/v1/envelopes", .query = "", .signing = HTTP_KEY, .max_answer = 1 << 20,
	.timeout = 20000, .done = put_done, .arg = post};

	while (post->sending_count < PUT_LIMIT && post->waiting_first < post->waiting_count)
		post->sending[post->sending_count++] = post->waiting[post->waiting_first++];
	if (post->waiting_first == post->waiting_count)
		post->waiting_first = post->waiting_count = 0;
	for (size_t i = 0; i < post->sending_count; i++)
	{
		strcpy(parcels[i].to, post->sending[i].to);
		parcels[i].data = post->sending[i].envelope;
		parcels[i].len = strlen(parcels[i].data);
		MUST(hdms_envelope_id(parcels[i].data, parcels[i].len, parcels[i].id));
	}
	MUST(hdms_wire_put_print(parcels, post->sending_count, &request.body));
	request.body_len = strlen(request.body);
	post->put = http_start(http, &request);
}

/* The sim's mail into the nodes' queues, and whatever may start. */
static void
posts_run(void)
{
	SimMail		mail;

	while (sim_take(&sim, &mail))
		for (int i = 0; i < NODES; i++)
			if (posts[i].node == mail.from)
			{
				Post	   *post = &posts[i];

				if (post->waiting_count == 0 || (post->waiting_count & (post->waiting_count - 1)) == 0)
					post->waiting = realloc(post->waiting, (post->waiting_count ? post->waiting_count * 2 : 1) * sizeof(mail));
				post->waiting[post->waiting_count++] = mail;
			}
	for (int i = 0; i < NODES; i++)
	{
		Post	   *post = &posts[i];

		if (engine_clock() < post->not_before)
			continue;
		if (!post->registered && post->registration == NULL)
			post_register(post);
		if (!post->registered)
			continue;
		if (post->fetch == NULL)
			post_fetch(post);
		if (post->put == NULL && (post->sending_count > 0 || post->waiting_first < post->waiting_count))
			post_put(post);
	}
}

static size_t
count_status(SimStatus status)
{
	size_t		count = 0;

	for (size_t i = 0; i < sim.version_count; i++)
		count += sim.versions[i].status == status || (status == SIM_DELIVERED && sim.versions[i].status == SIM_COMMITTED);
	return count;
}

static size_t
count_paired(void)
{
	size_t		count = 0;

	for (size_t i = 0; i < sim.patient_count; i++)
		count += sim.patients[i].paired;
	return count;
}

static char *
file_text(const char *name)
{
	FILE	   *file = fopen(name, "r");
	char	   *text = calloc(1, 1 << 20);

	if (file == NULL || fread(text, 1, (1 << 20) - 1, file) == 0)
	{
		fprintf(stderr, "fake_institution: cannot read %s\n", name);
		exit(1);
	}
	fclose(file);
	return text;
}

static void
command_issue(size_t number, const char *file)
{
	char	   *content = file[0] ? file_text(file) : strdup("{\"resourceType\":\"Observation\",\"code\":{\"text\":\"Blood pressure\"},\"value\":7.10}");
	size_t		issued = 0;

	for (size_t i = 0; i < number; i++)
		for (size_t j = 0; j < sim.patient_count; j++)
			if (sim.patients[j].paired)
			{
				sim_issue(&sim, hdms_history_node_id(sim.patients[j].history), content, NULL);
				issued++;
			}
	free(content);
	printf("issued %zu\n", issued);
}

static void
command_amend(void)
{
	size_t		count = sim.version_count;

	for (size_t i = 0; i < count; i++)
		if (sim.versions[i].status == SIM_COMMITTED)
		{
			SimVersion	before = sim.versions[i];

			sim_issue(&sim, before.patient, "{\"resourceType\":\"Observation\",\"status\":\"amended\"}", &before);
		}
	printf("issued %zu\n", sim.version_count - count);
}

/* The wait that the last command asked for. */
static char wait_for[16];
static size_t wait_count;
static int64_t wait_until;
static int64_t wait_since;

static bool
wait_ended(void)
{
	size_t		count = strcmp(wait_for, "paired") == 0 ? count_paired() : count_status(strcmp(wait_for, "committed") == 0 ? SIM_COMMITTED :
																					   strcmp(wait_for, "rejected") == 0 ? SIM_REJECTED : SIM_DELIVERED);

	if (wait_for[0] == '\0')
		return true;
	if (count >= wait_count)
	{
		printf("%s %zu %lld\n", wait_for, count, (long long) (now_ms() - wait_since));
		fflush(stdout);
		wait_for[0] = '\0';
		return true;
	}
	if (now_ms() > wait_until)
	{
		fprintf(stderr, "fake_institution: waited in vain for %zu %s: there are %zu\n", wait_count, wait_for, count);
		exit(1);
	}
	return false;
}

/* False: quit. */
static bool
command(char *line, const char *url)
{
	char		word[16] = "";
	char		file[512] = "";
	size_t		number = 1;

	if (sscanf(line, "%15s %zu %511s", word, &number, file) < 1)
		return true;
	if (strcmp(word, "quit") == 0)
		return false;
	if (strcmp(word, "invite") == 0)
		for (size_t i = 0; i < number; i++)
		{
			char	   *uri = sim_invite(&sim, url);

			printf("uri %s\n", uri);
			free(uri);
		}
	else if (strcmp(word, "issue") == 0)
		command_issue(number, file);
	else if (strcmp(word, "amend") == 0)
		command_amend();
	else if (strcmp(word, "resend") == 0)
	{
		for (size_t i = 0; i < sim.version_count; i++)
			if (sim.versions[i].status != SIM_COMMITTED)
				sim_send_record(&sim, i);
	}
	else if (strcmp(word, "mute") == 0)
	{
		for (int i = 0; i < SIM_NOTARIES; i++)
			sim.notary[i].mute = number == 1;
	}
	else if (strcmp(word, "register") == 0)
	{
		for (int i = 0; i < NODES; i++)
			posts[i].registered = false;
	}
	else
	{
		strcpy(wait_for, word);
		wait_count = number;
		wait_since = now_ms();
		wait_until = wait_since + 60000;
	}
	fflush(stdout);
	return true;
}

static void
open_all(const char *url, const char *key_file, const char *ca_file)
{
	char	   *jwk = file_text(key_file);
	HdmsKey    *network;

	MUST(hdms_key_from_jwk(jwk, strlen(jwk), &network));
	free(jwk);
	sim_open(&sim, now_ms, network);
	config_default(&home.config);
	if (ca_file != NULL)
		(void) config_set(&home.config, "ca_file", ca_file);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	http = http_create(epoll);
	for (int i = 0; i < NODES; i++)
	{
		posts[i].node = i == 0 ? &sim.institution : &sim.notary[i - 1];
		posts[i].identity.home = &home;
		posts[i].identity.server = strdup(url);
		posts[i].identity.sign = posts[i].node->key[HDMS_ROLE_SIGN];
		strcpy(posts[i].identity.node, posts[i].node->id);
	}
}

int
main(int argc, char **argv)
{
	static char line[8192];
	size_t		len = 0;
	bool		going = true;
	bool		input = true;

	if (argc != 3 && argc != 4)
		return 2;
	open_all(argv[1], argv[2], argv[3]);
	while (going)
	{
		struct pollfd waited[2] = {{.fd = epoll, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
		struct epoll_event events[64];
		bool		busy = !posts[0].registered || !posts[1].registered || !posts[2].registered || !wait_ended();
		char	   *end;
		int			count;

		/* Lines are taken one by one, each when what the one before waited for has come. */
		if (!busy && (end = memchr(line, '\n', len)) != NULL)
		{
			*end = '\0';
			going = command(line, argv[1]);
			len -= (size_t) (end + 1 - line);
			memmove(line, end + 1, len);
			posts_run();
			continue;
		}
		if (!busy && !input)
			break;
		poll(waited, busy || !input ? 1 : 2, 20);
		if ((waited[1].revents & (POLLIN | POLLHUP)) && !busy && input)
		{
			ssize_t		got = read(0, line + len, sizeof(line) - len);

			if (got <= 0)
				input = false;
			else
				len += (size_t) got;
		}
		count = epoll_wait(epoll, events, 64, 0);
		for (int i = 0; i < count; i++)
		{
			EngineWatch *watch = events[i].data.ptr;

			if (watch->descriptor >= 0)
				watch->ready(watch->arg, events[i].events);
		}
		if (engine_clock() >= http_timer(http))
			http_ready(http, -1, 0);
		posts_run();
	}
	http_free(http);
	sim_close(&sim);
	return 0;
}
