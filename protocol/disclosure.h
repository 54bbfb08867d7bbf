/*
 * disclosure.h
 *		The compact form of an SD-JWT taken apart, and its disclosures (RFC 9901, 4 and 7.1).
 *
 * Private to protocol/. Everything points into the text that was taken apart or is
 * owned by the struct.
 */
#ifndef HDMS_DISCLOSURE_H
#define HDMS_DISCLOSURE_H

#include "claims.h"
#include "json_scan.h"

/* Largest compact form that is accepted, bytes. */
#define HDMS_SD_JWT_MAX		(1024 * 1024)

#define HDMS_SALT_SIZE		16	/* bytes of ours */
#define HDMS_SALT_MIN_TEXT	22	/* characters of anybody's: 128 bits in base64url */

typedef struct HdmsDisclosure
{
	HdmsSpan	text;			/* base64url, as it stands in the compact form */
	HdmsBytes	json;			/* the decoded array */
	HdmsSpan	name;			/* within json, with its quotes */
	HdmsSpan	value;			/* within json */
	HdmsBytes	plain_name;		/* unescaped */
	char		digest[HDMS_DIGEST_TEXT + 1];
} HdmsDisclosure;

typedef struct HdmsSdJwt
{
	HdmsSpan	jwt;			/* before the first "~" */
	HdmsSpan	covered;		/* up to and including the last "~": what sd_hash is over */
	HdmsSpan	binding;		/* after the last "~"; len 0 when there is none */
	size_t		count;
	HdmsDisclosure *disclosures;
} HdmsSdJwt;

/*
 * Takes the compact form apart and checks each disclosure for itself: canonical base64url, a strict array of
 * salt, name and value, no reserved name at any depth, no name twice. HDMS_BAD_FORMAT, HDMS_BAD_ENCODING,
 * HDMS_BAD_JSON, HDMS_RESERVED_MEMBER, HDMS_TOO_LARGE.
 */
extern HdmsStatus hdms_sd_jwt_split(const char *text, size_t len, HdmsSdJwt *parts);
extern void hdms_sd_jwt_free(HdmsSdJwt *parts);

/*
 * That the array is a strictly ascending list of digests and each disclosure's is in it, once; with
 * all_disclosed also that each digest has its disclosure. HDMS_BAD_CLAIM, HDMS_DIGEST_MISMATCH.
 */
extern HdmsStatus hdms_sd_jwt_match(const HdmsSdJwt *parts, const json_t *digests, bool all_disclosed);

/* "{" the disclosed members in their order "}", names and values byte for byte. */
extern HdmsStatus hdms_sd_jwt_content(const HdmsSdJwt *parts, HdmsBytes *content);

/* A new disclosure of a member: its text (malloc'ed) and its digest. */
extern HdmsStatus hdms_disclosure_make(const unsigned char salt[HDMS_SALT_SIZE], HdmsSpan name, HdmsSpan value,
									   char **text, char digest[HDMS_DIGEST_TEXT + 1]);

/* For qsort() and bsearch() over arrays of pointers to digests. */
extern int	hdms_digest_compare(const void *a, const void *b);

#endif
