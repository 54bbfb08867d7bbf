/*
 * key_jwk.c
 *		Keys as JWK (RFC 7517, RFC 7518, RFC 8037) and their thumbprints (RFC 7638).
 *
 * A JWK comes from outside: each member has one spelling, the point is on the
 * curve, and a private part that does not belong to the public part is refused,
 * since signing with such a pair gives the private part away.
 */
#include "key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "claims.h"
#include "key_inside.h"
#include "text.h"

#define JWK_MAX			16384	/* bytes */
#define ED25519_SIZE	32

/* The private members of an RSA key, in the order that they are written. */
enum
{
	RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QI, RSA_PRIVATE_COUNT
};

static const struct
{
	const char *member;
	const char *param;
}			rsa_private[RSA_PRIVATE_COUNT] =
{
	[RSA_D] = {"d", OSSL_PKEY_PARAM_RSA_D},
	[RSA_P] = {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
	[RSA_Q] = {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
	[RSA_DP] = {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
	[RSA_DQ] = {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
	[RSA_QI] = {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
};

/* Writes a number as base64url, big endian without leading zeroes. */
static void
add_number(HdmsText *text, const BIGNUM *number)
{
	unsigned char bytes[HDMS_RSA_MAX_SIZE];
	const int	len = BN_num_bytes(number);

	if (len > (int) sizeof(bytes))
	{
		text->status = HDMS_BAD_KEY;
		return;
	}
	BN_bn2bin(number, bytes);
	hdms_text_add_base64url(text, bytes, (size_t) len);
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

/* Writes one number of a key. */
static void
add_param(HdmsText *text, const EVP_PKEY *pkey, const char *param)
{
	BIGNUM	   *number = NULL;

	if (EVP_PKEY_get_bn_param(pkey, param, &number) != 1)
		text->status = HDMS_CRYPTO_FAILED;
	else
		add_number(text, number);
	BN_clear_free(number);
}

static void
add_point(HdmsText *text, const unsigned char *point)
{
	hdms_text_add(text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	hdms_text_add_base64url(text, point + 1, HDMS_P256_SIZE);
	hdms_text_add(text, "\",\"y\":\"");
	hdms_text_add_base64url(text, point + 1 + HDMS_P256_SIZE, HDMS_P256_SIZE);
}

/* The public members in the order that RFC 7638 hashes them in. */
static HdmsStatus
print_public(EVP_PKEY *pkey, HdmsKeyType type, const unsigned char *point, char **jwk)
{
	HdmsText	text = {0};
	unsigned char bytes[HDMS_P256_POINT];
	unsigned char *encoded = NULL;
	size_t		len = sizeof(bytes);

	switch (type)
	{
		case HDMS_KEY_P256:
			if (point != NULL)
				add_point(&text, point);
			else if (EVP_PKEY_get1_encoded_public_key(pkey, &encoded) == HDMS_P256_POINT && encoded[0] == 0x04)
				add_point(&text, encoded);
			else
				text.status = HDMS_CRYPTO_FAILED;
			OPENSSL_free(encoded);
			break;
		case HDMS_KEY_RSA:
			hdms_text_add(&text, "{\"e\":\"");
			add_param(&text, pkey, OSSL_PKEY_PARAM_RSA_E);
			hdms_text_add(&text, "\",\"kty\":\"RSA\",\"n\":\"");
			add_param(&text, pkey, OSSL_PKEY_PARAM_RSA_N);
			break;
		case HDMS_KEY_ED25519:
			if (EVP_PKEY_get_raw_public_key(pkey, bytes, &len) != 1 || len != ED25519_SIZE)
				text.status = HDMS_CRYPTO_FAILED;
			hdms_text_add(&text, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
			hdms_text_add_base64url(&text, bytes, ED25519_SIZE);
			break;
	}
	hdms_text_add(&text, "\"}");
	return hdms_text_take(&text, jwk);
}

HdmsStatus
hdms_key_wrap(EVP_PKEY *pkey, HdmsKeyType type, bool is_private, unsigned int uses, const unsigned char *point, HdmsKey **key)
{
	HdmsKey    *result = calloc(1, sizeof(*result));
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	status = print_public(pkey, type, point, &result->public_jwk);
	if (status == HDMS_OK)
		status = hdms_sha256_text(result->public_jwk, strlen(result->public_jwk), result->thumbprint);
	if (status != HDMS_OK)
	{
		free(result->public_jwk);
		free(result);
		return status;
	}
	atomic_init(&result->references, 1);
	result->type = type;
	result->is_private = is_private;
	result->uses = uses;
	result->pkey = pkey;
	*key = result;
	return HDMS_OK;
}

/* What "use", "alg" and "key_ops" allow together; HDMS_BAD_KEY when that is nothing. */
static HdmsStatus
read_uses(const json_t *jwk, HdmsKeyType type, unsigned int *uses)
{
	static const struct
	{
		const char *name;
		HdmsKeyType type;
		unsigned int use;
	}			listed[] =
	{
		{"ES256", HDMS_KEY_P256, HDMS_MAY_SIGN},
		{"ECDH-ES+A256KW", HDMS_KEY_P256, HDMS_MAY_ENCRYPT},
		{"PS256", HDMS_KEY_RSA, HDMS_MAY_SIGN},
		{"RSA-OAEP-256", HDMS_KEY_RSA, HDMS_MAY_ENCRYPT},
		{"EdDSA", HDMS_KEY_ED25519, HDMS_MAY_SIGN},
		{"Ed25519", HDMS_KEY_ED25519, HDMS_MAY_SIGN},
	};
	const json_t *use = json_object_get(jwk, "use");
	const json_t *alg = json_object_get(jwk, "alg");
	const json_t *key_ops = json_object_get(jwk, "key_ops");
	unsigned int result = type == HDMS_KEY_ED25519 ? HDMS_MAY_SIGN : HDMS_MAY_SIGN | HDMS_MAY_ENCRYPT;
	unsigned int from_ops = 0;
	unsigned int from_alg = 0;
	const json_t *operation;
	size_t		index;

	if (use != NULL)
	{
		if (!json_is_string(use))
			return HDMS_BAD_KEY;
		if (strcmp(json_string_value(use), "sig") == 0)
			result &= HDMS_MAY_SIGN;
		else if (strcmp(json_string_value(use), "enc") == 0)
			result &= HDMS_MAY_ENCRYPT;
		else
			return HDMS_BAD_KEY;
	}
	if (alg != NULL)
	{
		if (!json_is_string(alg))
			return HDMS_BAD_KEY;
		for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		{
			if (strcmp(json_string_value(alg), listed[i].name) == 0)
			{
				if (listed[i].type != type)
					return HDMS_BAD_KEY;
				from_alg = listed[i].use;
			}
		}
		if (from_alg == 0)
			return HDMS_BAD_ALGORITHM;
		result &= from_alg;
	}
	if (key_ops != NULL)
	{
		if (!json_is_array(key_ops))
			return HDMS_BAD_KEY;
		json_array_foreach(key_ops, index, operation)
		{
			const char *name = json_string_value(operation);

			if (name == NULL)
				return HDMS_BAD_KEY;
			if (strcmp(name, "sign") == 0 || strcmp(name, "verify") == 0)
				from_ops |= HDMS_MAY_SIGN;
			else
				from_ops |= HDMS_MAY_ENCRYPT;
		}
		result &= from_ops;
	}
	if (result == 0)
		return HDMS_BAD_KEY;
	*uses = result;
	return HDMS_OK;
}

/* A member that encodes exactly len bytes. */
static HdmsStatus
read_fixed(const json_t *jwk, const char *name, unsigned char *out, size_t len)
{
	const json_t *member = json_object_get(jwk, name);

	if (!json_is_string(member))
		return HDMS_BAD_KEY;
	return hdms_base64url_read(json_string_value(member), json_string_length(member), out, len);
}

/* A member that encodes a positive number without leading zeroes. */
static HdmsStatus
read_number(const json_t *jwk, const char *name, BIGNUM **number)
{
	const json_t *member = json_object_get(jwk, name);
	HdmsBytes	bytes = {0};
	HdmsStatus	status;

	if (!json_is_string(member) || json_string_length(member) > HDMS_BASE64URL_SIZE(HDMS_RSA_MAX_SIZE))
		return HDMS_BAD_KEY;
	status = hdms_base64url_decode(json_string_value(member), json_string_length(member), &bytes);
	if (status != HDMS_OK)
		return status;
	if (bytes.len == 0 || bytes.len > HDMS_RSA_MAX_SIZE || bytes.data[0] == 0)
		status = HDMS_BAD_KEY;
	else
	{
		BIGNUM	   *result = BN_secure_new();

		if (result == NULL || BN_bin2bn(bytes.data, (int) bytes.len, result) == NULL)
		{
			BN_clear_free(result);
			status = HDMS_OUT_OF_MEMORY;
		}
		else
			*number = result;
	}
	hdms_bytes_wipe(&bytes);
	return status;
}

static HdmsStatus
read_p256(const json_t *jwk, bool has_private, unsigned char point[HDMS_P256_POINT], EVP_PKEY **pkey)
{
	unsigned char scalar[HDMS_P256_SIZE];
	unsigned char expected[HDMS_P256_POINT];
	HdmsStatus	status;

	status = hdms_claims_equal(jwk, "crv", "P-256") == HDMS_OK ? HDMS_OK : HDMS_BAD_KEY;
	if (status == HDMS_OK)
		status = read_fixed(jwk, "x", point + 1, HDMS_P256_SIZE);
	if (status == HDMS_OK)
		status = read_fixed(jwk, "y", point + 1 + HDMS_P256_SIZE, HDMS_P256_SIZE);
	if (status == HDMS_OK && has_private)
	{
		status = read_fixed(jwk, "d", scalar, sizeof(scalar));
		if (status == HDMS_OK)
			status = hdms_p256_point(scalar, expected);
		if (status == HDMS_OK && !hdms_equal(point, expected, HDMS_P256_POINT))
			status = HDMS_BAD_KEY;
	}
	if (status == HDMS_OK)
		status = hdms_p256_pkey(point, has_private ? scalar : NULL, pkey);
	OPENSSL_cleanse(scalar, sizeof(scalar));
	return status;
}

static HdmsStatus
read_ed25519(const json_t *jwk, bool has_private, EVP_PKEY **pkey)
{
	unsigned char public[ED25519_SIZE];
	unsigned char private[ED25519_SIZE];
	unsigned char expected[ED25519_SIZE];
	size_t		expected_len = sizeof(expected);
	EVP_PKEY   *result = NULL;
	HdmsStatus	status;

	status = hdms_claims_equal(jwk, "crv", "Ed25519") == HDMS_OK ? HDMS_OK : HDMS_BAD_KEY;
	if (status == HDMS_OK)
		status = read_fixed(jwk, "x", public, sizeof(public));
	if (status == HDMS_OK && !hdms_ed25519_is_point(public))
		status = HDMS_BAD_KEY;
	if (status == HDMS_OK && has_private)
		status = read_fixed(jwk, "d", private, sizeof(private));
	if (status != HDMS_OK)
		goto cleanup;
	if (has_private)
		result = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, private, sizeof(private));
	else
		result = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, public, sizeof(public));
	if (result == NULL || EVP_PKEY_get_raw_public_key(result, expected, &expected_len) != 1)
		status = HDMS_CRYPTO_FAILED;
	else if (expected_len != sizeof(expected) || !hdms_equal(public, expected, sizeof(expected)))
		status = HDMS_BAD_KEY;
	if (status != HDMS_OK)
		goto cleanup;
	*pkey = result;
	result = NULL;

cleanup:
	EVP_PKEY_free(result);
	OPENSSL_cleanse(private, sizeof(private));
	return status;
}

/* Whether value = 1 modulo modulus less one, where value is a product of two exponents. */
static bool
is_inverse_exponent(const BIGNUM *a, const BIGNUM *b, const BIGNUM *less_one, BN_CTX *ctx)
{
	BIGNUM	   *product;
	bool		result;

	BN_CTX_start(ctx);
	product = BN_CTX_get(ctx);
	result = product != NULL && BN_mod_mul(product, a, b, less_one, ctx) == 1 && BN_is_one(product);
	BN_CTX_end(ctx);
	return result;
}

/* Whether the numbers of a private RSA key belong together (RFC 8017, 3.2). */
static bool
rsa_is_consistent(const BIGNUM *n, const BIGNUM *e, BIGNUM *const parts[RSA_PRIVATE_COUNT], BN_CTX *ctx)
{
	BIGNUM	   *p_less;
	BIGNUM	   *q_less;
	BIGNUM	   *number;
	bool		result = false;

	if (BN_is_one(parts[RSA_P]) || BN_is_one(parts[RSA_Q]) || BN_cmp(parts[RSA_P], parts[RSA_Q]) == 0 ||
		!BN_is_odd(parts[RSA_P]) || !BN_is_odd(parts[RSA_Q]) ||
		BN_num_bits(parts[RSA_P]) > BN_num_bits(n) / 2 + 1 || BN_num_bits(parts[RSA_Q]) > BN_num_bits(n) / 2 + 1 ||
		BN_cmp(parts[RSA_D], n) >= 0 || BN_cmp(parts[RSA_QI], parts[RSA_P]) >= 0)
		return false;
	BN_CTX_start(ctx);
	p_less = BN_CTX_get(ctx);
	q_less = BN_CTX_get(ctx);
	number = BN_CTX_get(ctx);
	if (number == NULL ||
		BN_sub(p_less, parts[RSA_P], BN_value_one()) != 1 || BN_sub(q_less, parts[RSA_Q], BN_value_one()) != 1 ||
		BN_mul(number, parts[RSA_P], parts[RSA_Q], ctx) != 1 || BN_cmp(number, n) != 0)
		goto cleanup;
	if (BN_cmp(parts[RSA_DP], p_less) >= 0 || BN_cmp(parts[RSA_DQ], q_less) >= 0 ||
		!is_inverse_exponent(e, parts[RSA_D], p_less, ctx) || !is_inverse_exponent(e, parts[RSA_D], q_less, ctx) ||
		!is_inverse_exponent(e, parts[RSA_DP], p_less, ctx) || !is_inverse_exponent(e, parts[RSA_DQ], q_less, ctx))
		goto cleanup;
	result = BN_mod_mul(number, parts[RSA_QI], parts[RSA_Q], parts[RSA_P], ctx) == 1 && BN_is_one(number);

cleanup:
	BN_CTX_end(ctx);
	return result;
}

static HdmsStatus
read_rsa(const json_t *jwk, bool has_private, EVP_PKEY **pkey)
{
	BIGNUM	   *n = NULL;
	BIGNUM	   *e = NULL;
	BIGNUM	   *parts[RSA_PRIVATE_COUNT] = {NULL};
	BN_CTX	   *bn_ctx = BN_CTX_secure_new();
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY   *result = NULL;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (bn_ctx == NULL || builder == NULL)
		goto cleanup;
	status = read_number(jwk, "n", &n);
	if (status == HDMS_OK)
		status = read_number(jwk, "e", &e);
	if (status == HDMS_OK && !hdms_rsa_is_acceptable(n, e))
		status = HDMS_BAD_KEY;
	for (int i = 0; has_private && status == HDMS_OK && i < RSA_PRIVATE_COUNT; i++)
	{
		status = read_number(jwk, rsa_private[i].member, &parts[i]);
		if (status == HDMS_OK)
			BN_set_flags(parts[i], BN_FLG_CONSTTIME);
	}
	if (status == HDMS_OK && has_private &&
		(json_object_get(jwk, "oth") != NULL || !rsa_is_consistent(n, e, parts, bn_ctx)))
		status = HDMS_BAD_KEY;
	if (status != HDMS_OK)
		goto cleanup;

	status = HDMS_CRYPTO_FAILED;
	if (OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		goto cleanup;
	for (int i = 0; has_private && i < RSA_PRIVATE_COUNT; i++)
	{
		if (OSSL_PARAM_BLD_push_BN(builder, rsa_private[i].param, parts[i]) != 1)
			goto cleanup;
	}
	params = OSSL_PARAM_BLD_to_param(builder);
	ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &result, has_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
		goto cleanup;
	*pkey = result;
	result = NULL;
	status = HDMS_OK;

cleanup:
	EVP_PKEY_free(result);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	for (int i = 0; i < RSA_PRIVATE_COUNT; i++)
		BN_clear_free(parts[i]);
	BN_clear_free(n);
	BN_clear_free(e);
	BN_CTX_free(bn_ctx);
	return status;
}

/* jansson frees without wiping. */
static void
wipe_private_members(json_t *jwk)
{
	for (int i = 0; i < RSA_PRIVATE_COUNT; i++)
	{
		json_t	   *member = json_object_get(jwk, rsa_private[i].member);

		if (json_is_string(member))
			OPENSSL_cleanse((char *) json_string_value(member), json_string_length(member));
	}
}

HdmsStatus
hdms_key_from_jwk(const char *jwk, size_t len, HdmsKey **key)
{
	json_t	   *object = NULL;
	EVP_PKEY   *pkey = NULL;
	unsigned char point[HDMS_P256_POINT] = {0x04};
	HdmsKeyType type = HDMS_KEY_P256;
	unsigned int uses = 0;
	const char *kty;
	bool		has_private;
	HdmsStatus	status;

	if (len > JWK_MAX)
		return HDMS_TOO_LARGE;
	status = hdms_claims_parse(jwk, len, &object);
	if (status != HDMS_OK)
		return status;
	ERR_set_mark();
	has_private = json_object_get(object, "d") != NULL;
	status = hdms_claims_string(object, "kty", &kty);
	if (status != HDMS_OK)
		kty = "";
	status = HDMS_OK;
	if (strcmp(kty, "EC") == 0)
		type = HDMS_KEY_P256;
	else if (strcmp(kty, "RSA") == 0)
		type = HDMS_KEY_RSA;
	else if (strcmp(kty, "OKP") == 0)
		type = HDMS_KEY_ED25519;
	else
		status = HDMS_BAD_KEY;
	if (status == HDMS_OK)
		status = read_uses(object, type, &uses);
	if (status == HDMS_OK)
		status = type == HDMS_KEY_P256 ? read_p256(object, has_private, point, &pkey) :
			type == HDMS_KEY_RSA ? read_rsa(object, has_private, &pkey) :
			read_ed25519(object, has_private, &pkey);
	if (status == HDMS_OK)
		status = hdms_key_wrap(pkey, type, has_private, uses, type == HDMS_KEY_P256 ? point : NULL, key);
	if (status != HDMS_OK)
		EVP_PKEY_free(pkey);
	wipe_private_members(object);
	json_decref(object);
	ERR_pop_to_mark();
	return status;
}

HdmsStatus
hdms_key_to_jwk(const HdmsKey *key, bool with_private, char **jwk)
{
	HdmsText	text = {0};
	unsigned char bytes[ED25519_SIZE];
	size_t		len = sizeof(bytes);
	BIGNUM	   *scalar = NULL;
	HdmsStatus	status;

	if (with_private && !key->is_private)
		return HDMS_BAD_KEY;
	ERR_set_mark();
	hdms_text_reserve(&text, with_private ? 4096 : 0);
	hdms_text_add(&text, key->public_jwk);
	if (with_private && text.status == HDMS_OK)
	{
		/* Goes on after the last public member. */
		text.len--;
		switch (key->type)
		{
			case HDMS_KEY_P256:
				if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &scalar) != 1 ||
					BN_bn2binpad(scalar, bytes, sizeof(bytes)) != sizeof(bytes))
					text.status = HDMS_BAD_KEY;
				break;
			case HDMS_KEY_ED25519:
				if (EVP_PKEY_get_raw_private_key(key->pkey, bytes, &len) != 1 || len != sizeof(bytes))
					text.status = HDMS_BAD_KEY;
				break;
			case HDMS_KEY_RSA:
				for (int i = 0; i < RSA_PRIVATE_COUNT; i++)
				{
					hdms_text_add(&text, ",\"");
					hdms_text_add(&text, rsa_private[i].member);
					hdms_text_add(&text, "\":\"");
					add_param(&text, key->pkey, rsa_private[i].param);
					hdms_text_add(&text, "\"");
				}
				break;
		}
		if (key->type != HDMS_KEY_RSA)
		{
			hdms_text_add(&text, ",\"d\":\"");
			hdms_text_add_base64url(&text, bytes, sizeof(bytes));
			hdms_text_add(&text, "\"");
		}
		hdms_text_add(&text, "}");
	}
	BN_clear_free(scalar);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	status = hdms_text_take(&text, jwk);
	ERR_pop_to_mark();
	return status;
}
