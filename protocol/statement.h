/*
 * statement.h
 *		The small signed statements of the storing flow: commit, rejection, skip.
 */
#ifndef HDMS_STATEMENT_H
#define HDMS_STATEMENT_H

#include "admission.h"
#include "state.h"

/*
 * hdms-commit+jwt by the issuer: {iss, sub, iat, vk, tag, accept_until, notaries, vrf}.
 * tag = SHA-256("hdms-first" || seed) for version 1, SHA-256("hdms-next" || prev's 32 bytes) after.
 */
typedef struct HdmsCommit
{
	char		iss[HDMS_DIGEST_TEXT + 1];
	char		sub[HDMS_DIGEST_TEXT + 1];
	char		vk[HDMS_DIGEST_TEXT + 1];
	unsigned char tag[HDMS_DIGEST_SIZE];
	int64_t		iat;
	int64_t		accept_until;	/* seconds; the notary's clock decides */
	char		notaries[HDMS_DIGEST_TEXT + 1];	/* digest of the pinned list */
	char		vrf[HDMS_DIGEST_TEXT + 1];		/* thumbprint of the patient's VRF key */
} HdmsCommit;

extern HdmsStatus hdms_tag_first(const unsigned char seed[HDMS_SEED_SIZE], unsigned char tag[HDMS_DIGEST_SIZE]);
extern HdmsStatus hdms_tag_next(const char *prev_vk, unsigned char tag[HDMS_DIGEST_SIZE]);

/* The tag that belongs to a parsed state. */
extern HdmsStatus hdms_state_tag(const HdmsState *state, unsigned char tag[HDMS_DIGEST_SIZE]);

/* Fills iss, sub, vk and tag from the state; the caller sets iat, accept_until, notaries, vrf. */
extern HdmsStatus hdms_commit_for(const HdmsState *state, HdmsCommit *commit);
extern HdmsStatus hdms_commit_sign(const HdmsCommit *commit, const HdmsKey *issuer, char **jws);
extern HdmsStatus hdms_commit_peek(const char *jws, size_t len, HdmsCommit *commit);
extern HdmsStatus hdms_commit_verify(const char *jws, size_t len, const HdmsHistory *issuer, int64_t time, HdmsCommit *commit);

/* That a commit and a state belong together: iss, sub, vk and tag agree. HDMS_DIGEST_MISMATCH, HDMS_BAD_CHAIN. */
extern HdmsStatus hdms_commit_matches(const HdmsCommit *commit, const HdmsState *state);

#define HDMS_REASON_MAX 1000	/* bytes of UTF-8 */

/* hdms-rejection+jwt by the patient: {iss, aud, iat, vk, reason}. */
typedef struct HdmsRejection
{
	char		iss[HDMS_DIGEST_TEXT + 1];
	char		aud[HDMS_DIGEST_TEXT + 1];
	char		vk[HDMS_DIGEST_TEXT + 1];
	int64_t		iat;
	char		reason[HDMS_REASON_MAX + 1];
} HdmsRejection;

extern HdmsStatus hdms_rejection_sign(const HdmsRejection *rejection, const HdmsKey *patient, char **jws);
extern HdmsStatus hdms_rejection_verify(const char *jws, size_t len, const HdmsHistory *patient, int64_t time, HdmsRejection *rejection);

/* hdms-skip+jwt by the issuer, after its own probe of the notary failed: {iss, sub, iat, vk, notary}. */
typedef struct HdmsSkip
{
	char		iss[HDMS_DIGEST_TEXT + 1];
	char		sub[HDMS_DIGEST_TEXT + 1];
	char		vk[HDMS_DIGEST_TEXT + 1];
	char		notary[HDMS_DIGEST_TEXT + 1];
	int64_t		iat;
} HdmsSkip;

extern HdmsStatus hdms_skip_sign(const HdmsSkip *skip, const HdmsKey *issuer, char **jws);
extern HdmsStatus hdms_skip_peek(const char *jws, size_t len, HdmsSkip *skip);
extern HdmsStatus hdms_skip_verify(const char *jws, size_t len, const HdmsHistory *issuer, int64_t time, HdmsSkip *skip);

#endif
