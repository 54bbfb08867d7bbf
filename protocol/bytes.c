/*
 * bytes.c
 *		Byte strings, encodings, digests and random bytes.
 *
 * The encodings are strict in one direction: each byte string has exactly one
 * text, so that what is compared, stored and looked up as text cannot be spelled
 * a second way.
 */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "algorithms.h"
#include "utf8.h"

#define HKDF_MAX	(255 * HDMS_DIGEST_SIZE)	/* RFC 5869, 2.3 */
#define DIGITS_AT_ONCE 64

static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char standard_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
hdms_bytes_free(HdmsBytes *bytes)
{
	free(bytes->data);
	bytes->data = NULL;
	bytes->len = 0;
}

void
hdms_bytes_wipe(HdmsBytes *bytes)
{
	if (bytes->data != NULL)
		OPENSSL_cleanse(bytes->data, bytes->len);
	hdms_bytes_free(bytes);
}

void
hdms_string_wipe(char *string)
{
	if (string == NULL)
		return;
	OPENSSL_cleanse(string, strlen(string));
	free(string);
}

/*
 * The values of base64 digits, 0xff for what is none.  No branch and no table
 * depends on the text: some of what is decoded are private keys, and a long
 * ciphertext would mispredict every other branch.  The length is fixed so that
 * compilers take the digits sixteen at a time.
 */
static void
digit_values(const char *restrict text, unsigned char digit62, unsigned char digit63, unsigned char *restrict values)
{
	for (int i = 0; i < DIGITS_AT_ONCE; i++)
	{
		const unsigned char c = (unsigned char) text[i];
		const unsigned char upper = (unsigned char) -((unsigned char) (c - 'A') < 26);
		const unsigned char lower = (unsigned char) -((unsigned char) (c - 'a') < 26);
		const unsigned char number = (unsigned char) -((unsigned char) (c - '0') < 10);
		const unsigned char is62 = (unsigned char) -(c == digit62);
		const unsigned char is63 = (unsigned char) -(c == digit63);

		values[i] = (unsigned char) ((upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (number & (c - '0' + 52)) |
									 (is62 & 62) | (is63 & 63) | (unsigned char) ~(upper | lower | number | is62 | is63));
	}
}

/* Writes the digits of data without padding or NUL; returns how many. */
static size_t
write_digits(const unsigned char *data, size_t len, const char *digits, char *out)
{
	char	   *at = out;

	while (len >= 3)
	{
		at[0] = digits[data[0] >> 2];
		at[1] = digits[(data[0] & 0x03) << 4 | data[1] >> 4];
		at[2] = digits[(data[1] & 0x0f) << 2 | data[2] >> 6];
		at[3] = digits[data[2] & 0x3f];
		at += 4;
		data += 3;
		len -= 3;
	}
	if (len > 0)
	{
		*at++ = digits[data[0] >> 2];
		if (len == 1)
			*at++ = digits[(data[0] & 0x03) << 4];
		else
		{
			*at++ = digits[(data[0] & 0x03) << 4 | data[1] >> 4];
			*at++ = digits[(data[1] & 0x0f) << 2];
		}
	}
	return (size_t) (at - out);
}

/* Writes the bytes of digit values, of which count is a multiple of four. */
static void
pack_values(const unsigned char *v, size_t count, unsigned char *out)
{
	for (size_t i = 0; i < count; i += 4, v += 4, out += 3)
	{
		out[0] = (unsigned char) (v[0] << 2 | v[1] >> 4);
		out[1] = (unsigned char) (v[1] << 4 | v[2] >> 2);
		out[2] = (unsigned char) (v[2] << 6 | v[3]);
	}
}

/* Reads len digits into len * 3 / 4 bytes; false when one is no digit or the last has bits that belong to no byte. */
static bool
read_digits(const char *text, size_t len, const char *digits, unsigned char *out)
{
	const unsigned char digit62 = (unsigned char) digits[62];
	const unsigned char digit63 = (unsigned char) digits[63];
	const size_t rest = len % 4;
	unsigned char values[DIGITS_AT_ONCE];
	char		padded[DIGITS_AT_ONCE];
	unsigned char seen = 0;
	unsigned char spare = 0;

	if (rest == 1)
		return false;
	while (len > 0)
	{
		const size_t n = len < DIGITS_AT_ONCE ? len : DIGITS_AT_ONCE;
		const size_t whole = n / 4 * 4;
		const unsigned char *last = values + whole;

		if (n < DIGITS_AT_ONCE)
		{
			memset(padded, 'A', sizeof(padded));
			memcpy(padded, text, n);
			text = padded;
		}
		digit_values(text, digit62, digit63, values);
		for (int i = 0; i < DIGITS_AT_ONCE; i++)
			seen |= values[i];
		pack_values(values, whole, out);
		out += whole / 4 * 3;
		if (whole < n)
		{
			*out++ = (unsigned char) (last[0] << 2 | last[1] >> 4);
			if (rest == 3)
				*out++ = (unsigned char) (last[1] << 4 | last[2] >> 2);
			spare = rest == 3 ? last[2] & 0x03 : last[1] & 0x0f;
		}
		text += n;
		len -= n;
	}
	OPENSSL_cleanse(values, sizeof(values));
	OPENSSL_cleanse(padded, sizeof(padded));
	return (seen & 0xc0) == 0 && spare == 0;
}

/* Decodes len digits without padding into a new byte string. */
static HdmsStatus
decode_digits(const char *text, size_t len, const char *digits, HdmsBytes *out)
{
	const size_t size = len / 4 * 3 + (len % 4) * 3 / 4;
	unsigned char *data = malloc(size + 1);

	if (data == NULL)
		return HDMS_OUT_OF_MEMORY;
	if (!read_digits(text, len, digits, data))
	{
		OPENSSL_cleanse(data, size);
		free(data);
		return HDMS_BAD_ENCODING;
	}
	data[size] = '\0';
	out->data = data;
	out->len = size;
	return HDMS_OK;
}

HdmsStatus
hdms_base64url_encode(const void *data, size_t len, char **text)
{
	char	   *result;

	if (len > SIZE_MAX / 4 - 2)
		return HDMS_TOO_LARGE;
	result = malloc(HDMS_BASE64URL_SIZE(len));
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	hdms_base64url_write(data, len, result);
	*text = result;
	return HDMS_OK;
}

void
hdms_base64url_write(const void *data, size_t len, char *out)
{
	out[write_digits(data, len, url_digits, out)] = '\0';
}

HdmsStatus
hdms_base64url_decode(const char *text, size_t len, HdmsBytes *out)
{
	return decode_digits(text, len, url_digits, out);
}

HdmsStatus
hdms_base64url_read(const char *text, size_t len, void *out, size_t out_len)
{
	unsigned char small[64];
	HdmsBytes	bytes = {0};
	HdmsStatus	status;

	if (len != HDMS_BASE64URL_SIZE(out_len) - 1)
		return HDMS_BAD_ENCODING;

	/* Digests and coordinates: callers take it that these cannot fail for memory. */
	if (out_len <= sizeof(small))
	{
		const bool	decoded = read_digits(text, len, url_digits, small);

		if (decoded && out_len > 0)
			memcpy(out, small, out_len);
		OPENSSL_cleanse(small, sizeof(small));
		return decoded ? HDMS_OK : HDMS_BAD_ENCODING;
	}
	status = decode_digits(text, len, url_digits, &bytes);
	if (status == HDMS_OK && out_len > 0)
		memcpy(out, bytes.data, out_len);
	hdms_bytes_wipe(&bytes);
	return status;
}

HdmsStatus
hdms_base64_encode(const void *data, size_t len, char **text)
{
	char	   *result;
	size_t		written;

	if (len > SIZE_MAX / 4 - 4)
		return HDMS_TOO_LARGE;
	result = malloc((len + 2) / 3 * 4 + 1);
	if (result == NULL)
		return HDMS_OUT_OF_MEMORY;
	written = write_digits(data, len, standard_digits, result);
	while (written % 4 != 0)
		result[written++] = '=';
	result[written] = '\0';
	*text = result;
	return HDMS_OK;
}

HdmsStatus
hdms_base64_decode(const char *text, size_t len, HdmsBytes *out)
{
	if (len % 4 != 0)
		return HDMS_BAD_ENCODING;
	if (len > 0 && text[len - 1] == '=')
	{
		len--;
		if (text[len - 1] == '=')
			len--;
	}
	return decode_digits(text, len, standard_digits, out);
}

HdmsStatus
hdms_sha256(const void *data, size_t len, unsigned char digest[HDMS_DIGEST_SIZE])
{
	return hdms_sha256_pair(data, len, NULL, 0, digest);
}

HdmsStatus
hdms_sha256_pair(const void *a, size_t a_len, const void *b, size_t b_len,
				 unsigned char digest[HDMS_DIGEST_SIZE])
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	unsigned char result[HDMS_DIGEST_SIZE];
	EVP_MD_CTX *ctx = NULL;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (algorithms == NULL)
		return HDMS_CRYPTO_FAILED;
	ERR_set_mark();
	ctx = EVP_MD_CTX_new();
	if (ctx != NULL &&
		EVP_DigestInit_ex2(ctx, algorithms->sha256, NULL) == 1 &&
		(a_len == 0 || EVP_DigestUpdate(ctx, a, a_len) == 1) &&
		(b_len == 0 || EVP_DigestUpdate(ctx, b, b_len) == 1) &&
		EVP_DigestFinal_ex(ctx, result, NULL) == 1)
	{
		memcpy(digest, result, sizeof(result));
		status = HDMS_OK;
	}
	EVP_MD_CTX_free(ctx);
	ERR_pop_to_mark();
	return status;
}

HdmsStatus
hdms_sha256_text(const void *data, size_t len, char text[HDMS_DIGEST_TEXT + 1])
{
	unsigned char digest[HDMS_DIGEST_SIZE];
	HdmsStatus	status = hdms_sha256(data, len, digest);

	if (status == HDMS_OK)
		hdms_base64url_write(digest, sizeof(digest), text);
	return status;
}

HdmsStatus
hdms_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
				 unsigned char mac[HDMS_DIGEST_SIZE])
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	unsigned char result[HDMS_DIGEST_SIZE];
	size_t		result_len = 0;
	EVP_MAC_CTX *ctx = NULL;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (algorithms == NULL)
		return HDMS_CRYPTO_FAILED;
	ERR_set_mark();
	ctx = EVP_MAC_CTX_dup(algorithms->hmac_sha256);

	/* A null key would mean "the key of before": an empty one needs an address. */
	if (ctx != NULL &&
		EVP_MAC_init(ctx, key_len == 0 ? (const unsigned char *) "" : key, key_len, NULL) == 1 &&
		(len == 0 || EVP_MAC_update(ctx, data, len) == 1) &&
		EVP_MAC_final(ctx, result, &result_len, sizeof(result)) == 1 &&
		result_len == sizeof(result))
	{
		memcpy(mac, result, sizeof(result));
		status = HDMS_OK;
	}
	EVP_MAC_CTX_free(ctx);
	OPENSSL_cleanse(result, sizeof(result));
	ERR_pop_to_mark();
	return status;
}

HdmsStatus
hdms_hkdf_sha256(const void *secret, size_t secret_len, const void *salt, size_t salt_len,
				 const void *info, size_t info_len, void *out, size_t out_len)
{
	const HdmsAlgorithms *algorithms = hdms_algorithms();
	OSSL_PARAM	params[5];
	OSSL_PARAM *param = params;
	EVP_KDF_CTX *ctx = NULL;
	unsigned char *result = NULL;
	HdmsStatus	status = HDMS_CRYPTO_FAILED;

	if (algorithms == NULL)
		return HDMS_CRYPTO_FAILED;
	if (out_len == 0 || out_len > HKDF_MAX)
		return HDMS_BAD_ARGUMENT;
	ERR_set_mark();
	*param++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *) "SHA256", 0);
	*param++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
												 secret_len == 0 ? (void *) "" : (void *) secret, secret_len);
	if (salt != NULL && salt_len > 0)
		*param++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *) salt, salt_len);
	if (info_len > 0)
		*param++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *) info, info_len);
	*param = OSSL_PARAM_construct_end();

	result = malloc(out_len);
	if (result == NULL)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	ctx = EVP_KDF_CTX_new(algorithms->hkdf);
	if (ctx == NULL || EVP_KDF_derive(ctx, result, out_len, params) != 1)
		goto cleanup;
	memcpy(out, result, out_len);
	status = HDMS_OK;

cleanup:
	EVP_KDF_CTX_free(ctx);
	if (result != NULL)
		OPENSSL_cleanse(result, out_len);
	free(result);
	ERR_pop_to_mark();
	return status;
}

bool
hdms_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

HdmsStatus
hdms_random(void *out, size_t len)
{
	unsigned char *at = out;

	/* RAND_bytes() counts in int. */
	while (len > 0)
	{
		const int	step = len > 1 << 20 ? 1 << 20 : (int) len;
		int			ok;

		ERR_set_mark();
		ok = RAND_bytes(at, step);
		ERR_pop_to_mark();
		if (ok != 1)
			return HDMS_CRYPTO_FAILED;
		at += step;
		len -= (size_t) step;
	}
	return HDMS_OK;
}

HdmsStatus
hdms_uuid7(int64_t now_ms, char text[37])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char uuid[16];
	HdmsStatus	status;
	char	   *at = text;

	if (now_ms < 0 || now_ms >= (int64_t) 1 << 48)
		return HDMS_BAD_ARGUMENT;
	status = hdms_random(uuid + 6, sizeof(uuid) - 6);
	if (status != HDMS_OK)
		return status;
	for (int i = 0; i < 6; i++)
		uuid[i] = (unsigned char) (now_ms >> (40 - 8 * i));
	uuid[6] = (unsigned char) ((uuid[6] & 0x0f) | 0x70);
	uuid[8] = (unsigned char) ((uuid[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = hex[uuid[i] >> 4];
		*at++ = hex[uuid[i] & 0x0f];
	}
	*at = '\0';
	return HDMS_OK;
}

bool
hdms_is_uuid(const char *text, size_t len)
{
	if (len != 36)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		const char	c = text[i];

		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (c != '-')
				return false;
		}
		else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

bool
hdms_is_digest_text(const char *text, size_t len)
{
	unsigned char digest[HDMS_DIGEST_SIZE];

	return len == HDMS_DIGEST_TEXT && read_digits(text, len, url_digits, digest);
}

bool
hdms_is_utf8(const void *data, size_t len)
{
	const unsigned char *at = data;

	while (len > 0)
	{
		const size_t step = hdms_utf8_sequence(at, len);

		if (step == 0)
			return false;
		at += step;
		len -= step;
	}
	return true;
}
