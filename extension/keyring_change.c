/*
 * keyring_change.c
 *		Replacing keys: the next ones beside the present ones, and then in their place.
 *
 * A key that others know and this node has lost would be the end of the node. So the next keys are
 * durable first, as "signing.next"; then the database stores the history that names them; then they take
 * the place of the present ones. Whatever moment a crash picks, the stored history says which key of the folder is
 * meant, and loading finishes the rest. The folder has a copy of the history: keys outlive the database, and one that
 * was put back from before the change learns of it there.
 */
#include "postgres.h"

#include <openssl/evp.h>
#include <sys/stat.h>

#include "keyring.h"
#include "keyring_inside.h"
#include "node.h"

#define HISTORY_FILE	"history"
#define HISTORY_MAX		(HDMS_HISTORY_MAX_ENTRIES * 17 * 1024)

static char *
label_next(const char *label)
{
	return psprintf("%s.next", label);
}

static char *
label_former(const char *label, const char *kid)
{
	return psprintf("%s-%s", label, kid);
}

static bool
is_key(const HdmsKey *key, const char *kid)
{
	return key != NULL && kid != NULL && strcmp(hdms_key_thumbprint(key), kid) == 0;
}

/* The present key, or the next one when the history names that: then it takes its place. */
static bool
place_load(const char *folder, const KeyPlace *place, char **problem)
{
	const HdmsKey *expected = hdms_history_current(own_node.history, place->role);
	const char *kid = expected != NULL ? hdms_key_thumbprint(expected) : NULL;
	char	   *next_label = label_next(place->label);
	HdmsKey    *present = NULL;
	HdmsKey    *next = NULL;
	bool		done = false;

	if (key_store->exists(folder, place->label))
		present = key_store->load(folder, place->label, problem);
	if (!is_key(present, kid) && key_store->exists(folder, next_label))
		next = key_store->load(folder, next_label, problem);
	if (is_key(present, kid))
	{
		*place->own = present;
		return true;
	}
	if (is_key(next, kid))
	{
		done = present == NULL || key_store->rename(folder, place->label, label_former(place->label, hdms_key_thumbprint(present)), problem);
		done = done && key_store->rename(folder, next_label, place->label, problem);
	}
	else if (present != NULL)
		*problem = psprintf("the %s key in \"%s\" is not the one that the node's history names", place->label, folder);
	else if (!key_store->exists(folder, place->label))
		*problem = psprintf("the %s key is not in \"%s\"; if it is gone for good, put recovery.jwk there and call hdms.recover_keys()",
							place->label, folder);
	hdms_key_free(present);
	if (done)
		*place->own = next;
	else
		hdms_key_free(next);
	return done;
}

/* The recovery key that was committed to takes the place of the one that was used up. */
static bool
recovery_settle(const char *folder, char **problem)
{
	HdmsKey    *next;
	bool		done = true;

	if (!key_store->exists(folder, "recovery.next"))
		return true;
	next = key_store->load(folder, "recovery.next", problem);
	if (next == NULL)
		return false;
	if (is_key(next, hdms_history_recovery(own_node.history)))
		done = key_store->destroy(folder, "recovery", problem) && key_store->rename(folder, "recovery.next", "recovery", problem);
	hdms_key_free(next);
	return done;
}

/* Keys that envelopes on their way may still be sealed to. One that is not there any more is no reason to stop. */
static void
former_load(const char *folder)
{
	int			length = hdms_history_length(own_node.history);

	own_node.former_encryption = calloc(Max(length, 1), sizeof(HdmsKey *));
	for (int seq = 0; seq < length && own_node.former_encryption != NULL; seq++)
	{
		const HdmsKey *key = hdms_history_key(own_node.history, seq, HDMS_ROLE_ENCRYPT);
		char	   *label = label_former("encryption", hdms_key_thumbprint(key));
		char	   *problem = NULL;
		HdmsKey    *former;

		if (node_decryption_key(hdms_key_thumbprint(key)) != NULL || !key_store->exists(folder, label))
			continue;
		former = key_store->load(folder, label, &problem);
		if (former != NULL)
			own_node.former_encryption[own_node.former_count++] = former;
		else
			ereport(WARNING, (errmsg("HDMS: envelopes that are sealed to a former key cannot be opened: %s", problem)));
	}
}

/* Sets own_node.history: the database's, or the folder's where that continues it. */
static bool
history_load(const char *folder, const char *history, char **problem)
{
	HdmsStatus	status = hdms_history_parse(history, strlen(history), &own_node.history);
	HdmsHistory *kept = NULL;
	struct stat file;
	char	   *text;

	if (status != HDMS_OK)
	{
		*problem = psprintf("the node's stored key history is damaged: %s", hdms_status_sentence(status));
		return false;
	}
	if (stat(psprintf("%s/%s", folder, HISTORY_FILE), &file) != 0)
		return true;
	text = key_file_read(folder, HISTORY_FILE, HISTORY_MAX, problem);
	if (text == NULL)
		return false;
	status = hdms_history_parse(text, strlen(text), &kept);
	free(text);
	if (status != HDMS_OK)
		return true;			/* it is written anew once the keys fit the database's */
	if (hdms_history_compare(own_node.history, kept) == 2)
	{
		hdms_history_free(kept);
		*problem = psprintf("the key history in \"%s\" and the database's contradict each other", folder);
		return false;
	}
	if (hdms_history_length(kept) > hdms_history_length(own_node.history))
	{
		hdms_history_free(own_node.history);
		own_node.history = kept;
	}
	else
		hdms_history_free(kept);
	return true;
}

/* Writes the folder's copy of the history when it is another. */
static bool
history_keep(const char *folder, char **problem)
{
	const char *json = hdms_history_json(own_node.history);
	char	   *unread = NULL;
	char	   *text = key_file_read(folder, HISTORY_FILE, HISTORY_MAX, &unread);
	bool		is_same = text != NULL && strcmp(text, json) == 0;

	free(text);
	return is_same || key_file_write(folder, HISTORY_FILE, json, problem);
}

bool
keyring_load(const char *folder, const char *history, char **problem)
{
	if (!history_load(folder, history, problem))
		return false;
	for (int i = 0; i < KEY_PLACES; i++)
	{
		if (!place_load(folder, &key_places[i], problem))
			return false;
	}
	if (!recovery_settle(folder, problem) || !history_keep(folder, problem))
		return false;
	former_load(folder);
	return true;
}

/* A next key of the kind that the present one is. */
static HdmsKey *
next_make(const char *folder, const char *label, const HdmsKey *present, char **problem)
{
	HdmsKeyType type = hdms_key_type(present);

	return key_store->make(folder, label_next(label), type, type == HDMS_KEY_RSA ? EVP_PKEY_get_bits(hdms_key_pkey(present)) : 0, problem);
}

void
keyring_drop_next(void)
{
	char	   *folder = keyring_folder(own_node.id);
	char	   *problem = NULL;

	for (int i = 0; i < KEY_PLACES; i++)
		(void) key_store->destroy(folder, label_next(key_places[i].label), &problem);
}

char *
keyring_change(unsigned int roles, const char *revoked_kid, int64 revoked_since, char **problem)
{
	char	   *folder = keyring_folder(own_node.id);
	HdmsNodeKeys keys = {{NULL}, NULL};
	HdmsKey    *made[KEY_PLACES] = {NULL};
	char	   *history = NULL;
	bool		complete = true;
	HdmsStatus	status;

	for (int i = 0; complete && i < KEY_PLACES; i++)
	{
		const HdmsKey *present = hdms_history_current(own_node.history, key_places[i].role);

		if ((roles & (1U << key_places[i].role)) != 0)
		{
			made[i] = next_make(folder, key_places[i].label, present, problem);
			complete = made[i] != NULL;
		}
		keys.role[key_places[i].role] = made[i] != NULL ? made[i] : present;
	}
	if (complete)
	{
		status = hdms_history_extend(own_node.history, &keys, own_node.signing, revoked_kid, revoked_since, node_now(), &history);
		if (status != HDMS_OK)
			*problem = psprintf("could not extend the node's key history: %s", hdms_status_sentence(status));
	}
	for (int i = 0; i < KEY_PLACES; i++)
		hdms_key_free(made[i]);
	return history;
}

/* All keys anew, signed by the recovery key. */
static char *
recovered(const char *folder, const HdmsKey *recovery, char **problem)
{
	HdmsNodeKeys keys = {{NULL}, NULL};
	HdmsKey    *made[KEY_PLACES] = {NULL};
	HdmsKey    *next = next_make(folder, "recovery", recovery, problem);
	char	   *history = NULL;
	bool		complete = next != NULL;
	HdmsStatus	status;

	keys.recovery = next;
	for (int i = 0; complete && i < KEY_PLACES; i++)
	{
		made[i] = next_make(folder, key_places[i].label, hdms_history_current(own_node.history, key_places[i].role), problem);
		keys.role[key_places[i].role] = made[i];
		complete = made[i] != NULL;
	}
	if (complete)
	{
		status = hdms_history_extend(own_node.history, &keys, recovery, NULL, 0, node_now(), &history);
		if (status != HDMS_OK)
			*problem = psprintf("could not extend the node's key history: %s", hdms_status_sentence(status));
	}
	for (int i = 0; i < KEY_PLACES; i++)
		hdms_key_free(made[i]);
	hdms_key_free(next);
	return history;
}

char *
keyring_recover(const char *node_id, const char *history, const char *database, char **problem)
{
	char	   *folder = keyring_folder(node_id);
	HdmsKey    *recovery = NULL;
	char	   *longer = NULL;

	keyring_close();
	if (!keyring_take_over(node_id, database, problem) || !history_load(folder, history, problem))
		goto cleanup;
	recovery = key_store->load(folder, "recovery", problem);
	if (recovery == NULL)
		goto cleanup;
	if (!is_key(recovery, hdms_history_recovery(own_node.history)))
		*problem = psprintf("\"%s/recovery.jwk\" is not the recovery key that the node's history commits to", folder);
	else
		longer = recovered(folder, recovery, problem);

cleanup:
	hdms_key_free(recovery);
	keyring_close();
	return longer;
}

void
keyring_destroy_replaced(void)
{
	char	   *folder = keyring_folder(own_node.id);

	for (int i = 0; i < KEY_PLACES; i++)
	{
		const KeyPlace *place = &key_places[i];
		char	   *problem = NULL;

		if (place->role == HDMS_ROLE_ENCRYPT)
			continue;
		for (int seq = 0; seq < hdms_history_length(own_node.history); seq++)
		{
			const HdmsKey *key = hdms_history_key(own_node.history, seq, place->role);

			if (!key_store->destroy(folder, label_former(place->label, hdms_key_thumbprint(key)), &problem))
				ereport(WARNING, (errmsg("HDMS: a private key that was replaced is still there: %s", problem)));
		}
	}
}
