-- The whole ledger, verified.

CREATE FUNCTION hdms_internal.record_failures(record uuid, OUT version integer, OUT check_name text, OUT detail text) RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL SAFE COST 100000 ROWS 1 AS 'MODULE_PATHNAME', 'hdms_fn_record_failures';
COMMENT ON FUNCTION hdms_internal.record_failures(uuid) IS
	'The checks of a record that failed, then a row without a check that has the number of its signed versions';

CREATE FUNCTION hdms_internal.ledger_entry_failures(index bigint, OUT record uuid, OUT check_name text, OUT detail text) RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL SAFE COST 1000 ROWS 1 AS 'MODULE_PATHNAME', 'hdms_fn_ledger_entry_failures';
COMMENT ON FUNCTION hdms_internal.ledger_entry_failures(bigint) IS
	'A row where the rows that an entry of the node''s own log covers are not those that it promises';

CREATE FUNCTION hdms.verify_ledger(patient_ref text DEFAULT NULL, since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
	sample double precision DEFAULT NULL, resume boolean DEFAULT false,
	OUT record uuid, OUT version integer, OUT check_name text, OUT detail text) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_verify_ledger';
COMMENT ON FUNCTION hdms.verify_ledger(text, timestamptz, timestamptz, double precision, boolean) IS
	'Verifies all records, or those of a patient, issued since and before a time, or a sample in percent: the checks that failed, then a summary. With parallel workers; resume goes on where the last one was interrupted';

CREATE FUNCTION hdms_internal.verification_status(
	OUT state text, OUT pid integer, OUT started_at timestamptz, OUT updated_at timestamptz, OUT "position" uuid,
	OUT records bigint, OUT states bigint, OUT failures bigint) RETURNS SETOF record
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'hdms_verification_status';
COMMENT ON FUNCTION hdms_internal.verification_status() IS 'How far the newest verification of this database''s ledger came';

CREATE VIEW hdms.verification AS
	SELECT state, pid, started_at, updated_at, "position", records, states, failures
	FROM hdms_internal.verification_status();
COMMENT ON VIEW hdms.verification IS 'The newest hdms.verify_ledger() of this database since the server started: running, interrupted or complete, and how far it came';
COMMENT ON COLUMN hdms.verification."position" IS 'the last record that was verified: records are taken in the order of their ids';
COMMENT ON COLUMN hdms.verification.states IS 'signed versions of those records';
COMMENT ON COLUMN hdms.verification.failures IS 'checks that failed so far';
