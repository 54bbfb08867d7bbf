/*
 * fuzz_state.c
 *		The compact form of a state: first byte chooses whether all must be disclosed, the rest is parsed.
 *
 * What parses must give content that could have been issued.
 */
#include <stdlib.h>

#include "state.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HdmsState	state;
	HdmsBytes	content = {0};

	if (size < 1)
		return 0;
	if (hdms_state_parse((const char *) data + 1, size - 1, (data[0] & 1) != 0, &state) != HDMS_OK)
		return 0;
	if (hdms_state_content((const char *) data + 1, size - 1, &content) != HDMS_OK)
		abort();
	if (hdms_content_check((const char *) content.data, content.len) != HDMS_OK)
		abort();
	hdms_bytes_free(&content);
	return 0;
}
