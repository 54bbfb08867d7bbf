/*
 * key_inside.h
 *		What a key is made of, for the files that make and use keys.  Internal to protocol/.
 */
#ifndef HDMS_KEY_INSIDE_H
#define HDMS_KEY_INSIDE_H

#include <stdatomic.h>

#include <openssl/bn.h>

#include "key.h"

#define HDMS_P256_SIZE		32	/* bytes of a coordinate, a scalar, half a signature */
#define HDMS_P256_POINT		65	/* bytes of an uncompressed point */
#define HDMS_RSA_MAX_SIZE	512 /* bytes of a modulus */

/* What a JWK's "use", "alg" and "key_ops" leave allowed. */
#define HDMS_MAY_SIGN		0x01
#define HDMS_MAY_ENCRYPT	0x02

struct HdmsKey
{
	atomic_uint references;
	HdmsKeyType type;
	bool		is_private;
	unsigned int uses;
	EVP_PKEY   *pkey;
	char	   *public_jwk;		/* without white space, members in RFC 7638's order */
	char		thumbprint[HDMS_DIGEST_TEXT + 1];
};

/*
 * Wraps pkey, taking over the caller's reference on success.  The key has passed every check but those of "uses".
 * point is that of a P-256 key (65 bytes) where the caller has it, else NULL.
 */
extern HdmsStatus hdms_key_wrap(EVP_PKEY *pkey, HdmsKeyType type, bool is_private, unsigned int uses,
								const unsigned char *point, HdmsKey **key);

/* A P-256 key of a point (65 bytes) and, where not NULL, a scalar (32 bytes) that was checked to belong to it. */
extern HdmsStatus hdms_p256_pkey(const unsigned char *point, const unsigned char *scalar, EVP_PKEY **pkey);

/* The point of a scalar; HDMS_BAD_KEY unless it is from 1 to the order less 1. */
extern HdmsStatus hdms_p256_point(const unsigned char scalar[HDMS_P256_SIZE], unsigned char point[HDMS_P256_POINT]);

/* Whether a modulus and an exponent are ones that are accepted. */
extern bool hdms_rsa_is_acceptable(const BIGNUM *n, const BIGNUM *e);

/* Whether 32 bytes are a point of Ed25519 in canonical form, of the large order (RFC 8032, 5.1.3). */
extern bool hdms_ed25519_is_point(const unsigned char encoded[32]);

#endif
