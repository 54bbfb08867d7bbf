# A dump and its restore keep every row, and DROP EXTENSION loses none by accident. No server, no device: the rows are
# those of tests/data/evidence.sql, signed by real keys.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new;
my $bin = HdmsCluster::pg_bin();
my @as = @HdmsCluster::as_postgres;

$pg->sql('postgres', 'CREATE DATABASE north');
$pg->sql('north', 'CREATE EXTENSION hdms CASCADE');
$pg->sql('north', slurp("$top/tests/data/evidence.sql"));
$pg->sql('north', "SELECT hdms.register_patient('waiting'); SELECT hdms.issue('waiting', '{\"n\": 7.10}', 'waiting/1'); SELECT hdms.amend(record, '{\"n\": 7.1}') FROM hdms.records WHERE source_id = 'waiting/1'");
$pg->sql('north', "SELECT hdms.issue('evidence', '{\"queued\": true}', 'queued/1')");
$pg->sql('north', "SELECT hdms.read(record, 'before the dump') FROM hdms.records WHERE source_id = 'evidence/committed'");
# One row at least in each table that the above left empty.
$pg->sql('north', <<'SQL');
INSERT INTO hdms_internal.lookups (subject) VALUES ('node:x');
INSERT INTO hdms_internal.key_changes (kind, keys, problem) VALUES ('rotate', '{signing}', 'p');
INSERT INTO hdms_internal.former_states (vk, version_id, version, accept_until) VALUES ('v', 1, 1, 'infinity');
INSERT INTO hdms_internal.vouchers (jti, voucher, expires_at) VALUES (gen_random_uuid(), 'v', 'infinity');
INSERT INTO hdms_internal.invitations (invitation, patient_ref, status, expires_at) VALUES (gen_random_uuid(), 'waiting', 'open', 'infinity');
WITH o AS (INSERT INTO hdms_internal.outbox (jti, receiver, type, transport, awaited, expires_at) VALUES (gen_random_uuid(), 'r', 'record', 't', true, 'infinity') RETURNING id)
	INSERT INTO hdms_internal.outbox_envelopes (id, envelope) SELECT id, 'e' FROM o;
INSERT INTO hdms_internal.inbox (transport, envelope) VALUES ('t', 'e');
INSERT INTO hdms_internal.processed (jti, iss, expires_at) VALUES (gen_random_uuid(), 'i', 'infinity');
INSERT INTO hdms_internal.refusals (transport, reason) VALUES ('t', 'r');
INSERT INTO hdms_internal.probes (version_id, notary, asked_by, probe, deadline) VALUES (1, 'n', gen_random_uuid(), gen_random_uuid(), 'infinity');
INSERT INTO hdms_internal.directory_log (generation, size, peaks, checkpoint) VALUES (1, 1, '\x01', 'n');
INSERT INTO hdms_internal.directory_leaves (index, subject, seq, statement) VALUES (0, '\x01', 0, '\x02');
INSERT INTO hdms_internal.directory_evidence (kind) VALUES ('restarted');
INSERT INTO hdms_internal.retention_rules (type_pattern, keep, set_by) VALUES ('%', '10 years', 'somebody');
INSERT INTO hdms_internal.erasures (record, status, before_end, asked_by) VALUES (gen_random_uuid(), 'erased', false, 'somebody');
INSERT INTO hdms_internal.tombstones (record, number, tombstone) VALUES (gen_random_uuid(), 1, 't');
INSERT INTO hdms_internal.events (id, kind) VALUES (1, 'status');
INSERT INTO hdms_internal.audit (id, at, login, role, action) VALUES (1, now(), 'l', 'r', 'a');
INSERT INTO hdms_internal.log_entries (index, leaf, tag, request_digest, request) VALUES (0, '\x01', '\x02', '\x03', 'q');
INSERT INTO hdms_internal.log_tiles (level, index, hashes) VALUES (0, 0, '\x01');
INSERT INTO hdms_internal.log_checkpoints (size, note) VALUES (1, 'n');
INSERT INTO hdms_internal.repairs (record, status) VALUES (gen_random_uuid(), 'sound');
INSERT INTO hdms_internal.recoveries (node_id, status) VALUES ('n', 'complete');
INSERT INTO hdms_internal.incidents (record, what, damaged) VALUES (gen_random_uuid(), 'payloads', '{}');
INSERT INTO hdms_internal.witnessed (origin, node_id, size, root, note) VALUES ('o', 'n', 1, '\x01', 'c');
INSERT INTO hdms_internal.witnesses (origin, node_id) VALUES ('o', 'n');
INSERT INTO hdms_internal.forks (kind, origin, node_id, told_by, seen, shown) VALUES ('two-trees', 'o', 'n', 'm', 's', 't');
INSERT INTO hdms_internal.ledger_entries (index, leaf, kind, first_id, last_id, salt) VALUES (0, '\x01', 'events', 1, 1, '\x02');
INSERT INTO hdms_internal.ledger_tiles (level, index, hashes) VALUES (0, 0, '\x01');
INSERT INTO hdms_internal.ledger_checkpoints (size, note) VALUES (1, 'n');
SQL

my @tables = split /\n/, $pg->sql('north', "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'hdms_internal'::regnamespace AND relkind = 'r' ORDER BY relname");

# A fingerprint of every row of every table, and where the sequences are.
sub contents
{
	my ($db) = @_;
	my %found;
	$found{$_} = $pg->sql($db, "SELECT count(*) || ' ' || md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM $_ t") for @tables;
	$found{$_} = $pg->sql($db, "SELECT last_value || ' ' || is_called FROM $_")
		for split /\n/, $pg->sql($db, "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'hdms_internal'::regnamespace AND relkind = 'S'");
	return \%found;
}

my $before = contents('north');
is(join(' ', grep { $before->{$_} !~ /^[1-9]/ } @tables), '', 'every table has rows to lose');

sub restored_as
{
	my ($db, $what, $dump, $restore) = @_;
	HdmsCluster::command("dumping $what", @as, "$bin/pg_dump", @$dump, '-f', "$pg->{base}/run/$db.dump", '-d', $pg->conninfo('north'));
	$pg->sql('postgres', "CREATE DATABASE $db");
	HdmsCluster::command("restoring $what", @as, @$restore, '-d', $pg->conninfo($db), $restore->[0] =~ /psql/ ? ('-f', "$pg->{base}/run/$db.dump") : "$pg->{base}/run/$db.dump");
	is_deeply(contents($db), $before, "$what: every row and every sequence is there");
	is($pg->sql($db, "SELECT count(*) || ' ' || bool_and(ok)::text FROM hdms.records r, hdms.verify(r.record) WHERE r.source_id LIKE 'evidence/%' AND ok IS NOT NULL"),
		$pg->sql('north', "SELECT count(*) || ' ' || bool_and(ok)::text FROM hdms.records r, hdms.verify(r.record) WHERE r.source_id LIKE 'evidence/%' AND ok IS NOT NULL"),
		"$what: the evidence verifies");
	like($pg->sql($db, "SELECT hdms.issue('waiting', '{\"n\": 8}')"), qr/^[0-9a-f-]{36}$/, "$what: records can be issued");
	is($pg->sql($db, "SELECT hdms.amend(record, '{\"n\": 9}') FROM hdms.records WHERE source_id = 'waiting/1'"), '3', "$what: records can be amended");
	is($pg->sql($db, "SELECT has_function_privilege('hdms_emr', 'hdms.issue(text, json, text, interval, timestamptz)', 'EXECUTE')"), 't', "$what: the rights are there");
}

restored_as('from_text', 'a dump as text', [], ["$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1']);
restored_as('from_custom', 'a dump restored by two jobs', ['-Fc'], ["$bin/pg_restore", '-e', '-j', '2']);
restored_as('from_inserts', 'a dump as INSERT statements', ['--inserts'], ["$bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1']);

# What would delete the only copy of signed records.
like($pg->sql_error('from_text', 'DROP EXTENSION hdms'), qr/holds signed records/, 'DROP EXTENSION is refused while there are signed records');
is($pg->sql('from_text', 'SELECT count(*) > 0 FROM hdms.records'), 't', 'and they are still there');
$pg->sql('from_text', 'SET hdms.allow_drop_extension = on; DROP EXTENSION hdms');
is($pg->sql('from_text', "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'hdms%'"), '0', 'it is dropped by who says so');
$pg->sql('from_text', 'CREATE EXTENSION hdms');
is($pg->sql('from_text', 'SELECT count(*) FROM hdms.records'), '0', 'and can be made again');
$pg->sql('from_text', 'DROP EXTENSION hdms');
pass('without signed records it is dropped at once');
done_testing();
