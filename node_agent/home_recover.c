/*
 * home_recover.c
 *		A home that begins as the continuation of a lost one.
 */
#include <openssl/crypto.h>
#include <string.h>

#include "kit.h"
#include "recovery.h"
#include "url.h"

/* Whether a home that is there already may be taken: an attempt that ended before anything was found. */
static HdmsNodeResult
home_fits(const HdmsHome *home, const unsigned char seed[32], HdmsNodeError *error)
{
	if (home->pairing_count > 0 || home->suite != HDMS_SUITE_P256 || CRYPTO_memcmp(home->seed, seed, sizeof(home->seed)) != 0)
		return node_error(error, HDMS_NODE_REFUSED, "there is another home already");
	return HDMS_NODE_OK;
}

HdmsNodeResult
hdms_home_recover(const char *path, const HdmsNodeSecret *secret, const unsigned char seed[32], const char *server, const char *network,
				  HdmsNodeError *error)
{
	HdmsHome   *home = NULL;
	HdmsNodeError local;
	HdmsNodeResult result;

	if (error == NULL)
		error = &local;
	if (!kit_places_fit(server, network))
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "a server begins with https:// and has no \"/\" at its end; a network's fingerprint has 43 characters");
	result = home_make(path, secret, HDMS_SUITE_P256, seed, error);
	if (result != HDMS_NODE_OK && result != HDMS_NODE_REFUSED)
		return result;
	result = home_look(path, secret, &home, error);
	if (result != HDMS_NODE_OK)
		return result;
	result = home_fits(home, seed, error);
	if (result == HDMS_NODE_OK && !url_allowed(server, home->config.allow_http))
		result = node_error(error, HDMS_NODE_REFUSED, "the server is not reached by https");
	if (result == HDMS_NODE_OK && (!store_begin(home->store) || !recovery_begin(home, server, network) || !store_commit(home->store)))
	{
		result = node_error(error, HDMS_NODE_STORAGE, "cannot write: %s", store_error(home->store));
		store_rollback(home->store);
	}
	hdms_home_close(home);
	return result;
}
