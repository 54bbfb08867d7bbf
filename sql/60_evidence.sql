-- Verifying and exporting records that were signed by real keys: tests/data/evidence.sql.
\set SHOW_CONTEXT never
\pset format unaligned
\getenv inputs PG_ABS_SRCDIR
\set file :inputs /tests/data/evidence.sql
SET client_min_messages = warning;
DELETE FROM hdms_internal.node;
\set ECHO none
\i :file
\set ECHO all
SELECT record FROM hdms.records WHERE source_id = 'evidence/committed' \gset
SELECT id AS first_id FROM hdms_internal.versions WHERE record = :'record' AND ordinal = 1 \gset
SELECT id AS second_id FROM hdms_internal.versions WHERE record = :'record' AND ordinal = 3 \gset
SELECT p.id AS other_id FROM hdms_internal.payloads p JOIN hdms_internal.versions v USING (id) JOIN hdms_internal.records r USING (record)
	WHERE r.source_id = 'evidence/other' \gset

SET ROLE hdms_emr;
SELECT * FROM hdms.verify(:'record') ORDER BY version NULLS FIRST, check_name COLLATE "C";
SELECT bool_and(ok) FROM hdms.verify((SELECT record FROM hdms.records WHERE source_id = 'evidence/other'));
-- A first version whose evidence came after its successor's stands alone, and is right by itself.
SELECT version, check_name, ok FROM hdms.verify((SELECT record FROM hdms.records WHERE source_id = 'evidence/overtaken'))
	WHERE version IS NOT NULL OR NOT ok ORDER BY version, check_name COLLATE "C";
SELECT version, status, signed_version, leaf_at IS NOT NULL AS witnessed FROM hdms.states WHERE record = :'record' ORDER BY version;

-- The committed version is what is read, though a newer one is under way.
SELECT hdms.read(:'record', 'treatment')::text;

-- The evidence file has the committed versions, and what is needed to check them.
SELECT hdms.export_evidence(:'record') AS evidence \gset
SELECT name FROM json_object_keys(:'evidence') AS name ORDER BY name COLLATE "C";
SELECT :'evidence'::json ->> 'record' = :'record' AS is_record, json_array_length(:'evidence'::json -> 'versions') AS versions;
RESET ROLE;
SELECT action, purpose FROM hdms.audit WHERE record = :'record' ORDER BY id;

-- Whatever is altered in the tables, verification says what is wrong. Each is taken back.
CREATE FUNCTION pg_temp.failures_after(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE change;
	SELECT string_agg(check_name || coalesce(' ' || version, '') || ': ' || detail, '; ' ORDER BY version NULLS FIRST, check_name COLLATE "C") INTO result
		FROM hdms.verify((SELECT record FROM hdms.records WHERE source_id = 'evidence/committed')) WHERE NOT ok;
	RAISE 'take it back' USING ERRCODE = 'HD000';
EXCEPTION WHEN SQLSTATE 'HD000' THEN
	RETURN coalesce(result, 'NOTHING WAS NOTICED');
END
$$;
-- the projection
SELECT pg_temp.failures_after(format($$UPDATE hdms_internal.payloads SET content = replace(content::text, '7.20', '7.2')::json WHERE id = %s$$, :second_id));
-- the projection and its digest
SELECT pg_temp.failures_after(format($$WITH p AS (UPDATE hdms_internal.payloads SET content = '{"n":1}' WHERE id = %1$s)
	UPDATE hdms_internal.versions SET content_digest = sha256('{"n":1}') WHERE id = %1$s$$, :second_id));
-- a disclosure, in a version that was committed, and in one on its way
SELECT pg_temp.failures_after(format($$UPDATE hdms_internal.payloads SET state = regexp_replace(state, '~W([^~])', '~X\1') WHERE id = %s$$, :second_id));
SELECT pg_temp.failures_after($$UPDATE hdms_internal.payloads p SET state = regexp_replace(state, '~W([^~])', '~X\1') FROM hdms_internal.versions v
	WHERE v.id = p.id AND v.status = 'delivered'$$);
-- the signed part of the state
SELECT pg_temp.failures_after(format($$UPDATE hdms_internal.payloads SET state = overlay(state PLACING CASE substr(state, 120, 1) WHEN 'A' THEN 'B' ELSE 'A' END FROM 120 FOR 1) WHERE id = %s$$, :first_id));
-- another record's acceptance, request, receipt
SELECT part, pg_temp.failures_after(format($$UPDATE hdms_internal.payloads p SET %1$I = o.%1$I FROM hdms_internal.payloads o WHERE p.id = %2$s AND o.id = %3$s$$,
	part, :second_id, :other_id)) FROM unnest(ARRAY['acceptance', 'request', 'receipt', 'state']) WITH ORDINALITY AS parts (part, n) ORDER BY n;
-- a part is missing
SELECT part, pg_temp.failures_after(format($$UPDATE hdms_internal.payloads SET %I = NULL WHERE id = %s$$, part, :second_id))
	FROM unnest(ARRAY['acceptance', 'request', 'receipt']) WITH ORDINALITY AS parts (part, n) ORDER BY n;
-- the first version is gone: the second does not stand alone; the second is gone, as if it had never been
SELECT pg_temp.failures_after(format($$DELETE FROM hdms_internal.versions WHERE id = %s$$, :first_id));
SELECT pg_temp.failures_after(format($$DELETE FROM hdms_internal.versions WHERE id = %s$$, :second_id));
-- the columns
SELECT name, pg_temp.failures_after(format($$UPDATE hdms_internal.versions SET %s WHERE id = %s$$, change, :second_id)) FROM (VALUES
	(1, 'vk', $$vk = repeat('A', 43)$$), (2, 'prev', 'prev = NULL'), (3, 'version', 'version = 9'), (4, 'notary', $$notary = repeat('A', 43)$$),
	(5, 'leaf_at', $$leaf_at = leaf_at + interval '1 second'$$), (6, 'digest', $$content_digest = sha256('')$$), (7, 'status', $$status = 'rejected'$$)) AS changes (n, name, change) ORDER BY n;
-- the rejection
SELECT pg_temp.failures_after($$UPDATE hdms_internal.payloads p SET rejection = overlay(rejection PLACING 'AAAA' FROM length(rejection) - 40 FOR 4) FROM hdms_internal.versions v
	WHERE v.id = p.id AND v.status = 'rejected'$$);
-- keys, lists, admission
SELECT pg_temp.failures_after($$UPDATE hdms_internal.node SET network = repeat('A', 43)$$);
SELECT pg_temp.failures_after($$UPDATE hdms_internal.node SET network_key = '{}'$$);
SELECT pg_temp.failures_after($$UPDATE hdms_internal.node SET admission = NULL$$);
SELECT pg_temp.failures_after($$UPDATE hdms_internal.node SET admission = history$$);
SELECT pg_temp.failures_after($$UPDATE hdms_internal.node SET history = '[]'$$);
SELECT pg_temp.failures_after($$DELETE FROM hdms_internal.peers$$);
SELECT pg_temp.failures_after($$DELETE FROM hdms_internal.notary_lists$$);
SELECT pg_temp.failures_after($$DELETE FROM hdms_internal.node$$);

-- Nothing of that was left, and the evidence of a record without its keys is not written.
SELECT count(*) FROM hdms.verify(:'record') WHERE NOT ok;
BEGIN;
DELETE FROM hdms_internal.peers;
SELECT hdms.export_evidence(:'record');
ROLLBACK;
