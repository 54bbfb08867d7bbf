/*
 * pack.h
 *		Making signed texts small before they are encrypted.
 */
#ifndef NODE_PACK_H
#define NODE_PACK_H

#include "bytes.h"

/* Packs any bytes; signed JOSE texts shrink to about half. */
extern HdmsStatus pack(const void *data, size_t len, HdmsBytes *packed);

/* The exact bytes again. max_len bounds the result. HDMS_BAD_FORMAT, HDMS_TOO_LARGE. */
extern HdmsStatus unpack(const void *packed, size_t len, size_t max_len, HdmsBytes *data);

#endif
