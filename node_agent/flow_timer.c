/*
 * flow_timer.c
 *		What happens when nothing happens: patience with notaries, and ends of validity.
 */
#include <string.h>

#include "catalogue.h"
#include "flow.h"

#define BATCH 100

/* The notary did not answer: ask the institution to try it. */
static bool
send_silent(Pairing *pairing, const Version *version)
{
	HdmsBody	body = {.vk = (char *) version->vk, .notary = (char *) version->notary};
	Peer	   *institution;
	char		jti[37] = "";
	bool		pending;
	bool		was_put;

	if (!outbox_pending(pairing->home, version->id, OUT_SILENT, &pending, &was_put))
		return false;
	if (pending)
		return true;			/* it is put again by itself */
	if (!peer_find(pairing->home, pairing->peer, &institution))
		return false;
	return institution == NULL || outbox_add(pairing, institution, OUT_SILENT, "", version->id, &body, jti);
}

static bool
notary_timer(Pairing *pairing, Version *version, int64_t now_ms)
{
	bool		pending;
	bool		was_put;

	if (!outbox_pending(pairing->home, version->id, OUT_NOTARISE, &pending, &was_put))
		return false;

	/* A request that never reached the server is not the notary's fault. */
	if (pending && was_put && !send_silent(pairing, version))
		return false;
	version->next_try = now_ms + pairing->home->config.notary_patience;
	return version_save(pairing->home, version);
}

bool
flow_timer(HdmsHome *home, int64_t id)
{
	int64_t		now_ms = home_now_ms(home);
	Version		version;
	Pairing    *pairing;
	bool		found;
	bool		is_undecided;
	int64_t		end;

	if (!version_load(home, id, &version, &found))
		return false;
	if (!found || (pairing = pairing_find(home, version.pairing)) == NULL || version.status >= VERSION_NOTARISED)
	{
		version.next_try = 0;
		return !found || version_save(home, &version);
	}

	/* What the person has not accepted in time is over; what was accepted may have been notarised in time. */
	is_undecided = version.status == VERSION_RECEIVED || version.status == VERSION_ASKED;
	end = version.accept_until * 1000 + (is_undecided ? 0 : home->config.expiry_grace);
	if (now_ms >= end)
	{
		version.status = VERSION_EXPIRED;
		version.next_try = 0;
		return outbox_forget(home, version.id, OUT_SILENT) && version_save(home, &version);
	}
	switch (version.status)
	{
		case VERSION_ACCEPTED:
			return flow_send_request(pairing, &version, NULL);
		case VERSION_NOTARISING:
			return notary_timer(pairing, &version, now_ms);
		default:
			version.next_try = end;
			return version_save(home, &version);
	}
}

bool
flows_run_timers(HdmsHome *home)
{
	int64_t		ids[BATCH];
	size_t		count;

	if (!versions_due(home, home_now_ms(home), ids, BATCH, &count))
		return false;
	if (count == 0)
		return true;
	if (!store_begin(home->store))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!flow_timer(home, ids[i]))
		{
			store_rollback(home->store);
			catalogue_doubt(home);
			return false;
		}
	return store_commit(home->store);
}
