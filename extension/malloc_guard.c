/*
 * malloc_guard.c
 *		Memory of protocol/ that is freed together with a memory context.
 */
#include "postgres.h"

#include <stdlib.h>

#include "malloc_guard.h"

typedef struct TextGuard
{
	MemoryContextCallback callback;
	char	   *text;
} TextGuard;

typedef struct HistoryGuard
{
	MemoryContextCallback callback;
	HdmsHistory *history;
} HistoryGuard;

static void
free_text(void *arg)
{
	free(((TextGuard *) arg)->text);
}

static void
free_history(void *arg)
{
	hdms_history_free(((HistoryGuard *) arg)->history);
}

static void
watch_context(MemoryContextCallback *callback, MemoryContextCallbackFunction function, void *arg)
{
	callback->func = function;
	callback->arg = arg;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
}

char **
guard_text(void)
{
	TextGuard  *guard = palloc0(sizeof(TextGuard));

	watch_context(&guard->callback, free_text, guard);
	return &guard->text;
}

HdmsHistory **
guard_history(void)
{
	HistoryGuard *guard = palloc0(sizeof(HistoryGuard));

	watch_context(&guard->callback, free_history, guard);
	return &guard->history;
}
