-- What the tables say of when, by whom and why, against the events and the audit trail, which the node's own log promises.

CREATE FUNCTION hdms_internal.history_failures(OUT record uuid, OUT version integer, OUT check_name text, OUT detail text) RETURNS SETOF record
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres AS $$
	WITH said AS (
		SELECT e.version_id, max(e.id) FILTER (WHERE e.status = 'issued') AS issued_id, max(e.id) FILTER (WHERE e.status = 'delivered') AS delivered_id,
			max(e.at) FILTER (WHERE e.status = 'delivered') AS delivered_at,
			array_agg(e.at) FILTER (WHERE e.status IN ('committed', 'rejected', 'expired', 'superseded', 'erased')) AS ends,
			(array_agg(e.status ORDER BY e.id DESC))[1] AS last
		FROM hdms_internal.events e WHERE e.kind = 'status' AND e.version_id IS NOT NULL GROUP BY e.version_id),
	asked AS (
		SELECT a.record, a.at, coalesce(a.actor, a.login) AS by, a.patient_ref FROM hdms_internal.audit a WHERE a.action IN ('issue', 'amend', 'import') AND a.record IS NOT NULL
		UNION ALL SELECT q.record, q.at, coalesce(q.actor, q.login), q.patient_ref FROM hdms_internal.audit_queue q WHERE q.action IN ('issue', 'amend', 'import') AND q.record IS NOT NULL),
	-- A version that was put back has the times of that.
	repaired AS (SELECT DISTINCT e.version_id FROM hdms_internal.events e WHERE e.kind = 'repaired'),
	kept AS (
		SELECT v.* FROM hdms_internal.versions v WHERE NOT EXISTS (SELECT FROM repaired r WHERE r.version_id = v.id)),
	-- One row for each pattern that a rule was ever set for: what was said last.
	ruled AS (
		SELECT DISTINCT ON (pattern) pattern, keep FROM (
			SELECT substring(a.purpose FROM '^(.*): ') AS pattern, substring(a.purpose FROM '^.*: (.*)$') AS keep, a.at
				FROM hdms_internal.audit a WHERE a.action = 'set retention'
			UNION ALL SELECT substring(q.purpose FROM '^(.*): '), substring(q.purpose FROM '^.*: (.*)$'), q.at
				FROM hdms_internal.audit_queue q WHERE q.action = 'set retention') s ORDER BY pattern, at DESC)
	SELECT v.record, v.ordinal, 'history', 'the version is ' || v.status || ', the last event about it says ' || s.last
		FROM kept v JOIN said s ON s.version_id = v.id WHERE v.status IN ('issued', 'delivered') AND s.last IN ('issued', 'delivered') AND v.status <> s.last
	UNION ALL SELECT v.record, v.ordinal, 'history', 'the version was delivered at another time than the event says'
		FROM kept v JOIN said s ON s.version_id = v.id WHERE v.issued_at IS NOT NULL AND
			CASE WHEN coalesce(s.delivered_id > s.issued_id, false) THEN v.delivered_at IS NULL OR abs(extract(epoch FROM v.delivered_at - s.delivered_at)) > 600
				ELSE v.delivered_at IS NOT NULL END
	UNION ALL SELECT v.record, v.ordinal, 'history', 'the version ended at another time than the event says'
		FROM kept v JOIN said s ON s.version_id = v.id WHERE v.status <> 'erased' AND
			CASE WHEN v.status IN ('committed', 'superseded', 'rejected', 'expired') THEN v.ended_at IS NULL OR
					NOT EXISTS (SELECT FROM unnest(s.ends) at WHERE abs(extract(epoch FROM v.ended_at - at)) <= 600)
				ELSE v.ended_at IS NOT NULL END
	UNION ALL SELECT v.record, v.ordinal, 'history', 'the version has a reason, and nothing that it would be the reason of'
		FROM kept v JOIN said s ON s.version_id = v.id WHERE v.status IN ('issued', 'delivered', 'committed', 'superseded', 'erased')
			AND v.reason NOT IN ('late', 'notary-silent')
			AND NOT EXISTS (SELECT FROM hdms_internal.events e WHERE e.version_id = v.id AND e.reason = v.reason)
	UNION ALL SELECT v.record, v.ordinal, 'history', 'the version was delivered or ended before it was signed'
		FROM kept v WHERE v.status IN ('waiting_for_patient', 'waiting_for_previous', 'queued') AND (v.delivered_at IS NOT NULL OR v.ended_at IS NOT NULL)
	UNION ALL SELECT a.record, NULL, 'history', 'the record was to be erased by another, at another time or for another reason than the audit trail says'
		FROM (SELECT DISTINCT t.record FROM hdms_internal.audit t WHERE t.action IN ('erase', 'erase before end')) a
		WHERE NOT EXISTS (SELECT FROM hdms_internal.erasures x JOIN hdms_internal.audit t ON t.record = x.record
			WHERE x.record = a.record AND t.action = CASE WHEN x.before_end THEN 'erase before end' ELSE 'erase' END AND x.reason IS NOT DISTINCT FROM t.purpose
				AND x.asked_by = coalesce(t.actor, t.login) AND abs(extract(epoch FROM x.asked_at - t.at)) <= 600)
	UNION ALL SELECT v.record, v.ordinal, 'history', 'nobody of that name asked for the version at that time: the audit trail does not say so'
		FROM kept v WHERE EXISTS (SELECT FROM asked a WHERE a.record = v.record)
			AND NOT EXISTS (SELECT FROM asked a WHERE a.record = v.record AND a.by = v.created_by AND abs(extract(epoch FROM v.created_at - a.at)) <= 600)
	UNION ALL SELECT r.record, NULL, 'history', 'the record was made at another time, or for another patient, than the audit trail says'
		FROM hdms_internal.records r JOIN (SELECT a.record, min(a.at) AS at, array_agg(a.patient_ref) AS refs FROM asked a GROUP BY a.record) f ON f.record = r.record
		WHERE NOT EXISTS (SELECT FROM hdms_internal.versions v JOIN repaired p ON p.version_id = v.id WHERE v.record = r.record)
			AND (abs(extract(epoch FROM r.created_at - f.at)) > 600 OR (array_remove(f.refs, NULL) <> '{}' AND r.patient_ref <> ALL (array_remove(f.refs, NULL))))
	UNION ALL SELECT r.record, NULL, 'history', 'the record has another source_id than its events'
		FROM hdms_internal.records r JOIN (SELECT DISTINCT ON (e.record) e.record, e.source_id FROM hdms_internal.events e
			WHERE e.kind = 'status' AND e.record IS NOT NULL ORDER BY e.record, e.id) f ON f.record = r.record
		WHERE r.source_id IS DISTINCT FROM f.source_id
			-- Of a record that another continues it has gone to that one, or to the one after it.
			AND NOT (r.source_id IS NULL AND EXISTS (SELECT FROM hdms_internal.records n WHERE n.replaces = r.record)
				AND EXISTS (SELECT FROM hdms_internal.records n WHERE n.replaces IS NOT NULL AND n.source_id = f.source_id))
	UNION ALL SELECT NULL, NULL, 'history', 'patient ' || quote_literal(p.patient_ref) || ' was paired at another time than the event says'
		FROM hdms_internal.patients p LEFT JOIN LATERAL (SELECT e.at FROM hdms_internal.events e WHERE e.patient_ref = p.patient_ref AND e.record IS NULL
			AND e.status = 'paired' ORDER BY e.id DESC LIMIT 1) b ON true
		WHERE CASE WHEN p.status = 'paired' AND b.at IS NOT NULL THEN p.paired_at IS NULL OR abs(extract(epoch FROM p.paired_at - b.at)) > 600
			WHEN b.at IS NULL THEN p.paired_at IS NOT NULL AND p.status IN ('registered', 'invited') END
			AND NOT EXISTS (SELECT FROM hdms_internal.events e WHERE e.kind = 'repaired' AND e.patient_ref = p.patient_ref)
	UNION ALL SELECT NULL, NULL, 'history', 'the rule for ' || quote_literal(coalesce(r.type_pattern, u.pattern)) || ' is not the one that was set last'
		FROM hdms_internal.retention_rules r FULL JOIN ruled u ON u.pattern = r.type_pattern
		WHERE coalesce(r.keep::text, 'no rule') IS DISTINCT FROM coalesce(u.keep, 'no rule')
$$;
COMMENT ON FUNCTION hdms_internal.history_failures() IS 'Where the tables say of when, by whom and why something else than the events and the audit trail';
