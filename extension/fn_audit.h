/*
 * fn_audit.h
 *		The audit trail: who did or read what, when, and for what purpose.
 */
#ifndef HDMS_EXT_FN_AUDIT_H
#define HDMS_EXT_FN_AUDIT_H

#include "postgres.h"

#include "utils/uuid.h"

/*
 * Writes one row into the queue of the trail, in the caller's transaction. record, patient_ref and purpose may be NULL, version_id 0.
 */
extern void audit_write(const char *action, const pg_uuid_t *record, int64 version_id, text *patient_ref, text *purpose);

/*
 * Also tells the server's log: a row is taken back with the reader's transaction, a line in the log is not.
 * The line has no patient and no purpose.
 */
extern void audit_write_read(const char *action, const pg_uuid_t *record, int64 version_id, text *patient_ref, text *purpose);

#endif
