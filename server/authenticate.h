/*
 * authenticate.h
 *		Who sent a request.
 */
#ifndef HDMS_SERVER_AUTHENTICATE_H
#define HDMS_SERVER_AUTHENTICATE_H

#include "http_signature.h"
#include "request.h"

/*
 * Verifies the signature, the node's status and its rate, and goes on with next, where request->node is set and the
 * nonce, if there is one, is the operation's. Otherwise replies.
 */
extern void authenticate(Request *request, RequestStep next);

/* The same for nodes that wait to be admitted, too. */
extern void authenticate_any(Request *request, RequestStep next);

/* What the signature covers, from the request. path_end and query_text have room for what they get. */
extern bool authenticate_covered(const Request *request, HdmsHttpRequest *covered, char **copy);

/* Replies that the sender could not be verified. */
extern void authenticate_refuse(Request *request, AuthenticationFailure failure);

#endif
