-- Registrations that nobody admitted are removed once their institutions have not asked for a long time.
ALTER TABLE hdms_server.nodes ADD COLUMN seen bigint;
COMMENT ON COLUMN hdms_server.nodes.seen IS 'While pending: about when the institution asked last; null: not since it registered';
