/*
 * courier.c
 *		One pairing's dealings with its server: who we are, before anything is fetched or put.
 *
 * The steps follow from what is stored, not from what was done last: registered, the network's and the institution's keys known, a session open, then
 * the mailbox. So a crash, or a server that lost everything, only means that a step is taken again.
 */
#include "courier.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "flow.h"
#include "jwe.h"
#include "notary_list.h"
#include "wire.h"

#define SMALL_ANSWER	(64 * 1024)
#define LARGE_ANSWER	(2 * 1024 * 1024)
#define SESSION_MARGIN	INT64_C(300000)
#define SESSION_RETRY	INT64_C(600000)
#define KEY_REFUSED_REST INT64_C(60000)	/* between registrations for a refused signature */
#define HOURS_12		INT64_C(43200000)

Courier *
courier_create(HdmsEngine *engine, Pairing *pairing)
{
	Courier    *courier = calloc(1, sizeof(*courier));

	if (courier == NULL)
		return NULL;
	courier->engine = engine;
	courier->pairing = pairing;
	courier->put_limit = PUT_LIMIT;
	pairing->put_due = true;
	return courier;
}

void
courier_free(Courier *courier)
{
	if (courier == NULL)
		return;
	http_drop(engine_http(courier->engine), courier->step);
	http_drop(engine_http(courier->engine), courier->put);
	outbox_items_free(courier->items, courier->item_count);
	free(courier->acks);
	OPENSSL_cleanse(courier, sizeof(*courier));
	free(courier);
}

/* Whether a put may start once put_not_before has come: there is a session, or it was given up for now. */
static bool
put_is_possible(const Courier *courier)
{
	const Pairing *pairing = courier->pairing;

	return courier->put == NULL && pairing->put_due && !courier->put_answered && (pairing->status == PAIRING_SENT || pairing->status == PAIRING_PAIRED) &&
		!courier->must_register && (courier->session[0] != '\0' || engine_clock() < courier->no_session_before);
}

int64_t
courier_timer(const Courier *courier)
{
	int64_t		at = INT64_MAX;

	if (courier->step == NULL && !courier->round_pending &&
		(courier->pairing->status != PAIRING_REFUSED || courier->ack_count > 0))
		at = courier->not_before;
	if (put_is_possible(courier) && courier->put_not_before < at)
		at = courier->put_not_before;
	return at;
}

bool
courier_ack(Courier *courier, const char *transport)
{
	if (courier->ack_count == courier->ack_size)
	{
		size_t		size = courier->ack_size ? courier->ack_size * 2 : 16;
		void	   *bigger = realloc(courier->acks, size * sizeof(*courier->acks));

		if (bigger == NULL)
			return false;		/* the server gives it again, and it is acknowledged then */
		courier->acks = bigger;
		courier->ack_size = size;
	}
	memcpy(courier->acks[courier->ack_count++], transport, HDMS_DIGEST_TEXT + 1);
	return true;
}

void
courier_signing(const Courier *courier, HttpRequest *request)
{
	request->signing = HTTP_KEY;
	if (courier->session[0] == '\0')
		return;
	request->signing = HTTP_SESSION;
	request->session = courier->session;
	request->session_secret = courier->secret;
}

void
courier_failed(Courier *courier, const HttpAnswer *answer, const char *what)
{
	const NodeConfig *config = &courier->pairing->home->config;
	int64_t		delay = backoff(config->retry_initial, config->retry_max, courier->failures);

	if (answer != NULL && answer->retry_after > delay)
		delay = answer->retry_after < config->retry_max ? answer->retry_after : config->retry_max;
	if (answer != NULL && answer->problem != NULL)
		snprintf(courier->pairing->unreachable, sizeof(courier->pairing->unreachable), "%s", answer->problem);

	/* Being told once to come back later is nothing to write about. */
	if (courier->failures == (answer != NULL && answer->status == 429))
		home_log(courier->pairing->home, "pairing %lld: %s failed: %s (HTTP %d)", (long long) courier->pairing->id, what,
				 answer && answer->problem ? answer->problem : "no usable answer", answer ? answer->status : 0);
	courier->failures++;
	courier->not_before = engine_clock() + delay;
}

/* Writes a pairing's row in a transaction of its own. */
static bool
pairing_write(Pairing *pairing)
{
	Store	   *store = pairing->home->store;

	if (store_begin(store) && pairing_save(pairing) && store_commit(store))
		return true;
	home_log(pairing->home, "cannot write: %s", store_error(store));
	store_rollback(store);
	return false;
}

static void
pairing_end(Pairing *pairing, const char *problem)
{
	pairing->status = PAIRING_REFUSED;
	snprintf(pairing->problem, sizeof(pairing->problem), "%s", problem);
	OPENSSL_cleanse(pairing->secret, sizeof(pairing->secret));
	home_log(pairing->home, "pairing %lld has ended: %s", (long long) pairing->id, problem);
	(void) pairing_write(pairing);
	home_changed(pairing->home);
}

/* The mailbox of another epoch may have lost what was put: put it again. */
static void
epoch_seen(Courier *courier, const char *epoch)
{
	Pairing    *pairing = courier->pairing;
	Store	   *store = pairing->home->store;
	bool		good;

	if (epoch[0] == '\0' || strcmp(epoch, pairing->epoch) == 0)
		return;
	good = store_begin(store) && (pairing->epoch[0] == '\0' || outbox_again(pairing));
	snprintf(pairing->epoch, sizeof(pairing->epoch), "%s", epoch);
	if (!good || !pairing_save(pairing) || !store_commit(store))
	{
		store_rollback(store);
		pairing->epoch[0] = '\0';
	}
}

/* Whether the node's keys were ever replaced. */
static bool
pairing_has_later_keys(const Pairing *pairing)
{
	HdmsHistory *history = NULL;
	bool		has;

	if (pairing->status <= PAIRING_NEW || hdms_history_parse(pairing->history, strlen(pairing->history), &history) != HDMS_OK)
		return false;
	has = hdms_history_length(history) > 1;
	hdms_history_free(history);
	return has;
}

bool
courier_common(Courier *courier, const HttpAnswer *answer)
{
	HdmsHome   *home = courier->pairing->home;
	char		word[48] = "";
	char	   *detail = NULL;
	int64_t		now = 0;
	bool		taken = true;

	if (answer->status >= 200 && answer->status < 300)
	{
		courier->pairing->unreachable[0] = '\0';
		epoch_seen(courier, answer->epoch);
	}
	if (answer->status != 401)
		return false;
	(void) hdms_wire_problem_parse(answer->body, answer->len, word, &detail, &now);
	free(detail);
	if (strcmp(word, "clock-skew") == 0 && now > 0)
	{
		int64_t		offset = home->clock_offset + (now * 1000 - home_now_ms(home));

		/* The same answer twice in a row is not about the clock. */
		taken = llabs(offset - home->clock_offset) > 1000;
		(void) home_clock_learn(home, offset);
	}
	else if (strcmp(word, "unknown-node") == 0)
	{
		courier->must_register = true;
		courier->session[0] = '\0';
		taken = courier->pairing->status > PAIRING_NEW;
	}
	else if (courier->session[0] != '\0')
	{
		/* unknown-session, or a session that is not accepted: sign by key meanwhile. */
		courier->session[0] = '\0';
		if (strcmp(word, "unknown-session") != 0)
			courier->no_session_before = engine_clock() + SESSION_RETRY;
	}
	else if (strcmp(word, "bad-signature") == 0 && pairing_has_later_keys(courier->pairing) && engine_clock() >= courier->no_register_before)
	{
		/* A server that was put back from a backup may know this node by keys that were replaced since. */
		courier->no_register_before = engine_clock() + KEY_REFUSED_REST;
		courier->must_register = true;
	}
	else
		taken = strcmp(word, "replayed") == 0;
	if (taken)
		courier->not_before = engine_clock() + (courier->failures > 2 ? 1000 : 0);
	courier->failures += taken;
	return taken;
}

static void
step_start(Courier *courier, const HttpRequest *request, const char *what)
{
	courier->step = http_start(engine_http(courier->engine), request);
	if (courier->step == NULL)
		courier_failed(courier, NULL, what);
}

/* The end of a step that went well. */
static void
step_done(Courier *courier)
{
	courier->failures = 0;
	courier->not_before = 0;
	engine_wake(courier->engine, courier->pairing);
}

/* After a rotation: the server has the new keys, so the institution is told. */
static void
keys_tell(Pairing *pairing)
{
	Store	   *store = pairing->home->store;
	Peer	   *institution = NULL;
	bool		good;

	pairing->keys_due = false;
	good = store_begin(store) && peer_find(pairing->home, pairing->peer, &institution) && institution != NULL &&
		flow_send_keys(pairing, institution) && pairing_save(pairing) && store_commit(store);
	if (good)
		return;
	pairing->keys_due = true;
	pairing->is_told = false;	/* both again */
	home_log(pairing->home, "cannot write: %s", store_error(store));
	store_rollback(store);
}

static void
register_done(void *arg, const HttpAnswer *answer)
{
	Courier    *courier = arg;
	Pairing    *pairing = courier->pairing;
	char		word[48] = "";
	char	   *detail = NULL;
	int64_t		now;
	char		problem[120];

	courier->step = NULL;
	engine_wake(courier->engine, pairing);
	if (courier_common(courier, answer))
		return;
	if (answer->status == 200 || answer->status == 201)
	{
		if (courier->must_register)
		{
			home_log(pairing->home, "pairing %lld: registered again", (long long) pairing->id);
			courier->must_register = false;
			(void) (store_begin(pairing->home->store) && outbox_again(pairing) && store_commit(pairing->home->store));
			store_rollback(pairing->home->store);
		}
		if (pairing->status == PAIRING_NEW || courier->tells)
		{
			PairingStatus before = pairing->status;

			pairing->status = before == PAIRING_NEW ? PAIRING_REGISTERED : before;
			pairing->is_told = courier->tells;
			if (!pairing_write(pairing))
				pairing->status = before;
			else if (pairing->keys_due && pairing->status == PAIRING_PAIRED)
				keys_tell(pairing);
		}
		step_done(courier);
		return;
	}

	/* To have the membership kept, too, is nothing to wait for: the next start tries again. */
	if (courier->tells && !courier->must_register && pairing->status == PAIRING_PAIRED && !pairing->keeps_keys &&
		answer->status >= 400 && answer->status < 500 && answer->status != 429)
	{
		pairing->is_told = true;
		step_done(courier);
		return;
	}

	/* A voucher that is refused stays refused; a membership may be good again once the institution has registered again. */
	if (pairing->status == PAIRING_NEW && (answer->status == 400 || answer->status == 403 || answer->status == 409 || answer->status == 410))
	{
		(void) hdms_wire_problem_parse(answer->body, answer->len, word, &detail, &now);
		free(detail);
		snprintf(problem, sizeof(problem), "the server does not let this node in: %s", word[0] ? word : "no reason given");
		pairing_end(pairing, problem);
		return;
	}
	courier_failed(courier, answer, "registration");
}

static void
step_register(Courier *courier)
{
	Pairing    *pairing = courier->pairing;
	HdmsRegistration registration = {.history = pairing->history};
	HttpRequest request = {.pairing = pairing, .method = "POST", .path = "/v1/nodes", .query = "", .signing = HTTP_KEY, .max_answer = SMALL_ANSWER,
	.timeout = pairing->home->config.request_timeout, .done = register_done, .arg = courier};

	registration.voucher = pairing->membership ? pairing->membership : pairing->voucher;
	courier->tells = pairing->membership != NULL;
	if (hdms_wire_registration_print(&registration, &request.body) != HDMS_OK)
	{
		courier_failed(courier, NULL, "registration");
		return;
	}
	request.body_len = strlen(request.body);
	step_start(courier, &request, "registration");
}

static void
network_done(void *arg, const HttpAnswer *answer)
{
	Courier    *courier = arg;
	Pairing    *pairing = courier->pairing;
	Store	   *store = pairing->home->store;
	char	   *jwk = NULL;
	char	   *notaries = NULL;
	char		digest[HDMS_DIGEST_TEXT + 1];
	HdmsKey    *key = NULL;

	courier->step = NULL;
	engine_wake(courier->engine, pairing);
	if (answer->status != 200 || hdms_wire_network_parse(answer->body, answer->len, &jwk, &notaries) != HDMS_OK ||
		hdms_key_from_jwk(jwk, strlen(jwk), &key) != HDMS_OK)
		courier_failed(courier, answer, "asking for the network");
	else if (strcmp(hdms_key_thumbprint(key), pairing->network) != 0)
		pairing_end(pairing, "the server's network is not the one of the code");
	else
	{
		hdms_key_free(pairing->network_key);
		pairing->network_key = key;
		key = NULL;

		/* The newest list is probably the one that the first record pins. */
		if (store_begin(store) && pairing_save(pairing) &&
			hdms_sha256_text(notaries, strlen(notaries), digest) == HDMS_OK &&
			notary_list_learn(pairing->home, pairing, digest, notaries, strlen(notaries)) != HDMS_OUT_OF_MEMORY && store_commit(store))
			step_done(courier);
		else
		{
			store_rollback(store);
			courier_failed(courier, answer, "keeping the network's key");
		}
	}
	hdms_key_free(key);
	free(jwk);
	free(notaries);
}

/* Checks the institution's admission and sends "pair". NULL, or why the pairing ends. "": try again later. */
static const char *
institution_take(Courier *courier, const HdmsNodeEntry *entry)
{
	Pairing    *pairing = courier->pairing;
	Store	   *store = pairing->home->store;
	HdmsAdmission admission;
	Peer	   *institution = NULL;
	const char *problem = "";
	PeerLesson	lesson;

	if (strcmp(entry->status, "active") != 0)
		return entry->status[0] == 'f' ? "the institution's node is frozen" : "";
	if (entry->admission == NULL)
		return "the institution has no admission to the network";
	if (!store_begin(store))
		return "";
	lesson = peer_learn(pairing->home, pairing->peer, entry->history, entry->admission, &institution);
	if (lesson == PEER_FALSE)
		problem = "the server offered a false key of the institution";
	else if (lesson != PEER_FAILED)
	{
		if (hdms_history_kind(institution->history) != HDMS_INSTITUTION ||
			hdms_admission_verify(entry->admission, strlen(entry->admission), pairing->network_key, institution->history, &admission) != HDMS_OK)
			problem = "the institution is not admitted to the network";
		else if (pairing->is_recovering)
			problem = flow_recover(pairing, institution);
		else if (flow_pair(pairing, institution))
			problem = NULL;
	}
	if ((problem != NULL && problem[0] == '\0') || !store_commit(store))
	{
		store_rollback(store);
		return "";
	}
	return problem;
}

static void
institution_done(void *arg, const HttpAnswer *answer)
{
	Courier    *courier = arg;
	HdmsNodeEntry entry = {0};
	const char *problem = "";

	courier->step = NULL;
	engine_wake(courier->engine, courier->pairing);
	if (courier_common(courier, answer))
		return;
	if (answer->status == 200 && hdms_wire_node_parse(answer->body, answer->len, &entry) == HDMS_OK)
		problem = institution_take(courier, &entry);
	hdms_wire_node_free(&entry);
	if (problem == NULL)
		step_done(courier);
	else if (problem[0] != '\0')
		pairing_end(courier->pairing, problem);
	else
		courier_failed(courier, answer, "asking for the institution");
}

static void
step_institution(Courier *courier)
{
	Pairing    *pairing = courier->pairing;
	char		path[80];
	HttpRequest request = {.pairing = pairing, .method = "GET", .query = "", .max_answer = LARGE_ANSWER, .timeout = pairing->home->config.request_timeout,
	.arg = courier};

	if (pairing->network_key == NULL)
	{
		request.path = "/v1/network";
		request.signing = HTTP_PUBLIC;
		request.done = network_done;
	}
	else
	{
		snprintf(path, sizeof(path), "/v1/nodes/%s", pairing->peer);
		request.path = path;
		request.signing = HTTP_KEY;
		request.done = institution_done;
	}
	step_start(courier, &request, "asking for the institution");
}

static void
session_done(void *arg, const HttpAnswer *answer)
{
	Courier    *courier = arg;
	Pairing    *pairing = courier->pairing;
	HdmsSession session = {0};
	HdmsBytes	secret = {0};
	int64_t		left;

	courier->step = NULL;
	engine_wake(courier->engine, pairing);
	if (courier_common(courier, answer))
		return;
	if (answer->status == 201 && hdms_wire_session_parse(answer->body, answer->len, &session) == HDMS_OK &&
		hdms_jwe_open(session.secret, strlen(session.secret), pairing->encrypt, HDMS_TYP_SESSION, &secret) == HDMS_OK && secret.len == sizeof(courier->secret))
	{
		left = (session.expires - home_now(pairing->home)) * 1000;
		strcpy(courier->session, session.id);
		memcpy(courier->secret, secret.data, sizeof(courier->secret));
		courier->session_ends = engine_clock() + (left < HOURS_12 ? left : HOURS_12) - SESSION_MARGIN;
		step_done(courier);
	}
	else if ((answer->status == 0 || answer->status >= 500) && courier->failures < 2)
		courier_failed(courier, answer, "opening a session");
	else
	{
		/* A server without sessions, or one whose sessions cannot be opened: signatures by key do as well. */
		courier->no_session_before = engine_clock() + SESSION_RETRY;
		step_done(courier);
	}
	hdms_bytes_wipe(&secret);
	free(session.secret);
}

static void
step_session(Courier *courier)
{
	HttpRequest request = {.pairing = courier->pairing, .method = "POST", .path = "/v1/sessions", .query = "", .signing = HTTP_KEY, .nonce = true,
	.max_answer = SMALL_ANSWER, .timeout = courier->pairing->home->config.request_timeout, .done = session_done, .arg = courier};

	courier->session[0] = '\0';
	step_start(courier, &request, "opening a session");
}

void
courier_rotated(Pairing *pairing)
{
	Courier    *courier = pairing->courier;

	if (courier == NULL)
		return;
	http_drop(engine_http(courier->engine), courier->step);
	courier->step = NULL;
	courier->session[0] = '\0';
	courier->not_before = 0;
	engine_wake(courier->engine, pairing);
}

void
courier_run(Courier *courier)
{
	Pairing    *pairing = courier->pairing;
	int64_t		now = engine_clock();

	if (courier->step == NULL && !courier->round_pending && now >= courier->not_before)
	{
		if (pairing->status == PAIRING_NEW || courier->must_register || (pairing->status == PAIRING_PAIRED && !pairing->is_told))
			step_register(courier);
		else if (pairing->status == PAIRING_REGISTERED)
			step_institution(courier);
		else if (pairing->status == PAIRING_REFUSED && courier->ack_count == 0)
			return;
		else if ((courier->session[0] == '\0' || now >= courier->session_ends) && now >= courier->no_session_before &&
				 pairing->status != PAIRING_REFUSED)
			step_session(courier);
		else
			mailbox_fetch(courier);
	}
	if (put_is_possible(courier) && now >= courier->put_not_before)
		dispatch_put(courier);
}
