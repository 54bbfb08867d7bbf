/*
 * puppet_thief.c
 *		A puppet with a copy of somebody's key files.
 */
#include <string.h>

#include "puppet.h"

/* Takes a key out of a command: a private JWK as text. False when it is none. */
static bool
take_key(const json_t *command, const char *name, HdmsKey **key)
{
	const char *jwk = text_of(command, name);

	if (jwk == NULL)
		return true;
	hdms_key_free(*key);
	*key = NULL;
	return hdms_key_from_jwk(jwk, strlen(jwk), key) == HDMS_OK;
}

/*
 * {"node"[, "signing", "encryption"]}: from now on the puppet says that it is that node, with those keys. It has a server already, and
 * has read the histories that it needs: with a key that is refused it gets no more of them.
 */
json_t *
command_steal(const json_t *command)
{
	const char *node = text_of(command, "node");

	if (node == NULL || strlen(node) != HDMS_DIGEST_TEXT || !take_key(command, "signing", &puppet.sign) ||
		!take_key(command, "encryption", &puppet.encrypt))
		return answer_error("bad-argument");
	(void) node_history(node);
	memcpy(puppet.id, node, HDMS_DIGEST_TEXT + 1);
	return answer_status(HDMS_OK, json_pack("{}"));
}
