/*
 * admission.h
 *		What the network key and institutions say about nodes: admissions, the list of notaries, vouchers.
 *
 * The network key is Ed25519; its thumbprint is the fingerprint that everyone has out of band.
 */
#ifndef HDMS_ADMISSION_H
#define HDMS_ADMISSION_H

#include "history.h"

/* hdms-admission+jwt by the network key: {iss, sub, iat, kind, name, notary, entry: SHA-256 of history entry 0}. */
typedef struct HdmsAdmission
{
	char		node[HDMS_DIGEST_TEXT + 1];
	char		name[HDMS_NAME_MAX + 1];
	bool		notary;
	int64_t		iat;
} HdmsAdmission;

extern HdmsStatus hdms_admission_sign(const HdmsKey *network, const HdmsHistory *institution, bool notary, int64_t now, char **jws);

/* HDMS_NOT_ADMITTED when it is not about that history's node. */
extern HdmsStatus hdms_admission_verify(const char *jws, size_t len, const HdmsKey *network, const HdmsHistory *institution,
										HdmsAdmission *admission);

/* One notary in the list. */
typedef struct HdmsNotary
{
	char		node[HDMS_DIGEST_TEXT + 1];
	char		name[HDMS_NAME_MAX + 1];
	HdmsKey    *log;			/* Ed25519 public */
} HdmsNotary;

/* hdms-notaries+jwt by the network key: {iss, iat, max_age, notaries: [{node, name, log}]}, sorted by node id. */
typedef struct HdmsNotaryList
{
	char		digest[HDMS_DIGEST_TEXT + 1];	/* SHA-256 of the JWS */
	char	   *jws;
	int64_t		iat;
	int64_t		max_age;		/* seconds: a leaf may be at most this much after iat */
	size_t		count;
	HdmsNotary *notaries;
} HdmsNotaryList;

/* notaries need not be sorted. */
extern HdmsStatus hdms_notaries_sign(const HdmsKey *network, const HdmsNotary *notaries, size_t count, int64_t max_age,
									 int64_t now, char **jws);
extern HdmsStatus hdms_notaries_parse(const char *jws, size_t len, const HdmsKey *network, HdmsNotaryList *list);
extern void hdms_notaries_free(HdmsNotaryList *list);
extern const HdmsNotary *hdms_notaries_find(const HdmsNotaryList *list, const char *node);

/*
 * hdms-voucher+jwt by an institution: {iss, iat, exp, jti} lets one unnamed person's node register;
 * with "sub" it is that node's membership, with which it may register again after the server lost its database.
 */
typedef struct HdmsVoucher
{
	char		iss[HDMS_DIGEST_TEXT + 1];
	char		sub[HDMS_DIGEST_TEXT + 1];	/* "" when unnamed */
	char		jti[37];
	int64_t		iat;
	int64_t		exp;
} HdmsVoucher;

extern HdmsStatus hdms_voucher_sign(const HdmsKey *signer, const HdmsVoucher *voucher, char **jws);

/* Without verifying: to find the issuer. */
extern HdmsStatus hdms_voucher_peek(const char *jws, size_t len, HdmsVoucher *voucher);

/* HDMS_EXPIRED, HDMS_UNKNOWN_KEY (not a current or former key at iat), ... */
extern HdmsStatus hdms_voucher_verify(const char *jws, size_t len, const HdmsHistory *institution, int64_t now, HdmsVoucher *voucher);

#endif
