/*
 * fuzz_pairing.c
 *		Pairing URIs: what is parsed is made again and parsed as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "pairing.h"

int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HdmsPairing pairing = {0};
	HdmsPairing again = {0};
	char	   *uri = NULL;
	HdmsStatus	status;

	if (hdms_pairing_parse((const char *) data, size, &pairing) != HDMS_OK)
		return 0;

	/* Encoding everything may make the text too long. */
	status = hdms_pairing_uri(&pairing, &uri);
	if (status != HDMS_OK && status != HDMS_TOO_LARGE)
		abort();
	if (status == HDMS_OK &&
		(hdms_pairing_parse(uri, strlen(uri), &again) != HDMS_OK ||
		 strcmp(again.server, pairing.server) != 0 || strcmp(again.network, pairing.network) != 0 ||
		 strcmp(again.node, pairing.node) != 0 || strcmp(again.invitation, pairing.invitation) != 0 ||
		 strcmp(again.voucher, pairing.voucher) != 0 ||
		 memcmp(again.secret, pairing.secret, sizeof(pairing.secret)) != 0))
		abort();
	hdms_string_wipe(uri);
	hdms_pairing_free(&again);
	hdms_pairing_free(&pairing);
	return 0;
}
