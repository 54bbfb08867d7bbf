/*
 * jwe.h
 *		JSON Web Encryption, compact serialisation (RFC 7516).
 *
 * ECDH-ES+A256KW for P-256 keys, RSA-OAEP-256 for RSA keys, A256GCM always.
 * "zip", "crit", "apu" and "apv" are refused; the ephemeral point is checked
 * to be on the curve.
 */
#ifndef HDMS_JWE_H
#define HDMS_JWE_H

#include "key.h"

#define HDMS_TYP_ENVELOPE	"hdms-envelope+jwe"

/* Largest envelope, bytes of the compact form. */
#define HDMS_ENVELOPE_MAX	(1024 * 1024)

/* Seals plaintext to a public key. typ may be NULL: then no "typ" is written. "kid" is the recipient key's thumbprint. */
extern HdmsStatus hdms_jwe_seal(const HdmsKey *recipient, const char *typ, const void *plaintext, size_t len, char **compact);

/* Opens with a private key. typ NULL accepts any or none. All failures of decryption are HDMS_CANNOT_DECRYPT, in like time. */
extern HdmsStatus hdms_jwe_open(const char *compact, size_t len, const HdmsKey *key, const char *typ, HdmsBytes *plaintext);

/* The "kid" of the protected header: which of several keys it is sealed to. "" when there is none. */
extern HdmsStatus hdms_jwe_peek_kid(const char *compact, size_t len, char kid[HDMS_DIGEST_TEXT + 1]);

#endif
