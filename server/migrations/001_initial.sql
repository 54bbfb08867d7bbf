-- The server's tables. Everything is keyed by a node's id first, so that they can be distributed by it.
-- Ids are base64url texts as in the protocol; times are seconds since 1970 by the server processes' clocks.

CREATE TABLE hdms_server.server_meta (
	singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
	epoch text NOT NULL,
	session_secret bytea NOT NULL CHECK (octet_length(session_secret) = 32),
	created bigint NOT NULL
);
COMMENT ON TABLE hdms_server.server_meta IS 'One row: what is true of this database as a whole';
COMMENT ON COLUMN hdms_server.server_meta.epoch IS 'Changed whenever a process starts or had to connect anew; nodes then put their unanswered messages again';
COMMENT ON COLUMN hdms_server.server_meta.session_secret IS 'Sessions are tokens under a MAC by this key; replacing it ends all sessions';
COMMENT ON COLUMN hdms_server.server_meta.created IS 'Lists of notaries signed before were carried here by institutions';

CREATE TABLE hdms_server.nodes (
	id text COLLATE "C" PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('institution', 'person')),
	name text NOT NULL,
	history text NOT NULL,
	entries integer NOT NULL,
	status text NOT NULL CHECK (status IN ('pending', 'active', 'frozen')),
	admission text,
	notary boolean NOT NULL DEFAULT false,
	registered bigint NOT NULL,
	changed bigint NOT NULL
);
COMMENT ON TABLE hdms_server.nodes IS 'The directory: each node''s signed key history';
COMMENT ON COLUMN hdms_server.nodes.status IS 'pending: an institution that the operator has not admitted; frozen: two contradicting histories were seen';
CREATE INDEX nodes_pending ON hdms_server.nodes (registered) WHERE status = 'pending';
CREATE INDEX nodes_institutions ON hdms_server.nodes (name, id) WHERE kind = 'institution';

CREATE TABLE hdms_server.notary_lists (
	digest text COLLATE "C" PRIMARY KEY,
	jws text NOT NULL,
	iat bigint NOT NULL,
	seq bigint GENERATED ALWAYS AS IDENTITY
);
COMMENT ON TABLE hdms_server.notary_lists IS 'Every list of notaries that the network key signed, for ever: records name them by digest';
CREATE INDEX notary_lists_newest ON hdms_server.notary_lists (iat DESC, seq DESC);

CREATE TABLE hdms_server.vouchers_used (
	issuer text COLLATE "C" NOT NULL,
	jti text COLLATE "C" NOT NULL,
	node text COLLATE "C" NOT NULL,
	expires bigint NOT NULL,
	PRIMARY KEY (issuer, jti)
);
COMMENT ON TABLE hdms_server.vouchers_used IS 'Which node a single-use voucher let in, until the voucher expires';
CREATE INDEX vouchers_used_expires ON hdms_server.vouchers_used (expires);

CREATE TABLE hdms_server.mailbox (
	recipient text COLLATE "C" NOT NULL,
	id text COLLATE "C" NOT NULL,
	seq bigint NOT NULL,
	expires bigint NOT NULL,
	bytes integer NOT NULL,
	data bytea NOT NULL,
	PRIMARY KEY (recipient, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_insert_scale_factor = 0.1,
	autovacuum_vacuum_cost_delay = 1, toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE hdms_server.mailbox IS 'Envelopes that their receiver has not acknowledged; a cache, because the senders still have them';
COMMENT ON COLUMN hdms_server.mailbox.data IS 'A compact JWE: ciphertext that no compression helps';
ALTER TABLE hdms_server.mailbox ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE SEQUENCE hdms_server.mailbox_seq OWNED BY hdms_server.mailbox.seq;
CREATE UNIQUE INDEX mailbox_order ON hdms_server.mailbox (recipient, seq) INCLUDE (bytes);
CREATE INDEX mailbox_expires ON hdms_server.mailbox (expires);

CREATE TABLE hdms_server.nonces (
	node text COLLATE "C" NOT NULL,
	nonce text COLLATE "C" NOT NULL,
	seen bigint NOT NULL,
	PRIMARY KEY (node, nonce)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE hdms_server.nonces IS 'Nonces of signed requests, kept for as long as the signature could be sent again';
CREATE INDEX nonces_seen ON hdms_server.nonces (seen);
