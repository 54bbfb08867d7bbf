/*
 * http_signature_input.h
 *		The Signature-Input header of a request to the server.  Internal to protocol/.
 */
#ifndef HDMS_HTTP_SIGNATURE_INPUT_H
#define HDMS_HTTP_SIGNATURE_INPUT_H

#include "http_signature.h"

#define HDMS_NONCE_MAX	64

/* What a signature covers; the ones before the digest are covered always. */
typedef enum HdmsHttpComponent
{
	HDMS_HTTP_METHOD, HDMS_HTTP_AUTHORITY, HDMS_HTTP_PATH, HDMS_HTTP_QUERY, HDMS_HTTP_CONTENT_DIGEST, HDMS_HTTP_COMPONENT_COUNT
} HdmsHttpComponent;

typedef struct HdmsHttpInput
{
	HdmsHttpComponent components[HDMS_HTTP_COMPONENT_COUNT];	/* in the order that they are signed in */
	size_t		count;
	bool		covers_digest;
	HdmsHttpClaim claim;
	char		tag[32];		/* "" when there is none */
	const char *params;			/* the part after "label=", within the header */
	size_t		params_len;
} HdmsHttpInput;

/*
 * Parses label=("component" ...);created=N;keyid="...";nonce="...";tag="..." with the parameters in any order, each at most
 * once. Other parameters, components and labels are HDMS_BAD_FORMAT, as are a missing created or keyid.
 */
extern HdmsStatus hdms_http_input_parse(const char *header, const char *label,
										const char *const names[HDMS_HTTP_COMPONENT_COUNT], HdmsHttpInput *input);

#endif
