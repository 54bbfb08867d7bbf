/*
 * vectors.h
 *		Reading the test vectors that others made, where they are there.
 *
 * They are not part of the checkout: a test that needs them says that it was
 * skipped, and passes.
 */
#ifndef HDMS_VECTORS_H
#define HDMS_VECTORS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bytes.h"

/* The contents of a file below VECTORS, or false. */
static inline bool
vectors_read(const char *name, HdmsBytes *contents)
{
	char		path[2048];
	FILE	   *file;
	long		size;

	snprintf(path, sizeof(path), "%s/%s", VECTORS, name);
	file = fopen(path, "rb");
	if (file == NULL)
	{
		printf("skipped: %s is not there\n", path);
		return false;
	}
	if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || fseek(file, 0, SEEK_SET) != 0)
		abort();
	contents->data = malloc((size_t) size + 1);
	contents->len = (size_t) size;
	if (contents->data == NULL || fread(contents->data, 1, contents->len, file) != contents->len)
		abort();
	contents->data[contents->len] = '\0';
	fclose(file);
	return true;
}

/* A file of JSON below VECTORS, or NULL. */
static inline json_t *
vectors_load(const char *name)
{
	HdmsBytes	contents = {0};
	json_t	   *json;

	if (!vectors_read(name, &contents))
		return NULL;
	json = json_loadb((const char *) contents.data, contents.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	hdms_bytes_free(&contents);
	if (json == NULL)
		abort();
	return json;
}

/* Bytes from a hexadecimal member; the caller frees. */
static inline HdmsBytes
vectors_hex(const json_t *object, const char *name)
{
	const char *hex = json_string_value(json_object_get(object, name));
	HdmsBytes	bytes = {0};

	if (hex == NULL)
		abort();
	bytes.len = strlen(hex) / 2;
	bytes.data = malloc(bytes.len + 1);
	if (bytes.data == NULL)
		abort();
	for (size_t i = 0; i < bytes.len; i++)
	{
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			abort();
		bytes.data[i] = (unsigned char) byte;
	}
	bytes.data[bytes.len] = '\0';
	return bytes;
}

static inline const char *
vectors_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

/* Whether a Wycheproof case is a valid one. */
static inline bool
vectors_is_valid(const json_t *test)
{
	return strcmp(vectors_text(test, "result"), "valid") == 0;
}

/* Visits each case of each group of a Wycheproof file; returns how many there were. */
static inline int
vectors_each(const char *name, void (*visit) (const json_t *group, const json_t *test))
{
	json_t	   *file = vectors_load(name);
	json_t	   *group;
	json_t	   *test;
	size_t		i;
	size_t		j;
	int			count = 0;

	if (file == NULL)
		return -1;
	json_array_foreach(json_object_get(file, "testGroups"), i, group)
	{
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			visit(group, test);
			count++;
		}
	}
	json_decref(file);
	return count;
}

#endif
