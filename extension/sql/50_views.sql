-- What can be looked at. The views run with hdms_owner's rights and show no content, no secret and no code.

CREATE VIEW hdms.node AS
	SELECT node_id, display_name, status, problem, server_url, network, wants_notary, is_notary, asked_at, joined_at
	FROM hdms_internal.node;
COMMENT ON VIEW hdms.node IS 'What this database is in the network';
COMMENT ON COLUMN hdms.node.status IS 'joining, pending (the operator decides), active, refused';
COMMENT ON COLUMN hdms.node.problem IS 'why it is not active, in words';
COMMENT ON COLUMN hdms.node.network IS 'fingerprint of the network key';

CREATE VIEW hdms.patients AS
	SELECT p.patient_ref, p.status, p.node_id, p.created_at, p.paired_at,
		i.status AS invitation_status, i.created_at AS invited_at, i.expires_at AS invitation_expires_at
	FROM hdms_internal.patients p
		LEFT JOIN LATERAL (SELECT * FROM hdms_internal.invitations n WHERE n.patient_ref = p.patient_ref
			ORDER BY n.created_at DESC LIMIT 1) i ON true;
COMMENT ON VIEW hdms.patients IS 'Patients that the EMR named, and whether a device is paired';
COMMENT ON COLUMN hdms.patients.status IS 'registered, invited, unconfirmed (see hdms.confirm_patient), paired, suspended (a second device used the invitation)';
COMMENT ON COLUMN hdms.patients.node_id IS 'the node of the patient''s device for this institution';
COMMENT ON COLUMN hdms.patients.invitation_status IS 'of the newest invitation: open, used, closed, expired';

CREATE VIEW hdms.records AS
	SELECT r.record, r.patient_ref, r.source_id, r.type, v.status, v.reason, v.ordinal AS version, r.committed AS committed_versions,
		r.created_at, v.created_at AS amended_at, v.accept_until,
		coalesce(r.retain_until, v.created_at + (SELECT k.keep FROM hdms_internal.retention_rules k WHERE r.type LIKE k.type_pattern
			ORDER BY pg_catalog.length(k.type_pattern) DESC, k.type_pattern LIMIT 1)) AS retain_until,
		r.replaces
	FROM hdms_internal.records r
		LEFT JOIN LATERAL (SELECT * FROM hdms_internal.versions w WHERE w.record = r.record
			ORDER BY w.ordinal DESC LIMIT 1) v ON true;
COMMENT ON VIEW hdms.records IS 'Records, each with its newest version';
COMMENT ON COLUMN hdms.records.type IS 'fhir/R4/ and the resource''s type, or json';
COMMENT ON COLUMN hdms.records.status IS 'of the newest version';
COMMENT ON COLUMN hdms.records.reason IS 'the patient''s reason of a rejection, or a machine''s word for what it waits for or why it ended';
COMMENT ON COLUMN hdms.records.version IS 'the newest version''s number, counted from 1 as the EMR asked for them';
COMMENT ON COLUMN hdms.records.committed_versions IS 'how many versions the patient accepted and a notary witnessed';
COMMENT ON COLUMN hdms.records.replaces IS 'the record that it continues, which was between another node of the patient and this one';
COMMENT ON COLUMN hdms.records.retain_until IS 'until when only an administrator may erase it: as hdms.issue() was told, else by hdms.retention_rules; null where neither says so';

CREATE VIEW hdms.states AS
	SELECT v.record, v.ordinal AS version, v.status, v.reason, v.version AS signed_version, v.vk, v.prev, v.notary, v.accept_within, v.accept_until,
		v.leaf_at, v.created_by, v.created_at, v.issued_at, v.delivered_at, v.ended_at
	FROM hdms_internal.versions v;
COMMENT ON VIEW hdms.states IS 'All versions of all records';
COMMENT ON COLUMN hdms.states.version IS 'counted from 1 as the EMR asked for them';
COMMENT ON COLUMN hdms.states.signed_version IS 'the number in the signed state: versions that never committed are not counted there';
COMMENT ON COLUMN hdms.states.vk IS 'verification key: SHA-256 of what the institution signed';
COMMENT ON COLUMN hdms.states.prev IS 'verification key of the committed version before';
COMMENT ON COLUMN hdms.states.notary IS 'node that witnessed it';
COMMENT ON COLUMN hdms.states.leaf_at IS 'when, by the notary''s clock';
COMMENT ON COLUMN hdms.states.created_by IS 'hdms.actor of the session that asked for it, where that was set, else its login';

CREATE VIEW hdms.nodes AS
	SELECT node_id, kind, name, pinned_at, checked_at, problem
	FROM hdms_internal.peers;
COMMENT ON VIEW hdms.nodes IS 'Other nodes that this one knows: institutions, notaries, patients'' devices';
COMMENT ON COLUMN hdms.nodes.problem IS 'a false key that the directory offered, in words';

CREATE VIEW hdms.directory_log AS
	SELECT size, checkpoint, followed_at, problem, problem_since
	FROM hdms_internal.directory_log;
COMMENT ON VIEW hdms.directory_log IS 'The log of the network''s directory as far as this node has followed it and found it right';
COMMENT ON COLUMN hdms.directory_log.checkpoint IS 'signed by the network key; of one size there must be one, whomever it is shown to';
COMMENT ON COLUMN hdms.directory_log.followed_at IS 'when it was compared last and nothing was wrong';
COMMENT ON COLUMN hdms.directory_log.problem IS 'how what is shown now contradicts it';

CREATE VIEW hdms.directory_evidence AS
	SELECT at, kind, node_id, detail, kept, offered
	FROM hdms_internal.directory_evidence;
COMMENT ON VIEW hdms.directory_evidence IS 'What the network''s directory did that it must not, with what it signed itself: for its operator and for everybody else';
COMMENT ON COLUMN hdms.directory_evidence.kind IS 'fork, restarted, false_key, hidden_key, unlogged_key, own_key_added, own_key_swapped, own_key_unlogged';
COMMENT ON COLUMN hdms.directory_evidence.kept IS 'the checkpoint up to which this node followed the log, signed by the network key';
COMMENT ON COLUMN hdms.directory_evidence.offered IS 'what contradicts it: another checkpoint, or the key history that was shown';

CREATE VIEW hdms.events AS
	SELECT e.id, e.at, e.kind, e.record, e.source_id, e.status, e.reason, v.ordinal AS version, e.patient_ref
	FROM hdms_internal.events e LEFT JOIN hdms_internal.versions v ON v.id = e.version_id;
COMMENT ON VIEW hdms.events IS 'What became of records, without gaps and in commit order: poll by id';
COMMENT ON COLUMN hdms.events.kind IS 'status: a version has that status now; others are about patients, messages and keys';

CREATE VIEW hdms.deliveries AS
	SELECT 'out' AS direction, o.id, o.receiver AS peer, o.type, v.record, v.ordinal AS version, o.status, o.attempts, o.next_try,
		o.created_at, o.expires_at, o.last_error AS problem
	FROM hdms_internal.outbox o LEFT JOIN hdms_internal.versions v ON v.id = o.version_id
	UNION ALL
	SELECT 'in', i.id, NULL, NULL, NULL, NULL, i.status, i.attempts, i.next_try, i.received_at, NULL, i.problem
	FROM hdms_internal.inbox i WHERE i.status <> 'discarded'
	UNION ALL
	SELECT 'lookup', NULL, l.subject, NULL, NULL, NULL, 'queued', l.attempts, l.next_try, NULL, NULL, l.last_error
	FROM hdms_internal.lookups l
	UNION ALL
	SELECT 'refused', f.id, f.sender, f.type, NULL, NULL, 'refused', NULL, NULL, f.at, NULL, f.reason
	FROM hdms_internal.refusals f;
COMMENT ON VIEW hdms.deliveries IS 'Messages that are under way, wait, were quarantined or refused, and questions to the directory';
COMMENT ON COLUMN hdms.deliveries.direction IS 'out, in, lookup (a question to the directory), refused (received and refused for good)';
COMMENT ON COLUMN hdms.deliveries.peer IS 'receiver; of a refused message the sender that it claimed';
COMMENT ON COLUMN hdms.deliveries.status IS 'queued, sent (not answered yet); new, waiting, quarantined; refused';
COMMENT ON COLUMN hdms.deliveries.problem IS 'the last error, or what it waits for';

CREATE VIEW hdms.quarantine AS
	SELECT i.transport, i.received_at, i.attempts, i.problem
	FROM hdms_internal.inbox i WHERE i.status = 'quarantined';
COMMENT ON VIEW hdms.quarantine IS 'Messages that ended two attempts without an outcome: for hdms.release_message() or hdms.discard_message()';
COMMENT ON COLUMN hdms.quarantine.transport IS 'id of the envelope, as in the server''s log and in hdms.events.reason';
COMMENT ON COLUMN hdms.quarantine.problem IS 'where acting on it failed';

CREATE VIEW hdms.witnesses AS
	SELECT split_part(w.origin, '/', 2) AS log, w.node_id AS witness, p.name, w.seen_size, w.cosigned_size, w.cosigned_at,
		CASE WHEN w.asked IS NOT NULL THEN w.asked_at END AS asked_at, w.problem, w.origin
	FROM hdms_internal.witnesses w LEFT JOIN hdms_internal.peers p ON p.node_id = w.node_id;
COMMENT ON VIEW hdms.witnesses IS 'Institutions that cosign the checkpoints of this node''s logs';
COMMENT ON COLUMN hdms.witnesses.log IS 'log: what this node promised as a notary; ledger: its own log';
COMMENT ON COLUMN hdms.witnesses.seen_size IS 'entries of the log in the checkpoint that the witness saw last';
COMMENT ON COLUMN hdms.witnesses.cosigned_at IS 'time of its newest cosignature, by its clock';
COMMENT ON COLUMN hdms.witnesses.asked_at IS 'since when it has not answered; NULL: nothing is owed';

CREATE VIEW hdms.forks AS
	SELECT f.id, f.at, f.kind, f.node_id, p.name, f.origin, f.told_by, f.seen, f.shown, f.evidence
	FROM hdms_internal.forks f LEFT JOIN hdms_internal.peers p ON p.node_id = f.node_id;
COMMENT ON VIEW hdms.forks IS 'Logs that contradicted themselves, with the evidence';
COMMENT ON COLUMN hdms.forks.kind IS 'two-trees (of one size), no-proof (a checkpoint that does not continue the one before), older-copy (this node''s database is older than its log), two-receipts (for one tag)';
COMMENT ON COLUMN hdms.forks.node_id IS 'whose log it is';
COMMENT ON COLUMN hdms.forks.told_by IS 'node that sent what contradicts';
COMMENT ON COLUMN hdms.forks.evidence IS 'for hdms-tool fork verify: proof to anyone; NULL where what was signed proves it only to who saw it';

CREATE VIEW hdms.workers AS
	SELECT database, pid, state, started_at, last_round, rounds, sent, received, refused, failures, last_error
	FROM hdms_internal.worker_status();
COMMENT ON VIEW hdms.workers IS 'The workers of this cluster''s databases';

-- The trail, and what the worker has not moved to it yet.
CREATE VIEW hdms.audit AS
	SELECT a.id, a.at, a.login, a.role, a.actor, a.action, a.record, v.ordinal AS version,
		coalesce(a.patient_ref, r.patient_ref) AS patient_ref, a.purpose, a.is_logged
	FROM (SELECT id, at, login, role, actor, action, record, version_id, patient_ref, purpose, true AS is_logged FROM hdms_internal.audit
		UNION ALL
		SELECT coalesce((SELECT max(m.id) FROM hdms_internal.audit m), 0) + row_number() OVER (ORDER BY q.id),
			q.at, q.login, q.role, q.actor, q.action, q.record, q.version_id, q.patient_ref, q.purpose, false
		FROM hdms_internal.audit_queue q) a
		LEFT JOIN hdms_internal.versions v ON v.id = a.version_id
		LEFT JOIN hdms_internal.records r ON r.record = a.record;
COMMENT ON VIEW hdms.audit IS 'Who did and read what, when and for what purpose';
COMMENT ON COLUMN hdms.audit.id IS 'without gaps and in commit order; of rows that are not in the node''s own log yet, not settled';
COMMENT ON COLUMN hdms.audit.is_logged IS 'whether the node''s own log has it: it cannot be changed or removed any more without being noticed';
COMMENT ON COLUMN hdms.audit.login IS 'session_user';
COMMENT ON COLUMN hdms.audit.role IS 'the role in force';
COMMENT ON COLUMN hdms.audit.purpose IS 'why, as the caller said; of messages, which one';
COMMENT ON COLUMN hdms.audit.actor IS 'hdms.actor: for whom the application said that it acted';
