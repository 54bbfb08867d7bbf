/*
 * algorithms.c
 *		The OpenSSL algorithm objects that the library uses, fetched once.
 *
 * Safe in several threads, and across fork(): a child finds what its parent
 * fetched.  Nothing is freed, since there is no moment at which a library can
 * know that nobody is computing any more.
 */
#include "algorithms.h"

#include <pthread.h>
#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/err.h>

static HdmsAlgorithms algorithms;
static bool complete;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static EVP_MAC_CTX *
hmac_template(void)
{
	EVP_MAC    *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = NULL;
	OSSL_PARAM	params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *) "SHA256", 0),
		OSSL_PARAM_construct_end()
	};

	if (mac == NULL)
		return NULL;
	ctx = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	if (ctx != NULL && EVP_MAC_CTX_set_params(ctx, params) != 1)
	{
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

static EVP_PKEY *
p256_parameters(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY   *pkey = NULL;
	OSSL_PARAM	params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) "P-256", 0),
		OSSL_PARAM_construct_end()
	};

	if (ctx == NULL ||
		EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEY_PARAMETERS, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static void
fetch_all(void)
{
	ERR_set_mark();
	algorithms.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	algorithms.aes256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	algorithms.aes256_wrap = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
	algorithms.hmac_sha256 = hmac_template();
	algorithms.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	algorithms.p256 = p256_parameters();
	complete = algorithms.sha256 != NULL && algorithms.aes256_gcm != NULL &&
		algorithms.aes256_wrap != NULL && algorithms.hmac_sha256 != NULL &&
		algorithms.hkdf != NULL && algorithms.p256 != NULL;
	ERR_pop_to_mark();
}

const HdmsAlgorithms *
hdms_algorithms(void)
{
	if (pthread_once(&fetched, fetch_all) != 0 || !complete)
		return NULL;
	return &algorithms;
}
