/*
 * notary_list.h
 *		The network's signed lists of notaries, by digest.
 */
#ifndef NODE_NOTARY_LIST_H
#define NODE_NOTARY_LIST_H

#include "pairing_row.h"

/*
 * The list with that digest, signed by the pairing's network key. *list NULL: not here, and a want was added. False on a failure of the store, or
 * of memory.
 */
extern bool notary_list_find(HdmsHome *home, const Pairing *pairing, const char *digest, const HdmsNotaryList **list);

/* A list that the server sent: verified under the pairing's network key; kept when its digest is the one that was asked for. Inside a transaction. */
extern HdmsStatus notary_list_learn(HdmsHome *home, const Pairing *pairing, const char *digest, const char *jws, size_t len);

extern void notary_lists_free(HdmsHome *home);

#endif
