/*
 * history_inside.h
 *		What a key history is made of, for the files that make, verify and read it.  Internal to protocol/.
 */
#ifndef HDMS_HISTORY_INSIDE_H
#define HDMS_HISTORY_INSIDE_H

#include "history.h"

#define HDMS_HISTORY_ENTRY_MAX	(16 * 1024)		/* bytes of one JWS */

typedef struct HdmsHistoryEntry
{
	char	   *jws;
	size_t		signed_len;		/* header and payload with the dot between: all but the signature */
	int64_t		iat;
	HdmsKey    *keys[HDMS_ROLE_COUNT];	/* NULL where the kind of node has no such role */
	char		recovery[HDMS_DIGEST_TEXT + 1];
} HdmsHistoryEntry;

typedef struct HdmsRevocation
{
	char		kid[HDMS_DIGEST_TEXT + 1];
	int64_t		since;
} HdmsRevocation;

struct HdmsHistory
{
	HdmsNodeKind kind;
	char		node[HDMS_DIGEST_TEXT + 1];
	char		name[HDMS_NAME_MAX + 1];	/* "" for persons */
	int			length;
	HdmsHistoryEntry *entries;
	int			revocation_count;
	HdmsRevocation *revocations;
	char	   *json;
};

/* The members of the claim "keys", by role. */
extern const char *const hdms_role_names[HDMS_ROLE_COUNT];

/* The claim "kind". */
extern const char *hdms_kind_name(HdmsNodeKind kind);

/* Whether a node of that kind has a key in that role. */
extern bool hdms_kind_has_role(HdmsNodeKind kind, HdmsRole role);

/* Whether a key of that type may serve in that role. */
extern bool hdms_role_takes(HdmsRole role, HdmsKeyType type);

extern void hdms_history_entry_free(HdmsHistoryEntry *entry);

/* JWS as a JSON array of strings without white space, malloc'ed. They hold no character that JSON escapes. */
extern HdmsStatus hdms_history_join(const char *const *entries, int count, char **json);

#endif
