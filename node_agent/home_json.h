/*
 * home_json.h
 *		Pieces of the answers that the public functions give.
 */
#ifndef NODE_HOME_JSON_H
#define NODE_HOME_JSON_H

#include "version.h"

/* Prints value (which it takes) for the caller of a public function. */
extern HdmsNodeResult json_result(json_t *value, char **json, HdmsNodeError *error);

/* A JSON array that is written entry by entry: ten thousand entries as objects would not fit a phone's service. */
typedef struct JsonList
{
	char	   *text;
	size_t		len;
	size_t		size;
	bool		failed;
} JsonList;

/* Takes the entry. */
extern void json_list_add(JsonList *list, json_t *entry);

/* Ends the list and gives its text to the caller of a public function. */
extern HdmsNodeResult json_list_result(JsonList *list, char **json, HdmsNodeError *error);

/* Whether a person means that pairing by its number, the institution's node id or name. */
extern bool pairing_is(const Pairing *pairing, const char *institution);

/* The record that a version says it continues; "" mostly. HDMS_OUT_OF_MEMORY: also a failure of the store. */
extern HdmsStatus version_replaces(HdmsHome *home, int64_t version, char replaces[37]);

/* All pairings. */
extern json_t *pairings_json(const HdmsHome *home);

/*
 * The version that a person means by a number, a record's UUID or a verification key. asked: only what waits for a decision; otherwise of a
 * record the one in force, or else the newest.
 */
extern HdmsNodeResult version_meant(HdmsHome *home, const char *id, bool asked, Version *version, HdmsNodeError *error);

#endif
