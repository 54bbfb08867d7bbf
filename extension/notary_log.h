/*
 * notary_log.h
 *		This notary's log: what was promised to whom, in hdms_internal.log_entries. Worker only, SPI connected.
 *
 * An entry is written with the message that asked for it; merkle_log.h has the tree.
 */
#ifndef HDMS_EXT_NOTARY_LOG_H
#define HDMS_EXT_NOTARY_LOG_H

#include "postgres.h"

#include "merkle_log.h"
#include "receipt.h"

/* An entry as found. */
typedef struct LogEntry
{
	int64		index;
	unsigned char leaf[HDMS_LEAF_SIZE];
	unsigned char request[HDMS_DIGEST_SIZE];	/* SHA-256 of the request */
} LogEntry;

/*
 * What is wrong with the stored log, NULL when it is sound. The other functions raise an ERROR where it is not.
 */
extern const char *notary_log_damage(void);

/* By tag, or by the request's digest. False when there is none. */
extern bool notary_log_find_tag(const unsigned char tag[HDMS_DIGEST_SIZE], LogEntry *entry);
extern bool notary_log_find_request(const unsigned char digest[HDMS_DIGEST_SIZE], LogEntry *entry);

/* Writes the next entry. The tag must not be in the log. */
extern void notary_log_append(const HdmsLeaf *leaf, const char *request, LogEntry *entry);

/*
 * Brings the tiles up to the entries, signs a checkpoint over all of them and stores it, unless the newest
 * covers them all.
 */
extern void notary_log_sign(void);

/* Whether the newest checkpoint covers an entry. */
extern bool notary_log_is_signed(const LogEntry *entry);

/* A receipt for an entry against the newest checkpoint, which must cover it. Guarded by the current memory context. */
extern char *notary_log_receipt(const LogEntry *entry);

/* The tree, for publishing it and for witnesses. */
extern MerkleLog *notary_log_tree(void);

/* Forgets what is kept in memory. */
extern void notary_log_forget(void);

#endif
