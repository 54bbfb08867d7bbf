/*
 * session.c
 *		Session ids and secrets without any store: what a process needs to know is in the id.
 *
 * An id is base64url of: node id (32 bytes), expiry (8), mark of the signing key (8), random (8), MAC (16). The session's
 * secret is an HMAC over the whole id under the same server secret, with another prefix; so any process can check
 * any session, and replacing the server secret ends them all.
 */
#include <endian.h>
#include <string.h>

#include "session.h"

#define OFFSET_EXPIRES	32
#define OFFSET_MARK		40
#define OFFSET_RANDOM	48
#define OFFSET_MAC		56
#define ID_BYTES		72
#define MAC_BYTES		16

static const char mac_label[] = "hdms-session-id";
static const char secret_label[] = "hdms-session-secret";

HdmsStatus
session_key_mark(const char *signing_kid, unsigned char mark[8])
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	HdmsStatus	status = hdms_sha256(signing_kid, strlen(signing_kid), digest);

	if (status == HDMS_OK)
		memcpy(mark, digest, 8);
	return status;
}

/* HMAC over label || bytes. */
static HdmsStatus
labelled_mac(const unsigned char server_secret[32], const char *label, const void *data, size_t len, unsigned char mac[HDMS_DIGEST_SIZE])
{
	unsigned char message[sizeof(secret_label) + SESSION_ID_TEXT];
	size_t		label_len = strlen(label) + 1;

	if (label_len + len > sizeof(message))
		return HDMS_TOO_LARGE;
	memcpy(message, label, label_len);
	memcpy(message + label_len, data, len);
	return hdms_hmac_sha256(server_secret, 32, message, label_len + len, mac);
}

HdmsStatus
session_make(const unsigned char server_secret[32], const SessionClaim *claim, char id[SESSION_ID_TEXT + 1], unsigned char secret[32])
{
	unsigned char bytes[ID_BYTES];
	unsigned char mac[HDMS_DIGEST_SIZE];
	uint64_t	expires = htobe64((uint64_t) claim->expires);
	HdmsStatus	status;

	status = hdms_base64url_read(claim->node, strlen(claim->node), bytes, 32);
	if (status != HDMS_OK)
		return status;
	memcpy(bytes + OFFSET_EXPIRES, &expires, 8);
	memcpy(bytes + OFFSET_MARK, claim->key_mark, 8);
	status = hdms_random(bytes + OFFSET_RANDOM, 8);
	if (status != HDMS_OK)
		return status;
	status = labelled_mac(server_secret, mac_label, bytes, OFFSET_MAC, mac);
	if (status != HDMS_OK)
		return status;
	memcpy(bytes + OFFSET_MAC, mac, MAC_BYTES);
	status = labelled_mac(server_secret, secret_label, bytes, ID_BYTES, secret);
	if (status == HDMS_OK)
		hdms_base64url_write(bytes, ID_BYTES, id);
	return status;
}

HdmsStatus
session_open(const unsigned char server_secret[32], const char *id, int64_t now, SessionClaim *claim, unsigned char secret[32])
{
	unsigned char bytes[ID_BYTES];
	unsigned char mac[HDMS_DIGEST_SIZE];
	uint64_t	expires;
	HdmsStatus	status;

	if (strlen(id) != SESSION_ID_TEXT)
		return HDMS_BAD_ENCODING;
	status = hdms_base64url_read(id, SESSION_ID_TEXT, bytes, ID_BYTES);
	if (status != HDMS_OK)
		return status;
	status = labelled_mac(server_secret, mac_label, bytes, OFFSET_MAC, mac);
	if (status != HDMS_OK)
		return status;
	if (!hdms_equal(mac, bytes + OFFSET_MAC, MAC_BYTES))
		return HDMS_BAD_SIGNATURE;
	memcpy(&expires, bytes + OFFSET_EXPIRES, 8);
	if ((int64_t) be64toh(expires) <= now)
		return HDMS_EXPIRED;
	status = labelled_mac(server_secret, secret_label, bytes, ID_BYTES, secret);
	if (status != HDMS_OK)
		return status;
	hdms_base64url_write(bytes, 32, claim->node);
	claim->expires = (int64_t) be64toh(expires);
	memcpy(claim->key_mark, bytes + OFFSET_MARK, 8);
	return HDMS_OK;
}
