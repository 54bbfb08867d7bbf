/*
 * pending.c
 *		Rows that the current transaction owes: noted one by one, written together before it commits.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "pending.h"

static PendingList *const lists[] = {
	&pending_acks, &pending_messages, &pending_events, &pending_issued, &pending_unqueued
};

/* The transaction is over, and with it the memory of its entries. */
static void
pending_at_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT)
		return;
	for (size_t i = 0; i < lengthof(lists); i++)
	{
		lists[i]->entries = NULL;
		lists[i]->owners = NULL;
		lists[i]->count = lists[i]->size = 0;
	}
}

/* What a subtransaction noted is at the end of each list when it ends. */
static void
pending_at_subend(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (size_t i = 0; i < lengthof(lists); i++)
	{
		PendingList *list = lists[i];

		for (int last = list->count - 1; last >= 0 && list->owners[last] == id; last--)
		{
			if (event == SUBXACT_EVENT_COMMIT_SUB)
				list->owners[last] = parent;
			else
				list->count--;
		}
	}
}

static void
make_room(PendingList *list)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(pending_at_end, NULL);
		RegisterSubXactCallback(pending_at_subend, NULL);
		registered = true;
	}
	if (list->size == 0)
	{
		list->owners = MemoryContextAlloc(TopTransactionContext, 64 * sizeof(SubTransactionId));
		list->entries = MemoryContextAlloc(TopTransactionContext, 64 * list->entry_size);
		list->size = 64;
	}
	else if (list->count == list->size)
	{
		list->owners = repalloc(list->owners, 2 * list->size * sizeof(SubTransactionId));
		list->entries = repalloc(list->entries, 2 * list->size * list->entry_size);
		list->size *= 2;
	}
}

void *
pending_add(PendingList *list)
{
	void	   *entry;

	make_room(list);
	entry = list->entries + list->count * list->entry_size;
	memset(entry, 0, list->entry_size);
	list->owners[list->count++] = GetCurrentSubTransactionId();
	return entry;
}

char *
pending_text(const char *text)
{
	return text == NULL ? NULL : MemoryContextStrdup(TopTransactionContext, text);
}

void
pending_write(void)
{
	for (size_t i = 0; i < lengthof(lists); i++)
	{
		PendingList *list = lists[i];

		if (list->count > 0)
			list->write(list->entries, list->count);
		list->count = 0;
	}
}
