/*
 * client.h
 *		A test node: its keys in a directory, and signed requests that can be wrong in chosen ways.
 */
#ifndef HDMS_TEST_CLIENT_H
#define HDMS_TEST_CLIENT_H

#include "history.h"
#include "http_signature.h"

/* The keys of a node, loaded from its directory. */
typedef struct TestNode
{
	char	   *directory;
	HdmsNodeKind kind;
	HdmsKey    *role[HDMS_ROLE_COUNT];
	HdmsKey    *recovery;
	HdmsHistory *history;
	char		session[200];	/* "" when there is none */
	unsigned char session_secret[32];
} TestNode;

/* These end the program with a message when something fails: it is a test's tool. */
extern void node_create(const char *directory, HdmsNodeKind kind, const char *name);
extern void node_load(TestNode *node, const char *directory);
extern void node_save_history(const TestNode *node, const char *json);
extern void node_save_session(const TestNode *node, const char *id, const unsigned char secret[32]);
extern void node_rotate(TestNode *node);
extern void node_close(TestNode *node);

extern char *file_read(const char *path, size_t *len);
extern void file_write(const char *path, const void *data, size_t len);
extern void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
extern void require(HdmsStatus status, const char *doing);

/* How a request is sent; what is NULL or 0 is left as it should be. */
typedef struct TestRequest
{
	const char *url;			/* scheme, host, port */
	const char *method;
	const char *target;
	const char *body;
	size_t		body_len;
	const char *content_type;
	const char *accept;
	const char *nonce;
	const char *keyid;			/* another than the right one */
	const char *authority;
	const char *tamper;			/* "signature", "body", "query", "no-digest": altered after signing */
	long		created_offset; /* seconds */
	long		timeout;		/* seconds */
	int			use_session;
	int			use_recovery;	/* signed by the recovery key, which comes along */
	int			unsigned_request;
	int			stream;			/* print as it comes */
} TestRequest;

typedef struct TestResponse
{
	long		status;
	char	   *headers;
	char	   *body;
	size_t		body_len;
} TestResponse;

extern void test_request(const TestNode *node, const TestRequest *request, TestResponse *response);

#endif
