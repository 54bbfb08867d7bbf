/*
 * jwe.c
 *		hdms-tool jwe: sealing and opening compact JWE.
 */
#include "jwe.h"

#include <string.h>

#include "tool.h"

static const char usage[] =
"  hdms-tool jwe seal --key FILE.jwk [--typ TYP]  plaintext on standard input\n"
"  hdms-tool jwe open --key FILE.jwk [--typ TYP]  JWE on standard input; prints the plaintext\n";

static int
seal(const HdmsKey *key, const char *typ)
{
	HdmsBytes	plaintext = {0};
	char	   *compact = NULL;
	HdmsStatus	status;
	bool		written;

	if (!tool_read(NULL, &plaintext))
		return TOOL_REFUSED;
	status = hdms_jwe_seal(key, typ, plaintext.data, plaintext.len, &compact);
	hdms_bytes_wipe(&plaintext);
	if (status != HDMS_OK)
		return tool_refuse("the plaintext cannot be sealed", status);
	written = tool_write_line(compact);
	hdms_string_wipe(compact);
	return written ? TOOL_DONE : TOOL_REFUSED;
}

static int
open_sealed(const HdmsKey *key, const char *typ)
{
	HdmsBytes	compact = {0};
	HdmsBytes	plaintext = {0};
	HdmsStatus	status;
	bool		written;

	if (!tool_read_line(NULL, &compact))
		return TOOL_REFUSED;
	status = hdms_jwe_open((const char *) compact.data, compact.len, key, typ, &plaintext);
	hdms_bytes_wipe(&compact);
	if (status != HDMS_OK)
		return tool_refuse("the JWE is refused", status);
	written = tool_write(plaintext.data, plaintext.len);
	hdms_bytes_wipe(&plaintext);
	return written ? TOOL_DONE : TOOL_REFUSED;
}

int
tool_jwe(int argc, char **argv)
{
	const char *path = NULL;
	const char *typ = NULL;
	const ToolOption options[] = {{"key", &path}, {"typ", &typ}, {NULL, NULL}};
	const bool	is_seal = argc >= 2 && strcmp(argv[1], "seal") == 0;
	HdmsKey    *key;
	int			result;

	if (!is_seal && (argc < 2 || strcmp(argv[1], "open") != 0))
		return tool_usage(usage);
	if (!tool_options(argc - 1, argv + 1, options, NULL, 0, NULL) || path == NULL)
		return tool_usage(usage);
	key = tool_read_key(path);
	if (key == NULL)
		return TOOL_REFUSED;
	result = is_seal ? seal(key, typ) : open_sealed(key, typ);
	hdms_key_free(key);
	return result;
}
