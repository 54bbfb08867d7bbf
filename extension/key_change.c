/*
 * key_change.c
 *		Rotation, revocation and recovery of this node's keys.
 *
 * A backend writes a row of hdms_internal.key_changes; the worker, who alone has the keys, carries it out. New keys are durable in
 * the key directory before the history that names them is stored, and the history is stored before it is registered;
 * each step is found again after a crash (keyring_change.c, join.c). Those with whom something is under way, and the
 * notaries, are told by a message that the present key signs: even a server that hides a rotation
 * does not keep it from them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "directory.h"
#include "flow.h"
#include "flow_plan.h"
#include "key_change.h"
#include "keyring.h"
#include "malloc_guard.h"
#include "node.h"
#include "outbox.h"
#include "plan_array.h"
#include "settings.h"
#include "transaction.h"

#define TOLD_AT_MOST	5000

static const struct
{
	const char *name;
	HdmsRole	role;
}			roles[] = {
	{"signing", HDMS_ROLE_SIGN}, {"encryption", HDMS_ROLE_ENCRYPT}, {"log", HDMS_ROLE_LOG}, {"cosigner", HDMS_ROLE_COSIGNER},
};

#define ALL_ROLES	(1U << HDMS_ROLE_SIGN | 1U << HDMS_ROLE_ENCRYPT | 1U << HDMS_ROLE_LOG | 1U << HDMS_ROLE_COSIGNER)

static FlowPlan find_change =
FLOW_PLAN_WITHOUT_ARGS("SELECT id, kind = 'recover', 'signing' = ANY (keys), 'encryption' = ANY (keys), 'log' = ANY (keys),"
					   " 'cosigner' = ANY (keys), kid, CAST(floor(extract(epoch FROM since)) AS bigint)"
					   " FROM hdms_internal.key_changes WHERE made_at IS NULL AND problem IS NULL ORDER BY id LIMIT 1");

static FlowPlan refuse_change =
FLOW_PLAN("UPDATE hdms_internal.key_changes SET problem = $2 WHERE id = $1", INT8OID, TEXTOID);

static FlowPlan store_history =
FLOW_PLAN("UPDATE hdms_internal.node SET history = $1", TEXTOID);

/* Versions that are under way are signed anew later: at once where the key may be a thief's. */
static FlowPlan set_made =
FLOW_PLAN("UPDATE hdms_internal.key_changes SET made_at = clock_timestamp(), entries = $2, keys = string_to_array($3, ','),"
		  " resign_at = CASE WHEN $4 THEN clock_timestamp() + make_interval(secs => CASE kind WHEN 'revoke' THEN 0 ELSE $5 END) END"
		  " WHERE id = $1",
		  INT8OID, INT8OID, TEXTOID, BOOLOID, FLOAT8OID);

static FlowPlan set_registered =
FLOW_PLAN("UPDATE hdms_internal.key_changes SET registered_at = clock_timestamp()"
		  " WHERE registered_at IS NULL AND entries <= $1 RETURNING kind = 'recover'",
		  INT8OID);

static FlowPlan set_entries =
FLOW_PLAN("UPDATE hdms_internal.node SET registered_entries = $1", INT8OID);

static FlowPlan find_correspondents =
FLOW_PLAN("SELECT n.node_id FROM (SELECT p.node_id FROM hdms_internal.versions v"
		  "   JOIN hdms_internal.records r ON r.record = v.record JOIN hdms_internal.patients p ON p.patient_ref = r.patient_ref"
		  "   WHERE v.status IN ('issued', 'delivered')"
		  "  UNION SELECT o.receiver FROM hdms_internal.outbox o WHERE o.awaited) n"
		  " JOIN hdms_internal.peers e ON e.node_id = n.node_id LIMIT $1",
		  INT8OID);

void
key_change_find(KeyChange *change)
{
	memset(change, 0, sizeof(*change));
	if (flow_run_without_args(&find_change) > 0)
	{
		change->id = row_int64(0, 1);
		change->recovers = row_bool(0, 2);
		for (int i = 0; i < (int) lengthof(roles); i++)
			change->roles |= row_bool(0, 3 + i) ? 1U << roles[i].role : 0;
		row_copy(0, 7, change->revoked_kid, sizeof(change->revoked_kid));
		change->revoked_since = row_int64(0, 8);
	}
	flow_rows_free();
}

static void
tell(const char *node, const char *history)
{
	HdmsBody	body = {0};

	body.history = (char *) history;
	outbox_put(node, HDMS_MSG_KEYS, NULL, 0, true, 0, &body, NULL);
}

/* Others learn from the directory, when they see a key that they do not know. */
static void
tell_correspondents(const char *history)
{
	const HdmsNotaryList *list = directory_newest_list(node_now());
	int			count = (int) flow_run(&find_correspondents, flow_int64(TOLD_AT_MOST));
	char	  **nodes = palloc(sizeof(char *) * Max(count, 1));

	for (int i = 0; i < count; i++)
		nodes[i] = row_text(i, 1);
	flow_rows_free();
	for (int i = 0; i < count; i++)
		tell(nodes[i], history);
	for (size_t i = 0; list != NULL && i < list->count; i++)
	{
		const char *notary = list->notaries[i].node;
		bool		is_told = strcmp(notary, own_node.id) == 0;

		for (int j = 0; j < count && !is_told; j++)
			is_told = strcmp(nodes[j], notary) == 0;
		if (!is_told && directory_history(notary) != NULL)
			tell(notary, history);
	}
}

/* To tell others is a courtesy, and nothing about them may keep this node from replacing a key. */
static void
tell_safely(const char *history)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		tell_correspondents(history);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		ereport(LOG, (errmsg("HDMS: others are not told of the new keys, and will learn of them from the directory: %s", error->message)));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

static void
refuse(const KeyChange *change, const char *problem)
{
	transaction_begin("refusing a change of keys");
	flow_run(&refuse_change, flow_int64(change->id), flow_text(problem));
	event_write("keys_not_changed", NULL, 0, NULL, NULL, NULL, problem);
	transaction_commit();
	ereport(WARNING, (errmsg("HDMS: the node's keys were not changed: %s", problem)));
}

/* The names of the replaced keys, with commas between. */
static char *
names_of(unsigned int changed)
{
	char	   *names = pstrdup("");

	for (int i = 0; i < (int) lengthof(roles); i++)
	{
		if ((changed & (1U << roles[i].role)) != 0)
			names = psprintf("%s%s%s", names, names[0] == '\0' ? "" : ",", roles[i].name);
	}
	return names;
}

static void
store(const KeyChange *change, unsigned int changed, const char *history, int entries)
{
	char	   *names = names_of(changed);
	bool		signs_anew = (changed & (1U << HDMS_ROLE_SIGN)) != 0;

	transaction_begin("keeping the node's new keys");
	flow_run(&store_history, flow_text(history));
	flow_run(&set_made, flow_int64(change->id), flow_int64(entries), flow_text(names), flow_bool(signs_anew),
			 (FlowArg) {Float8GetDatum((double) setting_rotation_grace), false});
	if (changed != 0)
		event_write("keys_rotated", NULL, 0, NULL, NULL, NULL, names);
	if (change->revoked_kid[0] != '\0')
		event_write("key_revoked", NULL, 0, NULL, NULL, NULL, change->revoked_kid);

	/* A node that lost its keys has nothing to sign this with before the new ones are registered. */
	if (!change->recovers)
		tell_safely(history);
	transaction_commit();
	directory_forget();
	ereport(LOG, (errmsg("HDMS: the node's key history has %d entries now; replaced keys: %s", entries, names[0] != '\0' ? names : "none")));
}

bool
key_change_make(const KeyChange *change, const char *node_id, const char *history, const char *database)
{
	unsigned int changed = change->recovers ? ALL_ROLES : change->roles;
	HdmsHistory **parsed = guard_history();
	char	  **made = guard_text();
	char	   *problem = NULL;

	/* A key in use cannot be revoked without being replaced. */
	for (int i = 0; i < (int) lengthof(roles) && !change->recovers; i++)
	{
		if (strcmp(hdms_key_thumbprint(hdms_history_current(own_node.history, roles[i].role)), change->revoked_kid) == 0)
			changed |= 1U << roles[i].role;
	}
	if (change->recovers)
		*made = keyring_recover(node_id, history, database, &problem);
	else
		*made = keyring_change(changed, change->revoked_kid[0] != '\0' ? change->revoked_kid : NULL, change->revoked_since, &problem);
	if (*made == NULL || hdms_history_parse(*made, strlen(*made), parsed) != HDMS_OK)
	{
		if (!change->recovers)
			keyring_drop_next();
		refuse(change, problem != NULL ? problem : "the new history is damaged");
		return false;
	}
	store(change, changed, *made, hdms_history_length(*parsed));
	return true;
}

void
key_change_registered(int entries)
{
	bool		tells_all = false;
	uint64		count;

	transaction_begin("noting that the node's keys are registered");
	flow_run(&set_entries, flow_int64(entries));
	count = flow_run(&set_registered, flow_int64(entries));
	for (uint64 i = 0; i < count; i++)
		tells_all = tells_all || row_bool(i, 1);
	flow_rows_free();
	if (tells_all)
		tell_safely(hdms_history_json(own_node.history));
	transaction_commit();
	directory_forget();
	if (count > 0)
		ereport(LOG, (errmsg("HDMS: the server has the node's key history with %d entries", entries)));
	keyring_destroy_replaced();
}

void
key_change_keep_history(void)
{
	transaction_begin("keeping the key directory's history");
	flow_run(&store_history, flow_text(hdms_history_json(own_node.history)));
	transaction_commit();
	ereport(LOG, (errmsg("HDMS: the key directory knows of a later change of keys than this database, which goes on from there")));
}
