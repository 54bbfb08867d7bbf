/*
 * courier.c
 *		Talking to the server: who signs, when to try again, what the answers have in common.
 *
 * Each answer is looked at here first. A refused signature that can be mended (an
 * ended session, a clock that differs) is mended and the request repeated; what says
 * that the server is out of reach or out of order makes all of the worker back
 * off; a changed epoch makes everything unanswered be put again.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"

#include "wire.h"

#include "courier.h"
#include "directory_watch.h"
#include "flow_plan.h"
#include "join.h"
#include "node.h"
#include "outbox.h"
#include "roster.h"
#include "transaction.h"

#define BACK_OFF_LONGEST_S	60
#define CLOCK_JITTER_S		5	/* not worth a line in the log */
#define REPEATS				3	/* of one request, after its signature was refused */

static TimestampTz not_before;	/* backing off until then; 0: not at all */
static int	failures_in_a_row;
static int64 failures;
static int64 clock_offset;		/* seconds to add to this machine's clock for the server */
static char known_epoch[64];
static HttpExchange *finishing; /* whose finished() is running: to be freed if that raises */

void
courier_open(void)
{
	http_open();
}

bool
courier_set_server(const char *url, const char *epoch, char **problem)
{
	courier_reset();
	session_forget();
	not_before = 0;
	failures_in_a_row = 0;
	strlcpy(known_epoch, epoch, sizeof(known_epoch));
	return http_set_server(url, problem);
}

void
courier_reset(void)
{
	http_exchange_free(finishing);
	finishing = NULL;
	http_drop_all();
	session_forget();
	mail_reset();
	lookups_reset();
	watch_reset();
	publication_reset();
	join_reset();
}

int64
courier_now(void)
{
	return node_now() + clock_offset;
}

int64
courier_failures(void)
{
	return failures;
}

bool
courier_may_talk(void)
{
	return http_server()->base != NULL && own_node.signing != NULL &&
		(not_before == 0 || not_before <= GetCurrentTimestamp());
}

bool
courier_may_talk_much(void)
{
	if (!courier_may_talk() || !own_node.ready || !join_is_registered())
		return false;
	if (session_is_ready())
		return true;
	session_begin();
	return false;
}

/* Doubling, with jitter: many hospitals must not come back to a restarted server in step. */
static void
courier_back_off(long at_least_s)
{
	double		seconds = Min(1 << Min(failures_in_a_row, 6), BACK_OFF_LONGEST_S);

	seconds = Max(seconds, at_least_s) * (0.7 + 0.6 * pg_prng_double(&pg_global_prng_state));
	failures_in_a_row++;
	failures++;
	not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) (seconds * 1000));
}

static HdmsStatus
courier_sign(HttpExchange *exchange, HdmsHttpSignature *signature)
{
	HdmsHttpRequest request = {
		.method = exchange->method,
		.authority = http_server()->authority,
		.path = exchange->path,
		.query = exchange->query != NULL ? exchange->query : "?",
		.body = exchange->body,
		.body_len = exchange->body_len,
	};
	unsigned char random[16];
	char		nonce[HDMS_BASE64URL_SIZE(sizeof(random))];
	HdmsStatus	status = HDMS_OK;

	if (exchange->once)
	{
		status = hdms_random(random, sizeof(random));
		hdms_base64url_write(random, sizeof(random), nonce);
	}
	if (status != HDMS_OK)
		return status;
	if (exchange->signer == HTTP_BY_SESSION)
		return session_sign(&request, exchange->once ? nonce : NULL, signature);
	return hdms_http_sign(&request, own_node.signing, own_node.id, courier_now(), exchange->once ? nonce : NULL, signature);
}

/* Without taking over. */
static bool
courier_start(HttpExchange *exchange)
{
	HdmsHttpSignature signature = {0};
	HdmsStatus	status = HDMS_OK;
	bool		started = false;

	if (exchange->signer != HTTP_UNSIGNED)
		status = courier_sign(exchange, &signature);
	if (status == HDMS_OK)
		started = http_start(exchange, exchange->signer != HTTP_UNSIGNED ? &signature : NULL);
	hdms_http_signature_free(&signature);
	if (!started)
		ereport(LOG,
				(errmsg("could not send a request to the HDMS server: %s",
						status != HDMS_OK ? hdms_status_sentence(status) : "out of memory")));
	return started;
}

bool
courier_send(HttpExchange *exchange)
{
	exchange->tries = 1;
	if (courier_start(exchange))
		return true;
	http_exchange_free(exchange);
	courier_back_off(1);
	return false;
}

void
courier_describe(const HttpExchange *exchange, char text[COURIER_TEXT], char word[48])
{
	char		found[48] = "";
	char	   *detail = NULL;
	int64_t		now;

	if (exchange->status == 0)
		snprintf(text, COURIER_TEXT, "no answer from %s: %s", http_server()->authority, exchange->failure);
	else
	{
		if (exchange->reply != NULL)
			hdms_wire_problem_parse(exchange->reply, exchange->reply_len, found, &detail, &now);
		snprintf(text, COURIER_TEXT, "%s answered %ld%s%s%s%s", http_server()->authority, exchange->status,
				 found[0] != '\0' ? " " : "", found, detail != NULL && detail[0] != '\0' ? ": " : "", detail != NULL ? detail : "");
		free(detail);
	}

	/* What a server says goes into logs and tables: nothing but plain characters of it. */
	for (char *c = text; *c != '\0'; c++)
	{
		if ((unsigned char) *c < 0x20 || (unsigned char) *c >= 0x7f)
			*c = '?';
	}
	if (word != NULL)
		strlcpy(word, found, 48);
}

/* Says once, when it begins, that the server is out of reach. */
static void
courier_failed(const char *text, long retry_after)
{
	if (failures_in_a_row == 0)
		ereport(LOG, (errmsg("talking to the HDMS server failed, trying again: %s", text)));
	roster_report_error(text);
	courier_back_off(retry_after);
}

void
courier_misunderstood(const HttpExchange *exchange, HdmsStatus status)
{
	char		text[COURIER_TEXT];

	snprintf(text, sizeof(text), "%s answered %s with something else than was asked for: %s",
			 http_server()->authority, exchange->path, hdms_status_sentence(status));
	courier_failed(text, 0);
}

void
courier_unexpected(const HttpExchange *exchange)
{
	char		text[COURIER_TEXT];

	/* What courier_look_at() has dealt with. */
	if (exchange->status == 0 || exchange->status == 401 || exchange->status == 429 || exchange->status >= 500)
		return;
	courier_describe(exchange, text, NULL);
	courier_failed(text, 0);
}

/* A refused signature: true when the request was sent again, signed better. */
static bool
courier_repeat(HttpExchange *exchange, const char *word, int64 server_now)
{
	if (exchange->status != 401 || exchange->signer == HTTP_UNSIGNED || exchange->tries >= REPEATS)
		return false;
	if (strcmp(word, "clock-skew") == 0 && server_now > 0)
	{
		int64		before = clock_offset;

		clock_offset = server_now - node_now();
		if (before - clock_offset > CLOCK_JITTER_S || clock_offset - before > CLOCK_JITTER_S)
			ereport(LOG,
					(errmsg("this machine's clock differs from the HDMS server's by %lld seconds", (long long) clock_offset)));
	}
	else if (strcmp(word, "unknown-session") == 0 && exchange->signer == HTTP_BY_SESSION)
	{
		/* Signed by key for this once; the next request finds no session and makes one. */
		session_forget();
	}
	else if (strcmp(word, "replayed") != 0)
		return false;
	exchange->tries++;
	return courier_start(exchange);
}

static void
courier_epoch_changed(const char *epoch)
{
	static FlowPlan save = FLOW_PLAN("UPDATE hdms_internal.node SET epoch = $1", TEXTOID);

	transaction_begin("noting the server's new epoch");
	outbox_put_again();
	flow_run(&save, flow_text(epoch));
	transaction_commit();
	strlcpy(known_epoch, epoch, sizeof(known_epoch));
	publication_look_again();
	join_look_again();
}

/* What all answers have in common. True when the exchange goes on and is not finished. */
static bool
courier_look_at(HttpExchange *exchange)
{
	char		text[COURIER_TEXT];
	char		word[48] = "";
	char	   *detail = NULL;
	int64_t		server_now = 0;

	if ((exchange->status == 401 || exchange->status == 403) && exchange->reply != NULL &&
		hdms_wire_problem_parse(exchange->reply, exchange->reply_len, word, &detail, &server_now) == HDMS_OK)
		free(detail);
	if (courier_repeat(exchange, word, server_now))
		return true;

	/* A server that was put back from a backup may know the node by a key that was replaced since. */
	if (exchange->status == 401 && strcmp(word, "bad-signature") == 0 && exchange->signer == HTTP_BY_KEY && join_key_refused())
		return false;

	if (exchange->status == 0 || exchange->status >= 500 || exchange->status == 429 ||
		(exchange->status == 401 && strcmp(word, "unknown-node") != 0))
	{
		courier_describe(exchange, text, NULL);
		courier_failed(text, exchange->retry_after);
		return false;
	}
	/* A server that was put back from a backup may not know the node, or not that it was admitted. */
	if (exchange->status == 401 || (exchange->status == 403 && strcmp(word, "not-admitted") == 0))
		join_forgotten();
	else if (failures_in_a_row > 0)
	{
		failures_in_a_row = 0;
		not_before = 0;
		roster_report_error("");
	}
	if (exchange->signer != HTTP_UNSIGNED && exchange->status < 300 && exchange->epoch[0] != '\0' &&
		strcmp(exchange->epoch, known_epoch) != 0)
		courier_epoch_changed(exchange->epoch);
	return false;
}

bool
courier_drive(void)
{
	bool		finished = false;

	http_perform();
	while ((finishing = http_next_finished()) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		finished = true;
		if (courier_look_at(finishing))
		{
			finishing = NULL;
			continue;
		}
		finishing->finished(finishing);
		http_exchange_free(finishing);
		finishing = NULL;
	}
	return finished;
}

long
courier_timeout(void)
{
	long		timeout = http_timeout();
	long		back;

	if (not_before == 0)
		return timeout;
	back = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), not_before);
	if (back <= 0)
		return timeout;
	return timeout < 0 ? back + 1 : Min(timeout, back + 1);
}
