# Who has all rights rewrites a record and every digest in the node's own log. Once the record is put back from the patient's copy, the log is
# computed again, and believed only because it gives what the checkpoint had signed.
use strict;
use warnings;
use Test::More;
use HdmsCluster;
use HdmsForger;

my $pg = HdmsCluster->new(conf => "hdms.poll_interval = 1\nhdms.checkpoint_interval = 1\n");
my $net = $pg->network;
my ($north) = $net->hospitals(['north'], ['south', notary => 1]);
my $alice = $net->device('alice');
$alice->pair($north->invite('A'));
$alice->start;
$north->wait_for("SELECT status FROM hdms.patients WHERE patient_ref = 'A'", 'paired');
$alice->cmd('policy', 'North Hospital', 'accept');
my @records = map { $north->issue('A', "{\"diagnosis\": \"influenza $_\"}") } 1 .. 3;
$north->wait_for("SELECT count(*) FROM hdms.records WHERE status = 'committed'", 3);

sub failures { return $north->sql("SELECT check_name || ': ' || detail FROM hdms.verify_ledger() WHERE check_name <> 'summary' ORDER BY 1"); }
sub wait_signed
{
	$north->wait_for('SELECT (SELECT max(size) FROM hdms_internal.ledger_checkpoints) = (SELECT count(*) FROM hdms_internal.ledger_entries)'
		. ' AND NOT EXISTS (SELECT FROM hdms_internal.audit_queue)', 't');
}
sub repair
{
	my ($record) = @_;
	my $id = $north->sql("SELECT hdms.repair('$record')");
	$north->wait_for("SELECT status <> 'asked' FROM hdms.repairs WHERE id = $id", 't');
	return $north->sql("SELECT status FROM hdms.repairs WHERE id = $id");
}
sub evidence { return $north->sql("SELECT id, evidence FROM hdms_internal.events WHERE kind = 'status' AND evidence IS NOT NULL ORDER BY id"); }
sub leaves { my ($count) = @_; return $north->sql("SELECT index, leaf FROM hdms_internal.ledger_entries WHERE index < $count ORDER BY index"); }

wait_signed();
is(failures(), '', 'nothing is wrong to begin with');
my $size = $north->sql('SELECT count(*) FROM hdms_internal.ledger_entries');
my ($evidence, $leaves) = (evidence(), leaves($size));
forge_record($north, $records[0], 'influenza', 'hepatitis');
isnt(leaves($size), $leaves, 'the forger has computed the leaves again');
like(failures(), qr/^log: .*checkpoint/m, 'the checkpoint does not fit what was computed again');
is(repair($records[0]), 'repaired', 'the record comes back from the patient');
wait_until('the log to be in order', sub { failures() eq '' });
is(evidence(), $evidence, 'the events say again what they said');
is(leaves($size), $leaves, 'and so do the leaves');

# Hashes above the leaves follow from them: a node that finds them changed when it starts does not stop for that.
wait_signed();
$north->sql("UPDATE hdms_internal.ledger_tiles SET hashes = set_byte(hashes, 5, 255 - get_byte(hashes, 5))");
$pg->restart;
$north->wait_status($north->issue('A', '{"diagnosis": "after a restart"}'), 'committed');
is($north->sql('SELECT halted IS NULL FROM hdms_internal.node'), 't', 'changed tiles are computed again at the start');
wait_until('the log to be in order again', sub { failures() eq '' });

# What nobody else has a copy of stays visible: the log is not bent to fit it.
wait_signed();
$north->sql("UPDATE hdms_internal.audit SET actor = 'somebody else' WHERE id = 1");
forge_record($north, $records[1], 'influenza', 'hepatitis');
is(repair($records[1]), 'repaired', 'another record comes back');
like(failures(), qr/^log: /m, 'what was computed again together with a row of the audit trail is not put in order, and reported');
$pg->restart;
$north->wait_for('SELECT halted IS NOT NULL FROM hdms_internal.node', 't');
is($north->sql("SELECT status FROM hdms.doctor() WHERE check_name = 'signing'"), 'fail', 'and started with that, the node signs nothing any more');
done_testing;
