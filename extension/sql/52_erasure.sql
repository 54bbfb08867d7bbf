-- Erasure: how long records are kept, and what is done when they are to go.
-- Here a wish is written down; the worker, who has the keys, signs the tombstone, erases, and tells the patient's device.

CREATE FUNCTION hdms.set_retention(type_pattern text, keep interval) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres AS $$
BEGIN
	PERFORM hdms_internal.check_text(type_pattern, 'type_pattern', 200);
	IF keep < interval '0' THEN
		RAISE EXCEPTION 'keep must not be negative' USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as interval ''10 years''; null removes the rule.';
	END IF;
	IF keep IS NULL THEN
		DELETE FROM hdms_internal.retention_rules r WHERE r.type_pattern = set_retention.type_pattern;
	ELSE
		INSERT INTO hdms_internal.retention_rules AS r (type_pattern, keep, set_by)
			VALUES (set_retention.type_pattern, set_retention.keep, coalesce(nullif(current_setting('hdms.actor', true), ''), session_user))
			ON CONFLICT ON CONSTRAINT retention_rules_pkey DO UPDATE
				SET keep = excluded.keep, set_by = excluded.set_by, set_at = clock_timestamp();
	END IF;
	PERFORM hdms_internal.audit_write('set retention', NULL, NULL, format('%s: %s', type_pattern, coalesce(keep::text, 'no rule')));
END
$$;
COMMENT ON FUNCTION hdms.set_retention(text, interval) IS
	'How long records are kept whose type is LIKE the pattern, from when the newest version was asked for; the longest pattern counts. Null removes the rule';

-- Who runs it for whom: the role in force in the session, not the owner of the function that asks.
CREATE FUNCTION hdms_internal.caller_is_admin() RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_has_role(CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END, 'hdms_admin', 'USAGE')
$$;
COMMENT ON FUNCTION hdms_internal.caller_is_admin() IS 'Whether the session''s role has the rights of hdms_admin';

-- A record that continues another one, or is continued, because the patient got a new node, says the same: they go together.
CREATE FUNCTION hdms_internal.continued_records(record uuid) RETURNS SETOF uuid
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE same (id) AS (
		SELECT $1
		UNION SELECT CASE WHEN r.record = s.id THEN r.replaces ELSE r.record END
			FROM same s JOIN hdms_internal.records r ON (r.record = s.id AND r.replaces IS NOT NULL) OR r.replaces = s.id)
	SELECT id FROM same
$$;
COMMENT ON FUNCTION hdms_internal.continued_records(uuid) IS 'The record with those that it continues and those that continue it';

CREATE FUNCTION hdms.erase(record uuid, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kept hdms.records;
	early boolean := false;
	is_admin boolean := hdms_internal.caller_is_admin();
BEGIN
	IF record IS NULL THEN
		RAISE EXCEPTION 'record must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM hdms_internal.check_text(btrim(reason), 'reason', 500);
	PERFORM 1 FROM hdms_internal.records r WHERE r.record = erase.record;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown record %', record
			USING ERRCODE = 'undefined_object', HINT = 'The view hdms.records has all records.';
	END IF;
	FOR kept IN SELECT r.* FROM hdms.records r WHERE r.record IN (SELECT hdms_internal.continued_records(erase.record)) LOOP
		IF kept.retain_until <= clock_timestamp() THEN
			CONTINUE;
		END IF;
		early := true;
		IF is_admin THEN
			CONTINUE;
		ELSIF kept.retain_until IS NULL THEN
			RAISE EXCEPTION 'nothing says how long record % has to be kept', kept.record
				USING ERRCODE = 'insufficient_privilege', DETAIL = format('Its type is %s.', kept.type),
					HINT = 'An administrator sets a rule with hdms.set_retention(), or erases it.';
		END IF;
		RAISE EXCEPTION 'record % has to be kept until %', kept.record, date_trunc('second', kept.retain_until)
			USING ERRCODE = 'insufficient_privilege', HINT = 'Before that only a member of hdms_admin may erase it.';
	END LOOP;
	FOR kept IN SELECT r.* FROM hdms.records r WHERE r.record IN (SELECT hdms_internal.continued_records(erase.record)) LOOP
		INSERT INTO hdms_internal.erasures (record, status, before_end, reason, asked_by)
			VALUES (kept.record, 'asked', early, erase.reason, coalesce(nullif(current_setting('hdms.actor', true), ''), session_user))
			ON CONFLICT ON CONSTRAINT erasures_pkey DO NOTHING;
		IF FOUND THEN
			PERFORM hdms_internal.audit_write(CASE WHEN early THEN 'erase before end' ELSE 'erase' END, kept.record, kept.patient_ref, reason);
			PERFORM hdms_internal.wake_worker();
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION hdms.erase(uuid, text) IS
	'Erases all versions of a record, and of those that it continues or that continue it, for good: content, signed states and salts; verification keys, receipts and a signed tombstone stay. Before its time is over only for hdms_admin. Again: changes nothing';

CREATE VIEW hdms.retention_rules AS
	SELECT type_pattern, keep, set_by, set_at FROM hdms_internal.retention_rules;
COMMENT ON VIEW hdms.retention_rules IS 'How long records are kept whose own time hdms.issue() was not told';
COMMENT ON COLUMN hdms.retention_rules.type_pattern IS 'of LIKE, on hdms.records.type; the longest that fits counts';
COMMENT ON COLUMN hdms.retention_rules.keep IS 'from when the newest version was asked for';

CREATE VIEW hdms.erasures AS
	SELECT e.record, r.patient_ref, r.source_id, e.status, e.before_end, e.reason, e.asked_by, e.asked_at, e.erased_at, e.again,
		t.number, t.receiver, t.answer, t.answered_at, t.tombstone
	FROM hdms_internal.erasures e LEFT JOIN hdms_internal.records r ON r.record = e.record
		LEFT JOIN hdms_internal.tombstones t ON t.record = e.record;
COMMENT ON VIEW hdms.erasures IS 'Records that are to be erased (asked) and those that were, a row for each tombstone, with what became of the patient''s own copy';
COMMENT ON COLUMN hdms.erasures.before_end IS 'whether it was erased before its time was over';
COMMENT ON COLUMN hdms.erasures.again IS 'how often the content came back, from a backup, and was erased again';
COMMENT ON COLUMN hdms.erasures.answer IS 'what the patient''s device says of its own copy: kept or erased; null: no answer yet';
COMMENT ON COLUMN hdms.erasures.tombstone IS 'the institution''s signed statement';

CREATE FUNCTION hdms_internal.doctor_erasures(OUT check_name text, OUT status text, OUT detail text, OUT hint text) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	found bigint;
	since timestamptz;
BEGIN
	SELECT count(*), min(asked_at) INTO found, since FROM hdms_internal.erasures e WHERE e.status = 'asked';
	check_name := 'erasures'; status := 'ok'; hint := NULL; detail := 'no record waits to be erased';
	IF found > 0 THEN
		detail := format('%s records wait to be erased, the oldest since %s', found, date_trunc('second', since));
		IF since < clock_timestamp() - interval '5 minutes' THEN
			status := 'warn'; hint := 'The worker erases them: hdms.workers and the server''s log say why it does not.';
		END IF;
	END IF;
	RETURN NEXT;

	SELECT count(*), min(erased_at) INTO found, since FROM hdms_internal.erasures e
		WHERE e.filenode = pg_relation_filenode('hdms_internal.payloads');
	check_name := 'erased content'; status := 'ok'; hint := NULL; detail := 'nothing that was erased is left in the files of the tables';
	IF found > 0 THEN
		detail := format('the content of %s erased records may lie in the free space of the files of hdms_internal.payloads, the oldest since %s',
			found, date_trunc('second', since));
		status := CASE WHEN since < clock_timestamp() - interval '30 days' THEN 'warn' ELSE 'ok' END;
		hint := 'VACUUM FULL hdms_internal.payloads, when no long transaction runs, writes the table anew without it. Backups and archived WAL from before are yours to destroy.';
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hdms_internal.doctor_erasures() IS 'The part of hdms.doctor() about erased records';
