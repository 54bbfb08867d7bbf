/*
 * housekeeper.h
 *		What is to be done now and then: one process at a time does it for all.
 */
#ifndef HDMS_SERVER_HOUSEKEEPER_H
#define HDMS_SERVER_HOUSEKEEPER_H

#include "config.h"
#include "directory_sequencer.h"

typedef struct Housekeeper Housekeeper;

extern Housekeeper *housekeeper_start(const Config *_Atomic *config, const HdmsKey *network);
extern void housekeeper_stop(Housekeeper *housekeeper);

/* Tells that a pending institution was heard of; from any thread. What does not fit is told again later. */
extern void housekeeper_saw_pending(Housekeeper *housekeeper, const char *node);

/* Asks for a look at the list of notaries, now. */
extern void housekeeper_look_at_lists(Housekeeper *housekeeper);

/* Asks for what was registered to be put into the directory's log, now. */
extern void housekeeper_look_at_directory(Housekeeper *housekeeper);

/* Somebody showed a checkpoint of the directory's log, signed by the network key: does the log still have what it promised? */
extern void housekeeper_was_shown(Housekeeper *housekeeper, const SeenCheckpoint *shown);

#endif
