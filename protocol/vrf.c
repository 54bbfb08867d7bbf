/*
 * vrf.c
 *		ECVRF-P256-SHA256-TAI (RFC 9381): the draw of a notary that nobody can steer.
 *
 * The curve is set up once for the process. A proof costs three multiplications of
 * a point by a scalar, a verification four of which one is of the generator; what
 * else could be slow, the square roots of try-and-increment, is done once for each.
 *
 * Secret scalars are multiplied modulo the order in Montgomery form, because that
 * path of OpenSSL takes the same time for every value.
 */
#include "vrf.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <stdlib.h>
#include <string.h>

#define SUITE			0x01	/* RFC 9381, 5.5: ECVRF-P256-SHA256-TAI */
#define POINT_SIZE		33		/* compressed */
#define CHALLENGE_SIZE	16
#define SCALAR_SIZE		32

static CRYPTO_ONCE curve_once = CRYPTO_ONCE_STATIC_INIT;
static EC_GROUP *curve;
static const BIGNUM *order;
static BN_MONT_CTX *order_mont;

static void
set_up_curve(void)
{
	EC_GROUP   *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	BN_MONT_CTX *mont = BN_MONT_CTX_new();
	BN_CTX	   *ctx = BN_CTX_new();

	if (group != NULL && mont != NULL && ctx != NULL &&
		BN_MONT_CTX_set(mont, EC_GROUP_get0_order(group), ctx) == 1)
	{
		curve = group;
		order = EC_GROUP_get0_order(group);
		order_mont = mont;
	}
	else
	{
		EC_GROUP_free(group);
		BN_MONT_CTX_free(mont);
	}
	BN_CTX_free(ctx);
}

static bool
curve_is_ready(void)
{
	return CRYPTO_THREAD_run_once(&curve_once, set_up_curve) == 1 && curve != NULL;
}

static bool
point_write(const EC_POINT *point, unsigned char out[POINT_SIZE], BN_CTX *ctx)
{
	return EC_POINT_point2oct(curve, point, POINT_CONVERSION_COMPRESSED, out, POINT_SIZE, ctx) == POINT_SIZE;
}

/*
 * The public point of a key, and its encoding: on the curve and not the point at infinity
 * (RFC 9381, 5.4.5; the cofactor is 1, so no other point has a small order).
 */
static HdmsStatus
read_public(const HdmsKey *key, EC_POINT *point, unsigned char encoded[POINT_SIZE], BN_CTX *ctx)
{
	unsigned char raw[65];
	size_t		len = 0;

	if (EVP_PKEY_get_octet_string_param(hdms_key_pkey(key), OSSL_PKEY_PARAM_PUB_KEY, raw, sizeof(raw), &len) != 1 ||
		EC_POINT_oct2point(curve, point, raw, len, ctx) != 1 ||
		EC_POINT_is_at_infinity(curve, point) == 1)
		return HDMS_BAD_KEY;
	return point_write(point, encoded, ctx) ? HDMS_OK : HDMS_CRYPTO_FAILED;
}

/* RFC 9381, 5.4.1.1, with the public key as salt. */
static HdmsStatus
encode_to_curve(const unsigned char salt[POINT_SIZE], const void *alpha, size_t len,
				EC_POINT *point, unsigned char encoded[POINT_SIZE], BN_CTX *ctx)
{
	size_t		input_len;
	unsigned char *input;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (len > SIZE_MAX - (2 + POINT_SIZE + 2))
		return HDMS_TOO_LARGE;
	input_len = 2 + POINT_SIZE + len + 2;
	input = malloc(input_len);
	if (input == NULL)
		return HDMS_OUT_OF_MEMORY;
	input[0] = SUITE;
	input[1] = 0x01;
	memcpy(input + 2, salt, POINT_SIZE);
	if (len > 0)
		memcpy(input + 2 + POINT_SIZE, alpha, len);
	input[input_len - 1] = 0x00;

	/* Half of all x are on the curve: 256 misses in a row do not happen. */
	for (int counter = 0; counter < 256; counter++)
	{
		unsigned char candidate[POINT_SIZE] = {0x02};

		input[input_len - 2] = (unsigned char) counter;
		status = hdms_sha256(input, input_len, candidate + 1);
		if (status != HDMS_OK)
			break;
		if (EC_POINT_oct2point(curve, point, candidate, sizeof(candidate), ctx) == 1)
		{
			memcpy(encoded, candidate, POINT_SIZE);
			break;
		}
		status = HDMS_CRYPTO_FAILED;
	}
	OPENSSL_cleanse(input, input_len);
	free(input);
	return status;
}

/* RFC 9381, 5.4.3: the first 16 bytes of the hash over five points. */
static HdmsStatus
make_challenge(unsigned char points[5][POINT_SIZE], unsigned char challenge[CHALLENGE_SIZE])
{
	unsigned char input[2 + 5 * POINT_SIZE + 1];
	unsigned char digest[HDMS_DIGEST_SIZE];
	HdmsStatus	status;

	input[0] = SUITE;
	input[1] = 0x02;
	memcpy(input + 2, points, 5 * POINT_SIZE);
	input[sizeof(input) - 1] = 0x00;
	status = hdms_sha256(input, sizeof(input), digest);
	if (status == HDMS_OK)
		memcpy(challenge, digest, CHALLENGE_SIZE);
	return status;
}

/* RFC 9381, 5.2; the cofactor is 1. */
static HdmsStatus
proof_to_hash(const unsigned char gamma[POINT_SIZE], unsigned char output[HDMS_VRF_OUTPUT_SIZE])
{
	unsigned char input[2 + POINT_SIZE + 1];

	input[0] = SUITE;
	input[1] = 0x03;
	memcpy(input + 2, gamma, POINT_SIZE);
	input[sizeof(input) - 1] = 0x00;
	return hdms_sha256(input, sizeof(input), output);
}

/*
 * RFC 9381, 5.4.2.1: the deterministic nonce of RFC 6979, 3.2, for the message
 * point, under the private key as 32 bytes.
 */
static HdmsStatus
make_nonce(const unsigned char secret[SCALAR_SIZE], const unsigned char point[POINT_SIZE], BIGNUM *nonce)
{
	unsigned char k[HDMS_DIGEST_SIZE];
	unsigned char input[HDMS_DIGEST_SIZE + 1 + SCALAR_SIZE + SCALAR_SIZE];
	unsigned char *v = input;	/* V stands at the start of what is MACed */
	unsigned char digest[HDMS_DIGEST_SIZE];
	BIGNUM	   *reduced = BN_new();
	HdmsStatus	status;

	if (reduced == NULL)
		return HDMS_OUT_OF_MEMORY;
	memset(k, 0x00, sizeof(k));
	memset(v, 0x01, HDMS_DIGEST_SIZE);
	memcpy(input + HDMS_DIGEST_SIZE + 1, secret, SCALAR_SIZE);

	/* bits2octets: the digest modulo the order, which is larger than half of 2^256. */
	status = hdms_sha256(point, POINT_SIZE, digest);
	if (status != HDMS_OK)
		goto cleanup;
	status = HDMS_CRYPTO_FAILED;
	if (BN_bin2bn(digest, sizeof(digest), reduced) == NULL ||
		(BN_cmp(reduced, order) >= 0 && BN_sub(reduced, reduced, order) != 1) ||
		BN_bn2binpad(reduced, input + HDMS_DIGEST_SIZE + 1 + SCALAR_SIZE, SCALAR_SIZE) != SCALAR_SIZE)
		goto cleanup;

	for (unsigned char separator = 0x00; separator <= 0x01; separator++)
	{
		input[HDMS_DIGEST_SIZE] = separator;
		status = hdms_hmac_sha256(k, sizeof(k), input, sizeof(input), k);
		if (status == HDMS_OK)
			status = hdms_hmac_sha256(k, sizeof(k), v, HDMS_DIGEST_SIZE, v);
		if (status != HDMS_OK)
			goto cleanup;
	}
	for (;;)
	{
		status = hdms_hmac_sha256(k, sizeof(k), v, HDMS_DIGEST_SIZE, v);
		if (status != HDMS_OK)
			goto cleanup;
		if (BN_bin2bn(v, HDMS_DIGEST_SIZE, nonce) == NULL)
		{
			status = HDMS_CRYPTO_FAILED;
			goto cleanup;
		}
		if (!BN_is_zero(nonce) && BN_cmp(nonce, order) < 0)
			break;
		input[HDMS_DIGEST_SIZE] = 0x00;
		status = hdms_hmac_sha256(k, sizeof(k), input, HDMS_DIGEST_SIZE + 1, k);
		if (status == HDMS_OK)
			status = hdms_hmac_sha256(k, sizeof(k), v, HDMS_DIGEST_SIZE, v);
		if (status != HDMS_OK)
			goto cleanup;
	}

cleanup:
	OPENSSL_cleanse(k, sizeof(k));
	OPENSSL_cleanse(input, sizeof(input));
	BN_free(reduced);
	return status;
}

/* sum = nonce + challenge * secret modulo the order. */
static bool
answer_challenge(const BIGNUM *nonce, const BIGNUM *challenge, const BIGNUM *secret, BIGNUM *sum, BN_CTX *ctx)
{
	BIGNUM	   *in_mont = BN_new();
	BIGNUM	   *product = BN_secure_new();
	bool		done;

	if (product != NULL)
		BN_set_flags(product, BN_FLG_CONSTTIME);
	done = in_mont != NULL && product != NULL &&
		BN_to_montgomery(in_mont, challenge, order_mont, ctx) == 1 &&
		BN_mod_mul_montgomery(product, in_mont, secret, order_mont, ctx) == 1 &&
		BN_mod_add_quick(sum, product, nonce, order) == 1;
	BN_free(in_mont);
	BN_clear_free(product);
	return done;
}

/* RFC 9381, 5.1. */
HdmsStatus
hdms_vrf_prove(const HdmsKey *key, const void *alpha, size_t len,
			   unsigned char proof[HDMS_VRF_PROOF_SIZE], unsigned char output[HDMS_VRF_OUTPUT_SIZE])
{
	/* In the order in which the challenge hashes them: Y, H, Gamma, k*B, k*H. */
	unsigned char points[5][POINT_SIZE];
	unsigned char secret_bytes[SCALAR_SIZE];
	unsigned char result[HDMS_VRF_PROOF_SIZE];
	unsigned char hash[HDMS_VRF_OUTPUT_SIZE];
	BN_CTX	   *ctx = NULL;
	BIGNUM	   *secret = NULL;
	BIGNUM	   *nonce = NULL;
	BIGNUM	   *challenge = NULL;
	EC_POINT   *h = NULL;
	EC_POINT   *point = NULL;
	HdmsStatus	status;

	if (hdms_key_type(key) != HDMS_KEY_P256 || !hdms_key_is_private(key))
		return HDMS_BAD_KEY;
	if (!curve_is_ready())
		return HDMS_CRYPTO_FAILED;

	ERR_set_mark();
	status = HDMS_OUT_OF_MEMORY;
	ctx = BN_CTX_secure_new();
	secret = BN_secure_new();
	nonce = BN_secure_new();
	challenge = BN_new();
	h = EC_POINT_new(curve);
	point = EC_POINT_new(curve);
	if (ctx == NULL || secret == NULL || nonce == NULL || challenge == NULL || h == NULL || point == NULL)
		goto cleanup;
	BN_set_flags(secret, BN_FLG_CONSTTIME);
	BN_set_flags(nonce, BN_FLG_CONSTTIME);

	status = read_public(key, point, points[0], ctx);
	if (status != HDMS_OK)
		goto cleanup;
	if (EVP_PKEY_get_bn_param(hdms_key_pkey(key), OSSL_PKEY_PARAM_PRIV_KEY, &secret) != 1 ||
		BN_bn2binpad(secret, secret_bytes, SCALAR_SIZE) != SCALAR_SIZE)
	{
		status = HDMS_BAD_KEY;
		goto cleanup;
	}
	status = encode_to_curve(points[0], alpha, len, h, points[1], ctx);
	if (status != HDMS_OK)
		goto cleanup;
	status = make_nonce(secret_bytes, points[1], nonce);
	if (status != HDMS_OK)
		goto cleanup;

	status = HDMS_CRYPTO_FAILED;
	if (EC_POINT_mul(curve, point, NULL, h, secret, ctx) != 1 || !point_write(point, points[2], ctx) ||
		EC_POINT_mul(curve, point, nonce, NULL, NULL, ctx) != 1 || !point_write(point, points[3], ctx) ||
		EC_POINT_mul(curve, point, NULL, h, nonce, ctx) != 1 || !point_write(point, points[4], ctx))
		goto cleanup;

	memcpy(result, points[2], POINT_SIZE);
	status = make_challenge(points, result + POINT_SIZE);
	if (status == HDMS_OK)
		status = proof_to_hash(points[2], hash);
	if (status != HDMS_OK)
		goto cleanup;
	if (BN_bin2bn(result + POINT_SIZE, CHALLENGE_SIZE, challenge) == NULL ||
		!answer_challenge(nonce, challenge, secret, nonce, ctx) ||
		BN_bn2binpad(nonce, result + POINT_SIZE + CHALLENGE_SIZE, SCALAR_SIZE) != SCALAR_SIZE)
	{
		status = HDMS_CRYPTO_FAILED;
		goto cleanup;
	}
	memcpy(proof, result, sizeof(result));
	memcpy(output, hash, sizeof(hash));

cleanup:
	OPENSSL_cleanse(secret_bytes, sizeof(secret_bytes));
	OPENSSL_cleanse(points[3], 2 * POINT_SIZE);
	EC_POINT_clear_free(point);
	EC_POINT_free(h);
	BN_free(challenge);
	BN_clear_free(nonce);
	BN_clear_free(secret);
	BN_CTX_free(ctx);
	ERR_pop_to_mark();
	return status;
}

/* difference = a - b; b is changed. */
static bool
point_subtract(EC_POINT *difference, const EC_POINT *a, EC_POINT *b, BN_CTX *ctx)
{
	return EC_POINT_invert(curve, b, ctx) == 1 && EC_POINT_add(curve, difference, a, b, ctx) == 1;
}

/*
 * The steps of RFC 9381, 5.3, from the decoded proof on: U = s*B - c*Y, V = s*H - c*Gamma.
 * U is one combined multiplication, with the negated challenge. Everything is public here.
 */
static HdmsStatus
recompute_commitments(const EC_POINT *y, const EC_POINT *h, const EC_POINT *gamma,
					  const BIGNUM *challenge, const BIGNUM *answer,
					  unsigned char u_encoded[POINT_SIZE], unsigned char v_encoded[POINT_SIZE], BN_CTX *ctx)
{
	EC_POINT   *u = EC_POINT_new(curve);
	EC_POINT   *v = EC_POINT_new(curve);
	EC_POINT   *part = EC_POINT_new(curve);
	BIGNUM	   *zero = BN_new();
	BIGNUM	   *negated = BN_new();
	HdmsStatus	status = HDMS_OUT_OF_MEMORY;

	if (u == NULL || v == NULL || part == NULL || zero == NULL || negated == NULL)
		goto cleanup;
	status = HDMS_CRYPTO_FAILED;
	if (BN_mod_sub_quick(negated, zero, challenge, order) != 1 ||
		EC_POINT_mul(curve, u, answer, y, negated, ctx) != 1 ||
		EC_POINT_mul(curve, v, NULL, h, answer, ctx) != 1 ||
		EC_POINT_mul(curve, part, NULL, gamma, challenge, ctx) != 1 ||
		!point_subtract(v, v, part, ctx))
		goto cleanup;

	/* The point at infinity has no encoding of this length; an honest proof never leads there. */
	if (EC_POINT_is_at_infinity(curve, u) == 1 || EC_POINT_is_at_infinity(curve, v) == 1)
	{
		status = HDMS_BAD_PROOF;
		goto cleanup;
	}
	if (point_write(u, u_encoded, ctx) && point_write(v, v_encoded, ctx))
		status = HDMS_OK;

cleanup:
	EC_POINT_free(u);
	EC_POINT_free(v);
	EC_POINT_free(part);
	BN_free(zero);
	BN_free(negated);
	return status;
}

/* RFC 9381, 5.3. */
HdmsStatus
hdms_vrf_verify(const HdmsKey *key, const void *alpha, size_t len,
				const unsigned char proof[HDMS_VRF_PROOF_SIZE], unsigned char output[HDMS_VRF_OUTPUT_SIZE])
{
	unsigned char points[5][POINT_SIZE];	/* Y, H, Gamma, U, V */
	unsigned char expected[CHALLENGE_SIZE];
	unsigned char hash[HDMS_VRF_OUTPUT_SIZE];
	BN_CTX	   *ctx = NULL;
	BIGNUM	   *challenge = NULL;
	BIGNUM	   *answer = NULL;
	EC_POINT   *y = NULL;
	EC_POINT   *h = NULL;
	EC_POINT   *gamma = NULL;
	HdmsStatus	status;

	if (hdms_key_type(key) != HDMS_KEY_P256)
		return HDMS_BAD_KEY;
	if (!curve_is_ready())
		return HDMS_CRYPTO_FAILED;

	ERR_set_mark();
	status = HDMS_OUT_OF_MEMORY;
	ctx = BN_CTX_new();
	challenge = BN_bin2bn(proof + POINT_SIZE, CHALLENGE_SIZE, NULL);
	answer = BN_bin2bn(proof + POINT_SIZE + CHALLENGE_SIZE, SCALAR_SIZE, NULL);
	y = EC_POINT_new(curve);
	h = EC_POINT_new(curve);
	gamma = EC_POINT_new(curve);
	if (ctx == NULL || challenge == NULL || answer == NULL || y == NULL || h == NULL || gamma == NULL)
		goto cleanup;

	status = read_public(key, y, points[0], ctx);
	if (status != HDMS_OK)
		goto cleanup;

	/* RFC 9381, 5.4.4. Of this length OpenSSL takes nothing but a compressed point on the curve. */
	status = HDMS_BAD_PROOF;
	if (BN_cmp(answer, order) >= 0 || EC_POINT_oct2point(curve, gamma, proof, POINT_SIZE, ctx) != 1)
		goto cleanup;
	memcpy(points[2], proof, POINT_SIZE);

	status = encode_to_curve(points[0], alpha, len, h, points[1], ctx);
	if (status == HDMS_OK)
		status = recompute_commitments(y, h, gamma, challenge, answer, points[3], points[4], ctx);
	if (status == HDMS_OK)
		status = make_challenge(points, expected);
	if (status == HDMS_OK && !hdms_equal(expected, proof + POINT_SIZE, CHALLENGE_SIZE))
		status = HDMS_BAD_PROOF;
	if (status == HDMS_OK)
		status = proof_to_hash(points[2], hash);
	if (status == HDMS_OK)
		memcpy(output, hash, sizeof(hash));

cleanup:
	EC_POINT_free(gamma);
	EC_POINT_free(h);
	EC_POINT_free(y);
	BN_free(answer);
	BN_free(challenge);
	BN_CTX_free(ctx);
	ERR_pop_to_mark();
	return status;
}
