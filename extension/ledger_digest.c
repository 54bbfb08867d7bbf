/*
 * ledger_digest.c
 *		What this node's own log promises of rows: their digest, the same under every setting and after every dump.
 *
 * The canonical form is made of values, never of their text: how a timestamp is printed depends on settings,
 * and a verifier may have others than the worker. Each field has its length before it, so that no two
 * different rows have one form.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/uuid.h"

#include "flow_inside.h"
#include "ledger_digest.h"

#define DIGEST_LABEL	"hdms.v1/ledger"
#define EVIDENCE_LABEL	"hdms.v1/evidence"

const char *
ledger_kind_word(LedgerKind kind)
{
	return kind == LEDGER_EVENTS ? "events" : "audit";
}

static void
append_uint32(StringInfo form, uint32 number)
{
	uint32		bytes = pg_hton32(number);

	appendBinaryStringInfo(form, (const char *) &bytes, sizeof(bytes));
}

static void
append_field(StringInfo form, const void *bytes, Size len)
{
	append_uint32(form, (uint32) len);
	appendBinaryStringInfo(form, bytes, len);
}

static void
append_value(StringInfo form, Oid type, Datum value)
{
	switch (type)
	{
		case INT8OID:
		case TIMESTAMPTZOID:
			{
				uint64		bytes = pg_hton64((uint64) DatumGetInt64(value));

				append_field(form, &bytes, sizeof(bytes));
				break;
			}
		case UUIDOID:
			append_field(form, DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case TEXTOID:
		case BYTEAOID:
			{
				struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

				append_field(form, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
				break;
			}
		default:
			elog(ERROR, "a column of type %u cannot be logged", type);
	}
}

void
ledger_digest_rows(LedgerKind kind, const unsigned char salt[LEDGER_SALT_SIZE], const SPITupleTable *rows,
				   uint64 first, uint64 count, unsigned char digest[HDMS_DIGEST_SIZE])
{
	StringInfoData form;

	initStringInfo(&form);
	appendStringInfoString(&form, DIGEST_LABEL);
	appendStringInfoChar(&form, (char) kind);
	appendBinaryStringInfo(&form, (const char *) salt, LEDGER_SALT_SIZE);
	append_uint32(&form, (uint32) count);
	for (uint64 row = first; row < first + count; row++)
	{
		for (int column = 1; column <= rows->tupdesc->natts; column++)
		{
			bool		is_null;
			Datum		value = SPI_getbinval(rows->vals[row], rows->tupdesc, column, &is_null);

			if (is_null)
				append_uint32(&form, PG_UINT32_MAX);
			else
				append_value(&form, TupleDescAttr(rows->tupdesc, column - 1)->atttypid, value);
		}
	}
	flow_require(hdms_sha256(form.data, form.len, digest), "the digest of rows");
	pfree(form.data);
}

void
ledger_leaf_write(int64 time_ms, LedgerKind kind, const unsigned char digest[HDMS_DIGEST_SIZE],
				  unsigned char leaf[LEDGER_LEAF_SIZE])
{
	uint64		time = pg_hton64((uint64) time_ms);

	memcpy(leaf, &time, sizeof(time));
	leaf[sizeof(time)] = (unsigned char) kind;
	memcpy(leaf + sizeof(time) + 1, digest, HDMS_DIGEST_SIZE);
}

void
ledger_evidence_digest(const char *vk, const char *state, const char *acceptance, const char *request,
					   const char *receipt, unsigned char digest[HDMS_DIGEST_SIZE])
{
	const char *const parts[] = {state, acceptance, request, receipt};
	StringInfoData form;

	initStringInfo(&form);
	appendStringInfoString(&form, EVIDENCE_LABEL);
	appendStringInfoString(&form, vk != NULL ? vk : "");
	for (size_t i = 0; i < lengthof(parts); i++)
	{
		unsigned char part[HDMS_DIGEST_SIZE];

		flow_require(hdms_sha256(parts[i] != NULL ? parts[i] : "", parts[i] != NULL ? strlen(parts[i]) : 0, part),
					 "the digest of evidence");
		appendBinaryStringInfo(&form, (const char *) part, sizeof(part));
	}
	flow_require(hdms_sha256(form.data, form.len, digest), "the digest of evidence");
	pfree(form.data);
}
