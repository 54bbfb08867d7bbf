/*
 * fuzz_flow_body.c
 *		The bodies of messages: the first byte chooses the type. What parses is printed and parses again.
 */
#include <stdlib.h>
#include <string.h>

#include "flow_body.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {
	HDMS_MSG_PAIR, HDMS_MSG_PAIRED, HDMS_MSG_PAIR_REFUSED, HDMS_MSG_RECORD, HDMS_MSG_NOTARISE, HDMS_MSG_RECEIPT,
	HDMS_MSG_REFUSED, HDMS_MSG_SILENT, HDMS_MSG_SKIP, HDMS_MSG_ALIVE, HDMS_MSG_PROBE, HDMS_MSG_PROBE_REPLY,
	HDMS_MSG_ACCEPTED, HDMS_MSG_REJECTED, HDMS_MSG_COMMITTED, HDMS_MSG_WITHDRAWN, HDMS_MSG_ACK,
	HDMS_MSG_WANT, HDMS_MSG_COPIES, HDMS_MSG_KEYS, HDMS_MSG_WITNESS, HDMS_MSG_COSIGNED, HDMS_MSG_ERASED, HDMS_MSG_ERASURE,
	HDMS_MSG_READS, HDMS_MSG_UNPAIRED
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *type;
	HdmsBody	body = {0};
	HdmsBody	again = {0};
	char	   *json = NULL;
	char	   *printed = NULL;

	if (size < 1)
		return 0;
	type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	if (hdms_body_parse(type, data + 1, size - 1, &body) != HDMS_OK)
		return 0;
	if (hdms_body_print(type, &body, &json) != HDMS_OK
		|| hdms_body_parse(type, json, strlen(json), &again) != HDMS_OK
		|| hdms_body_print(type, &again, &printed) != HDMS_OK
		|| strcmp(json, printed) != 0)
		abort();
	free(json);
	free(printed);
	hdms_body_free(&body);
	hdms_body_free(&again);
	return 0;
}
