/*
 * pairing.h
 *		The pairing URI and the proof that both nodes know its secret.
 *
 * hdms:pair?v=1&server=URL&network=THUMBPRINT&node=ID&invitation=UUID&secret=BASE64URL&voucher=JWS
 * The values are percent-encoded (RFC 3986). The secret is 16 bytes.
 */
#ifndef HDMS_PAIRING_H
#define HDMS_PAIRING_H

#include "history.h"

#define HDMS_PAIRING_SECRET_SIZE 16

typedef struct HdmsPairing
{
	char	   *server;			/* base URL without a trailing '/' */
	char		network[HDMS_DIGEST_TEXT + 1];
	char		node[HDMS_DIGEST_TEXT + 1];		/* the institution's */
	char		invitation[37];					/* = the voucher's jti */
	unsigned char secret[HDMS_PAIRING_SECRET_SIZE];
	char	   *voucher;
} HdmsPairing;

extern HdmsStatus hdms_pairing_uri(const HdmsPairing *pairing, char **uri);
extern HdmsStatus hdms_pairing_parse(const char *uri, size_t len, HdmsPairing *pairing);
extern void hdms_pairing_free(HdmsPairing *pairing);	/* wipes */

/*
 * HMAC-SHA256(secret, "hdms-pair" || SHA-256(institution's history entry 0) || SHA-256(person's history entry 0)).
 */
extern HdmsStatus hdms_pairing_mac(const unsigned char secret[HDMS_PAIRING_SECRET_SIZE], const HdmsHistory *institution,
								   const HdmsHistory *person, unsigned char mac[HDMS_DIGEST_SIZE]);

/* Six decimal digits shown on both screens: the first 8 bytes of the same HMAC with "hdms-code", big endian, mod 10^6. */
extern HdmsStatus hdms_pairing_code(const unsigned char secret[HDMS_PAIRING_SECRET_SIZE], const HdmsHistory *institution,
									const HdmsHistory *person, char code[7]);

#endif
