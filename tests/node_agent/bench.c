/*
 * bench.c
 *		A patient's home and the simulated network in one process.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t		bench_now = INT64_C(1780000000000);

int64_t
bench_clock(void)
{
	return bench_now;
}

static int64_t
home_clock(void *arg)
{
	(void) arg;
	return bench_now;
}

static const unsigned char platform_key[32] = {1, 2, 3};

static void
require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench: %s failed\n", what);
	abort();
}

static void
home_open(Bench *bench)
{
	HdmsNodeSecret secret = {.platform_key = platform_key};
	HdmsHomeOptions options = {.clock = home_clock};
	HdmsNodeError error;

	if (hdms_home_open(bench->path, &secret, &options, &bench->home, &error) != HDMS_NODE_OK)
	{
		fprintf(stderr, "bench: %s\n", error.message);
		abort();
	}
	bench->pairing = bench->home->pairing_count ? bench->home->pairings[0] : NULL;
}

void
bench_restart(Bench *bench)
{
	hdms_home_close(bench->home);
	home_open(bench);
}

/* What the courier does between the invitation and "pair". */
static void
pair(Bench *bench)
{
	char	   *uri = sim_invite(&bench->sim, "http://127.0.0.1:1");
	char	   *jwk;
	Peer	   *institution;
	HdmsNodeError error;

	require(pairing_create(bench->home, uri, &bench->pairing, &error) == HDMS_NODE_OK, "pairing");
	free(uri);
	MUST(hdms_key_to_jwk(bench->sim.network, false, &jwk));
	MUST(hdms_key_from_jwk(jwk, strlen(jwk), &bench->pairing->network_key));
	free(jwk);
	require(store_begin(bench->home->store), "begin");
	require(peer_learn(bench->home, bench->sim.institution.id, hdms_history_json(bench->sim.institution.history), bench->sim.institution.admission,
					   &institution) == PEER_PINNED, "pinning");
	require(flow_pair(bench->pairing, institution) && store_commit(bench->home->store), "pair");
	bench_run(bench);
}

void
bench_open(Bench *bench, bool accept)
{
	HdmsNodeSecret secret = {.platform_key = platform_key};
	HdmsNodeError error;

	memset(bench, 0, sizeof(*bench));
	strcpy(bench->path, "/tmp/hdms-bench-XXXXXX");
	require(mkdtemp(bench->path) != NULL, "mkdtemp");
	sim_open(&bench->sim, bench_clock, NULL);
	require(hdms_home_create(bench->path, &secret, HDMS_SUITE_P256, NULL, &error) == HDMS_NODE_OK, error.message);
	home_open(bench);
	pair(bench);
	require(bench->pairing->status == PAIRING_PAIRED, "pairing in the end");
	require(hdms_home_set_policy(bench->home, "1", accept, &error) == HDMS_NODE_OK, "policy");
}

void
bench_close(Bench *bench)
{
	char		command[128];

	hdms_home_close(bench->home);
	for (size_t i = 0; i < bench->late_count; i++)
		free(bench->late[i].envelope);
	free(bench->late);
	sim_close(&bench->sim);
	snprintf(command, sizeof(command), "rm -rf '%s'", bench->path);
	require(system(command) == 0, "rm");
}

static Fate
fate_of(Bench *bench, const char *type)
{
	int			i = 0;

	while (bench->seen[i].type[0] != '\0' && strcmp(bench->seen[i].type, type) != 0)
		i++;
	strcpy(bench->seen[i].type, type);
	bench->seen[i].count++;
	return bench->fate ? bench->fate(bench->fate_arg, type, bench->seen[i].count - 1) : FATE_DELIVER;
}

void
bench_arrive(Bench *bench, const char *envelope)
{
	InboxItem	item = {.pairing = bench->pairing->id, .envelope = strdup(envelope), .len = strlen(envelope)};
	bool		more = true;

	MUST(hdms_envelope_id(envelope, strlen(envelope), item.transport));
	require(inbox_store(bench->home, &item, 1), "storing");
	if (bench->crash_between)
		bench_restart(bench);
	else
		(void) inbox_act(bench->home, &item, 1);
	free(item.envelope);
	while (more)
		require(inbox_resume(bench->home, &more), "resuming");
}

static const char *
type_word(OutboxType type)
{
	static const char *const words[] = {"pair", "notarise", "silent", "accepted", "rejected", "ack", "refused", "copies", "want", "keys",
	"erasure", "want"};

	return words[type];
}

/* Everything that is due goes to the sim. */
static bool
outbox_carry(Bench *bench)
{
	OutboxItem	items[64];
	size_t		count;

	bench->pairing->put_due = false;
	require(outbox_due(bench->pairing, bench_now, 64, 8 << 20, items, &count), "outbox");
	require(store_begin(bench->home->store), "begin");
	for (size_t i = 0; i < count; i++)
		require(outbox_put_done(bench->pairing, &items[i], 201), "put");
	require(store_commit(bench->home->store), "commit");
	for (size_t i = 0; i < count; i++)
	{
		Fate		fate = fate_of(bench, type_word(items[i].type));

		if (fate != FATE_LOSE && fate != FATE_DELAY)
			sim_deliver(&bench->sim, items[i].receiver, items[i].envelope);
		if (fate == FATE_DOUBLE)
			sim_deliver(&bench->sim, items[i].receiver, items[i].envelope);
	}
	outbox_items_free(items, count);
	return count > 0;
}

static bool
mail_carry(Bench *bench)
{
	SimMail		mail;
	bool		moved = false;

	while (sim_take(&bench->sim, &mail))
	{
		Fate		fate = fate_of(bench, mail.type);

		moved = true;
		if (fate == FATE_DELAY)
		{
			bench->late = realloc(bench->late, (bench->late_count + 1) * sizeof(mail));
			bench->late[bench->late_count++] = mail;
			continue;
		}
		if (fate != FATE_LOSE)
			bench_arrive(bench, mail.envelope);
		if (fate == FATE_DOUBLE)
			bench_arrive(bench, mail.envelope);
		free(mail.envelope);
	}
	return moved;
}

/* What the directory says; as lookup.c does with it. */
static bool
wants_answer(Bench *bench)
{
	HdmsHome   *home = bench->home;
	bool		moved = false;

	while (home->want_count > 0 && !bench->no_directory)
	{
		Want		want = home->wants[--home->want_count];
		const HdmsHistory *history = sim_history(&bench->sim, want.id);
		int64_t		ids[10];
		size_t		count = 0;

		require(store_begin(home->store), "begin");
		if (want.kind == WANT_NODE && history != NULL)
			require(peer_learn(home, want.id, hdms_history_json(history), NULL, NULL) != PEER_FAILED, "learning");
		if (want.kind == WANT_LIST && strcmp(want.id, bench->sim.list.digest) == 0)
			require(notary_list_learn(home, bench->pairing, want.id, bench->sim.list.jws, strlen(bench->sim.list.jws)) == HDMS_OK, "list");
		require(inbox_wake(home, want.id) && versions_waiting_for(home, want.id, ids, 10, &count), "waking");
		for (size_t i = 0; i < count; i++)
			require(flow_timer(home, ids[i]), "flow");
		require(store_commit(home->store), "commit");
		moved = true;
	}
	return moved;
}

void
bench_run(Bench *bench)
{
	bool		moved = true;
	bool		more;

	for (int round = 0; moved && round < 200; round++)
	{
		moved = outbox_carry(bench);
		moved = mail_carry(bench) || moved;
		moved = wants_answer(bench) || moved;
		require(flows_run_timers(bench->home), "timers");
		require(inbox_resume(bench->home, &more), "resuming");
		moved = more || bench->pairing->put_due || moved;
		if (!moved && !bench->hold && bench->late_count > 0)
		{
			SimMail		mail = bench->late[0];

			memmove(bench->late, bench->late + 1, --bench->late_count * sizeof(mail));
			bench_arrive(bench, mail.envelope);
			free(mail.envelope);
			moved = true;
		}
	}
	require(!moved, "coming to rest");
}

void
bench_wait(Bench *bench, int64_t seconds)
{
	bench_now += seconds * 1000;
	bench_run(bench);
}

VersionStatus
bench_status(Bench *bench, const char *vk)
{
	Version		version;
	bool		found;

	require(version_by_vk(bench->home, 0, vk, &version, &found), "reading");
	return found ? version.status : VERSION_STATUS_COUNT;
}

size_t
bench_issue(Bench *bench, const char *content, size_t before_plus_one)
{
	return sim_issue(&bench->sim, bench->pairing->node, content, before_plus_one ? &bench->sim.versions[before_plus_one - 1] : NULL);
}

int
bench_outbox(Bench *bench)
{
	int64_t		count;

	require(outbox_count(bench->home, &count), "counting");
	return (int) count;
}
