/*
 * jws.c
 *		hdms-tool jws: signing and verifying compact JWS.
 */
#include "jws.h"

#include <string.h>

#include "tool.h"

static const char usage[] =
"  hdms-tool jws sign --key FILE.jwk --typ TYP      payload on standard input\n"
"  hdms-tool jws verify --key FILE.jwk [--typ TYP]  JWS on standard input; prints the payload\n";

static int
sign(const HdmsKey *key, const char *typ)
{
	HdmsBytes	payload = {0};
	char	   *compact = NULL;
	HdmsStatus	status;
	bool		written;

	if (!tool_read(NULL, &payload))
		return TOOL_REFUSED;
	status = hdms_jws_sign(key, typ, false, payload.data, payload.len, &compact);
	hdms_bytes_wipe(&payload);
	if (status != HDMS_OK)
		return tool_refuse("the payload cannot be signed", status);
	written = tool_write_line(compact);
	hdms_string_wipe(compact);
	return written ? TOOL_DONE : TOOL_REFUSED;
}

static int
verify(const HdmsKey *key, const char *typ)
{
	HdmsBytes	compact = {0};
	HdmsBytes	payload = {0};
	HdmsStatus	status;
	bool		written;

	if (!tool_read_line(NULL, &compact))
		return TOOL_REFUSED;
	status = hdms_jws_verify((const char *) compact.data, compact.len, key, typ, &payload);
	hdms_bytes_wipe(&compact);
	if (status != HDMS_OK)
		return tool_refuse("the JWS is refused", status);
	written = tool_write(payload.data, payload.len);
	hdms_bytes_wipe(&payload);
	return written ? TOOL_DONE : TOOL_REFUSED;
}

int
tool_jws(int argc, char **argv)
{
	const char *path = NULL;
	const char *typ = NULL;
	const ToolOption options[] = {{"key", &path}, {"typ", &typ}, {NULL, NULL}};
	const bool	is_sign = argc >= 2 && strcmp(argv[1], "sign") == 0;
	HdmsKey    *key;
	int			result;

	if (!is_sign && (argc < 2 || strcmp(argv[1], "verify") != 0))
		return tool_usage(usage);
	if (!tool_options(argc - 1, argv + 1, options, NULL, 0, NULL) || path == NULL || (is_sign && typ == NULL))
		return tool_usage(usage);
	key = tool_read_key(path);
	if (key == NULL)
		return TOOL_REFUSED;
	result = is_sign ? sign(key, typ) : verify(key, typ);
	hdms_key_free(key);
	return result;
}
