/*
 * ledger_digest.h
 *		What this node's own log promises of rows: their digest, the same under every setting and after every dump.
 */
#ifndef HDMS_EXT_LEDGER_DIGEST_H
#define HDMS_EXT_LEDGER_DIGEST_H

#include "postgres.h"

#include "executor/spi.h"

#include "bytes.h"

#define LEDGER_SALT_SIZE	16
#define LEDGER_LEAF_SIZE	41	/* time (8 bytes), kind (1), digest (32) */
#define LEDGER_ENTRY_ROWS	64	/* at most, in one entry */

/* As in the leaf. */
typedef enum LedgerKind
{
	LEDGER_EVENTS = 1,
	LEDGER_AUDIT = 2
} LedgerKind;

/* What is digested of a row, in this order. The first is its id, a bigint. */
#define LEDGER_EVENT_COLUMNS "id, at, kind, record, version_id, patient_ref, source_id, status, reason, node_id, evidence"
#define LEDGER_AUDIT_COLUMNS "id, at, login, role, actor, action, record, version_id, patient_ref, purpose"

/* "events" or "audit": the table's name, and the column ledger_entries.kind. */
extern const char *ledger_kind_word(LedgerKind kind);

/*
 * The digest of count rows of a result from row number first on, which has the columns above. SHA-256 over "hdms.v1/ledger", the
 * kind (1 byte), the salt, the count (4 bytes), and for each column of each row its length (4 bytes, all ones for null) and its
 * bytes: text as UTF-8, uuid 16 bytes, bigint 8 bytes, timestamps microseconds since 2000-01-01 UTC in 8 bytes. Numbers are big-endian.
 */
extern void ledger_digest_rows(LedgerKind kind, const unsigned char salt[LEDGER_SALT_SIZE], const SPITupleTable *rows,
							   uint64 first, uint64 count, unsigned char digest[HDMS_DIGEST_SIZE]);

extern void ledger_leaf_write(int64 time_ms, LedgerKind kind, const unsigned char digest[HDMS_DIGEST_SIZE],
							  unsigned char leaf[LEDGER_LEAF_SIZE]);

/*
 * What an event says of the bytes of a version that committed: SHA-256 over "hdms.v1/evidence", vk (text), and the SHA-256 of state,
 * acceptance, request and receipt. Any of them may be NULL: then it has no bytes.
 */
extern void ledger_evidence_digest(const char *vk, const char *state, const char *acceptance, const char *request,
								   const char *receipt, unsigned char digest[HDMS_DIGEST_SIZE]);

#endif
