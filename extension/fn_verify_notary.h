/*
 * fn_verify_notary.h
 *		Whether the notary's log in the tables is the one that was signed. SPI connected; only reads.
 */
#ifndef HDMS_EXT_FN_VERIFY_NOTARY_H
#define HDMS_EXT_FN_VERIFY_NOTARY_H

#include "postgres.h"

#include "fn_verify_log.h"

/* Nothing is reported where this node was never a notary. */
extern void notary_log_verify(LogFailure failure, void *arg);

#endif
