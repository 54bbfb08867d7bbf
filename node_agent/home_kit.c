/*
 * home_kit.c
 *		What a person keeps apart from the device: the recovery kit. And the change of what opens the home.
 *
 * Both need the passphrase even while a service has the home unlocked: whoever sits down at an unlocked device may read records, but does not
 * walk away with the keys to all that will ever come.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "home_json.h"
#include "kit.h"
#include "pairing_row.h"
#include "words.h"

/* Whether a pairing's network was listed with an earlier one. */
static bool
is_listed(const HdmsHome *home, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(home->pairings[i]->server, home->pairings[at]->server) == 0 && strcmp(home->pairings[i]->network, home->pairings[at]->network) == 0)
			return true;
	return false;
}

static json_t *
network_json(const HdmsHome *home, const Pairing *first)
{
	char	   *uri = kit_uri(home->seed, first->server, first->network);
	json_t	   *object;
	json_int_t	count = 0;

	for (size_t i = 0; i < home->pairing_count; i++)
		count += strcmp(home->pairings[i]->server, first->server) == 0 && strcmp(home->pairings[i]->network, first->network) == 0;
	object = json_pack("{s:s, s:s, s:I, s:s}", "server", first->server, "network", first->network, "pairings", count, "uri", uri ? uri : "");
	hdms_string_wipe(uri);
	return object;
}

HdmsNodeResult
hdms_home_kit(const char *path, const HdmsNodeSecret *secret, char **json, HdmsNodeError *error)
{
	HdmsHome   *home = NULL;
	char		words[SEED_WORDS_SIZE];
	json_t	   *kits;
	HdmsNodeResult result = home_look(path, secret, &home, error);

	if (result != HDMS_NODE_OK)
		return result;
	if (home->suite != HDMS_SUITE_P256)
		result = node_error(error, HDMS_NODE_REFUSED, "the signing keys of this home are random (--suite rsa): there is no kit that brings them back");
	else if (words_print(home->seed, words) != HDMS_OK)
		result = node_error(error, HDMS_NODE_FAILED, "the words cannot be made");
	else
	{
		kits = json_array();
		for (size_t i = 0; i < home->pairing_count; i++)
			if (!is_listed(home, i))
				json_array_append_new(kits, network_json(home, home->pairings[i]));
		result = json_result(json_pack("{s:s, s:o}", "words", words, "kits", kits), json, error);
	}
	OPENSSL_cleanse(words, sizeof(words));
	hdms_home_close(home);
	return result;
}

HdmsNodeResult
hdms_home_change_secret(const char *path, const HdmsNodeSecret *before, const HdmsNodeSecret *after, HdmsNodeError *error)
{
	HdmsHome   *home = NULL;
	HdmsBytes	wrapped = {0};
	HdmsStatus	status;
	HdmsNodeResult result;

	if ((after->passphrase == NULL) == (after->platform_key == NULL) || (after->passphrase != NULL && after->passphrase[0] == '\0'))
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "a home needs a passphrase that is not empty, or a key");
	result = home_look(path, before, &home, error);
	if (result != HDMS_NODE_OK)
		return result;
	status = vault_rewrap(store_vault(home->store), after, &wrapped);
	if (status != HDMS_OK)
		result = node_error(error, HDMS_NODE_FAILED, "cannot wrap the keys: %s", hdms_status_sentence(status));
	else if (!store_begin(home->store) || !store_meta_set(home->store, "vault", wrapped.data, wrapped.len) || !store_commit(home->store))
	{
		result = node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
		store_rollback(home->store);
	}
	hdms_bytes_free(&wrapped);
	hdms_home_close(home);
	return result;
}
