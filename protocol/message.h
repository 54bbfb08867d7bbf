/*
 * message.h
 *		Messages between nodes: signed, then encrypted.
 *
 * The plaintext of the JWE is a JWS compact, a line feed, and the raw body. The
 * JWS claims are iss, aud, jti, iat, exp, type, "re" where it answers another
 * message, and "body", the SHA-256 of the body, so the body is not base64-coded
 * three times. Opening and verifying are two steps because the sender's key is
 * found by the "iss" inside.
 */
#ifndef HDMS_MESSAGE_H
#define HDMS_MESSAGE_H

#include "jwe.h"
#include "jws.h"

#define HDMS_MESSAGE_TYPE_MAX	32
#define HDMS_CLOCK_SKEW			300		/* seconds that clocks may differ */

typedef struct HdmsMessageHead
{
	char		iss[HDMS_DIGEST_TEXT + 1];	/* sender's node id */
	char		aud[HDMS_DIGEST_TEXT + 1];	/* receiver's node id */
	char		jti[37];		/* message id: a UUID; the same when it is sealed anew */
	char		re[37];			/* jti of the message it answers, or "" */
	char		type[HDMS_MESSAGE_TYPE_MAX];	/* lower case, digits, '_' */
	int64_t		iat;			/* seconds since 1970 */
	int64_t		exp;
} HdmsMessageHead;

typedef struct HdmsMessage
{
	HdmsMessageHead head;
	char	   *jws;			/* the inner JWS */
	HdmsBytes	body;
} HdmsMessage;

/* Seals a message. head is complete; signer is the sender's private signing key. *envelope is malloc'ed. */
extern HdmsStatus hdms_message_seal(const HdmsMessageHead *head, const void *body, size_t len,
									const HdmsKey *signer, const HdmsKey *recipient, char **envelope);

/*
 * Opens an envelope and checks everything but the signature: form, body digest,
 * aud = my_id, and exp and iat against now (seconds), unless now is 0.
 */
extern HdmsStatus hdms_message_open(const char *envelope, size_t len, const HdmsKey *key, const char *my_id,
									int64_t now, HdmsMessage *message);

/* Verifies the inner signature with the key of the claimed sender. */
extern HdmsStatus hdms_message_verify(const HdmsMessage *message, const HdmsKey *sender);

/* The kid in the inner JWS: which of the sender's keys signed. */
extern HdmsStatus hdms_message_kid(const HdmsMessage *message, char kid[HDMS_DIGEST_TEXT + 1]);

/* Wipes and frees; safe on a zeroed struct. */
extern void hdms_message_free(HdmsMessage *message);

/* Transport id: SHA-256 of the envelope's bytes as base64url. */
extern HdmsStatus hdms_envelope_id(const char *envelope, size_t len, char id[HDMS_DIGEST_TEXT + 1]);

#endif
