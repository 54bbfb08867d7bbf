/*
 * client_node.c
 *		A test node's keys and history, kept in a directory of plain files.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "client.h"

static const char *const role_files[HDMS_ROLE_COUNT] = {"sign", "encrypt", "vrf", "log", "cosigner"};

void
fail(const char *format, ...)
{
	va_list		arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

void
require(HdmsStatus status, const char *doing)
{
	if (status != HDMS_OK)
		fail("%s: %s", doing, hdms_status_word(status));
}

char *
file_read(const char *path, size_t *len)
{
	FILE	   *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	char	   *data = NULL;
	size_t		capacity = 0;
	size_t		used = 0;
	size_t		got;

	if (file == NULL)
		return NULL;
	do
	{
		if (used + 65536 > capacity)
		{
			capacity = capacity * 2 + 65537;
			data = realloc(data, capacity);
			if (data == NULL)
				fail("out of memory");
		}
		got = fread(data + used, 1, 65536, file);
		used += got;
	} while (got > 0);
	data[used] = '\0';
	if (file != stdin)
		fclose(file);
	*len = used;
	return data;
}

void
file_write(const char *path, const void *data, size_t len)
{
	FILE	   *file = fopen(path, "wb");

	if (file == NULL || fwrite(data, 1, len, file) != len || fclose(file) != 0)
		fail("cannot write %s: %s", path, strerror(errno));
}

static char *
node_path(const char *directory, const char *file)
{
	char	   *path = NULL;

	if (asprintf(&path, "%s/%s", directory, file) < 0)
		fail("out of memory");
	return path;
}

static void
key_save(const char *directory, const char *file, const HdmsKey *key)
{
	char	   *path = node_path(directory, file);
	char	   *jwk = NULL;

	require(hdms_key_to_jwk(key, true, &jwk), "key");
	file_write(path, jwk, strlen(jwk));
	hdms_string_wipe(jwk);
	free(path);
}

static HdmsKey *
key_load(const char *directory, const char *file)
{
	char	   *path = node_path(directory, file);
	size_t		len = 0;
	char	   *jwk = file_read(path, &len);
	HdmsKey    *key = NULL;

	if (jwk != NULL)
		require(hdms_key_from_jwk(jwk, len, &key), path);
	free(jwk);
	free(path);
	return key;
}

static void
node_history(TestNode *node, HdmsNodeKind kind, const char *name)
{
	HdmsNodeKeys keys = {.recovery = node->recovery};
	char	   *json = NULL;

	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		keys.role[i] = node->role[i];
	require(hdms_history_create(kind, name, &keys, time(NULL), &json), "history");
	node_save_history(node, json);
	free(json);
}

void
node_create(const char *directory, HdmsNodeKind kind, const char *name)
{
	TestNode	node = {.directory = strdup(directory)};

	if (mkdir(directory, 0700) != 0)
		fail("cannot make %s: %s", directory, strerror(errno));
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
	{
		bool		ed25519 = (i == HDMS_ROLE_LOG || i == HDMS_ROLE_COSIGNER);

		if (i == HDMS_ROLE_VRF ? kind == HDMS_INSTITUTION : (ed25519 && kind == HDMS_PERSON))
			continue;
		require(hdms_key_generate(ed25519 ? HDMS_KEY_ED25519 : HDMS_KEY_P256, 0, &node.role[i]), "key");
		key_save(directory, role_files[i], node.role[i]);
	}
	require(hdms_key_generate(HDMS_KEY_P256, 0, &node.recovery), "key");
	key_save(directory, "recovery", node.recovery);
	node_history(&node, kind, name);
	node_close(&node);
}

void
node_save_history(const TestNode *node, const char *json)
{
	char	   *path = node_path(node->directory, "history.json");

	file_write(path, json, strlen(json));
	free(path);
}

void
node_save_session(const TestNode *node, const char *id, const unsigned char secret[32])
{
	char	   *path = node_path(node->directory, "session");
	char		text[300];
	int			len = snprintf(text, sizeof(text), "%s ", id);

	hdms_base64url_write(secret, 32, text + len);
	file_write(path, text, strlen(text));
	free(path);
}

void
node_load(TestNode *node, const char *directory)
{
	char	   *path = node_path(directory, "history.json");
	size_t		len = 0;
	char	   *text = file_read(path, &len);

	memset(node, 0, sizeof(*node));
	node->directory = strdup(directory);
	if (text == NULL)
		fail("cannot read %s", path);
	require(hdms_history_parse(text, len, &node->history), path);
	node->kind = hdms_history_kind(node->history);
	free(text);
	free(path);
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		node->role[i] = key_load(directory, role_files[i]);
	node->recovery = key_load(directory, "recovery");
	path = node_path(directory, "session");
	text = file_read(path, &len);
	if (text != NULL)
	{
		char	   *space = strchr(text, ' ');

		if (space == NULL)
			fail("bad session file");
		*space = '\0';
		snprintf(node->session, sizeof(node->session), "%s", text);
		require(hdms_base64url_read(space + 1, strlen(space + 1), node->session_secret, 32), "session");
	}
	free(text);
	free(path);
}

/* A new signing key, introduced by the present one. */
void
node_rotate(TestNode *node)
{
	HdmsNodeKeys keys = {.recovery = node->recovery};
	HdmsKey    *fresh = NULL;
	char	   *json = NULL;

	require(hdms_key_generate(HDMS_KEY_P256, 0, &fresh), "key");
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		keys.role[i] = node->role[i];
	keys.role[HDMS_ROLE_SIGN] = fresh;
	require(hdms_history_extend(node->history, &keys, node->role[HDMS_ROLE_SIGN], NULL, 0, time(NULL), &json), "extend");
	node_save_history(node, json);
	key_save(node->directory, role_files[HDMS_ROLE_SIGN], fresh);
	hdms_key_free(node->role[HDMS_ROLE_SIGN]);
	node->role[HDMS_ROLE_SIGN] = fresh;
	free(json);
}

void
node_close(TestNode *node)
{
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		hdms_key_free(node->role[i]);
	hdms_key_free(node->recovery);
	hdms_history_free(node->history);
	free(node->directory);
	memset(node, 0, sizeof(*node));
}
