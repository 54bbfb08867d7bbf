/*
 * jwe_key_wrap.c
 *		How the content key of a JWE travels to its receiver: ECDH-ES+A256KW (RFC 7518, 4.6) or RSA-OAEP-256 (4.3).
 */
#include "jwe_key_wrap.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rsa.h>

#include "algorithms.h"

#define ECDH_ALGORITHM	"ECDH-ES+A256KW"
#define RSA_ALGORITHM	"RSA-OAEP-256"
#define KEK_SIZE		32
#define WRAPPED_SIZE	(HDMS_CEK_SIZE + 8)		/* RFC 3394 */

const char *
hdms_key_wrap_algorithm(const HdmsKey *key)
{
	switch (key->type)
	{
		case HDMS_KEY_P256:
			return ECDH_ALGORITHM;
		case HDMS_KEY_RSA:
			return RSA_ALGORITHM;
		case HDMS_KEY_ED25519:
			break;
	}
	return NULL;
}

bool
hdms_wrap_algorithm_is_listed(const char *alg)
{
	return strcmp(alg, ECDH_ALGORITHM) == 0 || strcmp(alg, RSA_ALGORITHM) == 0;
}

/*
 * Agrees on a secret and derives the key encryption key from it.  The peer's point has been checked to be on the curve;
 * with P-256's cofactor of 1 that is all there is to validate, and OpenSSL's own check would double the cost.
 */
static HdmsStatus
derive_kek(EVP_PKEY *own, EVP_PKEY *peer, unsigned char kek[KEK_SIZE])
{
	/* One round of the Concat KDF: counter, Z, AlgorithmID, empty PartyUInfo and PartyVInfo, SuppPubInfo. */
	struct
	{
		unsigned char counter[4];
		unsigned char secret[HDMS_P256_SIZE];
		unsigned char algorithm_len[4];
		unsigned char algorithm[sizeof(ECDH_ALGORITHM) - 1];
		unsigned char apu_len[4];
		unsigned char apv_len[4];
		unsigned char key_bits[4];
	}			input = {.counter = {0, 0, 0, 1}, .algorithm_len = {0, 0, 0, sizeof(ECDH_ALGORITHM) - 1}, .key_bits = {0, 0, 1, 0}};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	size_t		secret_len = sizeof(input.secret);
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	_Static_assert(sizeof(input) == 4 + 32 + 4 + 14 + 4 + 4 + 4, "the input is hashed as it lies");
	memcpy(input.algorithm, ECDH_ALGORITHM, sizeof(input.algorithm));
	if (ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
		EVP_PKEY_derive(ctx, input.secret, &secret_len) == 1 && secret_len == sizeof(input.secret))
		status = hdms_sha256(&input, sizeof(input), kek);
	OPENSSL_cleanse(&input, sizeof(input));
	EVP_PKEY_CTX_free(ctx);
	return status;
}

static HdmsStatus
ecdh_wrap(const HdmsKey *recipient, const unsigned char cek[HDMS_CEK_SIZE], HdmsWrappedKey *wrapped)
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_PKEY_CTX *ctx = NULL;
	EVP_CIPHER_CTX *cipher = NULL;
	EVP_PKEY   *ephemeral = NULL;
	unsigned char *point = NULL;
	unsigned char kek[KEK_SIZE];
	int			written = 0;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (algorithms == NULL)
		return HDMS_CRYPTO_FAILED;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, algorithms->p256, NULL);
	if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_generate(ctx, &ephemeral) != 1 ||
		EVP_PKEY_get1_encoded_public_key(ephemeral, &point) != HDMS_P256_POINT || point[0] != 0x04)
		goto cleanup;
	status = derive_kek(ephemeral, recipient->pkey, kek);
	if (status != HDMS_OK)
		goto cleanup;

	status = HDMS_CRYPTO_FAILED;
	cipher = EVP_CIPHER_CTX_new();
	if (cipher == NULL)
		goto cleanup;
	EVP_CIPHER_CTX_set_flags(cipher, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_EncryptInit_ex2(cipher, algorithms->aes256_wrap, kek, NULL, NULL) != 1 ||
		EVP_EncryptUpdate(cipher, wrapped->key, &written, cek, HDMS_CEK_SIZE) != 1 || written != WRAPPED_SIZE)
		goto cleanup;
	wrapped->key_len = WRAPPED_SIZE;
	memcpy(wrapped->epk, point, HDMS_P256_POINT);
	status = HDMS_OK;

cleanup:
	OPENSSL_cleanse(kek, sizeof(kek));
	OPENSSL_free(point);
	EVP_PKEY_free(ephemeral);
	EVP_CIPHER_CTX_free(cipher);
	EVP_PKEY_CTX_free(ctx);
	return status;
}

/* *unwrapped tells whether it was for this key. */
static HdmsStatus
ecdh_unwrap(const HdmsKey *key, const HdmsWrappedKey *wrapped, unsigned char cek[HDMS_CEK_SIZE], bool *unwrapped)
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_CIPHER_CTX *cipher = NULL;
	EVP_PKEY   *ephemeral = NULL;
	unsigned char kek[KEK_SIZE];
	unsigned char key_out[WRAPPED_SIZE];
	int			written = 0;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (algorithms == NULL)
		return HDMS_CRYPTO_FAILED;
	status = hdms_p256_pkey(wrapped->epk, NULL, &ephemeral);
	if (status == HDMS_OK)
		status = derive_kek(key->pkey, ephemeral, kek);
	if (status != HDMS_OK)
		goto cleanup;
	cipher = EVP_CIPHER_CTX_new();
	if (cipher == NULL)
	{
		status = HDMS_CRYPTO_FAILED;
		goto cleanup;
	}
	EVP_CIPHER_CTX_set_flags(cipher, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_DecryptInit_ex2(cipher, algorithms->aes256_wrap, kek, NULL, NULL) != 1)
	{
		status = HDMS_CRYPTO_FAILED;
		goto cleanup;
	}
	*unwrapped = wrapped->key_len == WRAPPED_SIZE &&
		EVP_DecryptUpdate(cipher, key_out, &written, wrapped->key, WRAPPED_SIZE) == 1 && written == HDMS_CEK_SIZE;
	if (*unwrapped)
		memcpy(cek, key_out, HDMS_CEK_SIZE);

cleanup:
	OPENSSL_cleanse(kek, sizeof(kek));
	OPENSSL_cleanse(key_out, sizeof(key_out));
	EVP_PKEY_free(ephemeral);
	EVP_CIPHER_CTX_free(cipher);
	return status;
}

/* An OAEP context with SHA-256 for both hashes. */
static EVP_PKEY_CTX *
oaep_context(const HdmsKey *key, bool encrypt)
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_PKEY_CTX *ctx = algorithms != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL) : NULL;

	if (ctx == NULL ||
		(encrypt ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx)) != 1 ||
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
		EVP_PKEY_CTX_set_rsa_oaep_md(ctx, algorithms->sha256) != 1 ||
		EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, algorithms->sha256) != 1)
	{
		EVP_PKEY_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static HdmsStatus
rsa_wrap(const HdmsKey *recipient, const unsigned char cek[HDMS_CEK_SIZE], HdmsWrappedKey *wrapped)
{
	EVP_PKEY_CTX *ctx = oaep_context(recipient, true);
	size_t		len = sizeof(wrapped->key);
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (ctx != NULL && EVP_PKEY_encrypt(ctx, wrapped->key, &len, cek, HDMS_CEK_SIZE) == 1)
	{
		wrapped->key_len = len;
		status = HDMS_OK;
	}
	EVP_PKEY_CTX_free(ctx);
	return status;
}

static HdmsStatus
rsa_unwrap(const HdmsKey *key, const HdmsWrappedKey *wrapped, unsigned char cek[HDMS_CEK_SIZE], bool *unwrapped)
{
	EVP_PKEY_CTX *ctx = oaep_context(key, false);
	unsigned char out[HDMS_RSA_MAX_SIZE];
	size_t		len = sizeof(out);

	if (ctx == NULL)
		return HDMS_CRYPTO_FAILED;
	*unwrapped = wrapped->key_len == (size_t) EVP_PKEY_get_size(key->pkey) &&
		EVP_PKEY_decrypt(ctx, out, &len, wrapped->key, wrapped->key_len) == 1 && len == HDMS_CEK_SIZE;
	if (*unwrapped)
		memcpy(cek, out, HDMS_CEK_SIZE);
	OPENSSL_cleanse(out, sizeof(out));
	EVP_PKEY_CTX_free(ctx);
	return HDMS_OK;
}

HdmsStatus
hdms_cek_wrap(const HdmsKey *recipient, const unsigned char cek[HDMS_CEK_SIZE], HdmsWrappedKey *wrapped)
{
	switch (recipient->type)
	{
		case HDMS_KEY_P256:
			return ecdh_wrap(recipient, cek, wrapped);
		case HDMS_KEY_RSA:
			return rsa_wrap(recipient, cek, wrapped);
		case HDMS_KEY_ED25519:
			break;
	}
	return HDMS_BAD_KEY;
}

HdmsStatus
hdms_cek_unwrap(const HdmsKey *key, const HdmsWrappedKey *wrapped, unsigned char cek[HDMS_CEK_SIZE])
{
	unsigned char result[HDMS_CEK_SIZE];
	bool		unwrapped = false;
	HdmsStatus	status;

	/* Drawn in every case, so that drawing it tells nothing. */
	status = hdms_random(result, sizeof(result));
	if (status != HDMS_OK)
		return status;
	switch (key->type)
	{
		case HDMS_KEY_P256:
			status = ecdh_unwrap(key, wrapped, result, &unwrapped);
			break;
		case HDMS_KEY_RSA:
			status = rsa_unwrap(key, wrapped, result, &unwrapped);
			break;
		case HDMS_KEY_ED25519:
			status = HDMS_BAD_KEY;
			break;
	}
	if (status == HDMS_OK)
		memcpy(cek, result, sizeof(result));
	OPENSSL_cleanse(result, sizeof(result));
	return status;
}
