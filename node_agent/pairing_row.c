/*
 * pairing_row.c
 *		The keys and rows of pairings.
 *
 * Each pairing is a node of its own, so that two institutions cannot find out that they know the same person. All P-256 keys come
 * from the home's seed by the pairing's number; RSA keys are random and kept sealed in the row.
 */
#include "pairing_row.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "url.h"

#define RSA_BITS 3072

const char *
pairing_status_word(PairingStatus status)
{
	static const char *const words[] = {"new", "registered", "sent", "paired", "refused"};

	return words[status];
}

void
pairing_free(Pairing *pairing)
{
	if (pairing == NULL)
		return;
	hdms_string_wipe(pairing->voucher);
	free(pairing->server);
	free(pairing->membership);
	free(pairing->name);
	free(pairing->history);
	free(pairing->acks);
	hdms_key_free(pairing->network_key);
	hdms_key_free(pairing->sign);
	hdms_key_free(pairing->encrypt);
	hdms_key_free(pairing->vrf);
	for (int i = 0; i < pairing->encrypt_before_count; i++)
		hdms_key_free(pairing->encrypt_before[i]);
	OPENSSL_cleanse(pairing, sizeof(*pairing));
	free(pairing);
}

/* ids ascend in the array, because rows are only ever added. */
Pairing *
pairing_find(const HdmsHome *home, int64_t id)
{
	size_t		low = 0;
	size_t		high = home->pairing_count;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (home->pairings[middle]->id == id)
			return home->pairings[middle];
		if (home->pairings[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool
pairing_keep(HdmsHome *home, Pairing *pairing)
{
	if (home->pairing_count == home->pairing_size)
	{
		size_t		size = home->pairing_size ? home->pairing_size * 2 : 8;
		Pairing   **bigger = realloc(home->pairings, size * sizeof(*bigger));

		if (bigger == NULL)
			return store_fail(home->store, "out of memory");
		home->pairings = bigger;
		home->pairing_size = size;
	}
	home->pairings[home->pairing_count++] = pairing;
	return true;
}

bool
pairing_ack(Pairing *pairing, const char *jti)
{
	if (pairing->ack_count == pairing->ack_size)
	{
		size_t		size = pairing->ack_size ? pairing->ack_size * 2 : 8;
		void	   *bigger = realloc(pairing->acks, size * sizeof(*pairing->acks));

		if (bigger == NULL)
			return store_fail(pairing->home->store, "out of memory");
		pairing->acks = bigger;
		pairing->ack_size = size;
	}
	memcpy(pairing->acks[pairing->ack_count++], jti, 37);
	return true;
}

static HdmsStatus
derive_keys(Pairing *pairing)
{
	const unsigned char *seed = pairing->home->seed;
	HdmsStatus	status = HDMS_OK;

	if (pairing->sign == NULL)
		status = hdms_key_derive(seed, "hdms-sign", pairing->number, &pairing->sign);
	if (status == HDMS_OK && pairing->encrypt == NULL)
		status = hdms_key_derive(seed, "hdms-encrypt", pairing->number, &pairing->encrypt);
	if (status == HDMS_OK)
		status = hdms_key_derive(seed, "hdms-vrf", pairing->number, &pairing->vrf);
	return status;
}

HdmsStatus
pairing_recovery_key(const HdmsHome *home, uint32_t number, uint32_t generation, HdmsKey **key)
{
	char		label[32] = "hdms-recovery";

	if (generation > 0)
		snprintf(label, sizeof(label), "hdms-recovery/%u", generation);
	return hdms_key_derive(home->seed, label, number, key);
}

static HdmsStatus
make_node(Pairing *pairing)
{
	HdmsKey    *recovery = NULL;
	HdmsNodeKeys keys = {.recovery = NULL};
	HdmsStatus	status = HDMS_OK;

	if (pairing->home->suite == HDMS_SUITE_RSA)
	{
		pairing->keeps_keys = true;
		status = hdms_key_generate(HDMS_KEY_RSA, RSA_BITS, &pairing->sign);
		if (status == HDMS_OK)
			status = hdms_key_generate(HDMS_KEY_RSA, RSA_BITS, &pairing->encrypt);
	}
	if (status == HDMS_OK)
		status = derive_keys(pairing);
	if (status == HDMS_OK)
		status = pairing_recovery_key(pairing->home, pairing->number, 0, &recovery);
	if (status == HDMS_OK)
	{
		keys.role[HDMS_ROLE_SIGN] = pairing->sign;
		keys.role[HDMS_ROLE_ENCRYPT] = pairing->encrypt;
		keys.role[HDMS_ROLE_VRF] = pairing->vrf;
		keys.recovery = recovery;
		status = hdms_history_create(HDMS_PERSON, NULL, &keys, home_now(pairing->home), &pairing->history);
	}
	if (status == HDMS_OK)
		strcpy(pairing->node, hdms_key_thumbprint(pairing->sign));
	hdms_key_free(recovery);
	return status;
}

static bool
add_text(json_t *object, const char *name, const char *value)
{
	return value == NULL || value[0] == '\0' || json_object_set_new(object, name, json_string(value)) == 0;
}

/* A private key as JWK, for suites whose keys do not come from the seed. */
static bool
add_private(json_t *object, const char *name, const HdmsKey *key)
{
	char	   *jwk = NULL;
	bool		good = hdms_key_to_jwk(key, true, &jwk) == HDMS_OK && add_text(object, name, jwk);

	hdms_string_wipe(jwk);
	return good;
}

static bool
add_old_keys(json_t *object, const Pairing *pairing)
{
	char		name[32];

	for (int i = 0; i < pairing->encrypt_before_count; i++)
	{
		snprintf(name, sizeof(name), "encrypt_before_%d", i);
		if (!add_private(object, name, pairing->encrypt_before[i]))
			return false;
	}
	return true;
}

static bool
add_flag(json_t *object, const char *name, bool is_set)
{
	return !is_set || json_object_set_new(object, name, json_true()) == 0;
}

static char *
pairing_print(const Pairing *pairing)
{
	json_t	   *object = json_object();
	char		secret[HDMS_BASE64URL_SIZE(HDMS_PAIRING_SECRET_SIZE)];
	char	   *network_jwk = NULL;
	char	   *text = NULL;
	bool		good = object != NULL;

	hdms_base64url_write(pairing->secret, sizeof(pairing->secret), secret);
	if (good && pairing->network_key != NULL)
		good = hdms_key_to_jwk(pairing->network_key, false, &network_jwk) == HDMS_OK;
	good = good && add_text(object, "server", pairing->server) && add_text(object, "network", pairing->network) &&
		add_text(object, "network_jwk", network_jwk) && add_text(object, "invitation", pairing->invitation) &&
		add_text(object, "secret", secret) && add_text(object, "voucher", pairing->voucher) &&
		add_text(object, "membership", pairing->membership) && add_text(object, "name", pairing->name) &&
		add_text(object, "history", pairing->history) && add_text(object, "code", pairing->code) &&
		add_text(object, "problem", pairing->problem);
	if (good && pairing->keeps_keys)
		good = add_private(object, "sign", pairing->sign) && add_private(object, "encrypt", pairing->encrypt) && add_old_keys(object, pairing);
	good = good && add_flag(object, "told", pairing->is_told) && add_flag(object, "replaced", pairing->is_replaced) &&
		add_flag(object, "rotate_due", pairing->rotate_due) && add_flag(object, "keys_due", pairing->keys_due) &&
		add_flag(object, "recovering", pairing->is_recovering) &&
		add_flag(object, "follows_erasures", pairing->follows_erasures);
	if (good)
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	free(network_jwk);
	OPENSSL_cleanse(secret, sizeof(secret));
	return text;
}

static bool
read_key(const json_t *object, const char *name, HdmsKey **key)
{
	const json_t *value = json_object_get(object, name);

	return value == NULL || hdms_key_from_jwk(json_string_value(value), json_string_length(value), key) == HDMS_OK;
}

static bool
read_text(const json_t *object, const char *name, char **text)
{
	const json_t *value = json_object_get(object, name);

	return value == NULL || (*text = strdup(json_string_value(value))) != NULL;
}

static void
read_into(const json_t *object, const char *name, char *text, size_t size)
{
	const json_t *value = json_object_get(object, name);

	if (value != NULL && json_string_length(value) < size)
		strcpy(text, json_string_value(value));
}

static bool
read_old_keys(const json_t *object, Pairing *pairing)
{
	char		name[32];

	for (int i = 0; i < PAIRING_OLD_KEYS; i++)
	{
		snprintf(name, sizeof(name), "encrypt_before_%d", i);
		if (!read_key(object, name, &pairing->encrypt_before[i]))
			return false;
		if (pairing->encrypt_before[i] == NULL)
			break;
		pairing->encrypt_before_count++;
	}
	return true;
}

static bool
pairing_parse(Pairing *pairing, const HdmsBytes *text)
{
	json_t	   *object = json_loadb((const char *) text->data, text->len, JSON_REJECT_DUPLICATES, NULL);
	char		secret[64] = "";
	bool		good = object != NULL;

	if (good)
	{
		read_into(object, "network", pairing->network, sizeof(pairing->network));
		read_into(object, "invitation", pairing->invitation, sizeof(pairing->invitation));
		read_into(object, "code", pairing->code, sizeof(pairing->code));
		read_into(object, "problem", pairing->problem, sizeof(pairing->problem));
		read_into(object, "secret", secret, sizeof(secret));
		pairing->is_told = json_is_true(json_object_get(object, "told"));
		pairing->is_replaced = json_is_true(json_object_get(object, "replaced"));
		pairing->rotate_due = json_is_true(json_object_get(object, "rotate_due"));
		pairing->keys_due = json_is_true(json_object_get(object, "keys_due"));
		pairing->is_recovering = json_is_true(json_object_get(object, "recovering"));
		pairing->keeps_keys = json_object_get(object, "sign") != NULL;
		pairing->follows_erasures = json_is_true(json_object_get(object, "follows_erasures"));
		good = read_text(object, "server", &pairing->server) && read_text(object, "voucher", &pairing->voucher) &&
			read_text(object, "membership", &pairing->membership) && read_text(object, "name", &pairing->name) &&
			read_text(object, "history", &pairing->history) && read_key(object, "network_jwk", &pairing->network_key) &&
			read_key(object, "sign", &pairing->sign) && read_key(object, "encrypt", &pairing->encrypt) && read_old_keys(object, pairing) &&
			hdms_base64url_read(secret, strlen(secret), pairing->secret, sizeof(pairing->secret)) == HDMS_OK &&
			derive_keys(pairing) == HDMS_OK;
	}
	json_decref(object);
	OPENSSL_cleanse(secret, sizeof(secret));
	return good && pairing->server != NULL && pairing->history != NULL;
}

bool
pairing_save(Pairing *pairing)
{
	Store	   *store = pairing->home->store;
	sqlite3_stmt *statement;
	char	   *text = pairing_print(pairing);
	bool		good;

	if (text == NULL)
		return store_fail(store, "out of memory");
	statement = store_statement(store, "INSERT INTO pairing (id, number, status, accept, node, peer, created, epoch, sealed)"
								" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
								" ON CONFLICT (id) DO UPDATE SET status = excluded.status, accept = excluded.accept, epoch = excluded.epoch,"
								" sealed = excluded.sealed");
	good = statement != NULL && store_bind_digest(store, statement, 5, pairing->node) && store_bind_digest(store, statement, 6, pairing->peer) &&
		store_bind_sealed(store, statement, 9, "pairing", pairing->id, text, strlen(text), true);
	if (good)
	{
		sqlite3_bind_int64(statement, 1, pairing->id);
		sqlite3_bind_int64(statement, 2, pairing->number);
		sqlite3_bind_int(statement, 3, (int) pairing->status);
		sqlite3_bind_int(statement, 4, pairing->accept);
		sqlite3_bind_int64(statement, 7, home_now_ms(pairing->home));
		sqlite3_bind_text(statement, 8, pairing->epoch, -1, SQLITE_TRANSIENT);
		good = store_run(store, statement);
	}
	hdms_string_wipe(text);
	return good;
}

bool
pairings_load(HdmsHome *home)
{
	sqlite3_stmt *statement = store_statement(home->store, "SELECT id, number, status, accept, node, peer, epoch, sealed FROM pairing ORDER BY id");
	int			row;

	while ((row = store_next(home->store, statement)) == 1)
	{
		Pairing    *pairing = calloc(1, sizeof(*pairing));
		HdmsBytes	text = {0};
		bool		good = pairing != NULL;

		if (good)
		{
			pairing->home = home;
			pairing->id = sqlite3_column_int64(statement, 0);
			pairing->number = (uint32_t) sqlite3_column_int64(statement, 1);
			pairing->status = (PairingStatus) sqlite3_column_int(statement, 2);
			pairing->accept = sqlite3_column_int(statement, 3) != 0;
			pairing->put_due = true;
			store_column_digest(statement, 4, pairing->node);
			store_column_digest(statement, 5, pairing->peer);
			if (sqlite3_column_bytes(statement, 6) < (int) sizeof(pairing->epoch) && sqlite3_column_text(statement, 6) != NULL)
				strcpy(pairing->epoch, (const char *) sqlite3_column_text(statement, 6));
			good = store_column_sealed(home->store, statement, 7, "pairing", pairing->id, true, &text);
			if (good && !pairing_parse(pairing, &text))
				good = store_fail(home->store, "a pairing's row cannot be read");
			hdms_bytes_wipe(&text);
		}
		if (!good || !pairing_keep(home, pairing))
		{
			pairing_free(pairing);
			sqlite3_reset(statement);
			return false;
		}
	}
	return row == 0;
}

static Pairing *
pairing_by_invitation(const HdmsHome *home, const HdmsPairing *invitation)
{
	for (size_t i = 0; i < home->pairing_count; i++)
		if (strcmp(home->pairings[i]->invitation, invitation->invitation) == 0 && strcmp(home->pairings[i]->peer, invitation->node) == 0)
			return home->pairings[i];
	return NULL;
}

void
pairing_drop(HdmsHome *home, Pairing *pairing)
{
	if (home->pairing_count > 0 && home->pairings[home->pairing_count - 1] == pairing)
		home->pairing_count--;
	pairing_free(pairing);
}

/* Fresh keys for a suite. */
static HdmsStatus
fresh_keys(HdmsSuite suite, HdmsKey **sign, HdmsKey **encrypt)
{
	HdmsKeyType type = suite == HDMS_SUITE_RSA ? HDMS_KEY_RSA : HDMS_KEY_P256;
	int			bits = suite == HDMS_SUITE_RSA ? RSA_BITS : 0;
	HdmsStatus	status = hdms_key_generate(type, bits, sign);

	return status == HDMS_OK ? hdms_key_generate(type, bits, encrypt) : status;
}

/*
 * The pairing's history with one entry more. recovery: the key that is committed to from now on (NULL: as before); signer: who brings the entry in; revoked
 * may be NULL.
 */
static HdmsStatus
history_continue(Pairing *pairing, const HdmsHistory *history, const HdmsKey *sign, const HdmsKey *encrypt, const HdmsKey *recovery,
				 const HdmsKey *signer, const char *revoked, char **json)
{
	HdmsNodeKeys keys = {.recovery = recovery};
	int64_t		now = home_now(pairing->home);

	keys.role[HDMS_ROLE_SIGN] = sign;
	keys.role[HDMS_ROLE_ENCRYPT] = encrypt;
	keys.role[HDMS_ROLE_VRF] = pairing->vrf;
	return hdms_history_extend(history, &keys, signer, revoked, revoked ? now : 0, now, json);
}

/* What is to be filled before the keys are made. */
static HdmsStatus
lost_take(Pairing *pairing, HdmsHome *home, const LostNode *lost)
{
	char	   *jwk = NULL;
	HdmsStatus	status;

	pairing->home = home;
	pairing->number = lost->number;
	pairing->is_recovering = true;
	pairing->keeps_keys = true;
	pairing->status = PAIRING_NEW;
	strcpy(pairing->node, hdms_history_node_id(lost->history));
	strcpy(pairing->peer, lost->institution);
	strcpy(pairing->network, lost->network);
	pairing->server = strdup(lost->server);
	pairing->membership = strdup(lost->membership);
	status = pairing->server && pairing->membership ? HDMS_OK : HDMS_OUT_OF_MEMORY;
	if (status == HDMS_OK)
		status = hdms_key_to_jwk(lost->network_key, false, &jwk);
	if (status == HDMS_OK)
		status = hdms_key_from_jwk(jwk, strlen(jwk), &pairing->network_key);
	free(jwk);
	return status == HDMS_OK ? hdms_key_derive(home->seed, "hdms-vrf", lost->number, &pairing->vrf) : status;
}

HdmsStatus
pairing_recover(HdmsHome *home, const LostNode *lost, Pairing **result)
{
	Pairing    *pairing = calloc(1, sizeof(*pairing));
	HdmsKey    *signer = NULL;
	HdmsKey    *next = NULL;
	HdmsStatus	status = pairing ? lost_take(pairing, home, lost) : HDMS_OUT_OF_MEMORY;

	if (status == HDMS_OK)
		status = pairing_recovery_key(home, lost->number, lost->generation, &signer);
	if (status == HDMS_OK)
		status = pairing_recovery_key(home, lost->number, lost->generation + 1, &next);
	if (status == HDMS_OK)
		status = fresh_keys(home->suite, &pairing->sign, &pairing->encrypt);

	/* The first encryption key opens what is still on its way to the lost device. */
	if (status == HDMS_OK && home->suite == HDMS_SUITE_P256)
	{
		status = hdms_key_derive(home->seed, "hdms-encrypt", lost->number, &pairing->encrypt_before[0]);
		pairing->encrypt_before_count = status == HDMS_OK;
	}
	if (status == HDMS_OK)
		status = history_continue(pairing, lost->history, pairing->sign, pairing->encrypt, next, signer,
								  hdms_key_thumbprint(hdms_history_current(lost->history, HDMS_ROLE_SIGN)), &pairing->history);
	if (status == HDMS_OK)
	{
		pairing->id = store_new_row(home->store, TABLE_PAIRING);
		if (!pairing_save(pairing) || !pairing_keep(home, pairing))
			status = HDMS_OUT_OF_MEMORY;
	}
	hdms_key_free(signer);
	hdms_key_free(next);
	if (status == HDMS_OK)
		*result = pairing;
	else
		pairing_free(pairing);
	return status;
}

HdmsStatus
pairing_rotate(Pairing *pairing)
{
	HdmsHistory *history = NULL;
	HdmsKey    *sign = NULL;
	HdmsKey    *encrypt = NULL;
	Pairing		before = *pairing;
	char	   *json = NULL;
	HdmsStatus	status = hdms_history_parse(pairing->history, strlen(pairing->history), &history);

	if (status == HDMS_OK)
		status = fresh_keys(pairing->home->suite, &sign, &encrypt);
	if (status == HDMS_OK)
		status = history_continue(pairing, history, sign, encrypt, NULL, pairing->sign, NULL, &json);
	hdms_history_free(history);
	if (status != HDMS_OK)
		goto cleanup;
	memmove(&pairing->encrypt_before[1], &pairing->encrypt_before[0], sizeof(pairing->encrypt_before[0]) * (PAIRING_OLD_KEYS - 1));
	pairing->encrypt_before[0] = pairing->encrypt;
	if (pairing->encrypt_before_count < PAIRING_OLD_KEYS)
		pairing->encrypt_before_count++;
	pairing->sign = sign;
	pairing->encrypt = encrypt;
	pairing->history = json;
	pairing->keeps_keys = true;
	pairing->is_told = false;
	pairing->rotate_due = false;
	pairing->keys_due = true;
	if (!store_begin(pairing->home->store) || !pairing_save(pairing) || !store_commit(pairing->home->store))
	{
		store_rollback(pairing->home->store);
		*pairing = before;
		status = HDMS_BAD_ARGUMENT;
		goto cleanup;
	}
	hdms_key_free(before.sign);
	free(before.history);
	if (before.encrypt_before_count == PAIRING_OLD_KEYS)
		hdms_key_free(before.encrypt_before[PAIRING_OLD_KEYS - 1]);
	return HDMS_OK;

cleanup:
	hdms_key_free(sign);
	hdms_key_free(encrypt);
	free(json);
	return status;
}

/* Numbers are never used again, even when a pairing was refused: its keys are known to a server. */
static uint32_t
next_number(const HdmsHome *home)
{
	uint32_t	next = 0;

	for (size_t i = 0; i < home->pairing_count; i++)
		if (home->pairings[i]->number >= next)
			next = home->pairings[i]->number + 1;
	return next;
}

HdmsNodeResult
pairing_create(HdmsHome *home, const char *uri, Pairing **result, HdmsNodeError *error)
{
	HdmsPairing invitation = {0};
	Pairing    *pairing = NULL;
	HdmsStatus	status = hdms_pairing_parse(uri, strlen(uri), &invitation);
	HdmsNodeResult ended;

	if (status != HDMS_OK)
		return node_error(error, HDMS_NODE_BAD_ARGUMENT, "this is not a pairing code: %s", hdms_status_sentence(status));
	if (!url_allowed(invitation.server, home->config.allow_http))
	{
		ended = node_error(error, HDMS_NODE_REFUSED, "the server of this code is not reached by https");
		goto cleanup;
	}
	if ((*result = pairing_by_invitation(home, &invitation)) != NULL)
	{
		ended = HDMS_NODE_OK;
		goto cleanup;
	}
	pairing = calloc(1, sizeof(*pairing));
	if (pairing == NULL)
	{
		ended = node_error(error, HDMS_NODE_FAILED, "out of memory");
		goto cleanup;
	}
	pairing->home = home;
	pairing->number = next_number(home);
	pairing->accept = home->config.accept_all;
	strcpy(pairing->peer, invitation.node);
	strcpy(pairing->network, invitation.network);
	strcpy(pairing->invitation, invitation.invitation);
	memcpy(pairing->secret, invitation.secret, sizeof(pairing->secret));
	pairing->server = strdup(invitation.server);
	pairing->voucher = strdup(invitation.voucher);
	status = pairing->server && pairing->voucher ? make_node(pairing) : HDMS_OUT_OF_MEMORY;
	if (status != HDMS_OK)
	{
		ended = node_error(error, HDMS_NODE_FAILED, "cannot make the keys: %s", hdms_status_sentence(status));
		goto cleanup;
	}
	pairing->id = store_new_row(home->store, TABLE_PAIRING);
	if (!store_begin(home->store) || !pairing_save(pairing) || !pairing_keep(home, pairing))
	{
		ended = node_error(error, HDMS_NODE_STORAGE, "cannot store the pairing: %s", store_error(home->store));
		store_rollback(home->store);
		goto cleanup;
	}
	if (!store_commit(home->store))
	{
		home->pairing_count--;
		ended = node_error(error, HDMS_NODE_STORAGE, "cannot store the pairing: %s", store_error(home->store));
		goto cleanup;
	}
	*result = pairing;
	pairing = NULL;
	ended = HDMS_NODE_OK;

cleanup:
	pairing_free(pairing);
	hdms_pairing_free(&invitation);
	return ended;
}
