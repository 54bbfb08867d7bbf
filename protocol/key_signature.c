/*
 * key_signature.c
 *		Raw signatures: ES256, PS256 and Ed25519.
 *
 * JOSE and HTTP signatures write an ECDSA signature as r || s, OpenSSL as DER.
 * A signature has one length for each key, so a second spelling of the same
 * signature is never accepted.
 */
#include "key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "algorithms.h"
#include "key_inside.h"

#define P256_SIGNATURE		(2 * HDMS_P256_SIZE)
#define P256_DER_MAX		72
#define ED25519_SIGNATURE	64

const char *
hdms_key_signature_algorithm(const HdmsKey *key)
{
	switch (key->type)
	{
		case HDMS_KEY_P256:
			return "ES256";
		case HDMS_KEY_RSA:
			return "PS256";
		case HDMS_KEY_ED25519:
			return "EdDSA";
	}
	return "";
}

/* A signing or verifying context over the SHA-256 of the data, with PS256's parameters where the key is RSA. */
static HdmsStatus
prehashed_context(const HdmsKey *key, bool sign, EVP_PKEY_CTX **result)
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_PKEY_CTX *ctx;

	if (algorithms == NULL)
		return HDMS_CRYPTO_FAILED;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	if (ctx == NULL ||
		(sign ? EVP_PKEY_sign_init(ctx) : EVP_PKEY_verify_init(ctx)) != 1 ||
		(key->type == HDMS_KEY_RSA &&
		 (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) != 1 ||
		  EVP_PKEY_CTX_set_signature_md(ctx, algorithms->sha256) != 1 ||
		  EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, algorithms->sha256) != 1 ||
		  EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, HDMS_DIGEST_SIZE) != 1)))
	{
		EVP_PKEY_CTX_free(ctx);
		return HDMS_CRYPTO_FAILED;
	}
	*result = ctx;
	return HDMS_OK;
}

/* DER to r || s. */
static HdmsStatus
signature_from_der(const unsigned char *der, size_t der_len, unsigned char raw[P256_SIGNATURE])
{
	const unsigned char *at = der;
	ECDSA_SIG  *parts = d2i_ECDSA_SIG(NULL, &at, (long) der_len);
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (parts != NULL && at == der + der_len &&
		BN_bn2binpad(ECDSA_SIG_get0_r(parts), raw, HDMS_P256_SIZE) == HDMS_P256_SIZE &&
		BN_bn2binpad(ECDSA_SIG_get0_s(parts), raw + HDMS_P256_SIZE, HDMS_P256_SIZE) == HDMS_P256_SIZE)
		status = HDMS_OK;
	ECDSA_SIG_free(parts);
	return status;
}

/* r || s to DER. */
static HdmsStatus
signature_to_der(const unsigned char raw[P256_SIGNATURE], unsigned char der[P256_DER_MAX], size_t *der_len)
{
	ECDSA_SIG  *parts = ECDSA_SIG_new();
	BIGNUM	   *r = BN_bin2bn(raw, HDMS_P256_SIZE, NULL);
	BIGNUM	   *s = BN_bin2bn(raw + HDMS_P256_SIZE, HDMS_P256_SIZE, NULL);
	unsigned char *at = der;
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (parts != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(parts, r, s) == 1)
	{
		/* They belong to parts now. */
		r = NULL;
		s = NULL;
		*der_len = (size_t) i2d_ECDSA_SIG(parts, &at);
		status = HDMS_OK;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(parts);
	return status;
}

/* Signs into buffer of at least HDMS_RSA_MAX_SIZE bytes. */
static HdmsStatus
sign_into(const HdmsKey *key, const void *data, size_t len, unsigned char *buffer, size_t *buffer_len)
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	unsigned char der[P256_DER_MAX];
	size_t		der_len = sizeof(der);
	EVP_PKEY_CTX *ctx = NULL;
	EVP_MD_CTX *md_ctx = NULL;
	HdmsStatus	status;

	if (key->type == HDMS_KEY_ED25519)
	{
		md_ctx = EVP_MD_CTX_new();
		*buffer_len = ED25519_SIGNATURE;
		if (md_ctx == NULL || EVP_DigestSignInit_ex(md_ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) != 1 ||
			EVP_DigestSign(md_ctx, buffer, buffer_len, data, len) != 1 || *buffer_len != ED25519_SIGNATURE)
			status = HDMS_CRYPTO_FAILED;
		else
			status = HDMS_OK;
		EVP_MD_CTX_free(md_ctx);
		return status;
	}

	status = hdms_sha256(data, len, digest);
	if (status == HDMS_OK)
		status = prehashed_context(key, true, &ctx);
	if (status != HDMS_OK)
		return status;
	if (key->type == HDMS_KEY_RSA)
	{
		*buffer_len = HDMS_RSA_MAX_SIZE;
		if (EVP_PKEY_sign(ctx, buffer, buffer_len, digest, sizeof(digest)) != 1)
			status = HDMS_CRYPTO_FAILED;
	}
	else
	{
		*buffer_len = P256_SIGNATURE;
		if (EVP_PKEY_sign(ctx, der, &der_len, digest, sizeof(digest)) != 1)
			status = HDMS_CRYPTO_FAILED;
		else
			status = signature_from_der(der, der_len, buffer);
	}
	EVP_PKEY_CTX_free(ctx);
	return status;
}

HdmsStatus
hdms_key_sign(const HdmsKey *key, const void *data, size_t len, HdmsBytes *signature)
{
	unsigned char buffer[HDMS_RSA_MAX_SIZE];
	size_t		buffer_len = 0;
	unsigned char *result;
	HdmsStatus	status;

	if (!key->is_private || (key->uses & HDMS_MAY_SIGN) == 0)
		return HDMS_BAD_KEY;
	ERR_set_mark();
	status = sign_into(key, data, len, buffer, &buffer_len);
	ERR_pop_to_mark();
	if (status != HDMS_OK)
		return status;
	result = malloc(buffer_len + 1);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	memcpy(result, buffer, buffer_len);
	result[buffer_len] = '\0';
	signature->data = result;
	signature->len = buffer_len;
	return HDMS_OK;
}

/* Verifies a signature whose length has been checked. */
static HdmsStatus
verify_checked(const HdmsKey *key, const void *data, size_t len, const unsigned char *signature, size_t signature_len)
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	unsigned char der[P256_DER_MAX];
	EVP_PKEY_CTX *ctx = NULL;
	EVP_MD_CTX *md_ctx = NULL;
	HdmsStatus	status;

	if (key->type == HDMS_KEY_ED25519)
	{
		md_ctx = EVP_MD_CTX_new();
		if (md_ctx == NULL || EVP_DigestVerifyInit_ex(md_ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) != 1)
			status = HDMS_CRYPTO_FAILED;
		else
			status = EVP_DigestVerify(md_ctx, signature, signature_len, data, len) == 1 ? HDMS_OK : HDMS_BAD_SIGNATURE;
		EVP_MD_CTX_free(md_ctx);
		return status;
	}

	status = hdms_sha256(data, len, digest);
	if (status == HDMS_OK && key->type == HDMS_KEY_P256)
	{
		status = signature_to_der(signature, der, &signature_len);
		signature = der;
	}
	if (status == HDMS_OK)
		status = prehashed_context(key, false, &ctx);
	if (status != HDMS_OK)
		return status;
	if (EVP_PKEY_verify(ctx, signature, signature_len, digest, sizeof(digest)) != 1)
		status = HDMS_BAD_SIGNATURE;
	EVP_PKEY_CTX_free(ctx);
	return status;
}

HdmsStatus
hdms_key_verify(const HdmsKey *key, const void *data, size_t len, const void *signature, size_t signature_len)
{
	size_t		expected = 0;
	HdmsStatus	status;

	if ((key->uses & HDMS_MAY_SIGN) == 0)
		return HDMS_BAD_KEY;
	switch (key->type)
	{
		case HDMS_KEY_P256:
			expected = P256_SIGNATURE;
			break;
		case HDMS_KEY_RSA:
			expected = (size_t) EVP_PKEY_get_size(key->pkey);
			break;
		case HDMS_KEY_ED25519:
			expected = ED25519_SIGNATURE;
			break;
	}
	if (signature_len != expected)
		return HDMS_BAD_SIGNATURE;
	ERR_set_mark();
	status = verify_checked(key, data, len, signature, signature_len);
	ERR_pop_to_mark();
	return status;
}
