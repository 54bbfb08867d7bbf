/*
 * fn_evidence.h
 *		A record with everything that its verification needs, as it lies in the tables.
 */
#ifndef HDMS_EXT_FN_EVIDENCE_H
#define HDMS_EXT_FN_EVIDENCE_H

#include "postgres.h"

#include "utils/uuid.h"

#include "fn_evidence_keys.h"

/* One version, as stored. Strings are NULL where the column is. */
typedef struct StoredVersion
{
	int64		id;
	int32		ordinal;
	char	   *status;
	bool		is_erased;
	bool		is_committed;	/* committed or superseded, also before it was erased: it belongs to the evidence */
	bool		is_late;		/* its evidence came when another first version had been committed: it stands alone */
	int32		version;		/* 0: not signed yet */
	char	   *vk;
	char	   *prev;
	char	   *notary;
	int64		leaf_ms;		/* 0: none */
	int64		issued_at;		/* seconds; 0: not yet */
	int64		ended_at;
	int64		accept_until;
	int64		accept_within;	/* seconds */
	char	   *reason;
	bool		has_digest;		/* false once erased */
	unsigned char digest[HDMS_DIGEST_SIZE];
	char	   *content;
	char	   *state;
	char	   *commit;			/* until it is inside the request */
	char	   *acceptance;
	char	   *request;
	char	   *receipt;
	char	   *rejection;
	char	   *tombstone;		/* of an erased version, the one that names it; of one that was never signed, any of the record */
} StoredVersion;

typedef struct RecordEvidence
{
	MemoryContext context;		/* what all of this lives in */
	char		record[37];
	char	   *patient_ref;
	char	   *type;
	char	   *replaces;			/* the record that it continues; "" mostly */
	bool		is_continued;		/* by another record, which is committed: then no version of this one is in force */
	int64		committed;		/* versions, as counted when they committed */
	char	   *holder;			/* node that the states are made out to; NULL: nothing was signed yet */
	bool		is_bound;		/* the patient was paired with that node */
	StoredVersion *versions;	/* by ordinal */
	int			version_count;
	HdmsStatus	network_status; /* why evidence.network is NULL */
	HdmsStatus	issuer_status;
	HdmsStatus	patient_status;

	/* Ready for hdms_evidence_verify(), as far as it could be had. */
	HdmsEvidence evidence;
} RecordEvidence;

/*
 * Reads a record with the keys and lists that it needs; SPI connected. NULL when there is no such record. Lives until
 * evidence_free() or the end of the current memory context; its keys only until the next call.
 */
extern RecordEvidence *evidence_load(EvidenceKeys *keys, const pg_uuid_t *record);
extern void evidence_free(RecordEvidence *loaded);

#endif
