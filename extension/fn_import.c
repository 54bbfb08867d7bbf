/*
 * fn_import.c
 *		hdms.import_bundle() and hdms.import_ndjson(): FHIR resources of one patient become records.
 *
 * Resources are cut out of the source as spans of bytes, never parsed into values and printed again, so a
 * record's content is what the other system wrote, digit for digit. A resource that cannot be taken is
 * reported in its row; the others are taken all the same. A source_id made from the resource's own id
 * makes importing again harmless.
 */
#include "postgres.h"

#include <stdlib.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fn_argument.h"
#include "fn_audit.h"
#include "fn_compartment.h"
#include "fn_store.h"
#include "wake.h"

PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_import_bundle);
PGDLLEXPORT PG_FUNCTION_INFO_V1(hdms_fn_import_ndjson);

/* One resource of the source. */
typedef struct Entry
{
	int32		number;			/* of the entry or line, from 1 */
	HdmsSpan	resource;		/* data NULL: there is none */
	char	   *resource_type;	/* NULL where it is missing */
	char	   *id;
	char	   *full_url;
	const char *problem;		/* why it cannot be taken, known from the start */
} Entry;

typedef struct Import
{
	const char *noun;			/* "the bundle", "the file" */
	Entry	   *entries;
	int			count;
	int			room;
	text	   *patient_ref;
	PatientNames patient;
	const Entry *patient_entry; /* the Patient resource itself, or NULL */
} Import;

static Entry *
add_entry(Import *import, int32 number)
{
	Entry	   *entry;

	if (import->count == import->room)
	{
		Size		size;

		import->room = import->room == 0 ? 64 : import->room * 2;
		size = import->room * sizeof(Entry);
		import->entries = import->entries == NULL ? palloc_extended(size, MCXT_ALLOC_HUGE) : repalloc_huge(import->entries, size);
	}
	entry = &import->entries[import->count++];
	memset(entry, 0, sizeof(*entry));
	entry->number = number;
	return entry;
}

static void
describe_resource(Entry *entry, HdmsSpan resource)
{
	entry->resource = resource;
	entry->resource_type = json_text(resource, "resourceType");
	entry->id = json_text(resource, "id");
	if (entry->resource_type == NULL)
		entry->problem = "has no resourceType";
}

/* One member of a bundle's "entry". */
static void
read_bundle_entry(Import *import, int32 number, const HdmsJsonItem *item)
{
	Entry	   *entry = add_entry(import, number);
	HdmsJsonItem member;
	char	   *method;

	if (item->kind != HDMS_JSON_OBJECT ||
		hdms_json_member(item->value.data, item->value.len, "resource", &member) != HDMS_OK ||
		member.kind != HDMS_JSON_OBJECT)
	{
		entry->problem = "has no resource";
		return;
	}
	describe_resource(entry, member.value);
	entry->full_url = json_text(item->value, "fullUrl");
	if (hdms_json_member(item->value.data, item->value.len, "request", &member) == HDMS_OK && member.kind == HDMS_JSON_OBJECT)
	{
		method = json_text(member.value, "method");
		if (method != NULL && strcmp(method, "POST") != 0 && strcmp(method, "PUT") != 0)
			entry->problem = "its request is neither POST nor PUT";
	}
}

/* The elements of an array, palloc'ed, so that nothing is leaked when something raises. */
static HdmsJsonItem *
array_items(HdmsSpan array, size_t *count)
{
	HdmsJsonItem *items = NULL;
	HdmsJsonItem *copy;
	HdmsStatus	status = hdms_json_items(array.data, array.len, &items, count);

	if (status != HDMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not take the bundle apart: %s", hdms_status_sentence(status))));
	copy = palloc_extended(Max(*count, 1) * sizeof(HdmsJsonItem), MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (copy != NULL && *count > 0)
		memcpy(copy, items, *count * sizeof(HdmsJsonItem));
	free(items);
	if (copy == NULL || *count > INT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return copy;
}

static void
check_bundle(HdmsSpan bundle)
{
	static const char *const types[] = {"transaction", "batch", "collection", "searchset"};
	HdmsJsonKind kind = HDMS_JSON_NULL;
	size_t		offset = 0;
	HdmsStatus	status = hdms_json_check(bundle.data, bundle.len, MaxAllocSize, &kind, &offset);
	char	   *text;

	if (status != HDMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_JSON_TEXT),
				 errmsg("the bundle is not strict JSON"),
				 errdetail("%s, at byte %zu.", hdms_status_sentence(status), offset),
				 errhint("Names must not occur twice in one object, at most %d levels may be nested.", HDMS_JSON_MAX_DEPTH)));
	text = kind == HDMS_JSON_OBJECT ? json_text(bundle, "resourceType") : NULL;
	if (text == NULL || strcmp(text, "Bundle") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this is not a FHIR Bundle"),
				 errhint("A single resource is handed over with hdms.issue().")));
	text = json_text(bundle, "type");
	for (size_t i = 0; text != NULL && i < lengthof(types); i++)
	{
		if (strcmp(text, types[i]) == 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a Bundle of this type cannot be imported"),
			 errhint("The types are transaction, batch, collection and searchset.")));
}

static void
read_bundle(Import *import, HdmsSpan bundle)
{
	HdmsJsonItem member;
	HdmsJsonItem *items;
	size_t		count;

	check_bundle(bundle);
	if (hdms_json_member(bundle.data, bundle.len, "entry", &member) != HDMS_OK)
		return;
	if (member.kind != HDMS_JSON_ARRAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the bundle's \"entry\" is not an array")));
	items = array_items(member.value, &count);
	for (size_t i = 0; i < count; i++)
		read_bundle_entry(import, (int32) i + 1, &items[i]);
	pfree(items);
}

/* One line that is not blank. */
static void
read_line(Import *import, int32 number, HdmsSpan line)
{
	Entry	   *entry = add_entry(import, number);
	HdmsJsonKind kind = HDMS_JSON_NULL;
	size_t		offset = 0;
	HdmsStatus	status = hdms_json_check(line.data, line.len, MaxAllocSize, &kind, &offset);

	if (status != HDMS_OK)
		entry->problem = psprintf("is not strict JSON: %s, at byte %zu", hdms_status_sentence(status), offset);
	else if (kind != HDMS_JSON_OBJECT)
		entry->problem = "is not a JSON object";
	else
		describe_resource(entry, line);
}

static void
read_lines(Import *import, HdmsSpan lines)
{
	const char *at = lines.data;
	const char *end = lines.data + lines.len;

	for (int32 number = 1; at < end; number++)
	{
		const char *feed = memchr(at, '\n', end - at);
		const char *next = feed != NULL ? feed + 1 : end;
		const char *last = feed != NULL ? feed : end;

		CHECK_FOR_INTERRUPTS();
		while (at < last && strchr(" \t\r", *at) != NULL)
			at++;
		while (last > at && strchr(" \t\r", last[-1]) != NULL)
			last--;
		if (last > at)
			read_line(import, number, (HdmsSpan) {at, (size_t) (last - at)});
		at = next;
	}
}

/* The value of the identifier that is a medical record number (HL7 table 0203, MR), palloc'ed, or NULL. */
static char *
medical_record_number(HdmsSpan patient)
{
	HdmsJsonItem member;
	HdmsJsonItem *identifiers;
	size_t		count;

	if (hdms_json_member(patient.data, patient.len, "identifier", &member) != HDMS_OK || member.kind != HDMS_JSON_ARRAY)
		return NULL;
	identifiers = array_items(member.value, &count);
	for (size_t i = 0; i < count; i++)
	{
		HdmsSpan	identifier = identifiers[i].value;
		HdmsJsonItem type;
		HdmsJsonItem coding;
		HdmsJsonItem *codings;
		size_t		coding_count;

		if (identifiers[i].kind != HDMS_JSON_OBJECT ||
			hdms_json_member(identifier.data, identifier.len, "type", &type) != HDMS_OK || type.kind != HDMS_JSON_OBJECT ||
			hdms_json_member(type.value.data, type.value.len, "coding", &coding) != HDMS_OK || coding.kind != HDMS_JSON_ARRAY)
			continue;
		codings = array_items(coding.value, &coding_count);
		for (size_t j = 0; j < coding_count; j++)
		{
			char	   *code = codings[j].kind == HDMS_JSON_OBJECT ? json_text(codings[j].value, "code") : NULL;

			if (code != NULL && strcmp(code, "MR") == 0)
				return json_text(identifier, "value");
		}
	}
	return NULL;
}

static bool
is_patient(const Entry *entry)
{
	return entry->problem == NULL && entry->resource_type != NULL && strcmp(entry->resource_type, "Patient") == 0;
}

/* Whether a Patient resource says that it is the patient whom the EMR calls so. */
static bool
patient_is_called(const Entry *entry, const char *patient_ref)
{
	char	   *number = medical_record_number(entry->resource);

	return (entry->id != NULL && strcmp(entry->id, patient_ref) == 0) || (number != NULL && strcmp(number, patient_ref) == 0);
}

/* Finds the Patient resource that the import is about; NULL where there is none at all. */
static const Entry *
choose_patient_entry(const Import *import)
{
	const Entry *chosen = NULL;
	const char *patient_ref = import->patient_ref != NULL ? text_to_cstring(import->patient_ref) : NULL;
	int			patients = 0;
	int			called_so = 0;

	for (int i = 0; i < import->count; i++)
	{
		if (!is_patient(&import->entries[i]))
			continue;
		patients++;
		if (patient_ref != NULL && patient_is_called(&import->entries[i], patient_ref))
		{
			called_so++;
			chosen = &import->entries[i];
		}
		else if (chosen == NULL)
			chosen = &import->entries[i];
	}
	if (patients > 1 && called_so != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot tell whose records these are"),
				 errdetail("There are %d Patient resources in %s; %d of them have the given patient_ref as id or medical record number.",
						   patients, import->noun, called_so)));
	return chosen;
}

/* Without a Patient resource: what references call the patient whose patient_ref was given. */
static void
name_patient_by_references(Import *import, const char *own_name)
{
	char	   *only = NULL;
	bool		several = false;

	for (int i = 0; i < import->count; i++)
	{
		const Entry *entry = &import->entries[i];
		char	   *subject = entry->problem == NULL ? compartment_subject(entry->resource, entry->resource_type) : NULL;

		if (subject == NULL)
			continue;
		if (strcmp(subject, own_name) == 0)
			return;
		if (only == NULL)
			only = subject;
		else if (strcmp(only, subject) != 0)
			several = true;
	}
	if (several)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot tell whose records these are"),
				 errdetail("The resources refer to several patients, and none of them is \"%s\".", own_name),
				 errhint("Import the records of one patient at a time.")));
	if (only != NULL)
		patient_names_add(&import->patient, only);
}

/* Settles whose records these are, and by what names the resources refer to them. */
static void
settle_patient(Import *import)
{
	char	   *own_name;

	import->patient_entry = choose_patient_entry(import);
	if (import->patient_ref == NULL)
	{
		char	   *found = NULL;

		if (import->patient_entry != NULL)
		{
			found = medical_record_number(import->patient_entry->resource);
			if (found == NULL)
				found = import->patient_entry->id;
		}
		if (found == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot tell whose records these are"),
					 errdetail("There is no Patient resource with a medical record number or an id in %s.", import->noun),
					 errhint("Give patient_ref.")));
		import->patient_ref = cstring_to_text(found);
	}

	own_name = psprintf("Patient/%s", text_to_cstring(import->patient_ref));
	patient_names_add(&import->patient, own_name);
	if (import->patient_entry == NULL)
	{
		name_patient_by_references(import, own_name);
		return;
	}
	if (import->patient_entry->id != NULL)
		patient_names_add(&import->patient, psprintf("Patient/%s", import->patient_entry->id));
	if (import->patient_entry->full_url != NULL)
		patient_names_add(&import->patient, import->patient_entry->full_url);
}

/* What the EMR calls the resource, or NULL. */
static char *
source_id_of(const Entry *entry)
{
	if (entry->id != NULL && entry->id[0] != '\0')
		return psprintf("%s/%s", entry->resource_type, entry->id);
	return entry->full_url;
}

/* Why a source_id cannot be one, or NULL. */
static const char *
source_id_problem(const char *source_id)
{
	if (source_id == NULL || source_id[0] == '\0')
		return "has neither an id nor a fullUrl";
	if (strlen(source_id) > MAX_SOURCE_ID)
		return "its id is too long";
	for (const unsigned char *at = (const unsigned char *) source_id; *at != '\0'; at++)
	{
		if (*at < 0x20 || *at == 0x7f)
			return "its id has control characters";
	}
	return NULL;
}

/* Whether it is the patient's. NULL, or why not. */
static const char *
patient_problem(const Import *import, const Entry *entry)
{
	if (is_patient(entry))
		return entry == import->patient_entry ? NULL : "is about another patient";
	switch (compartment_of(entry->resource, entry->resource_type, &import->patient))
	{
		case ABOUT_PATIENT:
			return NULL;
		case ABOUT_OTHER_PATIENT:
			return "is about another patient";
		case ABOUT_NOBODY:
			break;
	}
	return "does not refer to the patient";
}

/* Stores one resource. NULL, or why it was not. */
static const char *
store_entry(const Import *import, const Entry *entry, pg_uuid_t *record, bool *changed)
{
	const char *problem = entry->problem;
	char	   *source_id;
	Content		content;
	ContentProblem content_problem;

	if (problem != NULL || (problem = patient_problem(import, entry)) != NULL)
		return problem;
	source_id = source_id_of(entry);
	if ((problem = source_id_problem(source_id)) != NULL)
		return problem;
	if (!content_prepare(entry->resource.data, entry->resource.len, &content, &content_problem))
		return content_problem.detail == NULL ? content_problem.message :
			psprintf("%s: %s", content_problem.message, content_problem.detail);

	switch (store_record(import->patient_ref, cstring_to_text(source_id), &content, NULL, NULL, record))
	{
		case STORED_NEW:
		case STORED_VERSION:
			*changed = true;
			audit_write("import", record, 0, import->patient_ref, NULL);
			return NULL;
		case STORED_BEFORE:
			return NULL;
		case STORE_UNKNOWN_PATIENT:
			return psprintf("unknown patient \"%s\"", text_to_cstring(import->patient_ref));
		case STORE_OTHER_PATIENT:
			return psprintf("source_id \"%s\" belongs to a record of another patient", source_id);
		case STORE_CONTINUED:
			return "the record is continued by another one, because the patient has another device";
		case STORE_ERASED:
			return "the record has been erased";
		case STORE_UNKNOWN_RECORD:
			break;
	}
	return "the record vanished";
}

/* Stores the entries and returns a row for each. */
static Datum
store_entries(FunctionCallInfo fcinfo, Import *import)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller;
	MemoryContext each;
	bool		changed = false;

	InitMaterializedSRF(fcinfo, 0);
	settle_patient(import);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	each = AllocSetContextCreate(CurrentMemoryContext, "hdms import", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(each);
	for (int i = 0; i < import->count; i++)
	{
		const Entry *entry = &import->entries[i];
		pg_uuid_t	record;
		const char *problem;
		Datum		values[4] = {0};
		bool		nulls[4] = {0};

		CHECK_FOR_INTERRUPTS();
		problem = store_entry(import, entry, &record, &changed);
		values[0] = Int32GetDatum(entry->number);
		nulls[1] = entry->resource_type == NULL;
		if (!nulls[1])
			values[1] = CStringGetTextDatum(entry->resource_type);
		nulls[2] = problem != NULL;
		if (!nulls[2])
			values[2] = UUIDPGetDatum(&record);
		nulls[3] = problem == NULL;
		if (!nulls[3])
			values[3] = CStringGetTextDatum(problem);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		MemoryContextReset(each);
	}
	MemoryContextSwitchTo(caller);
	SPI_finish();
	if (changed)
		wake_worker_at_commit();
	return (Datum) 0;
}

/* The arguments that both functions have: the source and patient_ref. */
static HdmsSpan
read_arguments(FunctionCallInfo fcinfo, Import *import, const char *name)
{
	text	   *source;

	argument_required(fcinfo, 0, name);
	source = PG_GETARG_TEXT_PP(0);
	if (!PG_ARGISNULL(1))
		import->patient_ref = PG_GETARG_TEXT_PP(1);
	return (HdmsSpan) {VARDATA_ANY(source), VARSIZE_ANY_EXHDR(source)};
}

Datum
hdms_fn_import_bundle(PG_FUNCTION_ARGS)
{
	Import		import = {.noun = "the bundle"};
	HdmsSpan	source = read_arguments(fcinfo, &import, "bundle");

	read_bundle(&import, source);
	return store_entries(fcinfo, &import);
}

Datum
hdms_fn_import_ndjson(PG_FUNCTION_ARGS)
{
	Import		import = {.noun = "the lines"};
	HdmsSpan	source = read_arguments(fcinfo, &import, "lines");

	read_lines(&import, source);
	return store_entries(fcinfo, &import);
}
