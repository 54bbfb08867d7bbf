/*
 * load.c
 *		hdms-load: many signed requests at once, to measure and to see that nothing is lost.
 *
 *	hdms-load bench put|fetch|ack|cycle URL SENDER RECEIVER CONNECTIONS SECONDS SIZE	requests a second
 *	hdms-load waiters URL NODE COUNT			holds long polls until its input ends, then waits for their answers
 *	hdms-load verify ENVELOPES URL[,URL] SENDER RECEIVER...		see load_verify.c
 *
 * SENDER and RECEIVER are directories of hdms-test-client with a session in each.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

void
link_init(Link *link, const char *url)
{
	const char *host = strstr(url, "://");

	memset(link, 0, sizeof(*link));
	link->socket = -1;
	if (host == NULL || sscanf(host + 3, "%63[^:]:%d", link->host, &link->port) != 2)
		fail("bad url %s", url);
}

static void
link_connect(Link *link)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) link->port)};
	int			one = 1;

	inet_pton(AF_INET, link->host, &address.sin_addr);
	link->socket = socket(AF_INET, SOCK_STREAM, 0);
	if (link->socket < 0 || connect(link->socket, (struct sockaddr *) &address, sizeof(address)) != 0)
		fail("connect: %s", strerror(errno));
	setsockopt(link->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void
link_close(Link *link)
{
	if (link->socket >= 0)
		close(link->socket);
	free(link->answer);
	link->socket = -1;
	link->answer = NULL;
}

static void
send_all(Link *link, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t		sent = send(link->socket, data, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return;				/* link_receive() will see it */
		data += sent;
		len -= (size_t) sent;
	}
}

void
link_send(Link *link, const TestNode *node, const char *method, const char *target, const char *type, const char *body, size_t len)
{
	char		authority[80];
	char		path[256];
	char		query[128] = "?";
	const char *mark = strchr(target, '?');
	HdmsHttpRequest covered = {.method = method, .authority = authority, .path = path, .query = query, .body = body, .body_len = len};
	HdmsHttpSignature signature = {0};
	char	   *head = NULL;
	int			head_len;

	if (link->socket < 0)
		link_connect(link);
	snprintf(authority, sizeof(authority), "%s:%d", link->host, link->port);
	snprintf(path, sizeof(path), "%.*s", (int) (mark != NULL ? mark - target : (long) strlen(target)), target);
	if (mark != NULL)
		snprintf(query, sizeof(query), "%s", mark);
	require(hdms_http_sign_session(&covered, node->session_secret, node->session, time(NULL), NULL, &signature), "sign");
	head_len = asprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%sContent-Length: %zu\r\nSignature-Input: %s\r\nSignature: %s\r\n\r\n",
						method, target, authority, type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "",
						signature.content_digest ? "Content-Digest: " : "", signature.content_digest ? signature.content_digest : "",
						signature.content_digest ? "\r\n" : "", len, signature.signature_input, signature.signature);
	if (head_len < 0)
		fail("out of memory");
	head = realloc(head, (size_t) head_len + len + 1);
	if (len > 0)
		memcpy(head + head_len, body, len);
	send_all(link, head, (size_t) head_len + len);
	hdms_http_signature_free(&signature);
	free(head);
}

int
link_receive(Link *link)
{
	size_t		used = 0;
	char	   *end = NULL;
	char	   *length;
	size_t		body;
	size_t		need = 0;
	int			status = 0;

	for (;;)
	{
		ssize_t		got;

		if (used + 65537 > link->answer_capacity)
		{
			link->answer_capacity = used + 131072;
			link->answer = realloc(link->answer, link->answer_capacity);
		}
		got = recv(link->socket, link->answer + used, 65536, 0);
		if (got <= 0)
		{
			close(link->socket);
			link->socket = -1;
			return -1;
		}
		used += (size_t) got;
		link->answer[used] = '\0';
		if (end == NULL)
		{
			end = strstr(link->answer, "\r\n\r\n");
			if (end == NULL)
				continue;
			length = strcasestr(link->answer, "\r\nContent-Length:");
			if (length == NULL || length > end || sscanf(link->answer, "HTTP/1.1 %d", &status) != 1)
				fail("bad answer: %.200s", link->answer);
			need = (size_t) (end + 4 - link->answer) + (size_t) atol(length + 17);
		}
		end = strstr(link->answer, "\r\n\r\n");
		if (used >= need)
			break;
	}
	body = (size_t) (end + 4 - link->answer);
	link->answer_len = need - body;
	memmove(link->answer, link->answer + body, link->answer_len);
	link->answer[link->answer_len] = '\0';
	return status;
}

int
link_request(Link *link, const TestNode *node, const char *method, const char *target, const char *type, const char *body, size_t len)
{
	link_send(link, node, method, target, type, body, len);
	return link_receive(link);
}

size_t
imitation_make(char *out, size_t size, char id[HDMS_DIGEST_TEXT + 1])
{
	static const char head[] = "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00ifQ.AAAA.BBBB.";
	unsigned char random[24];
	size_t		len = sizeof(head) - 1;

	memcpy(out, head, len);
	require(hdms_random(random, sizeof(random)), "random");
	hdms_base64url_write(random, sizeof(random), out + len);
	len += strlen(out + len);
	while (len + 5 < size)
		out[len++] = 'C';
	memcpy(out + len, ".DDDD", 6);
	len += 5;
	require(hdms_sha256_text(out, len, id), "digest");
	return len;
}

typedef struct Bench
{
	const char *mode;
	const char *url;
	const TestNode *sender;
	const TestNode *receiver;
	size_t		size;
	int64_t		until;
	_Atomic long requests;
	_Atomic long failures;
	_Atomic long latency_us;
} Bench;

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int
bench_put(Bench *bench, Link *link, char *envelope, char id[HDMS_DIGEST_TEXT + 1])
{
	char		target[200];
	size_t		len = imitation_make(envelope, bench->size, id);

	snprintf(target, sizeof(target), "/v1/mailboxes/%s/%s", hdms_history_node_id(bench->receiver->history), id);
	return link_request(link, bench->sender, "PUT", target, "application/jose", envelope, len);
}

static int
bench_ack(Bench *bench, Link *link, const char *id)
{
	char		body[100];
	int			len = snprintf(body, sizeof(body), "{\"ids\":[\"%s\"]}", id);

	return link_request(link, bench->receiver, "POST", "/v1/mailbox/ack", "application/json", body, (size_t) len);
}

static void *
bench_thread(void *argument)
{
	Bench	   *bench = argument;
	Link		link;
	char	   *envelope = malloc(bench->size + 256);
	char		id[HDMS_DIGEST_TEXT + 1];

	link_init(&link, bench->url);
	while (now_us() < bench->until)
	{
		int64_t		started = now_us();
		int			status = 200;
		long		requests = 1;

		if (strcmp(bench->mode, "put") == 0)
			status = bench_put(bench, &link, envelope, id);
		else if (strcmp(bench->mode, "fetch") == 0)
			status = link_request(&link, bench->receiver, "GET", "/v1/mailbox?limit=1", NULL, NULL, 0);
		else if (strcmp(bench->mode, "ack") == 0)
		{
			unsigned char random[32];

			require(hdms_random(random, sizeof(random)), "random");
			hdms_base64url_write(random, sizeof(random), id);
			status = bench_ack(bench, &link, id);
		}
		else
		{
			status = bench_put(bench, &link, envelope, id);
			if (status == 201)
				status = bench_ack(bench, &link, id);
			requests = 2;
		}
		atomic_fetch_add(&bench->requests, requests);
		atomic_fetch_add(&bench->latency_us, (long) (now_us() - started));
		if (status != 200 && status != 201)
			atomic_fetch_add(&bench->failures, 1);
	}
	link_close(&link);
	free(envelope);
	return NULL;
}

static int
command_bench(char **arguments)
{
	TestNode	sender;
	TestNode	receiver;
	int			connections = atoi(arguments[4]);
	int			seconds = atoi(arguments[5]);
	pthread_t  *threads = calloc((size_t) connections, sizeof(pthread_t));
	Bench		bench = {.mode = arguments[0], .url = arguments[1], .sender = &sender, .receiver = &receiver, .size = (size_t) atol(arguments[6])};

	node_load(&sender, arguments[2]);
	node_load(&receiver, arguments[3]);
	bench.until = now_us() + (int64_t) seconds * 1000000;
	for (int i = 0; i < connections; i++)
		pthread_create(&threads[i], NULL, bench_thread, &bench);
	for (int i = 0; i < connections; i++)
		pthread_join(threads[i], NULL);
	printf("%s: %.0f requests/s, %d connections, mean %.2f ms, %ld failures\n", bench.mode, (double) bench.requests / seconds, connections,
		   bench.requests > 0 ? (double) bench.latency_us / 1000.0 / (double) bench.requests : 0.0, bench.failures);
	free(threads);
	node_close(&sender);
	node_close(&receiver);
	return bench.failures == 0 ? 0 : 1;
}

static int
command_waiters(char **arguments)
{
	TestNode	node;
	int			count = atoi(arguments[2]);
	Link	   *links = calloc((size_t) count, sizeof(Link));
	struct rlimit limit;
	int			answered = 0;
	char		byte;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	node_load(&node, arguments[1]);
	for (int i = 0; i < count; i++)
	{
		link_init(&links[i], arguments[0]);
		link_send(&links[i], &node, "GET", "/v1/mailbox?wait=60", NULL, NULL, 0);
	}
	printf("waiting\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (int i = 0; i < count; i++)
	{
		int			status = link_receive(&links[i]);

		answered += (status == 200 && strstr(links[i].answer, "\"data\"") != NULL);
		link_close(&links[i]);
	}
	printf("%d of %d got mail\n", answered, count);
	free(links);
	node_close(&node);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 9 && strcmp(argv[1], "bench") == 0)
		return command_bench(argv + 2);
	if (argc == 5 && strcmp(argv[1], "waiters") == 0)
		return command_waiters(argv + 2);
	if (argc >= 6 && strcmp(argv[1], "verify") == 0)
		return load_verify(argc - 2, argv + 2);
	fail("usage: see the head of load.c");
}
