/*
 * key.h
 *		Keys: JWK in and out, thumbprints, generation, derivation.
 *
 * A key is one of: EC P-256 (ES256, ECDH-ES), RSA of 2048 to 4096 bits (PS256,
 * RSA-OAEP-256) or Ed25519 (EdDSA, signed notes). It is immutable once made and
 * may be used by several threads at once. It wraps an EVP_PKEY, so a key that
 * lives in a PKCS#11 token enters through hdms_key_from_pkey().
 */
#ifndef HDMS_KEY_H
#define HDMS_KEY_H

#include <openssl/evp.h>

#include "bytes.h"

typedef enum HdmsKeyType
{
	HDMS_KEY_P256, HDMS_KEY_RSA, HDMS_KEY_ED25519
} HdmsKeyType;

typedef struct HdmsKey HdmsKey;

/* A fresh key. bits is for RSA only (2048, 3072, 4096), else 0. */
extern HdmsStatus hdms_key_generate(HdmsKeyType type, int bits, HdmsKey **key);

/*
 * The P-256 key number index of the family label under a 32-byte seed:
 * d = 1 + (HKDF-SHA256(seed, info = label || index as 4 bytes big endian, 48 bytes) mod (n - 1)).
 */
extern HdmsStatus hdms_key_derive(const unsigned char seed[32], const char *label, uint32_t index, HdmsKey **key);

/*
 * Parses one JWK (RFC 7517, RFC 7518, RFC 8037): public or private, point on the curve, private part
 * consistent with the public. Unknown members are ignored; "alg" and "use", where present, must fit the type.
 */
extern HdmsStatus hdms_key_from_jwk(const char *jwk, size_t len, HdmsKey **key);

/* Takes a reference to pkey. */
extern HdmsStatus hdms_key_from_pkey(EVP_PKEY *pkey, HdmsKey **key);

/* The JWK without white space, public members only unless with_private. malloc'ed; wipe it when private. */
extern HdmsStatus hdms_key_to_jwk(const HdmsKey *key, bool with_private, char **jwk);

/* A new handle on the same key, to be freed on its own. */
extern HdmsKey *hdms_key_share(const HdmsKey *key);

/* Safe on NULL. Private parts are wiped. */
extern void hdms_key_free(HdmsKey *key);

extern HdmsKeyType hdms_key_type(const HdmsKey *key);
extern bool hdms_key_is_private(const HdmsKey *key);

/* RFC 7638 SHA-256 thumbprint in base64url: 43 characters, owned by the key. */
extern const char *hdms_key_thumbprint(const HdmsKey *key);

/* The underlying key, borrowed. */
extern EVP_PKEY *hdms_key_pkey(const HdmsKey *key);

/* "ES256", "PS256" or "EdDSA". */
extern const char *hdms_key_signature_algorithm(const HdmsKey *key);

/*
 * Raw signature over data with the key's algorithm: ES256 as r || s (64 bytes), PS256, Ed25519 (64 bytes).
 * HDMS_BAD_KEY when the key is not private.
 */
extern HdmsStatus hdms_key_sign(const HdmsKey *key, const void *data, size_t len, HdmsBytes *signature);
extern HdmsStatus hdms_key_verify(const HdmsKey *key, const void *data, size_t len, const void *signature, size_t signature_len);

#endif
