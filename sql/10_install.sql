-- What CREATE EXTENSION makes, and that all of it is as closed as it should be.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION hdms CASCADE;
RESET client_min_messages;

-- The public interface.
SELECT p.oid::regprocedure AS function, p.prosecdef AS runs_as_owner
	FROM pg_proc p WHERE p.pronamespace = 'hdms'::regnamespace ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'hdms'::regnamespace AND relkind NOT IN ('i', 'I', 'c') ORDER BY relname COLLATE "C";

-- The roles can do nothing by themselves.
SELECT rolname, rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS can_anything
	FROM pg_roles WHERE rolname LIKE 'hdms\_%' ORDER BY rolname COLLATE "C";

-- Everything belongs to hdms_owner. (No rows from here on.)
SELECT c.oid::regclass FROM pg_class c
	WHERE c.relnamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND c.relowner <> 'hdms_owner'::regrole;
SELECT p.oid::regprocedure FROM pg_proc p
	WHERE p.pronamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND p.proowner <> 'hdms_owner'::regrole;
SELECT nspname FROM pg_namespace WHERE nspname IN ('hdms', 'hdms_internal') AND nspowner <> 'hdms_owner'::regrole;

-- Nothing is open to everybody.
SELECT c.oid::regclass FROM pg_class c, aclexplode(c.relacl) a
	WHERE c.relnamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND a.grantee = 0;
SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	WHERE p.pronamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND a.grantee = 0;

-- Nothing that runs with the owner's rights looks names up where others can write.
SELECT p.oid::regprocedure FROM pg_proc p
	WHERE p.pronamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND p.prosecdef
		AND NOT p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'];

-- Each table is kept by a dump, and each sequence; each table has a primary key, and none has a trigger of its own.
SELECT c.oid::regclass FROM pg_class c, pg_extension e
	WHERE e.extname = 'hdms' AND c.relnamespace = 'hdms_internal'::regnamespace AND c.relkind IN ('r', 'S') AND NOT c.oid = ANY (e.extconfig);
SELECT c.oid::regclass FROM pg_class c
	WHERE c.relnamespace = 'hdms_internal'::regnamespace AND c.relkind = 'r'
		AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p');
SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
	WHERE c.relnamespace = 'hdms_internal'::regnamespace AND NOT t.tgisinternal;

-- Everything is commented on.
SELECT c.oid::regclass FROM pg_class c
	WHERE c.relnamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND c.relkind IN ('r', 'v')
		AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT p.oid::regprocedure FROM pg_proc p
	WHERE p.pronamespace IN ('hdms'::regnamespace, 'hdms_internal'::regnamespace) AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT nspname FROM pg_namespace WHERE nspname IN ('hdms', 'hdms_internal') AND obj_description(oid, 'pg_namespace') IS NULL;

-- The tables start empty: a restore brings the rows.
DO $$
DECLARE
	name regclass;
	has_rows boolean;
BEGIN
	FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'hdms_internal'::regnamespace AND relkind = 'r' LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO has_rows;
		IF has_rows THEN
			RAISE WARNING '% has rows', name;
		END IF;
	END LOOP;
END
$$;

-- A second database of the same cluster takes the roles as they are; a database that is not UTF-8 is refused,
-- and so is a role of that name that can do something.
CREATE DATABASE hdms_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\c hdms_latin1
SET client_min_messages = warning;
CREATE EXTENSION hdms CASCADE;
\c regression
DROP DATABASE hdms_latin1;
CREATE DATABASE hdms_second;
ALTER ROLE hdms_analyst LOGIN;
\c hdms_second
SET client_min_messages = warning;
CREATE EXTENSION hdms CASCADE;
ALTER ROLE hdms_analyst NOLOGIN;
CREATE EXTENSION hdms CASCADE;
SELECT count(*) FROM hdms.records;
\c regression
DROP DATABASE hdms_second;
