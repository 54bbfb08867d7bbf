/*
 * parameter.c
 *		Parameters in PostgreSQL's binary form: arrays that carry a whole batch in one statement.
 *
 * The binary form of an array is: number of dimensions, has-nulls flag, element type, length, lower bound, and for
 * each element its length and bytes (src/backend/utils/adt/arrayfuncs.c, array_recv).
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline.h"

#define ARRAY_HEADER	20
#define OID_BOOL		16
#define OID_BYTEA		17
#define OID_INT8		20
#define OID_INT4		23
#define OID_TEXT		25

static void
parameter_append(Parameter *parameter, const void *data, size_t len)
{
	if (parameter->failed)
		return;
	if (parameter->len + len > parameter->capacity)
	{
		size_t		capacity = parameter->capacity == 0 ? 256 : parameter->capacity;
		unsigned char *grown;

		while (capacity < parameter->len + len)
			capacity *= 2;
		grown = realloc(parameter->data, capacity);
		if (grown == NULL)
		{
			parameter->failed = true;
			return;
		}
		parameter->data = grown;
		parameter->capacity = capacity;
	}
	if (len > 0)
		memcpy(parameter->data + parameter->len, data, len);
	parameter->len += len;
}

static void
parameter_append_int4(Parameter *parameter, int32_t value)
{
	uint32_t	wire = htobe32((uint32_t) value);

	parameter_append(parameter, &wire, sizeof(wire));
}

static void
array_begin(Parameter *parameter, int32_t element_type)
{
	memset(parameter, 0, sizeof(*parameter));
	parameter->is_array = true;
	parameter_append_int4(parameter, 1);
	parameter_append_int4(parameter, 0);
	parameter_append_int4(parameter, element_type);
	parameter_append_int4(parameter, 0);	/* the length, which array_count() keeps right */
	parameter_append_int4(parameter, 1);
}

static void
array_count(Parameter *parameter)
{
	uint32_t	wire;

	if (parameter->failed)
		return;
	wire = htobe32((uint32_t) ++parameter->count);
	memcpy(parameter->data + 12, &wire, sizeof(wire));
}

void
parameter_text_array(Parameter *parameter)
{
	array_begin(parameter, OID_TEXT);
}

void
parameter_int8_array(Parameter *parameter)
{
	array_begin(parameter, OID_INT8);
}

void
parameter_int4_array(Parameter *parameter)
{
	array_begin(parameter, OID_INT4);
}

void
parameter_bytea_array(Parameter *parameter)
{
	array_begin(parameter, OID_BYTEA);
}

void
parameter_bool_array(Parameter *parameter)
{
	array_begin(parameter, OID_BOOL);
}

void
parameter_add_bytes(Parameter *parameter, const void *data, size_t len)
{
	parameter_append_int4(parameter, (int32_t) len);
	parameter_append(parameter, data, len);
	array_count(parameter);
}

void
parameter_add_text(Parameter *parameter, const char *text)
{
	if (text != NULL)
	{
		parameter_add_bytes(parameter, text, strlen(text));
		return;
	}
	if (!parameter->failed)
		parameter->data[7] = 1; /* there are nulls */
	parameter_append_int4(parameter, -1);
	array_count(parameter);
}

void
parameter_add_int8(Parameter *parameter, int64_t value)
{
	uint64_t	wire = htobe64((uint64_t) value);

	parameter_add_bytes(parameter, &wire, sizeof(wire));
}

void
parameter_add_int4(Parameter *parameter, int32_t value)
{
	uint32_t	wire = htobe32((uint32_t) value);

	parameter_add_bytes(parameter, &wire, sizeof(wire));
}

void
parameter_add_bool(Parameter *parameter, bool value)
{
	unsigned char wire = value ? 1 : 0;

	parameter_add_bytes(parameter, &wire, 1);
}

void
parameter_int8(Parameter *parameter, int64_t value)
{
	uint64_t	wire = htobe64((uint64_t) value);

	memset(parameter, 0, sizeof(*parameter));
	parameter_append(parameter, &wire, sizeof(wire));
}

void
parameter_text(Parameter *parameter, const char *text)
{
	memset(parameter, 0, sizeof(*parameter));
	parameter_append(parameter, text, strlen(text));
}

void
parameter_free(Parameter *parameter)
{
	free(parameter->data);
	memset(parameter, 0, sizeof(*parameter));
}
