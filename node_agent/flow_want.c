/*
 * flow_want.c
 *		The institution asks for copies of what it issued: after it found its own damaged, or lost them.
 *
 * It gets back only what it signed itself, for this very node: the versions of its own pairing. Nothing is changed by an answer, so the
 * same question again is simply answered again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"

#define ANSWER_BYTES	(512 * 1024)
#define ANSWER_COPIES	512

/* More than this would not fit into an envelope, whose plaintext is a third shorter than it. */
#define COPY_BYTES		(HDMS_ENVELOPE_MAX / 4 * 3 - 8192)

/* The answer as it grows. Strings are malloc'ed, as of a parsed body. */
typedef struct CopyList
{
	HdmsBody	body;
	size_t		bytes;
	bool		is_full;
} CopyList;

static void
copy_free(HdmsCopy *copy)
{
	hdms_string_wipe(copy->state);
	free(copy->commit);
	free(copy->acceptance);
	free(copy->request);
	free(copy->receipt);
	memset(copy, 0, sizeof(*copy));
}

static size_t
copy_size(const HdmsCopy *copy)
{
	return strlen(copy->state) + (copy->commit ? strlen(copy->commit) : 0) + (copy->acceptance ? strlen(copy->acceptance) : 0) +
		(copy->request ? strlen(copy->request) : 0) + (copy->receipt ? strlen(copy->receipt) : 0) + 128;
}

static char *
text_copy(const char *text, bool *good)
{
	char	   *copy = text ? strdup(text) : NULL;

	*good = *good && (text == NULL || copy != NULL);
	return copy;
}

/*
 * What is stored of a version: its state, and the evidence or, before there is any, the commit. *held false: nothing that is of use, be it
 * that it cannot be decrypted any more. False: memory is short.
 */
static bool
copy_read(HdmsHome *home, int64_t version, HdmsCopy *copy, bool *held)
{
	HdmsBytes	state = {0};
	HdmsBytes	commit = {0};
	Evidence	evidence = {0};
	bool		good = true;

	memset(copy, 0, sizeof(*copy));
	*held = part_get(home, version, PART_STATE, &state) && state.data != NULL && evidence_get(home, version, &evidence) &&
		part_get(home, version, PART_COMMIT, &commit) &&
		((evidence.acceptance != NULL && evidence.request != NULL && evidence.receipt != NULL) || commit.data != NULL);
	if (*held)
	{
		copy->state = text_copy((const char *) state.data, &good);
		copy->commit = text_copy((const char *) commit.data, &good);
		copy->acceptance = text_copy(evidence.acceptance, &good);
		copy->request = text_copy(evidence.request, &good);
		copy->receipt = text_copy(evidence.receipt, &good);
		if (good && copy_size(copy) > COPY_BYTES)
			*held = false;
	}
	if (!good || !*held)
		copy_free(copy);
	hdms_bytes_wipe(&state);
	hdms_bytes_free(&commit);
	evidence_free(&evidence);
	return good;
}

/* Takes a copy over, or finds the answer full. The first one always fits. */
static void
list_add(CopyList *list, HdmsCopy *copy)
{
	size_t		size = copy_size(copy);

	if (list->body.copy_count == ANSWER_COPIES || (list->body.copy_count > 0 && list->bytes + size > ANSWER_BYTES))
	{
		list->is_full = true;
		copy_free(copy);
		return;
	}
	list->body.copies[list->body.copy_count++] = *copy;
	list->bytes += size;
}

/* What was asked for by name. What does not fit is neither among the copies nor missing: it is asked for again. */
static bool
list_wanted(Arrival *arrival, CopyList *list)
{
	HdmsHome   *home = arrival->home;
	const HdmsBody *asked = &arrival->body;

	list->body.missing = calloc(asked->wanted_count, sizeof(char *));
	if (list->body.missing == NULL)
		return store_fail(home->store, "out of memory");
	for (size_t i = 0; i < asked->wanted_count && !list->is_full; i++)
	{
		Version		version;
		HdmsCopy	copy = {0};
		bool		found;

		if (!version_by_vk(home, arrival->pairing->id, asked->wanted[i], &version, &found))
			return false;
		if (found && !copy_read(home, version.id, &copy, &found))
			return store_fail(home->store, "out of memory");
		if (found)
			list_add(list, &copy);
		else if ((list->body.missing[list->body.missing_count++] = strdup(asked->wanted[i])) == NULL)
			return store_fail(home->store, "out of memory");
	}
	return true;
}

/* The next versions of a pairing that have not ended without evidence. */
static bool
versions_after(Arrival *arrival, int64_t after, int64_t *ids, size_t *count)
{
	Store	   *store = arrival->home->store;
	sqlite3_stmt *statement = store_statement(store, "SELECT id FROM version WHERE pairing = ?1 AND id > ?2 AND status <= ?3 ORDER BY id LIMIT ?4");
	int			row;

	*count = 0;
	if (statement == NULL)
		return false;
	sqlite3_bind_int64(statement, 1, arrival->pairing->id);
	sqlite3_bind_int64(statement, 2, after);
	sqlite3_bind_int(statement, 3, VERSION_SUPERSEDED);
	sqlite3_bind_int(statement, 4, ANSWER_COPIES + 1);
	while ((row = store_next(store, statement)) == 1)
		ids[(*count)++] = sqlite3_column_int64(statement, 0);
	return row == 0;
}

/* Everything, from a place on. The place is the number of the last version that was answered or had nothing to give. */
static bool
list_all(Arrival *arrival, int64_t after, CopyList *list, char next[24])
{
	int64_t		ids[ANSWER_COPIES + 1];
	size_t		count;
	size_t		i;

	if (!versions_after(arrival, after, ids, &count))
		return false;
	for (i = 0; i < count && i < ANSWER_COPIES; i++)
	{
		HdmsCopy	copy = {0};
		bool		held;

		if (!copy_read(arrival->home, ids[i], &copy, &held))
			return store_fail(arrival->home->store, "out of memory");
		if (held)
			list_add(list, &copy);
		if (list->is_full)
			break;
	}
	if (i < count && i > 0)
	{
		snprintf(next, 24, "%lld", (long long) ids[i - 1]);
		list->body.next = next;
	}
	return true;
}

static bool
read_place(const char *text, int64_t *place)
{
	char	   *end;

	*place = 0;
	if (text == NULL)
		return true;
	errno = 0;
	*place = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && *place >= 0;
}

Outcome
flow_want(Arrival *arrival)
{
	CopyList	list = {0};
	char		next[24];
	char		jti[37] = "";
	int64_t		after;
	bool		good;

	if (!read_place(arrival->body.after, &after))
		return outcome_of(arrival, HDMS_BAD_CLAIM);
	arrival->answer = ANSWER_AGAIN;
	list.body.copies = calloc(ANSWER_COPIES, sizeof(HdmsCopy));
	if (list.body.copies == NULL)
		return OUTCOME_FAILED;
	good = arrival->body.wanted_count > 0 ? list_wanted(arrival, &list) : list_all(arrival, after, &list, next);
	good = good && outbox_add(arrival->pairing, arrival->sender, OUT_COPIES, arrival->message.head.jti, 0, &list.body, jti);
	list.body.next = NULL;
	hdms_body_free(&list.body);
	return good ? OUTCOME_DONE : OUTCOME_FAILED;
}
