-- The node's own keys: what they are, and asking for others. The worker carries out what is asked for.

CREATE FUNCTION hdms_internal.thumbprint(jwk json) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN rtrim(translate(encode(sha256(convert_to(CASE jwk ->> 'kty'
		WHEN 'EC' THEN format('{"crv":"%s","kty":"EC","x":"%s","y":"%s"}', jwk ->> 'crv', jwk ->> 'x', jwk ->> 'y')
		WHEN 'OKP' THEN format('{"crv":"%s","kty":"OKP","x":"%s"}', jwk ->> 'crv', jwk ->> 'x')
		ELSE format('{"e":"%s","kty":"RSA","n":"%s"}', jwk ->> 'e', jwk ->> 'n') END, 'UTF8')), 'base64'), '+/', '-_'), '=');
COMMENT ON FUNCTION hdms_internal.thumbprint(json) IS 'RFC 7638 thumbprint of a public key';

-- Reads the history that is stored; it was verified when it was made.
CREATE VIEW hdms.keys AS
	WITH entries AS (
		SELECT e.seq, convert_from(decode(rpad(p.payload, (length(p.payload) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::json AS claims
		FROM hdms_internal.node o
			CROSS JOIN LATERAL json_array_elements_text(o.history::json) WITH ORDINALITY AS e (jws, seq)
			CROSS JOIN LATERAL (SELECT translate(split_part(e.jws, '.', 2), '-_', '+/')) AS p (payload)
	), named AS (
		SELECT n.seq, k.key AS role, hdms_internal.thumbprint(k.value) AS kid FROM entries n CROSS JOIN LATERAL json_each(n.claims -> 'keys') AS k
	), spans AS (
		SELECT role, kid, min(seq) AS first, max(seq) AS last FROM named GROUP BY role, kid
	)
	SELECT CASE s.role WHEN 'sig' THEN 'signing' WHEN 'enc' THEN 'encryption' ELSE s.role END AS key, s.kid,
		to_timestamp((f.claims ->> 'iat')::bigint) AS since, to_timestamp((u.claims ->> 'iat')::bigint) AS until, r.revoked_since
	FROM spans s
		JOIN entries f ON f.seq = s.first
		LEFT JOIN entries u ON u.seq = s.last + 1
		LEFT JOIN LATERAL (SELECT to_timestamp(min((e.claims -> 'revoked' ->> s.kid)::bigint)) AS revoked_since FROM entries e
			WHERE e.claims -> 'revoked' ->> s.kid IS NOT NULL) r ON true;
COMMENT ON VIEW hdms.keys IS 'This node''s public keys, present and former';
COMMENT ON COLUMN hdms.keys.key IS 'signing, encryption, log, cosigner';
COMMENT ON COLUMN hdms.keys.kid IS 'thumbprint: the argument of hdms.revoke_key()';
COMMENT ON COLUMN hdms.keys.until IS 'when it was replaced; null: it is in use';
COMMENT ON COLUMN hdms.keys.revoked_since IS 'what it signed counts only if a notary witnessed it before';

CREATE VIEW hdms.key_changes AS
	SELECT c.id, c.kind, c.keys, c.kid, c.since,
		CASE WHEN c.problem IS NOT NULL THEN 'refused' WHEN c.made_at IS NULL THEN 'asked' WHEN c.registered_at IS NULL THEN 'made'
			WHEN c.resign_at IS NOT NULL AND c.resigned_at IS NULL THEN 'registered' ELSE 'done' END AS status,
		c.problem, c.asked_at, c.made_at, c.registered_at, c.resign_at, c.resigned_at
	FROM hdms_internal.key_changes c;
COMMENT ON VIEW hdms.key_changes IS 'Rotations, revocations and recoveries of this node''s keys';
COMMENT ON COLUMN hdms.key_changes.status IS
	'asked, made (the new keys are in the key directory), registered (the server has them; versions under way are still to be signed anew), done, refused';
COMMENT ON COLUMN hdms.key_changes.resign_at IS 'when versions that are not notarised yet are signed with the new key';

CREATE FUNCTION hdms_internal.change_keys(kind text, keys text[], kid text, since timestamptz) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own hdms_internal.node;
BEGIN
	SELECT * INTO own FROM hdms_internal.node FOR UPDATE;
	IF own.node_id IS NULL OR own.history IS NULL THEN
		RAISE EXCEPTION 'this database is not a node of a network'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call hdms.join_network() first.';
	END IF;
	IF EXISTS (SELECT FROM hdms_internal.key_changes c WHERE c.made_at IS NULL AND c.problem IS NULL AND c.kind = change_keys.kind
		AND c.keys = change_keys.keys AND c.kid IS NOT DISTINCT FROM change_keys.kid) THEN
		RETURN;
	END IF;
	-- Records are bound to the notary of their first version, and to the log key that the list had then.
	IF 'log' = ANY (keys) AND (own.is_notary OR own.wants_notary OR EXISTS (SELECT FROM hdms_internal.log_entries)) THEN
		RAISE EXCEPTION 'the log key of a notary cannot be replaced'
			USING ERRCODE = 'feature_not_supported',
				DETAIL = 'The records that it has notarised name the list of notaries with this key: their next versions could not be notarised.',
				HINT = 'If the key was stolen, have the network''s operator admit this node as no notary any more.';
	END IF;
	INSERT INTO hdms_internal.key_changes (kind, keys, kid, since) VALUES (change_keys.kind, change_keys.keys, change_keys.kid, change_keys.since);
	PERFORM hdms_internal.audit_write(CASE change_keys.kind WHEN 'rotate' THEN 'rotate keys' WHEN 'revoke' THEN 'revoke key' ELSE 'recover keys' END,
		NULL, NULL, coalesce(change_keys.kid, nullif(array_to_string(change_keys.keys, ', '), '')));
	PERFORM hdms_internal.wake_worker();
END
$$;
COMMENT ON FUNCTION hdms_internal.change_keys(text, text[], text, timestamptz) IS 'Asks the worker for other keys';

CREATE FUNCTION hdms.rotate_keys(keys text[] DEFAULT '{signing,encryption}') RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF keys IS NULL OR cardinality(keys) = 0 OR NOT keys <@ ARRAY['signing', 'encryption', 'log', 'cosigner'] THEN
		RAISE EXCEPTION 'keys must name keys of this node'
			USING ERRCODE = 'invalid_parameter_value', HINT = 'Keys are signing, encryption, log and cosigner.';
	END IF;
	PERFORM hdms_internal.change_keys('rotate', keys, NULL, NULL);
END
$$;
COMMENT ON FUNCTION hdms.rotate_keys(text[]) IS
	'Replaces keys of this node while everything goes on. The worker does it: hdms.key_changes shows how far it is';

CREATE FUNCTION hdms.revoke_key(kid text, since timestamptz DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at timestamptz := coalesce(revoke_key.since, clock_timestamp());
	own record;
BEGIN
	PERFORM hdms_internal.check_text(kid, 'kid', 43);
	SELECT * INTO own FROM hdms.keys k WHERE k.kid = revoke_key.kid;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'this node never had a key %', kid
			USING ERRCODE = 'undefined_object', HINT = 'SELECT * FROM hdms.keys;';
	END IF;
	IF at > clock_timestamp() THEN
		RAISE EXCEPTION 'since must not be in the future' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- HDMS_REVOCATION_REACH of history.h; a minute less, since the worker makes the entry a moment later.
	IF at < clock_timestamp() - interval '7 days' + interval '1 minute' THEN
		RAISE EXCEPTION 'a revocation cannot reach back further than seven days'
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'What was signed and witnessed longer ago than that stays valid, or a revocation would be a way to disown it.',
				HINT = 'Call it without since, or with a later time.';
	END IF;
	PERFORM hdms_internal.change_keys('revoke', CASE WHEN own.until IS NULL THEN ARRAY[own.key] ELSE '{}' END, kid, at);
END
$$;
COMMENT ON FUNCTION hdms.revoke_key(text, timestamptz) IS
	'Says that a key may be a thief''s: what it signed counts only if a notary witnessed it before. A key in use is replaced at once';

CREATE FUNCTION hdms.recover_keys() RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM hdms_internal.change_keys('recover', '{}', NULL, NULL);
END
$$;
COMMENT ON FUNCTION hdms.recover_keys() IS
	'Makes all keys anew with recovery.jwk, which was put back into the node''s folder: for a node whose keys are lost, or a thief''s';
