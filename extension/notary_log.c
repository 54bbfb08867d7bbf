/*
 * notary_log.c
 *		This notary's log: what was promised to whom, in hdms_internal.log_entries, and the tree over it.
 */
#include "postgres.h"

#include "flow_inside.h"
#include "flow_plan.h"
#include "malloc_guard.h"
#include "merkle_log.h"
#include "node.h"
#include "notary_log.h"

static FlowPlan find_tag =
FLOW_PLAN("SELECT index, leaf, request_digest FROM hdms_internal.log_entries WHERE tag = $1", BYTEAOID);

static FlowPlan find_request =
FLOW_PLAN("SELECT index, leaf, request_digest FROM hdms_internal.log_entries WHERE request_digest = $1", BYTEAOID);

static FlowPlan insert_entry =
FLOW_PLAN("INSERT INTO hdms_internal.log_entries (index, leaf, tag, request_digest, request) VALUES ($1, $2, $3, $4, $5)",
		  INT8OID, BYTEAOID, BYTEAOID, BYTEAOID, TEXTOID);

static void
notary_origin(char origin[HDMS_ORIGIN_MAX])
{
	hdms_log_origin(own_node.id, origin);
}

static MerkleLog notary_log = {
	.name = "the notary's log",
	.consequence = "Nothing is notarised, so that no promise is broken.",
	.origin = notary_origin,
	MERKLE_LOG("log")
};

MerkleLog *
notary_log_tree(void)
{
	return &notary_log;
}

void
notary_log_forget(void)
{
	merkle_log_forget(&notary_log);
}

const char *
notary_log_damage(void)
{
	return merkle_log_damage(&notary_log);
}

static void
read_entry(uint64 row, LogEntry *entry)
{
	bytea	   *leaf = row_bytea(row, 2);
	bytea	   *request = row_bytea(row, 3);

	if (VARSIZE_ANY_EXHDR(leaf) != HDMS_LEAF_SIZE || VARSIZE_ANY_EXHDR(request) != HDMS_DIGEST_SIZE)
		merkle_log_report_damage(&notary_log, "an entry has the wrong length");
	entry->index = row_int64(row, 1);
	memcpy(entry->leaf, VARDATA_ANY(leaf), HDMS_LEAF_SIZE);
	memcpy(entry->request, VARDATA_ANY(request), HDMS_DIGEST_SIZE);
}

static bool
find_entry(FlowPlan *plan, const unsigned char *key, LogEntry *entry)
{
	bool		found = flow_run(plan, flow_bytes(key, HDMS_DIGEST_SIZE)) > 0;

	if (found)
		read_entry(0, entry);
	flow_rows_free();
	return found;
}

bool
notary_log_find_tag(const unsigned char tag[HDMS_DIGEST_SIZE], LogEntry *entry)
{
	return find_entry(&find_tag, tag, entry);
}

bool
notary_log_find_request(const unsigned char digest[HDMS_DIGEST_SIZE], LogEntry *entry)
{
	return find_entry(&find_request, digest, entry);
}

void
notary_log_append(const HdmsLeaf *leaf, const char *request, LogEntry *entry)
{
	entry->index = merkle_log_next_index(&notary_log);
	hdms_leaf_write(leaf, entry->leaf);
	memcpy(entry->request, leaf->request, HDMS_DIGEST_SIZE);
	flow_run(&insert_entry, flow_int64(entry->index), flow_bytes(entry->leaf, HDMS_LEAF_SIZE),
			 flow_bytes(leaf->tag, HDMS_DIGEST_SIZE), flow_bytes(leaf->request, HDMS_DIGEST_SIZE), flow_text(request));
	merkle_log_entry_added(&notary_log);
}

void
notary_log_sign(void)
{
	(void) merkle_log_sign(&notary_log);
}

bool
notary_log_is_signed(const LogEntry *entry)
{
	return entry->index < merkle_log_signed_size(&notary_log);
}

char *
notary_log_receipt(const LogEntry *entry)
{
	HdmsHash	proof[HDMS_MERKLE_MAX_PROOF];
	char	  **receipt = guard_text();
	HdmsLeaf	leaf;
	int			count = merkle_log_inclusion(&notary_log, entry->index, proof);

	flow_require(hdms_leaf_read(entry->leaf, HDMS_LEAF_SIZE, &leaf), "reading a leaf");
	flow_require(hdms_receipt_build(&leaf, entry->index, (const HdmsHash *) proof, count, merkle_log_note(&notary_log), receipt),
				 "making a receipt");
	return *receipt;
}
