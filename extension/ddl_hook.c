/*
 * ddl_hook.c
 *		Keeps workers out of the way of statements that need a database, or the extension, for themselves.
 *
 * DROP DATABASE and its like fail after five seconds while anybody is connected,
 * and a worker would come back at once if it were only ended. So the worker is
 * ended and kept away until the statement's transaction is over. DROP EXTENSION
 * would delete the only copy of signed records: it is refused while there are any.
 */
#include "postgres.h"

#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "launcher.h"
#include "roster.h"
#include "settings.h"

/* PostgreSQL 15 has a function for each kind of object instead. */
#if PG_VERSION_NUM < 160000
#define object_ownercheck(class, object, role) \
	((class) == DatabaseRelationId ? pg_database_ownercheck(object, role) : pg_extension_ownercheck(object, role))
#endif

static ProcessUtility_hook_type previous_utility;

/* For the database's owner only: who may not run the statement must not be able to stop a worker with it. */
static void
hold_database(const char *name)
{
	Oid			database = name != NULL ? get_database_oid(name, true) : InvalidOid;

	if (OidIsValid(database) && object_ownercheck(DatabaseRelationId, database, GetUserId()))
		roster_hold(database);
}

/* Likewise for the extension. */
static bool
owns_extension(void)
{
	Oid			extension = get_extension_oid("hdms", true);

	return OidIsValid(extension) && object_ownercheck(ExtensionRelationId, extension, GetUserId());
}

static DefElem *
find_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return NULL;
}

/* Raises an ERROR when there are signed states. */
static void
refuse_to_lose_records(void)
{
	bool		found;

	if (setting_allow_drop)
		return;
	SPI_connect();
	if (SPI_execute("SELECT 1 FROM hdms_internal.payloads WHERE state IS NOT NULL "
					"UNION ALL SELECT 1 FROM hdms_internal.log_entries LIMIT 1", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for signed records");
	found = SPI_processed > 0;
	SPI_finish();
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("extension \"hdms\" holds signed records"),
				 errdetail("Dropping it deletes them, and what patients and other institutions rely on."),
				 errhint("SET hdms.allow_drop_extension = on, if that is what you want.")));
}

static void
drop_extension_begins(DropStmt *statement)
{
	ListCell   *cell;
	bool		meant = false;

	foreach(cell, statement->objects)
		meant = meant || strcmp(strVal(lfirst(cell)), "hdms") == 0;
	if (!meant || !owns_extension())
		return;
	refuse_to_lose_records();
	roster_hold(MyDatabaseId);
}

/* What has to be done before a statement runs. */
static void
statement_begins(Node *statement)
{
	DefElem    *option;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			hold_database(((DropdbStmt *) statement)->dbname);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				hold_database(((RenameStmt *) statement)->subname);
			break;
		case T_AlterDatabaseStmt:
			if (find_option(((AlterDatabaseStmt *) statement)->options, "tablespace") != NULL)
				hold_database(((AlterDatabaseStmt *) statement)->dbname);
			break;
		case T_CreatedbStmt:
			option = find_option(((CreatedbStmt *) statement)->options, "template");
			hold_database(option != NULL && option->arg != NULL ? defGetString(option) : "template1");
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_EXTENSION)
				drop_extension_begins((DropStmt *) statement);
			break;
		case T_AlterExtensionStmt:
			if (strcmp(((AlterExtensionStmt *) statement)->extname, "hdms") == 0 && owns_extension())
				roster_hold(MyDatabaseId);
			break;
		case T_CreateExtensionStmt:
			if (strcmp(((CreateExtensionStmt *) statement)->extname, "hdms") == 0)
				roster_start_at_commit(MyDatabaseId);
			break;
		default:
			break;
	}
}

static void
hdms_process_utility(PlannedStmt *planned, const char *query, bool read_only_tree, ProcessUtilityContext context,
					 ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *destination,
					 QueryCompletion *completion)
{
	statement_begins(planned->utilityStmt);
	if (previous_utility)
		previous_utility(planned, query, read_only_tree, context, parameters, environment, destination, completion);
	else
		standard_ProcessUtility(planned, query, read_only_tree, context, parameters, environment, destination, completion);
}

void
ddl_hook_install(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = hdms_process_utility;
}
