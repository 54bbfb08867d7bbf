/*
 * bytes.h
 *		Byte strings, encodings, digests and random bytes.
 */
#ifndef HDMS_BYTES_H
#define HDMS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define HDMS_DIGEST_SIZE	32	/* SHA-256, bytes */
#define HDMS_DIGEST_TEXT	43	/* the same in base64url without padding, characters */

/* An owned byte string, malloc'ed. data is NUL-terminated one past len for convenience. */
typedef struct HdmsBytes
{
	unsigned char *data;
	size_t		len;
} HdmsBytes;

/* Frees and zeroes the struct. Safe on a zeroed struct. */
extern void hdms_bytes_free(HdmsBytes *bytes);

/* The same, wiping the contents first. */
extern void hdms_bytes_wipe(HdmsBytes *bytes);

/* Wipes a NUL-terminated malloc'ed string and frees it. Safe on NULL. */
extern void hdms_string_wipe(char *string);

/* base64url without padding (RFC 4648, 5). *text is malloc'ed and NUL-terminated. */
extern HdmsStatus hdms_base64url_encode(const void *data, size_t len, char **text);

/* The same into a caller's buffer of at least HDMS_BASE64URL_SIZE(len) characters (with NUL). */
#define HDMS_BASE64URL_SIZE(len)	((((len) * 4) + 2) / 3 + 1)
extern void hdms_base64url_write(const void *data, size_t len, char *out);

/* Strict: no padding, no white space, no non-canonical last character. HDMS_BAD_ENCODING otherwise. */
extern HdmsStatus hdms_base64url_decode(const char *text, size_t len, HdmsBytes *out);

/* Decodes into exactly out_len bytes; HDMS_BAD_ENCODING if the text encodes another number. */
extern HdmsStatus hdms_base64url_read(const char *text, size_t len, void *out, size_t out_len);

/* Standard base64 with padding (RFC 4648, 4), as C2SP notes use it. Strict in the same way. */
extern HdmsStatus hdms_base64_encode(const void *data, size_t len, char **text);
extern HdmsStatus hdms_base64_decode(const char *text, size_t len, HdmsBytes *out);

/* SHA-256. Never fails for memory: uses the one-shot EVP digest; HDMS_CRYPTO_FAILED if OpenSSL does. */
extern HdmsStatus hdms_sha256(const void *data, size_t len, unsigned char digest[HDMS_DIGEST_SIZE]);

/* SHA-256 over the concatenation of two byte strings; either may be empty. */
extern HdmsStatus hdms_sha256_pair(const void *a, size_t a_len, const void *b, size_t b_len,
								   unsigned char digest[HDMS_DIGEST_SIZE]);

/* SHA-256 as 43 characters of base64url and a NUL. */
extern HdmsStatus hdms_sha256_text(const void *data, size_t len, char text[HDMS_DIGEST_TEXT + 1]);

/* HMAC-SHA256 (RFC 2104). */
extern HdmsStatus hdms_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
								   unsigned char mac[HDMS_DIGEST_SIZE]);

/* HKDF-SHA256 (RFC 5869). salt may be NULL. */
extern HdmsStatus hdms_hkdf_sha256(const void *secret, size_t secret_len, const void *salt, size_t salt_len,
								   const void *info, size_t info_len, void *out, size_t out_len);

/* Constant-time comparison. */
extern bool hdms_equal(const void *a, const void *b, size_t len);

/* Cryptographically strong random bytes (RAND_bytes). */
extern HdmsStatus hdms_random(void *out, size_t len);

/* A new UUID version 7 (RFC 9562, 5.7) for the given time in milliseconds since 1970: 36 characters and a NUL. */
extern HdmsStatus hdms_uuid7(int64_t now_ms, char text[37]);

/* Whether the text is a lower-case UUID of 36 characters. */
extern bool hdms_is_uuid(const char *text, size_t len);

/* Whether the text is a node id or other SHA-256 in canonical base64url: 43 characters. */
extern bool hdms_is_digest_text(const char *text, size_t len);

/* Whether the bytes are well-formed UTF-8 (RFC 3629): no overlong forms, surrogates or values above U+10FFFF. */
extern bool hdms_is_utf8(const void *data, size_t len);

#endif
