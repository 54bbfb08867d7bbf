/*
 * fuzz_receipt.c
 *		Receipts: whatever verifies must be the one leaf of the one log that the key signed for.
 *
 * The log's key is fixed and has signed only the checkpoint of the corpus, so a
 * receipt with another leaf, place or tree would be a forgery.
 */
#include <stdlib.h>
#include <string.h>

#include "receipt.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOTARY	"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define SIZE	11

static HdmsKey *log_key;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char jwk[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w\"}";

	(void) argc;
	(void) argv;
	if (hdms_key_from_jwk(jwk, strlen(jwk), &log_key) != HDMS_OK)
		abort();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HdmsLeaf	leaf;
	uint64_t	index;
	HdmsCheckpoint checkpoint;

	if (hdms_receipt_verify((const char *) data, size, NOTARY, log_key, &leaf, &index, &checkpoint) != HDMS_OK)
		return 0;
	if (checkpoint.size != SIZE || index >= SIZE || leaf.time_ms != INT64_C(1767225600000) + (int64_t) index ||
		leaf.tag[0] != index || leaf.request[31] != 0x80 + index)
		abort();
	return 0;
}
