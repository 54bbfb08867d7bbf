/*
 * peer.c
 *		Other nodes' key histories, pinned.
 *
 * The directory is believed once, about a node never seen (an institution's id is then in the invitation, a notary's in the signed list); after that
 * it can only add what the pinned history itself justifies.
 */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

void
peer_free(Peer *peer)
{
	if (peer == NULL)
		return;
	hdms_history_free(peer->history);
	free(peer->admission);
	free(peer);
}

/* Where a node is, or belongs, in the sorted array. */
static size_t
peer_position(const HdmsHome *home, const char *node, bool *found)
{
	size_t		low = 0;
	size_t		high = home->peer_count;

	*found = false;
	while (low < high)
	{
		size_t		middle = (low + high) / 2;
		int			order = strcmp(home->peers[middle]->node, node);

		if (order == 0)
		{
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
peer_keep(HdmsHome *home, Peer *peer)
{
	bool		found;
	size_t		position = peer_position(home, peer->node, &found);
	Peer	  **bigger = realloc(home->peers, (home->peer_count + 1) * sizeof(*bigger));

	if (bigger == NULL)
		return store_fail(home->store, "out of memory");
	memmove(bigger + position + 1, bigger + position, (home->peer_count - position) * sizeof(*bigger));
	bigger[position] = peer;
	home->peers = bigger;
	home->peer_count++;
	return true;
}

static bool
peer_parse(HdmsHome *home, Peer *peer, const HdmsBytes *text)
{
	json_t	   *object = json_loadb((const char *) text->data, text->len, 0, NULL);
	const char *history = json_string_value(json_object_get(object, "history"));
	const char *admission = json_string_value(json_object_get(object, "admission"));
	bool		good;

	good = history != NULL && hdms_history_parse(history, strlen(history), &peer->history) == HDMS_OK &&
		strcmp(hdms_history_node_id(peer->history), peer->node) == 0 &&
		(admission == NULL || (peer->admission = strdup(admission)) != NULL);
	json_decref(object);
	return good || store_fail(home->store, "a pinned history cannot be read");
}

bool
peer_find(HdmsHome *home, const char *node, Peer **result)
{
	bool		found;
	size_t		position = peer_position(home, node, &found);
	sqlite3_stmt *statement;
	Peer	   *peer;
	HdmsBytes	text = {0};
	int			row;
	bool		good;

	*result = NULL;
	if (found)
	{
		*result = home->peers[position];
		return true;
	}
	statement = store_statement(home->store, "SELECT id, fetched, sealed FROM peer WHERE node = ?1");
	if (!store_bind_digest(home->store, statement, 1, node))
		return false;
	row = store_next(home->store, statement);
	if (row != 1)
		return row == 0;
	peer = calloc(1, sizeof(*peer));
	good = peer != NULL;
	if (good)
	{
		peer->id = sqlite3_column_int64(statement, 0);
		peer->fetched = sqlite3_column_int64(statement, 1);
		strcpy(peer->node, node);
		good = store_column_sealed(home->store, statement, 2, "peer", peer->id, true, &text);
	}
	sqlite3_reset(statement);
	good = good && peer_parse(home, peer, &text) && peer_keep(home, peer);
	hdms_bytes_free(&text);
	if (!good)
	{
		peer_free(peer);
		return false;
	}
	*result = peer;
	return true;
}

static bool
peer_save(HdmsHome *home, const Peer *peer)
{
	sqlite3_stmt *statement = store_statement(home->store, "INSERT INTO peer (id, node, fetched, sealed) VALUES (?1, ?2, ?3, ?4)"
											  " ON CONFLICT (id) DO UPDATE SET fetched = excluded.fetched, sealed = excluded.sealed");
	json_t	   *object = json_object();
	char	   *text = NULL;
	bool		good;

	good = object != NULL && json_object_set_new(object, "history", json_string(hdms_history_json(peer->history))) == 0 &&
		(peer->admission == NULL || json_object_set_new(object, "admission", json_string(peer->admission)) == 0) &&
		(text = json_dumps(object, JSON_COMPACT)) != NULL;
	good = good && store_bind_digest(home->store, statement, 2, peer->node) &&
		store_bind_sealed(home->store, statement, 4, "peer", peer->id, text, strlen(text), true);
	if (good)
	{
		sqlite3_bind_int64(statement, 1, peer->id);
		sqlite3_bind_int64(statement, 3, peer->fetched);
		good = store_run(home->store, statement);
	}
	json_decref(object);
	free(text);
	return good;
}

static PeerLesson
peer_pin(HdmsHome *home, const char *node, HdmsHistory *history, const char *admission, Peer **result)
{
	Peer	   *peer = calloc(1, sizeof(*peer));

	if (peer == NULL)
	{
		hdms_history_free(history);
		return PEER_FAILED;
	}
	peer->id = store_new_row(home->store, TABLE_PEER);
	peer->history = history;
	peer->fetched = home_now_ms(home);
	strcpy(peer->node, node);
	if ((admission != NULL && (peer->admission = strdup(admission)) == NULL) || !peer_save(home, peer) || !peer_keep(home, peer))
	{
		peer_free(peer);
		return PEER_FAILED;
	}
	if (result)
		*result = peer;
	return PEER_PINNED;
}

static PeerLesson
peer_false(HdmsHome *home, const char *node, const char *why)
{
	if (!notice_add(home, "false-key", "the directory offered keys for %s that were refused: %s", node, why))
		return PEER_FAILED;
	return PEER_FALSE;
}

PeerLesson
peer_learn(HdmsHome *home, const char *node, const char *json, const char *admission, Peer **result)
{
	HdmsHistory *history = NULL;
	Peer	   *peer;
	HdmsStatus	status;
	int			order;

	if (!peer_find(home, node, &peer))
		return PEER_FAILED;
	status = hdms_history_parse(json, strlen(json), &history);
	if (status == HDMS_OUT_OF_MEMORY)
		return PEER_FAILED;
	if (status != HDMS_OK)
		return peer_false(home, node, hdms_status_sentence(status));
	if (strcmp(hdms_history_node_id(history), node) != 0)
	{
		hdms_history_free(history);
		return peer_false(home, node, "they belong to another node");
	}
	if (peer == NULL)
		return peer_pin(home, node, history, admission, result);
	if (result)
		*result = peer;
	peer->fetched = home_now_ms(home);
	order = hdms_history_compare(peer->history, history);
	if (order == -1)
	{
		hdms_history_free(peer->history);
		peer->history = history;
		history = NULL;
	}
	if (admission != NULL && (peer->admission == NULL || strcmp(admission, peer->admission) != 0))
	{
		char	   *copy = strdup(admission);

		if (copy != NULL)
		{
			free(peer->admission);
			peer->admission = copy;
		}
	}
	hdms_history_free(history);
	if (order == 2)
		return peer_false(home, node, "they do not continue the ones that were seen before");
	if (!peer_save(home, peer))
		return PEER_FAILED;
	return order == -1 ? PEER_CONTINUED : PEER_SAME;
}

bool
peer_asked(HdmsHome *home, const char *node)
{
	Peer	   *peer;

	if (!peer_find(home, node, &peer))
		return false;
	if (peer == NULL)
		return true;
	peer->fetched = home_now_ms(home);
	return peer_save(home, peer);
}
