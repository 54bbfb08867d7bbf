-- Logs in C2SP tlog-tiles layout: the directory's own, which the server processes write, and those of institutions, which they put.

CREATE TABLE hdms_server.log_checkpoints (
	log text COLLATE "C" PRIMARY KEY,
	size bigint NOT NULL,
	note text NOT NULL,
	changed bigint NOT NULL
);
COMMENT ON TABLE hdms_server.log_checkpoints IS 'The newest signed checkpoint of each log';
COMMENT ON COLUMN hdms_server.log_checkpoints.log IS '"directory", or an institution''s node id, a slash, and "notary" or "ledger"';

CREATE TABLE hdms_server.log_tiles (
	log text COLLATE "C" NOT NULL,
	level smallint NOT NULL,
	index bigint NOT NULL,
	width smallint NOT NULL CHECK (width BETWEEN 1 AND 256),
	data bytea NOT NULL,
	PRIMARY KEY (log, level, index)
);
COMMENT ON TABLE hdms_server.log_tiles IS 'Tiles: hashes of a level, or, as level -1, bundles of entries; the last one of a level grows';
ALTER TABLE hdms_server.log_tiles ALTER COLUMN data SET STORAGE EXTERNAL;

-- What of a node is in the directory's log.
ALTER TABLE hdms_server.nodes
	ADD COLUMN unlogged boolean NOT NULL DEFAULT true,
	ADD COLUMN logged_entries integer NOT NULL DEFAULT 0,
	ADD COLUMN logged_admission text,
	ADD COLUMN log_index bigint;
COMMENT ON COLUMN hdms_server.nodes.unlogged IS 'Whether the directory''s log may lack something of this row';
COMMENT ON COLUMN hdms_server.nodes.logged_entries IS 'So many entries of the history are in the log';
COMMENT ON COLUMN hdms_server.nodes.logged_admission IS 'The admission that is in the log';
COMMENT ON COLUMN hdms_server.nodes.log_index IS 'Where in the log the newest entry is';
CREATE INDEX nodes_unlogged ON hdms_server.nodes (changed, id) WHERE unlogged AND status <> 'pending';
