/*
 * fuzz_wire.c
 *		Any bytes as each of the HTTP bodies: no crash; what is accepted prints, and is accepted again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops the program unless the call answers HDMS_OK. */
static void
must(HdmsStatus status)
{
	if (status != HDMS_OK)
		abort();
}

static void
envelopes(const char *json, size_t len)
{
	HdmsParcel *parcels = NULL;
	HdmsPutResult *results = NULL;
	size_t		count = 0;
	size_t		again = 0;
	char		epoch[64];
	char	  **ids = NULL;
	char	   *text = NULL;
	int			wait;
	int			limit;
	bool		more;

	if (hdms_wire_put_parse(json, len, &parcels, &count) == HDMS_OK)
	{
		must(hdms_wire_put_print(parcels, count, &text));
		hdms_parcels_free(parcels, count);
		must(hdms_wire_put_parse(text, strlen(text), &parcels, &again));
		if (again != count)
			abort();
		hdms_parcels_free(parcels, count);
		free(text);
	}
	if (hdms_wire_mailbox_parse(json, len, epoch, &parcels, &count, &more) == HDMS_OK)
	{
		must(hdms_wire_mailbox_print(epoch, parcels, count, more, &text));
		hdms_parcels_free(parcels, count);
		free(text);
	}
	if (hdms_wire_results_parse(json, len, epoch, &results, &count) == HDMS_OK)
	{
		must(hdms_wire_results_print(epoch, results, count, &text));
		free(results);
		free(text);
	}
	if (hdms_wire_ack_parse(json, len, &ids, &count, &wait, &limit) == HDMS_OK)
	{
		must(hdms_wire_ack_print((const char *const *) ids, count, wait, limit, &text));
		for (size_t i = 0; i < count; i++)
			free(ids[i]);
		free(ids);
		free(text);
	}
}

static void
directory(const char *json, size_t len)
{
	HdmsRegistration registration = {0};
	HdmsNodeEntry entry = {0};
	HdmsSession session = {0};
	char	   *jwk = NULL;
	char	   *notaries = NULL;
	char	   *detail = NULL;
	char	   *text = NULL;
	char		word[48];
	int64_t		now;

	if (hdms_wire_registration_parse(json, len, &registration) == HDMS_OK)
	{
		must(hdms_wire_registration_print(&registration, &text));
		hdms_wire_registration_free(&registration);
		free(text);
	}
	if (hdms_wire_node_parse(json, len, &entry) == HDMS_OK)
	{
		must(hdms_wire_node_print(&entry, &text));
		hdms_wire_node_free(&entry);
		free(text);
	}
	if (hdms_wire_network_parse(json, len, &jwk, &notaries) == HDMS_OK)
	{
		must(hdms_wire_network_print(jwk, notaries, &text));
		free(jwk);
		free(notaries);
		free(text);
	}
	if (hdms_wire_session_parse(json, len, &session) == HDMS_OK)
	{
		must(hdms_wire_session_print(&session, &text));
		free(session.secret);
		free(text);
	}
	if (hdms_wire_problem_parse(json, len, word, &detail, &now) == HDMS_OK)
		free(detail);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	envelopes((const char *) data, size);
	directory((const char *) data, size);
	return 0;
}
