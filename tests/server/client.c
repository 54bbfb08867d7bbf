/*
 * client.c
 *		hdms-test-client: what a test needs of a node, as commands.
 *
 *	new DIR institution NAME | new DIR person		make a node, print its id
 *	id DIR | history DIR							print them
 *	rotate DIR										a new signing key, signed by the old one
 *	voucher DIR [sub=ID] [expires=SECONDS] [jti=UUID]	print a voucher of the institution
 *	registration DIR [voucher=JWS] [admission=JWS] [list=JWS]...	print the body of POST /v1/nodes
 *	envelope SIZE [to=DIR]							print an envelope, really sealed when a receiver is given
 *	digest FILE
 *	session DIR URL									make a session and keep it
 *	open DIR FILE									open an envelope, print its content
 *	checkpoint DIR ORIGIN SIZE ROOT				print a checkpoint signed by the node's log key
 *	request DIR URL METHOD TARGET [option=value]...	send, print status, headers, an empty line, the body
 *
 * Options of request: body=FILE, text=BODY, type=, accept=, nonce=, keyid=, authority=, tamper=, created=, timeout=, session=1, recovery=1, unsigned=1, stream=1.
 * "-" as DIR is for requests that are not signed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admission.h"
#include "client.h"
#include "note.h"
#include "jwe.h"
#include "wire.h"

/* The value of "name=value" among the arguments, or NULL. */
static const char *
option(char **arguments, const char *name)
{
	size_t		len = strlen(name);

	for (; *arguments != NULL; arguments++)
	{
		if (strncmp(*arguments, name, len) == 0 && (*arguments)[len] == '=')
			return *arguments + len + 1;
	}
	return NULL;
}

static void
command_voucher(const char *directory, char **arguments)
{
	TestNode	node;
	HdmsVoucher voucher = {.iat = time(NULL)};
	const char *sub = option(arguments, "sub");
	const char *expires = option(arguments, "expires");
	const char *jti = option(arguments, "jti");
	char	   *jws = NULL;

	node_load(&node, directory);
	snprintf(voucher.iss, sizeof(voucher.iss), "%s", hdms_history_node_id(node.history));
	snprintf(voucher.sub, sizeof(voucher.sub), "%s", sub != NULL ? sub : "");
	require(hdms_uuid7((int64_t) time(NULL) * 1000, voucher.jti), "uuid");
	if (jti != NULL)
		snprintf(voucher.jti, sizeof(voucher.jti), "%s", jti);
	voucher.exp = voucher.iat + (expires != NULL ? atol(expires) : 900);
	if (voucher.exp <= voucher.iat)
		voucher.iat = voucher.exp - 1;
	require(hdms_voucher_sign(node.role[HDMS_ROLE_SIGN], &voucher, &jws), "voucher");
	puts(jws);
	free(jws);
	node_close(&node);
}

static void
command_registration(const char *directory, char **arguments)
{
	TestNode	node;
	HdmsRegistration registration = {0};
	char	   *lists[16];
	char	   *json = NULL;

	node_load(&node, directory);
	registration.history = (char *) (uintptr_t) hdms_history_json(node.history);
	registration.voucher = (char *) (uintptr_t) option(arguments, "voucher");
	registration.admission = (char *) (uintptr_t) option(arguments, "admission");
	for (; *arguments != NULL; arguments++)
	{
		if (strncmp(*arguments, "list=", 5) == 0 && registration.notaries_count < 16)
			lists[registration.notaries_count++] = *arguments + 5;
	}
	registration.notaries = lists;
	require(hdms_wire_registration_print(&registration, &json), "registration");
	puts(json);
	free(json);
	node_close(&node);
}

/* Looks like an envelope, and costs nothing: five parts of base64url. */
static void
print_imitation(size_t size)
{
	static const char head[] = "eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00ifQ.AAAA.BBBB.";
	unsigned char random[24];
	char		text[HDMS_BASE64URL_SIZE(sizeof(random))];
	size_t		len = strlen(head);

	require(hdms_random(random, sizeof(random)), "random");
	hdms_base64url_write(random, sizeof(random), text);
	printf("%s%s", head, text);
	for (len += strlen(text) + 5; len < size; len++)
		putchar('C');
	fputs(".DDDD", stdout);
}

static void
command_envelope(size_t size, char **arguments)
{
	const char *to = option(arguments, "to");
	const char *text = option(arguments, "text");
	TestNode	node;
	char	   *plaintext;
	char	   *compact = NULL;

	if (to == NULL)
	{
		print_imitation(size);
		return;
	}
	node_load(&node, to);
	plaintext = calloc(1, size + 1);
	memset(plaintext, 'x', size);
	if (text != NULL)
		memcpy(plaintext, text, strlen(text) < size ? strlen(text) : size);
	require(hdms_jwe_seal(hdms_history_current(node.history, HDMS_ROLE_ENCRYPT), HDMS_TYP_ENVELOPE, plaintext, size, &compact), "seal");
	fputs(compact, stdout);
	free(compact);
	free(plaintext);
	node_close(&node);
}

static void
command_session(const char *directory, const char *url)
{
	TestNode	node;
	unsigned char random[16];
	char		nonce[HDMS_BASE64URL_SIZE(sizeof(random))];
	TestRequest request = {.url = url, .method = "POST", .target = "/v1/sessions", .nonce = nonce};
	TestResponse response;
	HdmsSession session = {0};
	HdmsBytes	secret = {0};

	node_load(&node, directory);
	require(hdms_random(random, sizeof(random)), "random");
	hdms_base64url_write(random, sizeof(random), nonce);
	test_request(&node, &request, &response);
	if (response.status != 201)
		fail("session: %ld %s", response.status, response.body);
	require(hdms_wire_session_parse(response.body, response.body_len, &session), "session");
	require(hdms_jwe_open(session.secret, strlen(session.secret), node.role[HDMS_ROLE_ENCRYPT], HDMS_TYP_SESSION, &secret), "open session");
	if (secret.len != 32)
		fail("session secret of %zu bytes", secret.len);
	node_save_session(&node, session.id, secret.data);
	printf("%s %lld\n", session.id, (long long) session.expires);
	hdms_bytes_wipe(&secret);
	free(session.secret);
	free(response.headers);
	free(response.body);
	node_close(&node);
}

static void
command_open(const char *directory, const char *file)
{
	TestNode	node;
	HdmsBytes	plaintext = {0};
	size_t		len = 0;
	char	   *text = file_read(file, &len);

	node_load(&node, directory);
	require(hdms_jwe_open(text, len, node.role[HDMS_ROLE_ENCRYPT], NULL, &plaintext), "open");
	fwrite(plaintext.data, 1, plaintext.len, stdout);
	hdms_bytes_free(&plaintext);
	free(text);
	node_close(&node);
}

static long
option_number(char **arguments, const char *name)
{
	const char *value = option(arguments, name);

	return value != NULL ? atol(value) : 0;
}

static void
command_request(const char *directory, const char *url, const char *method, const char *target, char **arguments)
{
	TestNode	node = {0};
	TestRequest request = {.url = url, .method = method, .target = target};
	TestResponse response;
	const char *file = option(arguments, "body");
	char	   *body = NULL;

	if (strcmp(directory, "-") != 0)
		node_load(&node, directory);
	else
		request.unsigned_request = 1;
	if (file != NULL)
	{
		body = file_read(file, &request.body_len);
		if (body == NULL)
			fail("cannot read %s", file);
		request.body = body;
	}
	else if (option(arguments, "text") != NULL)
	{
		request.body = option(arguments, "text");
		request.body_len = strlen(request.body);
	}
	request.content_type = option(arguments, "type");
	if (request.content_type == NULL && request.body != NULL)
		request.content_type = "application/json";
	request.accept = option(arguments, "accept");
	request.nonce = option(arguments, "nonce");
	request.keyid = option(arguments, "keyid");
	request.authority = option(arguments, "authority");
	request.tamper = option(arguments, "tamper");
	request.created_offset = option_number(arguments, "created");
	request.timeout = option_number(arguments, "timeout");
	request.use_session = option_number(arguments, "session") != 0;
	request.use_recovery = option_number(arguments, "recovery") != 0;
	request.unsigned_request |= option_number(arguments, "unsigned") != 0;
	request.stream = option_number(arguments, "stream") != 0;
	test_request(&node, &request, &response);
	if (!request.stream)
	{
		printf("%ld\n%s", response.status, response.headers);
		fwrite(response.body, 1, response.body_len, stdout);
	}
	free(response.headers);
	free(response.body);
	free(body);
	node_close(&node);
}

/* A checkpoint of a log of the node; the root in hexadecimal. */
static void
command_checkpoint(const char *directory, const char *origin, const char *size, const char *root)
{
	HdmsCheckpoint checkpoint = {.size = strtoull(size, NULL, 10)};
	char	   *note = NULL;
	TestNode	node;

	node_load(&node, directory);
	snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", origin);
	for (size_t i = 0; i < sizeof(checkpoint.root); i++)
	{
		unsigned	byte;

		if (sscanf(root + 2 * i, "%2x", &byte) != 1)
			fail("not a root: %s", root);
		checkpoint.root[i] = (unsigned char) byte;
	}
	require(hdms_checkpoint_sign(&checkpoint, node.role[HDMS_ROLE_LOG], &note), "checkpoint");
	fputs(note, stdout);
	free(note);
	node_close(&node);
}

int
main(int argc, char **argv)
{
	const char *command = argc > 2 ? argv[1] : "";
	TestNode	node;

	if (strcmp(command, "new") == 0 && argc > 3)
	{
		bool		person = strcmp(argv[3], "person") == 0;

		node_create(argv[2], person ? HDMS_PERSON : HDMS_INSTITUTION, person ? NULL : argc > 4 ? argv[4] : "Test");
		command = "id";
	}
	if (strcmp(command, "id") == 0 || strcmp(command, "history") == 0)
	{
		node_load(&node, argv[2]);
		puts(command[0] == 'i' ? hdms_history_node_id(node.history) : hdms_history_json(node.history));
		node_close(&node);
	}
	else if (strcmp(command, "rotate") == 0)
	{
		node_load(&node, argv[2]);
		node_rotate(&node);
		node_close(&node);
	}
	else if (strcmp(command, "digest") == 0)
	{
		size_t		len = 0;
		char	   *data = file_read(argv[2], &len);
		char		digest[HDMS_DIGEST_TEXT + 1];

		require(hdms_sha256_text(data, len, digest), "digest");
		puts(digest);
		free(data);
	}
	else if (strcmp(command, "voucher") == 0)
		command_voucher(argv[2], argv + 3);
	else if (strcmp(command, "registration") == 0)
		command_registration(argv[2], argv + 3);
	else if (strcmp(command, "envelope") == 0)
		command_envelope((size_t) atol(argv[2]), argv + 3);
	else if (strcmp(command, "session") == 0 && argc > 3)
		command_session(argv[2], argv[3]);
	else if (strcmp(command, "open") == 0 && argc > 3)
		command_open(argv[2], argv[3]);
	else if (strcmp(command, "checkpoint") == 0 && argc > 5)
		command_checkpoint(argv[2], argv[3], argv[4], argv[5]);
	else if (strcmp(command, "request") == 0 && argc > 5)
		command_request(argv[2], argv[3], argv[4], argv[5], argv + 6);
	else
		fail("usage: see the head of client.c");
	return 0;
}
