/*
 * batch.h
 *		Operations that run in one transaction.
 */
#ifndef HDMS_SERVER_BATCH_H
#define HDMS_SERVER_BATCH_H

#include "config.h"
#include "operation.h"
#include "pipeline.h"
#include "floor.h"
#include "usage.h"

#define BATCH_MAX			256
#define BATCH_MAX_FETCHES	64
#define BATCH_MAX_REGISTRATIONS 32
#define BATCH_MAX_BYTES		(16 * 1024 * 1024)
#define BATCH_FETCH_BYTES	(64 * 1024 * 1024)	/* of all fetches together */
#define FETCH_BYTES			(4 * 1024 * 1024)	/* of one */

/* One envelope of one put, on its way through a batch. */
typedef struct PutItem
{
	const HdmsParcel *parcel;
	HdmsPutResult *result;
	bool		reserved;		/* counted in the mailbox's usage */
} PutItem;

typedef struct Batch
{
	Pipeline   *pipeline;
	Usage	   *usage;
	Floors	   *floors;
	FloorView	floor_view;		/* from before the statements were sent */
	const Config *config;
	int64_t		now;			/* wall seconds */
	Operation  *operations[BATCH_MAX];
	int			count;
	bool		active[BATCH_MAX];	/* false: replayed, nothing more to do */

	char		epoch[EPOCH_SIZE];
	int64_t		mailbox_file;	/* changes when the mailbox was made anew or emptied */
	int64_t		last_number;	/* of the mailboxes' sequence */
	int			meta_result;
	int			snapshot_result;
	int			id_result;

	PutItem    *items;			/* of all puts; sorted by recipient and id once they were sent */
	size_t		items_count;
	bool		usage_asked;
	char	  (*known)[HDMS_DIGEST_TEXT + 1]; /* of the recipients that were asked for, those that exist; sorted */
	size_t		known_count;
	int			usage_result;
	int			put_result;
	int			held_result;
	int			acknowledge_result;
	int			fetch_result;
	int			stream_result;	/* the first of two for each stream */
	int			nodes_result;
	int			lists_result;
	int			newest_result;
	int			written_lists_result;
	int			own_result[BATCH_MAX];	/* of operations with a statement of their own */
} Batch;

/* Runs a batch whose operations are filled in. After anything but PIPELINE_OK nothing was done, except when the connection was lost in the commit. */
extern PipelineStatus batch_run(Batch *batch);

/* Parts of it: what is sent and what is read afterwards. They return false when out of memory. */
extern bool batch_mailbox_prepare(Batch *batch);	/* lists the items */
extern bool batch_mailbox_wants_usage(Batch *batch);
extern void batch_mailbox_send_usage(Batch *batch);
extern bool batch_mailbox_read_usage(Batch *batch);
extern void batch_mailbox_send_puts(Batch *batch);
extern void batch_mailbox_send_rest(Batch *batch);
extern void batch_mailbox_settle(Batch *batch);	/* after the meta data was read */
extern bool batch_mailbox_read(Batch *batch);
extern void batch_mailbox_undo(Batch *batch);	/* gives back what was reserved */
extern void batch_mailbox_free(Batch *batch);

extern void batch_log_send(Batch *batch);
extern bool batch_log_read(Batch *batch);

extern bool batch_has_registrations(const Batch *batch);
extern PipelineStatus batch_register(Batch *batch); /* several round trips inside the open transaction; sends the writes */
extern void batch_register_read(Batch *batch);

#endif
