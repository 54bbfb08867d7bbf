/*
 * fuzz_history.c
 *		Key histories: the input as a history, and as claims laid over entries that are right.
 *
 * The claims of the input replace those of a valid first or second entry, which the
 * right key then signs again: the chain's checks see everything that a node with its
 * own keys can write, also about itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

int			LLVMFuzzerInitialize(int *argc, char ***argv);
int			LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW		1767225600

static HdmsKey *sign_key;
static HdmsKey *next_sign_key;
static HdmsKey *recovery_key;
static HdmsHistory *person;
static HdmsHistory *longer;		/* the same with a second entry */

static void
insist(HdmsStatus status)
{
	if (status != HDMS_OK)
		abort();
}

static HdmsHistory *
parsed(char *json)
{
	HdmsHistory *history = NULL;

	insist(hdms_history_parse(json, strlen(json), &history));
	free(json);
	return history;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const unsigned char seed[32] = {1};
	HdmsNodeKeys keys = {0};
	HdmsKey    *encryption_key = NULL;
	HdmsKey    *vrf_key = NULL;
	char	   *json = NULL;

	(void) argc;
	(void) argv;
	insist(hdms_key_derive(seed, "fuzz", 0, &sign_key));
	insist(hdms_key_derive(seed, "fuzz", 1, &next_sign_key));
	insist(hdms_key_derive(seed, "fuzz", 2, &recovery_key));
	insist(hdms_key_derive(seed, "fuzz", 3, &encryption_key));
	insist(hdms_key_derive(seed, "fuzz", 4, &vrf_key));
	keys.role[HDMS_ROLE_SIGN] = sign_key;
	keys.role[HDMS_ROLE_ENCRYPT] = encryption_key;
	keys.role[HDMS_ROLE_VRF] = vrf_key;
	keys.recovery = recovery_key;
	insist(hdms_history_create(HDMS_PERSON, NULL, &keys, NOW, &json));
	person = parsed(json);
	keys.role[HDMS_ROLE_SIGN] = next_sign_key;
	insist(hdms_history_extend(person, &keys, sign_key, hdms_key_thumbprint(sign_key), NOW + 5, NOW + 10, &json));
	longer = parsed(json);
	hdms_key_free(encryption_key);
	hdms_key_free(vrf_key);
	return 0;
}

/* What was accepted must be printed as what is accepted again, and its current keys must be current. */
static void
check_accepted(const HdmsHistory *history)
{
	const char *json = hdms_history_json(history);
	const HdmsKey *current = hdms_history_current(history, HDMS_ROLE_SIGN);
	HdmsHistory *again = NULL;

	insist(hdms_history_parse(json, strlen(json), &again));
	if (hdms_history_compare(history, again) != 0 || current == NULL ||
		hdms_history_find(history, HDMS_ROLE_SIGN, hdms_key_thumbprint(current), 0) != current ||
		hdms_history_find_ever(history, HDMS_ROLE_SIGN, hdms_history_node_id(history)) == NULL)
		abort();
	hdms_history_free(again);
}

/* The entry of that number with claims of the input, signed again by its right signer. */
static void
parse_overlaid(int seq, json_t *overlay, const HdmsKey *signer, bool header_jwk)
{
	const char *entry = hdms_history_entry(longer, seq);
	HdmsBytes	payload = {0};
	json_t	   *claims = NULL;
	char	   *jws = NULL;
	char	   *json = NULL;
	HdmsHistory *history = NULL;

	insist(hdms_jws_peek_payload(entry, strlen(entry), &payload));
	insist(hdms_claims_parse((const char *) payload.data, payload.len, &claims));
	json_object_update(claims, overlay);
	insist(hdms_jws_sign_claims(signer, HDMS_TYP_KEYS, header_jwk, claims, &jws));
	if (asprintf(&json, seq == 0 ? "[%s%s\"%s\"]" : "[\"%s\"%s\"%s\"]", seq == 0 ? "" : hdms_history_entry(longer, 0),
				 seq == 0 ? "" : ",", jws) < 0)
		abort();
	if (hdms_history_parse(json, strlen(json), &history) == HDMS_OK)
	{
		check_accepted(history);

		/* Nothing but the keys, the times and the commitment is open to a change. */
		if (hdms_history_kind(history) != HDMS_PERSON || strcmp(hdms_history_node_id(history), hdms_history_node_id(longer)) != 0 ||
			(header_jwk && strcmp(hdms_history_recovery(history), hdms_key_thumbprint(recovery_key)) == 0))
			abort();
	}
	hdms_history_free(history);
	free(json);
	free(jws);
	json_decref(claims);
	hdms_bytes_free(&payload);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	HdmsHistory *history = NULL;
	json_t	   *overlay = NULL;

	if (hdms_history_parse((const char *) data, size, &history) == HDMS_OK)
		check_accepted(history);
	hdms_history_free(history);
	if (hdms_claims_parse((const char *) data, size, &overlay) != HDMS_OK)
		return 0;
	parse_overlaid(0, overlay, sign_key, false);
	parse_overlaid(1, overlay, sign_key, false);
	parse_overlaid(1, overlay, recovery_key, true);
	json_decref(overlay);
	return 0;
}
