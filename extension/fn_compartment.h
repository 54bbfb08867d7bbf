/*
 * fn_compartment.h
 *		Which patient a FHIR R4 resource is about.
 */
#ifndef HDMS_EXT_FN_COMPARTMENT_H
#define HDMS_EXT_FN_COMPARTMENT_H

#include "postgres.h"

#include "json_scan.h"

/* How a patient is called in the resources of one import. */
typedef struct PatientNames
{
	char	  **names;			/* palloc'ed: "Patient/123", "urn:uuid:...", "https://..." */
	int			count;
} PatientNames;

extern void patient_names_add(PatientNames *names, const char *name);

typedef enum Compartment
{
	ABOUT_PATIENT,
	ABOUT_OTHER_PATIENT,		/* its subject is a patient, but another one */
	ABOUT_NOBODY				/* it does not refer to the patient */
} Compartment;

/*
 * Whether a resource belongs to that patient: by the references that the R4 Patient compartment names.
 * The resource was checked. Raises an ERROR only when memory runs out.
 */
extern Compartment compartment_of(HdmsSpan resource, const char *resource_type, const PatientNames *patient);

/* The reference to a patient that the resource's subject is, palloc'ed; NULL when it has none that looks like one. */
extern char *compartment_subject(HdmsSpan resource, const char *resource_type);

/* The string member of an object, palloc'ed; NULL when it is missing, no string, or contains NUL. */
extern char *json_text(HdmsSpan object, const char *name);

#endif
