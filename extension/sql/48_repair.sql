-- Repair and recovery: records compared with the patients' copies and put right. The worker does it; here it is asked for and looked at.

CREATE FUNCTION hdms_internal.state_record(state text) RETURNS uuid
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hdms_fn_state_record';
COMMENT ON FUNCTION hdms_internal.state_record(text) IS 'The record that a stored state is of; null for what is no state';
GRANT EXECUTE ON FUNCTION hdms_internal.state_record(text) TO hdms_worker;

CREATE FUNCTION hdms.repair(record uuid) RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
BEGIN
	IF record IS NULL THEN
		RAISE EXCEPTION 'record must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	-- A superuser may have taken away any of these rows.
	IF NOT EXISTS (SELECT FROM hdms_internal.records r WHERE r.record = repair.record)
		AND NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.record = repair.record)
		AND NOT EXISTS (SELECT FROM hdms_internal.events e WHERE e.record = repair.record AND e.kind = 'status' AND e.status = 'committed')
	THEN
		RAISE EXCEPTION 'unknown record %', record
			USING ERRCODE = 'undefined_object', HINT = 'hdms.recover_ledger() brings back what no row here tells of any more.';
	END IF;
	INSERT INTO hdms_internal.repairs (record) VALUES (repair.record) ON CONFLICT DO NOTHING RETURNING id INTO number;
	IF number IS NULL THEN
		SELECT p.id INTO number FROM hdms_internal.repairs p WHERE p.record = repair.record AND p.status IN ('queued', 'asked');
	END IF;
	PERFORM hdms_internal.audit_write('repair', record, NULL, NULL);
	PERFORM hdms_internal.wake_worker();
	RETURN number;
END
$$;
COMMENT ON FUNCTION hdms.repair(uuid) IS
	'Verifies a record and, where something is wrong with it, has it put right from the patient''s copy. The number of the repair in hdms.repairs';

CREATE FUNCTION hdms.repair_ledger() RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	queued bigint;
BEGIN
	-- Failures of records; payloads without a version, by the state in them; versions that were committed once and are gone.
	INSERT INTO hdms_internal.repairs (record)
		SELECT f.record FROM (
			SELECT v.record FROM hdms.verify_ledger() v WHERE v.check_name <> 'summary'
			UNION
			SELECT hdms_internal.state_record(p.state) FROM hdms_internal.payloads p
				WHERE NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.id = p.id)
			UNION
			SELECT e.record FROM hdms_internal.events e WHERE e.kind = 'status' AND e.status = 'committed'
				AND NOT EXISTS (SELECT FROM hdms_internal.versions v WHERE v.id = e.version_id AND v.record = e.record)
		) f WHERE f.record IS NOT NULL
		ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS queued = ROW_COUNT;
	PERFORM hdms_internal.audit_write('repair ledger', NULL, NULL, NULL);
	PERFORM hdms_internal.wake_worker();
	RETURN queued;
END
$$;
COMMENT ON FUNCTION hdms.repair_ledger() IS
	'Verifies the whole ledger and begins a repair of each record that something is wrong with: how many. hdms.repairs shows what becomes of them';

CREATE FUNCTION hdms.recover_ledger() RETURNS bigint
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked bigint;
BEGIN
	INSERT INTO hdms_internal.recoveries AS r (node_id)
		SELECT p.node_id FROM hdms_internal.patients p WHERE p.node_id IS NOT NULL
		UNION
		-- Of the other persons that are known here most belong to other institutions, which this one is a notary for.
		SELECT n.node_id FROM hdms_internal.peers n WHERE n.kind = 'person'
			AND (EXISTS (SELECT FROM hdms_internal.events e WHERE e.node_id = n.node_id)
				OR NOT EXISTS (SELECT FROM hdms_internal.events e WHERE e.node_id IS NOT NULL))
		ON CONFLICT (node_id) DO UPDATE SET status = 'queued', place = NULL, jti = NULL, pages = 0, copies = 0, restored = 0, unsound = 0,
			problem = NULL, next_try = clock_timestamp(), started_at = clock_timestamp(), updated_at = clock_timestamp(), finished_at = NULL
			WHERE r.status = 'complete';
	SELECT count(*) INTO asked FROM hdms_internal.recoveries r WHERE r.status <> 'complete';
	PERFORM hdms_internal.audit_write('recover ledger', NULL, NULL, NULL);
	PERFORM hdms_internal.wake_worker();
	RETURN asked;
END
$$;
COMMENT ON FUNCTION hdms.recover_ledger() IS
	'Asks every patient''s node for all that it has and puts back what is missing or damaged here: how many nodes are being asked. hdms.recovery shows how far that is';

CREATE VIEW hdms.repairs AS
	SELECT p.id, p.record, CASE p.status WHEN 'queued' THEN 'asked' ELSE p.status END AS status, p.reason,
		(SELECT count(*) FROM hdms_internal.incidents i WHERE i.record = p.record
			AND i.found_at >= p.created_at AND i.found_at <= coalesce(p.finished_at, 'infinity')) AS incidents,
		p.node_id, p.everything, p.created_at, p.asked_at, p.finished_at
	FROM hdms_internal.repairs p;
COMMENT ON VIEW hdms.repairs IS 'Records that are compared with the patients'' copies, and what came of it';
COMMENT ON COLUMN hdms.repairs.status IS 'asked (the patient''s device has not answered yet), repaired, sound (nothing was wrong), impossible (see reason; nothing unsound was put in)';
COMMENT ON COLUMN hdms.repairs.incidents IS 'damaged rows that were found and kept: hdms.incidents';
COMMENT ON COLUMN hdms.repairs.everything IS 'whether the device is asked for all that it has, because what is missing was not known by name';

CREATE VIEW hdms.incidents AS
	SELECT i.id, i.found_at, i.record, v.ordinal AS version, i.what
	FROM hdms_internal.incidents i LEFT JOIN hdms_internal.versions v ON v.id = i.version_id;
COMMENT ON VIEW hdms.incidents IS 'Damaged rows that were found: that they were, not what was in them';
COMMENT ON COLUMN hdms.incidents.what IS 'the table whose row was damaged: records, versions, payloads';

CREATE VIEW hdms.recovery AS
	SELECT r.node_id, p.patient_ref, CASE r.status WHEN 'queued' THEN 'asked' ELSE r.status END AS status, r.copies, r.restored, r.unsound,
		r.problem, r.started_at, r.updated_at, r.finished_at
	FROM hdms_internal.recoveries r LEFT JOIN hdms_internal.patients p ON p.node_id = r.node_id;
COMMENT ON VIEW hdms.recovery IS 'Patients'' nodes that were asked for all that they have, the newest time each';
COMMENT ON COLUMN hdms.recovery.status IS 'asked, complete';
COMMENT ON COLUMN hdms.recovery.patient_ref IS 'node: and the node''s id where it is not known any more whose it is';
COMMENT ON COLUMN hdms.recovery.copies IS 'versions that came so far';
COMMENT ON COLUMN hdms.recovery.restored IS 'rows of versions and records that were missing or damaged here and were put back';
COMMENT ON COLUMN hdms.recovery.unsound IS 'copies that did not verify, and were left alone';
