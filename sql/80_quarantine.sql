-- What an administrator does about messages in quarantine; and that each person's act leaves a line in the audit trail.
\set SHOW_CONTEXT never
INSERT INTO hdms_internal.inbox (transport, envelope, status, attempts, problem) VALUES
	(repeat('a', 43), 'envelope a', 'quarantined', 2, 'SQLSTATE XX000 in somewhere'),
	(repeat('b', 43), 'envelope b', 'quarantined', 2, 'the server went down twice while it acted upon this message'),
	(repeat('c', 43), 'envelope c', 'waiting', 0, 'the sender is not known yet');

SET ROLE hdms_admin;
SELECT transport, received_at IS NOT NULL AS has_time, attempts, problem FROM hdms.quarantine ORDER BY transport COLLATE "C";
SELECT status, detail, hint FROM hdms.doctor() WHERE check_name = 'quarantine';

-- Only what is in quarantine, with a reason where something is given up.
SELECT hdms.release_message(repeat('c', 43));
SELECT hdms.discard_message(repeat('c', 43), 'impatience');
SELECT hdms.release_message(repeat('x', 43));
SELECT hdms.release_message(NULL);
SELECT hdms.release_message('');
SELECT hdms.discard_message(repeat('b', 43), NULL);
SELECT hdms.discard_message(repeat('b', 43), '  ');
SELECT hdms.discard_message(repeat('b', 43), repeat('long', 200));

SET hdms.actor = 'night shift';
SELECT hdms.release_message(repeat('a', 43));
SELECT hdms.release_message(repeat('a', 43));
SELECT hdms.discard_message(repeat('b', 43), 'reported as a defect');
SELECT hdms.discard_message(repeat('b', 43), 'once more');
SELECT hdms.release_message(repeat('b', 43));
RESET hdms.actor;
SELECT * FROM hdms.quarantine;
SELECT status, detail FROM hdms.doctor() WHERE check_name = 'quarantine';
SELECT direction, status, attempts, problem FROM hdms.deliveries WHERE direction IN ('in', 'refused') ORDER BY direction COLLATE "C", problem COLLATE "C";
SELECT role, actor, action, purpose FROM hdms.audit WHERE action LIKE '% message' ORDER BY id;
RESET ROLE;

-- What was released is due; of what was discarded only its id is left, so that its sender's repetition is known.
SELECT left(transport, 1) AS transport, status, attempts, next_try <= clock_timestamp() AS is_due, envelope FROM hdms_internal.inbox ORDER BY transport COLLATE "C";
INSERT INTO hdms_internal.inbox (transport, envelope) VALUES (repeat('b', 43), 'envelope b') ON CONFLICT (transport) DO NOTHING RETURNING status;
DELETE FROM hdms_internal.inbox;
DELETE FROM hdms_internal.refusals;

-- Nobody else.
SET ROLE hdms_emr;
SELECT hdms.release_message(repeat('a', 43));
SELECT hdms.discard_message(repeat('a', 43), 'x');
SELECT * FROM hdms.quarantine;
RESET ROLE;

-- Each function that changes something or shows content, called once by a person.
CREATE FUNCTION pg_temp.audited(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	last bigint := coalesce((SELECT max(id) FROM hdms.audit), 0);
	result text;
BEGIN
	EXECUTE statement;
	SELECT string_agg(concat_ws(' ', action, patient_ref, CASE WHEN record IS NOT NULL THEN 'record' END, purpose, 'by', actor), ', ' ORDER BY id) INTO result
		FROM hdms.audit WHERE id > last;
	RETURN coalesce(result, 'nothing');
END
$$;
SET hdms.actor = 'x';
INSERT INTO hdms_internal.vouchers (jti, voucher, expires_at) VALUES (gen_random_uuid(), 'voucher', clock_timestamp() + interval '60 days');
SELECT statement, pg_temp.audited(statement) AS leaves FROM (VALUES
	(1, $$SELECT hdms.register_patient('audit')$$),
	(2, $$SELECT hdms.register_patient('audit')$$),
	(3, $$SELECT hdms.issue('audit', '{"n": 1}', 'audit/1')$$),
	(4, $$SELECT hdms.issue('audit', '{"n": 1}', 'audit/1')$$),
	(5, $$SELECT hdms.issue('audit', '{"n": 2}', 'audit/1')$$),
	(6, $$SELECT hdms.amend(record, '{"n": 3}') FROM hdms.records WHERE source_id = 'audit/1'$$),
	(7, $$SELECT hdms.amend(record, '{"n": 3}') FROM hdms.records WHERE source_id = 'audit/1'$$),
	(8, $$SELECT hdms.resend(record) FROM hdms.records WHERE source_id = 'audit/1'$$),
	(9, $$SELECT hdms.read(record, 'treatment') FROM hdms.records WHERE source_id = 'audit/1'$$),
	(10, $$SELECT hdms.import_bundle('{"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p"}}, {"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Observation", "id": "o", "subject": {"reference": "urn:uuid:1"}}}]}', 'audit')$$),
	(11, $$SELECT hdms.import_ndjson('{"resourceType": "Patient", "id": "q"}', 'audit')$$),
	(12, $$SELECT hdms.import_ndjson('{"resourceType": "Patient", "id": "q"}', 'audit')$$),
	(13, $$SELECT hdms.export_evidence(record) FROM hdms.records WHERE source_id = 'evidence/committed'$$),
	(14, $$SELECT hdms.adopt_keys()$$)) AS calls (n, statement) ORDER BY n;
UPDATE hdms_internal.patients SET status = 'unconfirmed', confirmation_code = '123456', node_id = repeat('Q', 43) WHERE patient_ref = 'audit';
SELECT pg_temp.audited($$SELECT hdms.confirm_patient('audit', '123 456')$$);
-- What was rolled back leaves nothing.
BEGIN;
SELECT pg_temp.audited($$SELECT hdms.issue('audit', '{"n": 9}', 'audit/9')$$);
ROLLBACK;
SELECT count(*) FROM hdms.audit a JOIN hdms.records r USING (record) WHERE r.source_id = 'audit/9';
-- Where nothing can be written nothing is shown.
BEGIN READ ONLY;
SELECT hdms.read(record, 'treatment') FROM hdms.records WHERE source_id = 'audit/1';
ROLLBACK;
RESET hdms.actor;
