/*
 * flow_version.h
 *		Rows of hdms_internal.versions, and the steps that several flows take with them.
 */
#ifndef HDMS_EXT_FLOW_VERSION_H
#define HDMS_EXT_FLOW_VERSION_H

#include "postgres.h"

#include "bytes.h"

/* A version that was signed, with what is needed of its record and patient. */
typedef struct VersionRow
{
	int64		id;
	char		record[37];
	char		status[24];
	int64		version;		/* the number in the signed state */
	char		vk[HDMS_DIGEST_TEXT + 1];
	int64		accept_until;	/* seconds */
	bool		has_evidence;	/* it was committed once */
	int64		committed;		/* number of the record's current version */
	bool		is_former;		/* this is a signature that was replaced (version_find_former) */
	bool		has_waiting;	/* a later version of the record waits for its turn */
	char		replaces[37];	/* the record that this one continues; "" mostly */
	char	   *patient_ref;	/* palloc'ed */
	char	   *source_id;		/* NULL: none */
	char		patient[HDMS_DIGEST_TEXT + 1];	/* node id; "" while not paired */
} VersionRow;

/* False when there is none. */
extern bool version_find(const char *vk, VersionRow *version);
extern bool version_load(int64 id, VersionRow *version);

extern bool version_has_status(const VersionRow *version, const char *status);

/* Issued or delivered: the patient has not answered. */
extern bool version_is_open(const VersionRow *version);

/* Writes the event that a version has this status now. */
extern void version_event(const VersionRow *version, const char *status, const char *reason);

/* The same where the version ended: evidence as in event_write_evidence(). */
extern void version_event_evidence(const VersionRow *version, const char *status, const char *reason, const unsigned char *evidence);

/* Ends an open version without evidence ("rejected", "expired"): status, event, the next version's turn. */
extern void version_end(const VersionRow *version, const char *status, const char *reason);

/* Queues the next version of a record that waits. The queue checks again whether it may go. */
extern void version_queue_next(const char *record);

/*
 * Takes the signature of an open version back: the device is told to forget it, and the queue signs the version anew. keep: evidence
 * for the old signature may still come (version_find_former). reason: a machine's word.
 */
extern void version_sign_anew(const VersionRow *version, bool keep, const char *reason);

/*
 * The version that had this verification key before it was signed anew, with number, vk and accept_until of then. *state: its SD-JWT,
 * palloc'ed, NULL once the version has its evidence. False when there is none.
 */
extern bool version_find_former(const char *vk, VersionRow *version, char **state);

/* The former signature, as version_find_former() gave it, counts again: the version's later one is taken back. */
extern void version_restore_former(VersionRow *version, const char *state);

/* Makes an unanswered message of this version, that answered jti, due again. False when there is none. */
extern bool version_answer_again(int64 version_id, const char *type, const char *re);

#endif
