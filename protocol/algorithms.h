/*
 * algorithms.h
 *		The OpenSSL algorithm objects that the library uses, fetched once.  Internal to protocol/.
 *
 * OpenSSL 3 looks an algorithm up by name, under a lock, each time it is not
 * handed a fetched object; on small messages that costs more than the work.
 */
#ifndef HDMS_ALGORITHMS_H
#define HDMS_ALGORITHMS_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

typedef struct HdmsAlgorithms
{
	EVP_MD	   *sha256;
	EVP_CIPHER *aes256_gcm;
	EVP_CIPHER *aes256_wrap;
	EVP_MAC_CTX *hmac_sha256;	/* to be duplicated: digest set, no key */
	EVP_KDF    *hkdf;
	EVP_PKEY   *p256;			/* the curve's parameters without a key */
} HdmsAlgorithms;

/* The fetched objects, shared by all threads and never freed; NULL when OpenSSL cannot provide one of them. */
extern const HdmsAlgorithms *hdms_algorithms(void);

#endif
