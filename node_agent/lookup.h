/*
 * lookup.h
 *		Asks the directory for what flows and the inbox want.
 */
#ifndef NODE_LOOKUP_H
#define NODE_LOOKUP_H

#include "home.h"

/* Starts what is due. engine_clock() of the next one; INT64_MAX: none. */
extern int64_t lookups_run(HdmsHome *home);

/* Ends all lookups under way; they start again with the next engine. */
extern void lookups_drop(HdmsHome *home);

#endif
