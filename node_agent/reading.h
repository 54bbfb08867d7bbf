/*
 * reading.h
 *		What institutions told of readings of the person's records.
 */
#ifndef NODE_READING_H
#define NODE_READING_H

#include "pairing_row.h"

#define READING_PURPOSE_MAX 500	/* bytes */

/* Keeps one: {"record", "at", "action", "purpose" and "version" where there are any}, checked by the caller. The oldest give way. */
extern bool reading_add(Pairing *pairing, const json_t *entry);

#endif
