/*
 * join.c
 *		How this database becomes a node, and stays one.
 *
 * hdms.join_network() writes a row; everything else happens here, and is said in that row: keys
 * are made, the server's network is compared with the fingerprint that the institution was
 * given, the node registers, and waits until the operator admits it. The
 * admission is kept: a server that lost its database gets it back with the
 * next registration, without anybody's help.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "wire.h"

#include "courier.h"
#include "directory.h"
#include "flow.h"
#include "flow_plan.h"
#include "join.h"
#include "key_change.h"
#include "keyring.h"
#include "ledger_guard.h"
#include "malloc_guard.h"
#include "node.h"
#include "plan_array.h"
#include "roster.h"
#include "settings.h"
#include "transaction.h"

#define ADMISSION_EVERY_S	600		/* how often an admitted node looks for a new admission */
#define REFUSED_EVERY_S		60
#define KEY_REFUSED_EVERY_S 60		/* how often a refused signature makes the node register again */
#define LISTS_REGISTERED	64

/* hdms_internal.node. Strings are palloc'ed in a context of their own. */
typedef struct NodeRow
{
	char	   *server_url;
	char	   *network;
	char	   *display_name;
	char	   *status;
	char	   *node_id;
	char	   *history;
	char	   *admission;
	char	   *network_key;
	char	   *epoch;
	char	   *problem;
	char	   *halted;			/* why nothing is signed any more */
	char	   *database;		/* its name */
	bool		is_notary;
	bool		adopt;
	int64		ledger_epoch;
	int64		registered_entries; /* of the key history: the server has had them */
	char	   *ledger_accept;	/* why somebody accepted that a part of the own log is lost; NULL: nobody did */
} NodeRow;

static MemoryContext row_context;
static NodeRow row;
static bool row_exists;
static KeyChange change;		/* that somebody asked for; id 0: none */
static char *server_in_use;		/* URL that the courier was given; in TopMemoryContext */
static bool registered;
static bool under_way;
static bool brought_back;		/* this server was already given an admission that it did not show */
static TimestampTz move_at;		/* when join_move() has something to do */

static void
row_read(void)
{
	static FlowPlan find = FLOW_PLAN_WITHOUT_ARGS(
		"SELECT server_url, network, display_name, status, node_id, history, admission, network_key, epoch, problem, halted,"
		" current_database()::text, is_notary, adopt, ledger_epoch, registered_entries, ledger_accept FROM hdms_internal.node");
	MemoryContext before;

	if (row_context == NULL)
		row_context = AllocSetContextCreate(TopMemoryContext, "hdms node row", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(row_context);
	memset(&row, 0, sizeof(row));
	row_exists = flow_run_without_args(&find) > 0;
	before = MemoryContextSwitchTo(row_context);
	if (row_exists)
	{
		char	  **const columns[] = {&row.server_url, &row.network, &row.display_name, &row.status, &row.node_id, &row.history,
		&row.admission, &row.network_key, &row.epoch, &row.problem, &row.halted, &row.database};

		for (int i = 0; i < (int) lengthof(columns); i++)
			*columns[i] = row_text(0, i + 1);
		row.is_notary = row_bool(0, 13);
		row.adopt = row_bool(0, 14);
		row.ledger_epoch = row_int64(0, 15);
		row.registered_entries = row_int64(0, 16);
		row.ledger_accept = row_text(0, 17);
	}
	MemoryContextSwitchTo(before);
	flow_rows_free();
	key_change_find(&change);
}

/* Says in the row why the node is not active; NULL takes it back. */
static void
problem_set(const char *problem)
{
	static FlowPlan save = FLOW_PLAN(
		"UPDATE hdms_internal.node SET problem = $1 WHERE problem IS DISTINCT FROM $1", TEXTOID);

	if (row.halted != NULL)
		problem = row.halted;
	if (problem == NULL ? row.problem == NULL : row.problem != NULL && strcmp(row.problem, problem) == 0)
		return;
	transaction_begin("noting the node's condition");
	flow_run(&save, flow_text(problem));
	transaction_commit();
	row.problem = problem != NULL ? MemoryContextStrdup(row_context, problem) : NULL;
	if (problem != NULL)
		ereport(WARNING, (errmsg("HDMS: %s", problem)));
}

/* A new node's keys: files first, then the row, then the folder's name. */
static bool
keys_make(char **problem)
{
	static FlowPlan save = FLOW_PLAN(
		"UPDATE hdms_internal.node SET node_id = $1, history = $2 WHERE node_id IS NULL", TEXTOID, TEXTOID);
	char	   *history = keyring_make(row.display_name, row.database, problem);
	HdmsHistory **parsed = guard_history();
	char	   *copy;

	if (history == NULL)
		return false;
	copy = pstrdup(history);
	free(history);
	if (hdms_history_parse(copy, strlen(copy), parsed) != HDMS_OK)
	{
		*problem = pstrdup("the new node's history is damaged");
		return false;
	}
	row.node_id = MemoryContextStrdup(row_context, hdms_history_node_id(*parsed));
	row.history = MemoryContextStrdup(row_context, copy);
	registered = false;
	transaction_begin("keeping a new node's id");
	flow_run(&save, flow_text(row.node_id), flow_text(copy));
	transaction_commit();
	ereport(LOG, (errmsg("HDMS: made the keys of node %s, \"%s\"", row.node_id, row.display_name)));
	return keyring_settle(row.node_id, problem);
}

/* A wish to adopt counts once: were it kept, it would come true whenever the other database happens to be down. */
static void
adopting_is_over(bool adopted)
{
	static FlowPlan over = FLOW_PLAN_WITHOUT_ARGS("UPDATE hdms_internal.node SET adopt = false");

	transaction_begin("noting that the keys were adopted");
	flow_run_without_args(&over);
	transaction_commit();
	row.adopt = false;
	if (adopted)
		ereport(LOG, (errmsg("HDMS: this database has adopted the keys of node %s", row.node_id)));
}

static void
row_read_again(void)
{
	transaction_begin("reading the node's row");
	row_read();
	transaction_commit();
}

/* Carries out what was asked for, and opens the new keys. False with *problem. */
static bool
keys_change(char **problem)
{
	bool		changed = key_change_make(&change, row.node_id, row.history, row.database);

	row_read_again();
	if (!changed)
		return true;
	session_forget();
	registered = false;
	move_at = 0;
	if (!keyring_open(row.node_id, row.history, row.database, false, problem))
		return false;
	strlcpy(own_node.id, row.node_id, sizeof(own_node.id));
	return true;
}

/* A database that was put back from a backup may know less of its own keys than the key directory does. */
static void
history_catch_up(void)
{
	if (strcmp(hdms_history_json(own_node.history), row.history) == 0)
		return;
	key_change_keep_history();
	row_read_again();
}

/* Opens, makes or adopts the keys. False with *problem. */
static bool
keys_ready(char **problem)
{
	bool		adopt = row.adopt;
	bool		opened;

	if (row.node_id == NULL && !keys_make(problem))
		return false;
	if (change.id != 0 && change.recovers && !keys_change(problem))
		return false;
	if (keyring_is_open() && strcmp(own_node.id, row.node_id) == 0 && own_node.history != NULL && !adopt)
		return true;
	opened = keyring_open(row.node_id, row.history, row.database, adopt, problem);
	if (opened)
	{
		strlcpy(own_node.id, row.node_id, sizeof(own_node.id));
		history_catch_up();
	}
	else if (adopt)
		*problem = psprintf("hdms.adopt_keys() failed: %s", *problem);
	if (adopt)
		adopting_is_over(opened);
	return opened;
}

static void
network_key_load(void)
{
	hdms_key_free(own_node.network);
	own_node.network = NULL;
	strlcpy(own_node.fingerprint, row.network, sizeof(own_node.fingerprint));
	if (row.network_key != NULL &&
		hdms_key_from_jwk(row.network_key, strlen(row.network_key), &own_node.network) == HDMS_OK &&
		strcmp(hdms_key_thumbprint(own_node.network), row.network) != 0)
	{
		hdms_key_free(own_node.network);
		own_node.network = NULL;
	}
}

/* Takes the server's address from the row, when it is another than before. False with *problem. */
static bool
server_ready(char **problem)
{
	if (server_in_use != NULL && strcmp(server_in_use, row.server_url) == 0 && http_server()->base != NULL)
		return true;
	if (server_in_use != NULL)
		pfree(server_in_use);
	server_in_use = MemoryContextStrdup(TopMemoryContext, row.server_url);
	own_node.server_url = server_in_use;
	registered = strcmp(row.status, "joining") != 0 && row.registered_entries >= hdms_history_length(own_node.history);
	move_at = 0;
	return courier_set_server(row.server_url, row.epoch != NULL ? row.epoch : "", problem);
}

/* What the rest of the worker and the roster are told. */
static void
condition_tell(void)
{
	bool		was_ready = own_node.ready;

	own_node.is_notary = row.is_notary;
	own_node.ready = keyring_is_open() && own_node.network != NULL && strcmp(row.status, "active") == 0 && row.halted == NULL;
	roster_report(own_node.ready ? WORKER_ACTIVE : row.halted != NULL ? WORKER_HALTED : WORKER_JOINING);
	if (own_node.ready == was_ready)
		return;
	roster_report_error(row.halted != NULL ? row.halted : "");
	if (own_node.ready)
		ereport(LOG, (errmsg("HDMS: node %s, \"%s\", is active", own_node.id, row.display_name)));
}

/* That this database is the one that was signed in, once for each time that the keys are opened. Halts the node where it is not. */
static void
look_at_ledger(void)
{
	static TimestampTz checked = 0;
	char	   *why = NULL;

	own_node.ledger_epoch = row.ledger_epoch;
	if (row.halted != NULL && row.ledger_accept == NULL)
		return;
	if (row.ledger_accept == NULL && checked == keyring_opened_at())
		return;
	transaction_begin("comparing this database with what was signed");
	if (row.ledger_accept != NULL)
		ledger_guard_renew(row.ledger_accept);
	else if ((why = ledger_guard_check()) != NULL)
		join_halt(why);
	transaction_commit();
	if (row.ledger_accept == NULL && why == NULL)
		checked = keyring_opened_at();
	transaction_begin("reading the node's row");
	row_read();
	transaction_commit();
}

static void
stay_silent(WorkerState state, const char *problem)
{
	own_node.ready = false;
	courier_reset();
	roster_report(state);
	roster_report_error(problem);
}

void
join_refresh(void)
{
	char	   *problem = NULL;

	transaction_begin("reading the node's row");
	row_read();
	transaction_commit();
	if (!row_exists)
	{
		stay_silent(WORKER_WITHOUT_NETWORK, "");
		keyring_close();
		return;
	}
	if (!keys_ready(&problem))
	{
		keyring_close();
		stay_silent(WORKER_WITHOUT_KEYS, problem);
		problem_set(problem);
		return;
	}
	look_at_ledger();
	if (row.halted != NULL)
	{
		stay_silent(WORKER_HALTED, row.halted);
		problem_set(row.halted);
		return;
	}
	network_key_load();
	if (change.id != 0 && !change.recovers && !keys_change(&problem))
	{
		keyring_close();
		stay_silent(WORKER_WITHOUT_KEYS, problem);
		problem_set(problem);
		return;
	}
	if (!server_ready(&problem))
	{
		stay_silent(WORKER_JOINING, problem);
		problem_set(problem);
		return;
	}
	if (strcmp(row.status, "active") == 0 && row.problem != NULL && registered)
		problem_set(NULL);
	condition_tell();
}

void
join_halt(const char *why)
{
	static FlowPlan save = FLOW_PLAN(
		"UPDATE hdms_internal.node SET halted = $1, problem = $1 WHERE halted IS NULL", TEXTOID);

	if (flow_run(&save, flow_text(why)) == 0)
		return;
	own_node.ready = false;
	event_write("halted", NULL, 0, NULL, NULL, NULL, why);
	ereport(WARNING,
			(errmsg("HDMS: this node has stopped signing: %s", why),
			 errhint("hdms.doctor() says what to do.")));
}

void
join_forgotten(void)
{
	if (registered)
		ereport(LOG, (errmsg("HDMS: the server does not know this node, its admission or its present keys, registering again")));
	registered = false;
	move_at = 0;
}

bool
join_key_refused(void)
{
	static TimestampTz not_before = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (own_node.history == NULL || hdms_history_length(own_node.history) < 2 || now < not_before)
		return false;
	not_before = TimestampTzPlusMilliseconds(now, KEY_REFUSED_EVERY_S * 1000);
	join_forgotten();
	return true;
}

void
join_look_again(void)
{
	brought_back = false;
	move_at = 0;
}

void
join_reset(void)
{
	under_way = false;
}

bool
join_is_registered(void)
{
	return registered;
}

static void
move_in(int64 seconds)
{
	move_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), seconds * 1000);
}

long
join_timeout(void)
{
	if (!row_exists || under_way || !keyring_is_open() || row.halted != NULL)
		return -1;
	return Max(0, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), move_at));
}

static void
status_save(const char *status, const char *admission, bool is_notary)
{
	static FlowPlan save = FLOW_PLAN(
		"UPDATE hdms_internal.node SET status = $1, admission = coalesce($2, admission), is_notary = $3,"
		" joined_at = CASE WHEN $1 = 'active' THEN coalesce(joined_at, clock_timestamp()) END",
		TEXTOID, TEXTOID, BOOLOID);

	transaction_begin("keeping the node's status");
	flow_run(&save, flow_text(status), flow_text(admission), flow_bool(is_notary));
	row_read();
	transaction_commit();
	condition_tell();
}

/* GET /v1/network: is it the network that the institution was told of? */
static void
network_answered(HttpExchange *exchange)
{
	static FlowPlan save = FLOW_PLAN("UPDATE hdms_internal.node SET network_key = $1", TEXTOID);
	char	   *jwk = NULL;
	char	   *notaries = NULL;
	HdmsKey    *key = NULL;
	HdmsStatus	status;
	char	   *problem = NULL;

	under_way = false;
	move_in(Min(setting_poll_interval, REFUSED_EVERY_S));
	if (exchange->status != 200)
		return;
	status = hdms_wire_network_parse(exchange->reply, exchange->reply_len, &jwk, &notaries);
	if (status == HDMS_OK)
		status = hdms_key_from_jwk(jwk, strlen(jwk), &key);
	if (status == HDMS_OK && strcmp(hdms_key_thumbprint(key), row.network) != 0)
		problem = psprintf("the server at %s belongs to another network, with the fingerprint %s",
						   row.server_url, hdms_key_thumbprint(key));
	hdms_key_free(key);
	if (status == HDMS_OK && problem == NULL)
	{
		char	   *copy = pstrdup(jwk);

		free(jwk);
		jwk = NULL;
		transaction_begin("keeping the network's key");
		flow_run(&save, flow_text(copy));
		row_read();
		network_key_load();
		directory_keep_list(notaries, strlen(notaries), NULL);
		transaction_commit();
		directory_forget();
		move_at = 0;
	}
	free(jwk);
	free(notaries);
	if (status != HDMS_OK)
		courier_misunderstood(exchange, status);
	problem_set(problem);
}

static void
network_ask(void)
{
	HttpExchange *exchange = http_exchange("GET", "/v1/network", NULL, NULL);

	if (exchange == NULL)
		return;
	exchange->finished = network_answered;
	under_way = courier_send(exchange);
}

static void
registration_answered(HttpExchange *exchange)
{
	char		text[COURIER_TEXT];
	bool		admitted = strcmp(row.status, "active") == 0;

	under_way = false;
	if (admitted && exchange->status == 202)
	{
		move_in(REFUSED_EVERY_S);
		problem_set("the server holds this node for one that was not admitted, although it was shown the admission");
		return;
	}
	if (exchange->status == 200 || exchange->status == 201 || exchange->status == 202)
	{
		registered = true;
		move_at = 0;
		if (row.registered_entries != hdms_history_length(own_node.history))
		{
			key_change_registered(hdms_history_length(own_node.history));
			row_read_again();
		}
		if (!admitted && exchange->status == 202)
			status_save("pending", NULL, false);
		problem_set(NULL);
		return;
	}
	/* A server that is out of reach or out of order is asked again as soon as the courier's backing off is over. */
	move_in(exchange->status == 0 || exchange->status >= 500 || exchange->status == 429 ? 1 : REFUSED_EVERY_S);
	if (exchange->status < 400 || exchange->status >= 500 || exchange->status == 401 || exchange->status == 429)
		return;

	/* A node that is admitted goes on trying; one that never was waits until somebody calls hdms.join_network() again. */
	courier_describe(exchange, text, NULL);
	problem_set(psprintf("registering was refused: %s", text));
	if (!admitted)
		status_save("refused", NULL, false);
}

static void
register_ask(void)
{
	static FlowPlan find = FLOW_PLAN(
		"SELECT jws FROM hdms_internal.notary_lists ORDER BY iat DESC LIMIT $1", INT8OID);
	HdmsRegistration registration = {0};
	char	   *lists[LISTS_REGISTERED];
	char	   *json = NULL;
	HttpExchange *exchange;
	MemoryContext before = CurrentMemoryContext;

	transaction_begin("reading what is registered");
	registration.notaries_count = flow_run(&find, flow_int64(LISTS_REGISTERED));
	MemoryContextSwitchTo(before);
	for (size_t i = 0; i < registration.notaries_count; i++)
		lists[i] = row_text(i, 1);
	flow_rows_free();
	transaction_commit();

	registration.history = row.history;
	registration.admission = row.admission;
	registration.notaries = lists;
	if (hdms_wire_registration_print(&registration, &json) != HDMS_OK)
		return;
	exchange = http_exchange("POST", "/v1/nodes", NULL, json);
	if (exchange == NULL)
		return;
	exchange->signer = HTTP_BY_KEY;
	exchange->once = true;
	exchange->finished = registration_answered;
	under_way = courier_send(exchange);
}

/* Registers once more with the admission, once for each epoch: a server that shows another one ever after cannot keep us busy. */
static void
bring_back(void)
{
	if (brought_back)
		return;
	brought_back = true;
	join_forgotten();
}

/* Looks into the directory's entry about this node itself. */
static void
entry_take(const HdmsNodeEntry *entry)
{
	HdmsAdmission admission;
	HdmsAdmission kept;
	bool		was_active = strcmp(row.status, "active") == 0;

	if (strcmp(entry->status, "frozen") == 0)
	{
		problem_set("the server has frozen this node: it was shown two key histories that contradict each other");
		return;
	}
	if (strcmp(entry->status, "active") != 0 || entry->admission == NULL)
	{
		if (strcmp(row.status, "joining") == 0)
			status_save("pending", NULL, false);
		else if (was_active)
			bring_back();
		return;
	}
	if (hdms_admission_verify(entry->admission, strlen(entry->admission), own_node.network, own_node.history, &admission) != HDMS_OK)
	{
		problem_set("the server shows an admission of this node that the network's key did not sign");
		return;
	}

	/* A server that was put back from a backup shows an earlier one: it is given the later one, not believed. */
	if (was_active && row.admission != NULL &&
		hdms_admission_verify(row.admission, strlen(row.admission), own_node.network, own_node.history, &kept) == HDMS_OK &&
		kept.iat > admission.iat)
	{
		bring_back();
		return;
	}
	if (!was_active || row.admission == NULL || strcmp(row.admission, entry->admission) != 0)
	{
		status_save("active", entry->admission, admission.notary);
		move_in(ADMISSION_EVERY_S);
	}
	problem_set(NULL);
}

static void
entry_answered(HttpExchange *exchange)
{
	HdmsNodeEntry entry = {0};
	HdmsStatus	status;

	under_way = false;
	move_in(strcmp(row.status, "active") == 0 ? ADMISSION_EVERY_S : setting_poll_interval);
	if (exchange->status == 404)
		join_forgotten();
	if (exchange->status != 200)
		return;
	status = hdms_wire_node_parse(exchange->reply, exchange->reply_len, &entry);
	if (status == HDMS_OK)
	{
		char	  **guarded[] = {guard_text(), guard_text()};

		/* What follows may raise. */
		free(entry.checkpoint);
		free(entry.proof);
		*guarded[0] = entry.history;
		*guarded[1] = entry.admission;
		entry_take(&entry);
	}
	else
		courier_misunderstood(exchange, status);
}

static void
entry_ask(void)
{
	HttpExchange *exchange = http_exchange("GET", psprintf("/v1/nodes/%s", own_node.id), NULL, NULL);

	if (exchange == NULL)
		return;
	exchange->signer = HTTP_BY_KEY;
	exchange->finished = entry_answered;
	under_way = courier_send(exchange);
}

void
join_move(void)
{
	if (!row_exists || under_way || !keyring_is_open() || strcmp(row.status, "refused") == 0 || row.halted != NULL)
		return;
	if (move_at > GetCurrentTimestamp() || !courier_may_talk())
		return;
	move_in(setting_poll_interval);
	if (own_node.network == NULL)
		network_ask();
	else if (!registered)
		register_ask();
	else
		entry_ask();
}
