/*
 * key.c
 *		Keys: making them, holding them, deriving them.
 *
 * A key is counted by reference and never changes, so histories, sessions and
 * threads share one.  Its thumbprint and public JWK are computed once, because
 * every message names its keys.  JWK is in key_jwk.c, signatures in
 * key_signature.c.
 */
#include "key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "algorithms.h"
#include "key_inside.h"

#define DERIVED_SIZE		48	/* bytes before the reduction: 128 more bits than the order, so that no value is likelier */
#define LABEL_MAX			128

bool
hdms_rsa_is_acceptable(const BIGNUM *n, const BIGNUM *e)
{
	const int	bits = BN_num_bits(n);

	if (bits < 2048 || bits > HDMS_RSA_MAX_SIZE * 8 || BN_is_negative(n) || !BN_is_odd(n))
		return false;

	/* An exponent of more than 64 bits is nobody's choice but makes verifying expensive. */
	return !BN_is_negative(e) && BN_is_odd(e) && BN_num_bits(e) >= 17 && BN_num_bits(e) <= 64;
}

/* A public key: the curve's parameters copied, the point set.  Takes a fifth of the time of building it from parameters. */
static HdmsStatus
p256_public(const unsigned char *point, EVP_PKEY **pkey)
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_PKEY   *result = EVP_PKEY_new();
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (algorithms != NULL && result != NULL && EVP_PKEY_copy_parameters(result, algorithms->p256) == 1)
	{
		/* Fails when the point is not on the curve. */
		if (EVP_PKEY_set1_encoded_public_key(result, point, HDMS_P256_POINT) == 1)
			status = HDMS_OK;
		else
			status = HDMS_BAD_KEY;
	}
	if (status == HDMS_OK)
		*pkey = result;
	else
		EVP_PKEY_free(result);
	return status;
}

/* A private key. */
static HdmsStatus
p256_pair(const unsigned char *point, const unsigned char *scalar, EVP_PKEY **pkey)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM	   *d = BN_secure_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY   *result = NULL;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (ctx == NULL || builder == NULL || d == NULL || BN_bin2bn(scalar, HDMS_P256_SIZE, d) == NULL)
		goto cleanup;
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
		OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, HDMS_P256_POINT) != 1 ||
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, d) != 1)
		goto cleanup;
	params = OSSL_PARAM_BLD_to_param(builder);
	if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1)
		goto cleanup;
	if (EVP_PKEY_fromdata(ctx, &result, EVP_PKEY_KEYPAIR, params) != 1)
	{
		status = HDMS_BAD_KEY;
		goto cleanup;
	}
	*pkey = result;
	status = HDMS_OK;

cleanup:
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	BN_clear_free(d);
	EVP_PKEY_CTX_free(ctx);
	return status;
}

HdmsStatus
hdms_p256_pkey(const unsigned char *point, const unsigned char *scalar, EVP_PKEY **pkey)
{
	return scalar == NULL ? p256_public(point, pkey) : p256_pair(point, scalar, pkey);
}

HdmsStatus
hdms_p256_point(const unsigned char scalar[HDMS_P256_SIZE], unsigned char point[HDMS_P256_POINT])
{
	EC_GROUP   *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT   *result = NULL;
	BIGNUM	   *d = BN_secure_new();
	BN_CTX	   *ctx = BN_CTX_secure_new();
	unsigned char bytes[HDMS_P256_POINT];
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (group == NULL || d == NULL || ctx == NULL)
		goto cleanup;
	result = EC_POINT_new(group);
	if (result == NULL || BN_bin2bn(scalar, HDMS_P256_SIZE, d) == NULL)
		goto cleanup;
	BN_set_flags(d, BN_FLG_CONSTTIME);
	if (BN_is_zero(d) || BN_cmp(d, EC_GROUP_get0_order(group)) >= 0)
	{
		status = HDMS_BAD_KEY;
		goto cleanup;
	}
	if (EC_POINT_mul(group, result, d, NULL, NULL, ctx) != 1 ||
		EC_POINT_point2oct(group, result, POINT_CONVERSION_UNCOMPRESSED, bytes, sizeof(bytes), ctx) != sizeof(bytes))
		goto cleanup;
	memcpy(point, bytes, sizeof(bytes));
	status = HDMS_OK;

cleanup:
	BN_clear_free(d);
	EC_POINT_free(result);
	EC_GROUP_free(group);
	BN_CTX_free(ctx);
	return status;
}

HdmsStatus
hdms_key_generate(HdmsKeyType type, int bits, HdmsKey **key)
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY   *pkey = NULL;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (algorithms == NULL)
		return HDMS_CRYPTO_FAILED;
	if (type == HDMS_KEY_RSA ? bits != 2048 && bits != 3072 && bits != 4096 : bits != 0)
		return HDMS_BAD_ARGUMENT;
	ERR_set_mark();
	switch (type)
	{
		case HDMS_KEY_P256:
			ctx = EVP_PKEY_CTX_new_from_pkey(NULL, algorithms->p256, NULL);
			break;
		case HDMS_KEY_RSA:
			ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
			break;
		case HDMS_KEY_ED25519:
			ctx = EVP_PKEY_CTX_new_from_name(NULL, "ED25519", NULL);
			break;
		default:
			status = HDMS_BAD_ARGUMENT;
			goto cleanup;
	}
	if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 ||
		(type == HDMS_KEY_RSA && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) != 1) ||
		EVP_PKEY_generate(ctx, &pkey) != 1)
		goto cleanup;
	status = hdms_key_wrap(pkey, type, true, HDMS_MAY_SIGN | HDMS_MAY_ENCRYPT, NULL, key);
	if (status == HDMS_OK)
		pkey = NULL;

cleanup:
	EVP_PKEY_free(pkey);
	EVP_PKEY_CTX_free(ctx);
	ERR_pop_to_mark();
	return status;
}

/* Reduces wide to 1 .. order - 1. */
static HdmsStatus
reduce_scalar(const unsigned char wide[DERIVED_SIZE], unsigned char scalar[HDMS_P256_SIZE])
{
	EC_GROUP   *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM	   *number = BN_secure_new();
	BIGNUM	   *modulus = NULL;
	BIGNUM	   *rest = BN_secure_new();
	BN_CTX	   *ctx = BN_CTX_secure_new();
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (group == NULL || number == NULL || rest == NULL || ctx == NULL)
		goto cleanup;
	modulus = BN_dup(EC_GROUP_get0_order(group));
	if (modulus == NULL || BN_sub_word(modulus, 1) != 1 || BN_bin2bn(wide, DERIVED_SIZE, number) == NULL)
		goto cleanup;
	BN_set_flags(number, BN_FLG_CONSTTIME);
	if (BN_mod(rest, number, modulus, ctx) != 1 || BN_add_word(rest, 1) != 1 ||
		BN_bn2binpad(rest, scalar, HDMS_P256_SIZE) != HDMS_P256_SIZE)
		goto cleanup;
	status = HDMS_OK;

cleanup:
	BN_clear_free(number);
	BN_clear_free(rest);
	BN_free(modulus);
	BN_CTX_free(ctx);
	EC_GROUP_free(group);
	return status;
}

HdmsStatus
hdms_key_derive(const unsigned char seed[32], const char *label, uint32_t index, HdmsKey **key)
{
	const size_t label_len = strlen(label);
	unsigned char info[LABEL_MAX + 4];
	unsigned char wide[DERIVED_SIZE];
	unsigned char scalar[HDMS_P256_SIZE];
	unsigned char point[HDMS_P256_POINT];
	EVP_PKEY   *pkey = NULL;
	HdmsStatus	status;

	if (label_len > LABEL_MAX)
		return HDMS_BAD_ARGUMENT;
	memcpy(info, label, label_len);
	for (int i = 0; i < 4; i++)
		info[label_len + (size_t) i] = (unsigned char) (index >> (24 - 8 * i));

	ERR_set_mark();
	status = hdms_hkdf_sha256(seed, 32, NULL, 0, info, label_len + 4, wide, sizeof(wide));
	if (status == HDMS_OK)
		status = reduce_scalar(wide, scalar);
	if (status == HDMS_OK)
		status = hdms_p256_point(scalar, point);
	if (status == HDMS_OK)
		status = hdms_p256_pkey(point, scalar, &pkey);
	if (status == HDMS_OK)
		status = hdms_key_wrap(pkey, HDMS_KEY_P256, true, HDMS_MAY_SIGN | HDMS_MAY_ENCRYPT, point, key);
	if (status != HDMS_OK)
		EVP_PKEY_free(pkey);
	OPENSSL_cleanse(wide, sizeof(wide));
	OPENSSL_cleanse(scalar, sizeof(scalar));
	ERR_pop_to_mark();
	return status;
}

/*
 * Whether a key can sign or decrypt.  One in a token does not give its private
 * part away: what the default provider does not hold is taken to be private.
 */
static bool
holds_private(const EVP_PKEY *pkey, HdmsKeyType type)
{
	const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(pkey);
	BIGNUM	   *number = NULL;
	unsigned char raw[64];
	size_t		raw_len = sizeof(raw);
	bool		result;

	if (provider == NULL || strcmp(OSSL_PROVIDER_get0_name(provider), "default") != 0)
		return true;
	if (type == HDMS_KEY_ED25519)
		result = EVP_PKEY_get_raw_private_key(pkey, raw, &raw_len) == 1;
	else
		result = EVP_PKEY_get_bn_param(pkey, type == HDMS_KEY_RSA ? OSSL_PKEY_PARAM_RSA_D : OSSL_PKEY_PARAM_PRIV_KEY,
									   &number) == 1;
	BN_clear_free(number);
	OPENSSL_cleanse(raw, sizeof(raw));
	return result;
}

HdmsStatus
hdms_key_from_pkey(EVP_PKEY *pkey, HdmsKey **key)
{
	HdmsKeyType type;
	BIGNUM	   *n = NULL;
	BIGNUM	   *e = NULL;
	char		group[64];
	size_t		group_len = 0;
	HdmsStatus	status = HDMS_BAD_KEY;

	if (pkey == NULL)
		return HDMS_BAD_ARGUMENT;
	ERR_set_mark();
	if (EVP_PKEY_is_a(pkey, "EC"))
	{
		type = HDMS_KEY_P256;
		if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), &group_len) != 1 ||
			(strcmp(group, "prime256v1") != 0 && strcmp(group, "P-256") != 0))
			goto cleanup;
	}
	else if (EVP_PKEY_is_a(pkey, "RSA"))
	{
		type = HDMS_KEY_RSA;
		if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
			EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1 || !hdms_rsa_is_acceptable(n, e))
			goto cleanup;
	}
	else if (EVP_PKEY_is_a(pkey, "ED25519"))
		type = HDMS_KEY_ED25519;
	else
		goto cleanup;

	if (EVP_PKEY_up_ref(pkey) != 1)
	{
		status = HDMS_CRYPTO_FAILED;
		goto cleanup;
	}
	status = hdms_key_wrap(pkey, type, holds_private(pkey, type), HDMS_MAY_SIGN | HDMS_MAY_ENCRYPT, NULL, key);
	if (status != HDMS_OK)
		EVP_PKEY_free(pkey);

cleanup:
	BN_free(n);
	BN_free(e);
	ERR_pop_to_mark();
	return status;
}

HdmsKey *
hdms_key_share(const HdmsKey *key)
{
	HdmsKey    *handle = (HdmsKey *) key;

	if (handle != NULL)
		atomic_fetch_add_explicit(&handle->references, 1, memory_order_relaxed);
	return handle;
}

void
hdms_key_free(HdmsKey *key)
{
	if (key == NULL || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
		return;

	/* OpenSSL wipes the private parts. */
	EVP_PKEY_free(key->pkey);
	free(key->public_jwk);
	free(key);
}

HdmsKeyType
hdms_key_type(const HdmsKey *key)
{
	return key->type;
}

bool
hdms_key_is_private(const HdmsKey *key)
{
	return key->is_private;
}

const char *
hdms_key_thumbprint(const HdmsKey *key)
{
	return key->thumbprint;
}

EVP_PKEY *
hdms_key_pkey(const HdmsKey *key)
{
	return key->pkey;
}
