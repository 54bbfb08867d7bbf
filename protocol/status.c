/*
 * status.c
 *		Words and sentences for the outcomes of the protocol library.
 *
 * The words go into logs, problem types and database columns, so they never
 * change once released.  The table is indexed by the enumeration: a value
 * without an entry shows as "unknown" and is caught by the tests.
 */
#include "status.h"

#include <stddef.h>

static const struct
{
	const char *word;
	const char *sentence;
}			texts[HDMS_STATUS_COUNT] =
{
	[HDMS_OK] = {"ok", "Everything is in order"},
	[HDMS_OUT_OF_MEMORY] = {"out-of-memory", "There is not enough memory"},
	[HDMS_CRYPTO_FAILED] = {"crypto-failed", "The cryptographic library failed at an operation that should work"},
	[HDMS_BAD_ARGUMENT] = {"bad-argument", "The call was made with an unusable argument"},
	[HDMS_TOO_LARGE] = {"too-large", "A size or depth limit is exceeded"},
	[HDMS_BAD_ENCODING] = {"bad-encoding", "The text is not canonical base64url, base64, hexadecimal or UTF-8"},
	[HDMS_BAD_JSON] = {"bad-json", "The text is not strict JSON, or has a member name twice"},
	[HDMS_BAD_FORMAT] = {"bad-format", "The structure is not the expected one"},
	[HDMS_BAD_CLAIM] = {"bad-claim", "A claim is missing or has a wrong value"},
	[HDMS_BAD_KEY] = {"bad-key", "The key is malformed, weak, or of the wrong kind"},
	[HDMS_BAD_ALGORITHM] = {"bad-algorithm", "The algorithm is not on the list of those allowed"},
	[HDMS_BAD_TYPE] = {"bad-type", "The \"typ\" or message type is not the one this purpose asks for"},
	[HDMS_BAD_SIGNATURE] = {"bad-signature", "The signature does not verify"},
	[HDMS_CANNOT_DECRYPT] = {"cannot-decrypt", "The envelope was not sealed to this key, or was altered"},
	[HDMS_WRONG_SENDER] = {"wrong-sender", "The sender is not who it should be"},
	[HDMS_WRONG_RECEIVER] = {"wrong-receiver", "The message is meant for somebody else"},
	[HDMS_EXPIRED] = {"expired", "The end of validity has passed"},
	[HDMS_NOT_YET_VALID] = {"not-yet-valid", "The date is in the future, beyond the allowed skew of clocks"},
	[HDMS_RESERVED_MEMBER] = {"reserved-member", "The content has a member \"_sd\", \"_sd_alg\" or \"...\", which are reserved"},
	[HDMS_DIGEST_MISMATCH] = {"digest-mismatch", "A digest does not match what it stands for"},
	[HDMS_UNKNOWN_KEY] = {"unknown-key", "No key with that id was valid at that time"},
	[HDMS_BAD_CHAIN] = {"bad-chain", "A key history or chain of versions does not link up"},
	[HDMS_BAD_DRAW] = {"bad-draw", "The notary is not the one that was drawn"},
	[HDMS_BAD_PROOF] = {"bad-proof", "An inclusion, consistency or VRF proof is wrong"},
	[HDMS_NOT_ADMITTED] = {"not-admitted", "There is no valid admission by the network key"},
	[HDMS_TOO_LATE] = {"too-late", "The notary's leaf is later than the acceptance was allowed"},
};

const char *
hdms_status_word(HdmsStatus status)
{
	if ((unsigned int) status >= HDMS_STATUS_COUNT || texts[status].word == NULL)
		return "unknown";
	return texts[status].word;
}

const char *
hdms_status_sentence(HdmsStatus status)
{
	if ((unsigned int) status >= HDMS_STATUS_COUNT || texts[status].sentence == NULL)
		return "The outcome has no description";
	return texts[status].sentence;
}
