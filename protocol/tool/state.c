/*
 * state.c
 *		hdms-tool state: looking into states.
 */
#include "tool.h"

static const char usage[] =
"  hdms-tool state show|verify FILE\n";

int
tool_state(int argc, char **argv)
{
	(void) argc;
	(void) argv;
	return tool_usage(usage);
}
