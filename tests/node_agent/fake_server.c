/*
 * fake_server.c
 *		A hostile server: answers every request with something that no server should send.
 *
 *   fake_server MODE     prints "uri URI", a pairing code for this server, and serves until it is killed
 *
 * MODE: garbage, truncated, endless, huge, headers, slow, silent, html, wrong-json, redirect
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

static void
say(int client, const char *text)
{
	(void) !send(client, text, strlen(text), MSG_NOSIGNAL);
}

/* The same bytes for as long as somebody takes them. */
static void
say_for_ever(int client, const char *text)
{
	while (send(client, text, strlen(text), MSG_NOSIGNAL) > 0)
		;
}

static void
be_hostile(int client, const char *mode)
{
	if (strcmp(mode, "garbage") == 0)
		say(client, "\x16\x03\x01\x00\xff garbage that is no HTTP\r\n\r\n");
	else if (strcmp(mode, "truncated") == 0)
		say(client, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":\"act");
	else if (strcmp(mode, "endless") == 0)
	{
		say(client, "HTTP/1.1 200 OK\r\n\r\n{\"a\":\"");
		say_for_ever(client, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	}
	else if (strcmp(mode, "huge") == 0)
		say(client, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{}");
	else if (strcmp(mode, "headers") == 0)
	{
		say(client, "HTTP/1.1 200 OK\r\n");
		say_for_ever(client, "X-Header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n");
	}
	else if (strcmp(mode, "html") == 0)
		say(client, "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n<html>log in</html>\r\n ");
	else if (strcmp(mode, "wrong-json") == 0)
		say(client, "HTTP/1.1 201 Created\r\nHDMS-Epoch: \x01\x02\r\nContent-Length: 45\r\n\r\n{\"network\":[],\"history\":{},\"envelopes\":\"none\"}");
	else if (strcmp(mode, "redirect") == 0)
		say(client, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
	else if (strcmp(mode, "slow") == 0)
	{
		struct pollfd gone = {.fd = client, .events = POLLRDHUP};

		say(client, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
		for (int i = 0; i < 600 && poll(&gone, 1, 500) == 0; i++)
			say(client, " ");
	}
	else
	{
		struct pollfd gone = {.fd = client, .events = POLLRDHUP};

		(void) poll(&gone, 1, 300000);
	}
}

static int64_t
now_ms(void)
{
	return (int64_t) time(NULL) * 1000;
}

int
main(int argc, char **argv)
{
	static Sim	sim;
	char		url[64];
	char	   *uri;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	len = sizeof(address);
	int			server = socket(AF_INET, SOCK_STREAM, 0);

	signal(SIGCHLD, SIG_IGN);
	if (argc != 2 || server < 0 || bind(server, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(server, 16) != 0 ||
		getsockname(server, (struct sockaddr *) &address, &len) != 0)
		return 1;
	sim_open(&sim, now_ms, NULL);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(address.sin_port));
	uri = sim_invite(&sim, url);
	printf("uri %s\n", uri);
	fflush(stdout);
	free(uri);
	for (;;)
	{
		int			client = accept(server, NULL, NULL);
		char		request[65536];

		if (client < 0)
			continue;
		if (fork() == 0)
		{
			close(server);
			if (recv(client, request, sizeof(request), 0) > 0)
				be_hostile(client, argv[1]);
			_exit(0);
		}
		close(client);
	}
}
