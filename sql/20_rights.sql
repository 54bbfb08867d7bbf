-- Each role tries what it may not do.
CREATE ROLE test_emr LOGIN IN ROLE hdms_emr;
CREATE ROLE test_admin LOGIN IN ROLE hdms_admin;
CREATE ROLE test_analyst LOGIN IN ROLE hdms_analyst;
CREATE ROLE test_nobody LOGIN;

-- What each role may call and see, as the privileges say.
SELECT p.oid::regprocedure AS function,
		has_function_privilege('hdms_emr', p.oid, 'EXECUTE') AS emr,
		has_function_privilege('hdms_admin', p.oid, 'EXECUTE') AS admin,
		has_function_privilege('hdms_analyst', p.oid, 'EXECUTE') AS analyst,
		has_function_privilege('test_nobody', p.oid, 'EXECUTE') AS nobody
	FROM pg_proc p WHERE p.pronamespace = 'hdms'::regnamespace ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass AS view,
		has_table_privilege('hdms_emr', c.oid, 'SELECT') AS emr,
		has_table_privilege('hdms_admin', c.oid, 'SELECT') AS admin,
		has_table_privilege('hdms_analyst', c.oid, 'SELECT') AS analyst,
		has_table_privilege('test_nobody', c.oid, 'SELECT') AS nobody
	FROM pg_class c WHERE c.relnamespace = 'hdms'::regnamespace AND c.relkind = 'v' ORDER BY c.relname COLLATE "C";

-- Nobody but the owner and the worker touches a table, and nobody writes to a view. (No rows.)
SELECT c.oid::regclass, r.rolname FROM pg_class c, pg_roles r
	WHERE c.relnamespace = 'hdms_internal'::regnamespace AND c.relkind = 'r' AND r.rolname IN ('hdms_emr', 'hdms_admin', 'hdms_analyst', 'test_nobody')
		AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');
SELECT c.oid::regclass, r.rolname FROM pg_class c, pg_roles r
	WHERE c.relnamespace = 'hdms'::regnamespace AND c.relkind = 'v' AND r.rolname IN ('hdms_emr', 'hdms_admin', 'hdms_analyst', 'test_nobody')
		AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');

-- The EMR has no business with the node, with deliveries, the audit trail, or the tables.
SET ROLE test_emr;
SELECT hdms.join_network('http://127.0.0.1:1', repeat('A', 43), 'x');
SELECT hdms.adopt_keys();
SELECT * FROM hdms.doctor();
SELECT * FROM hdms.deliveries;
SELECT * FROM hdms.audit;
SELECT * FROM hdms.workers;
SELECT * FROM hdms_internal.payloads;
INSERT INTO hdms_internal.audit (login, role, action) VALUES ('a', 'b', 'c');
SELECT hdms_internal.audit_write('read', NULL, NULL, NULL);
SET ROLE hdms_owner;
RESET ROLE;

-- The administrator sees no content, and issues nothing.
SET ROLE test_admin;
SELECT hdms.read('018bcfe5-6800-7000-8000-000000000000', 'curiosity');
SELECT hdms.export_evidence('018bcfe5-6800-7000-8000-000000000000');
SELECT hdms.issue('p', '{}');
SELECT hdms.import_bundle('{}');
SELECT hdms.invite_patient('p');
SELECT * FROM hdms_internal.payloads;
SELECT * FROM hdms_internal.invitations;
DELETE FROM hdms.audit;
SELECT count(*) FROM hdms.workers;
RESET ROLE;

-- The analyst sees which node this is, and no patient.
SET ROLE test_analyst;
SELECT count(*) FROM hdms.node;
SELECT * FROM hdms.patients;
SELECT * FROM hdms.records;
SELECT * FROM hdms.events;
SELECT hdms.read('018bcfe5-6800-7000-8000-000000000000', 'research');
RESET ROLE;

SET ROLE test_nobody;
SELECT * FROM hdms.node;
SELECT hdms.doctor();
RESET ROLE;

-- No view has a column with content, secrets or codes. (No rows.)
SELECT a.attrelid::regclass, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'hdms'::regnamespace AND c.relkind = 'v' AND a.attnum > 0
		AND (a.attname ~ '(content|secret|code|voucher|envelope|payload|history|acceptance|receipt)' OR a.atttypid IN ('json'::regtype, 'jsonb'::regtype, 'bytea'::regtype));

DROP ROLE test_emr, test_admin, test_analyst, test_nobody;
