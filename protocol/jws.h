/*
 * jws.h
 *		JSON Web Signature, compact serialisation (RFC 7515), as RFC 8725 advises.
 *
 * Algorithms: ES256, PS256, EdDSA; the header's "alg" must be the key's own.
 * "typ" is mandatory and must be the one the caller expects. "crit", "b64",
 * "jku", "x5u" and "zip" are refused.
 */
#ifndef HDMS_JWS_H
#define HDMS_JWS_H

#include "claims.h"
#include "json_scan.h"
#include "key.h"

/* The "typ" values, one for each purpose. */
#define HDMS_TYP_MESSAGE	"hdms-message+jwt"
#define HDMS_TYP_STATE		"hdms-state+sd-jwt"
#define HDMS_TYP_BINDING	"kb+jwt"
#define HDMS_TYP_COMMIT		"hdms-commit+jwt"
#define HDMS_TYP_NOTARISE	"hdms-notarise+jwt"
#define HDMS_TYP_REJECTION	"hdms-rejection+jwt"
#define HDMS_TYP_SKIP		"hdms-skip+jwt"
#define HDMS_TYP_TOMBSTONE	"hdms-tombstone+jwt"
#define HDMS_TYP_KEYS		"hdms-keys+jwt"
#define HDMS_TYP_ADMISSION	"hdms-admission+jwt"
#define HDMS_TYP_NOTARIES	"hdms-notaries+jwt"
#define HDMS_TYP_VOUCHER	"hdms-voucher+jwt"

/* Largest compact JWS that is accepted, bytes. */
#define HDMS_JWS_MAX	(1024 * 1024)

/*
 * Signs payload. The header is {"alg","typ","kid"} and, where header_jwk is true,
 * "jwk" with the public key (key histories: a revealed recovery key). *compact is malloc'ed.
 */
extern HdmsStatus hdms_jws_sign(const HdmsKey *key, const char *typ, bool header_jwk,
								const void *payload, size_t len, char **compact);

/* The same for claims. */
extern HdmsStatus hdms_jws_sign_claims(const HdmsKey *key, const char *typ, bool header_jwk,
									   const json_t *claims, char **compact);

/* What the protected header says, before anything was verified. Strings are owned by the struct. */
typedef struct HdmsJwsHeader
{
	char		alg[8];
	char		typ[40];
	char		kid[HDMS_DIGEST_TEXT + 1];	/* "" when there is none */
	HdmsKey    *jwk;			/* NULL when there is none */
} HdmsJwsHeader;

extern HdmsStatus hdms_jws_peek(const char *compact, size_t len, HdmsJwsHeader *header);
extern void hdms_jws_header_free(HdmsJwsHeader *header);

/* The payload without verifying anything: to find out whose key to verify with. */
extern HdmsStatus hdms_jws_peek_payload(const char *compact, size_t len, HdmsBytes *payload);

/*
 * Verifies and returns the payload. typ NULL accepts any (for foreign JWS on the
 * command line only, where "typ" may also be missing). A "kid" in the header that
 * is not the key's thumbprint is HDMS_UNKNOWN_KEY when typ is given, ignored otherwise.
 */
extern HdmsStatus hdms_jws_verify(const char *compact, size_t len, const HdmsKey *key, const char *typ, HdmsBytes *payload);

/* The same, parsed with hdms_claims_parse(). */
extern HdmsStatus hdms_jws_verify_claims(const char *compact, size_t len, const HdmsKey *key, const char *typ, json_t **claims);

#endif
