-- FHIR bundles and NDJSON become records: tests/data/fhir has one file for each person.
\set SHOW_CONTEXT never
\pset format unaligned
\getenv inputs PG_ABS_SRCDIR
\set file :inputs /tests/data/fhir/anna-bergstroem.json
\set anna `cat :'file'`
\set file :inputs /tests/data/fhir/tomasz-zielinski.json
\set tomasz `cat :'file'`
\set file :inputs /tests/data/fhir/mei-tanaka.ndjson
\set mei `cat :'file'`
SET ROLE hdms_emr;

-- A patient whom the EMR has not named: every entry says so.
SELECT problem, count(*) FROM hdms.import_bundle(:'anna') GROUP BY 1 ORDER BY 1;
SELECT hdms.register_patient('N-10021');

-- The patient is the one with the medical record number of the bundle's Patient.
SELECT entry, resource_type, record IS NOT NULL AS imported, problem FROM hdms.import_bundle(:'anna') ORDER BY 1;
SELECT source_id, type, status, version FROM hdms.records WHERE patient_ref = 'N-10021' ORDER BY source_id COLLATE "C";
-- The content is the resource as it was written, every digit and space.
SELECT hdms.read(record, 'test')::text FROM hdms.records WHERE source_id = 'Observation/anna-weight';

-- Importing again changes nothing, also when it was laid out anew; a changed resource becomes a new version.
SELECT count(*), sum(version) FROM hdms.records WHERE patient_ref = 'N-10021';
SELECT count(record) FROM hdms.import_bundle(:'anna');
SELECT count(record) FROM hdms.import_bundle(regexp_replace(:'anna', '\n +', '', 'g')::json, 'N-10021');
SELECT count(*), sum(version) FROM hdms.records WHERE patient_ref = 'N-10021';
SELECT count(record) FROM hdms.import_bundle(replace(:'anna', '84.30', '84.3')::json);
SELECT count(*), sum(version) FROM hdms.records WHERE patient_ref = 'N-10021';
SELECT hdms.read(record, 'test')::json -> 'valueQuantity' ->> 'value' AS value FROM hdms.records WHERE source_id = 'Observation/anna-weight';

-- The same resources for another patient.
SELECT hdms.register_patient('E-2207');
SELECT problem, count(*) FROM hdms.import_bundle(:'anna', 'E-2207') GROUP BY 1 ORDER BY 1;

-- Absolute and relative references; what is about somebody else stays out.
SELECT entry, resource_type, problem FROM hdms.import_bundle(:'tomasz') WHERE problem IS NOT NULL ORDER BY 1;
SELECT count(*) FROM hdms.records WHERE patient_ref = 'E-2207';

-- Lines.
SELECT hdms.register_patient('mei-tanaka');
SELECT entry, resource_type, problem FROM hdms.import_ndjson(:'mei') ORDER BY 1;
SELECT count(*), sum(version) FROM hdms.records WHERE patient_ref = 'mei-tanaka';
SELECT hdms.read(record, 'test')::json #>> '{name,0,text}' AS name FROM hdms.records WHERE source_id = 'Patient/mei-tanaka';
-- Broken lines are reported, the others taken; blank lines and Windows' line ends are no fault.
SELECT hdms.register_patient('lines');
SELECT entry, resource_type, record IS NOT NULL AS imported, problem FROM hdms.import_ndjson(
	E'\r\n{"resourceType": "Patient", "id": "lines"}\r\n\n'
	|| E'{"resourceType": "Goal", "id": "g", "subject": {"reference": "Patient/lines"}}\r\n'
	|| E'{"resourceType": "Goal", "id": "g", \n'
	|| E'[1]\n7\n{"id": "x"}\n{"resourceType": 7}\n'
	|| E'{"resourceType": "Goal", "subject": {"reference": "Patient/lines"}}\n'
	|| E'{"resourceType": "Goal", "id": "", "subject": {"reference": "Patient/lines"}}\n'
	|| E'{"resourceType": "Goal", "id": "dup", "id": "dup", "subject": {"reference": "Patient/lines"}}\n'
	|| E'{"resourceType": "Goal", "id": "sd", "_sd": [], "subject": {"reference": "Patient/lines"}}\n'
	|| '{"resourceType": "Goal", "id": "last", "subject": {"reference": "Patient/lines/_history/3"}}') ORDER BY 1;

-- Every way in which an entry of a bundle can be unfit.
CREATE FUNCTION pg_temp.bundle(entries text) RETURNS json LANGUAGE sql AS $$
	SELECT format('{"resourceType": "Bundle", "type": "transaction", "entry": [%s]}', entries)::json
$$;
SELECT entry, resource_type, record IS NOT NULL AS imported, problem FROM hdms.import_bundle(pg_temp.bundle($$
	{"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "lines"}},
	{},
	7,
	{"resource": []},
	{"resource": {"id": "without-type", "subject": {"reference": "urn:uuid:1"}}},
	{"resource": {"resourceType": "Unheard", "id": "1", "subject": {"reference": "urn:uuid:1"}}},
	{"resource": {"resourceType": "Flag", "id": "deleted", "subject": {"reference": "urn:uuid:1"}}, "request": {"method": "DELETE", "url": "Flag/deleted"}},
	{"resource": {"resourceType": "Flag", "subject": {"reference": "urn:uuid:1"}}},
	{"fullUrl": "urn:uuid:without-id", "resource": {"resourceType": "Flag", "subject": {"reference": "urn:uuid:1"}}},
	{"resource": {"resourceType": "Flag", "id": "no-subject"}},
	{"resource": {"resourceType": "Flag", "id": "display", "subject": {"display": "somebody"}}},
	{"resource": {"resourceType": "Flag", "id": "group", "subject": {"reference": "Group/1"}}},
	{"resource": {"resourceType": "Flag", "id": "other", "subject": {"reference": "Patient/other"}}},
	{"resource": {"resourceType": "Flag", "id": "typed", "subject": {"reference": "urn:uuid:2", "type": "Patient"}}},
	{"resource": {"resourceType": "Flag", "id": "prefix", "subject": {"reference": "Patient/lines2"}}},
	{"resource": {"resourceType": "Flag", "id": "elsewhere", "subject": {"reference": "https://elsewhere.example/Patient/lines"}}},
	{"resource": {"resourceType": "Observation", "id": "by-patient", "performer": [{"reference": "Practitioner/1"}, {"reference": "Patient/lines"}]}},
	{"resource": {"resourceType": "Observation", "id": "of-child", "subject": {"reference": "Patient/child"}, "performer": [{"reference": "Patient/lines"}]}},
	{"resource": {"resourceType": "Appointment", "id": "nested", "participant": [{"actor": {"reference": "Location/1"}}, {"actor": {"reference": "urn:uuid:1"}}]}},
	{"resource": {"resourceType": "CarePlan", "id": "deep", "activity": [{"detail": {"performer": [{"reference": "urn:uuid:1"}]}}]}},
	{"resource": {"resourceType": "Claim", "id": "payee", "payee": {"party": {"reference": "urn:uuid:1"}}}},
	{"resource": {"resourceType": "Coverage", "id": "coverage", "beneficiary": {"reference": "urn:uuid:1"}}},
	{"resource": {"resourceType": "Patient", "id": "child"}},
	{"resource": {"resourceType": "Flag", "id": "large", "subject": {"reference": "urn:uuid:1"}, "text": "$$ || repeat('x', 600000) || $$"}},
	{"resource": {"resourceType": "Flag", "id": "$$ || repeat('i', 600) || $$", "subject": {"reference": "urn:uuid:1"}}},
	{"resource": {"resourceType": "Flag", "id": "tab\tbed", "subject": {"reference": "urn:uuid:1"}}}$$), 'lines') ORDER BY 1;

-- Whose records these are cannot be guessed.
SELECT * FROM hdms.import_bundle(pg_temp.bundle('{"resource": {"resourceType": "Patient", "id": "a"}}, {"resource": {"resourceType": "Patient", "id": "b"}}'));
SELECT * FROM hdms.import_bundle(pg_temp.bundle('{"resource": {"resourceType": "Patient"}}'));
SELECT * FROM hdms.import_bundle(pg_temp.bundle('{"resource": {"resourceType": "Flag", "id": "1", "subject": {"reference": "Patient/1"}}}'));
-- Given whose they are, one name for the patient is enough, two are too many; the patient's own name decides.
SELECT entry, problem FROM hdms.import_bundle(pg_temp.bundle('{"resource": {"resourceType": "Flag", "id": "one", "subject": {"reference": "Patient/1"}}}'), 'lines');
SELECT entry, problem FROM hdms.import_bundle(pg_temp.bundle('{"resource": {"resourceType": "Flag", "id": "one", "subject": {"reference": "Patient/1"}}}, {"resource": {"resourceType": "Flag", "id": "two", "subject": {"reference": "Patient/2"}}}'), 'lines');
SELECT entry, problem FROM hdms.import_bundle(pg_temp.bundle('{"resource": {"resourceType": "Flag", "id": "3", "subject": {"reference": "Patient/1"}}}, {"resource": {"resourceType": "Flag", "id": "4", "subject": {"reference": "Patient/lines"}}}'), 'lines');

-- Entries keep their order as versions where one thing comes twice.
SELECT entry, problem FROM hdms.import_bundle(pg_temp.bundle('{"resource": {"resourceType": "Flag", "id": "twice", "n": 1, "subject": {"reference": "Patient/lines"}}}, {"resource": {"resourceType": "Flag", "id": "twice", "n": 2, "subject": {"reference": "Patient/lines"}}}'), 'lines');
SELECT version, hdms.read(record, 'test', version)::json ->> 'n' AS n FROM hdms.states JOIN hdms.records r USING (record, version)
	WHERE r.source_id = 'Flag/twice'
	UNION ALL SELECT 1, hdms.read(record, 'test', 1)::json ->> 'n' FROM hdms.records WHERE source_id = 'Flag/twice' ORDER BY 1;
RESET ROLE;
