/*
 * state.h
 *		States: versions of records as SD-JWT (RFC 9901), their acceptance and presentation.
 *
 * Issuer-signed JWT (typ hdms-state+sd-jwt), claims:
 *   iss, sub (node ids), iat, record (UUID), version (1 ...), prev (vk of the version before, not in version 1),
 *   type, files (array of digests, only where there are any), replaces (UUID, only where it continues another record),
 *   seed (32 random bytes, version 1 only), cnf {"kid": sub}, _sd_alg "sha-256", content {"_sd": [sorted digests]}.
 * One disclosure for each top-level member of the content: base64url(JSON [salt, name, value]), 128-bit salts, the
 * value's bytes exactly as they were; their order is the order of the members.
 * The compact form is JWT "~" disclosure "~" ... disclosure "~", and with a key binding JWT after the last "~".
 * vk = SHA-256 of the JWT's bytes (the part before the first "~").
 */
#ifndef HDMS_STATE_H
#define HDMS_STATE_H

#include "history.h"

#define HDMS_CONTENT_MAX		(512 * 1024)	/* bytes of content that fit an envelope */
#define HDMS_CONTENT_MAX_MEMBERS 1024
#define HDMS_TYPE_MAX			120
#define HDMS_SEED_SIZE			32

typedef struct HdmsState
{
	char		iss[HDMS_DIGEST_TEXT + 1];
	char		sub[HDMS_DIGEST_TEXT + 1];
	char		record[37];
	int64_t		version;
	int64_t		iat;			/* seconds; proves nothing */
	char		prev[HDMS_DIGEST_TEXT + 1];		/* "" in version 1 */
	char		type[HDMS_TYPE_MAX + 1];
	char		replaces[37];	/* "" mostly */
	unsigned char seed[HDMS_SEED_SIZE];			/* zeroes after version 1 */
	char		vk[HDMS_DIGEST_TEXT + 1];		/* filled by build and parse */
} HdmsState;

/*
 * Whether bytes may become a record's content: a strict JSON object within the
 * limits, without reserved members. HDMS_BAD_JSON, HDMS_BAD_FORMAT (no object),
 * HDMS_TOO_LARGE, HDMS_RESERVED_MEMBER, HDMS_BAD_ENCODING.
 */
extern HdmsStatus hdms_content_check(const char *content, size_t len);

/* "fhir/R4/" || resourceType for FHIR content, else "json". Content was checked. */
extern HdmsStatus hdms_content_type(const char *content, size_t len, char type[HDMS_TYPE_MAX + 1]);

/*
 * Builds and signs a state. state: everything but vk and (version 1) seed, which are filled.
 * *sd_jwt is malloc'ed: JWT and all disclosures, ending in "~".
 */
extern HdmsStatus hdms_state_build(HdmsState *state, const char *content, size_t len, const HdmsKey *signer, char **sd_jwt);

/*
 * Parses the compact form and checks everything but the signature: claims, that the digests
 * and disclosures match one to one (all_disclosed: every digest has its disclosure; otherwise
 * some may be missing), no name twice, no reserved name. A key binding JWT at the end is an error.
 */
extern HdmsStatus hdms_state_parse(const char *sd_jwt, size_t len, bool all_disclosed, HdmsState *state);

/*
 * Verifies the issuer's signature with the issuer's key valid at time (seconds; 0: a current key).
 * Includes hdms_state_parse().
 */
extern HdmsStatus hdms_state_verify(const char *sd_jwt, size_t len, bool all_disclosed, const HdmsHistory *issuer,
									int64_t time, HdmsState *state);

/* The content again: "{" members "}" in the order of the disclosures, values byte for byte. malloc'ed. */
extern HdmsStatus hdms_state_content(const char *sd_jwt, size_t len, HdmsBytes *content);

/* The acceptance: a key binding JWT {iat, aud: issuer, nonce: vk, sd_hash, use: "accept"} by the holder's signing key. */
extern HdmsStatus hdms_acceptance_sign(const char *sd_jwt, size_t len, const HdmsKey *holder, int64_t now, char **acceptance);
extern HdmsStatus hdms_acceptance_verify(const char *acceptance, size_t len, const char *sd_jwt, size_t sd_jwt_len,
										 const HdmsHistory *holder, int64_t time);

/*
 * A presentation to somebody else: the disclosures of the named members (a NULL-terminated list; NULL = all) and a key
 * binding JWT {iat, aud, nonce, sd_hash, use: "present"}. *presentation is malloc'ed.
 */
extern HdmsStatus hdms_presentation_build(const char *sd_jwt, size_t len, const char *const *members, const char *aud,
										  const char *nonce, const HdmsKey *holder, int64_t now, char **presentation);

/* Verifies issuer's and holder's signatures, aud and nonce; gives the disclosed part of the content. */
extern HdmsStatus hdms_presentation_verify(const char *presentation, size_t len, const HdmsHistory *issuer,
										   const HdmsHistory *holder, const char *aud, const char *nonce, int64_t now,
										   HdmsState *state, HdmsBytes *content);

#endif
