/*
 * malloc_guard.h
 *		Memory of protocol/ that is freed together with a memory context.
 *
 * protocol/ hands out malloc'ed results, and almost everything in a backend may
 * raise an error. A guard is made first, in the current memory context; what
 * is put into it afterwards is freed when that context is reset, however it comes to that.
 */
#ifndef HDMS_EXT_MALLOC_GUARD_H
#define HDMS_EXT_MALLOC_GUARD_H

#include "postgres.h"

#include "history.h"

/* Each returns the address of an empty result for a function of protocol/. */
extern char **guard_text(void);
extern HdmsHistory **guard_history(void);

#endif
