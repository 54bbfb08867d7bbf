/*
 * fn_verify_columns.h
 *		What the tables say of a record beside the signed bytes: that it is what was signed, and fits together.
 */
#ifndef HDMS_EXT_FN_VERIFY_COLUMNS_H
#define HDMS_EXT_FN_VERIFY_COLUMNS_H

#include "fn_evidence.h"

/* One version. HDMS_DIGEST_MISMATCH where a column differs from what was signed, or should be empty and is not. */
extern HdmsStatus columns_verify(const RecordEvidence *loaded, const StoredVersion *stored);

/* An erased version with evidence: compared with the request, which is what is left of what was signed. */
extern HdmsStatus columns_verify_erased(const StoredVersion *stored);

/* All versions together: none missing, as many committed as were counted, the last of them in force. */
extern HdmsStatus columns_verify_versions(const RecordEvidence *loaded);

#endif
