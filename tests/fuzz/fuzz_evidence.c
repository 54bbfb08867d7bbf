/*
 * fuzz_evidence.c
 *		A record's evidence as a file, trusted under whatever network key it brings itself.
 */
#include <stdlib.h>

#include "evidence.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
count_check(void *arg, int64_t version, const char *check, HdmsStatus status)
{
	int		   *failed = arg;

	(void) version;
	(void) check;
	*failed += status != HDMS_OK;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *) data;
	HdmsJsonItem network;
	HdmsKey    *key = NULL;
	HdmsBytes	content = {0};
	char		record[37];
	int			failed = 0;
	HdmsStatus	status;

	if (hdms_json_member(json, size, "network", &network) == HDMS_OK)
		(void) !hdms_key_from_jwk(network.value.data, network.value.len, &key);
	status = hdms_evidence_verify_file(json, size, key != NULL ? hdms_key_thumbprint(key) : "", count_check, &failed,
									   record, &content);
	if ((status == HDMS_OK) != (failed == 0))
		abort();
	hdms_bytes_free(&content);
	hdms_key_free(key);
	return 0;
}
