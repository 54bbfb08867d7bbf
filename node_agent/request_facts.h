/*
 * request_facts.h
 *		What a receipt is compared with: the few facts of a notary request that the flow asks for.
 */
#ifndef NODE_REQUEST_FACTS_H
#define NODE_REQUEST_FACTS_H

#include "home.h"
#include "notarisation.h"

typedef struct RequestFacts
{
	unsigned char digest[HDMS_DIGEST_SIZE];		/* SHA-256 of the request */
	char		aud[HDMS_DIGEST_TEXT + 1];		/* notary */
	char		notaries[HDMS_DIGEST_TEXT + 1]; /* of its commit, as the next two */
	unsigned char tag[HDMS_DIGEST_SIZE];
	int64_t		accept_until;	/* seconds */
} RequestFacts;

/* The facts of a stored request: remembered, or read from the text. */
extern HdmsStatus request_facts_of(HdmsHome *home, const char *request, RequestFacts *facts);

/* Remembers those of a request that was just made for that notary, with the commit in it. Without memory they are read later. */
extern void request_facts_note(HdmsHome *home, const char *request, const char *notary, const HdmsCommit *commit);

#endif
