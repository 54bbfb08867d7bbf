/*
 * session.h
 *		Session ids and secrets without any store: what a process needs to know is in the id.
 */
#ifndef HDMS_SERVER_SESSION_H
#define HDMS_SERVER_SESSION_H

#include "bytes.h"

#define SESSION_ID_TEXT		96	/* characters */

typedef struct SessionClaim
{
	char		node[HDMS_DIGEST_TEXT + 1];
	int64_t		expires;		/* seconds */
	unsigned char key_mark[8];	/* of the signing key it was made with */
} SessionClaim;

/* What a session must match of the node's current signing key: a new key ends the sessions of the one before. */
extern HdmsStatus session_key_mark(const char *signing_kid, unsigned char mark[8]);

/* Makes an id and its secret. */
extern HdmsStatus session_make(const unsigned char server_secret[32], const SessionClaim *claim, char id[SESSION_ID_TEXT + 1],
							   unsigned char secret[32]);

/* Checks an id that a request names: HDMS_BAD_SIGNATURE when this server did not make it, HDMS_EXPIRED. */
extern HdmsStatus session_open(const unsigned char server_secret[32], const char *id, int64_t now, SessionClaim *claim,
							   unsigned char secret[32]);

#endif
