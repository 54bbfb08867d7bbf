-- Who owns and who may do what. docs/dba.md has the same as a matrix.

-- Everything belongs to hdms_owner, so that what runs with the owner's rights is not a superuser.
DO $ownership$
DECLARE
	item record;
BEGIN
	FOR item IN
		SELECT c.oid::regclass::text AS name, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind FROM pg_class c
			WHERE c.relnamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND c.relkind IN ('r', 'v')
		UNION ALL
		SELECT p.oid::regprocedure::text, 'FUNCTION' FROM pg_proc p
			WHERE p.pronamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace)
	LOOP
		EXECUTE format('ALTER %s %s OWNER TO hdms_owner', item.kind, item.name);
	END LOOP;
END
$ownership$;
ALTER SCHEMA hdms OWNER TO hdms_owner;
ALTER SCHEMA hdms_internal OWNER TO hdms_owner;

REVOKE ALL ON SCHEMA hdms, hdms_internal FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA hdms, hdms_internal FROM PUBLIC;

GRANT USAGE ON SCHEMA hdms TO hdms_admin, hdms_emr, hdms_analyst;

-- The EMR system: records and their content.
GRANT EXECUTE ON FUNCTION
	hdms.register_patient(text),
	hdms.invite_patient(text, interval, boolean),
	hdms.confirm_patient(text, text),
	hdms.issue(text, json, text, interval, timestamptz),
	hdms.amend(uuid, json),
	hdms.resend(uuid),
	hdms.import_bundle(json, text),
	hdms.import_ndjson(text, text),
	hdms.read(uuid, text, integer),
	hdms.verify(uuid),
	hdms.export_evidence(uuid),
	hdms.erase(uuid, text)
	TO hdms_emr;
GRANT SELECT ON hdms.node, hdms.patients, hdms.records, hdms.states, hdms.events, hdms.retention_rules, hdms.erasures TO hdms_emr;

-- The administrator: the node, its condition, the trail; no content.
GRANT EXECUTE ON FUNCTION
	hdms.join_network(text, text, text, boolean),
	hdms.adopt_keys(),
	hdms.rotate_keys(text[]),
	hdms.revoke_key(text, timestamptz),
	hdms.recover_keys(),
	hdms.accept_lost_ledger(text),
	hdms.resend(uuid),
	hdms.verify(uuid),
	hdms.verify_ledger(text, timestamptz, timestamptz, double precision, boolean),
	hdms.repair(uuid),
	hdms.repair_ledger(),
	hdms.recover_ledger(),
	hdms.doctor(),
	hdms.set_retention(text, interval),
	hdms.erase(uuid, text),
	hdms.witness_again(text, text),
	hdms.release_message(text),
	hdms.discard_message(text, text),
	hdms_internal.worker_status(),		-- behind hdms.workers: a view's functions run with the caller's rights
	hdms_internal.verification_status()	-- behind hdms.verification
	TO hdms_admin;
GRANT SELECT ON hdms.node, hdms.patients, hdms.records, hdms.states, hdms.nodes, hdms.directory_log, hdms.directory_evidence, hdms.events, hdms.deliveries, hdms.quarantine, hdms.workers, hdms.witnesses, hdms.forks, hdms.verification, hdms.audit,
	hdms.retention_rules, hdms.erasures,
	hdms.repairs, hdms.incidents, hdms.recovery
	TO hdms_admin;
GRANT SELECT ON hdms.keys, hdms.key_changes TO hdms_admin;

-- The analyst sees what node this is.
GRANT SELECT ON hdms.node TO hdms_analyst;
