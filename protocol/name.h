/*
 * name.h
 *		Names that people read: of institutions and notaries.  Internal to protocol/.
 */
#ifndef HDMS_NAME_H
#define HDMS_NAME_H

#include "bytes.h"

/*
 * Whether the text may be shown as a name: 1 to HDMS_NAME_MAX bytes of UTF-8 without control
 * characters, line separators and marks that reorder what stands beside them on the screen.
 */
extern bool hdms_is_name(const char *name);

#endif
