/*
 * receipt.c
 *		hdms-tool receipt: checking a notary's receipts.
 */
#include "tool.h"

static const char usage[] =
"  hdms-tool receipt verify FILE\n";

int
tool_receipt(int argc, char **argv)
{
	(void) argc;
	(void) argv;
	return tool_usage(usage);
}
