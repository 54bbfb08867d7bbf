/*
 * load.h
 *		Plain HTTP/1.1 over one connection, signed with a session: what load tests send.
 */
#ifndef HDMS_LOAD_H
#define HDMS_LOAD_H

#include "client.h"

typedef struct Link
{
	char		host[64];
	int			port;
	int			socket;			/* -1: not connected */
	char	   *answer;			/* the last body, NUL-terminated */
	size_t		answer_len;
	size_t		answer_capacity;
} Link;

/* url is http://host:port. */
extern void link_init(Link *link, const char *url);
extern void link_close(Link *link);

/* Sends without waiting for the answer. */
extern void link_send(Link *link, const TestNode *node, const char *method, const char *target, const char *type, const char *body, size_t len);

/* Waits for the answer; its status, or -1 when the connection was closed. */
extern int	link_receive(Link *link);
extern int	link_request(Link *link, const TestNode *node, const char *method, const char *target, const char *type, const char *body, size_t len);

/* Something that looks like an envelope of about that size, and its transport id. */
extern size_t imitation_make(char *out, size_t size, char id[HDMS_DIGEST_TEXT + 1]);

/* hdms-load verify: see load_verify.c */
extern int	load_verify(int count, char **arguments);

#endif
