-- Messages that ended two attempts without an outcome: what an administrator does about them.
-- The server was told to forget them when they were quarantined, and the worker leaves them alone; so nothing here waits for either.

CREATE FUNCTION hdms_internal.quarantined_message(transport text) RETURNS bigint
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message hdms_internal.inbox;
BEGIN
	PERFORM hdms_internal.check_text(transport, 'transport', 43);
	SELECT * INTO message FROM hdms_internal.inbox i WHERE i.transport = quarantined_message.transport FOR UPDATE;
	IF message.status IS NULL OR message.status = 'discarded' THEN
		RAISE EXCEPTION 'unknown message "%"', transport
			USING ERRCODE = 'undefined_object', HINT = 'The view hdms.quarantine has the messages that were put aside.';
	ELSIF message.status <> 'quarantined' THEN
		RAISE EXCEPTION 'message "%" is not in quarantine', transport
			USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Its status is %s: the worker acts on it.', message.status);
	END IF;
	RETURN message.id;
END
$$;
COMMENT ON FUNCTION hdms_internal.quarantined_message(text) IS 'Locks a message in quarantine and gives its id; refuses any other';

CREATE FUNCTION hdms.release_message(transport text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message bigint := hdms_internal.quarantined_message(transport);
BEGIN
	UPDATE hdms_internal.inbox SET status = 'waiting', attempts = 0, next_try = clock_timestamp(), problem = 'released' WHERE id = message;
	PERFORM hdms_internal.audit_write('release message', NULL, NULL, format('message %s', transport));
	PERFORM hdms_internal.wake_worker();
END
$$;
COMMENT ON FUNCTION hdms.release_message(text) IS
	'Has a message from the quarantine tried again, with two attempts as if it were new. What became of it: hdms.events, hdms.deliveries';

-- The row stays without its envelope, for ever: whoever sent the message repeats it until it is answered or expires, and what is
-- known by its transport is acknowledged and dropped. There are as many as people decide about, one by one.
CREATE FUNCTION hdms.discard_message(transport text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message bigint := hdms_internal.quarantined_message(transport);
BEGIN
	PERFORM hdms_internal.check_text(btrim(reason), 'reason', 500);
	UPDATE hdms_internal.inbox SET status = 'discarded', envelope = '', problem = NULL WHERE id = message;
	INSERT INTO hdms_internal.refusals (transport, reason) VALUES (discard_message.transport, 'discarded: ' || discard_message.reason);
	PERFORM hdms_internal.audit_write('discard message', NULL, NULL, format('message %s: %s', transport, reason));
END
$$;
COMMENT ON FUNCTION hdms.discard_message(text, text) IS
	'Gives a message from the quarantine up for good. Its sender is not answered; the same envelope is not taken again';
