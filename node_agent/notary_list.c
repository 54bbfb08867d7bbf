/*
 * notary_list.c
 *		The network's signed lists of notaries.
 *
 * A commit pins a list by its digest, so a list is fetched once and kept for good: old evidence needs it. Parsed ones stay in memory; a network
 * has few.
 */
#include "notary_list.h"

#include <stdlib.h>
#include <string.h>

static void
list_free(HdmsNotaryList *list)
{
	if (list == NULL)
		return;
	hdms_notaries_free(list);
	free(list);
}

void
notary_lists_free(HdmsHome *home)
{
	for (size_t i = 0; i < home->list_count; i++)
		list_free(home->lists[i]);
	free(home->lists);
	home->lists = NULL;
	home->list_count = 0;
}

/* The issuer of a list is the network key: a home may know several networks. */
static bool
list_is_of(const HdmsNotaryList *list, const Pairing *pairing)
{
	HdmsJwsHeader header;
	bool		same;

	if (hdms_jws_peek(list->jws, strlen(list->jws), &header) != HDMS_OK)
		return false;
	same = strcmp(header.kid, pairing->network) == 0;
	hdms_jws_header_free(&header);
	return same;
}

static HdmsStatus
list_keep(HdmsHome *home, const Pairing *pairing, const char *digest, const char *jws, size_t len, const HdmsNotaryList **kept)
{
	HdmsNotaryList *list = calloc(1, sizeof(*list));
	HdmsNotaryList **bigger;
	HdmsStatus	status;

	if (list == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = hdms_notaries_parse(jws, len, pairing->network_key, list);
	if (status != HDMS_OK)
	{
		free(list);
		return status;
	}
	if (strcmp(list->digest, digest) != 0)
		status = HDMS_DIGEST_MISMATCH;
	else if ((bigger = realloc(home->lists, (home->list_count + 1) * sizeof(*bigger))) == NULL)
		status = HDMS_OUT_OF_MEMORY;
	else
	{
		home->lists = bigger;
		home->lists[home->list_count++] = list;
		*kept = list;
		return HDMS_OK;
	}
	list_free(list);
	return status;
}

bool
notary_list_find(HdmsHome *home, const Pairing *pairing, const char *digest, const HdmsNotaryList **list)
{
	sqlite3_stmt *statement;
	HdmsBytes	jws = {0};
	HdmsStatus	status;
	int			row;

	*list = NULL;
	for (size_t i = 0; i < home->list_count; i++)
		if (strcmp(home->lists[i]->digest, digest) == 0)
		{
			if (list_is_of(home->lists[i], pairing))
				*list = home->lists[i];
			return true;
		}
	if (pairing->network_key == NULL)
		return true;
	statement = store_statement(home->store, "SELECT sealed FROM notary_list WHERE digest = ?1");
	if (!store_bind_digest(home->store, statement, 1, digest))
		return false;
	row = store_next(home->store, statement);
	if (row < 0)
		return false;
	if (row == 0)
	{
		want_add(home, pairing, WANT_LIST, digest);
		return true;
	}
	if (!store_column_sealed(home->store, statement, 0, "notary_list", 0, true, &jws))
	{
		sqlite3_reset(statement);
		return false;
	}
	sqlite3_reset(statement);
	status = list_keep(home, pairing, digest, (const char *) jws.data, jws.len, list);
	hdms_bytes_free(&jws);
	return status == HDMS_OK || status == HDMS_BAD_SIGNATURE || status == HDMS_UNKNOWN_KEY || store_fail(home->store, hdms_status_sentence(status));
}

HdmsStatus
notary_list_learn(HdmsHome *home, const Pairing *pairing, const char *digest, const char *jws, size_t len)
{
	const HdmsNotaryList *list = NULL;
	sqlite3_stmt *statement;
	HdmsStatus	status;

	if (pairing->network_key == NULL)
		return HDMS_NOT_ADMITTED;
	for (size_t i = 0; i < home->list_count; i++)
		if (strcmp(home->lists[i]->digest, digest) == 0 && list_is_of(home->lists[i], pairing))
			return HDMS_OK;
	status = list_keep(home, pairing, digest, jws, len, &list);
	if (status != HDMS_OK)
		return status;
	statement = store_statement(home->store, "INSERT OR IGNORE INTO notary_list (digest, sealed) VALUES (?1, ?2)");
	if (!store_bind_digest(home->store, statement, 1, digest) ||
		!store_bind_sealed(home->store, statement, 2, "notary_list", 0, jws, len, true) ||
		!store_run(home->store, statement))
		return HDMS_OUT_OF_MEMORY;
	return HDMS_OK;
}
