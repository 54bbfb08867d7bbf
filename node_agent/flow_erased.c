/*
 * flow_erased.c
 *		The institution has erased a record: the person's copy is the person's, and what becomes of it is theirs to say.
 *
 * The tombstone is kept beside every version that it names. Unless the person's rule for that institution says that erasures are followed, the
 * copy stays as it is. What waited for a decision or a notary ends: nobody at the other end would commit it any more.
 */
#include "flow_erased.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "tombstone.h"

/* The type alone stays in the list. */
static bool
forget_summary(HdmsHome *home, const Version *version)
{
	sqlite3_stmt *statement;
	size_t		count;
	const CatalogueEntry *entries = catalogue_entries(home, &count);
	const char *type = "json";
	json_t	   *summary;
	char	   *text;
	bool		good;

	for (size_t i = 0; i < count; i++)
		if (entries[i].id == version->id)
			type = catalogue_type(home, &entries[i]);
	summary = json_pack("{s:s, s:s, s:s}", "t", type, "d", "", "l", "");
	text = summary ? json_dumps(summary, JSON_COMPACT) : NULL;
	json_decref(summary);
	if (text == NULL)
		return store_fail(home->store, "out of memory");
	statement = store_statement(home->store, "UPDATE version SET sealed = ?2 WHERE id = ?1");
	good = store_bind_sealed(home->store, statement, 2, "version", version->id, text, strlen(text), false);
	free(text);
	if (!good)
		return false;
	sqlite3_bind_int64(statement, 1, version->id);
	return store_run(home->store, statement);
}

/* Content, salts and what led to the evidence go; the evidence and the tombstone stay. */
static bool
forget_parts(HdmsHome *home, const Version *version)
{
	sqlite3_stmt *statement = store_statement(home->store, "DELETE FROM part WHERE id >= ?1 AND id < ?2 AND id NOT IN (?3, ?4, ?5, ?6)");
	int64_t		first = version->id * PARTS_PER_VERSION;

	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, first);
	sqlite3_bind_int64(statement, 2, first + PARTS_PER_VERSION);
	sqlite3_bind_int64(statement, 3, first + PART_EVIDENCE);
	sqlite3_bind_int64(statement, 4, first + PART_RECEIPT);
	sqlite3_bind_int64(statement, 5, first + PART_REQUEST(0));
	sqlite3_bind_int64(statement, 6, first + PART_TOMBSTONE);
	return store_run(home->store, statement);
}

static bool
erase_copy(HdmsHome *home, Version *version)
{
	if (version->status == VERSION_ERASED)
		return true;
	if (!forget_summary(home, version) || !forget_parts(home, version) || !outbox_forget(home, version->id, OUT_TYPE_COUNT))
		return false;
	version->status = VERSION_ERASED;
	version->next_try = 0;
	version->last_error[0] = '\0';
	if (!version_save(home, version))
		return false;
	catalogue_doubt(home);
	return true;
}

bool
copies_erase(Pairing *pairing, const char *tombstone_text)
{
	HdmsTombstone tombstone;

	if (hdms_tombstone_peek(tombstone_text, strlen(tombstone_text), &tombstone) != HDMS_OK)
		return store_fail(pairing->home->store, "a tombstone cannot be read");
	for (size_t i = 0; i < tombstone.vk_count; i++)
	{
		Version		version;
		bool		found;

		if (!version_by_vk(pairing->home, pairing->id, tombstone.vks[i], &version, &found) ||
			(found && strcmp(version.record, tombstone.record) == 0 && !erase_copy(pairing->home, &version)))
			return false;
	}
	return true;
}

bool
erasure_tell(Pairing *pairing, const char *tombstone_text, bool is_kept, const char *re)
{
	HdmsTombstone tombstone;
	HdmsBody	body = {.code = (char *) (is_kept ? "kept" : "erased")};
	Peer	   *institution;
	char		jti[37] = "";

	if (hdms_tombstone_peek(tombstone_text, strlen(tombstone_text), &tombstone) != HDMS_OK || tombstone.vk_count == 0)
		return store_fail(pairing->home->store, "a tombstone cannot be read");
	body.vk = tombstone.vks[0];
	if (!peer_find(pairing->home, pairing->peer, &institution))
		return false;
	if (institution == NULL)
		return store_fail(pairing->home->store, "the institution's key is not known");
	return outbox_add(pairing, institution, OUT_ERASURE, re, 0, &body, jti);
}

/* Ends what is under way of a version, and keeps the tombstone with it. */
static bool
note_tombstone(Arrival *arrival, Version *version)
{
	HdmsHome   *home = arrival->home;

	if (!part_put(home, version->id, PART_TOMBSTONE, arrival->body.tombstone) || !outbox_forget(home, version->id, OUT_TYPE_COUNT))
		return false;
	if (version->status >= VERSION_NOTARISED)
		return true;
	version->status = VERSION_WITHDRAWN;
	version->next_try = 0;
	return version_save(home, version);
}

static HdmsStatus
tombstone_verify(const Arrival *arrival, HdmsTombstone *tombstone)
{
	HdmsStatus	status = hdms_tombstone_verify(arrival->body.tombstone, strlen(arrival->body.tombstone), arrival->sender->history, 0, tombstone);

	if (status != HDMS_OK)
		return status;
	if (strcmp(tombstone->iss, arrival->pairing->peer) != 0)
		return HDMS_WRONG_SENDER;
	if (strcmp(tombstone->sub, arrival->pairing->node) != 0)
		return HDMS_WRONG_RECEIVER;
	if (tombstone->vk_count == 0 || strcmp(tombstone->vks[0], arrival->body.vk) != 0)
		return HDMS_DIGEST_MISMATCH;
	return HDMS_OK;
}

Outcome
flow_erased(Arrival *arrival)
{
	Pairing    *pairing = arrival->pairing;
	HdmsTombstone tombstone;
	HdmsStatus	status = tombstone_verify(arrival, &tombstone);
	bool		is_kept = false;
	bool		is_news = false;

	if (status != HDMS_OK)
		return outcome_of(arrival, status);
	for (size_t i = 0; i < tombstone.vk_count; i++)
	{
		Version		version;
		HdmsBytes	before = {0};
		bool		found;

		if (!version_by_vk(arrival->home, pairing->id, tombstone.vks[i], &version, &found))
			return OUTCOME_FAILED;
		if (!found || strcmp(version.record, tombstone.record) != 0)
			continue;
		if (!part_get(arrival->home, version.id, PART_TOMBSTONE, &before))
			return OUTCOME_FAILED;
		is_news = is_news || before.data == NULL;
		hdms_bytes_free(&before);
		if (!note_tombstone(arrival, &version))
			return OUTCOME_FAILED;
		is_kept = is_kept || version.status != VERSION_ERASED;
	}
	if (is_kept && pairing->follows_erasures)
	{
		if (!copies_erase(pairing, arrival->body.tombstone))
			return OUTCOME_FAILED;
		is_kept = false;
	}
	if (is_news && !notice_add(arrival->home, "erased", is_kept ? "%s has erased record %s; your own copy is kept" :
							   "%s has erased record %s, and your own copy has been erased", pairing->name ? pairing->name : pairing->peer,
							   tombstone.record))
		return OUTCOME_FAILED;
	return erasure_tell(pairing, arrival->body.tombstone, is_kept, arrival->message.head.jti) ? OUTCOME_DONE : OUTCOME_FAILED;
}
