/*
 * key.c
 *		hdms-tool key: making keys and showing their public part.
 */
#include <stdio.h>
#include <string.h>

#include "tool.h"

static const char usage[] =
"  hdms-tool key new --type p256|rsa2048|rsa3072|rsa4096|ed25519\n"
"      prints a fresh private key as JWK\n"
"  hdms-tool key show [--key FILE.jwk] [--as jwk|thumbprint]\n"
"      prints the public part of a key, or its RFC 7638 thumbprint\n";

static const struct
{
	const char *name;
	HdmsKeyType type;
	int			bits;
}			types[] =
{
	{"p256", HDMS_KEY_P256, 0},
	{"rsa2048", HDMS_KEY_RSA, 2048},
	{"rsa3072", HDMS_KEY_RSA, 3072},
	{"rsa4096", HDMS_KEY_RSA, 4096},
	{"ed25519", HDMS_KEY_ED25519, 0},
};

static int
new_key(const char *type)
{
	HdmsKey    *key = NULL;
	char	   *jwk = NULL;
	HdmsStatus	status;
	bool		written;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		if (strcmp(type, types[i].name) != 0)
			continue;
		status = hdms_key_generate(types[i].type, types[i].bits, &key);
		if (status == HDMS_OK)
			status = hdms_key_to_jwk(key, true, &jwk);
		hdms_key_free(key);
		if (status != HDMS_OK)
			return tool_refuse("the key cannot be made", status);
		written = tool_write_line(jwk);
		hdms_string_wipe(jwk);
		return written ? TOOL_DONE : TOOL_REFUSED;
	}
	return tool_usage(usage);
}

static int
show_key(const char *path, bool as_thumbprint)
{
	HdmsKey    *key = tool_read_key(path);
	char	   *jwk = NULL;
	HdmsStatus	status;
	bool		written;

	if (key == NULL)
		return TOOL_REFUSED;
	if (as_thumbprint)
	{
		written = tool_write_line(hdms_key_thumbprint(key));
		hdms_key_free(key);
		return written ? TOOL_DONE : TOOL_REFUSED;
	}
	status = hdms_key_to_jwk(key, false, &jwk);
	hdms_key_free(key);
	if (status != HDMS_OK)
		return tool_refuse("the key cannot be shown", status);
	written = tool_write_line(jwk);
	hdms_string_wipe(jwk);
	return written ? TOOL_DONE : TOOL_REFUSED;
}

int
tool_key(int argc, char **argv)
{
	const char *type = NULL;
	const char *key = NULL;
	const char *as = NULL;
	const ToolOption new_options[] = {{"type", &type}, {NULL, NULL}};
	const ToolOption show_options[] = {{"key", &key}, {"as", &as}, {NULL, NULL}};

	if (argc >= 2 && strcmp(argv[1], "new") == 0 &&
		tool_options(argc - 1, argv + 1, new_options, NULL, 0, NULL) && type != NULL)
		return new_key(type);
	if (argc >= 2 && strcmp(argv[1], "show") == 0 &&
		tool_options(argc - 1, argv + 1, show_options, NULL, 0, NULL) &&
		(as == NULL || strcmp(as, "jwk") == 0 || strcmp(as, "thumbprint") == 0))
		return show_key(key, as != NULL && strcmp(as, "thumbprint") == 0);
	return tool_usage(usage);
}
