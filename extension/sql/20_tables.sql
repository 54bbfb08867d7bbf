-- The tables. All are closed to everybody but the functions of the schema hdms and the worker.
-- No triggers, no circular foreign keys, no seed rows, a primary key each: dump and restore depend on it.
-- records, versions and payloads have no foreign keys: they are written by one statement and never deleted by another,
-- and the three checks were a quarter of what hdms.issue() cost.

-- What this database is in the network: one row, made by hdms.join_network(), completed by the worker.
CREATE TABLE hdms_internal.node (
	singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	server_url text NOT NULL,
	network text NOT NULL,				-- fingerprint of the network key
	display_name text NOT NULL,
	wants_notary boolean NOT NULL,
	status text NOT NULL CHECK (status IN ('joining', 'pending', 'active', 'refused')),
	node_id text,
	history text,						-- own key history, JSON array
	admission text,
	network_key text,					-- JWK
	is_notary boolean NOT NULL DEFAULT false,
	epoch text,							-- the server's, as seen last
	problem text,						-- why it is not active, in words
	halted text,						-- why nothing is signed any more, in words: this database contradicts what was signed before
	adopt boolean NOT NULL DEFAULT false,	-- hdms.adopt_keys() was called; the worker clears it
	registered_entries integer NOT NULL DEFAULT 0,	-- of the key history: as many the server has had
	ledger_accept text,					-- hdms.accept_lost_ledger() was called, and why; the worker clears it
	ledger_epoch bigint NOT NULL DEFAULT 1,	-- of this node's own log: a new one begins where a part of the log was lost
	reads_told bigint,					-- up to which row of the audit trail patients were told; NULL while that is off
	asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	joined_at timestamptz
);

-- Rotations, revocations and recoveries of the node's keys: asked for by functions, carried out by the worker.
CREATE TABLE hdms_internal.key_changes (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('rotate', 'revoke', 'recover')),
	keys text[] NOT NULL,				-- to be replaced; once made: that were
	kid text,							-- revoked key
	since timestamptz,					-- its signatures count only before that
	asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	made_at timestamptz,				-- the history that names the new keys is stored
	entries integer,					-- its length
	registered_at timestamptz,			-- the server has it
	resign_at timestamptz,				-- when versions under way are signed anew; null: the signing key is the same
	resigned_at timestamptz,			-- all of them were
	problem text						-- why it was refused
);

-- Other nodes, as pinned: a history here is only ever continued.
CREATE TABLE hdms_internal.peers (
	node_id text PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('institution', 'person')),
	name text NOT NULL,
	history text NOT NULL,
	pinned_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	checked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	problem text						-- a false key that the directory offered, in words
);

-- What the worker wants to know from the directory: 'node:ID' or 'list:DIGEST'.
CREATE TABLE hdms_internal.lookups (
	subject text PRIMARY KEY,
	attempts integer NOT NULL DEFAULT 0,
	next_try timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_error text
);

CREATE TABLE hdms_internal.notary_lists (
	digest text PRIMARY KEY,
	jws text NOT NULL,
	iat bigint NOT NULL,
	max_age bigint NOT NULL
);

-- The log of the network's directory as far as it was followed and came out as promised: one row.
CREATE TABLE hdms_internal.directory_log (
	singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	generation bigint NOT NULL,
	size bigint NOT NULL,				-- leaves
	peaks bytea NOT NULL,				-- the complete subtrees of that tree, 32 bytes each, largest first
	checkpoint text NOT NULL,			-- signed by the network key
	followed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	problem text,						-- how what is shown now contradicts it
	problem_since timestamptz
);

-- Key entries of all nodes in that log; those from directory_log.size on are not covered by a checkpoint yet.
CREATE TABLE hdms_internal.directory_leaves (
	index bigint PRIMARY KEY,
	subject bytea NOT NULL,				-- SHA-256 of the node id
	seq bigint NOT NULL,				-- number of the entry in that node's history
	statement bytea NOT NULL			-- SHA-256 of what is signed of the entry
);
CREATE INDEX directory_leaves_subject ON hdms_internal.directory_leaves (subject);
CREATE INDEX peers_subject ON hdms_internal.peers (pg_catalog.sha256(CAST(node_id AS bytea)));

-- What was found wrong with the directory, with the checkpoints that prove it.
CREATE TABLE hdms_internal.directory_evidence (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	kind text NOT NULL,
	node_id text,						-- where it is about a node's keys
	kept text,							-- checkpoint of what was followed
	offered text,						-- what contradicts it: a checkpoint, or a key history
	detail text
);

-- Vouchers that the worker signed in advance, for hdms.invite_patient() to take.
CREATE TABLE hdms_internal.vouchers (
	jti uuid PRIMARY KEY,
	voucher text NOT NULL,
	expires_at timestamptz NOT NULL
);

CREATE TABLE hdms_internal.patients (
	patient_ref text PRIMARY KEY,
	node_id text UNIQUE,
	status text NOT NULL CHECK (status IN ('registered', 'invited', 'unconfirmed', 'paired', 'suspended')),
	confirmation_code text,				-- while unconfirmed
	paired_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Who has paired since the worker looked last.
CREATE INDEX patients_paired_at ON hdms_internal.patients (paired_at);

CREATE TABLE hdms_internal.invitations (
	invitation uuid PRIMARY KEY,		-- = the voucher's jti
	patient_ref text NOT NULL REFERENCES hdms_internal.patients,
	secret bytea,						-- 16 bytes; gone when it is no longer needed
	status text NOT NULL CHECK (status IN ('open', 'used', 'closed', 'expired')),
	wrong_attempts integer NOT NULL DEFAULT 0,
	used_by text,						-- node id
	replaces text,						-- node id of the lost device that a new one is to take the place of
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	expires_at timestamptz NOT NULL
);
CREATE INDEX invitations_patient_ref ON hdms_internal.invitations (patient_ref);
CREATE INDEX invitations_secret ON hdms_internal.invitations (expires_at) WHERE secret IS NOT NULL;

CREATE TABLE hdms_internal.records (
	record uuid PRIMARY KEY,
	patient_ref text NOT NULL,
	source_id text UNIQUE,
	type text NOT NULL,
	committed integer NOT NULL DEFAULT 0,	-- number of committed versions = version of the current state
	retain_until timestamptz,			-- as hdms.issue() was told; else the rules say how long it is kept
	replaces uuid,						-- the record that it continues: the patient had another node then
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX records_patient_ref ON hdms_internal.records (patient_ref);
CREATE UNIQUE INDEX records_replaces ON hdms_internal.records (replaces) WHERE replaces IS NOT NULL;

-- Versions as the EMR asked for them, in order. "version" is the number in the signed state: set when it is signed.
CREATE TABLE hdms_internal.versions (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	record uuid NOT NULL,
	ordinal integer NOT NULL,			-- 1, 2, ... in the order of asking
	content_digest bytea NOT NULL,		-- SHA-256 of the content without insignificant white space; empty once erased: it could be guessed from
	status text NOT NULL CHECK (status IN ('waiting_for_patient', 'waiting_for_previous', 'queued', 'issued', 'delivered',
										   'committed', 'rejected', 'expired', 'superseded', 'erased')),
	accept_within interval NOT NULL,
	version integer,
	vk text UNIQUE,
	prev text,							-- vk
	notary text,						-- node id, of the receipt
	accept_until timestamptz,
	leaf_at timestamptz,				-- the notary's time
	reason text,						-- of a rejection; a machine's word for other ends
	created_by text NOT NULL DEFAULT coalesce(nullif(pg_catalog.current_setting('hdms.actor', true), ''), SESSION_USER),	-- hdms.actor where it is set, else the login
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	issued_at timestamptz,
	delivered_at timestamptz,
	ended_at timestamptz,				-- committed, rejected or expired
	UNIQUE (record, ordinal)
);
-- What still moves is found through this; committed rows leave it.
CREATE INDEX versions_open ON hdms_internal.versions (accept_until)
	WHERE status IN ('issued', 'delivered');
CREATE INDEX versions_waiting ON hdms_internal.versions (record)
	WHERE status IN ('waiting_for_patient', 'waiting_for_previous');
CREATE INDEX versions_waiting_id ON hdms_internal.versions (id)
	WHERE status IN ('waiting_for_patient', 'waiting_for_previous');

-- The bytes of a version. Apart, so that the rows above stay narrow.
CREATE TABLE hdms_internal.payloads (
	id bigint PRIMARY KEY,				-- of the version
	content json,						-- the projection; the signed truth is in "state". NULL: erased, like "state"
	state text,							-- SD-JWT with all disclosures
	commit text,						-- JWS, until it is inside "request"
	acceptance text,
	request text,
	receipt text,
	rejection text
);

-- Signatures of versions that were signed anew because the signing key was replaced: evidence for one of them may still come.
CREATE TABLE hdms_internal.former_states (
	vk text PRIMARY KEY,
	version_id bigint NOT NULL,
	version integer NOT NULL,
	prev text,
	accept_until timestamptz NOT NULL,
	state text							-- gone when the version has its evidence
);
CREATE INDEX former_states_version_id ON hdms_internal.former_states (version_id) WHERE state IS NOT NULL;
ALTER TABLE hdms_internal.former_states ALTER COLUMN state SET STORAGE EXTERNAL;

-- Versions to sign and send. Written by issue(), emptied by the worker; claims start at a low-water id.
CREATE TABLE hdms_internal.issue_queue (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	version_id bigint NOT NULL
);

-- How long records are kept whose own time was not told.
CREATE TABLE hdms_internal.retention_rules (
	type_pattern text PRIMARY KEY,		-- of LIKE; the longest that fits counts
	keep interval NOT NULL,				-- from when the newest version was asked for
	set_by text NOT NULL,
	set_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Records that are to be erased, and those that were.
CREATE TABLE hdms_internal.erasures (
	record uuid PRIMARY KEY,
	status text NOT NULL CHECK (status IN ('asked', 'erased')),
	before_end boolean NOT NULL,		-- before its time was over
	reason text,						-- in the words of who asked, and only here: they can say as much as the record did
	asked_by text NOT NULL,
	asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	erased_at timestamptz,
	again integer NOT NULL DEFAULT 0,	-- how often the content came back, from a backup, and was erased again
	filenode bigint						-- of "payloads" then: while it is that, what was erased may lie in the free space of its files
);
CREATE INDEX erasures_asked ON hdms_internal.erasures (asked_at) WHERE status = 'asked';

-- What the institution signed about it. A record with very many versions, or of two nodes, has several.
CREATE TABLE hdms_internal.tombstones (
	record uuid NOT NULL,
	number integer NOT NULL,			-- 1, 2, ...
	vk text,							-- the first of those that it names: the patient's answer names it; NULL: nothing was signed
	tombstone text NOT NULL,
	receiver text,						-- node that was told; NULL: nobody has to be
	answer text CHECK (answer IN ('erased', 'kept')),	-- what became of the copy there
	answered_at timestamptz,
	PRIMARY KEY (record, number)
);
CREATE INDEX tombstones_vk ON hdms_internal.tombstones (vk);

-- Messages owed to others, until they are answered. The envelope is apart.
CREATE TABLE hdms_internal.outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	jti uuid NOT NULL UNIQUE,
	receiver text NOT NULL,
	type text NOT NULL,
	re uuid,
	version_id bigint,					-- what it is about
	transport text NOT NULL,			-- id of the envelope
	awaited boolean NOT NULL,			-- whether it stays until it is answered
	status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent')),
	attempts integer NOT NULL DEFAULT 0,
	next_try timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	expires_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	last_error text
);
CREATE INDEX outbox_next_try ON hdms_internal.outbox (next_try);
CREATE INDEX outbox_version_id ON hdms_internal.outbox (version_id) WHERE version_id IS NOT NULL;

CREATE TABLE hdms_internal.outbox_envelopes (
	id bigint PRIMARY KEY,
	envelope text NOT NULL
);
-- Ciphertext does not get smaller: PostgreSQL need not try.
ALTER TABLE hdms_internal.outbox_envelopes ALTER COLUMN envelope SET STORAGE EXTERNAL;

-- Envelopes received and not yet acted upon; of those that were discarded, that they were.
CREATE TABLE hdms_internal.inbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	transport text NOT NULL UNIQUE,
	envelope text NOT NULL,				-- empty once discarded
	status text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'waiting', 'quarantined', 'discarded')),
	attempts integer NOT NULL DEFAULT 0,
	next_try timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	received_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	problem text						-- what it waits for, or why it was quarantined
);
ALTER TABLE hdms_internal.inbox ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE INDEX inbox_waiting ON hdms_internal.inbox (next_try) WHERE status = 'waiting';
CREATE INDEX inbox_quarantined ON hdms_internal.inbox (received_at) WHERE status = 'quarantined';

-- Message ids that were acted upon, until their messages have expired.
CREATE TABLE hdms_internal.processed (
	jti uuid NOT NULL,
	iss text NOT NULL,
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (jti, iss)
);
CREATE INDEX processed_expires_at ON hdms_internal.processed (expires_at);

-- Envelopes that were refused for good: what was wrong, never what was inside.
CREATE TABLE hdms_internal.refusals (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	transport text NOT NULL,
	sender text,						-- as claimed, where it could be read
	type text,
	reason text NOT NULL
);

-- Questions to notaries that a patient's device reported as silent.
CREATE TABLE hdms_internal.probes (
	version_id bigint PRIMARY KEY,
	notary text NOT NULL,
	asked_by uuid NOT NULL,				-- jti of the device's message
	probe uuid NOT NULL,				-- jti of ours
	deadline timestamptz NOT NULL
);
CREATE INDEX probes_probe ON hdms_internal.probes (probe);

-- What became of records, for the EMR to poll by id. Written by the worker only, so without gaps and in commit order.
CREATE TABLE hdms_internal.events (
	id bigint PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	kind text NOT NULL,					-- 'status', 'paired', 'pairing_conflict', 'quarantined', 'false_key', ...
	record uuid,
	version_id bigint,
	patient_ref text,
	source_id text,
	status text,
	reason text,
	node_id text,						-- of a binding: the node that the patient has from then on
	evidence bytea						-- of a version that ended with signatures: a digest of them
);
CREATE INDEX events_record ON hdms_internal.events (record) WHERE record IS NOT NULL;
CREATE INDEX events_binding ON hdms_internal.events (patient_ref, id) WHERE record IS NULL AND status IS NOT NULL;

-- Who did and read what. Backends write into the queue; the worker moves rows that are committed, and gives them gapless ids.
CREATE TABLE hdms_internal.audit_queue (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	login text NOT NULL,				-- session_user
	role text NOT NULL,					-- the role in force when the function was called
	actor text,							-- hdms.actor
	action text NOT NULL,
	record uuid,
	version_id bigint,
	patient_ref text,
	purpose text
);

CREATE TABLE hdms_internal.audit (
	id bigint PRIMARY KEY,
	at timestamptz NOT NULL,
	login text NOT NULL,
	role text NOT NULL,
	actor text,
	action text NOT NULL,
	record uuid,
	version_id bigint,
	patient_ref text,
	purpose text
);
CREATE INDEX audit_patient_ref ON hdms_internal.audit (patient_ref, id);

-- The notary's log: entries, complete and last partial tiles of hashes (levels 0, 1, 2 ... of 8 tree levels each), checkpoints.
CREATE TABLE hdms_internal.log_entries (
	index bigint PRIMARY KEY,
	leaf bytea NOT NULL,				-- 72 bytes
	tag bytea NOT NULL UNIQUE,
	request_digest bytea NOT NULL,
	request text NOT NULL
);
CREATE INDEX log_entries_request_digest ON hdms_internal.log_entries USING hash (request_digest);

CREATE TABLE hdms_internal.log_tiles (
	level smallint NOT NULL,
	index bigint NOT NULL,
	hashes bytea NOT NULL,				-- 32 bytes each, at most 256
	PRIMARY KEY (level, index)
);

CREATE TABLE hdms_internal.log_checkpoints (
	size bigint PRIMARY KEY,
	note text NOT NULL,
	signed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- This node's own log: an entry for each run of rows of "events" or "audit" that one transaction of the worker wrote.
CREATE TABLE hdms_internal.ledger_entries (
	index bigint PRIMARY KEY,
	leaf bytea NOT NULL,				-- 41 bytes: time, kind, digest of salt and rows
	kind text NOT NULL CHECK (kind IN ('events', 'audit')),
	first_id bigint NOT NULL,
	last_id bigint NOT NULL,
	salt bytea NOT NULL,				-- 16 bytes, so that nobody can guess rows from published leaves
	UNIQUE (kind, first_id)
);

CREATE TABLE hdms_internal.ledger_tiles (
	level smallint NOT NULL,
	index bigint NOT NULL,
	hashes bytea NOT NULL,				-- as in log_tiles
	PRIMARY KEY (level, index)
);

CREATE TABLE hdms_internal.ledger_checkpoints (
	size bigint PRIMARY KEY,
	note text NOT NULL,
	signed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Records whose stored bytes are to be compared with the patient's and put right.
CREATE TABLE hdms_internal.repairs (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	record uuid NOT NULL,
	status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'asked', 'repaired', 'sound', 'impossible')),
	everything boolean NOT NULL DEFAULT false,	-- the patient's node is asked for all that it has: what is missing is not known by name
	node_id text,						-- whom was asked
	jti uuid,							-- the question
	asked integer NOT NULL DEFAULT 0,	-- for so many versions by name
	rounds integer NOT NULL DEFAULT 0,
	next_try timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	reason text,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	asked_at timestamptz,
	finished_at timestamptz
);
CREATE UNIQUE INDEX repairs_open ON hdms_internal.repairs (record) WHERE status IN ('queued', 'asked');
CREATE INDEX repairs_queued ON hdms_internal.repairs (next_try) WHERE status = 'queued';
CREATE INDEX repairs_jti ON hdms_internal.repairs (jti) WHERE jti IS NOT NULL;

-- Patients' nodes that are asked for all that they have, page by page: how far that is.
CREATE TABLE hdms_internal.recoveries (
	node_id text PRIMARY KEY,
	status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'asked', 'complete')),
	place text,							-- the node's own word for where to go on
	jti uuid,							-- the question
	pages integer NOT NULL DEFAULT 0,
	copies bigint NOT NULL DEFAULT 0,
	restored bigint NOT NULL DEFAULT 0,
	unsound bigint NOT NULL DEFAULT 0,
	problem text,
	next_try timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	finished_at timestamptz
);
CREATE INDEX recoveries_queued ON hdms_internal.recoveries (next_try) WHERE status = 'queued';
CREATE INDEX recoveries_jti ON hdms_internal.recoveries (jti) WHERE jti IS NOT NULL;

-- Damaged rows as they were found, kept until the record is erased.
CREATE TABLE hdms_internal.incidents (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	found_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	record uuid NOT NULL,
	version_id bigint,
	what text NOT NULL CHECK (what IN ('records', 'versions', 'payloads')),
	damaged json NOT NULL,
	holds uuid							-- the record whose state was found there, where it is another
);
CREATE INDEX incidents_record ON hdms_internal.incidents (record);
CREATE INDEX incidents_holds ON hdms_internal.incidents (holds) WHERE holds IS NOT NULL;
-- This node as a witness: of each log of others, the checkpoint that it saw last.
CREATE TABLE hdms_internal.witnessed (
	origin text PRIMARY KEY,
	node_id text NOT NULL,				-- whose log it is
	size bigint NOT NULL,
	root bytea NOT NULL,
	note text NOT NULL,
	barred boolean NOT NULL DEFAULT false,	-- it contradicted itself: nothing of it is cosigned
	seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
CREATE INDEX witnessed_node_id ON hdms_internal.witnessed (node_id);

-- The witnesses of this node's own logs, and how far each has come.
CREATE TABLE hdms_internal.witnesses (
	origin text NOT NULL,				-- of the log
	node_id text NOT NULL,				-- of the witness
	seen_size bigint NOT NULL DEFAULT 0,	-- of the checkpoint that it saw last
	cosigned_size bigint,
	cosigned_at timestamptz,			-- by its clock
	asked uuid,							-- jti of the question that it has not answered
	asked_size bigint,
	asked_at timestamptz,
	problem text,
	PRIMARY KEY (origin, node_id)
);
CREATE INDEX witnesses_asked ON hdms_internal.witnesses (asked);

-- Logs that contradicted themselves: what is kept as evidence.
CREATE TABLE hdms_internal.forks (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	kind text NOT NULL CHECK (kind IN ('two-trees', 'no-proof', 'older-copy', 'two-receipts')),
	origin text NOT NULL,
	node_id text NOT NULL,				-- whose log it is
	told_by text NOT NULL,				-- node that sent what contradicts
	seen text NOT NULL,					-- a checkpoint's note, or a receipt
	shown text NOT NULL,				-- what contradicts it
	evidence text						-- a file that anyone can check, where there is proof
);

-- Ciphertext, signatures and hashes do not get smaller: trying costs more than all else that is done with them here.
ALTER TABLE hdms_internal.outbox_envelopes ALTER COLUMN envelope SET STORAGE EXTERNAL;
ALTER TABLE hdms_internal.inbox ALTER COLUMN envelope SET STORAGE EXTERNAL;
ALTER TABLE hdms_internal.payloads
	ALTER COLUMN state SET STORAGE EXTERNAL, ALTER COLUMN commit SET STORAGE EXTERNAL,
	ALTER COLUMN acceptance SET STORAGE EXTERNAL, ALTER COLUMN request SET STORAGE EXTERNAL,
	ALTER COLUMN receipt SET STORAGE EXTERNAL, ALTER COLUMN rejection SET STORAGE EXTERNAL;
ALTER TABLE hdms_internal.log_entries ALTER COLUMN request SET STORAGE EXTERNAL;
ALTER TABLE hdms_internal.log_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE hdms_internal.ledger_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE hdms_internal.tombstones ALTER COLUMN tombstone SET STORAGE EXTERNAL;
