/*
 * service.c
 *		hdms-node run, and how the other commands reach it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t stopping;

static void
stop(int signal)
{
	(void) signal;
	stopping = 1;
}

static void
log_line(void *arg, const char *line)
{
	(void) arg;
	fprintf(stderr, "%s\n", line);
}

int
command_service(const Invocation *invocation)
{
	HdmsHomeOptions options = {.log = log_line};
	HdmsHome   *home = home_open_or_complain(invocation, &options);
	HdmsEngine *engine = hdms_engine_create();
	HdmsNodeError error = {.message = "out of memory"};
	struct sigaction action = {.sa_handler = stop};
	sigset_t	blocked;
	sigset_t	before;
	bool		good = true;

	if (home == NULL || engine == NULL)
	{
		hdms_home_close(home);
		hdms_engine_free(engine);
		return EXIT_REFUSED;
	}

	/* Signals come only while waiting, so none is missed between looking and waiting. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (hdms_engine_attach(engine, home, &error) != HDMS_NODE_OK || hdms_engine_serve(engine, home, &error) != HDMS_NODE_OK)
	{
		complain("%s", error.message);
		good = false;
	}
	else
		fprintf(stderr, "ready\n");
	while (good && !stopping)
	{
		struct pollfd waited = {.fd = hdms_engine_descriptor(engine), .events = POLLIN};
		int			timeout = hdms_engine_timeout(engine);
		struct timespec wait = {.tv_sec = timeout / 1000, .tv_nsec = (long) (timeout % 1000) * 1000000};

		if (ppoll(&waited, 1, &wait, &before) < 0 && errno != EINTR)
			good = false;
		else if (!stopping)
			good = hdms_engine_step(engine, 0);
	}
	hdms_home_close(home);
	hdms_engine_free(engine);
	return good ? EXIT_DONE : EXIT_REFUSED;
}

static bool
send_all(int descriptor, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t		count = send(descriptor, data, len, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return false;
		data += count;
		len -= (size_t) count;
	}
	return true;
}

static char *
receive_all(int descriptor)
{
	size_t		size = 65536;
	size_t		len = 0;
	char	   *data = malloc(size);

	while (data != NULL)
	{
		ssize_t		count = recv(descriptor, data + len, size - len - 1, 0);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			break;
		if (count == 0)
		{
			data[len] = '\0';
			return data;
		}
		len += (size_t) count;
		if (size - len < 2)
		{
			char	   *bigger = realloc(data, size * 2);

			if (bigger == NULL)
				break;
			data = bigger;
			size *= 2;
		}
	}
	free(data);
	return NULL;
}

bool
service_ask(const char *home, const char *line, char **answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int			descriptor;
	bool		connected;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", home) >= (int) sizeof(address.sun_path))
		return false;
	descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	connected = descriptor >= 0 && connect(descriptor, (struct sockaddr *) &address, sizeof(address)) == 0;
	*answer = NULL;
	if (connected && send_all(descriptor, line, strlen(line)))
		*answer = receive_all(descriptor);
	if (descriptor >= 0)
		close(descriptor);
	return connected;
}
