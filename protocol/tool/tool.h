/*
 * tool.h
 *		What the commands of hdms-tool share.
 *
 * A command is a function of its own arguments (argv[0] is the command's name)
 * that returns the exit status: 0 done, 1 refused with one line on stderr,
 * 2 usage.
 */
#ifndef HDMS_TOOL_H
#define HDMS_TOOL_H

#include "bytes.h"
#include "key.h"

#define TOOL_DONE		0
#define TOOL_REFUSED	1
#define TOOL_USAGE		2

extern int	tool_key(int argc, char **argv);
extern int	tool_jws(int argc, char **argv);
extern int	tool_jwe(int argc, char **argv);
extern int	tool_state(int argc, char **argv);
extern int	tool_receipt(int argc, char **argv);
extern int	tool_checkpoint(int argc, char **argv);
extern int	tool_fork(int argc, char **argv);
extern int	tool_vrf(int argc, char **argv);

/* An option "--name VALUE"; *value is NULL when it is not given. A list ends with a NULL name. */
typedef struct ToolOption
{
	const char *name;
	const char **value;
} ToolOption;

/*
 * Reads the options in argv[1] ... in any order; each at most once. What is no option goes to operands, at most max of
 * them; *count says how many there were. operands and count may be NULL when max is 0. False when something is unknown.
 */
extern bool tool_options(int argc, char **argv, const ToolOption *options, const char **operands, int max, int *count);

/* Reads a file, or standard input when path is NULL or "-"; at most 64 MiB. False after a line on stderr. */
extern bool tool_read(const char *path, HdmsBytes *contents);

/* The same without a last line end: for what is one line of text. */
extern bool tool_read_line(const char *path, HdmsBytes *contents);

/* Reads a JWK file, or standard input when path is NULL. NULL after a line on stderr. */
extern HdmsKey *tool_read_key(const char *path);

/* Writes to standard output; false after a line on stderr. */
extern bool tool_write(const void *data, size_t len);

/* Writes a text and a line end. */
extern bool tool_write_line(const char *text);

/* Says on stderr what was refused and why; returns TOOL_REFUSED. */
extern int	tool_refuse(const char *what, HdmsStatus status);

/* Says how a command is used, on stderr; returns TOOL_USAGE. */
extern int	tool_usage(const char *usage);

#endif
