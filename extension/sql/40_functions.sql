-- What EMRs, staff and administrators call. Those in C are in fn_*.c.
-- All run as hdms_owner; who may call them is said in 80_rights.sql.

CREATE FUNCTION hdms_internal.audit_write(action text, record uuid, patient_ref text, purpose text) RETURNS void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'hdms_fn_audit';
COMMENT ON FUNCTION hdms_internal.audit_write(text, uuid, text, text) IS 'Writes a row of the audit trail';

CREATE FUNCTION hdms_internal.check_text(value text, name text, most integer) RETURNS void
	LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'hdms_fn_check_text';
COMMENT ON FUNCTION hdms_internal.check_text(text, text, integer) IS
	'Refuses an argument that is null, empty, longer than so many bytes, or has control characters';

CREATE FUNCTION hdms.join_network(server_url text, network text, display_name text, notary boolean DEFAULT false) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	url text := rtrim(server_url, '/');
	own hdms_internal.node;
BEGIN
	PERFORM hdms_internal.check_text(server_url, 'server_url', 500);
	PERFORM hdms_internal.check_text(network, 'network', 43);
	PERFORM hdms_internal.check_text(display_name, 'display_name', 200);
	IF url !~ '^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$' AND url !~ '^https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$' THEN
		RAISE EXCEPTION 'server_url is not the address of a server'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'It looks like https://hdms.example.org or http://127.0.0.1:8080, without a path.';
	END IF;
	-- 32 bytes in canonical base64url: the last of 43 characters carries four bits only.
	IF network !~ '^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$' THEN
		RAISE EXCEPTION 'network is not the fingerprint of a network key'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'It has 43 characters; the network''s operator publishes it.';
	END IF;
	IF notary IS NULL THEN
		RAISE EXCEPTION 'notary must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;

	INSERT INTO hdms_internal.node (server_url, network, display_name, wants_notary, status)
		VALUES (url, join_network.network, join_network.display_name, notary, 'joining')
		ON CONFLICT (singleton) DO NOTHING;
	IF NOT FOUND THEN
		SELECT * INTO own FROM hdms_internal.node FOR UPDATE;
		IF own.node_id IS NOT NULL AND (own.network <> join_network.network OR own.display_name <> join_network.display_name) THEN
			RAISE EXCEPTION 'this database is a node of a network already'
				USING ERRCODE = 'object_not_in_prerequisite_state',
					DETAIL = format('It is "%s" of network %s.', own.display_name, own.network),
					HINT = 'Only server_url and notary can change.';
		END IF;
		UPDATE hdms_internal.node SET server_url = url, network = join_network.network, display_name = join_network.display_name,
			wants_notary = notary, problem = NULL,
			status = CASE WHEN status = 'refused' THEN 'joining' ELSE status END;
	END IF;
	PERFORM hdms_internal.audit_write('join network', NULL, NULL, NULL);
	PERFORM hdms_internal.wake_worker();
END
$$;
COMMENT ON FUNCTION hdms.join_network(text, text, text, boolean) IS
	'Makes this database a node: the worker registers it with the server, whose operator admits it. network is the fingerprint of the network key';

CREATE FUNCTION hdms.register_patient(patient_ref text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM hdms_internal.check_text(patient_ref, 'patient_ref', 200);
	INSERT INTO hdms_internal.patients (patient_ref, status) VALUES (register_patient.patient_ref, 'registered')
		ON CONFLICT ON CONSTRAINT patients_pkey DO NOTHING;
	IF FOUND THEN
		PERFORM hdms_internal.audit_write('register', NULL, patient_ref, NULL);
	END IF;
END
$$;
COMMENT ON FUNCTION hdms.register_patient(text) IS
	'Makes a patient known, so that records can be issued that wait for the patient to be paired. Again: changes nothing';

CREATE FUNCTION hdms.invite_patient(patient_ref text, expires interval DEFAULT '15 minutes', replace boolean DEFAULT false) RETURNS text
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_invite_patient';
COMMENT ON FUNCTION hdms.invite_patient(text, interval, boolean) IS
	'A one-time URI, to be shown to the patient as a QR code, with which their device pairs with this institution. replace: for a patient who lost device and recovery kit: the new device takes the old one''s place, and the records continue on it';

CREATE FUNCTION hdms.confirm_patient(patient_ref text, code text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	patient hdms_internal.patients;
BEGIN
	PERFORM hdms_internal.check_text(patient_ref, 'patient_ref', 200);
	PERFORM hdms_internal.check_text(code, 'code', 20);
	SELECT * INTO patient FROM hdms_internal.patients p WHERE p.patient_ref = confirm_patient.patient_ref FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown patient "%"', patient_ref
			USING ERRCODE = 'undefined_object', HINT = 'Call hdms.invite_patient() first.';
	ELSIF patient.status = 'paired' THEN
		RETURN;
	ELSIF patient.status <> 'unconfirmed' THEN
		RAISE EXCEPTION 'patient "%" has no pairing to confirm', patient_ref
			USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('The patient''s status is %s.', patient.status),
				HINT = 'The code appears on the patient''s screen once the device has used the invitation.';
	ELSIF patient.confirmation_code IS DISTINCT FROM regexp_replace(code, '[^0-9]', '', 'g') THEN
		RAISE EXCEPTION 'this is not the code on the screen of patient "%"', patient_ref
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'If the patient reads it so, somebody else''s device may have used the invitation: do not confirm.';
	END IF;
	UPDATE hdms_internal.patients p SET status = 'paired', confirmation_code = NULL, paired_at = coalesce(p.paired_at, clock_timestamp())
		WHERE p.patient_ref = confirm_patient.patient_ref;
	PERFORM hdms_internal.audit_write('confirm', NULL, patient_ref, NULL);
	PERFORM hdms_internal.wake_worker();
END
$$;
COMMENT ON FUNCTION hdms.confirm_patient(text, text) IS
	'Lets records flow after the code on the patient''s screen was compared, where hdms.require_confirmation is on';

CREATE FUNCTION hdms.issue(patient_ref text, content json, source_id text DEFAULT NULL, accept_within interval DEFAULT NULL,
	retain_until timestamptz DEFAULT NULL) RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_issue';
COMMENT ON FUNCTION hdms.issue(text, json, text, interval, timestamptz) IS
	'Issues a record to a patient when this transaction commits. The same source_id and content again: the same record; other content: a new version of it. retain_until: not to be erased before; never made earlier';

CREATE FUNCTION hdms.amend(record uuid, content json) RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_amend';
COMMENT ON FUNCTION hdms.amend(uuid, json) IS
	'Issues a new version of a record and returns its number. The newest version''s content again: changes nothing';

CREATE FUNCTION hdms.resend(record uuid) RETURNS integer
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_resend';
COMMENT ON FUNCTION hdms.resend(uuid) IS
	'Sends the newest version once more; one that was rejected or has expired is asked for anew, as a new version. Returns the version''s number';

CREATE FUNCTION hdms.import_bundle(bundle json, patient_ref text DEFAULT NULL,
	OUT entry integer, OUT resource_type text, OUT record uuid, OUT problem text) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_import_bundle';
COMMENT ON FUNCTION hdms.import_bundle(json, text) IS
	'Issues the resources of a FHIR Bundle that are about the patient. One row for each entry, counted from 1: the record, or why there is none';

CREATE FUNCTION hdms.import_ndjson(lines text, patient_ref text DEFAULT NULL,
	OUT entry integer, OUT resource_type text, OUT record uuid, OUT problem text) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_import_ndjson';
COMMENT ON FUNCTION hdms.import_ndjson(text, text) IS
	'Issues FHIR resources, one a line, that are about the patient. One row for each line, counted from 1: the record, or why there is none';

CREATE FUNCTION hdms.read(record uuid, purpose text, version integer DEFAULT NULL) RETURNS json
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_read';
COMMENT ON FUNCTION hdms.read(uuid, text, integer) IS
	'The exact content of a record: of the committed version, of the newest where none was committed, or of the one asked for. Audited';

CREATE FUNCTION hdms.verify(record uuid, OUT check_name text, OUT ok boolean, OUT detail text, OUT version integer) RETURNS SETOF record
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_verify';
COMMENT ON FUNCTION hdms.verify(uuid) IS
	'Recomputes everything about a record from its stored bytes. ok is null where it cannot be said yet, version is null for what concerns all of them';

CREATE FUNCTION hdms.export_evidence(record uuid) RETURNS json
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'hdms_fn_export_evidence';
COMMENT ON FUNCTION hdms.export_evidence(uuid) IS
	'A record with everything that anybody needs to check it offline, from the fingerprint of the network key alone. Contains the content. Audited';
