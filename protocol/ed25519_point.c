/*
 * ed25519_point.c
 *		Whether bytes are a usable Ed25519 public key.
 *
 * OpenSSL takes any 32 bytes for a public key and finds out when it verifies.
 * A key of small order would then verify signatures that nobody made, so keys
 * are checked when they come in.  Public data only: nothing here is constant-time.
 */
#include "key_inside.h"

#define ED25519_SIZE 32

/* The curve's p and d (RFC 8032, 5.1). */
static const char field_prime[] = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed";
static const char curve_d[] = "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3";

/*
 * x squared = (y squared - 1) / (d y squared + 1) has a root when the point is on the curve.
 * The points of small order have y = 0, x = 0 (whose symbol is 0, not 1), or x squared = - y squared.
 */
static bool
is_large_order_point(const BIGNUM *y, const BIGNUM *p, const BIGNUM *d, BN_CTX *ctx)
{
	BIGNUM	   *yy;
	BIGNUM	   *xx;
	BIGNUM	   *divisor;
	BIGNUM	   *sum;

	BN_CTX_start(ctx);
	yy = BN_CTX_get(ctx);
	xx = BN_CTX_get(ctx);
	divisor = BN_CTX_get(ctx);
	sum = BN_CTX_get(ctx);
	if (sum == NULL ||
		BN_mod_sqr(yy, y, p, ctx) != 1 ||
		BN_mod_mul(divisor, d, yy, p, ctx) != 1 || BN_mod_add(divisor, divisor, BN_value_one(), p, ctx) != 1 ||
		BN_mod_inverse(divisor, divisor, p, ctx) == NULL ||
		BN_mod_sub(xx, yy, BN_value_one(), p, ctx) != 1 || BN_mod_mul(xx, xx, divisor, p, ctx) != 1 ||
		BN_mod_add(sum, xx, yy, p, ctx) != 1 ||
		BN_is_zero(yy) || BN_is_zero(sum) || BN_kronecker(xx, p, ctx) != 1)
	{
		BN_CTX_end(ctx);
		return false;
	}
	BN_CTX_end(ctx);
	return true;
}

bool
hdms_ed25519_is_point(const unsigned char encoded[32])
{
	unsigned char bytes[ED25519_SIZE];
	BN_CTX	   *ctx = BN_CTX_new();
	BIGNUM	   *p = NULL;
	BIGNUM	   *d = NULL;
	BIGNUM	   *y = NULL;
	bool		result = false;

	/* The highest bit is the sign of x. */
	for (int i = 0; i < ED25519_SIZE; i++)
		bytes[i] = encoded[i];
	bytes[ED25519_SIZE - 1] &= 0x7f;
	y = BN_lebin2bn(bytes, sizeof(bytes), NULL);
	if (ctx != NULL && y != NULL && BN_hex2bn(&p, field_prime) != 0 && BN_hex2bn(&d, curve_d) != 0)
		result = BN_cmp(y, p) < 0 && is_large_order_point(y, p, d, ctx);
	BN_free(p);
	BN_free(d);
	BN_free(y);
	BN_CTX_free(ctx);
	return result;
}
