-- Roles belong to the cluster, not to the database: made only where they are missing, and refused where
-- somebody already uses the name for something that can log in or is superuser.
DO $roles$
DECLARE
	name text;
	found pg_catalog.pg_roles;
BEGIN
	FOREACH name IN ARRAY ARRAY['hdms_owner', 'hdms_admin', 'hdms_emr', 'hdms_analyst', 'hdms_worker'] LOOP
		SELECT * INTO found FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) name;
		IF NOT FOUND THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', name);
		ELSIF found.rolsuper OR found.rolcanlogin OR found.rolcreaterole OR found.rolcreatedb OR found.rolreplication OR found.rolbypassrls THEN
			RAISE EXCEPTION 'role "%" exists with attributes that HDMS must not have', name
				USING HINT = 'Rename that role, or make it NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS.';
		END IF;
	END LOOP;
END
$roles$;
