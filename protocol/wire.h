/*
 * wire.h
 *		The JSON bodies of the server's HTTP interface that both sides of it read and write.
 *
 * docs/protocol.md, "The server's interface". Pure: bytes in, bytes out.
 */
#ifndef HDMS_WIRE_H
#define HDMS_WIRE_H

#include "claims.h"
#include "merkle.h"

/* An envelope on its way. Strings are owned by whoever filled the struct. */
typedef struct HdmsParcel
{
	char		to[HDMS_DIGEST_TEXT + 1];	/* receiver's node id; "" in a fetched mailbox */
	char		id[HDMS_DIGEST_TEXT + 1];	/* transport id */
	int64_t		ttl;			/* seconds; 0: the server's default */
	char	   *data;			/* compact JWE */
	size_t		len;
} HdmsParcel;

/* POST /v1/envelopes: {"envelopes": [{"to","id","ttl","data"}]} */
extern HdmsStatus hdms_wire_put_print(const HdmsParcel *parcels, size_t count, char **json);
extern HdmsStatus hdms_wire_put_parse(const char *json, size_t len, HdmsParcel **parcels, size_t *count);

/* Its answer: {"epoch", "results": [{"id","status"[,"detail"]}]}; status is 201, 200, 400 (that envelope or its id is at fault), 404, 413, 429 or 507. */
typedef struct HdmsPutResult
{
	char		id[HDMS_DIGEST_TEXT + 1];
	int			status;
} HdmsPutResult;

extern HdmsStatus hdms_wire_results_print(const char *epoch, const HdmsPutResult *results, size_t count, char **json);
extern HdmsStatus hdms_wire_results_parse(const char *json, size_t len, char epoch[64], HdmsPutResult **results, size_t *count);

/* GET /v1/mailbox: {"epoch", "envelopes": [{"id","data"}], "more": bool} */
extern HdmsStatus hdms_wire_mailbox_print(const char *epoch, const HdmsParcel *parcels, size_t count, bool more, char **json);
extern HdmsStatus hdms_wire_mailbox_parse(const char *json, size_t len, char epoch[64], HdmsParcel **parcels, size_t *count, bool *more);

/* POST /v1/mailbox/ack: {"ids": [...], "wait": seconds, "limit": n}; with "wait" (-1 here: without) the answer is a mailbox. limit 0: without. The caller frees each id and ids. */
extern HdmsStatus hdms_wire_ack_print(const char *const *ids, size_t count, int wait, int limit, char **json);
extern HdmsStatus hdms_wire_ack_parse(const char *json, size_t len, char ***ids, size_t *count, int *wait, int *limit);

/* POST /v1/nodes: {"history": [...], "voucher": JWS, "admission": JWS, "notaries": [JWS ...]}; absent ones are NULL. */
typedef struct HdmsRegistration
{
	char	   *history;		/* JSON array text */
	char	   *voucher;		/* or membership */
	char	   *admission;
	size_t		notaries_count;
	char	  **notaries;		/* lists that this node has: they come back to a server that lost them */
} HdmsRegistration;

extern HdmsStatus hdms_wire_registration_print(const HdmsRegistration *registration, char **json);
extern HdmsStatus hdms_wire_registration_parse(const char *json, size_t len, HdmsRegistration *registration);
extern void hdms_wire_registration_free(HdmsRegistration *registration);

/*
 * GET /v1/nodes/{id}: {"status": "pending"|"active"|"frozen", "history": [...], "admission": JWS or absent,
 * "log": {"index", "checkpoint", "proof": [hashes]} or absent}: where the newest entry of the history is in the directory's log
 */
typedef struct HdmsNodeEntry
{
	char		status[16];
	char	   *history;
	char	   *admission;
	char	   *checkpoint;		/* NULL: without "log" */
	int64_t		log_index;
	HdmsHash   *proof;
	int			proof_count;
} HdmsNodeEntry;

extern HdmsStatus hdms_wire_node_print(const HdmsNodeEntry *entry, char **json);
extern HdmsStatus hdms_wire_node_parse(const char *json, size_t len, HdmsNodeEntry *entry);
extern void hdms_wire_node_free(HdmsNodeEntry *entry);

/* GET /v1/network: {"network": JWK, "notaries": JWS of the newest list} */
extern HdmsStatus hdms_wire_network_print(const char *network_jwk, const char *notaries, char **json);
extern HdmsStatus hdms_wire_network_parse(const char *json, size_t len, char **network_jwk, char **notaries);

/* POST /v1/sessions: {"session": id, "secret": JWE of 32 bytes to the node's encryption key, "expires": seconds} */
typedef struct HdmsSession
{
	char		id[200];
	char	   *secret;			/* JWE, typ hdms-session+jwe */
	int64_t		expires;
} HdmsSession;

#define HDMS_TYP_SESSION	"hdms-session+jwe"

extern HdmsStatus hdms_wire_session_print(const HdmsSession *session, char **json);
extern HdmsStatus hdms_wire_session_parse(const char *json, size_t len, HdmsSession *session);

/* Problem details (RFC 9457): {"type": "urn:hdms:problem:WORD", "title", "status", "detail"[, "now"]}; now = the server's time in seconds. */
extern HdmsStatus hdms_wire_problem_print(const char *word, const char *title, int status, const char *detail, int64_t now, char **json);

/* The word and the detail of a problem; word "" when it is none. *detail is malloc'ed. *now 0 when absent. */
extern HdmsStatus hdms_wire_problem_parse(const char *json, size_t len, char word[48], char **detail, int64_t *now);

/* Frees parcels with their data. */
extern void hdms_parcels_free(HdmsParcel *parcels, size_t count);

#endif
