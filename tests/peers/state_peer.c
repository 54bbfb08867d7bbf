/*
 * state_peer.c
 *		Our end of the comparison with another SD-JWT implementation.
 *
 *	state_peer keys                           the issuer's and the holder's JWK, private, and node ids
 *	state_peer make NOW < content             a state
 *	state_peer accept NOW < state             an acceptance of it
 *	state_peer present NOW AUD NONCE [MEMBER...] < state
 *	state_peer verify < state                 its content, once everything was verified
 *	state_peer verify-presentation NOW AUD NONCE < presentation
 *
 * The keys are derived from a fixed seed, so that each run, and the peer, has the same ones. For tests only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

#define BORN INT64_C(1767225600)

typedef struct Party
{
	HdmsKey    *key;			/* signing, private */
	HdmsHistory *history;
} Party;

static void
check(HdmsStatus status, const char *what)
{
	if (status != HDMS_OK)
	{
		fprintf(stderr, "state_peer: %s: %s\n", what, hdms_status_word(status));
		exit(1);
	}
}

static Party
make_party(HdmsNodeKind kind, uint32_t index)
{
	static const unsigned char seed[32] = "a fixed seed, for tests only";
	Party		party = {0};
	HdmsKey    *made[HDMS_ROLE_COUNT] = {0};
	HdmsKey    *recovery = NULL;
	HdmsNodeKeys keys = {0};
	char	   *json = NULL;

	check(hdms_key_derive(seed, "peer-sign", index, &party.key), "derive");
	check(hdms_key_derive(seed, "peer-recovery", index, &recovery), "derive");
	check(hdms_key_derive(seed, "peer-encrypt", index, &made[HDMS_ROLE_ENCRYPT]), "derive");
	if (kind == HDMS_PERSON)
		check(hdms_key_derive(seed, "peer-vrf", index, &made[HDMS_ROLE_VRF]), "derive");
	else
	{
		check(hdms_key_generate(HDMS_KEY_ED25519, 0, &made[HDMS_ROLE_LOG]), "generate");
		check(hdms_key_generate(HDMS_KEY_ED25519, 0, &made[HDMS_ROLE_COSIGNER]), "generate");
	}
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		keys.role[i] = made[i];
	keys.role[HDMS_ROLE_SIGN] = party.key;
	keys.recovery = recovery;
	check(hdms_history_create(kind, kind == HDMS_PERSON ? NULL : "Peer", &keys, BORN, &json), "history");
	check(hdms_history_parse(json, strlen(json), &party.history), "history");
	for (int i = 0; i < HDMS_ROLE_COUNT; i++)
		hdms_key_free(made[i]);
	hdms_key_free(recovery);
	free(json);
	return party;
}

static char *
read_input(size_t *len)
{
	size_t		room = 2 * 1024 * 1024;
	char	   *text = malloc(room);

	if (text == NULL)
		exit(1);
	*len = fread(text, 1, room - 1, stdin);
	text[*len] = '\0';
	return text;
}

static void
print_keys(const Party *issuer, const Party *holder)
{
	char	   *jwk[2] = {NULL, NULL};

	check(hdms_key_to_jwk(issuer->key, true, &jwk[0]), "jwk");
	check(hdms_key_to_jwk(holder->key, true, &jwk[1]), "jwk");
	printf("{\"issuer\":%s,\"issuer_id\":\"%s\",\"holder\":%s,\"holder_id\":\"%s\"}\n", jwk[0],
		   hdms_history_node_id(issuer->history), jwk[1], hdms_history_node_id(holder->history));
	free(jwk[0]);
	free(jwk[1]);
}

static char *
make_state(const Party *issuer, const Party *holder, int64_t now, const char *content, size_t len)
{
	HdmsState	state = {0};
	char	   *sd_jwt = NULL;

	strcpy(state.iss, hdms_history_node_id(issuer->history));
	strcpy(state.sub, hdms_history_node_id(holder->history));
	state.version = 1;
	state.iat = now;
	check(hdms_uuid7(now * 1000, state.record), "uuid");
	check(hdms_content_type(content, len, state.type), "type");
	check(hdms_state_build(&state, content, len, issuer->key, &sd_jwt), "build");
	return sd_jwt;
}

static int
run(int argc, char **argv, const Party *issuer, const Party *holder)
{
	const char *command = argc > 1 ? argv[1] : "";
	int64_t		now = argc > 2 ? strtoll(argv[2], NULL, 10) : 0;
	size_t		len = 0;
	char	   *input;
	char	   *output = NULL;
	HdmsState	state;
	HdmsBytes	content = {0};

	if (strcmp(command, "keys") == 0)
	{
		print_keys(issuer, holder);
		return 0;
	}
	input = read_input(&len);
	if (strcmp(command, "make") == 0)
		output = make_state(issuer, holder, now, input, len);
	else if (strcmp(command, "accept") == 0)
		check(hdms_acceptance_sign(input, len, holder->key, now, &output), "accept");
	else if (strcmp(command, "present") == 0 && argc > 4)
		check(hdms_presentation_build(input, len, argc > 5 ? (const char *const *) argv + 5 : NULL, argv[3], argv[4],
									  holder->key, now, &output), "present");
	else if (strcmp(command, "verify") == 0)
	{
		check(hdms_state_verify(input, len, true, issuer->history, 0, &state), "verify");
		check(hdms_state_content(input, len, &content), "content");
	}
	else if (strcmp(command, "verify-presentation") == 0 && argc == 5)
		check(hdms_presentation_verify(input, len, issuer->history, holder->history, argv[3], argv[4], now, &state, &content),
			  "verify");
	else
	{
		free(input);
		return 2;
	}
	printf("%s", output != NULL ? output : (char *) content.data);
	free(output);
	hdms_bytes_free(&content);
	free(input);
	return 0;
}

int
main(int argc, char **argv)
{
	Party		issuer = make_party(HDMS_INSTITUTION, 0);
	Party		holder = make_party(HDMS_PERSON, 1);
	int			result = run(argc, argv, &issuer, &holder);

	hdms_key_free(issuer.key);
	hdms_history_free(issuer.history);
	hdms_key_free(holder.key);
	hdms_history_free(holder.history);
	return result;
}
