/*
 * pack.c
 *		Making signed texts small before they are encrypted.
 *
 * What is kept are SD-JWTs, JWS and receipts: JSON inside base64url, with digests in base64url inside of that. A compressor sees little
 * in base64, so the runs of base64url are decoded first, twice over (the texts nest), and then zstd compresses. Only runs that encode
 * back to the same characters are touched, so unpacking gives the exact bytes, which is what was signed.
 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define LEVEL		3
#define PASSES		2
#define MIN_RUN		22			/* characters: a salt of 128 bits */

/* The first byte: how many passes were made, and whether zstd helped. */
#define FLAG_ZSTD	0x10

/* 0..63 for the base64url alphabet, else 255. */
static const unsigned char sextets[256] = {
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 62, 255, 255,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 255, 255, 255, 255, 255, 255,
	255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 255, 255, 255, 255, 63,
	255, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
};

static inline unsigned char
sextet(unsigned char c)
{
	return sextets[c];
}

struct Packer
{
	ZSTD_CCtx  *compress;
	ZSTD_DCtx  *decompress;
};

Packer *
packer_create(void)
{
	Packer	   *packer = calloc(1, sizeof(*packer));

	if (packer == NULL)
		return NULL;
	packer->compress = ZSTD_createCCtx();
	packer->decompress = ZSTD_createDCtx();
	if (packer->compress == NULL || packer->decompress == NULL)
	{
		packer_free(packer);
		return NULL;
	}
	return packer;
}

void
packer_free(Packer *packer)
{
	if (packer == NULL)
		return;
	ZSTD_freeCCtx(packer->compress);
	ZSTD_freeDCtx(packer->decompress);
	free(packer);
}

typedef struct Output
{
	unsigned char *data;
	size_t		len;
	size_t		size;
	size_t		max;
} Output;

static HdmsStatus
output_reserve(Output *out, size_t more)
{
	size_t		size = out->size;
	unsigned char *data;

	if (more > out->max - out->len)
		return HDMS_TOO_LARGE;
	if (out->len + more + 1 <= size)
		return HDMS_OK;
	while (size < out->len + more + 1)
		size = size ? size * 2 : 512;
	data = realloc(out->data, size);
	if (data == NULL)
		return HDMS_OUT_OF_MEMORY;
	out->data = data;
	out->size = size;
	return HDMS_OK;
}

/* A length as 7 bits in each byte, lowest first. */
static HdmsStatus
output_length(Output *out, size_t value)
{
	HdmsStatus	status = output_reserve(out, 10);

	if (status != HDMS_OK)
		return status;
	while (value >= 0x80)
	{
		out->data[out->len++] = (unsigned char) (value | 0x80);
		value >>= 7;
	}
	out->data[out->len++] = (unsigned char) value;
	return HDMS_OK;
}

static HdmsStatus
output_bytes(Output *out, const unsigned char *data, size_t len)
{
	HdmsStatus	status = output_reserve(out, len);

	if (status != HDMS_OK)
		return status;
	if (len > 0)
		memcpy(out->data + out->len, data, len);
	out->len += len;
	return HDMS_OK;
}

static bool
read_length(const unsigned char **at, const unsigned char *end, size_t *value)
{
	size_t		result = 0;

	for (int shift = 0; shift <= 28; shift += 7)
	{
		unsigned char byte;

		if (*at >= end)
			return false;
		byte = *(*at)++;
		result |= (size_t) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
		{
			*value = result;
			return true;
		}
	}
	return false;
}

/* The longest run of base64url at data that decodes canonically; 0 when there is none worth it. */
static size_t
run_length(const unsigned char *data, size_t len)
{
	size_t		run = 0;
	unsigned	rest;

	while (run < len && sextet(data[run]) != 255)
		run++;
	if (run < MIN_RUN)
		return 0;
	rest = run % 4;
	if (rest == 1 ||
		(rest == 2 && (sextet(data[run - 1]) & 0x0f) != 0) ||
		(rest == 3 && (sextet(data[run - 1]) & 0x03) != 0))
		run -= rest;			/* whole quadruples always encode back */
	return run;
}

static size_t
decode_run(const unsigned char *data, size_t run, unsigned char *out)
{
	size_t		len = 0;
	unsigned	bits = 0;
	int			count = 0;

	for (size_t i = 0; i < run; i++)
	{
		bits = bits << 6 | sextet(data[i]);
		count += 6;
		if (count >= 8)
		{
			count -= 8;
			out[len++] = (unsigned char) (bits >> count);
		}
	}
	return len;
}

/* One pass: literal, decoded run, literal, decoded run ...; each with its length before it. */
static HdmsStatus
runs_decode(const unsigned char *data, size_t len, Output *out)
{
	size_t		literal = 0;
	size_t		at = 0;
	HdmsStatus	status;

	while (at < len)
	{
		size_t		run = run_length(data + at, len - at);

		if (run == 0)
		{
			/* Step over what cannot begin a longer run either. */
			do
				at++;
			while (at < len && sextet(data[at]) != 255 && sextet(data[at - 1]) != 255);
			continue;
		}
		if ((status = output_length(out, at - literal)) != HDMS_OK ||
			(status = output_bytes(out, data + literal, at - literal)) != HDMS_OK ||
			(status = output_length(out, run * 3 / 4)) != HDMS_OK ||
			(status = output_reserve(out, run)) != HDMS_OK)
			return status;
		out->len += decode_run(data + at, run, out->data + out->len);
		at += run;
		literal = at;
	}
	if ((status = output_length(out, at - literal)) != HDMS_OK)
		return status;
	return output_bytes(out, data + literal, at - literal);
}

/* Undoes one pass. */
static HdmsStatus
runs_encode(const unsigned char *data, size_t len, Output *out)
{
	const unsigned char *at = data;
	const unsigned char *end = data + len;
	size_t		part;
	HdmsStatus	status;

	for (;;)
	{
		if (!read_length(&at, end, &part) || part > (size_t) (end - at))
			return HDMS_BAD_FORMAT;
		if ((status = output_bytes(out, at, part)) != HDMS_OK)
			return status;
		at += part;
		if (at == end)
			return HDMS_OK;
		if (!read_length(&at, end, &part) || part > (size_t) (end - at))
			return HDMS_BAD_FORMAT;
		if ((status = output_reserve(out, HDMS_BASE64URL_SIZE(part))) != HDMS_OK)
			return status;
		hdms_base64url_write(at, part, (char *) out->data + out->len);
		out->len += HDMS_BASE64URL_SIZE(part) - 1;
		at += part;
	}
}

HdmsStatus
pack(Packer *packer, const void *data, size_t len, HdmsBytes *packed)
{
	Output		stages[PASSES] = {{0}};
	unsigned char *result = NULL;
	const unsigned char *input = data;
	size_t		input_len = len;
	size_t		bound;
	size_t		written;
	HdmsStatus	status = HDMS_OK;

	for (int i = 0; i < PASSES; i++)
	{
		stages[i].max = SIZE_MAX / 4;
		if ((status = runs_decode(input, input_len, &stages[i])) != HDMS_OK)
			goto cleanup;
		input = stages[i].data;
		input_len = stages[i].len;
	}
	bound = ZSTD_compressBound(input_len);
	result = malloc(1 + bound + 1);
	if (result == NULL)
	{
		status = HDMS_OUT_OF_MEMORY;
		goto cleanup;
	}
	written = ZSTD_compressCCtx(packer->compress, result + 1, bound, input, input_len, LEVEL);
	result[0] = PASSES | FLAG_ZSTD;
	if (ZSTD_isError(written) || written >= input_len)
	{
		result[0] = PASSES;
		memcpy(result + 1, input, input_len);
		written = input_len;
	}
	packed->data = result;
	packed->len = 1 + written;
	result[packed->len] = '\0';
	result = NULL;

cleanup:
	free(result);
	for (int i = 0; i < PASSES; i++)
	{
		HdmsBytes	stage = {stages[i].data, stages[i].len};

		hdms_bytes_wipe(&stage);
	}
	return status;
}

HdmsStatus
unpack(Packer *packer, const void *packed, size_t len, size_t max_len, HdmsBytes *data)
{
	const unsigned char *in = packed;
	HdmsBytes	current = {0};
	HdmsStatus	status;
	int			passes;

	if (len < 1 || (in[0] & ~(FLAG_ZSTD | 0x0f)) != 0 || (in[0] & 0x0f) > PASSES)
		return HDMS_BAD_FORMAT;
	passes = in[0] & 0x0f;
	current.len = len - 1;
	if (in[0] & FLAG_ZSTD)
	{
		unsigned long long size = ZSTD_getFrameContentSize(in + 1, len - 1);

		if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
			return HDMS_BAD_FORMAT;
		if (size > max_len + max_len / 8 + 64)
			return HDMS_TOO_LARGE;
		current.len = (size_t) size;
	}
	current.data = malloc(current.len + 1);
	if (current.data == NULL)
		return HDMS_OUT_OF_MEMORY;
	if (in[0] & FLAG_ZSTD)
	{
		size_t		written = ZSTD_decompressDCtx(packer->decompress, current.data, current.len, in + 1, len - 1);

		if (ZSTD_isError(written) || written != current.len)
		{
			hdms_bytes_wipe(&current);
			return HDMS_BAD_FORMAT;
		}
	}
	else
		memcpy(current.data, in + 1, len - 1);

	for (int i = 0; i < passes; i++)
	{
		Output		out = {.max = max_len + max_len / 8 + 64};

		status = runs_encode(current.data, current.len, &out);
		hdms_bytes_wipe(&current);
		current.data = out.data;
		current.len = out.len;
		if (status == HDMS_OK && current.data == NULL && (current.data = malloc(1)) == NULL)
			status = HDMS_OUT_OF_MEMORY;
		if (status != HDMS_OK)
		{
			hdms_bytes_wipe(&current);
			return status;
		}
	}
	if (current.len > max_len)
	{
		hdms_bytes_wipe(&current);
		return HDMS_TOO_LARGE;
	}
	current.data[current.len] = '\0';
	*data = current;
	return HDMS_OK;
}
