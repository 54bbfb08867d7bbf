/*
 * vrf.c
 *		hdms-tool vrf: drawing and checking draws (RFC 9381, ECVRF-P256-SHA256-TAI).
 *
 * The input is the exact bytes of standard input, with a line end if there is one.
 */
#include "vrf.h"

#include <stdio.h>
#include <string.h>

#include "tool.h"

static const char usage[] =
"  hdms-tool vrf prove --key FILE.jwk                      input on standard input; prints proof and output\n"
"  hdms-tool vrf verify --key FILE.jwk --proof BASE64URL   input on standard input; prints the output\n";

static bool
write_named(const char *name, const void *data, size_t len)
{
	char		text[HDMS_BASE64URL_SIZE(HDMS_VRF_PROOF_SIZE)];
	char		line[sizeof(text) + 16];

	hdms_base64url_write(data, len, text);
	snprintf(line, sizeof(line), "%s %s", name, text);
	return tool_write_line(line);
}

static int
prove(const HdmsKey *key)
{
	HdmsBytes	input = {0};
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];
	HdmsStatus	status;

	if (!tool_read(NULL, &input))
		return TOOL_REFUSED;
	status = hdms_vrf_prove(key, input.data, input.len, proof, output);
	hdms_bytes_wipe(&input);
	if (status != HDMS_OK)
		return tool_refuse("nothing can be proven", status);
	return write_named("proof", proof, sizeof(proof)) && write_named("output", output, sizeof(output)) ? TOOL_DONE : TOOL_REFUSED;
}

static int
verify(const HdmsKey *key, const char *proof_text)
{
	HdmsBytes	input = {0};
	unsigned char proof[HDMS_VRF_PROOF_SIZE];
	unsigned char output[HDMS_VRF_OUTPUT_SIZE];
	HdmsStatus	status = hdms_base64url_read(proof_text, strlen(proof_text), proof, sizeof(proof));

	if (status != HDMS_OK)
		return tool_refuse("the proof is refused", status);
	if (!tool_read(NULL, &input))
		return TOOL_REFUSED;
	status = hdms_vrf_verify(key, input.data, input.len, proof, output);
	hdms_bytes_wipe(&input);
	if (status != HDMS_OK)
		return tool_refuse("the proof is refused", status);
	return write_named("output", output, sizeof(output)) ? TOOL_DONE : TOOL_REFUSED;
}

int
tool_vrf(int argc, char **argv)
{
	const char *path = NULL;
	const char *proof = NULL;
	const ToolOption options[] = {{"key", &path}, {"proof", &proof}, {NULL, NULL}};
	const bool	is_prove = argc >= 2 && strcmp(argv[1], "prove") == 0;
	HdmsKey    *key;
	int			result;

	if (!is_prove && (argc < 2 || strcmp(argv[1], "verify") != 0))
		return tool_usage(usage);
	if (!tool_options(argc - 1, argv + 1, options, NULL, 0, NULL) || path == NULL || is_prove != (proof == NULL))
		return tool_usage(usage);
	key = tool_read_key(path);
	if (key == NULL)
		return TOOL_REFUSED;
	result = is_prove ? prove(key) : verify(key, proof);
	hdms_key_free(key);
	return result;
}
