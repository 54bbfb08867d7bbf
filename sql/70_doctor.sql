-- The doctor, on a node without a worker.
\set SHOW_CONTEXT never
SET datestyle = ISO;
SET ROLE hdms_admin;
SELECT check_name, status, hint IS NOT NULL AS has_hint FROM hdms.doctor();
RESET ROLE;

-- What it notices. Each is taken back.
CREATE FUNCTION pg_temp.doctor_after(change text, about text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE change;
	SELECT string_agg(status || ': ' || regexp_replace(detail, '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^,;]*|[0-9]{5,}', '...', 'g'), '; ') INTO result
		FROM hdms.doctor() WHERE check_name = about;
	RAISE 'take it back' USING ERRCODE = 'HD000';
EXCEPTION WHEN SQLSTATE 'HD000' THEN
	RETURN result;
END
$$;
SELECT about, pg_temp.doctor_after(change, about) FROM (VALUES
	(1, 'node', $$DELETE FROM hdms_internal.node$$),
	(2, 'node', $$UPDATE hdms_internal.node SET status = 'pending'$$),
	(3, 'node', $$UPDATE hdms_internal.node SET status = 'refused', problem = 'not known here'$$),
	(4, 'notary list', $$DELETE FROM hdms_internal.notary_lists$$),
	(5, 'notary list', $$UPDATE hdms_internal.notary_lists SET iat = extract(epoch FROM clock_timestamp())::bigint$$),
	(6, 'notary list', $$UPDATE hdms_internal.notary_lists SET iat = 1$$),
	(7, 'notaries', $$SELECT 1$$),
	(8, 'notaries', $$DELETE FROM hdms_internal.notary_lists$$),
	(9, 'clock', $$UPDATE hdms_internal.notary_lists SET iat = extract(epoch FROM clock_timestamp())::bigint + 100000$$),
	(10, 'false keys', $$UPDATE hdms_internal.peers SET problem = 'another key'$$),
	(11, 'pairings', $$UPDATE hdms_internal.patients SET status = 'suspended' WHERE patient_ref = 'evidence'$$),
	(12, 'issue queue', $$SELECT hdms.issue('evidence', '{}')$$),
	(13, 'issue queue', $$DO 'BEGIN PERFORM hdms.issue(''evidence'', ''{}''); UPDATE hdms_internal.versions SET created_at = created_at - interval ''1 hour'', reason = ''no-notary'' WHERE status = ''queued''; END'$$),
	(14, 'outbox', $$INSERT INTO hdms_internal.outbox (jti, receiver, type, transport, awaited, expires_at, created_at, last_error) VALUES (gen_random_uuid(), 'x', 'record', 'x', true, 'infinity', '2025-01-01', 'connection refused')$$),
	(15, 'unanswered', $$INSERT INTO hdms_internal.outbox (jti, receiver, type, transport, awaited, expires_at, created_at, status) VALUES (gen_random_uuid(), 'x', 'record', 'x', true, 'infinity', '2025-01-01', 'sent')$$),
	(16, 'quarantine', $$INSERT INTO hdms_internal.inbox (transport, envelope, status) VALUES ('x', 'x', 'quarantined')$$),
	(17, 'inbox', $$INSERT INTO hdms_internal.inbox (transport, envelope, status, received_at) VALUES ('x', 'x', 'waiting', '2025-01-01')$$),
	(18, 'refusals', $$INSERT INTO hdms_internal.refusals (transport, reason) VALUES ('x', 'bad-signature')$$),
	(19, 'log', $$SET LOCAL log_parameter_max_length_on_error = -1$$),
	(20, 'log', $$SET LOCAL log_min_duration_statement = 0$$),
	(21, 'durability', $$SET LOCAL synchronous_commit = off$$)) AS changes (n, about, change) ORDER BY n;

-- Where things are shown.
BEGIN;
INSERT INTO hdms_internal.outbox (jti, receiver, type, version_id, transport, awaited, expires_at) SELECT gen_random_uuid(), 'node', 'record', id, 'x', true, 'infinity'
	FROM hdms_internal.versions WHERE status = 'delivered' LIMIT 1;
INSERT INTO hdms_internal.inbox (transport, envelope, status, problem) VALUES ('x', 'envelope', 'quarantined', 'ended two attempts without an outcome');
INSERT INTO hdms_internal.lookups (subject, attempts, last_error) VALUES ('node:x', 3, 'connection refused');
INSERT INTO hdms_internal.refusals (transport, sender, type, reason) VALUES ('x', 'stranger', 'record', 'bad-signature');
INSERT INTO hdms_internal.events (id, kind, record, version_id, patient_ref, source_id, status, reason) SELECT 1, 'status', record, v.id, 'evidence', 'evidence/other', v.status, NULL
	FROM hdms_internal.versions v JOIN hdms_internal.records r USING (record) WHERE r.source_id = 'evidence/other';
SET ROLE hdms_admin;
SELECT direction, peer, type, record IS NOT NULL AS has_record, version, status, attempts, problem FROM hdms.deliveries ORDER BY direction COLLATE "C";
SELECT id, kind, record IS NOT NULL AS has_record, source_id, status, reason, version, patient_ref FROM hdms.events;
SELECT kind, name, problem FROM hdms.nodes;
SELECT display_name, status, is_notary FROM hdms.node;
ROLLBACK;
