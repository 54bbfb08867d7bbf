/*
 * jwe.c
 *		JSON Web Encryption, compact serialisation (RFC 7516).
 *
 * How the content key travels is in jwe_key_wrap.c; here are the header, the
 * five parts and A256GCM.  Opening goes the same way whether or not the content
 * key could be unwrapped: a random one takes its place, and the tag of the
 * content decides, so that a failure does not say at which step it happened.
 */
#include "jwe.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "algorithms.h"
#include "jose_header.h"
#include "jwe_key_wrap.h"
#include "key_inside.h"
#include "text.h"

#define GCM_IV_SIZE		12
#define GCM_TAG_SIZE	16

enum
{
	PART_HEADER, PART_KEY, PART_IV, PART_CIPHERTEXT, PART_TAG, PART_COUNT
};

/* A256GCM with the header's text as additional data; out has room for len bytes. */
static HdmsStatus
content_encrypt(const unsigned char key[HDMS_CEK_SIZE], const unsigned char iv[GCM_IV_SIZE], const char *aad, size_t aad_len,
				const void *plaintext, size_t len, unsigned char *out, unsigned char tag[GCM_TAG_SIZE])
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	HdmsStatus	status = HDMS_CRYPTO_FAILED;
	int			written = 0;

	if (ctx != NULL && algorithms != NULL &&
		EVP_EncryptInit_ex2(ctx, algorithms->aes256_gcm, key, iv, NULL) == 1 &&
		EVP_EncryptUpdate(ctx, NULL, &written, (const unsigned char *) aad, (int) aad_len) == 1 &&
		(len == 0 || EVP_EncryptUpdate(ctx, out, &written, plaintext, (int) len) == 1) &&
		EVP_EncryptFinal_ex(ctx, out + len, &written) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_SIZE, tag) == 1)
		status = HDMS_OK;
	EVP_CIPHER_CTX_free(ctx);
	return status;
}

/* The reverse, in place. */
static HdmsStatus
content_decrypt(const unsigned char key[HDMS_CEK_SIZE], const unsigned char iv[GCM_IV_SIZE], HdmsSpan aad,
				HdmsBytes *text, unsigned char tag[GCM_TAG_SIZE])
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	HdmsStatus	status = HDMS_CRYPTO_FAILED;
	int			written = 0;

	if (ctx != NULL && algorithms != NULL &&
		EVP_DecryptInit_ex2(ctx, algorithms->aes256_gcm, key, iv, NULL) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_SIZE, tag) == 1 &&
		EVP_DecryptUpdate(ctx, NULL, &written, (const unsigned char *) aad.data, (int) aad.len) == 1 &&
		(text->len == 0 || EVP_DecryptUpdate(ctx, text->data, &written, text->data, (int) text->len) == 1))
		status = EVP_DecryptFinal_ex(ctx, text->data + text->len, &written) == 1 ? HDMS_OK : HDMS_CANNOT_DECRYPT;
	EVP_CIPHER_CTX_free(ctx);
	return status;
}

/* The protected header as base64url, without a NUL. */
static HdmsStatus
add_header(HdmsText *compact, const HdmsKey *recipient, const char *typ, const unsigned char *epk)
{
	HdmsText	header = {0};
	char	   *json = NULL;
	HdmsStatus	status;

	hdms_text_add(&header, "{\"alg\":\"");
	hdms_text_add(&header, hdms_key_wrap_algorithm(recipient));
	hdms_text_add(&header, "\",\"enc\":\"A256GCM\"");
	if (recipient->type == HDMS_KEY_P256)
	{
		hdms_text_add(&header, ",\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
		hdms_text_add_base64url(&header, epk + 1, HDMS_P256_SIZE);
		hdms_text_add(&header, "\",\"y\":\"");
		hdms_text_add_base64url(&header, epk + 1 + HDMS_P256_SIZE, HDMS_P256_SIZE);
		hdms_text_add(&header, "\"}");
	}
	hdms_text_add(&header, ",\"kid\":\"");
	hdms_text_add(&header, recipient->thumbprint);
	hdms_text_add(&header, "\"");
	if (typ != NULL)
	{
		hdms_text_add(&header, ",\"typ\":");
		hdms_text_add_json(&header, typ);
	}
	hdms_text_add(&header, "}");
	status = hdms_text_take(&header, &json);
	if (status != HDMS_OK)
		return status;
	hdms_text_add_base64url(compact, json, strlen(json));
	free(json);
	return compact->status;
}

/* hdms_jwe_seal() without the handling of OpenSSL's error queue. */
static HdmsStatus
seal(const HdmsKey *recipient, const char *typ, const void *plaintext, size_t len, char **compact)
{
	HdmsText	text = {0};
	HdmsWrappedKey wrapped = {0};
	unsigned char cek[HDMS_CEK_SIZE];
	unsigned char iv[GCM_IV_SIZE];
	unsigned char tag[GCM_TAG_SIZE];
	unsigned char *ciphertext = NULL;
	HdmsStatus	status;

	status = hdms_random(cek, sizeof(cek));
	if (status == HDMS_OK)
		status = hdms_random(iv, sizeof(iv));
	if (status == HDMS_OK)
		status = hdms_cek_wrap(recipient, cek, &wrapped);
	if (status != HDMS_OK)
		goto cleanup;

	hdms_text_reserve(&text, HDMS_BASE64URL_SIZE(len) + 1600);
	status = add_header(&text, recipient, typ, wrapped.epk);
	if (status != HDMS_OK)
		goto cleanup;
	ciphertext = malloc(len + 1);
	if (ciphertext == NULL)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	status = content_encrypt(cek, iv, text.data, text.len, plaintext, len, ciphertext, tag);
	if (status != HDMS_OK)
		goto cleanup;
	hdms_text_add(&text, ".");
	hdms_text_add_base64url(&text, wrapped.key, wrapped.key_len);
	hdms_text_add(&text, ".");
	hdms_text_add_base64url(&text, iv, sizeof(iv));
	hdms_text_add(&text, ".");
	hdms_text_add_base64url(&text, ciphertext, len);
	hdms_text_add(&text, ".");
	hdms_text_add_base64url(&text, tag, sizeof(tag));
	if (text.len > HDMS_ENVELOPE_MAX)
		text.status = HDMS_TOO_LARGE;
	status = hdms_text_take(&text, compact);

cleanup:
	OPENSSL_cleanse(cek, sizeof(cek));
	free(text.data);
	free(ciphertext);
	return status;
}

HdmsStatus
hdms_jwe_seal(const HdmsKey *recipient, const char *typ, const void *plaintext, size_t len, char **compact)
{
	HdmsStatus	status;

	if (len > HDMS_ENVELOPE_MAX)
		return HDMS_TOO_LARGE;
	if (hdms_key_wrap_algorithm(recipient) == NULL || (recipient->uses & HDMS_MAY_ENCRYPT) == 0)
		return HDMS_BAD_KEY;
	ERR_set_mark();
	status = seal(recipient, typ, plaintext, len, compact);
	ERR_pop_to_mark();
	return status;
}

/* The ephemeral point of a header, uncompressed.  Whether it is on the curve shows when it is used. */
static HdmsStatus
read_epk(const json_t *header, unsigned char epk[HDMS_P256_POINT])
{
	static const char *const names[] = {"x", "y"};
	const json_t *object = json_object_get(header, "epk");

	if (!json_is_object(object))
		return HDMS_BAD_FORMAT;
	if (json_object_get(object, "d") != NULL ||
		hdms_claims_equal(object, "kty", "EC") != HDMS_OK || hdms_claims_equal(object, "crv", "P-256") != HDMS_OK)
		return HDMS_BAD_KEY;
	epk[0] = 0x04;
	for (int i = 0; i < 2; i++)
	{
		const char *text;

		if (hdms_claims_string(object, names[i], &text) != HDMS_OK)
			return HDMS_BAD_KEY;
		if (hdms_base64url_read(text, strlen(text), epk + 1 + i * HDMS_P256_SIZE, HDMS_P256_SIZE) != HDMS_OK)
			return HDMS_BAD_KEY;
	}
	return HDMS_OK;
}

/* Splits, parses the header and checks all of it that does not depend on the key. */
static HdmsStatus
parse_compact(const char *compact, size_t len, HdmsSpan parts[PART_COUNT], json_t **header, const char **alg)
{
	json_t	   *object = NULL;
	HdmsStatus	status;

	if (len > HDMS_ENVELOPE_MAX)
		return HDMS_TOO_LARGE;
	status = hdms_compact_split(compact, len, parts, PART_COUNT);
	if (status == HDMS_OK)
		status = hdms_jose_header_parse(parts[PART_HEADER], &object, alg);
	if (status != HDMS_OK)
		return status;
	if (!hdms_wrap_algorithm_is_listed(*alg) || hdms_claims_equal(object, "enc", "A256GCM") != HDMS_OK)
		status = HDMS_BAD_ALGORITHM;
	else if (json_object_get(object, "apu") != NULL || json_object_get(object, "apv") != NULL)
		status = HDMS_BAD_FORMAT;
	if (status != HDMS_OK)
	{
		json_decref(object);
		return status;
	}
	*header = object;
	return HDMS_OK;
}

/* What the header says against the key and the purpose. */
static HdmsStatus
check_header(const json_t *header, const char *alg, const HdmsKey *key, const char *typ)
{
	char		kid[HDMS_DIGEST_TEXT + 1];
	HdmsStatus	status;

	if (strcmp(alg, hdms_key_wrap_algorithm(key)) != 0)
		return HDMS_BAD_ALGORITHM;
	if (typ == NULL)
		return HDMS_OK;
	status = hdms_jose_header_check_typ(header, typ);
	if (status == HDMS_OK)
		status = hdms_jose_header_kid(header, kid);
	if (status == HDMS_OK && kid[0] != '\0' && strcmp(kid, key->thumbprint) != 0)
		status = HDMS_CANNOT_DECRYPT;
	return status;
}

/* hdms_jwe_open() without the handling of OpenSSL's error queue. */
static HdmsStatus
open_compact(const char *compact, size_t len, const HdmsKey *key, const char *typ, HdmsBytes *plaintext)
{
	HdmsSpan	parts[PART_COUNT];
	HdmsWrappedKey wrapped = {0};
	HdmsBytes	wrapped_key = {0};
	HdmsBytes	text = {0};
	unsigned char cek[HDMS_CEK_SIZE];
	unsigned char iv[GCM_IV_SIZE];
	unsigned char tag[GCM_TAG_SIZE];
	json_t	   *header = NULL;
	const char *alg;
	HdmsStatus	status;

	status = parse_compact(compact, len, parts, &header, &alg);
	if (status != HDMS_OK)
		return status;
	status = check_header(header, alg, key, typ);
	if (status == HDMS_OK && key->type == HDMS_KEY_P256)
		status = read_epk(header, wrapped.epk);
	if (status == HDMS_OK)
		status = hdms_base64url_decode(parts[PART_KEY].data, parts[PART_KEY].len, &wrapped_key);
	if (status == HDMS_OK)
		status = hdms_base64url_read(parts[PART_IV].data, parts[PART_IV].len, iv, sizeof(iv));
	if (status == HDMS_OK)
		status = hdms_base64url_read(parts[PART_TAG].data, parts[PART_TAG].len, tag, sizeof(tag));
	if (status == HDMS_OK)
		status = hdms_base64url_decode(parts[PART_CIPHERTEXT].data, parts[PART_CIPHERTEXT].len, &text);
	if (status != HDMS_OK)
		goto cleanup;
	if (wrapped_key.len > sizeof(wrapped.key))
	{
		status = HDMS_CANNOT_DECRYPT;
		goto cleanup;
	}
	memcpy(wrapped.key, wrapped_key.data, wrapped_key.len);
	wrapped.key_len = wrapped_key.len;

	status = hdms_cek_unwrap(key, &wrapped, cek);
	if (status == HDMS_OK)
		status = content_decrypt(cek, iv, parts[PART_HEADER], &text, tag);
	if (status == HDMS_OK)
	{
		text.data[text.len] = '\0';
		*plaintext = text;
		text = (HdmsBytes) {0};
	}

cleanup:
	OPENSSL_cleanse(cek, sizeof(cek));
	hdms_bytes_free(&wrapped_key);
	hdms_bytes_wipe(&text);
	json_decref(header);
	return status;
}

HdmsStatus
hdms_jwe_open(const char *compact, size_t len, const HdmsKey *key, const char *typ, HdmsBytes *plaintext)
{
	HdmsStatus	status;

	if (!key->is_private || hdms_key_wrap_algorithm(key) == NULL || (key->uses & HDMS_MAY_ENCRYPT) == 0)
		return HDMS_BAD_KEY;
	ERR_set_mark();
	status = open_compact(compact, len, key, typ, plaintext);
	ERR_pop_to_mark();
	return status;
}

HdmsStatus
hdms_jwe_peek_kid(const char *compact, size_t len, char kid[HDMS_DIGEST_TEXT + 1])
{
	HdmsSpan	parts[PART_COUNT];
	json_t	   *header = NULL;
	const char *alg;
	HdmsStatus	status = parse_compact(compact, len, parts, &header, &alg);

	if (status != HDMS_OK)
		return status;
	status = hdms_jose_header_kid(header, kid);
	json_decref(header);
	return status;
}
