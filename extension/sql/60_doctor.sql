-- hdms.doctor(): everything that an administrator would look at first, each with what to do about it.

CREATE FUNCTION hdms_internal.library_version() RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'hdms_fn_library_version';
COMMENT ON FUNCTION hdms_internal.library_version() IS 'The version of the library that this session has loaded';

CREATE FUNCTION hdms_internal.has_key_directory() RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'hdms_fn_has_key_directory';
COMMENT ON FUNCTION hdms_internal.has_key_directory() IS 'Whether hdms.key_directory is set';

CREATE FUNCTION hdms_internal.doctor_server(OUT check_name text, OUT status text, OUT detail text, OUT hint text) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	worker record;
	installed text;
	wrong text;
BEGIN
	check_name := 'library'; status := 'ok'; detail := 'the library is preloaded'; hint := NULL;
	IF NOT hdms_internal.is_preloaded() THEN
		status := 'fail'; detail := 'the library is not preloaded, so nothing is sent and nothing received';
		hint := 'Add hdms to shared_preload_libraries and restart PostgreSQL.';
	END IF;
	RETURN NEXT;

	SELECT extversion INTO installed FROM pg_extension WHERE extname = 'hdms';
	check_name := 'version'; status := 'ok'; detail := format('extension and library are version %s', installed); hint := NULL;
	IF installed <> hdms_internal.library_version() THEN
		status := 'fail'; detail := format('the extension is version %s, the running library %s', installed, hdms_internal.library_version());
		hint := 'ALTER EXTENSION hdms UPDATE, or restart PostgreSQL after an upgrade of the package.';
	END IF;
	RETURN NEXT;

	SELECT * INTO worker FROM hdms_internal.worker_status() w WHERE w.database = current_database();
	check_name := 'database'; status := 'ok'; detail := format('database %I is named in hdms.databases', current_database()); hint := NULL;
	IF pg_is_in_recovery() THEN
		status := 'warn'; detail := 'this server is a standby: records are sent by the primary';
	ELSIF worker IS NULL THEN
		status := 'fail'; detail := format('no worker is meant to serve database %I', current_database());
		hint := 'ALTER SYSTEM SET hdms.databases = ..., then SELECT pg_reload_conf().';
	END IF;
	RETURN NEXT;

	check_name := 'worker'; hint := NULL;
	detail := format('the worker is %s, its last round began %s', replace(worker.state, '_', ' '),
		coalesce(date_trunc('second', worker.last_round)::text, 'never'));
	status := CASE WHEN worker.state = 'active' THEN 'ok' WHEN worker.state IN ('joining', 'without_network', 'starting') THEN 'warn' ELSE 'fail' END;
	IF worker.state IS NULL THEN
		detail := 'there is no worker'; hint := 'The two checks above say why.';
	ELSIF worker.state IN ('active', 'joining') AND worker.last_round < clock_timestamp() - interval '5 minutes' THEN
		status := 'fail'; hint := 'It does not come round any more: look into the server''s log, and at pg_stat_activity for what it waits for.';
	END IF;
	IF worker.last_error IS NOT NULL THEN
		detail := format('%s; the last error was: %s', detail, worker.last_error);
		status := CASE WHEN status = 'ok' THEN 'warn' ELSE status END;
		hint := coalesce(hint, 'The server''s log has the whole story.');
	END IF;
	RETURN NEXT;

	check_name := 'keys'; status := 'ok'; detail := 'the private keys are there and belong to this database'; hint := NULL;
	IF NOT hdms_internal.has_key_directory() THEN
		status := 'fail'; detail := 'hdms.key_directory is not set';
		hint := 'Make a folder outside the data directory, owned by the server''s account, mode 0700; ALTER SYSTEM SET hdms.key_directory = ...';
	ELSIF worker.state = 'without_keys' THEN
		status := 'fail'; detail := coalesce(worker.last_error, 'the private keys cannot be used');
		hint := 'If this database was restored or copied and is to go on as the node, and no other: hdms.adopt_keys().';
	ELSIF worker.state IS DISTINCT FROM 'active' THEN
		status := 'warn'; detail := 'not known while the worker is not active';
	END IF;
	RETURN NEXT;

	check_name := 'durability'; status := 'ok'; detail := 'commits are durable'; hint := NULL;
	SELECT string_agg(s.name || ' = ' || s.setting, ', ') INTO wrong FROM pg_settings s
		WHERE s.name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND s.setting = 'off';
	IF wrong IS NOT NULL THEN
		status := CASE WHEN current_setting('fsync') = 'off' THEN 'fail' ELSE 'warn' END;
		detail := wrong; hint := 'A crash may lose records that the EMR believes stored. Turn it on.';
	END IF;
	RETURN NEXT;

	check_name := 'log'; status := 'ok'; detail := 'statements'' parameters are not logged'; hint := NULL;
	IF current_setting('log_parameter_max_length_on_error') <> '0'
		OR (current_setting('log_parameter_max_length') <> '0'
			AND (current_setting('log_statement') = 'all' OR current_setting('log_min_duration_statement') <> '-1'
				OR current_setting('log_min_duration_sample') <> '-1' OR current_setting('log_transaction_sample_rate') <> '0')) THEN
		status := 'warn'; detail := 'statements'' parameters, and with them health data, may get into the server''s log';
		hint := 'ALTER SYSTEM SET log_parameter_max_length = 0, and log_parameter_max_length_on_error = 0.';
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hdms_internal.doctor_server() IS 'The part of hdms.doctor() about this server';

-- others: notaries besides this node, who can be its witnesses.
CREATE FUNCTION hdms_internal.doctor_witnesses(others bigint, OUT check_name text, OUT status text, OUT detail text, OUT hint text)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted integer := current_setting('hdms.witnesses')::integer;
	fresh bigint;
	newest timestamptz;
	problem text;
BEGIN
	check_name := 'witnesses'; status := 'ok';
	SELECT min(c.n), max(c.last), max(c.problem) INTO fresh, newest, problem FROM
		(SELECT count(*) FILTER (WHERE w.cosigned_at > clock_timestamp() - interval '3 hours') AS n, max(w.cosigned_at) AS last,
			max(w.problem) AS problem FROM hdms_internal.witnesses w, hdms_internal.node n
			WHERE w.origin IN ('hdms.v1/log/' || n.node_id,
				'hdms.v1/ledger/' || n.node_id || CASE WHEN n.ledger_epoch > 1 THEN '/' || n.ledger_epoch ELSE '' END)
			GROUP BY w.origin) c;
	detail := format('%s witnesses cosign this node''s checkpoints, the newest cosignature is from %s', coalesce(fresh, 0),
		coalesce(date_trunc('second', newest)::text, 'never')) || coalesce('; ' || problem, '');
	IF wanted = 0 THEN
		status := 'warn'; detail := 'hdms.witnesses is 0: nobody cosigns this node''s checkpoints';
		hint := 'Without witnesses an older backup that is put back, or a log that was rewritten, is found by nobody. Set it to 2 or more.';
	ELSIF NOT EXISTS (SELECT FROM hdms_internal.log_checkpoints) AND NOT EXISTS (SELECT FROM hdms_internal.ledger_checkpoints) THEN
		detail := 'this node has no checkpoint yet that could be cosigned';
	ELSIF others < wanted THEN
		status := 'warn'; detail := format('%s witnesses are wanted, and %s other notaries are in the list; ', wanted, others) || detail;
		hint := 'The network''s operator admits more notaries; until then hdms.witnesses may be lowered.';
	ELSIF coalesce(fresh, 0) < wanted AND (problem IS NOT NULL
			OR EXISTS (SELECT FROM hdms_internal.node n WHERE n.joined_at < clock_timestamp() - interval '1 hour')
			OR EXISTS (SELECT FROM hdms_internal.witnesses w WHERE w.asked IS NOT NULL AND w.asked_at < clock_timestamp() - interval '15 minutes')) THEN
		status := 'warn'; detail := format('%s witnesses are wanted; ', wanted) || detail;
		hint := 'SELECT * FROM hdms.witnesses says who has not answered since when. Nothing waits for them.';
	END IF;
END
$$;
COMMENT ON FUNCTION hdms_internal.doctor_witnesses(bigint) IS 'The row of hdms.doctor() about cosignatures';

CREATE FUNCTION hdms_internal.doctor_network(OUT check_name text, OUT status text, OUT detail text, OUT hint text) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	own hdms_internal.node;
	change hdms_internal.key_changes;
	newest hdms_internal.notary_lists;
	watched hdms_internal.directory_log;
	restarted timestamptz;
	now_seconds bigint := extract(epoch FROM clock_timestamp())::bigint;
	payload text;
	others bigint;
	found bigint;
BEGIN
	SELECT * INTO own FROM hdms_internal.node;
	check_name := 'node'; hint := NULL;
	status := CASE own.status WHEN 'active' THEN 'ok' WHEN 'refused' THEN 'fail' ELSE 'warn' END;
	detail := format('"%s" is %s%s', own.display_name, own.status, ': ' || own.problem);
	IF own.status IS NULL THEN
		detail := 'this database has not joined a network'; hint := 'SELECT hdms.join_network(...)';
	ELSIF own.status = 'pending' THEN
		hint := format('The network''s operator admits it: hdms-server admit %s', own.node_id);
	ELSIF own.status = 'refused' THEN
		hint := 'Ask the network''s operator, then call hdms.join_network() again.';
	END IF;
	RETURN NEXT;

	SELECT * INTO change FROM hdms_internal.key_changes ORDER BY id DESC LIMIT 1;
	check_name := 'key changes'; status := 'ok'; hint := NULL; detail := 'no change of keys is under way';
	IF change.problem IS NOT NULL THEN
		status := 'fail'; detail := format('the last change of keys was refused: %s', change.problem);
		hint := 'Mend that, then ask for it again.';
	ELSIF change.asked_at < clock_timestamp() - interval '10 minutes' AND change.registered_at IS NULL THEN
		status := 'fail'; detail := format('new keys that were asked for at %s are not registered with the server', date_trunc('second', change.asked_at));
		hint := 'The worker does it; the checks above say what keeps it.';
	ELSIF change.id IS NOT NULL AND change.registered_at IS NULL THEN
		status := 'warn'; detail := 'new keys are being made and registered';
	END IF;
	RETURN NEXT;

	SELECT * INTO newest FROM hdms_internal.notary_lists ORDER BY iat DESC LIMIT 1;
	check_name := 'notary list'; status := 'ok'; hint := NULL;
	detail := format('the newest list is from %s', date_trunc('second', to_timestamp(newest.iat)));
	IF newest.digest IS NULL THEN
		status := CASE WHEN own.status = 'active' THEN 'fail' ELSE 'warn' END; detail := 'there is no list of notaries';
		hint := 'The worker fetches it from the server once the node is active; hdms.workers has its last error.';
	ELSIF newest.iat + newest.max_age < now_seconds THEN
		status := 'fail'; detail := detail || format(' and too old since %s', date_trunc('second', to_timestamp(newest.iat + newest.max_age)));
		hint := 'Nothing can be issued with it. The server signs a new one regularly: ask its operator.';
	END IF;
	RETURN NEXT;

	check_name := 'notaries'; status := 'ok'; hint := NULL;
	payload := translate(split_part(newest.jws, '.', 2), '-_', '+/');
	BEGIN
		payload := convert_from(decode(rpad(payload, (length(payload) + 3) / 4 * 4, '='), 'base64'), 'UTF8');
		SELECT count(*) INTO others FROM json_array_elements(payload::json -> 'notaries') n WHERE n ->> 'node' <> coalesce(own.node_id, '');
	EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
		others := 0;				-- what is stored is not a list any more
	END;
	detail := format('%s notaries can be drawn', others);
	IF others = 0 THEN
		status := CASE WHEN newest.digest IS NULL AND own.status IS DISTINCT FROM 'active' THEN 'warn' ELSE 'fail' END;
		detail := 'there is no notary besides this node, so nothing can be issued';
		hint := 'The network''s operator admits notaries: hdms-server admit NODE --notary';
	END IF;
	RETURN NEXT;

	check_name := 'clock'; status := 'ok'; hint := NULL; detail := 'nothing speaks against this machine''s clock';
	IF newest.iat > now_seconds + 300 THEN
		status := 'fail'; detail := format('the list of notaries is from the future by %s seconds', newest.iat - now_seconds);
		hint := 'This machine''s clock is behind: synchronise it. Requests that are off by 300 seconds are refused.';
	END IF;
	RETURN NEXT;

	SELECT count(*) INTO found FROM hdms_internal.peers WHERE problem IS NOT NULL;
	check_name := 'false keys'; status := 'ok'; hint := NULL; detail := 'the directory offered no key that a node''s history does not justify';
	IF found > 0 THEN
		status := 'fail'; detail := format('the directory offered false keys of %s nodes; they were not taken', found);
		hint := 'SELECT * FROM hdms.nodes WHERE problem IS NOT NULL; tell the network''s operator.';
	END IF;
	RETURN NEXT;

	check_name := 'directory log'; status := 'ok'; hint := NULL;
	SELECT * INTO watched FROM hdms_internal.directory_log;
	detail := format('the directory''s log was followed to leaf %s', watched.size);
	SELECT count(*) INTO found FROM hdms_internal.directory_evidence e
		WHERE e.at > clock_timestamp() - interval '30 days' AND e.kind NOT IN ('restarted', 'fork');
	SELECT max(e.at) INTO restarted FROM hdms_internal.directory_evidence e
		WHERE e.at > clock_timestamp() - interval '7 days' AND e.kind = 'restarted';
	IF watched.problem IS NOT NULL THEN
		status := 'fail'; detail := format('the directory''s log contradicts what it was: %s, since %s', watched.problem, date_trunc('second', watched.problem_since));
		hint := 'Until this ends no new node is believed. SELECT * FROM hdms.directory_evidence; tell the network''s operator and the other institutions.';
	ELSIF found > 0 THEN
		status := 'fail'; detail := format('the directory and its log contradicted each other about keys %s times in 30 days', found);
		hint := 'SELECT * FROM hdms.directory_evidence; tell the network''s operator and the other institutions.';
	ELSIF watched.size IS NULL THEN
		status := CASE WHEN own.status = 'active' AND own.joined_at < clock_timestamp() - interval '1 hour' THEN 'fail' ELSE 'warn' END;
		detail := 'the directory''s log was not followed yet'; hint := 'The worker does so once the node is active; hdms.workers has its last error.';
	ELSIF watched.followed_at < clock_timestamp() - greatest(interval '1 hour', 5 * make_interval(secs => extract(epoch FROM current_setting('hdms.directory_interval')::interval))) THEN
		status := 'warn'; detail := format('the directory''s log was not looked at since %s', date_trunc('second', watched.followed_at));
		hint := 'hdms.workers has the worker''s last error.';
	ELSIF restarted IS NOT NULL THEN
		status := 'warn'; detail := format('the directory began a new log at %s', date_trunc('second', restarted));
		hint := 'Its operator put back a backup, or lost the database: ask whether that is so. This warning ends after a week.';
	END IF;
	RETURN NEXT;

	check_name := 'signing'; status := 'ok'; hint := NULL; detail := 'nothing contradicts what this node signed before';
	IF own.halted IS NOT NULL THEN
		status := 'fail'; detail := 'this node has stopped signing: ' || own.halted;
		hint := 'An older copy of this database is running. Put back the newest backup, with all of the WAL after it. Only if there is none: hdms.accept_lost_ledger(reason); docs/dba.md, "A node that has stopped signing".';
	END IF;
	RETURN NEXT;

	RETURN QUERY SELECT * FROM hdms_internal.doctor_witnesses(others);

	SELECT count(*) INTO found FROM hdms_internal.forks;
	check_name := 'forks'; status := 'ok'; hint := NULL; detail := 'no log was seen to contradict itself';
	IF found > 0 THEN
		status := 'fail'; detail := format('%s contradictions in logs were seen and are kept as evidence', found);
		hint := 'SELECT * FROM hdms.forks; show them to the network''s operator.';
	END IF;
	RETURN NEXT;

	SELECT count(*) INTO found FROM hdms_internal.patients WHERE status = 'suspended';
	check_name := 'pairings'; status := 'ok'; hint := NULL; detail := 'no pairing is in doubt';
	IF found > 0 THEN
		status := 'warn'; detail := format('%s patients are suspended: a second device used their invitation', found);
		hint := 'SELECT * FROM hdms.patients WHERE status = ''suspended''; check the person, then invite them anew.';
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hdms_internal.doctor_network() IS 'The part of hdms.doctor() about this node and the network';

CREATE FUNCTION hdms_internal.doctor_deliveries(OUT check_name text, OUT status text, OUT detail text, OUT hint text) RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	found bigint;
	since timestamptz;
	problem text;
	-- Counting stops here: the doctor must not read a large backlog to the end.
	enough constant bigint := 100000;
BEGIN
	SELECT count(*), min(v.created_at), min(v.reason) INTO found, since, problem
		FROM (SELECT q.version_id FROM hdms_internal.issue_queue q ORDER BY q.id LIMIT enough) q
			JOIN hdms_internal.versions v ON v.id = q.version_id;
	check_name := 'issue queue'; status := 'ok'; hint := NULL; detail := 'nothing waits to be signed';
	IF found > 0 THEN
		detail := format('%s%s versions wait to be signed, the oldest since %s%s', CASE WHEN found = enough THEN 'at least ' ELSE '' END,
			found, date_trunc('second', since), '; reason: ' || problem);
		IF since < clock_timestamp() - interval '5 minutes' THEN
			status := 'warn'; hint := 'The other checks say why; hdms.workers shows whether the worker makes progress.';
		END IF;
	END IF;
	RETURN NEXT;

	SELECT count(*), min(o.created_at), max(o.last_error) INTO found, since, problem
		FROM (SELECT * FROM hdms_internal.outbox WHERE status = 'queued' LIMIT enough) o;
	check_name := 'outbox'; status := 'ok'; hint := NULL; detail := 'nothing waits to be sent';
	IF found > 0 THEN
		detail := format('%s%s messages wait to be sent, the oldest since %s%s', CASE WHEN found = enough THEN 'at least ' ELSE '' END,
			found, date_trunc('second', since), '; last error: ' || problem);
		IF since < clock_timestamp() - interval '5 minutes' THEN
			status := 'warn'; hint := 'SELECT * FROM hdms.deliveries WHERE direction = ''out'' AND status = ''queued'' ORDER BY created_at LIMIT 20';
		END IF;
	END IF;
	RETURN NEXT;

	SELECT count(*), min(o.created_at) INTO found, since
		FROM (SELECT * FROM hdms_internal.outbox WHERE status = 'sent' AND created_at < clock_timestamp() - interval '7 days' LIMIT enough) o;
	check_name := 'unanswered'; status := 'ok'; hint := NULL; detail := 'no message has been unanswered for a week';
	IF found > 0 THEN
		status := 'warn'; detail := format('%s messages have been unanswered for more than a week, the oldest since %s', found, date_trunc('second', since));
		hint := 'Devices that are switched off: SELECT DISTINCT peer FROM hdms.deliveries WHERE direction = ''out'' AND status = ''sent''';
	END IF;
	RETURN NEXT;

	SELECT count(*) INTO found FROM hdms_internal.inbox WHERE status = 'quarantined';
	check_name := 'quarantine'; status := 'ok'; hint := NULL; detail := 'no message was quarantined';
	IF found > 0 THEN
		status := 'warn'; detail := format('%s messages ended two attempts without an outcome and are kept aside', found);
		hint := 'SELECT * FROM hdms.quarantine; please report what the server''s log says about them. When the cause is mended: hdms.release_message(transport); to give one up: hdms.discard_message(transport, reason).';
	END IF;
	RETURN NEXT;

	SELECT count(*) INTO found FROM hdms_internal.inbox WHERE status = 'waiting' AND received_at < clock_timestamp() - interval '1 day';
	check_name := 'inbox'; status := 'ok'; hint := NULL; detail := 'no message has been waiting for a day';
	IF found > 0 THEN
		status := 'warn'; detail := format('%s messages have been waiting for more than a day', found);
		hint := 'SELECT * FROM hdms.deliveries WHERE direction = ''in'' AND status = ''waiting''';
	END IF;
	RETURN NEXT;

	SELECT count(*) INTO found FROM hdms_internal.refusals WHERE at > clock_timestamp() - interval '1 day';
	check_name := 'refusals'; status := 'ok'; hint := NULL; detail := 'no message was refused in the last day';
	IF found > 0 THEN
		status := 'warn'; detail := format('%s messages were refused in the last day', found);
		hint := 'SELECT * FROM hdms.deliveries WHERE direction = ''refused'' ORDER BY created_at DESC LIMIT 20';
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hdms_internal.doctor_deliveries() IS 'The part of hdms.doctor() about messages';

CREATE FUNCTION hdms.doctor(OUT check_name text, OUT status text, OUT detail text, OUT hint text) RETURNS SETOF record
	LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT * FROM hdms_internal.doctor_server()
	UNION ALL SELECT * FROM hdms_internal.doctor_network()
	UNION ALL SELECT * FROM hdms_internal.doctor_deliveries()
	UNION ALL SELECT * FROM hdms_internal.doctor_erasures()
$$;
COMMENT ON FUNCTION hdms.doctor() IS 'Checks everything that an administrator would look at first: ok, warn or fail, what was seen, and what to do';
