/*
 * version.h
 *		Versions of records: the rows that say how far a flow is, and the signed texts that belong to them.
 */
#ifndef NODE_VERSION_H
#define NODE_VERSION_H

#include "home.h"
#include "state.h"

typedef enum VersionStatus
{
	VERSION_RECEIVED,			/* verified and stored */
	VERSION_ASKED,				/* waits for the person */
	VERSION_ACCEPTED,			/* acceptance and request are signed; the notary's key is being looked up */
	VERSION_NOTARISING,			/* the request is with the notary */
	VERSION_NOTARISED,			/* a verified receipt is here; the institution is being told */
	VERSION_FINAL,				/* the institution committed */
	VERSION_SUPERSEDED,			/* a later version is final */
	VERSION_REJECTED,			/* by the person */
	VERSION_EXPIRED,
	VERSION_WITHDRAWN,			/* by the institution */
	VERSION_FAILED,				/* the notary refused for good */
	VERSION_ERASED,				/* by the institution, and then here: the evidence and a tombstone are left */
	VERSION_STATUS_COUNT
} VersionStatus;

/*
 * The signed texts. Requests and skips are numbered from 0: with each skip a new request is made. The evidence is the acceptance, the request
 * and, once it is here, the receipt, each after a line feed: in one row, what they have in common is packed once. Rows that were written
 * before that was so have only the acceptance there, and the other two as PART_REQUEST(0) and PART_RECEIPT.
 */
#define PART_STATE			0
#define PART_COMMIT			1	/* until there is a request, which contains it */
#define PART_EVIDENCE		2
#define PART_RECEIPT		3
#define PART_REJECTION		4
#define PART_TOMBSTONE		5	/* the institution has erased its own copy */
#define PART_REQUEST(n)		(8 + (n))
#define PART_SKIP(n)		(36 + (n))
#define MAX_REQUESTS		28
#define PARTS_PER_VERSION	64

typedef struct Version
{
	int64_t		id;
	int64_t		pairing;
	char		record[37];
	int64_t		number;
	VersionStatus status;
	char		vk[HDMS_DIGEST_TEXT + 1];
	char		prev[HDMS_DIGEST_TEXT + 1];		/* "" in version 1 */
	char		notary[HDMS_DIGEST_TEXT + 1];	/* "" until drawn */
	int64_t		accept_until;	/* seconds */
	int64_t		received;		/* milliseconds */
	int64_t		next_try;		/* milliseconds; 0: no timer */
	char		last_error[64];
	char		message[37];	/* jti of the record message */
	char		answer[37];		/* jti of accepted or rejected; "" until then */
} Version;

extern const char *version_status_word(VersionStatus status);

/* A new row; fills id. summary: the sealed JSON of the catalogue. */
extern bool version_insert(HdmsHome *home, Version *version, const char *summary);

/* Writes what the signed texts say: record, number, prev, notary, accept_until and the summary. The catalogue is built anew. */
extern bool version_put_right(HdmsHome *home, const Version *version, const char *summary);

/* Writes status, notary, next_try, last_error and answer, and tells the catalogue. */
extern bool version_save(HdmsHome *home, const Version *version);

/* *found false when there is none. */
extern bool version_load(HdmsHome *home, int64_t id, Version *version, bool *found);
extern bool version_by_vk(HdmsHome *home, int64_t pairing, const char *vk, Version *version, bool *found);

/* The version of a record with that status, newest first; pairing 0: any. */
extern bool version_of_record(HdmsHome *home, int64_t pairing, const char *record, VersionStatus status, Version *version, bool *found);

/* Ids of versions whose timer has come, or (by notary) that wait for a notary's key; at most limit. */
extern bool versions_due(HdmsHome *home, int64_t now_ms, int64_t *ids, size_t limit, size_t *count);
extern bool versions_waiting_for(HdmsHome *home, const char *notary, int64_t *ids, size_t limit, size_t *count);

/* Milliseconds of the first timer; INT64_MAX when there is none. */
extern bool versions_next_timer(HdmsHome *home, int64_t *at);

/* text is packed and sealed. part_get gives an empty value when there is none. */
extern bool part_put(HdmsHome *home, int64_t version, int kind, const char *text);
extern bool part_get(HdmsHome *home, int64_t version, int kind, HdmsBytes *text);
extern bool part_remove(HdmsHome *home, int64_t version, int kind);

/* Acceptance, request and receipt of a version; NULL: not there. They last until evidence_free(). */
typedef struct Evidence
{
	const char *acceptance;
	const char *request;
	const char *receipt;
	HdmsBytes	texts[3];
} Evidence;

extern bool evidence_get(HdmsHome *home, int64_t version, Evidence *evidence);
extern void evidence_free(Evidence *evidence);

/* With the receipt (NULL until there is one) commit, skips and all other requests are removed: the evidence contains what counts of them. */
extern bool evidence_put(HdmsHome *home, int64_t version, const char *acceptance, const char *request, const char *receipt);

/* How many requests were made; the newest is number count - 1. Number 0 is in the evidence. */
extern bool request_count(HdmsHome *home, int64_t version, int *count);

#endif
