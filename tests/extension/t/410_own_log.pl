# The institution's own log: every event and every row of the audit trail is promised, and what is changed or removed behind its back shows.
use strict;
use warnings;
use Test::More;
use HdmsCluster;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A-1'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A-1'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');
my @records = map { $north->issue('A-1', "{\"n\": $_}") } 1 .. 6;
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", 6);
$north->sql("SELECT hdms.read('$records[0]', 'to treat')");
$north->wait_for('SELECT bool_and(is_logged) FROM hdms.audit', 't');

# Waits until the newest checkpoint covers all that was written.
sub is_signed { $north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries)', 't'); }

is_signed();
is($north->sql("SELECT count(*), max(id) - min(id) + 1 = count(*) FROM hdms_internal.audit"), $north->sql("SELECT count(*) || '|t' FROM hdms.audit"), 'the audit trail has no gaps');
is($north->sql("SELECT bool_and(evidence IS NOT NULL) FROM hdms_internal.events WHERE status = 'committed'"), 't', 'what committed is promised with its bytes');
is($north->sql("SELECT split_part(note, E'\\n', 1) = 'hdms.v1/ledger/' || (SELECT node_id FROM hdms.node) FROM hdms_internal.ledger_checkpoints LIMIT 1"), 't', 'checkpoints name the node');
is($north->sql("WITH r AS (SELECT kind, first_id, lag(last_id) OVER (PARTITION BY kind ORDER BY index) AS before FROM hdms_internal.ledger_entries)
	SELECT bool_and(first_id = coalesce(before, 0) + 1) FROM r"), 't', 'entries cover rows one run after the other');
is($north->sql("SELECT (SELECT max(last_id) FROM hdms_internal.ledger_entries WHERE kind = 'events') = (SELECT max(id) FROM hdms.events)"), 't', 'to the newest event');
$north->sql("BEGIN; SELECT hdms.read('$records[0]', 'by mistake'); ROLLBACK");
$north->sql("SELECT hdms.read('$records[0]', 'to treat again')");
$north->wait_for("SELECT count(*) FILTER (WHERE is_logged) || ' ' || count(*) FROM hdms.audit WHERE purpose LIKE 'to treat%'", '2 2');
is($north->sql("SELECT count(*) FROM hdms.audit WHERE purpose = 'by mistake'"), '0', 'what was rolled back was not read');

sub verify { return $north->sql("SELECT coalesce(record::text, '-'), coalesce(version::text, '-'), check_name, detail FROM hdms.verify_ledger()"); }
is_signed();
like(verify(), qr/^-\|-\|summary\|6 records with 6 signed versions verified, 0 checks failed; the newest checkpoint of the node's own log has \d+ entries until [^,]+, root [\w-]{43}, \d+ cosignatures$/, 'a sound ledger verifies, and the summary names the newest checkpoint');
is($north->sql("SELECT check_name, ok FROM hdms.verify('$records[0]') WHERE check_name IN ('log', 'event') ORDER BY 1"), "event|t\nlog|t", 'a record is checked against its events');

# The tables that an attack touches come back by themselves: the attack and the verification are one transaction that is rolled back.
sub attacked
{
	my ($sql) = @_;
	my $out = $north->sql("BEGIN; $sql; SELECT coalesce(record::text, '-') || ' ' || check_name || ' ' || detail FROM hdms.verify_ledger() WHERE check_name <> 'summary'; ROLLBACK");
	return $out;
}

my $event = $north->sql("SELECT id FROM hdms_internal.events WHERE record = '$records[2]' AND status = 'committed'");
my $row = $north->sql("SELECT id FROM hdms_internal.audit WHERE action = 'read' ORDER BY id LIMIT 1");
my $last = $north->sql('SELECT max(id) FROM hdms_internal.events');
for my $attack (
	["DELETE FROM hdms_internal.events WHERE id = $event", qr/event row $event of events, which was logged on [^\n]+, is missing/, 'an event that was deleted'],
	["UPDATE hdms_internal.events SET status = 'rejected' WHERE id = $event", qr/event rows? [\d to]+ of events (is|are) not/, 'an event that was changed'],
	["UPDATE hdms_internal.events SET evidence = NULL WHERE id = $event", qr/$records[2] event no event promises the bytes/, 'a promise that was taken out of an event'],
	["INSERT INTO hdms_internal.events (id, kind) VALUES ($last + 1, 'status')", qr/event event \d+ is in no entry/, 'an event that was inserted by hand'],
	["UPDATE hdms_internal.audit SET purpose = 'nothing' WHERE id = $row", qr/audit rows? [\d to]+ of audit (is|are) not/, 'a row of the audit trail that was changed'],
	["DELETE FROM hdms_internal.audit WHERE id = $row", qr/audit row $row of audit, which was logged on [^\n]+, is missing/, 'a row of the audit trail that was deleted'],
	["DELETE FROM hdms_internal.audit WHERE id = (SELECT max(id) FROM hdms_internal.audit)", qr/audit row \d+ of audit, which/, 'the newest row of the audit trail deleted'],
	["DELETE FROM hdms_internal.payloads WHERE id IN (SELECT id FROM hdms_internal.versions WHERE record = '$records[3]'); DELETE FROM hdms_internal.versions WHERE record = '$records[3]'; DELETE FROM hdms_internal.records WHERE record = '$records[3]'",
		qr/$records[3] missing the record is gone/, 'a record that was deleted wholly'],
	["UPDATE hdms_internal.patients SET status = 'suspended' WHERE patient_ref = 'A-1'", qr/binding patient 'A-1' is suspended with node [^\n]+ says paired/, 'a binding that was changed'],
	["UPDATE hdms_internal.patients SET node_id = (SELECT node_id FROM hdms.node) WHERE patient_ref = 'A-1'", qr/binding patient 'A-1' is paired with node/, 'a patient who was given to another node'],
	["INSERT INTO hdms_internal.patients (patient_ref, node_id, status) VALUES ('X', 'x', 'paired')", qr/binding patient 'X' is paired with node x; no event says so/, 'a patient who was inserted'],
	["DELETE FROM hdms_internal.invitations; DELETE FROM hdms_internal.patients WHERE patient_ref = 'A-1'", qr/binding patient 'A-1' is gone/, 'a patient who was deleted'],
	["UPDATE hdms_internal.ledger_tiles SET hashes = hashes || '\\x00' WHERE level = 0", qr/log tile 0 of level 0/, 'a tile that was changed'],
	["UPDATE hdms_internal.ledger_entries SET salt = substr(sha256(salt), 1, 16) WHERE index = 2", qr/(event|audit) rows? /, 'a salt that was changed'],
	["UPDATE hdms_internal.ledger_entries SET last_id = last_id + 1 WHERE index = 0", qr/log entry \d+ covers/, 'a range that was changed'],
	["DELETE FROM hdms_internal.ledger_entries WHERE index = 1", qr/log entry 1 is missing/, 'an entry that was deleted'],
	["DELETE FROM hdms_internal.ledger_checkpoints WHERE size = (SELECT max(size) FROM hdms_internal.ledger_checkpoints)", qr/log the worker signed \d+ entries/, 'the newest checkpoint deleted'],
	["UPDATE hdms_internal.ledger_checkpoints SET note = replace(note, 'A', 'B')", qr/log the newest checkpoint was not signed by this node/, 'a checkpoint that was changed'],
	["TRUNCATE hdms_internal.ledger_entries, hdms_internal.ledger_tiles, hdms_internal.ledger_checkpoints", qr/log the worker signed/, 'all of the log deleted'])
{
	my ($sql, $found, $what) = @$attack;
	like(attacked($sql), $found, "found: $what");
}

# Whoever removes a record with everything that remembers it, back to an older checkpoint that was really signed, leaves a log that is too short.
my $size = $north->sql('SELECT size FROM hdms_internal.ledger_checkpoints ORDER BY size DESC OFFSET 1 LIMIT 1');
is(() = attacked(<<"SQL") =~ /\n/g, 0, 'found once: everything cut back to an older checkpoint');
CREATE TEMP TABLE cut AS SELECT kind, min(first_id) AS id FROM hdms_internal.ledger_entries WHERE index >= $size GROUP BY kind;
DELETE FROM hdms_internal.events WHERE id >= (SELECT id FROM cut WHERE kind = 'events');
DELETE FROM hdms_internal.audit WHERE id >= (SELECT id FROM cut WHERE kind = 'audit');
DELETE FROM hdms_internal.ledger_entries WHERE index >= $size;
DELETE FROM hdms_internal.ledger_checkpoints WHERE size > $size;
UPDATE hdms_internal.ledger_tiles SET hashes = substr(hashes, 1, 32 * $size) WHERE level = 0
SQL
like(attacked("DELETE FROM hdms_internal.ledger_checkpoints WHERE size > $size; DELETE FROM hdms_internal.ledger_entries WHERE index >= $size"), qr/the worker signed \d+ entries on [^,]+, the newest checkpoint is of $size/, 'by what the worker signed last');
like(verify(), qr/^-\|-\|summary\|.* 0 checks failed/, 'put back, all is well');

done_testing();
