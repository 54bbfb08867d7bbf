/*
 * courier_watch.c
 *		Following the directory's log: checkpoint by checkpoint, and between them leaf by leaf.
 *
 * Each bundle of entries is fetched and hashed, and the tree that results must be the one that the checkpoint promises: this
 * proves that it continues what was followed before, and that nothing was left out. A log that does not fit may be one that
 * was put back from a backup: the server is shown what it has signed, and gets some time to begin a new generation, before people are told.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "courier.h"
#include "directory.h"
#include "directory_watch.h"
#include "node.h"
#include "settings.h"
#include "transaction.h"

#define WANTED_AFTER_MS		300 /* a registration is in the log about then */
#define TROUBLE_EVERY_MS	4000
#define TROUBLES_MAX		4	/* in a row: then it is reported */
#define REPLY_MAX			(HDMS_TILE_WIDTH * (2 + HDMS_DIRECTORY_LEAF_SIZE))

static bool under_way;
static bool following;			/* towards target */
static TimestampTz watch_at;	/* when to ask for a checkpoint */
static int	troubles;
static WatchTarget target;
static HdmsMerkleFrontier frontier;

static TimestampTz
after(int64 milliseconds)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
}

void
watch_reset(void)
{
	under_way = false;
	following = false;
	watch_log_forget();
}

void
watch_is_wanted(void)
{
	TimestampTz soon = after(WANTED_AFTER_MS);

	if (watch_at > soon)
		watch_at = soon;
}

long
watch_timeout(void)
{
	if (under_way || following || !courier_may_talk() || !session_is_ready())
		return -1;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), watch_at);
}

static void
shown(HttpExchange *exchange)
{
	under_way = false;
}

/* Shows the server the newest checkpoint that it signed and this node has followed. */
static void
show_kept(const char *note)
{
	char	   *body = note[0] != '\0' ? strdup(note) : NULL;
	HttpExchange *exchange = body != NULL ? http_exchange("POST", "/v1/log/directory/checkpoint", NULL, body) : NULL;

	if (exchange == NULL)
		return;
	exchange->content_type = "text/plain";
	exchange->finished = shown;
	under_way = courier_send(exchange);
}

/* The log does not fit what was followed. */
static void
trouble(const WatchTarget *offered, const char *what)
{
	char		note[WATCH_NOTE_MAX];

	following = false;
	troubles++;
	transaction_begin("comparing the directory's log");
	strlcpy(note, watch_log()->note, sizeof(note));
	if (troubles >= TROUBLES_MAX)
		watch_report_fork(offered, what);
	transaction_commit();
	watch_at = after(troubles >= TROUBLES_MAX ? Max(TROUBLE_EVERY_MS, setting_directory_interval * INT64CONST(1000)) : TROUBLE_EVERY_MS);
	show_kept(note);
}

static void
follow_ended(void)
{
	HdmsHash	root;

	following = false;
	if (hdms_merkle_root(&frontier, root) != HDMS_OK || memcmp(root, target.checkpoint.root, sizeof(root)) != 0)
	{
		trouble(&target, "the tree does not continue the one before");
		return;
	}
	transaction_begin("keeping a checkpoint of the directory's log");
	watch_advance(&target, &frontier);
	transaction_commit();
	directory_forget();
	troubles = 0;
}

static void
bundle_answered(HttpExchange *exchange)
{
	int			skip = (int) (frontier.size % HDMS_TILE_WIDTH);
	int			count = (int) Min(target.checkpoint.size - (frontier.size - skip), HDMS_TILE_WIDTH);
	HdmsStatus	status;

	under_way = false;
	if (exchange->status != 200)
	{
		/* What was promised is not there. A new generation may have begun meanwhile; being out of reach is no contradiction. */
		following = false;
		watch_at = after(TROUBLE_EVERY_MS);
		if (exchange->status == 404)
			trouble(&target, "leaves that a checkpoint promises are not shown");
		return;
	}
	transaction_begin("following the directory's log");
	status = watch_leaves_add((const unsigned char *) exchange->reply, exchange->reply_len, skip, count, &frontier);
	transaction_commit();
	if (status != HDMS_OK)
		trouble(&target, "the entries cannot be read");
	else if (frontier.size >= target.checkpoint.size)
		follow_ended();
}

static void
bundle_begin(void)
{
	uint64		index = frontier.size / HDMS_TILE_WIDTH;
	uint64		left = target.checkpoint.size - index * HDMS_TILE_WIDTH;
	char		path[96];
	HttpExchange *exchange = NULL;

	if (hdms_tile_path(-1, index, (int) Min(left, HDMS_TILE_WIDTH), path) == HDMS_OK)
		exchange = http_exchange("GET", psprintf("/v1/log/directory/%s", path),
								 psprintf("?generation=%lld", (long long) target.generation), NULL);
	if (exchange == NULL)
		return;
	exchange->reply_max = REPLY_MAX;
	exchange->finished = bundle_answered;
	under_way = courier_send(exchange);
}

/* Compares a checkpoint with what was followed. What is wrong with it, or NULL; then *has_news says whether there is something to follow. */
static const char *
compare(bool *has_news)
{
	const WatchedLog *kept = watch_log();
	HdmsHash	root;

	*has_news = true;
	if (target.generation > kept->generation)
	{
		/* The time is the server's: one from the future would keep a later one from being believed. */
		if (target.generation > (courier_now() + 86400) * 1000)
			return "the log is from the future";
		watch_begin_generation(&target);
		return NULL;
	}
	if (target.generation < kept->generation)
		return "a log is shown that was ended";
	if (target.checkpoint.size < kept->frontier.size)
		return "the log has fewer leaves than before";
	if (target.checkpoint.size > kept->frontier.size)
	{
		watch_leaves_drop();
		return NULL;
	}
	*has_news = false;
	if (hdms_merkle_root(&kept->frontier, root) != HDMS_OK || memcmp(root, target.checkpoint.root, sizeof(root)) != 0)
		return "two logs of one size are different";
	watch_agreed();
	return NULL;
}

static void
checkpoint_answered(HttpExchange *exchange)
{
	const char *wrong;
	bool		has_news;
	HdmsStatus	status;

	under_way = false;
	watch_at = after(exchange->status == 200 ? setting_directory_interval * INT64CONST(1000) : TROUBLE_EVERY_MS);
	if (exchange->status != 200)
		return;
	status = watch_target_read(exchange->reply, exchange->reply_len, &target);
	if (status != HDMS_OK)
	{
		courier_misunderstood(exchange, status);
		return;
	}
	transaction_begin("comparing a checkpoint of the directory's log");
	wrong = compare(&has_news);
	frontier = watch_log()->frontier;
	transaction_commit();
	directory_forget();
	if (wrong != NULL)
		trouble(&target, wrong);
	else if (!has_news)
		troubles = 0;
	else if (target.checkpoint.size == frontier.size)
		follow_ended();
	else
		following = true;
}

static void
checkpoint_begin(void)
{
	HttpExchange *exchange = http_exchange("GET", "/v1/log/directory/checkpoint", NULL, NULL);

	if (exchange == NULL)
		return;
	exchange->reply_max = WATCH_NOTE_MAX - 1;
	exchange->finished = checkpoint_answered;
	under_way = courier_send(exchange);
}

void
watch_move(void)
{
	if (under_way || !courier_may_talk_much())
		return;
	if (following)
		bundle_begin();
	else if (watch_at <= GetCurrentTimestamp())
		checkpoint_begin();
}
