/*
 * fn_verify.h
 *		Everything that can be checked of a record, for others than hdms.verify().
 */
#ifndef HDMS_EXT_FN_VERIFY_H
#define HDMS_EXT_FN_VERIFY_H

#include "postgres.h"

#include "utils/uuid.h"

#include "fn_evidence_keys.h"

/*
 * The first check of a record that fails, in words without health data, palloc'ed; NULL when none does. What the node's own log says of the
 * record is left out: whoever has a copy of the record has none of the log. Reads with the active snapshot; SPI connected.
 */
extern char *verify_first_failure(EvidenceKeys *keys, const pg_uuid_t *record);

#endif
