-- What lies between backends and the worker.
GRANT USAGE ON SCHEMA hdms_internal TO hdms_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hdms_internal TO hdms_worker;
GRANT TRUNCATE ON hdms_internal.ledger_entries, hdms_internal.ledger_tiles, hdms_internal.ledger_checkpoints TO hdms_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA hdms_internal TO hdms_worker;
GRANT SELECT, UPDATE ON SEQUENCE hdms_internal.versions_id_seq TO hdms_worker;	-- a version that is put back has its old id

CREATE FUNCTION hdms_internal.wake_worker() RETURNS void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'hdms_wake_worker';
REVOKE ALL ON FUNCTION hdms_internal.wake_worker() FROM PUBLIC;
COMMENT ON FUNCTION hdms_internal.wake_worker() IS 'Tells this database''s worker, when the transaction commits, that there is work';

-- Of all databases of the cluster, from shared memory; no row where the library is not in shared_preload_libraries.
CREATE FUNCTION hdms_internal.worker_status(
	OUT database name, OUT pid integer, OUT state text, OUT started_at timestamptz, OUT last_round timestamptz,
	OUT rounds bigint, OUT sent bigint, OUT received bigint, OUT refused bigint, OUT failures bigint, OUT last_error text
) RETURNS SETOF record
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 4 AS 'MODULE_PATHNAME', 'hdms_worker_status';
REVOKE ALL ON FUNCTION hdms_internal.worker_status() FROM PUBLIC;
COMMENT ON FUNCTION hdms_internal.worker_status() IS 'The workers of this cluster: what they do and did';

-- Whether the library was preloaded: without that there are no workers.
CREATE FUNCTION hdms_internal.is_preloaded() RETURNS boolean
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'hdms_is_preloaded';
REVOKE ALL ON FUNCTION hdms_internal.is_preloaded() FROM PUBLIC;
COMMENT ON FUNCTION hdms_internal.is_preloaded() IS 'Whether hdms is in shared_preload_libraries of the running server';

CREATE FUNCTION hdms.adopt_keys() RETURNS void
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE hdms_internal.node SET adopt = true WHERE node_id IS NOT NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'this database is not a node of a network'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call hdms.join_network() first.';
	END IF;
	PERFORM hdms_internal.audit_write('adopt keys', NULL, NULL, NULL);
	PERFORM hdms_internal.wake_worker();
END
$$;
REVOKE ALL ON FUNCTION hdms.adopt_keys() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hdms.adopt_keys() TO hdms_admin;
COMMENT ON FUNCTION hdms.adopt_keys() IS 'After a restore, a copy or a promotion: this database, and no other, uses the node''s private keys from now on';

CREATE FUNCTION hdms.accept_lost_ledger(reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM hdms_internal.check_text(btrim(reason), 'reason', 500);
	UPDATE hdms_internal.node SET ledger_accept = accept_lost_ledger.reason WHERE halted IS NOT NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'this node has not stopped signing'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'There is nothing to accept. hdms.doctor() shows its condition.';
	END IF;
	PERFORM hdms_internal.audit_write('accept lost ledger', NULL, NULL, reason);
	PERFORM hdms_internal.wake_worker();
END
$$;
REVOKE ALL ON FUNCTION hdms.accept_lost_ledger(text) FROM PUBLIC;
COMMENT ON FUNCTION hdms.accept_lost_ledger(text) IS
	'After a backup that is older than what this node has signed was put back, and no newer one exists: begins a new epoch of the node''s own log over what is there. The loss stays on record';
