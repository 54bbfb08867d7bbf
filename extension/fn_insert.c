/*
 * fn_insert.c
 *		Rows of the extension's own tables, written and found without planning a statement.
 *
 * An EMR's every transaction pays for what hdms.issue() does. Its rows are the same few each time, and for a
 * prepared statement PostgreSQL spends more on setting the executor up, and on reading constraints from their
 * stored form, than on the rows themselves. These are the steps of an INSERT that remain: a tuple,
 * and its entries in the indexes.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "fn_insert.h"

static Oid
find_relation(const char *name)
{
	Oid			found = get_relname_relid(name, get_namespace_oid("hdms_internal", false));

	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("hdms_internal.%s is missing", name),
				 errhint("The extension is damaged.")));
	return found;
}

static AttrNumber
find_column(Oid relation, const char *name)
{
	AttrNumber	found = get_attnum(relation, name);

	if (found == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("hdms_internal.%s has no column \"%s\"", get_rel_name(relation), name),
				 errhint("Run ALTER EXTENSION hdms UPDATE.")));
	return found;
}

/* A relation that was made anew has another id; the columns of one never move. */
static void
resolve(InsertTarget *target)
{
	Oid			relation = find_relation(target->table);

	if (relation == target->relation)
		return;
	for (int i = 0; i < target->column_count; i++)
		target->attributes[i] = find_column(relation, target->columns[i]);
	target->relation = relation;
}

static void
fill_slot(const InsertTarget *target, Relation relation, const Datum *values, const bool *nulls, TupleTableSlot *slot)
{
	TupleDesc	columns = RelationGetDescr(relation);

	memset(slot->tts_isnull, true, columns->natts * sizeof(bool));
	for (int i = 0; i < target->column_count; i++)
	{
		int			at = target->attributes[i] - 1;

		slot->tts_values[at] = values[i];
		slot->tts_isnull[at] = nulls != NULL && nulls[i];
	}
	for (int at = 0; at < columns->natts; at++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, at);

		if (slot->tts_isnull[at] && column->attnotnull && !column->attisdropped)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of hdms_internal.%s", NameStr(column->attname), target->table),
					 errhint("The running library is older than the extension's tables: restart PostgreSQL.")));
	}
	ExecStoreVirtualTuple(slot);
}

void
insert_row(InsertTarget *target, const Datum *values, const bool *nulls)
{
	Relation	relation;
	EState	   *state = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleTableSlot *slot;

	resolve(target);
	relation = table_open(target->relation, RowExclusiveLock);
	InitResultRelInfo(result, relation, 1, NULL, 0);
	ExecOpenIndices(result, false);
	slot = ExecInitExtraTupleSlot(state, RelationGetDescr(relation), table_slot_callbacks(relation));
	fill_slot(target, relation, values, nulls, slot);
	table_tuple_insert(relation, slot, GetCurrentCommandId(true), 0, NULL);
#if PG_VERSION_NUM >= 160000
	list_free(ExecInsertIndexTuples(result, slot, state, false, false, NULL, NIL, false));
#else
	list_free(ExecInsertIndexTuples(result, slot, state, false, false, NULL, NIL));
#endif
	ExecCloseIndices(result);
	ExecResetTupleTable(state->es_tupleTable, false);
	FreeExecutorState(state);
	table_close(relation, NoLock);
}

int64
insert_next_id(const char *sequence)
{
	return nextval_internal(find_relation(sequence), false);
}

char *
find_patient_status(text *patient_ref)
{
	Relation	patients = table_open(find_relation("patients"), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;
	char	   *status = NULL;

	/* The collation is the index's: ScanKeyInit() would take that of the catalogs. */
	ScanKeyEntryInitialize(&key, 0, find_column(RelationGetRelid(patients), "patient_ref"), BTEqualStrategyNumber,
						   TEXTOID, DEFAULT_COLLATION_OID, F_TEXTEQ, PointerGetDatum(patient_ref));
	scan = systable_beginscan(patients, find_relation("patients_pkey"), true, snapshot, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		bool		isnull;
		Datum		value = heap_getattr(row, find_column(RelationGetRelid(patients), "status"), RelationGetDescr(patients), &isnull);

		status = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(patients, NoLock);
	return status;
}
