/*
 * chain.h
 *		Records with evidence, as chains of versions: verified from what is stored.
 */
#ifndef NODE_CHAIN_H
#define NODE_CHAIN_H

#include "version.h"

#define CHAIN_PROBLEM	200

/*
 * Verifies everything from version 1 to the given one, as anybody could, and that the row says what was signed. problem "": all is sound; otherwise
 * why not, without health data.
 */
extern void chain_problem(HdmsHome *home, const Version *end, char problem[CHAIN_PROBLEM]);

/* The next records' ends after that row, which is 0 to begin with: versions with evidence that none continues. At most limit. */
extern bool chain_ends(HdmsHome *home, int64_t after, int64_t *ids, size_t limit, size_t *count);

#endif
