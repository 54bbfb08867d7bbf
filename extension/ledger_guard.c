/*
 * ledger_guard.c
 *		The newest checkpoint of the node's own log, kept beside the keys: what notices that an older database was put back.
 *
 * A backup of the database has everything that could say that it is old, except what is not in it. So each checkpoint is made
 * durable in the key directory before its row can be seen by anybody. A crash in between leaves a file that is one checkpoint ahead
 * of the tables; the entries that it covers were durable before it was signed, so the tree is brought up to it, and
 * has the same root. Where entries are missing, or are others, the database is an older one, or a standby that was promoted without
 * the last commits, or was changed: nothing is signed from then on. Patients, notaries and witnesses hold what was signed
 * after that backup, and the node must not contradict itself.
 */
#include "postgres.h"

#include <unistd.h>

#include "flow.h"
#include "flow_plan.h"
#include "key_store.h"
#include "ledger_guard.h"
#include "ledger_log.h"
#include "ledger_mend.h"
#include "node.h"
#include "roster.h"
#include "settings.h"

#define FILE_NAME	"ledger-checkpoint"

static char *
key_folder(void)
{
	return psprintf("%s/%s", setting_key_directory, own_node.id);
}

static void
write_file(const char *name, const char *note)
{
	char	   *problem = NULL;

	if (!key_file_write(key_folder(), name, note, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("could not keep a checkpoint beside the keys: %s", problem),
				 errhint("No checkpoint is given out until that works.")));
}

void
ledger_guard_keep(const HdmsCheckpoint *checkpoint, const char *note)
{
	write_file(FILE_NAME, note);
}

/* NULL when there is none. */
static char *
read_file(void)
{
	char	   *problem = NULL;
	char	   *text;
	char	   *note;

	if (access(psprintf("%s/" FILE_NAME, key_folder()), F_OK) != 0 && errno == ENOENT)
		return NULL;
	text = key_file_read(key_folder(), FILE_NAME, HDMS_NOTE_MAX, &problem);
	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("could not read the checkpoint beside the keys: %s", problem),
				 errhint("Nothing is signed until that works.")));
	note = pstrdup(text);
	hdms_string_wipe(text);
	return note;
}

/* The epoch that a note's origin names; 0 when it is not this node's log. */
static int64
note_epoch(const char *note)
{
	char		origin[HDMS_ORIGIN_MAX];
	HdmsCheckpoint checkpoint;
	long long	epoch = 1;
	size_t		len;

	hdms_ledger_origin(own_node.id, 1, origin);
	len = strlen(origin);
	if (hdms_checkpoint_parse(note, strlen(note), &checkpoint) != HDMS_OK || strncmp(checkpoint.origin, origin, len) != 0)
		return 0;
	if (checkpoint.origin[len] == '/')
		epoch = strtoll(checkpoint.origin + len + 1, NULL, 10);
	hdms_ledger_origin(own_node.id, epoch, origin);
	return epoch > 0 && strcmp(checkpoint.origin, origin) == 0 ? epoch : 0;
}

/* The database is the one that was signed in: what others are shown is compared with this from now on. */
static void
tell_roster(MerkleLog *log)
{
	HdmsCheckpoint checkpoint;
	const char *note = merkle_log_note(log);

	if (hdms_checkpoint_parse(note, strlen(note), &checkpoint) == HDMS_OK)
		roster_report_ledger(checkpoint.size, checkpoint.root);
}

char *
ledger_guard_check(void)
{
	MerkleLog  *log = ledger_log_tree();
	const char *problem = merkle_log_damage(log);
	char	   *note = read_file();
	HdmsCheckpoint kept;
	int64		epoch;

	if (problem != NULL && ledger_mend_now())
		problem = merkle_log_damage(log);
	if (problem != NULL)
		return psprintf("its own log is damaged: %s", problem);
	epoch = note != NULL ? note_epoch(note) : own_node.ledger_epoch;
	if (epoch == 0)
		return psprintf("\"%s/" FILE_NAME "\" is not a checkpoint of this node's own log", key_folder());
	if (epoch > own_node.ledger_epoch)
		return psprintf("this database is older than epoch " INT64_FORMAT " of its own log, which was signed with these keys", epoch);
	if (note == NULL && merkle_log_signed_size(log) > 0)
	{
		ereport(WARNING,
				(errmsg("HDMS: there is no checkpoint beside the keys to compare this database with"),
				 errdetail("Whether it is older than what this node has signed is not known; witnesses may find out.")));
		write_file(FILE_NAME, merkle_log_note(log));
	}

	/* A new epoch has no checkpoint until its first entries are signed. */
	if (note != NULL && epoch == own_node.ledger_epoch && (problem = merkle_log_compare(log, note, &kept)) != NULL)
		return psprintf("this database is older than what was signed with these keys, or another: its own log was signed with "
						INT64_FORMAT " entries, and %s", (int64) kept.size, problem);
	tell_roster(log);
	return NULL;
}

void
ledger_guard_renew(const char *reason)
{
	static FlowPlan save = FLOW_PLAN(
		"UPDATE hdms_internal.node SET ledger_epoch = $1, ledger_accept = NULL, halted = NULL, problem = NULL", INT8OID);
	static FlowPlan count = FLOW_PLAN_WITHOUT_ARGS(
		"SELECT (SELECT count(*) FROM hdms_internal.ledger_entries), (SELECT max(size) FROM hdms_internal.ledger_checkpoints)");
	char	   *note = read_file();
	int64		epoch = own_node.ledger_epoch;
	HdmsCheckpoint kept = {0};
	int64		entries;
	int64		size;

	flow_run_without_args(&count);
	entries = row_int64(0, 1);
	size = row_int64(0, 2);
	flow_rows_free();
	if (note != NULL && note_epoch(note) > 0)
	{
		/* What was promised last stays: it is evidence of what is lost. */
		epoch = Max(epoch, note_epoch(note));
		write_file(psprintf(FILE_NAME ".epoch-" INT64_FORMAT, note_epoch(note)), note);
		(void) hdms_checkpoint_parse(note, strlen(note), &kept);
	}
	ledger_log_renew();
	own_node.ledger_epoch = epoch + 1;
	flow_run(&save, flow_int64(own_node.ledger_epoch));
	event_write("ledger_renewed", NULL, 0, NULL, NULL, NULL,
				psprintf("epoch " INT64_FORMAT " of the node's own log begins: the database had " INT64_FORMAT " entries, "
						 INT64_FORMAT " were signed; %s", own_node.ledger_epoch, entries, Max((int64) kept.size, size), reason));
	ereport(WARNING,
			(errmsg("HDMS: epoch %lld of this node's own log begins, over what is in the database", (long long) own_node.ledger_epoch)));
}
