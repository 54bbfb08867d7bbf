/*
 * control.c
 *		The socket in the home's folder.
 *
 * The service holds the unlocked keys; another command of the same user asks it instead of asking for the passphrase again. The folder's mode keeps
 * others out, and the peer's user id is checked besides.
 */
#include "control.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine.h"

#define MAX_CLIENTS 16

typedef struct Client
{
	EngineWatch watch;			/* descriptor -1: free */
	Control    *control;
	char	   *line;			/* what came so far */
	size_t		len;
	char	   *answer;
	size_t		answer_len;
	size_t		sent;
	int64_t		waits;			/* the pairing whose end is the answer; 0: none */
	int64_t		until;			/* engine_clock() */
} Client;

struct Control
{
	EngineWatch watch;
	HdmsHome   *home;
	char		path[sizeof(((struct sockaddr_un *) 0)->sun_path)];
	Client		clients[MAX_CLIENTS];
};

static void
client_close(Client *client)
{
	if (client->watch.descriptor < 0)
		return;
	engine_unwatch(client->control->home->engine, &client->watch);
	close(client->watch.descriptor);
	client->watch.descriptor = -1;
	if (client->line != NULL)
		OPENSSL_cleanse(client->line, client->len);	/* a pairing code has a secret in it */
	free(client->line);
	hdms_string_wipe(client->answer);
	client->line = NULL;
	client->answer = NULL;
	client->len = client->answer_len = client->sent = 0;
	client->waits = 0;
}

static void
client_send(Client *client)
{
	while (client->sent < client->answer_len)
	{
		ssize_t		count = send(client->watch.descriptor, client->answer + client->sent, client->answer_len - client->sent, MSG_NOSIGNAL);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			(void) engine_watch(client->control->home->engine, &client->watch, EPOLLOUT);
			return;
		}
		if (count <= 0)
			break;
		client->sent += (size_t) count;
	}
	client_close(client);
}

static void
client_answer(Client *client, char *answer)
{
	client->waits = 0;
	client->answer = answer ? answer : strdup("{\"ok\":false,\"code\":8,\"error\":\"out of memory\",\"result\":null}\n");
	if (client->answer == NULL)
	{
		client_close(client);
		return;
	}
	client->answer_len = strlen(client->answer);
	client_send(client);
}

/* A whole line is here. */
static void
client_command(Client *client, size_t len)
{
	HdmsHome   *home = client->control->home;
	char	   *answer = NULL;

	command_run(home, client->line, len, &answer, &client->waits);
	if (client->waits != 0)
	{
		client->until = engine_clock() + home->config.pair_timeout;

		/* Nothing more is expected from it but its going away. */
		(void) engine_watch(home->engine, &client->watch, EPOLLRDHUP);
		return;
	}
	client_answer(client, answer);
}

static void
client_ready(void *arg, uint32_t events)
{
	Client	   *client = arg;
	char	   *end;
	ssize_t		count;

	if (client->answer != NULL)
	{
		client_send(client);
		return;
	}
	if (client->waits != 0)
	{
		if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			client_close(client);
		return;
	}
	count = recv(client->watch.descriptor, client->line + client->len, CONTROL_LINE - client->len, 0);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0)
	{
		client_close(client);
		return;
	}
	client->len += (size_t) count;
	end = memchr(client->line, '\n', client->len);
	if (end != NULL)
		client_command(client, (size_t) (end - client->line));
	else if (client->len == CONTROL_LINE)
		client_close(client);
}

static bool
peer_is_user(int descriptor)
{
	struct ucred peer;
	socklen_t	len = sizeof(peer);

	return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

static void
client_arrives(void *arg, uint32_t events)
{
	Control    *control = arg;
	int			descriptor = accept4(control->watch.descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	Client	   *client = NULL;

	(void) events;
	if (descriptor < 0)
		return;
	for (int i = 0; client == NULL && i < MAX_CLIENTS; i++)
		if (control->clients[i].watch.descriptor < 0)
			client = &control->clients[i];
	if (client == NULL || !peer_is_user(descriptor) || (client->line = malloc(CONTROL_LINE)) == NULL)
	{
		close(descriptor);
		return;
	}
	client->watch.descriptor = descriptor;
	client->watch.ready = client_ready;
	client->watch.arg = client;
	if (!engine_watch(control->home->engine, &client->watch, EPOLLIN))
		client_close(client);
}

static int
control_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int			descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (descriptor < 0)
		return -1;
	strcpy(address.sun_path, path);

	/* The home's lock is held, so whoever made the old one is gone. fchmod before bind makes the socket 0600 from its beginning. */
	(void) unlink(path);
	if (fchmod(descriptor, 0600) != 0 || bind(descriptor, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		chmod(path, 0600) != 0 || listen(descriptor, 8) != 0)
	{
		int			saved = errno;

		close(descriptor);
		errno = saved;
		return -1;
	}
	return descriptor;
}

HdmsNodeResult
hdms_engine_serve(HdmsEngine *engine, HdmsHome *home, HdmsNodeError *error)
{
	Control    *control;

	if (home->engine != engine || home->control != NULL)
		return node_error(error, HDMS_NODE_REFUSED, "the home is not attached, or is served already");
	control = calloc(1, sizeof(*control));
	if (control == NULL)
		return node_error(error, HDMS_NODE_FAILED, "out of memory");
	control->home = home;
	if (snprintf(control->path, sizeof(control->path), "%s/%s", home->path, CONTROL_SOCKET) >= (int) sizeof(control->path))
	{
		free(control);
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "the home's path is too long for a socket (%d characters at most)",
						  (int) (sizeof(control->path) - sizeof(CONTROL_SOCKET) - 1));
	}
	for (int i = 0; i < MAX_CLIENTS; i++)
	{
		control->clients[i].watch.descriptor = -1;
		control->clients[i].control = control;
	}
	control->watch.descriptor = control_listen(control->path);
	control->watch.ready = client_arrives;
	control->watch.arg = control;
	if (control->watch.descriptor < 0 || !engine_watch(engine, &control->watch, EPOLLIN))
	{
		node_error(error, HDMS_NODE_STORAGE, "cannot open the socket \"%s\": %s", control->path, strerror(errno));
		if (control->watch.descriptor >= 0)
			close(control->watch.descriptor);
		free(control);
		return HDMS_NODE_STORAGE;
	}
	home->control = control;
	return HDMS_NODE_OK;
}

int64_t
control_run(HdmsHome *home)
{
	int64_t		next = INT64_MAX;

	for (int i = 0; home->control != NULL && i < MAX_CLIENTS; i++)
	{
		Client	   *client = &home->control->clients[i];
		char	   *answer;

		if (client->watch.descriptor < 0 || client->waits == 0)
			continue;
		answer = command_pairing_ended(home, client->waits, engine_clock() >= client->until);
		if (answer != NULL)
			client_answer(client, answer);
		else if (client->until < next)
			next = client->until;
	}
	return next;
}

void
control_stop(HdmsHome *home)
{
	Control    *control = home->control;

	if (control == NULL)
		return;
	for (int i = 0; i < MAX_CLIENTS; i++)
		client_close(&control->clients[i]);
	engine_unwatch(home->engine, &control->watch);
	close(control->watch.descriptor);
	(void) unlink(control->path);
	free(control);
	home->control = NULL;
}
