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

done_testing();
