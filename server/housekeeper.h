/*
 * housekeeper.h
 *		What is to be done now and then: one process at a time does it for all.
 */
#ifndef HDMS_SERVER_HOUSEKEEPER_H
#define HDMS_SERVER_HOUSEKEEPER_H

#include "config.h"
#include "key.h"

typedef struct Housekeeper Housekeeper;

extern Housekeeper *housekeeper_start(const Config *_Atomic *config, const HdmsKey *network);
extern void housekeeper_stop(Housekeeper *housekeeper);

/* Tells that a pending institution was heard of; from any thread. What does not fit is told again later. */
extern void housekeeper_saw_pending(Housekeeper *housekeeper, const char *node);

/* Asks for a look at the list of notaries, now. */
extern void housekeeper_look_at_lists(Housekeeper *housekeeper);

#endif
