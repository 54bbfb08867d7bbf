/*
 * tombstone.h
 *		What stays of an erased record: the institution's signed statement that it erased these versions, and when.
 *
 * hdms-tombstone+jwt by the issuer: {iss, sub, iat, record, vks, reason}. It says nothing of the content, and of the reason
 * only by whose right the record was erased: a person's words about why can tell as much as the record did.
 */
#ifndef HDMS_TOMBSTONE_H
#define HDMS_TOMBSTONE_H

#include "history.h"

#define HDMS_TOMBSTONE_VKS		256		/* a longer record has several */
#define HDMS_TOMBSTONE_REASON	40		/* bytes: a word of a-z, 0-9, '-' */

#define HDMS_ERASED_RETENTION_OVER	"retention-over"	/* nobody was obliged to keep it any longer */
#define HDMS_ERASED_BEFORE_END		"before-end"		/* earlier, by somebody with the right to decide that */

typedef struct HdmsTombstone
{
	char		iss[HDMS_DIGEST_TEXT + 1];
	char		sub[HDMS_DIGEST_TEXT + 1];	/* the node that the versions were made out to */
	int64_t		iat;
	char		record[37];
	size_t		vk_count;		/* 0: nothing had been signed */
	char		vks[HDMS_TOMBSTONE_VKS][HDMS_DIGEST_TEXT + 1];
	char		reason[HDMS_TOMBSTONE_REASON + 1];
} HdmsTombstone;

extern HdmsStatus hdms_tombstone_sign(const HdmsTombstone *tombstone, const HdmsKey *issuer, char **jws);
extern HdmsStatus hdms_tombstone_peek(const char *jws, size_t len, HdmsTombstone *tombstone);

/* With a signing key of the issuer that was valid at time (seconds); time 0: at the statement's own iat. */
extern HdmsStatus hdms_tombstone_verify(const char *jws, size_t len, const HdmsHistory *issuer, int64_t time, HdmsTombstone *tombstone);

/* Whether the version with that verification key is among the erased. */
extern bool hdms_tombstone_names(const HdmsTombstone *tombstone, const char *vk);

#endif
