/*
 * flow_reads.c
 *		The institution tells when the person's records were read or exported, and for what purpose.
 *
 * It is the institution's word and proves nothing; it is kept, the newest of it, so that the person can look and ask.
 */
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "reading.h"

#define MOST_AT_ONCE	1000

static bool
is_reading(const json_t *entry)
{
	const char *record = json_string_value(json_object_get(entry, "record"));
	const char *action = json_string_value(json_object_get(entry, "action"));
	const json_t *purpose = json_object_get(entry, "purpose");
	const json_t *at = json_object_get(entry, "at");

	return record != NULL && hdms_is_uuid(record, strlen(record)) && action != NULL &&
		(strcmp(action, "read") == 0 || strcmp(action, "export") == 0) && json_is_integer(at) && json_integer_value(at) >= 0 &&
		(purpose == NULL || (json_is_string(purpose) && json_string_length(purpose) <= READING_PURPOSE_MAX));
}

Outcome
flow_reads(Arrival *arrival)
{
	json_t	   *array = json_loads(arrival->body.reads, JSON_REJECT_DUPLICATES, NULL);
	size_t		count = json_array_size(array);
	bool		good = array != NULL;
	bool		fits = count <= MOST_AT_ONCE;

	for (size_t i = 0; fits && i < count; i++)
		fits = is_reading(json_array_get(array, i));
	for (size_t i = 0; good && fits && i < count; i++)
		good = reading_add(arrival->pairing, json_array_get(array, i));
	json_decref(array);
	if (!good)
		return OUTCOME_FAILED;
	if (!fits)
		return outcome_of(arrival, HDMS_BAD_CLAIM);
	arrival->answer = ANSWER_ACK;
	home_changed(arrival->home);
	return pairing_ack(arrival->pairing, arrival->message.head.jti) ? OUTCOME_DONE : OUTCOME_FAILED;
}
