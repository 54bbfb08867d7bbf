-- Nothing in this script, nor in the bodies of its functions, may be resolved in a schema that somebody else can write to.
SET LOCAL search_path = pg_catalog, pg_temp;

-- What is signed is UTF-8, byte for byte: a database that converts would break every signature.
DO $database$
BEGIN
	IF current_setting('server_encoding') <> 'UTF8' THEN
		RAISE EXCEPTION 'HDMS needs a database in UTF8, this one is in %', current_setting('server_encoding')
			USING HINT = 'CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0';
	END IF;
END
$database$;
