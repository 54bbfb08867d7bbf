/*
 * flow_rekey.c
 *		Versions that were signed with a key that has been replaced since, and are not notarised yet.
 *
 * The leaf's time decides which key counts, so such a signature is good for nothing once the clocks' tolerance is over.
 * The version is signed anew, as the same version, and the device is told to forget the old signature. A notary may have
 * appended a leaf for that one all the same, in time: its evidence is as good as any. So the old signature is kept
 * until one of them has its evidence, and whichever evidence comes first commits the version, once.
 */
#include "postgres.h"

#include "flow_inside.h"
#include "flow_plan.h"
#include "flow_version.h"

#define IDLE_SECONDS	60

/* Seconds until the next change of the signing key is due; null: there is none. */
static FlowPlan find_due =
FLOW_PLAN_WITHOUT_ARGS("SELECT id, CAST(ceil(greatest(extract(epoch FROM resign_at - clock_timestamp()), 0)) AS bigint)"
					   " FROM hdms_internal.key_changes WHERE resign_at IS NOT NULL AND resigned_at IS NULL ORDER BY resign_at LIMIT 1");

static FlowPlan find_open =
FLOW_PLAN("SELECT v.id FROM hdms_internal.versions v, hdms_internal.key_changes k WHERE k.id = $1"
		  " AND v.status IN ('issued', 'delivered') AND v.issued_at < k.made_at ORDER BY v.accept_until LIMIT $2",
		  INT8OID, INT8OID);

static FlowPlan set_done =
FLOW_PLAN("UPDATE hdms_internal.key_changes SET resigned_at = clock_timestamp() WHERE id = $1", INT8OID);

static FlowPlan drop_contents =
FLOW_PLAN("UPDATE hdms_internal.former_states SET state = NULL WHERE vk IN (SELECT f.vk FROM hdms_internal.former_states f"
		  " JOIN hdms_internal.versions v ON v.id = f.version_id WHERE f.state IS NOT NULL"
		  " AND v.status IN ('committed', 'superseded', 'erased') LIMIT $1)",
		  INT8OID);

int
flow_rekey(void)
{
	int64		change;
	int64		seconds;
	int64	   *ids;
	uint64		count;

	flow_run(&drop_contents, flow_int64(FLOW_BATCH));
	count = flow_run_without_args(&find_due);
	change = count > 0 ? row_int64(0, 1) : 0;
	seconds = count > 0 ? row_int64(0, 2) : IDLE_SECONDS;
	flow_rows_free();
	if (seconds > 0)
		return (int) Min(seconds, IDLE_SECONDS);

	count = flow_run(&find_open, flow_int64(change), flow_int64(FLOW_BATCH));
	ids = palloc(sizeof(int64) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
		ids[i] = row_int64(i, 1);
	flow_rows_free();
	for (uint64 i = 0; i < count; i++)
	{
		VersionRow	row;

		if (version_load(ids[i], &row) && version_is_open(&row))
			version_sign_anew(&row, true, "keys-rotated");
	}
	if (count < FLOW_BATCH)
		flow_run(&set_done, flow_int64(change));
	return 0;
}
