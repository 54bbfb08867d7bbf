/*
 * pack.h
 *		Making signed texts small before they are encrypted.
 */
#ifndef NODE_PACK_H
#define NODE_PACK_H

#include "bytes.h"

/* What packing keeps between calls: zstd's tables. One for each thread. NULL when memory is short. */
typedef struct Packer Packer;
extern Packer *packer_create(void);
extern void packer_free(Packer *packer);

/* Packs any bytes; signed JOSE texts shrink to about half. */
extern HdmsStatus pack(Packer *packer, const void *data, size_t len, HdmsBytes *packed);

/* The exact bytes again. max_len bounds the result. HDMS_BAD_FORMAT, HDMS_TOO_LARGE. */
extern HdmsStatus unpack(Packer *packer, const void *packed, size_t len, size_t max_len, HdmsBytes *data);

#endif
