/*
 * vrf.c
 *		hdms-tool vrf: drawing and checking draws.
 */
#include "tool.h"

static const char usage[] =
"  hdms-tool vrf prove|verify\n";

int
tool_vrf(int argc, char **argv)
{
	(void) argc;
	(void) argv;
	return tool_usage(usage);
}
