-- Issuing and amending without a worker: what the EMR's own transaction writes.
\set SHOW_CONTEXT never
SET ROLE hdms_emr;
SELECT hdms.register_patient('amend-1');
SELECT hdms.register_patient('amend-2');

-- A record for a patient who is not paired waits for the patient.
SELECT hdms.issue('amend-1', '{"resourceType": "Observation", "valueQuantity": {"value": 7.10}}', 'lab/1') AS lab \gset
SELECT patient_ref, source_id, type, status, version, committed_versions FROM hdms.records WHERE record = :'lab';

-- The id is a UUID of version 7, with the time of now.
SELECT substr(:'lab', 15, 1) AS version, substr(:'lab', 20, 1) IN ('8', '9', 'a', 'b') AS rfc_9562,
	abs(extract(epoch FROM clock_timestamp()) * 1000 - ('x' || translate(substr(:'lab', 1, 13), '-', ''))::bit(48)::bigint) < 60000 AS is_now;

-- The same source_id and content again, differently spaced: the same record, nothing new.
SELECT hdms.issue('amend-1', '{ "resourceType":"Observation","valueQuantity":{"value":7.10} }', 'lab/1') = :'lab' AS same;
SELECT version FROM hdms.states WHERE record = :'lab';
-- Other content: a new version of the same record, which waits for the one before.
SELECT hdms.issue('amend-1', '{"resourceType": "Observation", "valueQuantity": {"value": 7.1}}', 'lab/1') = :'lab' AS same;
SELECT version, status FROM hdms.states WHERE record = :'lab' ORDER BY version;
-- The newest version's content again: nothing new; the first one's: back to it, as a third version.
SELECT hdms.amend(:'lab', '{"resourceType": "Observation", "valueQuantity": {"value": 7.1}}');
SELECT hdms.amend(:'lab', '{"resourceType": "Observation", "valueQuantity": {"value": 7.10}}');
SELECT version, status FROM hdms.states WHERE record = :'lab' ORDER BY version;

-- Another patient's source_id.
SELECT hdms.issue('amend-2', '{"resourceType": "Observation"}', 'lab/1');
-- Without a source_id each is a record of its own.
SELECT hdms.issue('amend-2', '{"a": 1}') <> hdms.issue('amend-2', '{"a": 1}') AS two_records;

-- Content comes back byte for byte: digits, spaces, order, escapes.
SELECT hdms.issue('amend-2', '{"z": 1234567890123456789012345678901234567890,  "a": 7.10, "e": 1E2, "m": -0.0, "n": "\u0000", "u": "\u00e4ä\/", "type": "sub"}') AS exact \gset
SELECT hdms.read(:'exact', 'treatment')::text;
-- Names that are claims elsewhere are plain names here.
SELECT hdms.issue('amend-2', '{"iss": 1, "sub": 2, "type": 3, "cnf": {}, "vk": null, "content": {"iat": 0}}') IS NOT NULL AS issued;
-- Versions are read by number; before anything is committed the newest counts.
SELECT hdms.read(:'lab', 'treatment')::text AS newest, hdms.read(:'lab', 'treatment', 2)::text AS second;

-- Rolled back means never issued.
BEGIN;
SELECT hdms.issue('amend-2', '{"rolled": "back"}', 'never') IS NOT NULL AS issued;
ROLLBACK;
SELECT count(*) FROM hdms.records WHERE source_id = 'never';

-- A type is named after FHIR only where it could be FHIR.
SELECT hdms.issue('amend-2', '{"resourceType": "Not a type!"}', 'type/1') IS NOT NULL AS issued;
SELECT hdms.issue('amend-2', '{"resourceType": 7}', 'type/2') IS NOT NULL AS issued;
SELECT source_id, type FROM hdms.records WHERE source_id LIKE 'type/%' ORDER BY 1;

-- What nobody has accepted yet has nothing to send again.
SELECT hdms.resend(:'lab');
SELECT check_name, ok, detail, version FROM hdms.verify(:'lab') ORDER BY version, check_name COLLATE "C";
RESET ROLE;

-- Nothing of a patient who is not paired is queued.
SELECT count(*) FROM hdms_internal.issue_queue;

-- A paired patient's record is queued at once; amendments follow what became of the version before.
UPDATE hdms_internal.patients SET status = 'paired', node_id = repeat('N', 43) WHERE patient_ref = 'amend-2';
SET ROLE hdms_emr;
SELECT hdms.issue('amend-2', '{"n": 1}', 'chain', accept_within => '2 hours') AS chain \gset
SELECT version, status, accept_within FROM hdms.states WHERE record = :'chain';
SELECT hdms.amend(:'chain', '{"n": 2}');
RESET ROLE;
SELECT v.ordinal, v.status, q.id IS NOT NULL AS queued FROM hdms_internal.versions v LEFT JOIN hdms_internal.issue_queue q ON q.version_id = v.id
	WHERE v.record = :'chain' ORDER BY 1;
DELETE FROM hdms_internal.issue_queue;

-- What ended lets the next go: for each way to end, amend and see.
CREATE FUNCTION pg_temp.amend_after(ended text, paired boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	made uuid;
	result text;
BEGIN
	UPDATE hdms_internal.patients SET status = CASE WHEN paired THEN 'paired' ELSE 'suspended' END WHERE patient_ref = 'amend-2';
	made := hdms.issue('amend-2', '{"n": 1}');
	UPDATE hdms_internal.versions SET status = ended WHERE record = made;
	PERFORM hdms.amend(made, '{"n": 2}');
	SELECT string_agg(v.status || CASE WHEN q.id IS NULL THEN '' ELSE ' (in the queue)' END, ', ' ORDER BY v.ordinal) INTO result
		FROM hdms_internal.versions v LEFT JOIN hdms_internal.issue_queue q ON q.version_id = v.id AND v.ordinal = 2 WHERE v.record = made;
	UPDATE hdms_internal.patients SET status = 'paired' WHERE patient_ref = 'amend-2';
	RETURN result;
END
$$;
SELECT ended, pg_temp.amend_after(ended, true) AS paired, pg_temp.amend_after(ended, false) AS not_paired
	FROM unnest(ARRAY['waiting_for_patient', 'queued', 'issued', 'delivered', 'committed', 'superseded', 'rejected', 'expired']) WITH ORDINALITY AS e (ended, n) ORDER BY n;
SELECT pg_temp.amend_after('erased', true);

-- Sending again: what is under way goes through the queue once more, what ended without the patient becomes a new version.
CREATE FUNCTION pg_temp.resend_after(was text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	made uuid := hdms.issue('amend-2', '{"n": 1}');
	first integer;
	second integer;
	result text;
BEGIN
	DELETE FROM hdms_internal.issue_queue;
	UPDATE hdms_internal.versions SET status = was WHERE record = made;
	first := hdms.resend(made);
	second := hdms.resend(made);
	SELECT string_agg(v.status || CASE WHEN q.id IS NULL THEN '' ELSE ' (in the queue)' END, ', ' ORDER BY v.ordinal) INTO result
		FROM hdms_internal.versions v LEFT JOIN hdms_internal.issue_queue q ON q.version_id = v.id WHERE v.record = made;
	RETURN first || ' ' || second || ': ' || result;
END
$$;
SELECT was, pg_temp.resend_after(was)
	FROM unnest(ARRAY['waiting_for_patient', 'issued', 'delivered', 'committed', 'rejected', 'expired']) WITH ORDINALITY AS e (was, n) ORDER BY n;
SELECT pg_temp.resend_after('erased');

-- The committed version is what is read, whatever was asked for since.
UPDATE hdms_internal.versions SET status = 'committed' WHERE record = :'chain' AND ordinal = 1;
SELECT hdms.read(:'chain', 'treatment')::text;

-- Who read what, for whom and why, is in the audit trail; a failed reading leaves nothing.
SET ROLE hdms_emr;
SET hdms.actor = 'dr. novak';
SELECT hdms.read(:'chain', 'second opinion on M''s')::text;
RESET hdms.actor;
SELECT hdms.read(:'chain', 'treatment', 99);
RESET ROLE;
SELECT role, actor, action, record = :'chain' AS is_chain, version, patient_ref, purpose FROM hdms.audit WHERE record = :'chain' ORDER BY id;
SELECT login = session_user AS is_login FROM hdms.audit LIMIT 1;
-- Who asked for a version stays with it.
SET hdms.actor = 'nurse';
SELECT hdms.amend(:'exact', '{"n": 3}');
RESET hdms.actor;
SELECT created_by, created_by = session_user AS is_login FROM hdms.states WHERE record = :'exact' ORDER BY version;

-- A function of the owner's cannot be led astray by objects of the caller.
CREATE SCHEMA stray;
CREATE FUNCTION stray.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped as %', current_user; END $$;
CREATE OPERATOR stray.= (LEFTARG = text, RIGHTARG = text, PROCEDURE = stray.trap);
CREATE TEMPORARY TABLE patients (patient_ref text, status text);
SET search_path = stray, pg_temp, pg_catalog;
SELECT hdms.issue('amend-1', '{"n": 1}', 'trap') IS NOT NULL AS issued;
SELECT count(*) FROM hdms.records WHERE source_id OPERATOR(pg_catalog.=) 'trap';
SELECT count(*) > 0 AS checked FROM hdms.doctor();
RESET search_path;
DROP SCHEMA stray CASCADE;

-- Confirming a pairing.
UPDATE hdms_internal.patients SET status = 'unconfirmed', node_id = repeat('O', 43), confirmation_code = '012345' WHERE patient_ref = 'amend-1';
SET ROLE hdms_emr;
SELECT hdms.confirm_patient('amend-1', '999999');
SELECT hdms.confirm_patient('amend-1', '012 345');
SELECT hdms.confirm_patient('amend-1', '012 345');
SELECT status, paired_at IS NOT NULL AS has_time FROM hdms.patients WHERE patient_ref = 'amend-1';
RESET ROLE;
