/*
 * fn_compartment.c
 *		Which patient a FHIR R4 resource is about.
 *
 * FHIR R4 has a CompartmentDefinition for patients: for each type of resource the references that put it
 * into a patient's compartment. The table below is that definition as paths of members. The first path of a
 * type is its subject: when that names another patient the resource is that patient's, whoever else took part.
 */
#include "postgres.h"

#include <stdlib.h>

#include "fn_compartment.h"

#define MAX_PATHS	5

typedef struct CompartmentRule
{
	const char *resource_type;
	const char *paths[MAX_PATHS];
} CompartmentRule;

/* Sorted by name: it is searched by halves. */
static const CompartmentRule rules[] = {
	{"Account", {"subject"}},
	{"AdverseEvent", {"subject"}},
	{"AllergyIntolerance", {"patient", "recorder", "asserter"}},
	{"Appointment", {"participant.actor"}},
	{"AppointmentResponse", {"actor"}},
	{"AuditEvent", {"agent.who", "entity.what"}},
	{"Basic", {"subject", "author"}},
	{"BodyStructure", {"patient"}},
	{"CarePlan", {"subject", "activity.detail.performer"}},
	{"CareTeam", {"subject", "participant.member"}},
	{"ChargeItem", {"subject"}},
	{"Claim", {"patient", "payee.party"}},
	{"ClaimResponse", {"patient"}},
	{"ClinicalImpression", {"subject"}},
	{"Communication", {"subject", "sender", "recipient"}},
	{"CommunicationRequest", {"subject", "sender", "recipient", "requester"}},
	{"Composition", {"subject", "author", "attester.party"}},
	{"Condition", {"subject", "asserter"}},
	{"Consent", {"patient"}},
	{"Coverage", {"beneficiary", "policyHolder", "subscriber", "payor"}},
	{"CoverageEligibilityRequest", {"patient"}},
	{"CoverageEligibilityResponse", {"patient"}},
	{"DetectedIssue", {"patient"}},
	{"DeviceRequest", {"subject", "performer"}},
	{"DeviceUseStatement", {"subject"}},
	{"DiagnosticReport", {"subject"}},
	{"DocumentManifest", {"subject", "author", "recipient"}},
	{"DocumentReference", {"subject", "author"}},
	{"Encounter", {"subject"}},
	{"EnrollmentRequest", {"candidate"}},
	{"EpisodeOfCare", {"patient"}},
	{"ExplanationOfBenefit", {"patient", "payee.party"}},
	{"FamilyMemberHistory", {"patient"}},
	{"Flag", {"subject"}},
	{"Goal", {"subject"}},
	{"Group", {"member.entity"}},
	{"ImagingStudy", {"subject"}},
	{"Immunization", {"patient"}},
	{"ImmunizationEvaluation", {"patient"}},
	{"ImmunizationRecommendation", {"patient"}},
	{"Invoice", {"subject", "recipient"}},
	{"List", {"subject", "source"}},
	{"MeasureReport", {"subject"}},
	{"Media", {"subject"}},
	{"MedicationAdministration", {"subject", "performer.actor"}},
	{"MedicationDispense", {"subject", "receiver"}},
	{"MedicationRequest", {"subject"}},
	{"MedicationStatement", {"subject"}},
	{"MolecularSequence", {"patient"}},
	{"NutritionOrder", {"patient"}},
	{"Observation", {"subject", "performer"}},
	{"Person", {"link.target"}},
	{"Procedure", {"subject", "performer.actor"}},
	{"Provenance", {"target"}},
	{"QuestionnaireResponse", {"subject", "author"}},
	{"RelatedPerson", {"patient"}},
	{"RequestGroup", {"subject", "action.participant"}},
	{"ResearchSubject", {"individual"}},
	{"RiskAssessment", {"subject"}},
	{"Schedule", {"actor"}},
	{"ServiceRequest", {"subject", "performer"}},
	{"Specimen", {"subject"}},
	{"SupplyDelivery", {"patient"}},
	{"SupplyRequest", {"deliverTo"}},
	{"VisionPrescription", {"patient"}},
};

/* What references were found on a path. */
typedef struct References
{
	const PatientNames *wanted; /* NULL: only the first patient is looked for */
	bool		is_wanted;		/* one of them is the wanted patient */
	char	   *other;			/* the first that is another patient, palloc'ed */
} References;

void
patient_names_add(PatientNames *names, const char *name)
{
	if (names->names == NULL)
		names->names = palloc(sizeof(char *));
	else
		names->names = repalloc(names->names, (names->count + 1) * sizeof(char *));
	names->names[names->count++] = pstrdup(name);
}

char *
json_text(HdmsSpan object, const char *name)
{
	HdmsJsonItem item;
	HdmsBytes	bytes = {0};
	char	   *text = NULL;

	if (hdms_json_member(object.data, object.len, name, &item) != HDMS_OK || item.kind != HDMS_JSON_STRING)
		return NULL;

	/* What is unescaped is never longer than what is escaped, so nothing can raise while it is held. */
	text = palloc(item.value.len + 1);
	if (hdms_json_unescape(item.value, &bytes) != HDMS_OK)
		return NULL;
	if (memchr(bytes.data, '\0', bytes.len) != NULL)
	{
		hdms_bytes_free(&bytes);
		return NULL;
	}
	memcpy(text, bytes.data, bytes.len);
	text[bytes.len] = '\0';
	hdms_bytes_free(&bytes);
	return text;
}

/* "Patient/123", "https://fhir.example/Patient/123/_history/2" */
static bool
names_a_patient(const char *reference)
{
	return strncmp(reference, "Patient/", 8) == 0 || strstr(reference, "/Patient/") != NULL;
}

/* Whether a reference is that name, perhaps of one version of it. */
static bool
reference_is(const char *reference, const char *name)
{
	size_t		len = strlen(name);

	return strncmp(reference, name, len) == 0 &&
		(reference[len] == '\0' || strncmp(reference + len, "/_history/", 10) == 0);
}

static void
note_reference(HdmsSpan object, References *found)
{
	char	   *reference = json_text(object, "reference");
	char	   *type;
	bool		is_patient;

	if (reference == NULL)
		return;
	for (int i = 0; found->wanted != NULL && i < found->wanted->count; i++)
	{
		if (reference_is(reference, found->wanted->names[i]))
		{
			found->is_wanted = true;
			return;
		}
	}
	type = json_text(object, "type");
	is_patient = names_a_patient(reference) || (type != NULL && strcmp(type, "Patient") == 0);
	if (is_patient && found->other == NULL)
		found->other = reference;
}

/* Follows a path of members, through arrays, to references. */
static void
follow_path(HdmsSpan value, HdmsJsonKind kind, const char *path, References *found)
{
	if (kind == HDMS_JSON_ARRAY)
	{
		HdmsJsonItem *items;
		HdmsJsonItem *copy;
		size_t		count;

		if (hdms_json_items(value.data, value.len, &items, &count) != HDMS_OK || count == 0)
			return;
		copy = MemoryContextAllocExtended(CurrentMemoryContext, count * sizeof(HdmsJsonItem), MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (copy != NULL)
			memcpy(copy, items, count * sizeof(HdmsJsonItem));
		free(items);
		if (copy == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		for (size_t i = 0; i < count; i++)
		{
			/* An array inside an array is not FHIR. */
			if (copy[i].kind == HDMS_JSON_OBJECT)
				follow_path(copy[i].value, HDMS_JSON_OBJECT, path, found);
		}
		pfree(copy);
	}
	else if (kind == HDMS_JSON_OBJECT && path == NULL)
		note_reference(value, found);
	else if (kind == HDMS_JSON_OBJECT)
	{
		const char *dot = strchr(path, '.');
		char		step[NAMEDATALEN];
		HdmsJsonItem item;

		strlcpy(step, path, dot != NULL ? (size_t) (dot - path) + 1 : sizeof(step));
		if (hdms_json_member(value.data, value.len, step, &item) == HDMS_OK)
			follow_path(item.value, item.kind, dot != NULL ? dot + 1 : NULL, found);
	}
}

static int
compare_rule(const void *key, const void *rule)
{
	return strcmp(key, ((const CompartmentRule *) rule)->resource_type);
}

static const CompartmentRule *
find_rule(const char *resource_type)
{
	return bsearch(resource_type, rules, lengthof(rules), sizeof(CompartmentRule), compare_rule);
}

Compartment
compartment_of(HdmsSpan resource, const char *resource_type, const PatientNames *patient)
{
	const CompartmentRule *rule = find_rule(resource_type);

	if (rule == NULL)
		return ABOUT_NOBODY;
	for (int i = 0; i < MAX_PATHS && rule->paths[i] != NULL; i++)
	{
		References	found = {.wanted = patient};

		follow_path(resource, HDMS_JSON_OBJECT, rule->paths[i], &found);
		if (found.is_wanted)
			return ABOUT_PATIENT;
		if (i == 0 && found.other != NULL)
			return ABOUT_OTHER_PATIENT;
	}
	return ABOUT_NOBODY;
}

char *
compartment_subject(HdmsSpan resource, const char *resource_type)
{
	const CompartmentRule *rule = find_rule(resource_type);
	References	found = {0};

	if (rule == NULL)
		return NULL;
	follow_path(resource, HDMS_JSON_OBJECT, rule->paths[0], &found);
	return found.other;
}
