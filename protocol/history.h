/*
 * history.h
 *		Key histories: what keys a node had, when, and that nobody else could have changed them.
 *
 * A history is a JSON array of JWS (typ hdms-keys+jwt), oldest first. Entry 0 is
 * signed by the signing key it introduces; the node id is that key's thumbprint.
 * Each later entry names the SHA-256 of the one before, and is signed by the
 * previous signing key, or by the recovery key that was committed to (then in the
 * header's "jwk"), which must commit to another one. Claims of an entry:
 *
 *   iss       node id             seq       0, 1, 2 ...
 *   iat       seconds             prev      SHA-256 of the previous JWS (not in entry 0)
 *   kind      "institution" or "person"   (entry 0)
 *   name      display name        (entry 0 of institutions)
 *   keys      {"sig": JWK, "enc": JWK, "vrf": JWK (persons), "log": JWK, "cosigner": JWK (institutions)}
 *   recovery  thumbprint of the recovery public key
 *   revoked   {kid: seconds}      (optional) signatures of these keys count only before that time
 *
 * The iat must not decrease. A vrf key never changes.
 *
 * A revocation must not become a way to disown what one signed: so its time lies at most
 * HDMS_REVOCATION_REACH before its entry's iat. What a notary witnessed before the revocation's time stays
 * valid for ever; what was witnessed at or after it never counts, whoever has the key.
 */
#ifndef HDMS_HISTORY_H
#define HDMS_HISTORY_H

#include "jws.h"

typedef enum HdmsNodeKind
{
	HDMS_INSTITUTION, HDMS_PERSON
} HdmsNodeKind;

typedef enum HdmsRole
{
	HDMS_ROLE_SIGN, HDMS_ROLE_ENCRYPT, HDMS_ROLE_VRF, HDMS_ROLE_LOG, HDMS_ROLE_COSIGNER, HDMS_ROLE_COUNT
} HdmsRole;

#define HDMS_HISTORY_MAX_ENTRIES 256
#define HDMS_NAME_MAX			 200	/* bytes of UTF-8 */
#define HDMS_REVOCATION_REACH	 (INT64_C(7) * 86400)	/* seconds that a revocation reaches back from its entry */
#define HDMS_REPLACED_KEY_LIFE	 (INT64_C(30) * 86400)	/* seconds that messages made before a key was replaced may take */

typedef struct HdmsHistory HdmsHistory;

/* The keys that an entry introduces; unused roles are NULL. Borrowed. */
typedef struct HdmsNodeKeys
{
	const HdmsKey *role[HDMS_ROLE_COUNT];
	const HdmsKey *recovery;	/* public key whose thumbprint is committed to */
} HdmsNodeKeys;

/* A new node's history: one entry. keys->role[SIGN] must be private. name for institutions, else NULL. *json is malloc'ed. */
extern HdmsStatus hdms_history_create(HdmsNodeKind kind, const char *name, const HdmsNodeKeys *keys, int64_t now, char **json);

/*
 * The history with one entry more, signed by signer: the current signing key (private),
 * or the recovery key. revoked_kid may be NULL; revoked_since in seconds.
 */
extern HdmsStatus hdms_history_extend(const HdmsHistory *history, const HdmsNodeKeys *keys, const HdmsKey *signer,
									  const char *revoked_kid, int64_t revoked_since, int64_t now, char **json);

/* Parses and verifies the whole chain. HDMS_BAD_CHAIN, HDMS_BAD_SIGNATURE, HDMS_BAD_KEY, ... */
extern HdmsStatus hdms_history_parse(const char *json, size_t len, HdmsHistory **history);
extern void hdms_history_free(HdmsHistory *history);

extern const char *hdms_history_node_id(const HdmsHistory *history);
extern HdmsNodeKind hdms_history_kind(const HdmsHistory *history);
extern const char *hdms_history_name(const HdmsHistory *history);		/* "" for persons */
extern int	hdms_history_length(const HdmsHistory *history);
extern const char *hdms_history_json(const HdmsHistory *history);		/* as parsed */
extern const char *hdms_history_entry(const HdmsHistory *history, int seq); /* the JWS */
extern const char *hdms_history_recovery(const HdmsHistory *history);	/* committed thumbprint */

/* The newest key of a role, borrowed; NULL when the node has none. */
extern const HdmsKey *hdms_history_current(const HdmsHistory *history, HdmsRole role);

/* The key that entry seq names for a role, borrowed; NULL when there is none. */
extern const HdmsKey *hdms_history_key(const HdmsHistory *history, int seq, HdmsRole role);

/*
 * The key with that thumbprint, in that role, if signatures made at time (seconds) count:
 * not before its entry (less HDMS_CLOCK_SKEW), not after its successor's entry (plus
 * HDMS_CLOCK_SKEW), not after a revocation. time 0 asks for the current key only. NULL otherwise.
 */
extern const HdmsKey *hdms_history_find(const HdmsHistory *history, HdmsRole role, const char *kid, int64_t time);

/*
 * The signing key with that thumbprint, if it may have made a message that says it is from time iat and arrived at time received
 * (seconds). A message's own time proves nothing, unlike a notary's leaf: so beyond hdms_history_find() a revoked
 * key makes no message at all, and a replaced one none that arrives later than HDMS_REPLACED_KEY_LIFE after its successor's entry.
 */
extern const HdmsKey *hdms_history_sender(const HdmsHistory *history, const char *kid, int64_t iat, int64_t received);

/* Any key that ever was in that role: for decryption and for audit. NULL otherwise. */
extern const HdmsKey *hdms_history_find_ever(const HdmsHistory *history, HdmsRole role, const char *kid);

/*
 * How two histories of one node stand to each other: 0 equal, -1 the second is longer and
 * continues the first, 1 the other way round, 2 they fork or belong to different nodes.
 */
extern int	hdms_history_compare(const HdmsHistory *first, const HdmsHistory *second);

#endif
