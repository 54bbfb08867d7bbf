/*
 * notary_list.h
 *		The list of notaries: who should be in it, and signing a new one when it is wrong or old.
 */
#ifndef HDMS_SERVER_NOTARY_LIST_H
#define HDMS_SERVER_NOTARY_LIST_H

#include <libpq-fe.h>

#include "admission.h"

typedef enum NotaryListOutcome
{
	NOTARY_LIST_UNCHANGED, NOTARY_LIST_SIGNED, NOTARY_LIST_FAILED
} NotaryListOutcome;

/*
 * Makes the newest list in the database the right one: signs another if there is none, if it does not have exactly
 * the notaries of the directory, or if it is older than half of max_age. Takes an advisory lock and a transaction of
 * its own; conn must be idle.
 */
extern NotaryListOutcome notary_list_refresh(PGconn *conn, const HdmsKey *network, int64_t max_age, int64_t now);

#endif
