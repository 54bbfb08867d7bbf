/*
 * load_verify.c
 *		hdms-load verify ENVELOPES URL[,URL] SENDER RECEIVER...
 *
 * Several connections put envelopes, one by one and many at a time, to several receivers, some of them twice; each
 * receiver fetches with long polls and acknowledges, on alternating servers. In the end each receiver must have seen
 * each of its envelopes, and none of them again after it was acknowledged.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "load.h"
#include "wire.h"

#define PRODUCERS		8
#define RECEIVERS_MAX	16
#define URLS_MAX		4
#define SIZE			700

typedef struct Envelope
{
	char		id[HDMS_DIGEST_TEXT + 1];
	int			receiver;
	_Atomic int seen;
	_Atomic int acknowledged;
} Envelope;

typedef struct Verify
{
	char	   *urls[URLS_MAX];
	int			urls_count;
	TestNode	sender;
	TestNode	receivers[RECEIVERS_MAX];
	int			receivers_count;
	Envelope   *envelopes;
	int			count;
	_Atomic int stored;			/* envelopes whose put was answered with 201 */
	_Atomic int missing;		/* not yet seen by their receivers */
	_Atomic int problems;
	pthread_mutex_t lock;		/* of index */
	json_t	   *index;			/* id to number */
} Verify;

typedef struct Worker
{
	Verify	   *verify;
	int			number;
} Worker;

static void
problem(Verify *verify, const char *what, const char *detail)
{
	fprintf(stderr, "%s: %.200s\n", what, detail);
	atomic_fetch_add(&verify->problems, 1);
}

/* Before it is put: a receiver may see it before the sender's answer. */
static void
envelope_note(Verify *verify, int number, const char *id, int receiver)
{
	pthread_mutex_lock(&verify->lock);
	memcpy(verify->envelopes[number].id, id, HDMS_DIGEST_TEXT + 1);
	verify->envelopes[number].receiver = receiver;
	json_object_set_new(verify->index, id, json_integer(number));
	pthread_mutex_unlock(&verify->lock);
}

static void
put_one(Verify *verify, Link *link, int number)
{
	char		text[SIZE + 256];
	char		id[HDMS_DIGEST_TEXT + 1];
	char		target[200];
	size_t		len = imitation_make(text, SIZE, id);
	int			receiver = number % verify->receivers_count;
	int			status;

	envelope_note(verify, number, id, receiver);
	snprintf(target, sizeof(target), "/v1/mailboxes/%s/%s", hdms_history_node_id(verify->receivers[receiver].history), id);
	status = link_request(link, &verify->sender, "PUT", target, "application/jose", text, len);
	if (status == 201)
		atomic_fetch_add(&verify->stored, 1);
	else
		problem(verify, "put", status < 0 ? "connection closed" : link->answer);
}

/* Ten at a time, each twice in the same request: one of each must be stored. */
static void
put_ten(Verify *verify, Link *link, int first)
{
	HdmsParcel	parcels[20] = {0};
	char		text[10][SIZE + 256];
	char	   *json = NULL;
	char		epoch[64];
	HdmsPutResult *results = NULL;
	size_t		count = 0;

	for (int i = 0; i < 10; i++)
	{
		HdmsParcel *parcel = &parcels[i];
		int			receiver = (first + i) % verify->receivers_count;

		parcel->len = imitation_make(text[i], SIZE, parcel->id);
		parcel->data = text[i];
		memcpy(parcel->to, hdms_history_node_id(verify->receivers[receiver].history), HDMS_DIGEST_TEXT + 1);
		envelope_note(verify, first + i, parcel->id, receiver);
		parcels[10 + i] = *parcel;
	}
	require(hdms_wire_put_print(parcels, 20, &json), "put many");
	if (link_request(link, &verify->sender, "POST", "/v1/envelopes", "application/json", json, strlen(json)) != 200)
		problem(verify, "put many", link->answer);
	else
	{
		require(hdms_wire_results_parse(link->answer, link->answer_len, epoch, &results, &count), "results");
		for (size_t i = 0; i < count; i++)
		{
			if (results[i].status == 201)
				atomic_fetch_add(&verify->stored, 1);
			else if (results[i].status != 200)
				problem(verify, "put many", link->answer);
		}
	}
	free(results);
	free(json);
}

static void *
produce(void *argument)
{
	Worker	   *worker = argument;
	Verify	   *verify = worker->verify;
	int			share = verify->count / PRODUCERS;
	int			end = (worker->number + 1) * share;
	Link		link;

	link_init(&link, verify->urls[worker->number % verify->urls_count]);
	for (int number = worker->number * share; number < end;)
	{
		if (worker->number % 2 == 0 && number + 10 <= end)
		{
			put_ten(verify, &link, number);
			number += 10;
		}
		else
			put_one(verify, &link, number++);
	}
	link_close(&link);
	return NULL;
}

/* Notes what came, and makes the acknowledgement of it. */
static char *
take_mail(Verify *verify, int receiver, const char *answer, size_t len, int *numbers, size_t *count)
{
	HdmsParcel *parcels = NULL;
	char		epoch[64];
	bool		more;
	const char **ids;
	char	   *json = NULL;

	*count = 0;
	if (hdms_wire_mailbox_parse(answer, len, epoch, &parcels, count, &more) != HDMS_OK)
	{
		problem(verify, "mailbox", answer);
		return NULL;
	}
	ids = calloc(*count + 1, sizeof(char *));
	for (size_t i = 0; i < *count; i++)
	{
		json_int_t	number;
		json_t	   *found;

		pthread_mutex_lock(&verify->lock);
		found = json_object_get(verify->index, parcels[i].id);
		number = json_is_integer(found) ? json_integer_value(found) : -1;
		pthread_mutex_unlock(&verify->lock);
		ids[i] = parcels[i].id;
		numbers[i] = (int) number;
		if (number < 0 || verify->envelopes[number].receiver != receiver)
			problem(verify, "an envelope for somebody else", parcels[i].id);
		else if (verify->envelopes[number].acknowledged)
			problem(verify, "an envelope that was acknowledged", parcels[i].id);
		else if (atomic_fetch_add(&verify->envelopes[number].seen, 1) == 0)
			atomic_fetch_sub(&verify->missing, 1);
	}
	require(hdms_wire_ack_print(ids, *count, 1, 100, &json), "ack");
	hdms_parcels_free(parcels, *count);
	free(ids);
	return json;
}

static void *
consume(void *argument)
{
	Worker	   *worker = argument;
	Verify	   *verify = worker->verify;
	TestNode   *node = &verify->receivers[worker->number];
	Link		links[URLS_MAX];
	int			numbers[1000];
	size_t		count = 0;
	char	   *body = NULL;
	time_t		until = time(NULL) + 120;

	for (int i = 0; i < verify->urls_count; i++)
		link_init(&links[i], verify->urls[i]);
	for (int turn = 0; (atomic_load(&verify->missing) > 0 || count > 0) && time(NULL) < until; turn++)
	{
		Link	   *link = &links[turn % verify->urls_count];
		int			status = body == NULL ? link_request(link, node, "GET", "/v1/mailbox?wait=1", NULL, NULL, 0)
			: link_request(link, node, "POST", "/v1/mailbox/ack", "application/json", body, strlen(body));

		free(body);
		body = NULL;
		if (status != 200)
		{
			problem(verify, "fetch", status < 0 ? "connection closed" : link->answer);
			break;
		}
		for (size_t i = 0; i < count; i++)
			verify->envelopes[numbers[i]].acknowledged = 1;
		body = take_mail(verify, worker->number, link->answer, link->answer_len, numbers, &count);
	}
	for (int i = 0; i < verify->urls_count; i++)
		link_close(&links[i]);
	free(body);
	return NULL;
}

int
load_verify(int count, char **arguments)
{
	static Verify verify;
	Worker		workers[PRODUCERS + RECEIVERS_MAX];
	pthread_t	threads[PRODUCERS + RECEIVERS_MAX];
	int			total = 0;

	verify.count = atoi(arguments[0]) / (PRODUCERS * 10) * (PRODUCERS * 10);
	verify.missing = verify.count;
	for (char *url = strtok(arguments[1], ","); url != NULL && verify.urls_count < URLS_MAX; url = strtok(NULL, ","))
		verify.urls[verify.urls_count++] = url;
	node_load(&verify.sender, arguments[2]);
	for (int i = 3; i < count && verify.receivers_count < RECEIVERS_MAX; i++)
		node_load(&verify.receivers[verify.receivers_count++], arguments[i]);
	verify.envelopes = calloc((size_t) verify.count, sizeof(Envelope));
	verify.index = json_object();
	pthread_mutex_init(&verify.lock, NULL);
	for (int i = 0; i < PRODUCERS + verify.receivers_count; i++)
	{
		workers[i] = (Worker) {&verify, i < PRODUCERS ? i : i - PRODUCERS};
		pthread_create(&threads[i], NULL, i < PRODUCERS ? produce : consume, &workers[i]);
	}
	for (int i = 0; i < PRODUCERS + verify.receivers_count; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < verify.count; i++)
		total += verify.envelopes[i].seen > 0;
	printf("%d put, %d stored, %d received, %d problems\n", verify.count, verify.stored, total, verify.problems);
	json_decref(verify.index);
	free(verify.envelopes);
	node_close(&verify.sender);
	for (int i = 0; i < verify.receivers_count; i++)
		node_close(&verify.receivers[i]);
	return verify.problems == 0 && verify.stored == verify.count && total == verify.count ? 0 : 1;
}
