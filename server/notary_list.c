/*
 * notary_list.c
 *		The list of notaries: who should be in it, and signing a new one when it is wrong or old.
 *
 * The right list is made of the active institutions that were admitted as notaries. A database that was lost starts
 * with none of them, while institutions bring back the lists they have. So a notary of the newest list from before
 * this database was made stays in the list until it registers again; once the directory knows it, the directory decides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "metrics.h"
#include "notary_list.h"
#include "query.h"

/* The notaries that a new list will have. The log keys are owned. */
typedef struct Wanted
{
	HdmsNotary *notaries;
	size_t		count;
	size_t		capacity;
} Wanted;

static bool
wanted_add(Wanted *wanted, const char *node, const char *name, const HdmsKey *log_key)
{
	HdmsNotary *notary;

	if (wanted->count == wanted->capacity)
	{
		size_t		capacity = wanted->capacity == 0 ? 16 : wanted->capacity * 2;
		HdmsNotary *grown = realloc(wanted->notaries, capacity * sizeof(HdmsNotary));

		if (grown == NULL)
			return false;
		wanted->notaries = grown;
		wanted->capacity = capacity;
	}
	notary = &wanted->notaries[wanted->count++];
	memset(notary, 0, sizeof(*notary));
	snprintf(notary->node, sizeof(notary->node), "%s", node);
	snprintf(notary->name, sizeof(notary->name), "%s", name);
	notary->log = hdms_key_share(log_key);
	return notary->log != NULL;
}

static void
wanted_free(Wanted *wanted)
{
	for (size_t i = 0; i < wanted->count; i++)
		hdms_key_free(wanted->notaries[i].log);
	free(wanted->notaries);
}

/* The directory's own notaries. */
static bool
collect_from_directory(PGconn *conn, Wanted *wanted)
{
	PGresult   *result = query_run(conn, "SELECT history FROM hdms_server.nodes"
								   " WHERE kind = 'institution' AND notary AND status = 'active' ORDER BY id", 0, NULL);
	bool		ok = result != NULL;

	for (int row = 0; ok && row < PQntuples(result); row++)
	{
		HdmsHistory *history = NULL;
		const HdmsKey *log_key;

		if (hdms_history_parse(PQgetvalue(result, row, 0), (size_t) PQgetlength(result, row, 0), &history) != HDMS_OK)
		{
			log_event(LEVEL_ERROR, "stored_history_unusable", NULL);
			continue;
		}
		log_key = hdms_history_current(history, HDMS_ROLE_LOG);
		if (log_key != NULL)
			ok = wanted_add(wanted, hdms_history_node_id(history), hdms_history_name(history), log_key);
		hdms_history_free(history);
	}
	PQclear(result);
	return ok;
}

static bool
directory_knows(PGconn *conn, const char *node, bool *known)
{
	const char *values[] = {node};
	PGresult   *result = query_run(conn, "SELECT 1 FROM hdms_server.nodes WHERE id = $1", 1, values);

	if (result == NULL)
		return false;
	*known = PQntuples(result) > 0;
	PQclear(result);
	return true;
}

/* Those of the newest carried list that have not registered with this database yet. */
static bool
collect_from_carried(PGconn *conn, const HdmsKey *network, Wanted *wanted)
{
	PGresult   *result = query_run(conn, "SELECT jws FROM hdms_server.notary_lists"
								   " WHERE iat < (SELECT created FROM hdms_server.server_meta) ORDER BY iat DESC, seq DESC LIMIT 1", 0, NULL);
	HdmsNotaryList list = {0};
	bool		ok = result != NULL;

	if (ok && PQntuples(result) == 1
		&& hdms_notaries_parse(PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0), network, &list) == HDMS_OK)
	{
		for (size_t i = 0; ok && i < list.count; i++)
		{
			bool		known = false;

			ok = directory_knows(conn, list.notaries[i].node, &known);
			if (ok && !known)
				ok = wanted_add(wanted, list.notaries[i].node, list.notaries[i].name, list.notaries[i].log);
		}
		hdms_notaries_free(&list);
	}
	PQclear(result);
	return ok;
}

static bool
list_has_exactly(const HdmsNotaryList *list, const Wanted *wanted)
{
	if (list->count != wanted->count)
		return false;
	for (size_t i = 0; i < wanted->count; i++)
	{
		const HdmsNotary *notary = hdms_notaries_find(list, wanted->notaries[i].node);

		if (notary == NULL || strcmp(notary->name, wanted->notaries[i].name) != 0
			|| strcmp(hdms_key_thumbprint(notary->log), hdms_key_thumbprint(wanted->notaries[i].log)) != 0)
			return false;
	}
	return true;
}

/*
 * Whether the newest list has these notaries, this max_age, and is young enough: it must not become older than half of
 * max_age before somebody looks again. And when it was signed.
 */
static bool
newest_is_right(PGconn *conn, const HdmsKey *network, const Wanted *wanted, int64_t max_age, int64_t now, bool *right, int64_t *newest_iat)
{
	PGresult   *result = query_run(conn, "SELECT jws FROM hdms_server.notary_lists ORDER BY iat DESC, seq DESC LIMIT 1", 0, NULL);
	HdmsNotaryList list = {0};

	if (result == NULL)
		return false;
	*right = false;
	*newest_iat = 0;
	if (PQntuples(result) == 1
		&& hdms_notaries_parse(PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0), network, &list) == HDMS_OK)
	{
		*newest_iat = list.iat;
		*right = list.max_age == max_age && now - list.iat < max_age * 9 / 20 && list_has_exactly(&list, wanted);
		hdms_notaries_free(&list);
	}
	PQclear(result);
	return true;
}

static bool
sign_and_store(PGconn *conn, const HdmsKey *network, const Wanted *wanted, int64_t max_age, int64_t now)
{
	char	   *jws = NULL;
	char		digest[HDMS_DIGEST_TEXT + 1];
	char		iat[24];
	const char *values[3];
	bool		ok;

	if (hdms_notaries_sign(network, wanted->notaries, wanted->count, max_age, now, &jws) != HDMS_OK)
		return false;
	snprintf(iat, sizeof(iat), "%lld", (long long) now);
	values[0] = digest;
	values[1] = jws;
	values[2] = iat;
	ok = hdms_sha256_text(jws, strlen(jws), digest) == HDMS_OK
		&& query_do(conn, "INSERT INTO hdms_server.notary_lists (digest, jws, iat) VALUES ($1, $2, $3::int8)"
					" ON CONFLICT (digest) DO NOTHING", 3, values);
	free(jws);
	return ok;
}

NotaryListOutcome
notary_list_refresh(PGconn *conn, const HdmsKey *network, int64_t max_age, int64_t now)
{
	NotaryListOutcome outcome = NOTARY_LIST_FAILED;
	Wanted		wanted = {0};
	char		lock[96];
	bool		right = false;
	int64_t		newest_iat = 0;

	snprintf(lock, sizeof(lock), "SELECT pg_advisory_xact_lock(%d, %d)", QUERY_LOCK_CLASS, QUERY_LOCK_NOTARIES);
	if (!query_do(conn, "BEGIN", 0, NULL))
		return NOTARY_LIST_FAILED;
	if (!query_do(conn, lock, 0, NULL) || !collect_from_directory(conn, &wanted) || !collect_from_carried(conn, network, &wanted)
		|| !newest_is_right(conn, network, &wanted, max_age, now, &right, &newest_iat))
		goto cleanup;
	/* two lists never have one time: it must be plain which is newer, even when both are of this second */
	if (!right && !sign_and_store(conn, network, &wanted, max_age, now > newest_iat ? now : newest_iat + 1))
		goto cleanup;
	if (!query_do(conn, "COMMIT", 0, NULL))
		goto cleanup;
	outcome = right ? NOTARY_LIST_UNCHANGED : NOTARY_LIST_SIGNED;
	if (!right)
	{
		metrics_count(COUNTER_NOTARY_LISTS_SIGNED, 1);
		log_event(LEVEL_INFO, "notary_list_signed", "notaries=i", (int64_t) wanted.count, NULL);
	}

cleanup:
	if (outcome == NOTARY_LIST_FAILED)
		query_do(conn, "ROLLBACK", 0, NULL);
	wanted_free(&wanted);
	return outcome;
}
