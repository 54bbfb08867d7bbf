/*
 * rotation.h
 *		Replacing a node's keys on a device that is not lost.
 */
#ifndef NODE_ROTATION_H
#define NODE_ROTATION_H

#include "home.h"

/* Rotates the pairings that it is due for and that have no version with a notary. False on a failure of the store; it is tried again. */
extern bool rotation_run(HdmsHome *home);

#endif
