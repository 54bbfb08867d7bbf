/*
 * request_facts.c
 *		The facts of notary requests, remembered for the receipts that come soon.
 *
 * They are kept by the request's digest and follow from its bytes alone, so nothing that happens to a flow can make them wrong, and whoever
 * asks for them has the bytes. A receipt mostly comes while they are here; otherwise request and commit are parsed again.
 */
#include "request_facts.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 512				/* each holds the newest request whose digest begins so */

static RequestFacts *
slot_of(HdmsHome *home, const unsigned char digest[HDMS_DIGEST_SIZE])
{
	if (home->request_facts == NULL)
		home->request_facts = calloc(SLOTS, sizeof(*home->request_facts));
	return home->request_facts ? &home->request_facts[(digest[0] << 8 | digest[1]) % SLOTS] : NULL;
}

HdmsStatus
request_facts_of(HdmsHome *home, const char *request, RequestFacts *facts)
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	RequestFacts *slot;
	HdmsRequest parsed;
	HdmsStatus	status = hdms_sha256(request, strlen(request), digest);

	if (status != HDMS_OK)
		return status;
	slot = slot_of(home, digest);
	if (slot != NULL && slot->aud[0] != '\0' && memcmp(slot->digest, digest, sizeof(digest)) == 0)
	{
		*facts = *slot;
		return HDMS_OK;
	}
	status = hdms_request_peek(request, strlen(request), &parsed);
	if (status != HDMS_OK)
		return status;
	memcpy(facts->digest, digest, sizeof(digest));
	strcpy(facts->aud, parsed.aud);
	strcpy(facts->notaries, parsed.commit.notaries);
	memcpy(facts->tag, parsed.commit.tag, sizeof(facts->tag));
	facts->accept_until = parsed.commit.accept_until;
	return HDMS_OK;
}

void
request_facts_note(HdmsHome *home, const char *request, const char *notary, const HdmsCommit *commit)
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	RequestFacts *slot;

	if (hdms_sha256(request, strlen(request), digest) != HDMS_OK || (slot = slot_of(home, digest)) == NULL)
		return;
	memcpy(slot->digest, digest, sizeof(digest));
	strcpy(slot->aud, notary);
	strcpy(slot->notaries, commit->notaries);
	memcpy(slot->tag, commit->tag, sizeof(slot->tag));
	slot->accept_until = commit->accept_until;
}
