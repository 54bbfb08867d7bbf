/*
 * jwe_key_wrap.h
 *		How the content key of a JWE travels to its receiver.  Internal to protocol/.
 */
#ifndef HDMS_JWE_KEY_WRAP_H
#define HDMS_JWE_KEY_WRAP_H

#include "key_inside.h"

#define HDMS_CEK_SIZE	32

typedef struct HdmsWrappedKey
{
	unsigned char epk[HDMS_P256_POINT];		/* P-256 keys: the ephemeral point, uncompressed */
	unsigned char key[HDMS_RSA_MAX_SIZE];
	size_t		key_len;
} HdmsWrappedKey;

/* "ECDH-ES+A256KW" or "RSA-OAEP-256"; NULL for a key that cannot receive. */
extern const char *hdms_key_wrap_algorithm(const HdmsKey *key);
extern bool hdms_wrap_algorithm_is_listed(const char *alg);

extern HdmsStatus hdms_cek_wrap(const HdmsKey *recipient, const unsigned char cek[HDMS_CEK_SIZE], HdmsWrappedKey *wrapped);

/*
 * Gives a random key, not an error, when what was wrapped is not for this key.
 * HDMS_BAD_KEY when the ephemeral point is not on the curve.
 */
extern HdmsStatus hdms_cek_unwrap(const HdmsKey *key, const HdmsWrappedKey *wrapped, unsigned char cek[HDMS_CEK_SIZE]);

#endif
