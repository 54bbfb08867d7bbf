-- Roles belong to the cluster, not to the database: made only where they are missing, and refused where
-- somebody already uses the name for something that can log in or is superuser.
DO $roles$
DECLARE
	wanted text;
	existing pg_roles;
BEGIN
	FOREACH wanted IN ARRAY ARRAY['hdms_owner', 'hdms_admin', 'hdms_emr', 'hdms_analyst', 'hdms_worker'] LOOP
		SELECT * INTO existing FROM pg_roles WHERE rolname = wanted;
		IF NOT FOUND THEN
			EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
			EXECUTE format('COMMENT ON ROLE %I IS %L', wanted, CASE wanted
				WHEN 'hdms_owner' THEN 'HDMS: owns its objects; nobody is meant to be a member'
				WHEN 'hdms_admin' THEN 'HDMS: runs the node, sees its condition and the audit trail, no content'
				WHEN 'hdms_emr' THEN 'HDMS: issues and reads records'
				WHEN 'hdms_analyst' THEN 'HDMS: asks for data'
				ELSE 'HDMS: its worker; nobody is meant to be a member' END);
		ELSIF existing.rolsuper OR existing.rolcanlogin OR existing.rolcreaterole OR existing.rolcreatedb OR existing.rolreplication
			OR existing.rolbypassrls THEN
			RAISE EXCEPTION 'role "%" exists with attributes that HDMS must not have', wanted
				USING HINT = 'Rename that role, or make it NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS.';
		END IF;
	END LOOP;
END
$roles$;
