/*
 * courier_log.c
 *		Publishing this node's logs: new tiles go to the server, and then the checkpoint over them.
 *
 * What the server has is asked for at the start and whenever its database may have lost something (a new epoch), so nothing
 * about it is kept here. The notary's entries go along, so that others can mirror and watch them; the entries
 * of the node's own log stay. A tile is read in a transaction of its own, which is over before it is sent.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "courier.h"
#include "ledger_log.h"
#include "node.h"
#include "notary_log.h"
#include "settings.h"
#include "transaction.h"

#define LOGS			2
#define TILE_WIDTH		256
#define TILE_LEVELS		7
#define ENTRIES			(-1)
#define AGAIN_S			60		/* after a refusal */

typedef struct PublishedLog
{
	MerkleLog  *(*log) (void);
	const char *name;			/* in the path */
	bool		has_entries;

	bool		is_known;		/* published_size is what the server has */
	int64		published_size;
	int64		epoch;			/* of the log whose size that is */
	char		published[HDMS_NOTE_MAX];	/* the checkpoint that the server has; "": none */
	int64		target;			/* on the way to it; 0: nothing is under way */
	int			level;			/* the next tile */
	int64		index;
	char		note[HDMS_NOTE_MAX];	/* the checkpoint of target */
	TimestampTz next;
	bool		was_refused;	/* said in the server's log */
} PublishedLog;

static PublishedLog publications[LOGS] = {
	{.log = notary_log_tree, .name = "notary", .has_entries = true},
	{.log = ledger_log_tree, .name = "ledger"},
};

static PublishedLog *talking;	/* whose exchange is under way */

static TimestampTz
after(int64 seconds)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), seconds * 1000);
}

void
publication_reset(void)
{
	talking = NULL;
	publication_look_again();
}

void
publication_look_again(void)
{
	for (int i = 0; i < LOGS; i++)
	{
		publications[i].is_known = false;
		publications[i].target = 0;
		publications[i].next = 0;
	}
}

long
publication_timeout(void)
{
	TimestampTz first = PG_INT64_MAX;

	if (talking != NULL || !courier_may_talk() || !session_is_ready())
		return -1;
	for (int i = 0; i < LOGS; i++)
	{
		if (publications[i].target != 0)
			return -1;			/* goes on with the next answer */
		first = Min(first, publications[i].next);
	}
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), first);
}

static char *
path_of(const PublishedLog *publication, const char *rest)
{
	if (!publication->has_entries && own_node.ledger_epoch > 1)
		return psprintf("/v1/log/%s/%s/%lld/%s", own_node.id, publication->name, (long long) own_node.ledger_epoch, rest);
	return psprintf("/v1/log/%s/%s/%s", own_node.id, publication->name, rest);
}

/* The server refused what no server should: said once, tried again slowly. */
static void
refused(PublishedLog *publication, const HttpExchange *exchange)
{
	char		text[COURIER_TEXT];

	courier_describe(exchange, text, NULL);
	if (!publication->was_refused && exchange->status >= 400 && exchange->status < 500 && exchange->status != 429 && exchange->status != 401)
	{
		publication->was_refused = true;
		ereport(WARNING,
				(errmsg("the HDMS server does not take this node's log \"%s\": %s", publication->name, text),
				 errhint("If it says that the log contradicts what was put before, this database was put back from an old backup, or the server's was changed.")));
	}
	publication->is_known = false;
	publication->target = 0;
	publication->next = after(AGAIN_S);
}

static void
checkpoint_known(HttpExchange *exchange)
{
	PublishedLog *publication = talking;
	HdmsCheckpoint checkpoint = {0};

	talking = NULL;
	if (exchange->status != 200 && exchange->status != 404)
	{
		refused(publication, exchange);
		return;
	}
	publication->published[0] = '\0';
	publication->published_size = 0;
	if (exchange->status == 200 && exchange->reply_len < sizeof(publication->published)
		&& hdms_checkpoint_parse(exchange->reply, exchange->reply_len, &checkpoint) == HDMS_OK)
	{
		memcpy(publication->published, exchange->reply, exchange->reply_len + 1);
		publication->published_size = (int64) checkpoint.size;
	}
	publication->epoch = own_node.ledger_epoch;
	publication->is_known = true;
	publication->next = 0;
}

static void
publication_send(PublishedLog *publication, HttpExchange *exchange, void (*finished) (HttpExchange *))
{
	if (exchange == NULL)
		return;
	exchange->finished = finished;
	talking = publication;
	if (!courier_send(exchange))
		talking = NULL;
}

/* The tiles from the published size to the target: levels from the lowest, entries last. False when there is none left. */
static bool
next_tile(PublishedLog *publication, int *width)
{
	while (publication->level < TILE_LEVELS)
	{
		int			level = Max(publication->level, 0);
		int64		hashes = publication->target >> (8 * level);

		if (publication->index * TILE_WIDTH < hashes)
		{
			*width = (int) Min(hashes - publication->index * TILE_WIDTH, TILE_WIDTH);
			return true;
		}
		publication->level++;
		publication->index = publication->published_size >> (8 * (publication->level + 1));
	}
	return false;
}

static void
tile_put(HttpExchange *exchange)
{
	PublishedLog *publication = talking;

	talking = NULL;
	if (exchange->status != 200 && exchange->status != 201)
		refused(publication, exchange);
	else if (publication->target != 0)
		publication->index++;
}

static void
checkpoint_put(HttpExchange *exchange)
{
	PublishedLog *publication = talking;

	talking = NULL;
	if (exchange->status != 200 && exchange->status != 201)
	{
		refused(publication, exchange);
		return;
	}
	if (publication->target == 0)	/* looked at anew meanwhile */
		return;
	publication->published_size = publication->target;
	strlcpy(publication->published, publication->note, sizeof(publication->published));
	publication->target = 0;
	publication->was_refused = false;
	publication->next = after(setting_publish_interval);
}

/*
 * A copy of a tile, malloc'ed; NULL when it cannot be read. A damaged log is for those to report who depend on it: here it must not keep
 * the worker from everything else.
 */
static char *
read_tile(PublishedLog *publication, int width, size_t *len)
{
	char	   *volatile body = NULL;
	MemoryContext before = CurrentMemoryContext;

	PG_TRY();
	{
		bytea	   *data;

		transaction_begin("reading a tile of a log");
		data = publication->level == ENTRIES ? merkle_log_entry_bundle(publication->log(), publication->index, width) :
			merkle_log_tile(publication->log(), publication->level, publication->index, width);
		if (data != NULL && (body = malloc(VARSIZE_ANY_EXHDR(data) + 1)) != NULL)
		{
			*len = VARSIZE_ANY_EXHDR(data);
			memcpy(body, VARDATA_ANY(data), *len);
			body[*len] = '\0';
		}
		transaction_commit();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(before);
		FlushErrorState();
		RESUME_INTERRUPTS();
		free(body);
		body = NULL;
	}
	PG_END_TRY();
	return body;
}

/* Sends the next tile, or the checkpoint after the last one. */
static void
put_next(PublishedLog *publication)
{
	int			width;
	char		tile_path[96];
	char	   *path;
	char	   *body = NULL;
	size_t		len = 0;
	bool		is_tile = next_tile(publication, &width);
	HttpExchange *exchange;

	if (is_tile)
	{
		body = read_tile(publication, width, &len);
		if (body == NULL || hdms_tile_path(publication->level, publication->index, width, tile_path) != HDMS_OK)
		{
			free(body);
			publication->target = 0;
			publication->next = after(AGAIN_S);
			return;
		}
		path = path_of(publication, tile_path);
	}
	else
	{
		body = strdup(publication->note);
		path = path_of(publication, "checkpoint");
		if (body == NULL)
			return;
		len = strlen(body);
	}
	exchange = http_exchange("PUT", path, NULL, body);
	if (exchange != NULL)
	{
		exchange->body_len = len;
		exchange->content_type = is_tile ? "application/octet-stream" : "text/plain";
		exchange->signer = HTTP_BY_SESSION;
	}
	publication_send(publication, exchange, is_tile ? tile_put : checkpoint_put);
}

/* Whether there is a checkpoint that the server does not have, or has with fewer cosignatures. */
static void
look(PublishedLog *publication)
{
	MerkleLog  *log = publication->log();
	int64		size = 0;

	publication->next = after(setting_publish_interval);
	transaction_begin("looking for a new checkpoint of a log");
	if (merkle_log_damage(log) == NULL)
	{
		size = merkle_log_signed_size(log);
		strlcpy(publication->note, merkle_log_note(log), sizeof(publication->note));
	}
	transaction_commit();
	if (size == 0 || size < publication->published_size || strcmp(publication->note, publication->published) == 0)
		return;
	publication->target = size;
	publication->level = publication->has_entries ? ENTRIES : 0;
	publication->index = publication->published_size / TILE_WIDTH;
}

void
publication_move(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!courier_may_talk_much())
		return;
	for (int i = 0; i < LOGS && talking == NULL; i++)
	{
		PublishedLog *publication = &publications[i];

		if (publication->is_known && publication->epoch != own_node.ledger_epoch && !publication->has_entries)
			publication->is_known = false;
		if (publication->target == 0 && publication->next > now)
			continue;
		if (!publication->is_known)
			publication_send(publication, http_exchange("GET", path_of(publication, "checkpoint"), NULL, NULL), checkpoint_known);
		else if (publication->target != 0)
			put_next(publication);
		else
		{
			look(publication);
			if (publication->target != 0)
				put_next(publication);
		}
	}
}
