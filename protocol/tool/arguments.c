/*
 * arguments.c
 *		Reading options, files and keys; saying what went wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define INPUT_MAX	((size_t) 64 * 1024 * 1024)
#define READ_SIZE	((size_t) 64 * 1024)

bool
tool_options(int argc, char **argv, const ToolOption *options, const char **operands, int max, int *count)
{
	int			found = 0;

	for (int i = 1; i < argc; i++)
	{
		const ToolOption *option = options;

		if (strncmp(argv[i], "--", 2) != 0)
		{
			if (found >= max)
				return false;
			operands[found++] = argv[i];
			continue;
		}
		while (option->name != NULL && strcmp(argv[i] + 2, option->name) != 0)
			option++;
		if (option->name == NULL || *option->value != NULL || i + 1 >= argc)
			return false;
		*option->value = argv[++i];
	}
	if (count != NULL)
		*count = found;
	return true;
}

/* Makes room for READ_SIZE bytes and a NUL more, wiping the buffer it leaves: it may be a private key. */
static bool
grow(HdmsBytes *contents, size_t *capacity)
{
	const size_t len = contents->len;
	unsigned char *data;

	if (*capacity - len > READ_SIZE)
		return true;
	data = malloc(*capacity * 2 + 2 * READ_SIZE);
	if (data == NULL)
		return false;
	if (len > 0)
		memcpy(data, contents->data, len);
	*capacity = *capacity * 2 + 2 * READ_SIZE;
	hdms_bytes_wipe(contents);
	contents->data = data;
	contents->len = len;
	return true;
}

bool
tool_read(const char *path, HdmsBytes *contents)
{
	const bool	is_file = path != NULL && strcmp(path, "-") != 0;
	const char *name = is_file ? path : "standard input";
	FILE	   *stream = is_file ? fopen(path, "rb") : stdin;
	HdmsBytes	result = {0};
	size_t		capacity = 0;
	const char *problem = NULL;

	if (stream == NULL)
	{
		fprintf(stderr, "hdms-tool: cannot open %s: %s\n", name, strerror(errno));
		return false;
	}
	while (problem == NULL && !feof(stream))
	{
		if (!grow(&result, &capacity))
			problem = strerror(ENOMEM);
		else
			result.len += fread(result.data + result.len, 1, READ_SIZE, stream);
		if (problem == NULL && ferror(stream))
			problem = strerror(errno);
		else if (result.len > INPUT_MAX)
			problem = "it is larger than 64 MiB";
	}
	if (is_file)
		fclose(stream);
	if (problem != NULL)
	{
		fprintf(stderr, "hdms-tool: cannot read %s: %s\n", name, problem);
		hdms_bytes_wipe(&result);
		return false;
	}
	result.data[result.len] = '\0';
	*contents = result;
	return true;
}

bool
tool_read_line(const char *path, HdmsBytes *contents)
{
	HdmsBytes	result = {0};

	if (!tool_read(path, &result))
		return false;
	if (result.len > 0 && result.data[result.len - 1] == '\n')
		result.len--;
	if (result.len > 0 && result.data[result.len - 1] == '\r')
		result.len--;
	result.data[result.len] = '\0';
	*contents = result;
	return true;
}

HdmsKey *
tool_read_key(const char *path)
{
	HdmsBytes	jwk = {0};
	HdmsKey    *key = NULL;
	HdmsStatus	status;

	if (!tool_read(path, &jwk))
		return NULL;
	status = hdms_key_from_jwk((const char *) jwk.data, jwk.len, &key);
	hdms_bytes_wipe(&jwk);
	if (status != HDMS_OK)
	{
		tool_refuse(path != NULL ? path : "standard input", status);
		return NULL;
	}
	return key;
}

bool
tool_write(const void *data, size_t len)
{
	if ((len > 0 && fwrite(data, 1, len, stdout) != len) || fflush(stdout) != 0)
	{
		fprintf(stderr, "hdms-tool: cannot write to standard output: %s\n", strerror(errno));
		return false;
	}
	return true;
}

bool
tool_write_line(const char *text)
{
	return tool_write(text, strlen(text)) && tool_write("\n", 1);
}

int
tool_refuse(const char *what, HdmsStatus status)
{
	fprintf(stderr, "hdms-tool: %s: %s (%s)\n", what, hdms_status_sentence(status), hdms_status_word(status));
	return TOOL_REFUSED;
}

int
tool_usage(const char *usage)
{
	fprintf(stderr, "Usage:\n%s", usage);
	return TOOL_USAGE;
}
