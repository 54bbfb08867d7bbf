/*
 * vault.c
 *		Encryption at rest.
 *
 * Every sealed column is AES-256-GCM under one random data key, with the column's name and the row as associated data: somebody who
 * can write the file can neither read it nor swap one value for another. The data key itself is wrapped under a key from the passphrase
 * (scrypt, RFC 7914) or from the platform's keystore, so either can be changed without touching the data.
 */
#include "vault.h"

#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

#define SALT_SIZE		16
#define KIND_PASSPHRASE 1
#define KIND_PLATFORM	2

/* kind, log2 N, r, p, salt; then the sealed data key. */
#define HEADER_SIZE		(4 + SALT_SIZE)
#define WRAPPED_SIZE	(HEADER_SIZE + VAULT_OVERHEAD + VAULT_KEY_SIZE)

struct Vault
{
	unsigned char key[VAULT_KEY_SIZE];
	EVP_CIPHER_CTX *encrypt;	/* with the key set: a row costs no key schedule */
	EVP_CIPHER_CTX *decrypt;
};

static HdmsStatus
vault_with_key(const unsigned char key[VAULT_KEY_SIZE], Vault **result)
{
	Vault	   *vault = calloc(1, sizeof(*vault));

	if (vault == NULL)
		return HDMS_OUT_OF_MEMORY;
	memcpy(vault->key, key, VAULT_KEY_SIZE);
	vault->encrypt = EVP_CIPHER_CTX_new();
	vault->decrypt = EVP_CIPHER_CTX_new();
	if (vault->encrypt == NULL || vault->decrypt == NULL ||
		EVP_EncryptInit_ex(vault->encrypt, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
		EVP_DecryptInit_ex(vault->decrypt, EVP_aes_256_gcm(), NULL, key, NULL) != 1)
	{
		vault_free(vault);
		return HDMS_CRYPTO_FAILED;
	}
	*result = vault;
	return HDMS_OK;
}

void
vault_free(Vault *vault)
{
	if (vault == NULL)
		return;
	EVP_CIPHER_CTX_free(vault->encrypt);
	EVP_CIPHER_CTX_free(vault->decrypt);
	OPENSSL_cleanse(vault, sizeof(*vault));
	free(vault);
}

/* Associated data: the column's name, a NUL, the row as 8 bytes. */
static size_t
associated_data(const char *column, int64_t row, unsigned char out[64])
{
	size_t		len = strnlen(column, 54);

	memcpy(out, column, len);
	out[len++] = '\0';
	for (int shift = 56; shift >= 0; shift -= 8)
		out[len++] = (unsigned char) ((uint64_t) row >> shift);
	return len;
}

HdmsStatus
vault_seal(Vault *vault, const char *column, int64_t row, const void *plaintext, size_t len, HdmsBytes *sealed)
{
	unsigned char aad[64];
	size_t		aad_len = associated_data(column, row, aad);
	unsigned char *out;
	int			part;

	if (len > 64 * 1024 * 1024)
		return HDMS_TOO_LARGE;
	out = malloc(len + VAULT_OVERHEAD + 1);
	if (out == NULL)
		return HDMS_OUT_OF_MEMORY;
	if (hdms_random(out, VAULT_NONCE_SIZE) != HDMS_OK ||
		EVP_EncryptInit_ex(vault->encrypt, NULL, NULL, NULL, out) != 1 ||
		EVP_EncryptUpdate(vault->encrypt, NULL, &part, aad, (int) aad_len) != 1 ||
		EVP_EncryptUpdate(vault->encrypt, out + VAULT_NONCE_SIZE, &part, plaintext, (int) len) != 1 ||
		EVP_EncryptFinal_ex(vault->encrypt, out + VAULT_NONCE_SIZE + len, &part) != 1 ||
		EVP_CIPHER_CTX_ctrl(vault->encrypt, EVP_CTRL_AEAD_GET_TAG, VAULT_TAG_SIZE, out + VAULT_NONCE_SIZE + len) != 1)
	{
		free(out);
		return HDMS_CRYPTO_FAILED;
	}
	sealed->data = out;
	sealed->len = len + VAULT_OVERHEAD;
	out[sealed->len] = '\0';
	return HDMS_OK;
}

HdmsStatus
vault_open(Vault *vault, const char *column, int64_t row, const void *sealed, size_t len, HdmsBytes *plaintext)
{
	unsigned char aad[64];
	size_t		aad_len = associated_data(column, row, aad);
	const unsigned char *in = sealed;
	size_t		out_len;
	unsigned char *out;
	int			part;

	if (len < VAULT_OVERHEAD || len > 64 * 1024 * 1024 + VAULT_OVERHEAD)
		return HDMS_CANNOT_DECRYPT;
	out_len = len - VAULT_OVERHEAD;
	out = malloc(out_len + 1);
	if (out == NULL)
		return HDMS_OUT_OF_MEMORY;
	if (EVP_DecryptInit_ex(vault->decrypt, NULL, NULL, NULL, in) != 1 ||
		EVP_DecryptUpdate(vault->decrypt, NULL, &part, aad, (int) aad_len) != 1 ||
		EVP_DecryptUpdate(vault->decrypt, out, &part, in + VAULT_NONCE_SIZE, (int) out_len) != 1 ||
		EVP_CIPHER_CTX_ctrl(vault->decrypt, EVP_CTRL_AEAD_SET_TAG, VAULT_TAG_SIZE, (void *) (in + len - VAULT_TAG_SIZE)) != 1 ||
		EVP_DecryptFinal_ex(vault->decrypt, out + out_len, &part) != 1)
	{
		OPENSSL_cleanse(out, out_len + 1);
		free(out);
		return HDMS_CANNOT_DECRYPT;
	}
	out[out_len] = '\0';
	plaintext->data = out;
	plaintext->len = out_len;
	return HDMS_OK;
}

/* The key that wraps the data key. header as stored. */
static HdmsStatus
wrapping_key(const HdmsNodeSecret *secret, const unsigned char header[HEADER_SIZE], unsigned char key[VAULT_KEY_SIZE])
{
	const unsigned char *salt = header + 4;

	if (header[0] == KIND_PLATFORM && secret->platform_key != NULL)
		return hdms_hkdf_sha256(secret->platform_key, 32, salt, SALT_SIZE, "hdms-node-vault", 15, key, VAULT_KEY_SIZE);
	if (header[0] != KIND_PASSPHRASE || secret->passphrase == NULL)
		return HDMS_CANNOT_DECRYPT;

	/* Written by this program, but somebody else may have had the file: bound what it asks for. */
	if (header[1] < 10 || header[1] > 20 || header[2] < 1 || header[2] > 16 || header[3] < 1 || header[3] > 32)
		return HDMS_CANNOT_DECRYPT;
	if (EVP_PBE_scrypt(secret->passphrase, strlen(secret->passphrase), salt, SALT_SIZE, UINT64_C(1) << header[1], header[2], header[3],
					   UINT64_C(1) << 32, key, VAULT_KEY_SIZE) != 1)
		return HDMS_CRYPTO_FAILED;
	return HDMS_OK;
}

/* A data key under the secret, with fresh parameters. */
static HdmsStatus
data_key_wrap(const HdmsNodeSecret *secret, const unsigned char data_key[VAULT_KEY_SIZE], HdmsBytes *wrapped)
{
	unsigned char header[HEADER_SIZE] = {KIND_PASSPHRASE, VAULT_SCRYPT_LOG_N, VAULT_SCRYPT_R, VAULT_SCRYPT_P};
	unsigned char outer_key[VAULT_KEY_SIZE];
	Vault	   *outer = NULL;
	HdmsBytes	sealed = {0};
	unsigned char *out = NULL;
	HdmsStatus	status;

	if ((secret->passphrase == NULL) == (secret->platform_key == NULL))
		return HDMS_BAD_ARGUMENT;
	if (secret->platform_key != NULL)
		header[0] = KIND_PLATFORM;
	if ((status = hdms_random(header + 4, SALT_SIZE)) != HDMS_OK ||
		(status = wrapping_key(secret, header, outer_key)) != HDMS_OK ||
		(status = vault_with_key(outer_key, &outer)) != HDMS_OK ||
		(status = vault_seal(outer, "vault.key", 0, data_key, VAULT_KEY_SIZE, &sealed)) != HDMS_OK)
		goto cleanup;
	out = malloc(WRAPPED_SIZE + 1);
	if (out == NULL)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	memcpy(out, header, HEADER_SIZE);
	memcpy(out + HEADER_SIZE, sealed.data, sealed.len);
	out[WRAPPED_SIZE] = '\0';
	wrapped->data = out;
	wrapped->len = WRAPPED_SIZE;

cleanup:
	OPENSSL_cleanse(outer_key, sizeof(outer_key));
	hdms_bytes_free(&sealed);
	vault_free(outer);
	return status;
}

HdmsStatus
vault_create(const HdmsNodeSecret *secret, HdmsBytes *wrapped, Vault **vault)
{
	unsigned char data_key[VAULT_KEY_SIZE];
	Vault	   *inner = NULL;
	HdmsStatus	status = hdms_random(data_key, sizeof(data_key));

	if (status == HDMS_OK)
		status = vault_with_key(data_key, &inner);
	if (status == HDMS_OK)
		status = data_key_wrap(secret, data_key, wrapped);
	OPENSSL_cleanse(data_key, sizeof(data_key));
	if (status == HDMS_OK)
		*vault = inner;
	else
		vault_free(inner);
	return status;
}

HdmsStatus
vault_rewrap(const Vault *vault, const HdmsNodeSecret *secret, HdmsBytes *wrapped)
{
	return data_key_wrap(secret, vault->key, wrapped);
}

HdmsStatus
vault_unlock(const HdmsNodeSecret *secret, const void *wrapped, size_t len, Vault **vault)
{
	unsigned char outer_key[VAULT_KEY_SIZE];
	Vault	   *outer = NULL;
	HdmsBytes	data_key = {0};
	HdmsStatus	status;

	if (len != WRAPPED_SIZE)
		return HDMS_CANNOT_DECRYPT;
	if ((status = wrapping_key(secret, wrapped, outer_key)) != HDMS_OK ||
		(status = vault_with_key(outer_key, &outer)) != HDMS_OK ||
		(status = vault_open(outer, "vault.key", 0, (const unsigned char *) wrapped + HEADER_SIZE, len - HEADER_SIZE, &data_key)) != HDMS_OK)
		goto cleanup;
	status = vault_with_key(data_key.data, vault);

cleanup:
	OPENSSL_cleanse(outer_key, sizeof(outer_key));
	hdms_bytes_wipe(&data_key);
	vault_free(outer);
	return status;
}
