-- Logs of other nodes that this one witnesses, and what an administrator decides about them.

-- What was seen is forgotten, not believed: the log begins anew in the eyes of this witness. The evidence stays.
CREATE FUNCTION hdms.witness_again(origin text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM hdms_internal.check_text(witness_again.origin, 'origin', 127);
	PERFORM hdms_internal.check_text(btrim(reason), 'reason', 500);
	DELETE FROM hdms_internal.witnessed w WHERE w.origin = witness_again.origin AND w.barred;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'log "%" is not one that this node has stopped to cosign', witness_again.origin
			USING ERRCODE = 'undefined_object', HINT = 'The view hdms.forks has the logs that contradicted themselves.';
	END IF;
	PERFORM hdms_internal.audit_write('witness again', NULL, NULL, format('log %s: %s', witness_again.origin, reason));
END
$$;
COMMENT ON FUNCTION hdms.witness_again(text, text) IS
	'Lets this node cosign a log again that contradicted itself, as if it had never seen it. The evidence stays in hdms.forks';
