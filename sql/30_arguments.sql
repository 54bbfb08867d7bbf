-- Bad arguments: each error says what is wrong with which argument, and none repeats content.
\set SHOW_CONTEXT never
SET ROLE hdms_emr;
SELECT hdms.register_patient('p-1');
SELECT hdms.register_patient('p-1');

-- patients
SELECT hdms.register_patient('');
SELECT hdms.register_patient(NULL);
SELECT hdms.register_patient(repeat('x', 201));
SELECT hdms.register_patient(E'a\nb');
SELECT hdms.issue('nobody', '{"secret": "content"}');
SELECT hdms.issue('', '{}');
SELECT hdms.issue(NULL, '{}');
SELECT hdms.issue(repeat('ä', 300), '{}');

-- content: not an object
SELECT hdms.issue('p-1', NULL);
SELECT hdms.issue('p-1', '[1, 2]');
SELECT hdms.issue('p-1', '"text"');
SELECT hdms.issue('p-1', '7');
SELECT hdms.issue('p-1', 'null');
-- PostgreSQL's own check of JSON repeats what it read. DETAIL and CONTEXT go to the log with log_error_verbosity = default.
\set VERBOSITY terse
SELECT hdms.issue('p-1', '');
SELECT hdms.issue('p-1', '{"a": ');
\set VERBOSITY default

-- content: duplicates, also after unescaping, also deep down
SELECT hdms.issue('p-1', '{"a": 1, "a": 2}');
SELECT hdms.issue('p-1', '{"a": 1, "\u0061": 2}');
SELECT hdms.issue('p-1', '{"deep": [{"down": {"b": 1, "b": 1}}]}');
-- a lone surrogate
SELECT hdms.issue('p-1', '{"a": "\ud800"}');

-- content: reserved members at any depth, however they are written
SELECT hdms.issue('p-1', '{"_sd": ["x"]}');
SELECT hdms.issue('p-1', '{"a": {"_sd_alg": "sha-256"}}');
SELECT hdms.issue('p-1', '{"a": [{"...": "x"}]}');
SELECT hdms.issue('p-1', '{"\u005fsd": 1}');

-- content: too large, too deep, too many members
SELECT hdms.issue('p-1', json_build_object('a', repeat('x', 10 * 1024 * 1024)));
SELECT hdms.issue('p-1', json_build_object('a', repeat('x', 524288 - 9)));
SELECT hdms.issue('p-1', (repeat('{"a":', 65) || '1' || repeat('}', 65))::json);
SELECT hdms.issue('p-1', (SELECT json_object_agg('m' || i, i) FROM generate_series(1, 1025) i));

-- just within the limits
SELECT hdms.issue('p-1', json_build_object('a', repeat('x', 524288 - 10))) IS NOT NULL AS issued;
SELECT hdms.issue('p-1', (repeat('{"a":', 64) || '1' || repeat('}', 64))::json) IS NOT NULL AS issued;
SELECT hdms.issue('p-1', (SELECT json_object_agg('m' || i, i) FROM generate_series(1, 1024) i)) IS NOT NULL AS issued;
SELECT hdms.issue('p-1', '{}') IS NOT NULL AS issued;

-- source_id and accept_within
SELECT hdms.issue('p-1', '{}', '');
SELECT hdms.issue('p-1', '{}', repeat('s', 501));
SELECT hdms.issue('p-1', '{}', E'a\tb');
SELECT hdms.issue('p-1', '{}', repeat('s', 500)) IS NOT NULL AS issued;
SELECT hdms.issue('p-1', '{}', accept_within => '0 seconds');
SELECT hdms.issue('p-1', '{}', accept_within => '-1 day');
SELECT hdms.issue('p-1', '{}', accept_within => '2 years');
SELECT hdms.issue('p-1', '{}', accept_within => '366 days') IS NOT NULL AS issued;

-- records
SELECT hdms.amend('018bcfe5-6800-7000-8000-000000000000', '{}');
SELECT hdms.amend(NULL, '{}');
SELECT hdms.amend('018bcfe5-6800-7000-8000-000000000000', '[]');
SELECT hdms.resend('018bcfe5-6800-7000-8000-000000000000');
SELECT hdms.resend(NULL);
SELECT hdms.read('018bcfe5-6800-7000-8000-000000000000', 'treatment');
SELECT hdms.read(record, '') FROM hdms.records LIMIT 1;
SELECT hdms.read(record, NULL) FROM hdms.records LIMIT 1;
SELECT hdms.read(record, 'treatment', 9) FROM hdms.records LIMIT 1;
SELECT hdms.verify('018bcfe5-6800-7000-8000-000000000000');
SELECT hdms.export_evidence('018bcfe5-6800-7000-8000-000000000000');
SELECT hdms.export_evidence(record) FROM hdms.records LIMIT 1;

-- imports
SELECT hdms.import_bundle(NULL);
SELECT hdms.import_bundle('{}');
SELECT hdms.import_bundle('[]');
SELECT hdms.import_bundle('{"resourceType": "Patient"}');
SELECT hdms.import_bundle('{"resourceType": "Bundle", "type": "document", "entry": []}');
SELECT hdms.import_bundle('{"resourceType": "Bundle", "type": "batch", "entry": {}}');
SELECT hdms.import_bundle('{"resourceType": "Bundle", "type": "batch", "type": "batch"}');
SELECT hdms.import_bundle('{"resourceType": "Bundle", "type": "batch", "entry": []}');
SELECT hdms.import_ndjson(NULL);
SELECT hdms.import_ndjson('');

-- pairing, where there is no network
SELECT hdms.invite_patient('p-1');
SELECT hdms.invite_patient('p-1', '30 seconds');
SELECT hdms.invite_patient('p-1', '8 days');
SELECT hdms.invite_patient('');
SELECT hdms.confirm_patient('p-1', '123456');
SELECT hdms.confirm_patient('nobody', '123456');
SELECT hdms.confirm_patient('p-1', '');
RESET ROLE;

-- joining
SET ROLE hdms_admin;
SELECT hdms.join_network('hdms.example.org', repeat('A', 43), 'Clinic');
SELECT hdms.join_network('https://hdms.example.org/path', repeat('A', 43), 'Clinic');
SELECT hdms.join_network('https://user:word@hdms.example.org', repeat('A', 43), 'Clinic');
SELECT hdms.join_network('https://hdms.example.org', 'A', 'Clinic');
SELECT hdms.join_network('https://hdms.example.org', repeat('A', 42) || 'B', 'Clinic');
SELECT hdms.join_network('https://hdms.example.org', repeat('A', 43), '');
SELECT hdms.join_network('https://hdms.example.org', repeat('A', 43), NULL);
SELECT hdms.join_network('https://hdms.example.org', repeat('A', 43), 'Clinic', NULL);
SELECT hdms.adopt_keys();

-- Until the node has an identity everything can be corrected; then its name and its network stay.
BEGIN;
SELECT hdms.join_network('https://hdms.example.org/', repeat('A', 43), 'Clinic');
SELECT hdms.join_network('https://hdms.example.org:8443', repeat('E', 43), 'The Clinic', true);
SELECT server_url, network, display_name, status, wants_notary FROM hdms.node;
RESET ROLE;
UPDATE hdms_internal.node SET node_id = repeat('I', 43), status = 'active';
SET ROLE hdms_admin;
SELECT hdms.join_network('http://127.0.0.1:8080', repeat('E', 43), 'The Clinic', true);
SELECT server_url, status FROM hdms.node;
SAVEPOINT joined;
SELECT hdms.join_network('https://hdms.example.org', repeat('A', 43), 'The Clinic');
ROLLBACK TO joined;
SELECT hdms.join_network('https://hdms.example.org', repeat('E', 43), 'Clinic');
ROLLBACK TO joined;
-- Active, but nobody signs vouchers here.
SET ROLE hdms_emr;
SELECT hdms.invite_patient('p-1');
ROLLBACK;

-- What went wrong left nothing behind.
SELECT patient_ref, status FROM hdms.patients ORDER BY 1;
SELECT version, status, count(*) FROM hdms.records GROUP BY 1, 2;
