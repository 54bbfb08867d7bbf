/*
 * status.h
 *		The one enumeration of outcomes of the protocol library.
 *
 * Every function that can fail returns an HdmsStatus and leaves its results
 * untouched on failure. The library never prints, aborts or jumps.
 */
#ifndef HDMS_STATUS_H
#define HDMS_STATUS_H

typedef enum HdmsStatus
{
	HDMS_OK = 0,
	HDMS_OUT_OF_MEMORY,			/* an allocation failed */
	HDMS_CRYPTO_FAILED,			/* OpenSSL refused an operation that should work */
	HDMS_BAD_ARGUMENT,			/* the caller passed something unusable */
	HDMS_TOO_LARGE,				/* over a size or depth limit */
	HDMS_BAD_ENCODING,			/* not canonical base64url, base64, hex or UTF-8 */
	HDMS_BAD_JSON,				/* not strict JSON, or a duplicate member name */
	HDMS_BAD_FORMAT,			/* well-formed, but not the expected structure */
	HDMS_BAD_CLAIM,				/* a claim is missing or has a wrong value */
	HDMS_BAD_KEY,				/* a key is malformed, weak, off the curve or of the wrong kind */
	HDMS_BAD_ALGORITHM,			/* an algorithm that is not on the fixed list */
	HDMS_BAD_TYPE,				/* the "typ" is not the one this purpose asks for */
	HDMS_BAD_SIGNATURE,			/* a signature or MAC does not verify */
	HDMS_CANNOT_DECRYPT,		/* not sealed to this key, or altered */
	HDMS_WRONG_SENDER,			/* inner "iss" is not who it should be */
	HDMS_WRONG_RECEIVER,		/* inner "aud" is not the opener */
	HDMS_EXPIRED,				/* past its end of validity */
	HDMS_NOT_YET_VALID,			/* dated in the future beyond the allowed skew */
	HDMS_RESERVED_MEMBER,		/* content has a member "_sd", "_sd_alg" or "..." */
	HDMS_DIGEST_MISMATCH,		/* a disclosure, digest or hash does not match */
	HDMS_UNKNOWN_KEY,			/* no key with that id was valid at that time */
	HDMS_BAD_CHAIN,				/* a key history or version chain does not link up */
	HDMS_BAD_DRAW,				/* the notary is not the one that was drawn */
	HDMS_BAD_PROOF,				/* an inclusion, consistency or VRF proof is wrong */
	HDMS_NOT_ADMITTED,			/* no valid admission by the network key */
	HDMS_TOO_LATE,				/* the notary's leaf is after "accept_until" */
	HDMS_STATUS_COUNT
} HdmsStatus;

/* A stable lower-case word for logs and problem types, e.g. "bad-signature". Never NULL. */
extern const char *hdms_status_word(HdmsStatus status);

/* One English sentence without a final full stop. Never NULL. */
extern const char *hdms_status_sentence(HdmsStatus status);

#endif
